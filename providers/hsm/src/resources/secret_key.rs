//! `hsm_secret_key`: an AES key that never leaves the token.
//!
//! The one decision: the defaults are the key that k8s-kms-plugin makes (AES-256, its label, encrypt
//! and decrypt), so that a KEK made here serves istiod's HSM plugin and one made there can be
//! adopted. A key that changed behind its id is never repaired: it is planned as a replacement, which
//! the protection of the type stops.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, async_trait,
};

use super::{
    asked, create_or_adopt, destroy, evidence, evidence_of, flag, id_problem, id_text, identity_hint, identity_of,
    look_up, plan_of_key, text, written,
};
use crate::client::Client;
use crate::protocol::{Bytes, Call, Class, Name, Object, Usage};

const KMS_PROFILE: &str = "k8s-kms-plugin";
const KMS_LABEL: &str = "k8s-kms-plugin-kek";
const FLAGS: [&str; 4] = ["encrypt", "decrypt", "wrap", "unwrap"];

pub(super) struct SecretKey;

impl Rules for SecretKey {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems: Vec<Problem> = id_problem(config).into_iter().collect();
        if let Some(size) = config.get("size").and_then(Value::as_i64)
            && !matches!(size, 16 | 24 | 32)
        {
            problems.push(Problem::at("size", "must be 16, 24 or 32 bytes (AES-128, -192, -256)"));
        }
        match config.get_str("profile") {
            None => {}
            Some(KMS_PROFILE) => {
                if config.get_str("label").is_some_and(|l| l != KMS_LABEL) {
                    problems
                        .push(Problem::at("label", format!("the profile {KMS_PROFILE} needs the label {KMS_LABEL}")));
                }
                if config.get("size").and_then(Value::as_i64).is_some_and(|s| s != 32) {
                    problems.push(Problem::at("size", format!("the profile {KMS_PROFILE} needs 32 bytes")));
                }
                for name in ["encrypt", "decrypt"] {
                    if asked(config, name) == Some(false) {
                        problems.push(Problem::at(name, format!("the profile {KMS_PROFILE} needs {name} = true")));
                    }
                }
            }
            Some(other) => problems.push(Problem::at("profile", format!("{other:?} is not {KMS_PROFILE:?}"))),
        }
        problems
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        identity_hint(Class::SecretKey, planned)
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        plan_of_key(request, "check_value", |remembered, seen| {
            format!(
                "Another key stands under this id: its check value was {remembered} and is {seen}. What the old key \
                 encrypted cannot be read any more."
            )
        })
    }
}

fn values(object: &Object, request_profile: Value) -> Value {
    let own = [
        ("id", id_text(object)),
        ("label", Value::string(object.label.as_str())),
        ("profile", request_profile),
        ("size", object.size.and_then(|n| i64::try_from(n).ok()).map_or(Value::null(Type::Number), Value::number)),
        ("encrypt", flag(object.usage.encrypt)),
        ("decrypt", flag(object.usage.decrypt)),
        ("wrap", flag(object.usage.wrap)),
        ("unwrap", flag(object.usage.unwrap)),
        ("key_type", Value::string(object.key_type.as_str())),
        ("check_value", text(object.fingerprint.as_deref())),
    ];
    Value::object(own.into_iter().chain(evidence_of(object)))
}

/// What the reader of a plan should know about a key that we did not make as we make them.
fn notes(object: &Object) -> Vec<String> {
    let mut notes = Vec::new();
    if object.local == Some(false) {
        notes.push("The key was not made on the token but brought in: copies of it may exist.".to_owned());
    }
    if object.extractable == Some(true) || object.sensitive == Some(false) {
        notes.push("The key can be taken out of the token (extractable, or not sensitive).".to_owned());
    }
    notes
}

/// Nothing on the token says which profile was asked for.
fn profile(desired: Option<&Value>, saved: Option<&Value>) -> Value {
    desired.or(saved).and_then(|v| v.get("profile")).cloned().unwrap_or_else(|| Value::null(Type::String))
}

fn usage(values: &Value) -> Usage {
    let [encrypt, decrypt, wrap, unwrap] = FLAGS.map(|name| asked(values, name));
    Usage { encrypt, decrypt, wrap, unwrap }
}

/// Brings label and usage of an existing key to what is planned: only what differs is sent.
async fn align(client: &Client, object: &Object, planned: &Value) -> Result<Object, Outcome> {
    let differs = |want: Option<bool>, have: Option<bool>| want.filter(|_| want != have);
    let (want, have) = (usage(planned), object.usage);
    let change = Usage {
        encrypt: differs(want.encrypt, have.encrypt),
        decrypt: differs(want.decrypt, have.decrypt),
        wrap: differs(want.wrap, have.wrap),
        unwrap: differs(want.unwrap, have.unwrap),
    };
    let label = planned.get_str("label").filter(|l| *l != object.label).map(str::to_owned);
    if label.is_none() && change == Usage::default() {
        return Ok(object.clone());
    }
    let name = Name { class: Class::SecretKey, id: object.id.clone(), fingerprint: object.fingerprint.clone() };
    written(client, Call::Update { name, label, usage: change }, "Changing the key").await
}

#[async_trait]
impl Resource<Client> for SecretKey {
    fn schema(&self) -> ResourceSchema {
        let on_off = |name, doc| Attribute::optional(name, Type::Bool, doc).default(Value::bool(true));
        ResourceSchema {
            name: "hsm_secret_key",
            version: 0,
            doc: "An AES key on the token: sensitive, not extractable, made by the token itself. With the defaults it \
                  is a key encryption key (KEK) as k8s-kms-plugin makes them. Destroying it makes everything that it \
                  encrypted unreadable, so it is protected.",
            example: "resource \"hsm_secret_key\" \"kek\" {\n  id = \"a37807cd-6d1a-4d75-813a-e120f30176f7\"\n}\n",
            schema: Schema::of([
                Attribute::required(
                    "id",
                    Type::String,
                    "The text whose ASCII bytes are the CKA_ID, usually a UUID; `uuidv5(\"dns\", \"kek.c1.example.com\")` \
                     gives one that stays the same.",
                )
                .force_new(),
                Attribute::optional("label", Type::String, "The CKA_LABEL; default `k8s-kms-plugin-kek`, which its users look for.")
                    .default(Value::string(KMS_LABEL)),
                Attribute::optional(
                    "profile",
                    Type::String,
                    "`k8s-kms-plugin` makes sure that label, size and usage are what that plugin needs.",
                ),
                Attribute::optional("size", Type::Number, "Bytes of the key: 16, 24 or 32 (default).")
                    .default(Value::number(32))
                    .force_new(),
                on_off("encrypt", "Whether it may encrypt; default true."),
                on_off("decrypt", "Whether it may decrypt; default true."),
                Attribute::optional_computed("wrap", Type::Bool, "Whether it may wrap other keys; a new key may not unless asked."),
                Attribute::optional_computed("unwrap", Type::Bool, "Whether it may unwrap other keys; a new key may not unless asked."),
                Attribute::computed("key_type", Type::String, "`AES`."),
                Attribute::computed("check_value", Type::String, "Key check value (KCV), hexadecimal: tells keys apart."),
            ].into_iter().chain(evidence())),
            protected: true,
        }
    }

    async fn observe(&self, client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let found = look_up(client, Class::SecretKey, requests).await;
        let answer = |(found, request): (Result<Option<Object>, ProviderError>, &ObserveRequest)| {
            Ok(match found? {
                None => Observation::Absent,
                Some(object) => Observation::Present(Observed {
                    notes: notes(&object),
                    ..Observed::new(
                        values(&object, profile(request.desired.as_ref(), request.saved.as_ref())),
                        identity_of(Class::SecretKey, &object.id.0),
                    )
                }),
            })
        };
        found.into_iter().zip(requests).map(answer).collect()
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let size = planned.get("size").and_then(Value::as_i64).and_then(|n| u32::try_from(n).ok()).unwrap_or(32);
        let make = Call::GenerateSecretKey {
            id: Bytes(planned.get_str("id").unwrap_or_default().as_bytes().to_vec()),
            label: planned.get_str("label").unwrap_or(KMS_LABEL).to_owned(),
            size,
            usage: usage(&planned),
        };
        let object = match create_or_adopt(client, Class::SecretKey, request, make).await {
            Ok((object, true)) => object,
            Ok((object, false)) => {
                if object.key_type != "AES" || object.size != Some(u64::from(size)) {
                    return Outcome::rejected(super::unfit(&object, &format!("an AES key of {size} bytes")));
                }
                match align(client, &object, &planned).await {
                    Ok(object) => object,
                    Err(outcome) => return outcome,
                }
            }
            Err(outcome) => return outcome,
        };
        Outcome::applied(values(&object, profile(Some(&planned), None)), identity_of(Class::SecretKey, &object.id.0))
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let before = request.before.clone().unwrap_or(Value::NULL);
        let observed = Object {
            class: Class::SecretKey,
            id: Bytes(planned.get_str("id").unwrap_or_default().as_bytes().to_vec()),
            label: before.get_str("label").unwrap_or_default().to_owned(),
            usage: usage(&before),
            fingerprint: before.get_str("check_value").map(str::to_owned),
            ..Object::empty(Class::SecretKey)
        };
        let aligned = match align(client, &observed, &planned).await {
            Ok(object) if !object.key_type.is_empty() => Ok(vec![object]),
            // Nothing was sent: what is there is read, for the answer.
            Ok(_) => client.find(Class::SecretKey, Some(&observed.id.0)).await.map_err(Outcome::rejected),
            Err(outcome) => Err(outcome),
        };
        match aligned.map(|mut objects| objects.pop()) {
            Ok(Some(object)) => Outcome::applied(
                values(&object, profile(Some(&planned), None)),
                identity_of(Class::SecretKey, &object.id.0),
            ),
            Ok(None) => Outcome::rejected(super::gone("secret key")),
            Err(outcome) => outcome,
        }
    }

    async fn delete(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let fingerprint = request.before.as_ref().and_then(|b| b.get_str("check_value"));
        destroy(client, Class::SecretKey, request, fingerprint).await
    }
}
