//! `vault_health`: the server behind the provider.
//!
//! The one decision: what `sys/health` says, as it says it. A sealed server is found before any data source is read:
//! opening the provider fails then.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};

use crate::client::Client;
use crate::fields::{Wire, from_wire};

pub(crate) struct Health;

#[async_trait]
impl DataSource<Client> for Health {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_health",
            version: 0,
            doc: "Version and state of the server. Needs no rights.",
            example: "data \"vault_health\" \"this\" {}\n",
            schema: Schema::of([
                Attribute::computed("initialized", Type::Bool, "Whether it is initialized."),
                Attribute::computed("sealed", Type::Bool, "Whether it is sealed."),
                Attribute::computed("standby", Type::Bool, "Whether another server of the cluster is the active one."),
                Attribute::computed("version", Type::String, "The server's version."),
                Attribute::computed("cluster_name", Type::String, "Name of the cluster."),
                Attribute::computed("cluster_id", Type::String, "Id of the cluster."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, _config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let health = client.health().await?;
        let fields = [
            ("initialized", Wire::Flag),
            ("sealed", Wire::Flag),
            ("standby", Wire::Flag),
            ("version", Wire::Text),
            ("cluster_name", Wire::Text),
            ("cluster_id", Wire::Text),
        ];
        Ok(Value::object(fields.map(|(name, wire)| (name, from_wire(wire, &health[name])))))
    }
}
