//! The resource types, and what they share: identity, look-up and create-or-adopt.
//!
//! The one decision: an object is named by its class and CKA_ID; more than one object of that name
//! is an error that lists them, whatever is to be done, since tokens allow it and nobody can say
//! which one others will find.

mod ca_certificate;
mod certificate;
mod key_pair;
mod secret_key;
mod signed_certificate;
mod signing;

use std::collections::BTreeMap;

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, Path, Type, Value};
use mesh_sdk::{
    ErrorKind, IdentityHint, ObserveRequest, OnExisting, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Verdict, schema_plan,
};

use crate::client::Client;
use crate::protocol::{Bytes, Call, Class, Name, Object, Reply};

/// One row per type.
pub(crate) fn all() -> Vec<Box<dyn Resource<Client>>> {
    vec![
        Box::new(ca_certificate::CaCertificate),
        Box::new(certificate::Certificate),
        Box::new(key_pair::KeyPair),
        Box::new(secret_key::SecretKey),
        Box::new(signed_certificate::SignedCertificate),
    ]
}

/// The id text as the bytes of CKA_ID, and back.
fn id_problem(config: &Value) -> Option<Problem> {
    let id = config.get_str("id")?;
    let fine = !id.is_empty() && id.len() <= 255 && id.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    (!fine).then(|| Problem::at("id", "must be 1 to 255 printable ASCII characters, such as a UUID"))
}

fn identity_of(class: Class, id: &[u8]) -> Identity {
    Identity(format!("{} id={}", class.word(), mesh_x509::hex(id)).into())
}

fn identity_hint(class: Class, planned: &Value) -> IdentityHint {
    match planned.get_str("id") {
        Some(id) => IdentityHint::Known(identity_of(class, id.as_bytes())),
        None => IdentityHint::Unknown,
    }
}

fn id_bytes(identity: Option<&Identity>, values: Option<&Value>) -> Option<Vec<u8>> {
    if let Some((_, hex)) = identity.and_then(|i| i.0.rsplit_once("id=")) {
        let pair = |i: usize| hex.get(i..i + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
        return (0..hex.len()).step_by(2).map(pair).collect();
    }
    values.and_then(|v| v.get_str("id")).map(|id| id.as_bytes().to_vec())
}

fn id_text(object: &Object) -> Value {
    Value::string(String::from_utf8_lossy(&object.id.0))
}

fn flag(value: Option<bool>) -> Value {
    value.map_or_else(|| Value::null(Type::Bool), Value::bool)
}

fn text(value: Option<&str>) -> Value {
    value.map_or_else(|| Value::null(Type::String), Value::string)
}

/// The values of an update or create: what a planned flag asks for.
fn asked(values: &Value, name: &str) -> Option<bool> {
    values.get(name).and_then(Value::as_bool)
}

fn several(class: Class, objects: &[Object]) -> ProviderError {
    let list: Vec<String> = objects
        .iter()
        .map(|o| format!("label \"{}\", fingerprint {}", o.label, o.fingerprint.as_deref().unwrap_or("unknown")))
        .collect();
    ProviderError::new(
        ErrorKind::Conflict,
        "Several objects on the token have this id",
        format!(
            "{} objects of class {} have the id \"{}\": {}. Tokens allow that, but it is not defined which one others \
             find. Find out which one is in use and delete or relabel the others (pkcs11-tool --list-objects --login).",
            objects.len(),
            class.word(),
            objects.first().map_or_else(String::new, |o| String::from_utf8_lossy(&o.id.0).into_owned()),
            list.join("; ")
        ),
    )
}

/// Looks up one object for each request: with one search for all where there are several.
async fn look_up(
    client: &Client,
    class: Class,
    requests: &[ObserveRequest],
) -> Vec<Result<Option<Object>, ProviderError>> {
    let ids: Vec<Option<Vec<u8>>> =
        requests.iter().map(|r| id_bytes(r.identity.as_ref(), r.desired.as_ref().or(r.saved.as_ref()))).collect();
    let only = if let [Some(id)] = ids.as_slice() { Some(id.as_slice()) } else { None };
    let found = match client.find(class, only).await {
        Ok(found) => found,
        Err(e) => return requests.iter().map(|_| Err(e.clone())).collect(),
    };
    let mut by_id: BTreeMap<Vec<u8>, Vec<Object>> = BTreeMap::new();
    for object in found {
        by_id.entry(object.id.0.clone()).or_default().push(object);
    }
    ids.iter()
        .map(|id| match id.as_ref().and_then(|id| by_id.get(id)).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([one]) => Ok(Some(one.clone())),
            Some(objects) => Err(several(class, objects)),
        })
        .collect()
}

/// Makes an object unless one of that name exists; gives the one that is there to be adopted.
async fn create_or_adopt(
    client: &Client,
    class: Class,
    request: &OperationRequest,
    make: Call,
) -> Result<(Object, bool), Outcome> {
    let id = id_bytes(request.identity.as_ref(), request.after.as_ref()).unwrap_or_default();
    let found = client.find(class, Some(&id)).await.map_err(Outcome::rejected)?;
    match found.as_slice() {
        [] => written(client, make, "Creating").await.map(|o| (o, true)),
        [one] if request.on_existing == OnExisting::Adopt => Ok((one.clone(), false)),
        [one] => Err(Outcome::rejected(ProviderError::new(
            ErrorKind::Conflict,
            "The object exists already",
            format!(
                "The token has a {} with the id \"{}\" (label \"{}\", fingerprint {}) that is not ours. Import it, or \
                 set on_existing = \"adopt\".",
                class.word(),
                String::from_utf8_lossy(&one.id.0),
                one.label,
                one.fingerprint.as_deref().unwrap_or("unknown"),
            ),
        ))),
        objects => Err(Outcome::rejected(several(class, objects))),
    }
}

/// A call that answers with the object as it is now.
async fn written(client: &Client, call: Call, what: &'static str) -> Result<Object, Outcome> {
    match client.call(&call).await {
        Ok(Reply::Objects(mut objects)) if objects.len() == 1 => Ok(objects.remove(0)),
        Ok(_) => Err(crate::failure::CallError::odd().outcome(what)),
        Err(e) => Err(e.outcome(what)),
    }
}

/// Destroys what was observed, and nothing else that took its name since.
async fn destroy(client: &Client, class: Class, request: &OperationRequest, fingerprint: Option<&str>) -> Outcome {
    let Some(id) = id_bytes(request.identity.as_ref(), request.before.as_ref()) else { return Outcome::deleted() };
    let name = Name { class, id: Bytes(id), fingerprint: fingerprint.map(str::to_owned) };
    match client.call(&Call::Destroy { name }).await {
        Ok(_) => Outcome::deleted(),
        Err(e) => e.outcome("Destroying"),
    }
}

/// The usual rules, and one more: another key behind the same id, told by the fingerprint in `attribute`, is
/// never taken for the old one. It is planned as a replace, which protection stops; `note` says what was
/// remembered and what is seen.
fn plan_of_key(
    request: &PlanRequest<'_>,
    attribute: &'static str,
    note: impl FnOnce(&str, &str) -> String,
) -> PlanResponse {
    let mut response = schema_plan(request);
    let remembered = request.saved.and_then(|s| s.get_str(attribute));
    let seen = request.observed.and_then(|o| o.get_str(attribute));
    if let (Some(remembered), Some(seen)) = (remembered, seen)
        && remembered != seen
    {
        response.verdict = Verdict::Replace(vec![Path::attribute(attribute)]);
        response.after = schema_plan(&PlanRequest { observed: None, ..*request }).after;
        response.notes.push(note(remembered, seen));
    }
    response
}

/// What a token says about the life of a key; see [`evidence_of`].
fn evidence() -> [Attribute; 5] {
    [
        Attribute::computed("sensitive", Type::Bool, "Whether the token never shows it in clear."),
        Attribute::computed("extractable", Type::Bool, "Whether it can leave the token wrapped."),
        Attribute::computed("local", Type::Bool, "Whether the token made it."),
        Attribute::computed("always_sensitive", Type::Bool, "Whether it was sensitive all its life."),
        Attribute::computed("never_extractable", Type::Bool, "Whether it never was extractable."),
    ]
}

/// The values of [`evidence`].
fn evidence_of(object: &Object) -> [(&'static str, Value); 5] {
    [
        ("sensitive", flag(object.sensitive)),
        ("extractable", flag(object.extractable)),
        ("local", flag(object.local)),
        ("always_sensitive", flag(object.always_sensitive)),
        ("never_extractable", flag(object.never_extractable)),
    ]
}

/// An object that cannot be adopted.
fn unfit(object: &Object, wanted: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Conflict,
        "The existing object cannot be adopted",
        format!(
            "Wanted is {wanted}; under the id \"{}\" the token has a {} of {} bytes or bits with the label \"{}\". \
             Choose another id, or describe what is there.",
            String::from_utf8_lossy(&object.id.0),
            if object.key_type.is_empty() { object.class.word() } else { &object.key_type },
            object.size.map_or_else(|| "an unknown number".to_owned(), |n| n.to_string()),
            object.label
        ),
    )
}

fn gone(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Missing,
        "The object is gone",
        format!("The {what} vanished between the look and the change. Plan again."),
    )
}

fn invalid_pem(attribute: &'static str, why: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The PEM text is not what is needed", format!("{attribute}: {why}."))
        .at(attribute)
}

/// The update of an object of state: the planned values are the new ones.
fn kept(request: &OperationRequest) -> Outcome {
    match (&request.after, &request.identity) {
        (Some(after), Some(identity)) => Outcome::applied(after.clone(), identity.clone()),
        _ => Outcome::rejected(gone("certificate")),
    }
}
