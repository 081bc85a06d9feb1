//! What this machine has seen last of each state: a backup that was put back, a state that is gone or another one is
//! noticed before anything is planned from it.
//!
//! The one decision: the memory is a file in the root folder, one entry a workspace, whatever the backend; so a
//! backend block that was changed is noticed as well. Only what knew objects is missed: nothing is lost with an empty
//! state. The file is a help, no lock: where it cannot be written, nothing is remembered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesh_model::Snapshot;
use mesh_model::snapshot::Intent;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::versioned;
use crate::local::Paths;
use crate::{
    Backend, Capabilities, HistoryEntry, Home, Keyring, Keys, LockInfo, Outputs, Record, StateError, Summary, Writer,
};

const VERSION: u64 = 1;

/// Where states were: the type of the backend and its settings, without what is sensitive.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The type.
    pub backend: String,
    /// The settings, as an object.
    pub settings: Json,
}

/// One state as it was seen last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// Its lineage.
    pub lineage: String,
    /// Its serial.
    pub serial: u64,
    /// How many objects it knew.
    pub objects: usize,
}

impl Last {
    fn of(snapshot: &Snapshot) -> Self {
        let objects = snapshot.instances.len() + snapshot.deposed.len();
        Self { lineage: snapshot.lineage.to_string(), serial: snapshot.serial, objects }
    }
}

/// What is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    mesh_seen: u64,
    /// Where the states were.
    pub origin: Option<Origin>,
    /// The states by their workspaces.
    pub states: BTreeMap<String, Last>,
}

impl Memory {
    /// Of no state yet, in this place.
    pub fn at(origin: Origin) -> Self {
        Self { origin: Some(origin), ..Self::default() }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { mesh_seen: VERSION, origin: None, states: BTreeMap::new() }
    }
}

/// The file of what is remembered.
#[derive(Clone, Debug)]
pub struct Seen(PathBuf);

impl Seen {
    /// In this file.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self(file.into())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is remembered.
    ///
    /// # Errors
    /// A file that cannot be read, or was written by a newer `mesh`.
    pub fn read(&self) -> Result<Memory, StateError> {
        let place = self.0.display().to_string();
        let Some(bytes) = Paths::new(self.0.clone()).read(&self.0)? else { return Ok(Memory::default()) };
        versioned(&place, "mesh_seen", VERSION, &bytes, || {
            "It only tells what this machine has seen last: look whether state is the one that you expect, then remove the \
             file."
                .into()
        })
    }

    /// Remembers something else.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, memory: &Memory) -> Result<(), StateError> {
        let paths = Paths::new(self.0.clone());
        let bytes =
            serde_json::to_vec(memory).map_err(|e| StateError::remote("writing", &self.0.display().to_string(), e))?;
        paths.make_folder()?;
        paths.replace(&self.0, &[&bytes], &|| Ok(())).map(drop)
    }
}

/// A state that is compared with what was seen last.
pub struct Watched {
    inner: Arc<dyn Home>,
    watch: Arc<Watch>,
}

struct Watch {
    seen: Seen,
    origin: Origin,
    workspace: String,
    /// Whether it must be there.
    named: bool,
    place: String,
}

impl Watched {
    /// `workspace` is the name to remember it by; a `named` one must have been made.
    pub fn new(inner: Arc<dyn Home>, seen: Seen, origin: Origin, workspace: &str, named: bool) -> Self {
        let (workspace, place) = (workspace.to_owned(), inner.describe());
        Self { inner, watch: Arc::new(Watch { seen, origin, workspace, named, place }) }
    }
}

impl Watch {
    fn check(&self, now: &Snapshot) -> Result<(), StateError> {
        let memory = self.seen.read()?;
        let known = memory.states.get(&self.workspace);
        if let Some(last) = known.filter(|last| last.objects > 0) {
            let file = self.seen.path().display();
            let there = if is_there(now) { "now another one is there" } else { "there is none now" };
            let gone = *now.lineage != *last.lineage || !is_there(now);
            if gone || now.serial < last.serial {
                let why = if gone {
                    format!(
                        "this folder knows a state of lineage {} with serial {} and {} objects, and {there}",
                        last.lineage, last.serial, last.objects
                    )
                } else {
                    format!("it has serial {}, and this machine has seen serial {} of it", now.serial, last.serial)
                };
                let way_out = format!(
                    "Planning from it would make objects again that are there. If the backend block was changed, `mesh init \
                     -migrate-state` brings the state along. If an older state was put back, or a new one is to begin, `mesh init \
                     -reconfigure` accepts what is there ({file} is what this machine remembers)."
                );
                return Err(StateError::Other { place: self.place.clone(), why, way_out });
            }
        } else if self.named && !is_there(now) {
            return Err(StateError::NoWorkspace { place: self.place.clone(), workspace: self.workspace.clone() });
        }
        self.remember(memory, Last::of(now));
        Ok(())
    }

    /// Whether there is something to miss.
    fn misses(&self) -> Result<bool, StateError> {
        Ok(self.seen.read()?.states.get(&self.workspace).is_some_and(|last| last.objects > 0))
    }

    fn remember(&self, mut memory: Memory, last: Last) {
        if (last.serial, last.objects) == (0, 0)
            || (memory.states.get(&self.workspace) == Some(&last) && memory.origin.as_ref() == Some(&self.origin))
        {
            return;
        }
        memory.states.insert(self.workspace.clone(), last);
        memory.origin = Some(self.origin.clone());
        // A folder that cannot be written can be planned in.
        let _ = self.seen.write(&memory);
    }

    fn after(&self, last: Last) {
        if let Ok(memory) = self.seen.read() {
            self.remember(memory, last);
        }
    }
}

/// Whether there is a state at all: a first stage that did not end has no serial yet.
fn is_there(now: &Snapshot) -> bool {
    now.serial > 0 || now.unfinished.is_some() || !now.instances.is_empty() || !now.open.is_empty()
}

#[async_trait]
impl Home for Watched {
    fn keyring(&self) -> &Keyring {
        self.inner.keyring()
    }

    async fn lineage(&self) -> Result<Option<String>, StateError> {
        self.inner.lineage().await
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        self.inner.workspaces().await
    }

    async fn delete(&self, info: LockInfo, force: bool) -> Result<(), StateError> {
        self.inner.delete(info, force).await
    }
}

#[async_trait]
impl Backend for Watched {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        // Asking for keys where there is no state makes some, which would stand in the way of those that are to come.
        if (self.watch.named || self.watch.misses()?) && self.inner.lineage().await?.is_none() {
            self.watch.check(&Snapshot::default())?;
        }
        self.inner.keys().await
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        let snapshot = self.inner.snapshot().await?;
        self.watch.check(&snapshot).map(|()| snapshot)
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        let inner = self.inner.lock(info, wait).await?;
        Ok(Box::new(WatchedWriter { inner, watch: self.watch.clone() }))
    }

    async fn unsettled(&self) -> Result<bool, StateError> {
        self.inner.unsettled().await
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        self.inner.lock_info().await
    }

    async fn unlock(&self, id: &str) -> Result<(), StateError> {
        self.inner.unlock(id).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        self.inner.history().await
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        self.inner.at(serial).await
    }
}

struct WatchedWriter {
    inner: Box<dyn Writer>,
    watch: Arc<Watch>,
}

#[async_trait]
impl Writer for WatchedWriter {
    fn lock_info(&self) -> &LockInfo {
        self.inner.lock_info()
    }

    fn taken_over(&self) -> Option<&LockInfo> {
        self.inner.taken_over()
    }

    fn lost(&self) -> bool {
        self.inner.lost()
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        self.inner.snapshot().await
    }

    async fn open(&self) -> Result<Vec<(u64, Intent)>, StateError> {
        self.inner.open().await
    }

    async fn begin(&self, plan_digest: &str, command: &str) -> Result<(), StateError> {
        self.inner.begin(plan_digest, command).await?;
        // Whatever becomes of the stage: from now on there is something to miss.
        let last = Last::of(&self.inner.snapshot().await?);
        self.watch.after(Last { objects: last.objects.max(1), ..last });
        Ok(())
    }

    async fn intend(&self, intent: Intent) -> Result<u64, StateError> {
        self.inner.intend(intent).await
    }

    async fn record(&self, seq: Option<u64>, result: Record) -> Result<(), StateError> {
        self.inner.record(seq, result).await
    }

    async fn finish(&self, outputs: Outputs, summary: Summary) -> Result<Snapshot, StateError> {
        let snapshot = self.inner.finish(outputs, summary).await?;
        self.watch.after(Last::of(&snapshot));
        Ok(snapshot)
    }

    async fn edit(&self, changes: Vec<Record>, at_least: u64, summary: Summary) -> Result<Snapshot, StateError> {
        let snapshot = self.inner.edit(changes, at_least, summary).await?;
        self.watch.after(Last::of(&snapshot));
        Ok(snapshot)
    }

    async fn release(self: Box<Self>) -> Result<(), StateError> {
        if let Ok(snapshot) = self.inner.snapshot().await {
            self.watch.after(Last::of(&snapshot));
        }
        self.inner.release().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalBackend;
    use crate::conformance::sample::{lock, put};

    type Failure = Box<dyn std::error::Error>;

    fn watched(folder: &Path, file: &str, named: bool) -> Watched {
        let origin = Origin { backend: "local".into(), settings: serde_json::json!({ "path": file }) };
        let inner = Arc::new(LocalBackend::new(folder.join(file)));
        Watched::new(inner, Seen::new(folder.join(".mesh/seen.json")), origin, "default", named)
    }

    async fn serial(backend: &Watched, n: usize) -> Result<(), StateError> {
        let writer = lock(backend).await?;
        writer.record(None, put(n)).await?;
        writer.finish(Outputs::new(), Summary::default()).await?;
        writer.release().await
    }

    #[tokio::test]
    async fn an_older_state_another_one_and_none_are_noticed() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let (here, path) = (|| watched(folder.path(), "s", false), |name: &str| folder.path().join(name));
        serial(&here(), 1).await?;
        let first = std::fs::read(path("s"))?;
        serial(&here(), 2).await?;
        let second = std::fs::read(path("s"))?;
        here().snapshot().await?;
        std::fs::remove_file(path("s.lock"))?;
        std::fs::write(path("s"), first)?;
        let older = here().snapshot().await.expect_err("an older one").to_string();
        assert!(
            older.contains("serial 1") && older.contains("seen serial 2") && older.contains("-reconfigure"),
            "{older}"
        );
        std::fs::write(path("s"), second)?;
        here().snapshot().await?;
        let elsewhere = watched(folder.path(), "t", false);
        let none = elsewhere.snapshot().await.expect_err("none").to_string();
        assert!(none.contains("there is none now") && none.contains("-migrate-state"), "{none}");
        // Another one begins there, without looking.
        let writer = lock(&*elsewhere.inner).await?;
        writer.record(None, put(3)).await?;
        writer.finish(Outputs::new(), Summary::default()).await?;
        writer.release().await?;
        let other = elsewhere.snapshot().await.expect_err("another").to_string();
        assert!(other.contains("now another one is there"), "{other}");
        std::fs::remove_file(path(".mesh/seen.json"))?;
        elsewhere.snapshot().await?;
        assert_eq!(Seen::new(path(".mesh/seen.json")).read()?.states["default"].serial, 1);
        std::fs::write(path(".mesh/seen.json"), "{\"mesh_seen\":9}")?;
        assert!(matches!(elsewhere.snapshot().await, Err(StateError::Newer { version: 9, .. })));
        std::fs::write(path(".mesh/seen.json"), "{")?;
        assert!(matches!(elsewhere.snapshot().await, Err(StateError::Corrupt { .. })));
        Ok(())
    }

    #[tokio::test]
    async fn a_named_workspace_must_have_been_made() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let named = watched(folder.path(), "s", true);
        assert!(matches!(named.snapshot().await, Err(StateError::NoWorkspace { .. })));
        let writer = lock(&*named.inner).await?;
        writer.edit(Vec::new(), 1, Summary::default()).await?;
        writer.release().await?;
        assert_eq!(named.snapshot().await?.serial, 1);
        Ok(())
    }
}
