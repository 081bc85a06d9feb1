//! What both versions of KV share: addressing, checks, and how secrets are marked.
//!
//! The one decision: each value of `data` is sensitive by itself, so that a plan names the keys that change and state
//! has one fingerprint a key, while no value is shown. Whether a mount is version 1 or 2 is asked, never guessed.

use mesh_model::{Attribute, Fields, Type, Value};
use mesh_sdk::{ErrorKind, Problem};
use serde_json::{Map, Value as Json, json};

use crate::client::Client;
use crate::failure::Failure;
use crate::names;

/// The attributes for what a secret holds.
pub(super) fn content() -> [Attribute; 3] {
    [
        Attribute::optional("data", Type::map(Type::String), "Keys and values; every value is sensitive. Either this or `data_wo`."),
        Attribute::optional(
            "data_wo",
            Type::map(Type::String),
            "Keys and values that only Vault keeps: they may be ephemeral, and what Vault holds is not compared. A new value is seen by its fingerprint, except where it comes from an ephemeral block: there a new `data_wo_version` writes it again.",
        )
        .write_only(),
        Attribute::optional(VERSION, Type::Number, "Any number; a new one writes `data_wo` again."),
    ]
}

/// What tells that `data_wo` is to be written again.
pub(super) const VERSION: &str = "data_wo_version";

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = names::check(config, &["mount", "name"], &[]);
    let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
    match (given("data"), given("data_wo")) {
        (true, true) => problems.push(Problem::at("data_wo", "Give either data or data_wo, not both.")),
        (false, false) => problems.push(Problem::at("data", "A secret has data, or data_wo.")),
        _ => {}
    }
    for name in ["data", "data_wo"] {
        if config.get(name).and_then(Value::as_fields).is_some_and(mesh_model::Fields::is_empty) {
            problems.push(Problem::at(name, "A secret has at least one key."));
        }
    }
    problems
}

/// What Terraform remembers of the content. It keeps it as JSON and as a map, or, with `data_json_wo`, not at all.
pub(super) fn foreign(attributes: &Value) -> Value {
    let kept = ["data", "data_json"].iter().any(|n| attributes.get(n).is_some_and(|v| !v.is_null()));
    // Only whether there is any is asked: the content comes from Vault.
    let data = if kept { Value::map(Type::String, Fields::from_sorted(Vec::new())) } else { Value::NULL };
    ["data_json", "path", "metadata"].iter().fold(attributes.with("data", data), |v, name| v.with(name, Value::NULL))
}

/// What may be known of the content: nothing where only Vault keeps it.
pub(super) fn known(json: &Json, hint: Option<&Value>) -> Value {
    let hidden = hint.and_then(|h| h.get("data")).is_some_and(Value::is_null);
    if hidden { Value::null(Type::map(Type::String)) } else { data(json) }
}

/// Every value of `data` sensitive.
pub(super) fn mark(values: Value) -> Value {
    match values.get("data") {
        Some(data) if data.as_fields().is_some() => {
            let marked = data.map_children(&|v| v.clone().sensitive());
            values.with("data", marked)
        }
        _ => values,
    }
}

/// The JSON of `data`, or of `data_wo`.
pub(super) fn body(values: &Value) -> Json {
    let content = values.get("data").filter(|d| !d.is_null()).or_else(|| values.get("data_wo"));
    let fields = content.and_then(Value::as_fields).into_iter().flat_map(|f| f.iter());
    Json::Object(fields.map(|(k, v)| (k.to_string(), json!(v.as_str().unwrap_or_default()))).collect::<Map<_, _>>())
}

/// `data` from JSON; what is no text is given as its JSON.
fn data(json: &Json) -> Value {
    let text = |v: &Json| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let fields = json.as_object().into_iter().flatten();
    Value::map(Type::String, fields.map(|(k, v)| (k.as_str(), Value::string(text(v)).sensitive())).collect())
}

/// The mount of a path: from known values, else from Vault.
pub(super) async fn mount_of(client: &Client, path: &str, hint: Option<&Value>) -> Result<String, Failure> {
    if let Some(mount) = hint.and_then(|h| h.get_str("mount")).filter(|m| path.starts_with(&format!("{m}/"))) {
        return Ok(mount.to_owned());
    }
    let found = client.read(&format!("sys/internal/ui/mounts/{path}")).await?;
    let mount = found.as_ref().and_then(|d| d["path"].as_str()).unwrap_or_default().trim_end_matches('/');
    if mount.is_empty() {
        return Err(Failure::new(
            ErrorKind::Missing,
            "There is no mount at this path",
            format!("No KV mount holds {path:?}."),
        ));
    }
    Ok(mount.to_owned())
}

/// The version of the KV mount at `mount`; `None` where Vault does not tell. Works with any token that may use it.
pub(crate) async fn version(client: &Client, mount: &str) -> Result<Option<u8>, Failure> {
    let path = format!("sys/internal/ui/mounts/{mount}");
    let ask = async {
        match client.read(&path).await {
            Ok(Some(data)) => Ok(match data["options"]["version"].as_str() {
                Some("2") => Some(2),
                _ => Some(1),
            }),
            Ok(None) => Ok(None),
            Err(failure) if failure.status == Some(403) => Ok(None),
            Err(failure) => Err(failure),
        }
    };
    client.versions.read(mount, ask, |v| *v).await
}

/// Fails when the mount is known to have another version.
pub(super) async fn expect(client: &Client, mount: &str, wanted: u8) -> Result<(), Failure> {
    let other = match (version(client, mount).await?, wanted) {
        (Some(1), 2) => "vault_kv_secret",
        (Some(2), 1) => "vault_kv_secret_v2",
        _ => return Ok(()),
    };
    Err(Failure::new(
        ErrorKind::Invalid,
        "The KV mount has another version",
        format!(
            "The mount {mount:?} is not KV version {wanted}: use the type {other}, or set version = \"{wanted}\" on the mount."
        ),
    ))
}
