//! The state of a test at its end: what it made may go, protected or not.
//!
//! The one decision: protection is for what others depend on. What a test made is its own, and its state
//! ends with it, so an object that stayed would stay for good; where destroying looks, nothing is
//! protected.

use std::sync::Arc;
use std::time::Duration;

use mesh_lang::Config;
use mesh_model::{Instance, Snapshot};
use mesh_sdk::async_trait;
use mesh_state::{Backend, Capabilities, HistoryEntry, Keys, LockInfo, StateError, Writer};

/// A configuration in which nothing is protected.
pub(super) fn unprotected(config: &Config) -> Config {
    let mut config = config.clone();
    for block in config.modules.iter_mut().flat_map(|m| &mut m.resources) {
        block.lifecycle.prevent_destroy = None;
    }
    config
}

/// A state in which nothing is protected.
pub(super) struct Unprotected<'b>(pub(super) &'b dyn Backend);

fn bare(instance: &mut Arc<Instance>) {
    if instance.protected {
        *instance = Arc::new(Instance { protected: false, ..(**instance).clone() });
    }
}

#[async_trait]
impl Backend for Unprotected<'_> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        self.0.keys().await
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        let mut snapshot = self.0.snapshot().await?;
        snapshot.instances.values_mut().chain(snapshot.deposed.values_mut()).for_each(bare);
        Ok(snapshot)
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        self.0.lock(info, wait).await
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        self.0.lock_info().await
    }

    async fn unlock(&self, id: &str) -> Result<(), StateError> {
        self.0.unlock(id).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        self.0.history().await
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        self.0.at(serial).await
    }
}
