//! The local backend: a few files beside each other, and no server.
//!
//! `mesh.state` is the last compacted state, `mesh.state.journal` what came after it,
//! `mesh.state.lock` the lock, `mesh.state.key` the fingerprint key, `mesh.state.history/` one file a
//! serial. The one decision: the state and the journal are only ever replaced whole by a rename or
//! appended to, so a reader needs no lock, and a writer that lost its lock writes to a file that
//! nobody reads any more.

mod files;
mod follow;
mod history;
mod journal;
mod key;
mod kind;
mod load;
mod lock;

#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesh_model::Snapshot;

use crate::seal::Encryption;
use crate::{Backend, Capabilities, HistoryEntry, Keys, LockInfo, StateError, Writer};
use files::Paths;
pub use follow::Followed;
pub use kind::kind;
use load::Cached;
use lock::{Attempt, HeldLock};

/// How much history is kept; the two newest serials always are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// How many serials.
    pub entries: usize,
    /// How many bytes together.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { entries: 50, bytes: 512 << 20 }
    }
}

/// State in files on this machine.
#[derive(Clone, Debug)]
pub struct LocalBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    paths: Paths,
    retention: Retention,
    encryption: Option<Encryption>,
    /// A key that is not written (yet), for the life of this process.
    unsaved_key: Mutex<Option<key::Key>>,
    /// Sealed keys that were opened.
    opened_key: Mutex<Option<key::Key>>,
    /// The state file as it was last read: locking after planning does not parse it again.
    cache: Mutex<Option<Cached>>,
}

/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(50);

impl LocalBackend {
    /// The state in the file `path` (usually `mesh.state`) and its siblings. Touches nothing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with_retention(path, Retention::default())
    }

    /// With other limits for the history.
    pub fn with_retention(path: impl Into<PathBuf>, retention: Retention) -> Self {
        Self::open(path.into(), retention, None)
    }

    fn open(path: PathBuf, retention: Retention, encryption: Option<Encryption>) -> Self {
        Self::at(Paths::new(path), retention, encryption)
    }

    fn at(paths: Paths, retention: Retention, encryption: Option<Encryption>) -> Self {
        let shared = Shared {
            paths,
            retention,
            encryption,
            unsaved_key: Mutex::default(),
            opened_key: Mutex::default(),
            cache: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// With keys that are sealed for these.
    #[must_use]
    pub fn encrypted(self, encryption: Encryption) -> Self {
        Self::at(self.shared.paths.clone(), self.shared.retention, Some(encryption))
    }

    /// The state file.
    pub fn path(&self) -> &Path {
        &self.shared.paths.state
    }

    /// Opens the keys of a lineage that is kept elsewhere, before anything below asks for them.
    ///
    /// # Errors
    /// As [`Backend::keys`]; so for the next three.
    pub async fn open_keys_of(&self, lineage: Option<String>) -> Result<(), StateError> {
        self.shared.open_keys(|| Ok(lineage)).await
    }

    /// The keys of a lineage that is kept elsewhere, with the lineage: new ones where there is none.
    pub async fn keys_of(&self, lineage: Option<String>, durable: bool) -> Result<(Arc<str>, Keys), StateError> {
        let key = self.blocking(move |shared| shared.key_of(lineage, durable)).await?;
        Ok((key.lineage.clone(), key.keys(self.shared.encryption.is_some())))
    }

    /// [`Backend::rekey`] for a lineage that is kept elsewhere.
    pub async fn rekey_of(&self, lineage: Option<String>) -> Result<(), StateError> {
        let key = self.blocking(move |shared| shared.key_of(lineage, true)).await?;
        self.seal(key).await
    }

    /// Keeps a key for those who are configured.
    async fn seal(&self, key: key::Key) -> Result<(), StateError> {
        let place = self.shared.paths.key.display().to_string();
        let key = key.sealed_for(&place, self.shared.encryption.as_ref()).await?;
        self.blocking(move |shared| shared.replace_key(&key)).await
    }

    /// The lineage of the key, if there is one.
    pub async fn key_lineage(&self) -> Result<Option<Arc<str>>, StateError> {
        self.blocking(Shared::key_lineage).await
    }

    /// Runs blocking work off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(result) => result,
            // Only when the runtime is shutting down.
            Err(e) => Err(StateError::io("working on", &self.shared.paths.state, &std::io::Error::other(e))),
        }
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn describe(&self) -> String {
        format!("local file {}", self.path().display())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { fencing: true, per_operation_journal: true, history: true }
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        self.shared.open_keys(|| self.shared.peek_lineage()).await?;
        let key = self.blocking(|shared| shared.key(false)).await?;
        Ok(key.keys(self.shared.encryption.is_some()))
    }

    async fn rekey(&self) -> Result<(), StateError> {
        self.shared.open_keys(|| self.shared.peek_lineage()).await?;
        let key = self.blocking(|shared| shared.key(true)).await?;
        self.seal(key).await
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.blocking(|shared| shared.load().map(|loaded| loaded.live.into_snapshot())).await
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        // Before the first change: who cannot open the keys changes nothing, and losing those who open them later
        // loses no result.
        self.shared.open_keys(|| self.shared.peek_lineage()).await?;
        let deadline = Instant::now() + wait;
        let mut patience = 3;
        loop {
            let info = info.clone();
            match self.blocking(move |shared| HeldLock::try_take(&shared.paths, info)).await? {
                Attempt::Taken(lock) => {
                    let shared = self.shared.clone();
                    let writer = self.blocking(move |_| writer::start(&shared, *lock)).await?;
                    return Ok(Box::new(writer));
                }
                Attempt::Held(holder) => {
                    // A look at the lock by another process holds it for microseconds, so even
                    // without waiting it is tried a few times.
                    patience -= 1;
                    if patience <= 0 && Instant::now() >= deadline {
                        return Err(StateError::Locked { place: self.path().display().to_string(), holder });
                    }
                    let pause = if patience > 0 { Duration::from_millis(2) } else { RETRY };
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        self.blocking(|shared| lock::look(&shared.paths)).await
    }

    async fn unlock(&self, id: &str) -> Result<(), StateError> {
        let id = id.to_owned();
        self.blocking(move |shared| lock::break_lock(&shared.paths, &id)).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        self.blocking(|shared| history::list(&shared.paths)).await
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        self.blocking(move |shared| history::read(&shared.paths, serial)).await
    }
}

/// The value in a mutex, also after a panic elsewhere: what it guards is always whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
