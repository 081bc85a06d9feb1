//! `hsm_key_pair`: a private key that never leaves the token, with its public half.
//!
//! The one decision: the pair is one object, named by the private key; it signs and does nothing
//! else. Another key behind the same id is never repaired, see `hsm_secret_key`.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, async_trait,
};

use super::{
    create_or_adopt, destroy, evidence, evidence_of, id_problem, id_text, identity_hint, identity_of, look_up,
    plan_of_key, text, written,
};
use crate::client::Client;
use crate::protocol::{Bytes, Call, Class, Name, Object, PairKind, Usage};

const KINDS: [(&str, PairKind); 5] = [
    ("rsa-2048", PairKind::Rsa(2048)),
    ("rsa-3072", PairKind::Rsa(3072)),
    ("rsa-4096", PairKind::Rsa(4096)),
    ("ec-p256", PairKind::P256),
    ("ec-p384", PairKind::P384),
];

pub(super) struct KeyPair;

fn kind(values: &Value) -> Option<PairKind> {
    KINDS.iter().find(|(name, _)| values.get_str("algorithm") == Some(name)).map(|(_, kind)| *kind)
}

/// The word for what is on the token.
fn algorithm(object: &Object) -> String {
    let curve = |spki: &[u8]| match mesh_x509::SignatureScheme::of_key(spki) {
        Some(mesh_x509::SignatureScheme::EcdsaSha256) => "ec-p256",
        Some(mesh_x509::SignatureScheme::EcdsaSha384) => "ec-p384",
        _ => "ec",
    };
    match (object.key_type.as_str(), object.size, &object.der) {
        ("RSA", Some(bits), _) => format!("rsa-{bits}"),
        ("EC", _, Some(spki)) => curve(&spki.0).to_owned(),
        (other, ..) => other.to_lowercase(),
    }
}

fn values(object: &Object) -> Value {
    let pem = object.der.as_ref().map(|spki| mesh_x509::pem::encode("PUBLIC KEY", &spki.0));
    let own = [
        ("id", id_text(object)),
        ("label", Value::string(object.label.as_str())),
        ("algorithm", Value::string(algorithm(object))),
        ("public_key_pem", text(pem.as_deref())),
        ("spki_sha256", text(object.fingerprint.as_deref())),
    ];
    Value::object(own.into_iter().chain(evidence_of(object)))
}

fn applied(object: &Object) -> Outcome {
    Outcome::applied(values(object), identity_of(Class::KeyPair, &object.id.0))
}

async fn relabel(client: &Client, name: Name, label: &str) -> Result<Object, Outcome> {
    let call = Call::Update { name, label: Some(label.to_owned()), usage: Usage::default() };
    written(client, call, "Changing the label").await
}

impl Rules for KeyPair {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let algorithm = config
            .get_str("algorithm")
            .filter(|name| !names.contains(name))
            .map(|name| Problem::at("algorithm", format!("{name:?} is none of {}", names.join(", "))));
        id_problem(config).into_iter().chain(algorithm).collect()
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        identity_hint(Class::KeyPair, planned)
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        plan_of_key(request, "spki_sha256", |remembered, seen| {
            format!(
                "Another key pair stands under this id: the SHA-256 of its public key was {remembered} and is {seen}."
            )
        })
    }
}

#[async_trait]
impl Resource<Client> for KeyPair {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "hsm_key_pair",
            version: 0,
            doc: "A key pair for signing, made by the token; the private key is sensitive and not extractable. \
                  Protected, since a destroyed key never comes back.",
            example: "resource \"hsm_key_pair\" \"root\" {\n  id        = \"mesh-root-2026\"\n  label     = \"mesh \
                      root\"\n  algorithm = \"ec-p384\"\n}\n",
            schema: Schema::of(
                [
                    Attribute::required(
                        "id",
                        Type::String,
                        "The text whose ASCII bytes are the CKA_ID of both halves.",
                    )
                    .force_new(),
                    Attribute::required("label", Type::String, "The CKA_LABEL of both halves."),
                    Attribute::required(
                        "algorithm",
                        Type::String,
                        "`rsa-2048`, `rsa-3072`, `rsa-4096`, `ec-p256` or `ec-p384`.",
                    )
                    .force_new(),
                    Attribute::computed("public_key_pem", Type::String, "The public key as PEM."),
                    Attribute::computed("spki_sha256", Type::String, "SHA-256 of the public key, hexadecimal."),
                ]
                .into_iter()
                .chain(evidence()),
            ),
            protected: true,
        }
    }

    async fn observe(&self, client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let found = look_up(client, Class::KeyPair, requests).await;
        let answer = |found: Result<Option<Object>, ProviderError>| {
            Ok(match found? {
                None => Observation::Absent,
                Some(object) => {
                    Observation::Present(Observed::new(values(&object), identity_of(Class::KeyPair, &object.id.0)))
                }
            })
        };
        found.into_iter().map(answer).collect()
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let (Some(kind), Some(label)) = (kind(&planned), planned.get_str("label")) else {
            return Outcome::rejected(super::invalid_pem("algorithm", "it is not known"));
        };
        let id = Bytes(planned.get_str("id").unwrap_or_default().as_bytes().to_vec());
        let make = Call::GenerateKeyPair { id, label: label.to_owned(), kind };
        let object = match create_or_adopt(client, Class::KeyPair, request, make).await {
            Ok((object, true)) => return applied(&object),
            Ok((object, false)) => object,
            Err(outcome) => return outcome,
        };
        let wanted = planned.get_str("algorithm").unwrap_or_default();
        if algorithm(&object) != wanted {
            return Outcome::rejected(super::unfit(&object, &format!("a key pair {wanted}")));
        }
        if object.label == label {
            return applied(&object);
        }
        let name = Name { class: Class::KeyPair, id: object.id.clone(), fingerprint: object.fingerprint.clone() };
        relabel(client, name, label).await.map_or_else(|outcome| outcome, |o| applied(&o))
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let name = Name {
            class: Class::KeyPair,
            id: Bytes(planned.get_str("id").unwrap_or_default().as_bytes().to_vec()),
            fingerprint: request.before.as_ref().and_then(|b| b.get_str("spki_sha256")).map(str::to_owned),
        };
        let label = planned.get_str("label").unwrap_or_default();
        relabel(client, name, label).await.map_or_else(|outcome| outcome, |o| applied(&o))
    }

    async fn delete(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let fingerprint = request.before.as_ref().and_then(|b| b.get_str("spki_sha256"));
        destroy(client, Class::KeyPair, request, fingerprint).await
    }
}
