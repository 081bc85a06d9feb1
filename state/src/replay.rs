//! A snapshot with the journal replayed over it.
//!
//! The one decision: readers and the writer apply entries by the same code, in the order of their
//! numbers, so what a reader sees is what the writer knows.

use std::sync::Arc;

use mesh_model::Snapshot;
use mesh_model::snapshot::Unfinished;

use crate::format::{Entry, Meta, Stored};
use crate::{Record, StateError, Summary};

/// What is known, kept up to date entry by entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    /// The base, as changed by the entries.
    pub(crate) stored: Stored,
    /// Whether a stage ended since the base: its serial is not compacted yet.
    pub(crate) finished: bool,
    /// The command of the stage that was begun last.
    pub(crate) command: Option<Arc<str>>,
}

impl Live {
    pub(crate) fn new(stored: Stored) -> Self {
        Self { stored, finished: false, command: None }
    }

    /// The snapshot with its open intents.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { open: self.stored.open.values().cloned().collect(), ..self.stored.snapshot.clone() }
    }

    /// Who ends the stage that was begun, and with what.
    pub(crate) fn finishing(&self, who: String, command: &str, summary: Summary) -> Meta {
        let digest = self.stored.snapshot.unfinished.as_ref().map_or_else(String::new, |u| u.digest.to_string());
        Meta::new(who, self.command.as_deref().unwrap_or(command).to_owned(), digest, summary)
    }

    /// Takes one entry in.
    pub(crate) fn apply(&mut self, seq: u64, entry: Entry) {
        self.stored.seq = seq;
        let snapshot = &mut self.stored.snapshot;
        match entry {
            Entry::Begin { digest, command } => {
                snapshot.unfinished = Some(Unfinished { digest });
                self.command = Some(command);
            }
            Entry::Intend(intent) => {
                self.stored.open.insert(seq, intent);
            }
            Entry::Result { closes, record } => {
                if let Some(seq) = closes {
                    self.stored.open.remove(&seq);
                }
                apply(snapshot, record);
            }
            Entry::Finish { outputs, meta } => {
                snapshot.outputs = outputs;
                snapshot.unfinished = None;
                snapshot.serial += 1;
                self.stored.meta = Some(meta);
                self.finished = true;
                self.command = None;
            }
            Entry::Edit { changes, serial, meta } => {
                for record in changes {
                    apply(snapshot, record);
                }
                snapshot.unfinished = None;
                snapshot.serial = serial;
                self.stored.meta = Some(meta);
                self.finished = true;
                self.command = None;
            }
        }
    }

    /// Refuses a result that would lose an object or that closes nothing.
    pub(crate) fn check(&self, closes: Option<u64>, record: &Record) -> Result<(), StateError> {
        let snapshot = &self.stored.snapshot;
        let current = |a| snapshot.instances.contains_key(a);
        let deposed = |a: &_, k: &Arc<str>| snapshot.deposed.contains_key(&(Clone::clone(a), k.clone()));
        let what = match record {
            _ if closes.is_some_and(|seq| !self.stored.open.contains_key(&seq)) => {
                "a result for an operation that is not open".to_owned()
            }
            Record::Depose { address, .. } if !current(address) => format!("deposing {address}, which is not there"),
            Record::Depose { address, key } if deposed(address, key) => {
                format!("deposing {address} over a deposed object of the same key")
            }
            Record::Restore { address, .. } if current(address) => format!("restoring {address} over its new object"),
            Record::Restore { address, key } if !deposed(address, key) => {
                format!("restoring {address} from a deposed object that is not there")
            }
            Record::Move { from, to } if current(to) || first_deposed(snapshot, to) => {
                format!("moving {from} over {to}")
            }
            Record::Move { from, .. } if !current(from) && !first_deposed(snapshot, from) => {
                format!("moving {from}, which is not there")
            }
            _ => return Ok(()),
        };
        Err(StateError::Refused { what })
    }
}

/// Refuses changes of which one would lose an object, after those before it.
pub(crate) fn check_all(live: &Live, changes: &[Record]) -> Result<(), StateError> {
    let mut trial = Live::new(Stored { snapshot: live.stored.snapshot.clone(), ..Stored::default() });
    for record in changes {
        trial.check(None, record)?;
        apply(&mut trial.stored.snapshot, record.clone());
    }
    Ok(())
}

fn first_deposed(snapshot: &Snapshot, address: &mesh_model::Address) -> bool {
    snapshot.deposed.range((address.clone(), Arc::from(""))..).next().is_some_and(|((a, _), _)| a == address)
}

fn apply(snapshot: &mut Snapshot, record: Record) {
    match record {
        Record::Put { address, deposed: None, instance } => {
            snapshot.instances.insert(address, instance);
        }
        Record::Put { address, deposed: Some(key), instance } => {
            snapshot.deposed.insert((address, key), instance);
        }
        Record::Remove { address, deposed: None } => {
            snapshot.instances.remove(&address);
        }
        Record::Remove { address, deposed: Some(key) } => {
            snapshot.deposed.remove(&(address, key));
        }
        Record::Depose { address, key } => {
            if let Some(instance) = snapshot.instances.remove(&address) {
                snapshot.deposed.insert((address, key), instance);
            }
        }
        Record::Restore { address, key } => {
            let deposed = (address, key);
            if let Some(instance) = snapshot.deposed.remove(&deposed) {
                snapshot.instances.insert(deposed.0, instance);
            }
        }
        Record::Move { from, to } => {
            if let Some(instance) = snapshot.instances.remove(&from) {
                snapshot.instances.insert(to.clone(), instance);
            }
            while let Some(key) = snapshot
                .deposed
                .range((from.clone(), Arc::from(""))..)
                .next()
                .filter(|((a, _), _)| *a == from)
                .map(|(k, _)| k.clone())
            {
                if let Some(instance) = snapshot.deposed.remove(&key) {
                    snapshot.deposed.insert((to.clone(), key.1), instance);
                }
            }
        }
        Record::Outputs(outputs) => snapshot.outputs = outputs,
        Record::Nothing => {}
    }
}
