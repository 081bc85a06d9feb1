//! State in memory, and the points at which a process may end.
//!
//! The one decision: what was recorded is there when the future that recorded it is dropped, as with a
//! real backend after a kill; so a run ends at any point, and the next one begins from what is left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_model::snapshot::{Intent, Unfinished};
use mesh_model::{Fingerprinter, Snapshot};
use mesh_sdk::async_trait;
use mesh_state::{Backend, Capabilities, HistoryEntry, Keys, LockInfo, Outputs, Record, StateError, Summary, Writer};
use tokio::sync::watch;

/// What happens after so many points: the sender counts what is asked for (1: stop, 2: at once).
#[derive(Clone, Default)]
pub(crate) struct Points(Arc<Mutex<Option<Plan>>>);

struct Plan {
    left: usize,
    /// Numbers from a seed: how long each call takes.
    dice: u64,
    at: Ending,
    cancel: Option<watch::Sender<u8>>,
    killed: watch::Sender<bool>,
}

/// How a run ends early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Never,
    Stop,
    AtOnce,
    Kill,
}

impl Points {
    /// From now on: after `left` points this happens. Gives what becomes true when the process is dead.
    pub(crate) fn arm(
        &self,
        left: usize,
        dice: u64,
        at: Ending,
        cancel: Option<watch::Sender<u8>>,
    ) -> watch::Receiver<bool> {
        let (killed, receiver) = watch::channel(false);
        *self.plan() = Some(Plan { left, dice, at, cancel, killed });
        receiver
    }

    fn plan(&self) -> MutexGuard<'_, Option<Plan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> (usize, bool) {
        let mut plan = self.plan();
        let Some(plan) = plan.as_mut() else { return (0, false) };
        plan.dice = plan.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = usize::try_from(plan.dice >> 61).unwrap_or(0);
        plan.left = plan.left.wrapping_sub(1);
        if plan.left == 0 {
            match (plan.at, &plan.cancel) {
                (Ending::Kill, _) => return (pause, plan.killed.send(true).is_ok()),
                (Ending::Stop, Some(cancel)) => cancel.send_modify(|n| *n = 1),
                (Ending::AtOnce, Some(cancel)) => cancel.send_modify(|n| *n = 2),
                _ => {}
            }
        }
        (pause, *plan.killed.borrow())
    }

    /// One point: takes a while, and does not return in a process that is dead.
    pub(crate) async fn pass(&self) {
        let (pause, dead) = self.next();
        if dead {
            std::future::pending::<()>().await;
        }
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Default)]
struct Kept {
    snapshot: Snapshot,
    open: BTreeMap<u64, Intent>,
    seq: u64,
}

/// A backend whose clones are one place.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    kept: Arc<Mutex<Kept>>,
    points: Points,
}

struct Held {
    memory: Memory,
    info: LockInfo,
}

impl Memory {
    pub(crate) fn new(points: Points) -> Self {
        let memory = Self { points, ..Self::default() };
        memory.kept().snapshot.lineage = "memory".into();
        memory
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Snapshot {
        let kept = self.kept();
        Snapshot { open: kept.open.values().cloned().collect(), ..kept.snapshot.clone() }
    }
}

#[async_trait]
impl Backend for Memory {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { fencing: true, per_operation_journal: true, history: false }
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        Ok(Keys { fingerprinter: Fingerprinter::new([7; 32]), sealer: None, stale: false })
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        Ok(self.now())
    }

    async fn lock(&self, info: LockInfo, _: Duration) -> Result<Box<dyn Writer>, StateError> {
        Ok(Box::new(Held { memory: self.clone(), info }))
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        Ok(None)
    }

    async fn unlock(&self, _: &str) -> Result<(), StateError> {
        Ok(())
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        Ok(Vec::new())
    }

    async fn at(&self, _: u64) -> Result<Snapshot, StateError> {
        Ok(self.now())
    }
}

#[async_trait]
impl Writer for Held {
    fn lock_info(&self) -> &LockInfo {
        &self.info
    }

    fn taken_over(&self) -> Option<&LockInfo> {
        None
    }

    fn lost(&self) -> bool {
        false
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        Ok(self.memory.now())
    }

    async fn open(&self) -> Result<Vec<(u64, Intent)>, StateError> {
        Ok(self.memory.kept().open.iter().map(|(n, i)| (*n, i.clone())).collect())
    }

    async fn begin(&self, digest: &str, _: &str) -> Result<(), StateError> {
        self.memory.points.pass().await;
        self.memory.kept().snapshot.unfinished = Some(Unfinished { digest: digest.into() });
        Ok(())
    }

    async fn intend(&self, intent: Intent) -> Result<u64, StateError> {
        self.memory.points.pass().await;
        let seq = {
            let mut kept = self.memory.kept();
            kept.seq += 1;
            let seq = kept.seq;
            kept.open.insert(seq, intent);
            seq
        };
        self.memory.points.pass().await;
        Ok(seq)
    }

    async fn record(&self, seq: Option<u64>, record: Record) -> Result<(), StateError> {
        self.memory.points.pass().await;
        self.memory.kept().take(seq, record)?;
        self.memory.points.pass().await;
        Ok(())
    }

    async fn finish(&self, outputs: Outputs, _: Summary) -> Result<Snapshot, StateError> {
        self.memory.points.pass().await;
        {
            let mut kept = self.memory.kept();
            kept.snapshot.outputs = outputs;
            kept.snapshot.unfinished = None;
            kept.snapshot.serial += 1;
        }
        Ok(self.memory.now())
    }

    async fn edit(&self, changes: Vec<Record>, at_least: u64, _: Summary) -> Result<Snapshot, StateError> {
        self.memory.points.pass().await;
        {
            let mut kept = self.memory.kept();
            changes.into_iter().try_for_each(|change| kept.take(None, change))?;
            kept.snapshot.unfinished = None;
            kept.snapshot.serial = at_least.max(kept.snapshot.serial + 1);
        }
        Ok(self.memory.now())
    }

    async fn release(self: Box<Self>) -> Result<(), StateError> {
        Ok(())
    }
}

impl Kept {
    /// Refuses what a real backend refuses.
    fn take(&mut self, seq: Option<u64>, record: Record) -> Result<(), StateError> {
        let refused = |what: String| Err(StateError::Refused { what });
        let snapshot = &mut self.snapshot;
        if seq.is_some_and(|s| !self.open.contains_key(&s)) {
            return refused("a result for an operation that is not open".to_owned());
        }
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
                let at = (address, key);
                match snapshot.instances.remove(&at.0) {
                    Some(instance) if !snapshot.deposed.contains_key(&at) => snapshot.deposed.insert(at, instance),
                    other => return refused(format!("deposing {at:?}: {}", other.is_some())),
                };
            }
            Record::Restore { address, key } => {
                let at = (address, key);
                match snapshot.deposed.remove(&at) {
                    Some(instance) if !snapshot.instances.contains_key(&at.0) => {
                        snapshot.instances.insert(at.0, instance)
                    }
                    other => return refused(format!("restoring {at:?}: {}", other.is_some())),
                };
            }
            Record::Move { from, to } => {
                if snapshot.instances.contains_key(&to) || snapshot.deposed.keys().any(|(a, _)| *a == to) {
                    return refused(format!("moving over {to}"));
                }
                let moved = snapshot.instances.remove(&from);
                snapshot.instances.extend(moved.map(|i| (to.clone(), i)));
                let deposed = std::mem::take(&mut snapshot.deposed);
                let at = |a| if a == from { to.clone() } else { a };
                snapshot.deposed = deposed.into_iter().map(|((a, k), i)| ((at(a), k), i)).collect();
            }
            Record::Outputs(outputs) => snapshot.outputs = outputs,
            Record::Nothing => {}
        }
        if let Some(seq) = seq {
            self.open.remove(&seq);
        }
        Ok(())
    }
}
