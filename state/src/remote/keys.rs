//! Sealed keys as a blob beside the state.

use std::sync::Arc;

use async_trait::async_trait;

use super::store::{Expected, Store};
use crate::StateError;
use crate::keyring::KeyPlace;

/// The name of the blob.
pub(super) const KEYS: &str = "keys";

/// Sealed keys in a store.
pub(super) struct StoredKeys(pub(super) Arc<dyn Store>);

#[async_trait]
impl KeyPlace for StoredKeys {
    fn place(&self) -> String {
        self.0.place()
    }

    async fn get(&self) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(KEYS).await?.map(|blob| blob.bytes))
    }

    async fn put(&self, before: Option<&[u8]>, bytes: &[u8]) -> Result<bool, StateError> {
        let expected = match (before, self.0.get(KEYS).await?) {
            (None, None) => Expected::Absent,
            (Some(before), Some(blob)) if blob.bytes == before => Expected::Is(blob.version),
            _ => return Ok(false),
        };
        Ok(self.0.put(KEYS, bytes.to_vec(), expected).await?.is_some())
    }
}
