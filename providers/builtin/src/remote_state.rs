//! `data "mesh_remote_state"`: the root outputs of another state.
//!
//! The one decision: where states lie is not a provider's business, so a service of the surroundings reads them; this is
//! its face in the configuration. Nothing is locked, and nothing but outputs is given.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};

use crate::Client;

pub(crate) struct RemoteState;

#[async_trait]
impl DataSource<Client> for RemoteState {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "mesh_remote_state",
            version: 0,
            doc: "Reads the root outputs of another stack's state. A sensitive output is given when it is sealed there for a \
                  recipient of this stack's encryption block, and stays sensitive.",
            example: r#"data "mesh_remote_state" "pki" {
  backend = "s3"
  config = {
    bucket = "mesh-state"
    prefix = "pki/prod"
  }
}"#,
            schema: Schema::of([
                Attribute::required(
                    "backend",
                    Type::String,
                    "The type of the backend: what the label of a backend block says.",
                ),
                Attribute::optional(
                    "config",
                    Type::Dynamic,
                    "Its settings, as an object: what a backend block takes; what is not given comes from the environment as there.",
                ),
                Attribute::optional("workspace", Type::String, "The workspace. Default: the default one."),
                Attribute::optional(
                    "defaults",
                    Type::Dynamic,
                    "An object with the values of outputs that the state does not have (yet).",
                ),
                Attribute::computed("outputs", Type::Dynamic, "An object with the outputs."),
                Attribute::computed(
                    "withheld",
                    Type::list(Type::String),
                    "The names of sensitive outputs that cannot be given, because they are not sealed there or sealed for others; they \
                     are not among the outputs.",
                ),
            ]),
            protected: false,
        }
    }

    async fn read(&self, _client: &Client, config: &Value, services: &Services) -> Result<Value, ProviderError> {
        let states = services.states.as_ref().ok_or_else(|| {
            let detail = "This command reads no other states. mesh plan and mesh apply do.";
            ProviderError::new(ErrorKind::Invalid, "Other states cannot be read here", detail)
        })?;
        let workspace = config.get_str("workspace").filter(|name| *name != "default");
        let given = config.get("config").cloned().unwrap_or(Value::NULL);
        let found = states.outputs(config.get_str("backend").unwrap_or_default(), workspace, &given).await?;
        let defaults = config.get("defaults").and_then(Value::as_fields);
        let own = found.outputs.as_fields();
        let mut outputs = Value::object(std::iter::empty::<(String, Value)>());
        for (name, value) in defaults.into_iter().chain(own).flat_map(|fields| fields.iter()) {
            outputs = outputs.with(name, value.clone());
        }
        Ok(config.with("outputs", outputs).with("withheld", Value::strings(found.withheld)))
    }
}
