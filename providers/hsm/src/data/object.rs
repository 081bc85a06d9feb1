//! `hsm_object`: one object of the token, by id or label.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};

use crate::client::Client;
use crate::protocol::Class;

pub(super) struct Object;

const CLASSES: [Class; 3] = [Class::SecretKey, Class::KeyPair, Class::Certificate];

#[async_trait]
impl DataSource<Client> for Object {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "hsm_object",
            version: 0,
            doc: "One object of the token. Exactly one must fit.",
            example: "data \"hsm_object\" \"kek\" {\n  class = \"secret-key\"\n  label = \"k8s-kms-plugin-kek\"\n}\n",
            schema: Schema::of([
                Attribute::required("class", Type::String, "`secret-key`, `key-pair` or `certificate`."),
                Attribute::optional_computed("id", Type::String, "The text whose ASCII bytes are the CKA_ID."),
                Attribute::optional_computed("label", Type::String, "The CKA_LABEL."),
                Attribute::computed("key_type", Type::String, "`AES`, `RSA` or `EC`; empty for a certificate."),
                Attribute::computed("size", Type::Number, "Bytes of a secret key, bits of an RSA key."),
                Attribute::computed(
                    "fingerprint",
                    Type::String,
                    "Check value of a secret key, SHA-256 of a public key or certificate.",
                ),
                Attribute::computed("pem", Type::String, "The certificate or public key."),
                Attribute::computed("local", Type::Bool, "Whether the token made the key."),
                Attribute::computed("extractable", Type::Bool, "Whether the key can leave the token."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let wanted = config.get_str("class").unwrap_or_default();
        let Some(class) = CLASSES.into_iter().find(|c| c.word() == wanted) else {
            let detail = format!("{wanted:?} is none of secret-key, key-pair, certificate.");
            return Err(ProviderError::new(ErrorKind::Invalid, "Unknown class of objects", detail).at("class"));
        };
        let (id, label) = (config.get_str("id"), config.get_str("label"));
        if id.is_none() && label.is_none() {
            let detail = "Give id or label.";
            return Err(ProviderError::new(ErrorKind::Invalid, "The object is not named", detail).at("id"));
        }
        let mut found = client.find(class, id.map(str::as_bytes)).await?;
        found.retain(|o| label.is_none_or(|l| o.label == l));
        let [object] = found.as_slice() else {
            let list: Vec<String> = found
                .iter()
                .map(|o| format!("id \"{}\", label \"{}\"", String::from_utf8_lossy(&o.id.0), o.label))
                .collect();
            let kind = if found.is_empty() { ErrorKind::Missing } else { ErrorKind::Conflict };
            let detail =
                format!("{} objects of class {wanted} fit; exactly one must. {}", found.len(), list.join("; "));
            return Err(ProviderError::new(kind, "Not exactly one object fits", detail.trim_end()));
        };
        let text = |t: Option<String>| t.map_or_else(|| Value::null(Type::String), Value::string);
        let flag = |b: Option<bool>| b.map_or_else(|| Value::null(Type::Bool), Value::bool);
        let block = if class == Class::Certificate { "CERTIFICATE" } else { "PUBLIC KEY" };
        let size = object.size.and_then(|n| i64::try_from(n).ok());
        Ok(Value::object([
            ("class", Value::string(wanted)),
            ("id", Value::string(String::from_utf8_lossy(&object.id.0))),
            ("label", Value::string(object.label.as_str())),
            ("key_type", Value::string(object.key_type.as_str())),
            ("size", size.map_or_else(|| Value::null(Type::Number), Value::number)),
            ("fingerprint", text(object.fingerprint.clone())),
            ("pem", text(object.der.as_ref().map(|der| mesh_x509::pem::encode(block, &der.0)))),
            ("local", flag(object.local)),
            ("extractable", flag(object.extractable)),
        ]))
    }
}
