//! `vault_mount`: a secret engine at a path.
//!
//! The one decision: what would lose every secret of a mount (another type, KV back from version 2 to 1) is planned as
//! a replace and says so; KV from 1 to 2 is done in place. It does not move mounts.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{PlanRequest, PlanResponse, Problem, Verdict, async_trait, schema_plan};

use super::mounts::{self, Table};
use crate::client::Client;
use crate::failure::Failure;
use crate::kind::Kind;

pub(crate) struct Mount;

const TABLE: Table = Table { root: "sys/mounts", tune: "sys/mounts" };

#[async_trait]
impl Kind for Mount {
    fn schema(&self) -> ResourceSchema {
        let mut attributes = vec![
            Attribute::required("path", Type::String, "Where it is mounted, without slashes around it; may be nested (`teams/mesh`).").force_new(),
            Attribute::required("type", Type::String, "The engine: `kv`, `pki`, `transit`, `ssh`, ... For KV version 2 write `type = \"kv\"` and `version = \"2\"`.").force_new(),
            Attribute::optional_computed("version", Type::String, "For `kv`: `1` or `2`. Going from 1 to 2 is done in place; going back needs a new mount."),
            Attribute::optional("options", Type::map(Type::String), "Options of the engine other than `version`.").force_new(),
        ];
        attributes.extend(mounts::attributes());
        ResourceSchema {
            name: "vault_mount",
            version: 0,
            doc: "A secret engine. Deleting or replacing it destroys everything in it.\n\nNeeds `create`, `update`, `read` and `delete` on `sys/mounts/<path>`, `update` on `sys/mounts/<path>/tune`; with `read` on `sys/mounts` all mounts are seen with one call.",
            example: "resource \"vault_mount\" \"hsm\" {\n  path          = \"asm-c1\"\n  type          = \"kv\"\n  version       = \"1\"\n  max_lease_ttl = \"87600h\"\n}\n",
            schema: Schema::of(attributes),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = mounts::validate(config);
        if matches!(config.get_str("type"), Some("kv-v2" | "kv-v1")) {
            problems.push(Problem::at(
                "type",
                "Write type = \"kv\" and version = \"2\" (or \"1\"): Vault itself turns the short names into these.",
            ));
        }
        match (config.get_str("version"), config.get_str("type")) {
            (Some("1" | "2"), Some("kv")) | (None, _) | (Some(_), None) => {}
            (Some(_), Some("kv")) => problems.push(Problem::at("version", "version is \"1\" or \"2\".")),
            (Some(_), Some(_)) => problems.push(Problem::at("version", "version is for mounts of type \"kv\" only.")),
        }
        if config.get("options").is_some_and(|o| o.get("version").is_some()) {
            problems.push(Problem::at("options", "The version of a KV mount is the attribute version."));
        }
        problems
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("sys/mounts/{}", values.get_str("path")?))
    }

    fn path_of_id(&self, id: &str) -> String {
        TABLE.path_of_id(id)
    }

    fn same(&self, attribute: &str, a: &Value, b: &Value) -> bool {
        mounts::same(attribute, a, b)
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let version = |v: Option<&Value>| v.and_then(|v| v.get_str("version").map(str::to_owned));
        let downgrade =
            version(request.observed).as_deref() == Some("2") && version(Some(request.desired)).as_deref() == Some("1");
        let mut response = if downgrade {
            // In place, Vault would drop the data: only a new mount can have version 1.
            let mut schema = request.schema.clone();
            schema.schema.attributes.iter_mut().filter(|a| a.name == "version").for_each(|a| a.force_new = true);
            schema_plan(&PlanRequest { schema: &schema, ..*request })
        } else {
            schema_plan(request)
        };
        if matches!(response.verdict, Verdict::Replace(_)) {
            response.notes.push("Replacing a mount destroys everything in it.".to_owned());
        }
        response
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
