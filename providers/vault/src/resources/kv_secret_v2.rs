//! `vault_kv_secret_v2`: a secret in a KV mount of version 2.
//!
//! The one decision: every write is conditional (`cas`): a create on there being no version, an update on the version
//! that the plan has seen; so nobody's newer value is overwritten. A secret whose newest version is deleted counts as
//! absent. Deleting removes all versions and the metadata.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{ErrorKind, Foreign, Problem, async_trait};
use serde_json::{Map, Value as Json, json};

use super::kv;
use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::kind::{Kind, exists, text, text_map};
use crate::wire::Method;

pub(crate) struct KvSecretV2;

#[async_trait]
impl Kind for KvSecretV2 {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_kv_secret_v2",
            version: 0,
            doc: "A secret in a KV mount of version 2. State keeps fingerprints of its values only. Deleting it removes all its versions.\n\nNeeds `create`, `update` and `read` on `<mount>/data/<name>`, `create`, `update`, `delete` on `<mount>/metadata/<name>`; with `list` on the folder around it (below `<mount>/metadata/`) new secrets are looked up with one call.",
            example: "resource \"vault_kv_secret_v2\" \"app\" {\n  mount = \"apps\"\n  name  = \"mesh/app\"\n  data  = { password = \"from a variable\" }\n}\n",
            schema: Schema::of(kv::content().into_iter().chain([
                Attribute::required("mount", Type::String, "Path of the mount.").force_new(),
                Attribute::required("name", Type::String, "Path inside the mount, without `data/`.").force_new(),
                Attribute::optional(
                    "custom_metadata",
                    Type::map(Type::String),
                    "Text about the secret, not secret itself.",
                ),
                Attribute::computed("version", Type::Number, "The newest version.").volatile(),
            ])),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        kv::validate(config)
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("{}/data/{}", values.get_str("mount")?, values.get_str("name")?))
    }

    /// In Terraform's type, custom metadata is a block that holds settings, too.
    fn foreign(&self, attributes: Value) -> Foreign {
        Foreign::of(kv::foreign(&attributes).with("custom_metadata", Value::NULL))
    }

    fn same(&self, attribute: &str, a: &Value, b: &Value) -> bool {
        let none = |v: &Value| v.is_null() || v.as_fields().is_some_and(mesh_model::Fields::is_empty);
        attribute == "custom_metadata" && none(a) && none(b)
    }

    fn is_remembered(&self, attribute: &str) -> bool {
        attribute == kv::VERSION
    }

    fn mark(&self, values: Value) -> Value {
        kv::mark(values)
    }

    fn listing(&self, path: &str) -> Option<(String, String)> {
        // A mount may itself have a segment "data": then nothing is listed, and every secret is asked for.
        let (mount, name) = path.split_once("/data/").filter(|(_, name)| !name.contains("/data/"))?;
        let (folder, name) = name.rsplit_once('/').map_or((String::new(), name), |(f, n)| (format!("/{f}"), n));
        Some((format!("{mount}/metadata{folder}"), name.to_owned()))
    }

    fn guarded(&self) -> bool {
        true
    }

    async fn look(&self, client: &Client, path: &str, hint: Option<&Value>) -> Result<Option<Value>, Failure> {
        let Some(found) = client.read(path).await?.filter(|d| d["data"].is_object()) else { return Ok(None) };
        let mount = kv::mount_of(client, path, hint).await?;
        let name = name_in(path, &mount).to_owned();
        let metadata = &found["metadata"];
        Ok(Some(Value::object([
            ("name", Value::string(name)),
            ("mount", Value::string(mount)),
            ("data", kv::known(&found["data"], hint)),
            ("custom_metadata", text_map(&metadata["custom_metadata"])),
            ("version", Value::number(metadata["version"].as_i64().unwrap_or_default())),
        ])))
    }

    async fn create(&self, client: &Client, path: &str, after: &Value, adopt: bool) -> Result<Vec<String>, Failure> {
        kv::expect(client, text(after, "mount"), 2).await?;
        let mut describes = after.get("custom_metadata").is_some_and(|m| !m.is_null());
        let mut warnings = match write(client, path, after, 0).await {
            Err(failure) if failure.words.contains("check-and-set") && !failure.in_doubt => {
                // There are versions: one that counts, or deleted ones to go on from.
                let reply = client.call(Method::Get, path, None, Content::Open).await?;
                if reply.data()["data"].is_object() && !adopt {
                    return Err(exists(path));
                }
                describes = true;
                write(client, path, after, reply.data()["metadata"]["version"].as_i64().unwrap_or_default()).await?
            }
            other => other?,
        };
        // Metadata that a deleted secret left behind must go too, where none is configured.
        if describes {
            warnings.extend(describe(client, path, after).await?);
        }
        Ok(warnings)
    }

    async fn update(&self, client: &Client, path: &str, before: &Value, after: &Value) -> Result<Vec<String>, Failure> {
        let differs = |name: &str| match (before.get(name), after.get(name)) {
            (Some(b), Some(a)) => !a.same(b),
            _ => true,
        };
        let mut warnings = Vec::new();
        let fixed = after.get("data_wo").is_some_and(|d| !d.all_marks().ephemeral());
        if differs("data") || differs(kv::VERSION) || fixed && differs("data_wo") {
            let seen = before.get("version").and_then(Value::as_i64).unwrap_or_default();
            warnings = write(client, path, after, seen).await.map_err(|mut failure| {
                if failure.words.contains("check-and-set") {
                    failure.error.kind = ErrorKind::Conflict;
                    failure.error.summary = "The secret changed since the plan";
                    failure
                        .add(&format!("Somebody wrote a version after {seen}, which the plan has seen: plan again."));
                }
                failure
            })?;
        }
        if differs("custom_metadata") {
            warnings.extend(describe(client, path, after).await?);
        }
        Ok(warnings)
    }

    async fn delete(&self, client: &Client, path: &str, before: Option<&Value>) -> Result<(), Failure> {
        let mount = kv::mount_of(client, path, before).await?;
        client.delete(&metadata_path(path, &mount)).await
    }
}

fn metadata_path(path: &str, mount: &str) -> String {
    format!("{mount}/metadata/{}", name_in(path, mount))
}

fn name_in<'p>(path: &'p str, mount: &str) -> &'p str {
    path.strip_prefix(mount).and_then(|rest| rest.strip_prefix("/data/")).unwrap_or(path)
}

async fn write(client: &Client, path: &str, after: &Value, cas: i64) -> Result<Vec<String>, Failure> {
    let body = json!({"data": kv::body(after), "options": {"cas": cas}});
    client.write(path, &body, Content::Secret).await.map(|reply| reply.warnings())
}

async fn describe(client: &Client, path: &str, after: &Value) -> Result<Vec<String>, Failure> {
    let fields = after.get("custom_metadata").and_then(Value::as_fields).into_iter().flat_map(|f| f.iter());
    let metadata: Map<String, Json> =
        fields.map(|(k, v)| (k.to_string(), json!(v.as_str().unwrap_or_default()))).collect();
    let path = metadata_path(path, text(after, "mount"));
    let written = client.write(&path, &json!({"custom_metadata": metadata}), Content::Open).await;
    written.map(|reply| reply.warnings()).map_err(Failure::after_write)
}
