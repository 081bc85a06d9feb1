//! The writer: one thread that owns the lock, the journal and the live snapshot.
//!
//! The one decision: entries that arrive while a batch is being synced form the next batch, so the
//! cost of a sync is shared by all operations in flight. The thread ends when the writer is released
//! or dropped, after it has written everything that was handed over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::UnboundedReceiver;

use super::journal::{self, Journal};
use super::lock::HeldLock;
use super::{Shared, history, locked};
use crate::StateError;
use crate::desk::{self, Append, Desk, Job};
use crate::format::{self, Chain, JournalHeader};
use crate::left::Left;
use crate::replay::Live;

/// The thread's side.
struct Thread {
    shared: Arc<Shared>,
    lock: HeldLock,
    live: Arc<Mutex<Live>>,
    lost: Arc<AtomicBool>,
    journal: Option<Journal>,
    /// Checksum of the state file; empty without one.
    sum: String,
}

/// Reads what is there, ends what a killed process left half way, and starts the thread.
pub(super) fn start(shared: &Arc<Shared>, lock: HeldLock) -> Result<Desk, StateError> {
    match Thread::prepare(shared, lock) {
        Ok(thread) => {
            let (live, lost) = (thread.live.clone(), thread.lost.clone());
            let (info, taken_over) = (thread.lock.info.clone(), thread.lock.taken_over.clone());
            let (desk, mut queue) = Desk::new(live, lost, info, taken_over, shared.paths.state.display().to_string());
            std::thread::Builder::new()
                .name("mesh-state".into())
                .spawn(move || thread.run(&mut queue))
                .map_err(|e| StateError::io("starting a thread for", &shared.paths.state, &e))?;
            Ok(desk)
        }
        Err(failed) => {
            let (lock, error) = *failed;
            // The first error is the one to tell.
            let _ = lock.release(&shared.paths, None);
            Err(error)
        }
    }
}

impl Thread {
    fn prepare(shared: &Arc<Shared>, lock: HeldLock) -> Result<Self, Box<(HeldLock, StateError)>> {
        let loaded = match shared.load() {
            Ok(loaded) => loaded,
            Err(error) => return Err(Box::new((lock, error))),
        };
        shared.drop_cache();
        shared.paths.remove_leftovers();
        let seq = loaded.live.stored.seq;
        let mut thread = Self {
            shared: shared.clone(),
            lock,
            live: Arc::new(Mutex::new(loaded.live)),
            lost: Arc::default(),
            journal: None,
            sum: loaded.sum,
        };
        let ready = match loaded.journal {
            // One that is merged, or says nothing, may have been left.
            None => thread.lock.check(&shared.paths).and_then(|()| journal::remove(&shared.paths)),
            Some(tail) => {
                let paths = &thread.shared.paths;
                Journal::put(paths, &tail.bytes, tail.chain, seq, &|| thread.lock.check(paths)).and_then(|journal| {
                    thread.journal = Some(journal);
                    // A stage that ended and was not compacted.
                    if locked(&thread.live).finished { thread.compact() } else { Ok(()) }
                })
            }
        };
        match ready {
            Ok(()) => Ok(thread),
            Err(error) => Err(Box::new((thread.lock, error))),
        }
    }

    fn run(mut self, queue: &mut UnboundedReceiver<Job>) {
        let mut next = queue.blocking_recv();
        while let Some(job) = next.take() {
            match job {
                Job::Append(first) => {
                    let (batch, after) = desk::batch(first, queue, usize::MAX);
                    next = after;
                    self.append(batch);
                }
                Job::Compact { reply } => {
                    let result = self.compact().map(|()| locked(&self.live).snapshot());
                    let _ = reply.send(result);
                }
                Job::Release { reply } => {
                    let _ = reply.send(self.release());
                    return;
                }
            }
            if next.is_none() {
                next = queue.blocking_recv();
            }
        }
        // Dropped without release: nobody is there to hear of an error, and the system gives the
        // lock back anyway.
        let _ = self.release();
    }

    fn release(self) -> Result<(), StateError> {
        let left = Left::of(&locked(&self.live).stored);
        self.lock.release(&self.shared.paths, Some(left))
    }

    fn append(&mut self, batch: Vec<Append>) {
        let written = self.write(&batch.iter().map(|a| a.body.as_slice()).collect::<Vec<_>>());
        if let Err(StateError::LockLost { .. }) = &written {
            self.lost.store(true, Ordering::Release);
        }
        desk::settle(&self.live, batch, written);
    }

    fn write(&mut self, bodies: &[&[u8]]) -> Result<(u64, Chain), StateError> {
        let paths = &self.shared.paths;
        let permit = || self.lock.check(paths);
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => {
                let live = locked(&self.live);
                let header = JournalHeader::after(&live.stored.snapshot, &self.sum, live.stored.seq);
                drop(live);
                none.insert(Journal::create(paths, &header, &permit)?)
            }
        };
        let first = journal.append(paths, bodies, &permit)?;
        Ok((first, journal.chain()))
    }

    /// Writes the state whole and removes the journal. What a crash leaves between two steps: the
    /// old state with its journal; then a history entry that is written again; then a state that
    /// says that the journal is merged.
    fn compact(&mut self) -> Result<(), StateError> {
        let result = self.replace_state();
        // Whether the journal still continues the state is not known then: the next process looks.
        if let (Err(error), Some(journal)) = (&result, &mut self.journal) {
            journal.stop(error.clone());
        }
        result
    }

    fn replace_state(&mut self) -> Result<(), StateError> {
        let paths = &self.shared.paths;
        let permit = || self.lock.check(paths);
        let (encoded, serial) = {
            let live = locked(&self.live);
            (format::encode_state(&live.stored)?, live.stored.snapshot.serial)
        };
        let parts = [encoded.head.as_slice(), encoded.body.as_slice()];
        permit()?;
        history::keep(paths, serial, &parts)?;
        drop(paths.replace(&paths.state, &parts, &permit)?);
        locked(&self.live).finished = false;
        self.sum = encoded.sum;
        if self.journal.take().is_some() {
            journal::remove(paths)?;
        }
        history::prune(paths, self.shared.setup.retention)
    }
}
