//! What the two kinds of issued certificates share: signing with a key of the token, and renewal.
//!
//! The one decision: an issued certificate is nowhere but in state; issuing is no change of the
//! token, so a lost answer is repeated, never in doubt. The time is read where the certificate is
//! issued and where it is looked at, so that planning stays pure.

use std::time::{SystemTime, UNIX_EPOCH};

use mesh_model::schema::{Equality, duration_seconds};
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, Path, Type, Value};
use mesh_sdk::{
    ErrorKind, Observation, ObserveRequest, Observed, PlanRequest, PlanResponse, Problem, ProviderError, Verdict,
    schema_plan,
};
use mesh_x509::{CertificateInfo, SignatureScheme, Template};

use crate::client::Client;
use crate::protocol::{Bytes, Call, Class, Scheme};

/// Clocks differ: what is issued begins a little before now.
const BACKDATE: i64 = 300;

/// The attributes that every issued certificate has.
pub(super) fn attributes() -> Vec<Attribute> {
    let duration = |name, doc: &'static str, default: &'static str| {
        Attribute::optional(name, Type::String, doc).default(Value::string(default)).equality(Equality::Duration)
    };
    vec![
        duration(
            "validity",
            "How long it is valid from now on, such as `87600h`; default `43800h` (five years).",
            "43800h",
        )
        .force_new(),
        Attribute::optional(
            "pathlen",
            Type::Number,
            "How many authorities may stand below it; none given: any number.",
        )
        .force_new(),
        duration("early_renewal", "How long before its end a new one is planned; default `0s`.", "0s"),
        Attribute::computed("certificate_pem", Type::String, "The certificate."),
        Attribute::computed("serial", Type::String, "The serial number, hexadecimal."),
        Attribute::computed("sha256", Type::String, "SHA-256 of the DER bytes, hexadecimal."),
        Attribute::computed("not_before", Type::String, "When it begins, RFC 3339 in UTC."),
        Attribute::computed("not_after", Type::String, "When it ends, RFC 3339 in UTC."),
        Attribute::computed("ready_for_renewal", Type::Bool, "Whether the time for a new one has come."),
    ]
}

/// Problems with durations and pathlen.
pub(super) fn problems(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in ["validity", "early_renewal"] {
        if let Some(text) = config.get_str(name)
            && duration_seconds(text).is_none_or(|s| s < 0.0 || (name == "validity" && s < 60.0))
        {
            problems.push(Problem::at(name, format!("{text:?} is not a duration such as \"8760h\"")));
        }
    }
    if let Some(pathlen) = config.get("pathlen").and_then(Value::as_number)
        && pathlen.to_i64().is_none_or(|n| !(0..=255).contains(&n))
    {
        problems.push(Problem::at("pathlen", "must be a whole number from 0 to 255"));
    }
    problems
}

fn seconds(values: &Value, name: &str) -> i64 {
    values.get_str(name).and_then(duration_seconds).map_or(0, |s| s as i64)
}

pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or(0)
}

/// Replaces what is due; everything else as usual.
pub(super) fn plan(request: &PlanRequest<'_>) -> PlanResponse {
    let response = schema_plan(request);
    let due = request.observed.and_then(|o| o.get("ready_for_renewal")).and_then(Value::as_bool) == Some(true);
    if !due || !matches!(response.verdict, Verdict::NoOp | Verdict::Update) {
        return response;
    }
    let until = request.observed.and_then(|o| o.get_str("not_after")).unwrap_or_default().to_owned();
    PlanResponse {
        verdict: Verdict::Replace(vec![Path::attribute("ready_for_renewal")]),
        after: schema_plan(&PlanRequest { observed: None, ..*request }).after,
        notes: vec![format!("The certificate ends at {until}: the time for a new one has come.")],
        ..response
    }
}

/// What state has, with the time looked at.
pub(super) fn observe(requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
    requests
        .iter()
        .map(|request| {
            let (Some(saved), Some(identity)) = (&request.saved, &request.identity) else {
                return Ok(Observation::Absent);
            };
            let settings = request.desired.as_ref().unwrap_or(saved);
            Ok(Observation::Present(Observed::new(
                saved.with("ready_for_renewal", Value::bool(due(saved, seconds(settings, "early_renewal")))),
                identity.clone(),
            )))
        })
        .collect()
}

fn due(values: &Value, early: i64) -> bool {
    values
        .get_str("certificate_pem")
        .and_then(|pem| mesh_x509::parse_certificates(pem).ok())
        .and_then(|all| all.first().map(|c| c.not_after_unix))
        .is_some_and(|end| now() >= end.saturating_sub(early))
}

/// The planned values with what was issued.
pub(super) fn issued_values(planned: &Value, certificate: &CertificateInfo) -> Value {
    let values = planned
        .with("certificate_pem", Value::string(certificate.pem()))
        .with("serial", Value::string(certificate.serial_hex.as_str()))
        .with("sha256", Value::string(certificate.sha256.as_str()))
        .with("not_before", Value::string(certificate.not_before.as_str()))
        .with("not_after", Value::string(certificate.not_after.as_str()));
    let due = due(&values, seconds(planned, "early_renewal"));
    values.with("ready_for_renewal", Value::bool(due))
}

pub(super) fn identity(certificate: &CertificateInfo) -> Identity {
    Identity(format!("issued-certificate sha256={}", certificate.sha256).into())
}

/// Who is to be certified, and by whom.
pub(super) struct Subject<'a> {
    pub(super) subject_der: Vec<u8>,
    /// `None`: the key of the issuer itself.
    pub(super) spki_der: Option<Vec<u8>>,
    pub(super) issuer: Option<CertificateInfo>,
    pub(super) key_id: &'a str,
    pub(super) is_ca: bool,
}

fn refuse(detail: String) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The certificate cannot be issued", detail)
}

/// Issues a certificate with a key pair of the token.
pub(super) async fn issue(
    client: &Client,
    planned: &Value,
    who: Subject<'_>,
) -> Result<CertificateInfo, ProviderError> {
    let mut keys = client.find(Class::KeyPair, Some(who.key_id.as_bytes())).await?;
    if keys.len() > 1 {
        return Err(super::several(Class::KeyPair, &keys));
    }
    let key = keys.pop().ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Missing,
            "The issuer's key is not on the token",
            format!("The token has no key pair with the id \"{}\".", who.key_id),
        )
    })?;
    let spki = key
        .der
        .map(|d| d.0)
        .ok_or_else(|| refuse(format!("The token does not tell the public key of \"{}\".", who.key_id)))?;
    let scheme = SignatureScheme::of_key(&spki)
        .ok_or_else(|| refuse(format!("The key \"{}\" is neither RSA nor EC on P-256 or P-384.", who.key_id)))?;
    let start = now();
    let end = start + seconds(planned, "validity");
    if let Some(issuer) = &who.issuer {
        if issuer.spki_der != spki {
            return Err(refuse(format!(
                "The issuer certificate \"{}\" is not for the key \"{}\" on the token.",
                issuer.title(),
                who.key_id
            )));
        }
        if end > issuer.not_after_unix {
            return Err(refuse(format!(
                "It would end after its issuer \"{}\", which ends at {}; shorten validity or renew the issuer.",
                issuer.title(),
                issuer.not_after
            )));
        }
    }
    let mut serial = client.bytes(&Call::Random { size: 16 }, "Making a serial number").await?.0.0.clone();
    if let Some(first) = serial.first_mut() {
        // Positive, and always of full length.
        *first = (*first & 0x7f) | 0x40;
    }
    let template = Template {
        subject_der: who.subject_der,
        spki_der: who.spki_der.unwrap_or_else(|| spki.clone()),
        issuer: who.issuer,
        issuer_spki_der: spki,
        serial,
        not_before_unix: start - BACKDATE,
        not_after_unix: end,
        pathlen: planned.get("pathlen").and_then(Value::as_i64).and_then(|n| u8::try_from(n).ok()),
        is_ca: who.is_ca,
        scheme,
    };
    let unsigned = template.to_be_signed().map_err(|e| refuse(format!("{e}.")))?;
    let sign = Call::Sign {
        key: Bytes(who.key_id.as_bytes().to_vec()),
        scheme: match scheme {
            SignatureScheme::RsaSha256 | SignatureScheme::RsaSha384 => Scheme::RsaSha256,
            SignatureScheme::EcdsaSha256 => Scheme::EcdsaSha256,
            SignatureScheme::EcdsaSha384 => Scheme::EcdsaSha384,
        },
        data: Bytes(unsigned.bytes().to_vec()),
    };
    let signature = client.bytes(&sign, "Signing the certificate").await?;
    unsigned.assemble(&signature.0.0).map_err(|e| refuse(format!("{e}.")))
}
