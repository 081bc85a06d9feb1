//! `vault_auth_backend`: a way to log in, at a path.
//!
//! The one decision: it is tuned through `sys/mounts/auth/<path>/tune`, which needs no sudo. Settings of the method
//! itself (the Kubernetes configuration, roles) are types of their own.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{Problem, async_trait};

use super::mounts::{self, Table};
use crate::client::Client;
use crate::failure::Failure;
use crate::kind::Kind;

pub(crate) struct AuthBackend;

const TABLE: Table = Table { root: "sys/auth", tune: "sys/mounts/auth" };

#[async_trait]
impl Kind for AuthBackend {
    fn schema(&self) -> ResourceSchema {
        let mut attributes = vec![
            Attribute::required(
                "path",
                Type::String,
                "Where it is mounted, without `auth/` and slashes around it; may be nested (`asm-c1/hsm`).",
            )
            .force_new(),
            Attribute::required("type", Type::String, "The method: `kubernetes`, `approle`, `jwt`, ...").force_new(),
        ];
        attributes.extend(mounts::attributes());
        ResourceSchema {
            name: "vault_auth_backend",
            version: 0,
            doc: "An auth backend. Deleting it ends the logins made through it.\n\nNeeds `create`, `update`, `read`, `delete` and `sudo` on `sys/auth/<path>` (Vault asks sudo for these), `update` on `sys/mounts/auth/<path>/tune`; with `read` on `sys/auth` all backends are seen with one call.",
            example: "resource \"vault_auth_backend\" \"asm\" {\n  path = \"asm-c1/hsm\"\n  type = \"kubernetes\"\n}\n",
            schema: Schema::of(attributes),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = mounts::validate(config);
        if config.get_str("path").is_some_and(|p| p.starts_with("auth/")) {
            problems.push(Problem::at("path", "Write the path without auth/: Vault puts it in front itself."));
        }
        problems
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("sys/auth/{}", values.get_str("path")?))
    }

    fn path_of_id(&self, id: &str) -> String {
        TABLE.path_of_id(id)
    }

    fn same(&self, attribute: &str, a: &Value, b: &Value) -> bool {
        mounts::same(attribute, a, b)
    }

    fn guarded(&self) -> bool {
        true
    }

    async fn look(&self, client: &Client, path: &str, _hint: Option<&Value>) -> Result<Option<Value>, Failure> {
        TABLE.look(client, path).await
    }

    async fn create(&self, client: &Client, path: &str, after: &Value, adopt: bool) -> Result<Vec<String>, Failure> {
        TABLE.create(client, path, after, adopt).await
    }

    async fn update(&self, client: &Client, path: &str, before: &Value, after: &Value) -> Result<Vec<String>, Failure> {
        TABLE.update(client, path, before, after).await
    }

    async fn delete(&self, client: &Client, path: &str, _before: Option<&Value>) -> Result<(), Failure> {
        TABLE.delete(client, path).await
    }
}
