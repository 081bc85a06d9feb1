//! A key of the transit engine that seals the keys of a state.
//!
//! The one decision: the context goes along as associated data, so that what was wrapped for one state opens
//! no other; that needs a key of an AEAD type (`aes256-gcm96`, the default).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::{Attribute, RecipientNeed, Schema, Type, Value};
use mesh_sdk::{ErrorKind, KeyBytes, KeyWrapper, ProviderError, async_trait};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use crate::client::{Client, Content};

/// The wrapper.
pub(crate) struct Transit;

async fn ask(
    client: &Client,
    what: &str,
    settings: &Value,
    body: &Json,
    answer: &'static str,
) -> Result<Zeroizing<String>, ProviderError> {
    let text = |name| settings.get_str(name).unwrap_or_default().trim_matches('/').to_owned();
    let path = format!("{}/{what}/{}", text("mount"), text("key"));
    let reply = client.write(&path, body, Content::Secret).await.map_err(ProviderError::from)?;
    reply.data()[answer].as_str().map(|t| Zeroizing::new(t.to_owned())).ok_or_else(|| odd(&path))
}

fn odd(path: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Other, "Vault gave an odd answer", format!("{path} gave no key of 32 bytes."))
}

#[async_trait]
impl KeyWrapper<Client> for Transit {
    fn schema(&self) -> Schema {
        Schema::of([
            Attribute::optional("mount", Type::String, "Path of the transit engine.").default(Value::string("transit")),
            Attribute::required(
                "key",
                Type::String,
                "Name of the key. The token needs `update` on `<mount>/encrypt/<key>` and `<mount>/decrypt/<key>`.",
            ),
        ])
    }

    fn needs(&self) -> &'static [RecipientNeed] {
        &[RecipientNeed { ty: "vault_mount", attribute: "path", setting: "mount" }]
    }

    async fn wrap(
        &self,
        client: &Client,
        settings: &Value,
        context: &str,
        key: &KeyBytes,
    ) -> Result<String, ProviderError> {
        let body = json!({ "plaintext": STANDARD.encode(**key), "associated_data": STANDARD.encode(context) });
        ask(client, "encrypt", settings, &body, "ciphertext").await.map(|t| t.to_string())
    }

    async fn unwrap(
        &self,
        client: &Client,
        settings: &Value,
        context: &str,
        wrapped: &str,
    ) -> Result<KeyBytes, ProviderError> {
        let body = json!({ "ciphertext": wrapped, "associated_data": STANDARD.encode(context) });
        let text = ask(client, "decrypt", settings, &body, "plaintext").await?;
        let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| odd("decrypt"))?;
        bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| odd("decrypt"))
    }
}
