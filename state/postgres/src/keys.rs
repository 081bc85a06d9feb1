//! Sealed keys as a row beside those of the state.

use std::sync::Arc;

use async_trait::async_trait;
use mesh_state::StateError;
use mesh_state::keyring::KeyPlace;

use crate::error::failure;
use crate::session::Readers;

/// Sealed keys in the database.
pub(crate) struct StoredKeys(pub(crate) Arc<Readers>);

#[async_trait]
impl KeyPlace for StoredKeys {
    fn place(&self) -> String {
        self.0.target.place.clone()
    }

    async fn get(&self) -> Result<Option<Vec<u8>>, StateError> {
        let (mut reader, target) = (self.0.one().await?, &self.0.target);
        let failed = |e| failure("reading the keys of", &target.place, &e);
        let view = reader.view().await?;
        // The first version had none.
        if target.version(&view).await? < 2 {
            return Ok(None);
        }
        let text = target.sql("SELECT sealed FROM @.keys WHERE state = $1");
        let row = view.query_opt(&text, &[&target.name]).await.map_err(failed)?;
        row.map(|row| row.try_get(0).map_err(failed)).transpose()
    }

    async fn put(&self, before: Option<&[u8]>, bytes: &[u8]) -> Result<bool, StateError> {
        let (mut reader, target) = (self.0.one().await?, &self.0.target);
        let failed = |e| failure("writing the keys of", &target.place, &e);
        let client = reader.client()?;
        target.migrate(client).await?;
        let name = &target.name;
        let done = match before {
            None => {
                let text = target.sql("INSERT INTO @.keys (state, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING");
                client.execute(&text, &[name, &bytes]).await
            }
            Some(before) => {
                let text = target.sql("UPDATE @.keys SET sealed = $3 WHERE state = $1 AND sealed = $2");
                client.execute(&text, &[name, &before, &bytes]).await
            }
        };
        done.map(|rows| rows == 1).map_err(failed)
    }
}
