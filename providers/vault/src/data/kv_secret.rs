//! `vault_kv_secret` as a data source: a secret of either KV version.
//!
//! The one decision: the version is asked from the mount, so that a spec does not change when the mount is upgraded.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};
use serde_json::Value as Json;

use crate::client::Client;
use crate::kind::text;
use crate::names::path_problem;
use crate::resources::kv;

pub(crate) struct KvSecret;

#[async_trait]
impl DataSource<Client> for KvSecret {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_kv_secret",
            version: 0,
            doc: "A secret of a KV mount, version 1 or 2. Needs `read` on `<mount>/<name>`, or on `<mount>/data/<name>` for version 2.",
            example: "data \"vault_kv_secret\" \"hsm\" {\n  mount = \"asm-c1\"\n  name  = \"hsm\"\n}\n",
            schema: Schema::of([
                Attribute::required("mount", Type::String, "Path of the mount."),
                Attribute::required("name", Type::String, "Path inside the mount, without `data/`."),
                Attribute::computed(
                    "data",
                    Type::map(Type::String),
                    "Keys and values; what is no text is given as JSON.",
                )
                .sensitive(),
                Attribute::computed("kv_version", Type::Number, "Version of the mount: 1 or 2."),
                Attribute::computed("version", Type::Number, "Version of the secret; null on a mount of version 1."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        read(client, config).await
    }
}

/// The secret that `mount` and `name` mean, in the shape of the schema.
pub(crate) async fn read(client: &Client, config: &Value) -> Result<Value, ProviderError> {
    let (mount, name) = (text(config, "mount"), text(config, "name"));
    for (attribute, path) in [("mount", mount), ("name", name)] {
        if let Some(reason) = path_problem(path) {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                "The path of the secret is not valid",
                format!("{attribute} {reason}."),
            )
            .at(attribute));
        }
    }
    let two = kv::version(client, mount).await? == Some(2);
    let path = if two { format!("{mount}/data/{name}") } else { format!("{mount}/{name}") };
    let found = client.read(&path).await?;
    let data = found.as_ref().map(|f| if two { &f["data"] } else { f }).filter(|d| d.is_object());
    let Some(data) = data else {
        let detail = format!("There is no secret at {path:?}, or its newest version is deleted.");
        return Err(ProviderError::new(ErrorKind::Missing, "The secret does not exist", detail).at("name"));
    };
    let version = found.as_ref().and_then(|f| f["metadata"]["version"].as_i64()).filter(|_| two);
    let text = |v: &Json| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let fields = data.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), Value::string(text(v))));
    Ok(Value::object([
        ("mount", Value::string(mount)),
        ("name", Value::string(name)),
        ("data", Value::map(Type::String, fields.collect()).sensitive()),
        ("kv_version", Value::number(if two { 2 } else { 1 })),
        ("version", version.map_or_else(|| Value::null(Type::Number), Value::number)),
    ]))
}
