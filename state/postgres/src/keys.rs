//! Sealed keys as a row beside those of the state.

use std::sync::Arc;

use async_trait::async_trait;
use mesh_state::StateError;
use mesh_state::keyring::KeyPlace;

use crate::error::failure;
use crate::settings::Target;

/// Sealed keys in the database.
pub(crate) struct StoredKeys(pub(crate) Arc<Target>);

#[async_trait]
impl KeyPlace for StoredKeys {
    fn place(&self) -> String {
        self.0.place.clone()
    }

    async fn get(&self) -> Result<Option<Vec<u8>>, StateError> {
        let failed = |e| failure("reading the keys of", &self.0.place, &e);
        let client = self.0.connect().await?;
        // The first version had none.
        if self.0.version(&client).await? < 2 {
            return Ok(None);
        }
        let text = self.0.sql("SELECT sealed FROM @.keys WHERE state = $1");
        let row = client.query_opt(&text, &[&self.0.name]).await.map_err(failed)?;
        row.map(|row| row.try_get(0).map_err(failed)).transpose()
    }

    async fn put(&self, before: Option<&[u8]>, bytes: &[u8]) -> Result<bool, StateError> {
        let failed = |e| failure("writing the keys of", &self.0.place, &e);
        let mut client = self.0.connect().await?;
        self.0.migrate(&mut client).await?;
        let name = &self.0.name;
        let done = match before {
            None => {
                let text = self.0.sql("INSERT INTO @.keys (state, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING");
                client.execute(&text, &[name, &bytes]).await
            }
            Some(before) => {
                let text = self.0.sql("UPDATE @.keys SET sealed = $3 WHERE state = $1 AND sealed = $2");
                client.execute(&text, &[name, &before, &bytes]).await
            }
        };
        done.map(|rows| rows == 1).map_err(failed)
    }
}
