//! `data "local_file"`: the content of a file on this machine.
//!
//! The one decision: what is not UTF-8 text has no `content` but always a `content_base64`, so that
//! bytes are never changed in silence.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};

use crate::{Client, digest, files};

pub(crate) struct LocalFileData;

#[async_trait]
impl DataSource<Client> for LocalFileData {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "local_file",
            version: 0,
            doc: "Reads a file on this machine whenever a plan is made.",
            example: r#"data "local_file" "chain" {
  path     = "cert-chain.pem"
  optional = true
}"#,
            schema: Schema::of([
                Attribute::required(
                    "path",
                    Type::String,
                    "The file; a relative path starts from the root module's folder.",
                ),
                Attribute::optional("optional", Type::Bool, "Whether it may be missing.").default(Value::bool(false)),
                Attribute::optional("sensitive", Type::Bool, "Whether its content is a secret.")
                    .default(Value::bool(false)),
                Attribute::computed("exists", Type::Bool, "Whether there is such a file."),
                Attribute::computed("content", Type::String, "Its content; null when missing or not UTF-8 text."),
                Attribute::computed("content_base64", Type::String, "Its content as base64; null when missing."),
                Attribute::computed("sha256", Type::String, "SHA-256 of it, in hexadecimal digits; null when missing."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let path = client.root.join(config.get_str("path").unwrap_or_default());
        // A link is fine here: reading through it changes nothing.
        let target = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let file = files::read(&target)?;
        if file.is_none() && config.get("optional").and_then(Value::as_bool) != Some(true) {
            return Err(ProviderError::new(
                ErrorKind::Missing,
                "The file is missing",
                format!("There is no file {}. Put it there, or set `optional = true`.", path.display()),
            )
            .at("path"));
        }
        let text = |t: Option<String>| t.map_or(Value::null(Type::String), Value::string);
        Ok(config
            .with("exists", Value::bool(file.is_some()))
            .with("content_base64", text(file.as_ref().map(|f| STANDARD.encode(&f.bytes))))
            .with("sha256", text(file.as_ref().map(|f| digest::sha256(&f.bytes))))
            .with("content", text(file.and_then(|f| String::from_utf8(f.bytes).ok()))))
    }

    fn mark(&self, values: Value) -> Value {
        if values.get("sensitive").and_then(Value::as_bool) != Some(true) {
            return values;
        }
        ["content", "content_base64", "sha256"].into_iter().fold(values, |values, name| {
            let secret = values.get(name).cloned().unwrap_or(Value::NULL).sensitive();
            values.with(name, secret)
        })
    }
}
