//! What the commands need of a backend beyond what the engine needs: its keys, its workspaces, and its end.
//!
//! The one decision: these are a trait of their own, so that the engine can do nothing of it.

use async_trait::async_trait;

use crate::{Backend, Keyring, LockInfo, StateError};

/// A place for states, seen from one state in it.
#[async_trait]
pub trait Home: Backend {
    /// The keys of this state.
    fn keyring(&self) -> &Keyring;

    /// The lineage of this state; `None` where there is none.
    async fn lineage(&self) -> Result<Option<String>, StateError>;

    /// The names of the workspaces that have a state, the default one apart, in order.
    async fn workspaces(&self) -> Result<Vec<String>, StateError>;

    /// Removes this state with its history, journal, keys and lock. It can be done again after a crash.
    ///
    /// # Errors
    /// [`StateError::Locked`]; [`StateError::NotEmpty`] where it knows objects, unless `force` says that they are given
    /// up.
    async fn delete(&self, info: LockInfo, force: bool) -> Result<(), StateError>;

    /// [`Keyring::rekey`] for this state.
    async fn rekey(&self) -> Result<(), StateError> {
        self.keyring().rekey(self.lineage().await?).await
    }
}
