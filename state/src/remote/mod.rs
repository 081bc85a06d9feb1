//! State in a system elsewhere, over any [`Store`] of blobs.
//!
//! The one decision: what makes state safe is written once, here, over few promises of the system; a backend
//! is a [`Store`]. Blobs: `head` (which state is current, and the history), `states/` (compacted states, each written
//! once), `journal/` (a folder for each state, with a segment for each batch of operations), `lock` (the lease).

mod head;
mod keys;
mod lease;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesh_model::Snapshot;

pub use lease::LOCK;
pub use store::{Blob, Expected, Store, Version};

use crate::api::expect_empty;
use crate::format::Stored;
use crate::local::{Retention, locked};
use crate::seal::Encryption;
use crate::{Backend, Capabilities, HistoryEntry, Home, Keyring, Keys, LockInfo, Settings, StateError, Writer};
use keys::StoredKeys;
use lease::{Attempt, Lease};

/// How long a lease holds without a heartbeat.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// State in a store.
pub struct RemoteBackend {
    store: Arc<dyn Store>,
    keyring: Keyring,
    retention: Retention,
    lease: Duration,
    /// The compacted state that was read last, by its blob.
    cache: Mutex<Option<(String, Stored)>>,
}

impl RemoteBackend {
    /// State in `store`, with keys that nothing seals in the file `FILE.key`.
    pub fn new(store: Arc<dyn Store>, file: impl Into<PathBuf>, encryption: Option<Encryption>) -> Self {
        let keyring = Keyring::elsewhere(file, encryption, Arc::new(StoredKeys(store.clone())));
        Self { store, keyring, retention: Retention::default(), lease: LEASE, cache: Mutex::default() }
    }

    /// State in `store`, as the settings of a configuration open it.
    pub fn open(store: impl Store, settings: &Settings<'_>) -> Arc<dyn Home> {
        let (store, retention): (Arc<dyn Store>, _) = (Arc::new(store), settings.retention);
        let keyring = settings.keyring(Arc::new(StoredKeys(store.clone())));
        Arc::new(Self { store, keyring, retention, lease: LEASE, cache: Mutex::default() })
    }

    /// With another time that a lease holds without a heartbeat.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    async fn load(&self) -> Result<head::Loaded, StateError> {
        let lineage = self.keyring.lineage().await?;
        let cached = locked(&self.cache).clone();
        let left = lease::left(&*self.store).await?;
        let loaded = head::load(&*self.store, cached.as_ref(), lineage, left.as_ref()).await?;
        if let (Some((head, _)), None) = (&loaded.head, loaded.chain) {
            *locked(&self.cache) = Some((head.state.clone(), loaded.live.stored.clone()));
        }
        Ok(loaded)
    }
}

#[async_trait]
impl Home for RemoteBackend {
    fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    async fn lineage(&self) -> Result<Option<String>, StateError> {
        head::lineage(&*self.store).await
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        self.store.workspaces().await
    }

    async fn delete(&self, info: LockInfo, force: bool) -> Result<(), StateError> {
        let store = &self.store;
        let lease = match Lease::try_take(store.clone(), info, self.lease).await? {
            Attempt::Taken(lease) => lease,
            Attempt::Held(holder) => return Err(StateError::Locked { place: store.place(), holder }),
            Attempt::Raced => return Err(StateError::LockLost { place: store.place() }),
        };
        let known = if force { Ok(()) } else { self.snapshot().await.and_then(|s| expect_empty(&s, &store.place())) };
        if let Err(error) = known {
            // The first error is the one to tell.
            let _ = lease.release(None).await;
            return Err(error);
        }
        *locked(&self.cache) = None;
        // The head first: what is left of a removal that was cut off is no state any more, and says so. The lock last.
        let mut names = store.list("").await?;
        names.sort_by_key(|name| (name != head::HEAD, name == LOCK));
        for name in names {
            store.remove(&name).await?;
        }
        self.keyring.remove_file()
    }
}

#[async_trait]
impl Backend for RemoteBackend {
    fn describe(&self) -> String {
        self.store.place()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { fencing: true, per_operation_journal: true, history: true }
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        self.keyring.open(self.lineage().await?, false).await.map(|(_, keys)| keys)
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.load().await.map(|loaded| loaded.live.into_snapshot())
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        let (lineage, _) = self.keyring.open(self.lineage().await?, true).await?;
        // Who cannot read what is there changes nothing, not even who may write.
        self.load().await?;
        let deadline = Instant::now() + wait;
        loop {
            match Lease::try_take(self.store.clone(), info.clone(), self.lease).await? {
                Attempt::Taken(lease) => {
                    let cached = locked(&self.cache).take();
                    let (store, retention) = (self.store.clone(), self.retention);
                    return Ok(Box::new(writer::start(store, *lease, lineage, retention, cached).await?));
                }
                Attempt::Raced => {}
                Attempt::Held(holder) if Instant::now() >= deadline => {
                    return Err(StateError::Locked { place: self.store.place(), holder });
                }
                Attempt::Held(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        lease::look(&*self.store).await
    }

    async fn unlock(&self, id: &str) -> Result<(), StateError> {
        let token = lease::look(&*self.store).await?.map_or(0, |info| info.token);
        lease::break_lock(&*self.store, id).await?;
        writer::fence(&*self.store, token, "was broken").await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        let kept = head::history(&*self.store).await?;
        Ok(kept.into_iter().filter_map(|k| k.meta.map(|m| m.entry(k.serial))).collect())
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        let kept = head::history(&*self.store).await?;
        let none = || {
            let range = kept.first().zip(kept.last()).map(|(a, b)| (a.serial, b.serial));
            StateError::NoSuchSerial { place: self.store.place(), serial, range }
        };
        let Some(found) = kept.iter().rev().find(|k| k.serial == serial) else { return Err(none()) };
        let Some(stored) = head::state(&*self.store, &found.name).await? else {
            // It may have been pruned since.
            let kept = head::history(&*self.store).await?.iter().any(|k| k.name == found.name);
            return Err(if kept { head::missing(&*self.store, &found.name) } else { none() });
        };
        Ok(Snapshot { open: stored.open.into_values().collect(), ..stored.snapshot })
    }
}
