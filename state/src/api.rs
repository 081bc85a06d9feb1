//! The traits that the engine sees: a [`Backend`] to read and lock, a [`Writer`] that holds the lock.
//!
//! The one decision: writing is only possible through a value that stands for the lock, and each of
//! its writes is durable (or fenced off) when it returns. A backend that cannot promise one of these
//! says so in its [`Capabilities`], and the views print that.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mesh_model::change::Counts;
use mesh_model::snapshot::{Intent, StoredOutput};
use mesh_model::{Address, Fingerprinter, Instance, Snapshot};
use serde::{Deserialize, Serialize};

use crate::seal::Sealer;
use crate::{StateError, process};

/// Root outputs by name.
pub type Outputs = BTreeMap<Arc<str>, StoredOutput>;

/// What a backend can promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// A writer that has lost its lock can no longer change anything.
    pub fencing: bool,
    /// Each operation is durable on its own in the backend; without it the journal is kept on this
    /// machine until the stage ends.
    pub per_operation_journal: bool,
    /// Earlier serials can be read.
    pub history: bool,
}

/// Who holds a lock, since when, and for what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockInfo {
    /// Random; what `mesh unlock` wants to be given.
    pub id: String,
    /// The command that holds it: `mesh apply`.
    pub command: String,
    /// The person or account.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process on that machine.
    pub pid: u32,
    /// The same beyond doubt, for processes of that machine; `None` where the system does not tell enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// When it was taken.
    pub started: Timestamp,
    /// Until when it holds without a heartbeat; `None` where the operating system releases it when
    /// the process ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The fencing token: greater than that of every earlier lock. Set by the backend.
    #[serde(default)]
    pub token: u64,
    /// The holder is gone; the next [`Backend::lock`] takes over. Set by [`Backend::lock_info`].
    #[serde(skip)]
    pub dead: bool,
}

impl LockInfo {
    /// For this process, now. User and host come from the caller, since a library reads no
    /// environment.
    pub fn new(command: impl Into<String>, user: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            command: command.into(),
            user: user.into(),
            host: host.into(),
            pid: std::process::id(),
            process: process::own(),
            started: Timestamp::now(),
            expires: None,
            token: 0,
            dead: false,
        }
    }
}

/// `"mesh apply" by ada on host7 (process 4711) since 2026-01-02T03:04:05Z`.
impl fmt::Display for LockInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.round(jiff::Unit::Second).unwrap_or(self.started);
        write!(f, "{:?} by {} on {} (process {}) since {started}", self.command, self.user, self.host, self.pid)
    }
}

/// What one stage did, for the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// How many of which.
    pub counts: Counts,
    /// How many entries of state were edited without touching an object.
    pub edited: usize,
    /// Whether no later stage has to follow.
    pub complete: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.counts;
        if self.edited > 0 && c == Counts::default() {
            return write!(f, "{} edited in state", self.edited);
        }
        write!(f, "{} added, {} changed, {} destroyed", c.add, c.change, c.destroy)?;
        if c.import > 0 {
            write!(f, ", {} imported", c.import)?;
        }
        if c.forget > 0 {
            write!(f, ", {} forgotten", c.forget)?;
        }
        if self.complete { Ok(()) } else { f.write_str("; more stages to come") }
    }
}

/// The keys of a lineage.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Makes fingerprints.
    pub fingerprinter: Fingerprinter,
    /// Seals values; `None` where no encryption is configured.
    pub sealer: Option<Sealer>,
    /// Whether they are kept for others than are configured: [`crate::Home::rekey`] is due.
    pub stale: bool,
}

/// One serial in the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// The serial.
    pub serial: u64,
    /// When its stage ended.
    pub when: Timestamp,
    /// Who: `ada@host7`.
    pub who: String,
    /// The command.
    pub command: String,
    /// The digest of the plan; empty for a command that had none.
    pub digest: String,
    /// What was done.
    pub summary: Summary,
}

/// A result: how the snapshot changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The instance is now this: the current one, or the deposed one under a key.
    Put {
        /// The instance's address.
        address: Address,
        /// The key of a deposed object.
        deposed: Option<Arc<str>>,
        /// What is known of it.
        instance: Arc<Instance>,
    },
    /// State knows the object no longer (deleted, or forgotten).
    Remove {
        /// The instance's address.
        address: Address,
        /// The key of a deposed object.
        deposed: Option<Arc<str>>,
    },
    /// The current object of `address` becomes deposed under `key`; there is then no current one.
    Depose {
        /// The instance's address.
        address: Address,
        /// A key that is not in use at this address.
        key: Arc<str>,
    },
    /// The opposite: the deposed object becomes the current one again.
    Restore {
        /// The instance's address, which has no current object.
        address: Address,
        /// The key.
        key: Arc<str>,
    },
    /// The object, with its deposed ones, has another address from now on.
    Move {
        /// Where it was.
        from: Address,
        /// Where it is; nothing may be there.
        to: Address,
    },
    /// All root outputs.
    Outputs(Outputs),
    /// Nothing happened: the operation was rejected, or was looked up and had not taken place.
    Nothing,
}

/// A place that keeps state.
///
/// Reading takes no lock and never waits for a writer.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What it is and where, for people: `local file mesh.state`.
    fn describe(&self) -> String;

    /// What it can promise.
    fn capabilities(&self) -> Capabilities;

    /// The keys of this lineage. For a state that does not exist yet this makes the lineage and its
    /// keys (and keeps them where the backend keeps keys, which is no change of the state), so that a
    /// plan before the first apply has the digest that the apply will find.
    ///
    /// # Errors
    /// [`StateError::Key`] when the state exists and its keys do not, are another lineage's, or are sealed
    /// for others.
    async fn keys(&self) -> Result<Keys, StateError>;

    /// The maker of fingerprints of this lineage: see [`Backend::keys`].
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError> {
        self.keys().await.map(|k| k.fingerprinter)
    }

    /// What is known now, results and open intents of a running apply included. Without a state:
    /// serial 0, no instances, and the lineage that [`Backend::fingerprinter`] made (empty before).
    async fn snapshot(&self) -> Result<Snapshot, StateError>;

    /// Takes the lock, trying for up to `wait`. The lock of a dead process is taken over; open
    /// intents that it left are in [`Writer::open`].
    ///
    /// # Errors
    /// [`StateError::Locked`] with the holder.
    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError>;

    /// Whether an earlier run left something on this machine that is not where it belongs (a journal that is not part of
    /// the state, a state that was not handed over), and nobody is at it: the next lock, with the end of the stage
    /// if that is missing, brings it there.
    async fn unsettled(&self) -> Result<bool, StateError> {
        Ok(false)
    }

    /// The lock that is held, or was left by a dead process (then [`LockInfo::dead`]).
    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError>;

    /// Breaks the lock with this id. Its holder, if it still lives, can write nothing more.
    async fn unlock(&self, id: &str) -> Result<(), StateError>;

    /// The serials that can be read with [`Backend::at`], oldest first.
    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError>;

    /// The snapshot of an earlier serial.
    ///
    /// # Errors
    /// [`StateError::NoSuchSerial`].
    async fn at(&self, serial: u64) -> Result<Snapshot, StateError>;
}

/// Holds the lock and writes. Calls may run concurrently: what arrives together is made durable
/// together. Dropping it releases the lock, too, without waiting for that.
#[async_trait]
pub trait Writer: Send + Sync {
    /// The lock that this stands for, its fencing token included.
    fn lock_info(&self) -> &LockInfo;

    /// The dead holder whose lock was taken over.
    fn taken_over(&self) -> Option<&LockInfo>;

    /// Whether the lock was lost. From then on every write fails with [`StateError::LockLost`].
    fn lost(&self) -> bool;

    /// What is known now.
    async fn snapshot(&self) -> Result<Snapshot, StateError>;

    /// Open intents with their sequence numbers, oldest first. Each is closed by a
    /// [`Writer::record`] with its number, also across processes and serials.
    async fn open(&self) -> Result<Vec<(u64, Intent)>, StateError>;

    /// A stage begins: `Snapshot::unfinished` is this digest until [`Writer::finish`].
    async fn begin(&self, plan_digest: &str, command: &str) -> Result<(), StateError>;

    /// What is about to be done; durable when this returns. Gives the sequence number.
    async fn intend(&self, intent: Intent) -> Result<u64, StateError>;

    /// What came of it; durable when this returns. `seq` closes that intent; `None` for changes of
    /// state alone (a move, a depose, a refresh). An outcome in doubt has no record: its intent
    /// stays open.
    ///
    /// # Errors
    /// [`StateError::Refused`] for a value that must not be stored, an intent that is not open, or a
    /// move, depose or restore that would overwrite an object; then nothing was written.
    async fn record(&self, seq: Option<u64>, result: Record) -> Result<(), StateError>;

    /// The stage is complete: the outputs are stored, the serial advances, the journal is compacted,
    /// the history has one entry more, nothing is unfinished. Open intents stay open. A stage that
    /// failed is *not* finished: release, and the same command resumes it.
    ///
    /// # Errors
    /// When only compaction failed (a full disk), the stage is complete nevertheless: the next
    /// command that locks compacts.
    async fn finish(&self, outputs: Outputs, summary: Summary) -> Result<Snapshot, StateError>;

    /// State alone is edited: all of `changes` at once, in their order, as a serial of its own, the next
    /// one or `at_least`. After a crash state is as it was before, or as it is after. Nothing is
    /// unfinished then; open intents stay open, and outputs stay unless they are among the changes.
    ///
    /// # Errors
    /// [`StateError::Refused`] as for [`Writer::record`], for the changes one after the other; then nothing
    /// was written. Else as [`Writer::finish`].
    async fn edit(&self, changes: Vec<Record>, at_least: u64, summary: Summary) -> Result<Snapshot, StateError>;

    /// Gives the lock back, after everything that was handed over is durable.
    async fn release(self: Box<Self>) -> Result<(), StateError>;
}

/// Refuses a snapshot of another lineage than expected (a saved plan's, for example).
///
/// # Errors
/// [`StateError::Lineage`].
pub fn expect_lineage(snapshot: &Snapshot, expected: &str, place: &str) -> Result<(), StateError> {
    if *snapshot.lineage == *expected {
        return Ok(());
    }
    Err(StateError::Lineage {
        place: place.to_owned(),
        expected: expected.to_owned(),
        found: snapshot.lineage.to_string(),
    })
}

/// Refuses to give up what a snapshot knows.
///
/// # Errors
/// [`StateError::NotEmpty`].
pub fn expect_empty(snapshot: &Snapshot, place: &str) -> Result<(), StateError> {
    let objects = snapshot.instances.len() + snapshot.deposed.len() + snapshot.open.len();
    if objects == 0 {
        return Ok(());
    }
    Err(StateError::NotEmpty { place: place.to_owned(), objects })
}
