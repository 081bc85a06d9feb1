//! `data "gateway_servers"`: the servers as the running HAProxy sees them.
//!
//! The one decision: only sections that carry our names are shown; what is foreign stays invisible.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};

use crate::client::Client;
use crate::settings::section;

pub(crate) struct Servers;

fn entry() -> Type {
    Type::object([
        ("address", Type::String),
        ("port", Type::Number),
        ("weight", Type::Number),
        ("state", Type::String),
        ("up", Type::Bool),
    ])
}

#[async_trait]
impl DataSource<Client> for Servers {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "gateway_servers",
            version: 0,
            doc: "Addresses, weights and states of the servers of our load balancers, from the running worker.",
            example: r#"data "gateway_servers" "ingress" {
  name = "ingress"
}"#,
            schema: Schema::of([
                Attribute::optional("name", Type::String, "Of this load balancer only."),
                Attribute::computed(
                    "servers",
                    Type::map(entry()),
                    "By `section/server`; `state` is `ready`, `drain` or `maint`, `up` whether its last check passed.",
                ),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let prefix = config.get_str("name").map_or_else(|| "mesh_".to_owned(), |name| section(name, ""));
        let seen = client.servers().await?;
        let servers =
            seen.into_iter().filter(|((backend, _), _)| backend.starts_with(&prefix)).map(|((backend, server), s)| {
                let values = Value::object([
                    ("address", Value::string(s.address)),
                    ("port", Value::number(s.port)),
                    ("weight", Value::number(s.weight)),
                    ("state", Value::string(s.state)),
                    ("up", Value::bool(s.up)),
                ]);
                (format!("{backend}/{server}"), values)
            });
        Ok(config.with("servers", Value::map(entry(), servers.collect())))
    }
}
