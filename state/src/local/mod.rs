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

use crate::api::expect_empty;
use crate::keyring::Keyring;
use crate::left::Left;
use crate::seal::Encryption;
use crate::{Backend, Capabilities, HistoryEntry, Home, Keys, LockInfo, StateError, Writer};
pub(crate) use files::{Paths, sync_folder};
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

#[derive(Clone, Debug)]
struct Setup {
    /// The file of the default workspace, beside which the others lie.
    base: PathBuf,
    paths: Paths,
    retention: Retention,
    encryption: Option<Encryption>,
}

#[derive(Debug)]
struct Shared {
    setup: Setup,
    paths: Paths,
    keyring: Keyring,
    /// The state file as it was last read: locking after planning does not parse it again.
    cache: Mutex<Option<Cached>>,
}

/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// The folder of the other workspaces of a state file.
fn workspaces(base: &Path) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".d");
    PathBuf::from(name)
}

/// The state file of a workspace: `mesh.state.d/NAME/mesh.state`.
pub(crate) fn workspace_file(base: &Path, workspace: &str) -> PathBuf {
    workspaces(base).join(workspace).join(base.file_name().unwrap_or_default())
}

impl LocalBackend {
    /// The state in the file `path` (usually `mesh.state`) and its siblings. Touches nothing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let base = path.into();
        let (paths, retention) = (Paths::new(base.clone()), Retention::default());
        Self::open(Setup { base, paths, retention, encryption: None })
    }

    fn open(setup: Setup) -> Self {
        let keyring = Keyring::at(setup.paths.clone(), setup.encryption.clone());
        let shared = Shared { paths: setup.paths.clone(), setup, keyring, cache: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The same with another setup.
    fn with(&self, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = self.shared.setup.clone();
        change(&mut setup);
        Self::open(setup)
    }

    /// With other limits for the history.
    #[must_use]
    pub fn retaining(self, retention: Retention) -> Self {
        self.with(|setup| setup.retention = retention)
    }

    /// With keys that are sealed for these.
    #[must_use]
    pub fn encrypted(self, encryption: Encryption) -> Self {
        self.with(|setup| setup.encryption = Some(encryption))
    }

    /// Another workspace than the default one.
    #[must_use]
    pub fn workspace(self, name: &str) -> Self {
        self.with(|setup| setup.paths = Paths::new(workspace_file(&setup.base, name)))
    }

    /// The state file.
    pub fn path(&self) -> &Path {
        &self.shared.paths.state
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
impl Home for LocalBackend {
    fn keyring(&self) -> &Keyring {
        &self.shared.keyring
    }

    async fn lineage(&self) -> Result<Option<String>, StateError> {
        self.blocking(Shared::peek_lineage).await
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        let folder = workspaces(&self.shared.setup.base);
        let io = |e: &std::io::Error| StateError::io("reading", &folder, e);
        let mut names = Vec::new();
        for entry in files::optional(std::fs::read_dir(&folder)).map_err(|e| io(&e))?.into_iter().flatten() {
            let name = entry.map_err(|e| io(&e))?.file_name().to_string_lossy().into_owned();
            let paths = Paths::new(workspace_file(&self.shared.setup.base, &name));
            if paths.state.exists() || paths.journal.exists() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    async fn delete(&self, info: LockInfo, force: bool) -> Result<(), StateError> {
        self.blocking(move |shared| {
            let paths = &shared.paths;
            let lock = match HeldLock::try_take(paths, info)? {
                Attempt::Taken(lock) => lock,
                Attempt::Held(holder) => {
                    return Err(StateError::Locked { place: paths.state.display().to_string(), holder });
                }
            };
            let removed = shared.remove(force);
            lock.release(paths, removed.is_ok().then(Left::default))?;
            removed?;
            paths.remove(&paths.lock)?;
            if shared.setup.base != paths.state {
                // Whatever else is in them stays.
                let _ = std::fs::remove_dir(&paths.folder)
                    .and_then(|()| std::fs::remove_dir(workspaces(&shared.setup.base)));
            }
            Ok(())
        })
        .await
    }
}

impl Shared {
    /// Removes everything but the lock, the history first: without a history a state that is gone was never there.
    fn remove(&self, force: bool) -> Result<(), StateError> {
        let paths = &self.paths;
        if !force {
            expect_empty(&self.load()?.live.into_snapshot(), &paths.state.display().to_string())?;
        }
        self.drop_cache();
        for path in [&paths.history, &paths.journal, &paths.state] {
            paths.remove(path)?;
        }
        self.keyring.remove_file()?;
        paths.remove_leftovers();
        Ok(())
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
        // In this order: whoever makes a state has made its keys before.
        let lineage = self.lineage().await?;
        self.keyring().open(lineage, false).await.map(|(_, keys)| keys)
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.blocking(|shared| shared.load().map(|loaded| loaded.live.into_snapshot())).await
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        // Before the first change: who cannot open the keys changes nothing, and losing those who open them later
        // loses no result.
        self.keyring().open(self.lineage().await?, true).await?;
        // Nor does who cannot read what is there.
        self.blocking(|shared| shared.load().map(drop)).await?;
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

    async fn unsettled(&self) -> Result<bool, StateError> {
        self.blocking(Shared::unsettled).await
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
