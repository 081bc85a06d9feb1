//! State in a system elsewhere, over any [`Store`] of blobs.
//!
//! The one decision: what makes state safe is written once, here, over few promises of the system; a backend
//! is a [`Store`]. Blobs: `head` (which state is current, and the history), `states/` (compacted states, each written
//! once), `journal/` (a folder for each state, with a segment for each batch of operations), `lock` (the lease).

mod head;
mod lease;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesh_model::Snapshot;

pub use lease::LOCK;
pub use store::{Blob, Expected, Store, Version};

use crate::format::Stored;
use crate::local::{LocalBackend, Retention, locked};
use crate::{Backend, Capabilities, HistoryEntry, Keys, LockInfo, STATE, Settings, StateError, Writer};
use lease::{Attempt, Lease};

/// How long a lease holds without a heartbeat.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// State in a store.
pub struct RemoteBackend {
    store: Arc<dyn Store>,
    /// Where the fingerprint key is.
    keys: LocalBackend,
    retention: Retention,
    lease: Duration,
    /// The compacted state that was read last, by its blob.
    cache: Mutex<Option<(String, Stored)>>,
}

impl RemoteBackend {
    /// State in `store`, with the fingerprint key in the file that `keys` has its key in.
    pub fn new(store: Arc<dyn Store>, keys: LocalBackend) -> Self {
        Self { store, keys, retention: Retention::default(), lease: LEASE, cache: Mutex::default() }
    }

    /// State in `store`, as the settings of a configuration open it: with the keys in the root folder.
    pub fn open(store: impl Store, settings: &Settings<'_>) -> Arc<dyn Backend> {
        Arc::new(Self::new(Arc::new(store), settings.local(STATE)))
    }

    /// With another time that a lease holds without a heartbeat.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    async fn key(&self, durable: bool) -> Result<(Arc<str>, Keys), StateError> {
        let lineage = head::lineage(&*self.store).await?;
        self.keys.open_keys_of(lineage.clone()).await?;
        self.keys.keys_of(lineage, durable).await.map_err(|e| e.about_keys_of(&self.store.place()))
    }

    async fn load(&self) -> Result<head::Loaded, StateError> {
        let lineage = self.keys.key_lineage().await?;
        let cached = locked(&self.cache).clone();
        let loaded = head::load(&*self.store, cached.as_ref(), lineage).await?;
        if let (Some((head, _)), None) = (&loaded.head, loaded.chain) {
            *locked(&self.cache) = Some((head.state.clone(), loaded.live.stored.clone()));
        }
        Ok(loaded)
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
        self.key(false).await.map(|(_, keys)| keys)
    }

    async fn rekey(&self) -> Result<(), StateError> {
        let lineage = head::lineage(&*self.store).await?;
        self.keys.open_keys_of(lineage.clone()).await?;
        self.keys.rekey_of(lineage).await
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.load().await.map(|loaded| loaded.live.into_snapshot())
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        let (lineage, _) = self.key(true).await?;
        let deadline = Instant::now() + wait;
        loop {
            match Lease::try_take(self.store.clone(), info.clone(), self.lease).await? {
                Attempt::Taken(lease) => {
                    *locked(&self.cache) = None;
                    let (store, retention) = (self.store.clone(), self.retention);
                    return Ok(Box::new(writer::start(store, *lease, lineage, retention).await?));
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
        let head = head::head(&*self.store).await?;
        let kept = head.map_or_else(Vec::new, |(h, _)| h.history);
        Ok(kept.into_iter().filter_map(|k| k.meta.map(|m| m.entry(k.serial))).collect())
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        let kept = head::head(&*self.store).await?.map_or_else(Vec::new, |(h, _)| h.history);
        let none = || {
            let range = kept.first().zip(kept.last()).map(|(a, b)| (a.serial, b.serial));
            StateError::NoSuchSerial { place: self.store.place(), serial, range }
        };
        let Some(found) = kept.iter().rev().find(|k| k.serial == serial) else { return Err(none()) };
        // It may have been pruned since.
        let Some(stored) = head::state(&*self.store, &found.name).await? else { return Err(none()) };
        Ok(Snapshot { open: stored.open.into_values().collect(), ..stored.snapshot })
    }
}
