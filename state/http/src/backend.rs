//! A state whose journal is on this machine and whose whole is on a server.
//!
//! The one decision: everything but handing over is the local backend's work, on a copy in `.mesh/http`. What a crash
//! leaves: a journal that this machine goes on with, or a state that was not handed over, which the next lock
//! does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesh_model::Snapshot;
use mesh_model::snapshot::Intent;
use mesh_state::local::Followed;
use mesh_state::{
    Backend, BadSetting, Capabilities, HistoryEntry, Home, Keyring, Keys, LocalBackend, LockInfo, Outputs, Record,
    STATE, Settings, StateError, Summary, Writer,
};
use sha2::{Digest as _, Sha256};

use crate::protocol::Server;

/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// State behind the http protocol.
#[derive(Clone)]
pub struct HttpBackend {
    server: Server,
    copy: LocalBackend,
}

impl HttpBackend {
    /// What the settings describe; nothing is asked yet.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, BadSetting> {
        Self::beside(settings, PathBuf::new())
    }

    /// The same with copy and keys in another folder.
    pub(crate) fn beside(settings: &Settings<'_>, folder: PathBuf) -> Result<Self, BadSetting> {
        if let Some(workspace) = settings.workspace {
            let why = format!(
                "One address is one state, so there is no workspace {workspace:?} here. Let a variable name another address instead."
            );
            return Err(BadSetting::of("address", why));
        }
        let server = Server::new(settings)?;
        let sum = Sha256::digest(server.name());
        let name: String = sum.iter().take(8).map(|b| format!("{b:02x}")).collect();
        let copy = settings.local(folder.join(".mesh/http").join(name).join(STATE));
        let keys = format!("{STATE}.key");
        Ok(Self { server, copy: copy.keyed_at(folder.join(keys)) })
    }

    /// Brings the copy up to date; what is to be handed over, if something is.
    async fn follow(&self) -> Result<Followed, StateError> {
        self.copy.follow(self.server.get().await?).await
    }

    async fn locked(&self, info: LockInfo) -> Result<HttpWriter, StateError> {
        if let Followed::Ahead(bytes) = self.follow().await? {
            self.server.put(&info.id, &bytes).await?;
        }
        let inner = self.copy.lock(info, Duration::ZERO).await?;
        // A stage that ended here and was cut off before it was compacted.
        if let Followed::Ahead(bytes) = self.follow().await? {
            self.server.put(&inner.lock_info().id, &bytes).await?;
        }
        Ok(HttpWriter { server: self.server.clone(), copy: self.copy.clone(), inner: Some(inner) })
    }
}

#[async_trait]
impl Home for HttpBackend {
    fn keyring(&self) -> &Keyring {
        self.copy.keyring()
    }

    async fn lineage(&self) -> Result<Option<String>, StateError> {
        self.follow().await?;
        self.copy.lineage().await
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _info: LockInfo, _force: bool) -> Result<(), StateError> {
        Err(StateError::Unusable {
            place: self.server.place(),
            why: "one address is one state, and only its server removes it".to_owned(),
            way_out: "Remove it there.".to_owned(),
        })
    }
}

#[async_trait]
impl Backend for HttpBackend {
    fn describe(&self) -> String {
        self.server.place()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { fencing: false, per_operation_journal: false, history: false }
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        self.follow().await?;
        self.copy.keys().await
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.follow().await?;
        self.copy.snapshot().await
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        self.copy.keys().await?;
        let deadline = Instant::now() + wait;
        loop {
            let Some(holder) = self.server.lock(&info).await? else { break };
            if Instant::now() >= deadline {
                return Err(StateError::Locked { place: self.server.place(), holder: Box::new(holder) });
            }
            tokio::time::sleep(RETRY).await;
        }
        match self.locked(info.clone()).await {
            Ok(writer) => Ok(Box::new(writer)),
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.server.unlock(&info).await;
                Err(error)
            }
        }
    }

    async fn unsettled(&self) -> Result<bool, StateError> {
        if self.copy.lock_info().await?.is_some_and(|holder| !holder.dead) {
            return Ok(false);
        }
        Ok(self.follow().await? != Followed::Same || self.copy.unsettled().await?)
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        // The protocol cannot be asked: this is what this machine knows.
        self.copy.lock_info().await
    }

    async fn unlock(&self, id: &str) -> Result<(), StateError> {
        match self.copy.lock_info().await? {
            Some(holder) if holder.id == id => self.copy.unlock(id).await?,
            Some(holder) => {
                let place = self.server.place();
                return Err(StateError::NoSuchLock { place, id: id.to_owned(), holder: Some(Box::new(holder)) });
            }
            None => {}
        }
        let mut info = LockInfo::new("mesh unlock", "", "");
        id.clone_into(&mut info.id);
        self.server.unlock(&info).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        self.copy.history().await
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        self.copy.at(serial).await
    }
}

/// Holds the lock there and the one here.
struct HttpWriter {
    server: Server,
    copy: LocalBackend,
    inner: Option<Box<dyn Writer>>,
}

impl HttpWriter {
    fn inner(&self) -> &dyn Writer {
        self.inner.as_deref().expect("it is taken by release and drop only")
    }

    async fn hand_over(&self) -> Result<(), StateError> {
        match self.copy.content().await? {
            Some(bytes) => self.server.put(&self.inner().lock_info().id, &bytes).await,
            None => Ok(()),
        }
    }
}

impl Drop for HttpWriter {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let (server, info) = (self.server.clone(), inner.lock_info().clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Nobody is there to hear of an error.
                let _ = inner.release().await;
                let _ = server.unlock(&info).await;
            });
        }
    }
}

#[async_trait]
impl Writer for HttpWriter {
    fn lock_info(&self) -> &LockInfo {
        self.inner().lock_info()
    }

    fn taken_over(&self) -> Option<&LockInfo> {
        self.inner().taken_over()
    }

    fn lost(&self) -> bool {
        self.inner().lost()
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.inner().snapshot().await
    }

    async fn open(&self) -> Result<Vec<(u64, Intent)>, StateError> {
        self.inner().open().await
    }

    async fn begin(&self, plan_digest: &str, command: &str) -> Result<(), StateError> {
        self.inner().begin(plan_digest, command).await
    }

    async fn intend(&self, intent: Intent) -> Result<u64, StateError> {
        self.inner().intend(intent).await
    }

    async fn record(&self, seq: Option<u64>, result: Record) -> Result<(), StateError> {
        self.inner().record(seq, result).await
    }

    async fn finish(&self, outputs: Outputs, summary: Summary) -> Result<Snapshot, StateError> {
        let snapshot = self.inner().finish(outputs, summary).await?;
        self.hand_over().await.map(|()| snapshot)
    }

    async fn edit(&self, changes: Vec<Record>, at_least: u64, summary: Summary) -> Result<Snapshot, StateError> {
        let snapshot = self.inner().edit(changes, at_least, summary).await?;
        self.hand_over().await.map(|()| snapshot)
    }

    async fn release(mut self: Box<Self>) -> Result<(), StateError> {
        let Some(inner) = self.inner.take() else { return Ok(()) };
        let info = inner.lock_info().clone();
        let released = inner.release().await;
        self.server.unlock(&info).await?;
        released
    }
}
