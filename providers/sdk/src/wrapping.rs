//! Sealing the keys of a state with a key that only a system has.
//!
//! The one decision: a provider that can do it says so with a schema, and gets back what it gave; what is
//! sealed, and for whom else, is the state's business.

use async_trait::async_trait;
use mesh_model::{RecipientNeed, Schema, Value};
use zeroize::Zeroizing;

use crate::{ErrorKind, ProviderError};

/// A key of 32 bytes; zeroed when it is dropped.
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// Wraps keys over a client `C`.
#[async_trait]
pub trait KeyWrapper<C>: Send + Sync {
    /// What names the key of the system, beside what it takes to connect.
    fn schema(&self) -> Schema;

    /// The objects among the provider's own types without which it unwraps nothing.
    fn needs(&self) -> &'static [RecipientNeed];

    /// `key` as text that only the system can unwrap, bound to `context`.
    async fn wrap(&self, client: &C, settings: &Value, context: &str, key: &KeyBytes) -> Result<String, ProviderError>;

    /// The opposite.
    async fn unwrap(
        &self,
        client: &C,
        settings: &Value,
        context: &str,
        wrapped: &str,
    ) -> Result<KeyBytes, ProviderError>;
}

/// The error of a provider that wraps no keys.
pub(crate) fn no_wrapper() -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The provider seals no keys", "It cannot be a recipient.")
}
