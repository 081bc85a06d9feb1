//! `hsm_token`: facts about the token; works without a PIN.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};

use crate::client::Client;

pub(super) struct Token;

#[async_trait]
impl DataSource<Client> for Token {
    fn schema(&self) -> ResourceSchema {
        let text = |name, doc| Attribute::computed(name, Type::String, doc);
        ResourceSchema {
            name: "hsm_token",
            version: 0,
            doc: "The token that the provider is configured for. Needs no PIN.",
            example: "data \"hsm_token\" \"this\" {}\n",
            schema: Schema::of([
                text("label", "Its label."),
                text("serial", "Its serial number."),
                text("model", "Its model."),
                text("manufacturer", "Who made it."),
                text("firmware", "Version of its firmware."),
                text("hardware", "Version of its hardware."),
                Attribute::computed(
                    "free_private_memory",
                    Type::Number,
                    "Free bytes for private objects; null where it does not tell.",
                ),
                Attribute::computed("pin_initialized", Type::Bool, "Whether the user PIN is set."),
                Attribute::computed(
                    "pin_count_low",
                    Type::Bool,
                    "Whether a wrong PIN was tried since the last login, before this session.",
                ),
                Attribute::computed(
                    "mechanisms",
                    Type::list(Type::String),
                    "What it can do, such as `CKM_AES_GCM`; sorted.",
                ),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, _config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let token = client.token();
        let memory = token.free_private_memory.and_then(|n| i64::try_from(n).ok());
        Ok(Value::object([
            ("label", Value::string(token.label.as_str())),
            ("serial", Value::string(token.serial.as_str())),
            ("model", Value::string(token.model.as_str())),
            ("manufacturer", Value::string(token.manufacturer.as_str())),
            ("firmware", Value::string(token.firmware.as_str())),
            ("hardware", Value::string(token.hardware.as_str())),
            ("free_private_memory", memory.map_or(Value::null(Type::Number), Value::number)),
            ("pin_initialized", Value::bool(token.pin_initialized)),
            ("pin_count_low", Value::bool(token.pin_count_low)),
            ("mechanisms", Value::strings(token.mechanisms.iter().map(String::as_str))),
        ]))
    }
}
