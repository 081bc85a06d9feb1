//! `hsm_certificate`: a certificate stored on the token.
//!
//! The one decision: the certificate is its DER bytes; the PEM text of the configuration may be
//! spelled as it likes. What the token holds is compared by SHA-256, so storing the same one twice
//! cannot happen.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, Verdict, async_trait, schema_plan,
};
use mesh_x509::{CertificateInfo, parse_certificates};

use super::{create_or_adopt, destroy, id_problem, id_text, identity_hint, identity_of, look_up, text, written};
use crate::client::Client;
use crate::protocol::{Bytes, Call, Class, Name, Object, Usage};

pub(super) struct Certificate;

/// The one certificate of a PEM text.
fn only(pem: &str) -> Result<CertificateInfo, String> {
    let mut all = parse_certificates(pem).map_err(|e| e.to_string())?;
    match all.len() {
        1 => Ok(all.remove(0)),
        n => Err(format!("the text has {n} certificates, one is needed")),
    }
}

fn parsed(values: &Value) -> Option<CertificateInfo> {
    only(values.get_str("pem")?).ok()
}

/// The attributes that follow from the certificate.
fn facts(values: &Value, certificate: Option<&CertificateInfo>) -> Value {
    values
        .with("sha256", text(certificate.map(|c| c.sha256.as_str())))
        .with("subject", text(certificate.map(|c| c.subject.as_str())))
        .with("not_after", text(certificate.map(|c| c.not_after.as_str())))
}

fn values(object: &Object, spelled: Option<&Value>) -> Value {
    let certificate = object.der.as_ref().and_then(|der| CertificateInfo::from_der(&der.0).ok());
    // The spelling that somebody chose stays, as long as it means the same certificate.
    let spelled = spelled.filter(|s| parsed(s).map(|c| c.sha256) == object.fingerprint).and_then(|s| s.get_str("pem"));
    let pem = match (spelled, &certificate) {
        (Some(pem), _) => Value::string(pem),
        (None, Some(certificate)) => Value::string(certificate.pem()),
        (None, None) => Value::null(Type::String),
    };
    let values = Value::object([
        ("id", id_text(object)),
        ("label", Value::string(object.label.as_str())),
        ("pem", pem),
        ("sha256", Value::NULL),
        ("subject", Value::NULL),
        ("not_after", Value::NULL),
    ]);
    facts(&values, certificate.as_ref())
}

impl Rules for Certificate {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let pem = config.get_str("pem").and_then(|pem| only(pem).err()).map(|why| Problem::at("pem", why));
        id_problem(config).into_iter().chain(pem).collect()
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        identity_hint(Class::Certificate, planned)
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let configured = parsed(request.desired);
        let same = configured
            .as_ref()
            .is_some_and(|c| request.observed.and_then(|o| o.get_str("sha256")).is_some_and(|seen| seen == c.sha256));
        let observed = request.observed.map(|o| match request.desired.get("pem") {
            Some(pem) if same => o.with("pem", pem.clone()),
            _ => o.clone(),
        });
        let mut response = schema_plan(&PlanRequest { observed: observed.as_ref(), ..*request });
        if matches!(response.verdict, Verdict::Create | Verdict::Replace(_))
            && let Some(certificate) = &configured
        {
            response.after = facts(&response.after, Some(certificate));
            if request.desired.get_str("label").is_none() && request.desired.get("label").is_none_or(Value::is_null) {
                response.after = response.after.with("label", Value::string(certificate.subject.as_str()));
            }
        }
        response
    }
}

/// Gives an existing certificate the planned label.
async fn relabel(client: &Client, object: Object, planned: &Value) -> Result<Object, Outcome> {
    match planned.get_str("label") {
        Some(label) if label != object.label => {
            let name = Name { class: Class::Certificate, id: object.id, fingerprint: object.fingerprint };
            let call = Call::Update { name, label: Some(label.to_owned()), usage: Usage::default() };
            written(client, call, "Changing the label").await
        }
        _ => Ok(object),
    }
}

#[async_trait]
impl Resource<Client> for Certificate {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "hsm_certificate",
            version: 0,
            doc: "A certificate on the token, such as the root that istiod's chain must lead to. What `import-ca` of \
                  k8s-kms-plugin stores, without its duplicates.",
            example: "resource \"hsm_certificate\" \"root\" {\n  id  = \"1c3d30d5-dfa8-4167-a9f9-2c768464181b\"\n  pem = \
                      file(\"root.pem\")\n}\n",
            schema: Schema::of([
                Attribute::required("id", Type::String, "The text whose ASCII bytes are the CKA_ID.").force_new(),
                Attribute::required("pem", Type::String, "The certificate, one PEM block.").force_new(),
                Attribute::optional_computed("label", Type::String, "The CKA_LABEL; default is the subject."),
                Attribute::computed("sha256", Type::String, "SHA-256 of the DER bytes, hexadecimal."),
                Attribute::computed("subject", Type::String, "The subject, `CN=...,O=...`."),
                Attribute::computed("not_after", Type::String, "When it ends, RFC 3339 in UTC."),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let found = look_up(client, Class::Certificate, requests).await;
        let answer = |(found, request): (Result<Option<Object>, ProviderError>, &ObserveRequest)| {
            Ok(match found? {
                None => Observation::Absent,
                Some(object) => Observation::Present(Observed::new(
                    values(&object, request.saved.as_ref()),
                    identity_of(Class::Certificate, &object.id.0),
                )),
            })
        };
        found.into_iter().zip(requests).map(answer).collect()
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let certificate = match only(planned.get_str("pem").unwrap_or_default()) {
            Ok(certificate) => certificate,
            Err(why) => return Outcome::rejected(super::invalid_pem("pem", &why)),
        };
        let make = Call::CreateCertificate {
            id: Bytes(planned.get_str("id").unwrap_or_default().as_bytes().to_vec()),
            label: planned.get_str("label").unwrap_or(&certificate.subject).to_owned(),
            subject: Bytes(certificate.subject_der.clone()),
            issuer: Bytes(certificate.issuer_der.clone()),
            serial: Bytes(certificate.serial_der.clone()),
            der: Bytes(certificate.der.clone()),
        };
        let object = match create_or_adopt(client, Class::Certificate, request, make).await {
            Ok((object, true)) => Ok(object),
            Ok((object, false)) if object.fingerprint.as_ref() != Some(&certificate.sha256) => Err(Outcome::rejected(
                super::unfit(&object, &format!("the certificate with sha256 {}", certificate.sha256)),
            )),
            Ok((object, false)) => relabel(client, object, &planned).await,
            Err(outcome) => Err(outcome),
        };
        match object {
            Ok(o) => Outcome::applied(values(&o, Some(&planned)), identity_of(Class::Certificate, &o.id.0)),
            Err(outcome) => outcome,
        }
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let before = request.before.clone().unwrap_or(Value::NULL);
        let call = Call::Update {
            name: Name {
                class: Class::Certificate,
                id: Bytes(planned.get_str("id").unwrap_or_default().as_bytes().to_vec()),
                fingerprint: before.get_str("sha256").map(str::to_owned),
            },
            label: planned.get_str("label").map(str::to_owned),
            usage: Usage::default(),
        };
        match written(client, call, "Changing the label").await {
            Ok(o) => Outcome::applied(values(&o, Some(&planned)), identity_of(Class::Certificate, &o.id.0)),
            Err(outcome) => outcome,
        }
    }

    async fn delete(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let fingerprint = request.before.as_ref().and_then(|b| b.get_str("sha256"));
        destroy(client, Class::Certificate, request, fingerprint).await
    }
}
