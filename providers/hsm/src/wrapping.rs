//! A secret key of the token that seals the keys of a state.
//!
//! The one decision: AES-GCM by `C_Encrypt`, which a key that may encrypt and decrypt can do everywhere; wrapping
//! by `C_WrapKey` needs an extractable key, and SoftHSM has no mechanism for it. A Luna in FIPS mode makes
//! the IV itself and puts it behind the data, so what is behind the tag is the IV.

use mesh_model::{Attribute, RecipientNeed, Schema, Type, Value};
use mesh_sdk::{ErrorKind, KeyBytes, KeyWrapper, ProviderError, async_trait};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::protocol::{Bytes, Call, SecretBytes};

/// Bytes of an IV that we make.
const IV: usize = 12;
/// Bytes of a key and its tag.
const SEALED: usize = 32 + 16;

/// The wrapper.
pub(crate) struct Kek;

fn id(settings: &Value) -> Bytes {
    Bytes(settings.get_str("key_id").unwrap_or_default().as_bytes().to_vec())
}

fn unreadable(detail: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The wrapped key cannot be read", detail)
}

#[async_trait]
impl KeyWrapper<Client> for Kek {
    fn schema(&self) -> Schema {
        Schema::of([Attribute::required(
            "key_id",
            Type::String,
            "The CKA_ID of an AES key that may encrypt and decrypt, as text (`hsm_secret_key.id`).",
        )])
    }

    fn needs(&self) -> &'static [RecipientNeed] {
        &[RecipientNeed { ty: "hsm_secret_key", attribute: "id", setting: "key_id" }]
    }

    async fn wrap(
        &self,
        client: &Client,
        settings: &Value,
        context: &str,
        key: &KeyBytes,
    ) -> Result<String, ProviderError> {
        let random = Call::Random { size: u32::try_from(IV).unwrap_or(12) };
        let iv = client.bytes(&random, "Making an IV").await?.0.clone();
        let (data, aad) = (SecretBytes(Bytes(key.to_vec())), Bytes(context.as_bytes().to_vec()));
        let call = Call::Encrypt { key: id(settings), iv: iv.clone(), aad, data };
        let sealed = client.bytes(&call, "Wrapping the key").await?.0.clone();
        let (sealed, made) =
            sealed.0.split_at_checked(SEALED).ok_or_else(|| unreadable("The token gave too little."))?;
        let iv = if made.is_empty() { iv.0.as_slice() } else { made };
        Ok(format!("{}.{}", mesh_x509::hex(iv), mesh_x509::hex(sealed)))
    }

    async fn unwrap(
        &self,
        client: &Client,
        settings: &Value,
        context: &str,
        wrapped: &str,
    ) -> Result<KeyBytes, ProviderError> {
        let bytes = |text: &str| serde_json::from_value::<Bytes>(text.into()).ok();
        let parts = wrapped.split_once('.').and_then(|(iv, data)| bytes(iv).zip(bytes(data)));
        let (iv, data) = parts.ok_or_else(|| unreadable("It is damaged."))?;
        let call = Call::Decrypt { key: id(settings), iv, aad: Bytes(context.as_bytes().to_vec()), data };
        let key = client.bytes(&call, "Unwrapping the key").await?;
        key.0.0.as_slice().try_into().map(Zeroizing::new).map_err(|_| unreadable("It has another length."))
    }
}
