//! `vault_kv_secret`: a secret in a KV mount of version 1.
//!
//! The one decision: a write replaces all keys, and what is not configured must not be there. Vault stores what it is
//! sent, so nothing is read back after a write.

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{Foreign, Problem, async_trait};

use super::kv;
use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::kind::{Kind, text};

pub(crate) struct KvSecret;

#[async_trait]
impl Kind for KvSecret {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_kv_secret",
            version: 0,
            doc: "A secret in a KV mount of version 1, whole. State keeps fingerprints of its values only.\n\nNeeds `create`, `update`, `read` and `delete` on `<mount>/<name>`; with `list` on the folder around it new secrets are looked up with one call.",
            example: "resource \"vault_kv_secret\" \"hsm\" {\n  mount = \"asm-c1\"\n  name  = \"hsm\"\n  data  = { PIN = \"1234\" }\n}\n",
            schema: Schema::of(
                [
                    Attribute::required("mount", Type::String, "Path of the mount.").force_new(),
                    Attribute::required("name", Type::String, "Path inside the mount.").force_new(),
                ]
                .into_iter()
                .chain(kv::content()),
            ),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        kv::validate(config)
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("{}/{}", values.get_str("mount")?, values.get_str("name")?))
    }

    /// Terraform's type has the whole path, and Vault says which part of it is the mount.
    fn foreign(&self, attributes: Value) -> Foreign {
        let identity = attributes.get_str("path").map(|p| Identity(p.trim_matches('/').into()));
        Foreign { identity, values: kv::foreign(&attributes) }
    }

    fn is_remembered(&self, attribute: &str) -> bool {
        attribute == kv::VERSION
    }

    fn mark(&self, values: Value) -> Value {
        kv::mark(values)
    }

    fn listing(&self, path: &str) -> Option<(String, String)> {
        let (folder, name) = path.rsplit_once('/')?;
        Some((folder.to_owned(), name.to_owned()))
    }

    fn looks_after_write(&self) -> bool {
        false
    }

    async fn look(&self, client: &Client, path: &str, hint: Option<&Value>) -> Result<Option<Value>, Failure> {
        let Some(data) = client.read(path).await? else { return Ok(None) };
        let mount = kv::mount_of(client, path, hint).await?;
        let name = path.strip_prefix(mount.as_str()).unwrap_or(path).trim_start_matches('/').to_owned();
        Ok(Some(Value::object([
            ("name", Value::string(name)),
            ("mount", Value::string(mount)),
            ("data", kv::known(&data, hint)),
        ])))
    }

    async fn create(&self, client: &Client, path: &str, after: &Value, _adopt: bool) -> Result<Vec<String>, Failure> {
        kv::expect(client, text(after, "mount"), 1).await?;
        let reply = client.write(path, &kv::body(after), Content::Secret).await?;
        Ok(reply.warnings())
    }

    async fn update(
        &self,
        client: &Client,
        path: &str,
        _before: &Value,
        after: &Value,
    ) -> Result<Vec<String>, Failure> {
        let reply = client.write(path, &kv::body(after), Content::Secret).await?;
        Ok(reply.warnings())
    }

    async fn delete(&self, client: &Client, path: &str, _before: Option<&Value>) -> Result<(), Failure> {
        client.delete(path).await
    }
}
