//! `ephemeral "random_bytes"`: random bytes of the operating system, for keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{EphemeralSource, Opened, ProviderError, Services, async_trait};

use crate::{Client, random};

pub(crate) struct RandomBytes;

#[async_trait]
impl EphemeralSource<Client> for RandomBytes {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "random_bytes",
            version: 0,
            doc: "Random bytes, others in every run: give them to a write-only attribute, and its version attribute decides when they are written.",
            example: r#"ephemeral "random_bytes" "key" {
  length = 32
}"#,
            schema: Schema::of([
                Attribute::required("length", Type::Number, "How many bytes, from 1 to 65536."),
                Attribute::computed("base64", Type::String, "The bytes as base64.").sensitive(),
                Attribute::computed("hex", Type::String, "The bytes in hexadecimal digits.").sensitive(),
            ]),
            protected: false,
        }
    }

    async fn open(&self, _client: &Client, config: &Value, _services: &Services) -> Result<Opened, ProviderError> {
        let length = random::number(config, "length")?.filter(|n| *n > 0);
        let bytes = random::bytes(length.ok_or_else(|| random::invalid("length", "length is 1 or more."))?)?;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let value = config
            .with("base64", Value::string(STANDARD.encode(&bytes)).sensitive())
            .with("hex", Value::string(hex).sensitive());
        Ok(Opened::value(value))
    }
}
