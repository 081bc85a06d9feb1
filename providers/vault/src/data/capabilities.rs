//! `vault_capabilities`: what the token of this provider may do.
//!
//! The one decision: it asks Vault about paths (`capabilities-self`, which every token may) instead of reading policies.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};
use serde_json::json;

use crate::client::{Client, Content};
use crate::fields::{Wire, from_wire, texts};

pub(crate) struct Capabilities;

#[async_trait]
impl DataSource<Client> for Capabilities {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_capabilities",
            version: 0,
            doc: "What the provider's token may do at some paths; for checks before an apply. Needs no rights beyond the policy `default`.",
            example: "data \"vault_capabilities\" \"mine\" {\n  paths = [\"asm-c1/hsm\"]\n}\n",
            schema: Schema::of([
                Attribute::required("paths", Type::list(Type::String), "Paths as policies name them."),
                Attribute::computed(
                    "capabilities",
                    Type::map(Type::set(Type::String)),
                    "Per path what is allowed: `create`, `read`, ..., `root`, or `deny`.",
                ),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let paths = texts(config.get("paths"));
        if paths.is_empty() {
            return Err(
                ProviderError::new(ErrorKind::Invalid, "No paths are asked for", "Give at least one path.").at("paths")
            );
        }
        let reply = client.write("sys/capabilities-self", &json!({"paths": paths}), Content::Open).await?;
        let none = Value::set(Type::String, []);
        let of = |path: &str| {
            let found = from_wire(Wire::Names, &reply.data()[path]);
            if found.is_null() { none.clone() } else { found }
        };
        let capabilities = Value::map(Type::set(Type::String), paths.iter().map(|p| (p.as_str(), of(p))).collect());
        Ok(Value::object([
            ("paths", config.get("paths").cloned().unwrap_or(Value::NULL)),
            ("capabilities", capabilities),
        ]))
    }
}
