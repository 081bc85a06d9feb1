//! The writer: one thread that owns the lock, the journal and the live snapshot.
//!
//! The one decision: entries that arrive while a batch is being synced form the next batch, so the
//! cost of a sync is shared by all operations in flight. The thread ends when the writer is released
//! or dropped, after it has written everything that was handed over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mesh_model::Snapshot;
use mesh_model::snapshot::Intent;
use tokio::sync::oneshot;

use super::journal::Journal;
use super::lock::HeldLock;
use super::{Shared, history, locked};
use crate::format::{self, Entry, JournalHeader, Meta, hex};
use crate::replay::{Live, check_all};
use crate::{LockInfo, Outputs, Record, StateError, Summary, Writer};

/// Entries in one batch at most: bounds the memory of one write.
const BATCH: usize = 1024;

type Reply<T> = oneshot::Sender<Result<T, StateError>>;

/// What the thread is asked to do.
enum Job {
    Append(Append),
    Compact { reply: Reply<Snapshot> },
    Release { reply: Reply<()> },
}

/// An entry, encoded already.
struct Append {
    entry: Box<Entry>,
    body: Vec<u8>,
    reply: Reply<u64>,
}

/// Holds the local lock.
pub(super) struct LocalWriter {
    jobs: Sender<Job>,
    live: Arc<Mutex<Live>>,
    lost: Arc<AtomicBool>,
    info: LockInfo,
    taken_over: Option<LockInfo>,
    place: String,
}

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

impl LocalWriter {
    /// Reads what is there, ends what a killed process left half way, and starts the thread.
    pub(super) fn start(shared: Arc<Shared>, lock: HeldLock) -> Result<Self, StateError> {
        match Thread::prepare(&shared, lock) {
            Ok(thread) => {
                let (jobs, queue) = mpsc::channel();
                let writer = Self {
                    jobs,
                    live: thread.live.clone(),
                    lost: thread.lost.clone(),
                    info: thread.lock.info.clone(),
                    taken_over: thread.lock.taken_over.clone(),
                    place: shared.paths.state.display().to_string(),
                };
                std::thread::Builder::new()
                    .name("mesh-state".into())
                    .spawn(move || thread.run(&queue))
                    .map_err(|e| StateError::io("starting a thread for", &shared.paths.state, &e))?;
                Ok(writer)
            }
            Err(failed) => {
                let (lock, error) = *failed;
                // The first error is the one to tell.
                let _ = lock.release(&shared.paths);
                Err(error)
            }
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StateError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StateError::LockLost { place: self.place.clone() };
        self.jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn who(&self) -> String {
        format!("{}@{}", self.info.user, self.info.host)
    }

    async fn append(&self, entry: Entry) -> Result<u64, StateError> {
        let body = entry.encode()?;
        self.ask(|reply| Job::Append(Append { entry: Box::new(entry), body, reply })).await
    }
}

#[async_trait]
impl Writer for LocalWriter {
    fn lock_info(&self) -> &LockInfo {
        &self.info
    }

    fn taken_over(&self) -> Option<&LockInfo> {
        self.taken_over.as_ref()
    }

    fn lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        Ok(locked(&self.live).snapshot())
    }

    async fn open(&self) -> Result<Vec<(u64, Intent)>, StateError> {
        Ok(locked(&self.live).stored.open.iter().map(|(n, i)| (*n, i.clone())).collect())
    }

    async fn begin(&self, plan_digest: &str, command: &str) -> Result<(), StateError> {
        self.append(Entry::Begin { digest: plan_digest.into(), command: command.into() }).await.map(drop)
    }

    async fn intend(&self, intent: Intent) -> Result<u64, StateError> {
        self.append(Entry::Intend(intent)).await
    }

    async fn record(&self, seq: Option<u64>, result: Record) -> Result<(), StateError> {
        locked(&self.live).check(seq, &result)?;
        self.append(Entry::Result { closes: seq, record: result }).await.map(drop)
    }

    async fn finish(&self, outputs: Outputs, summary: Summary) -> Result<Snapshot, StateError> {
        let meta = locked(&self.live).finishing(self.who(), &self.info.command, summary);
        self.append(Entry::Finish { outputs, meta }).await?;
        self.ask(|reply| Job::Compact { reply }).await
    }

    async fn edit(&self, changes: Vec<Record>, at_least: u64, summary: Summary) -> Result<Snapshot, StateError> {
        let serial = {
            let live = locked(&self.live);
            check_all(&live, &changes)?;
            at_least.max(live.stored.snapshot.serial + 1)
        };
        let meta = Meta::new(self.who(), self.info.command.clone(), String::new(), summary);
        self.append(Entry::Edit { changes, serial, meta }).await?;
        self.ask(|reply| Job::Compact { reply }).await
    }

    async fn release(self: Box<Self>) -> Result<(), StateError> {
        self.ask(|reply| Job::Release { reply }).await
    }
}

impl Thread {
    fn prepare(shared: &Arc<Shared>, lock: HeldLock) -> Result<Self, Box<(HeldLock, StateError)>> {
        let loaded = match shared.key(true).and_then(|_| shared.load()) {
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
            None => Ok(()),
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

    fn run(mut self, queue: &Receiver<Job>) {
        let mut next = queue.recv().ok();
        while let Some(job) = next.take() {
            match job {
                Job::Append(first) => {
                    let mut batch = vec![first];
                    while batch.len() < BATCH {
                        match queue.try_recv() {
                            Ok(Job::Append(more)) => batch.push(more),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.append(batch);
                }
                Job::Compact { reply } => {
                    let result = self.compact().map(|()| locked(&self.live).snapshot());
                    let _ = reply.send(result);
                }
                Job::Release { reply } => {
                    let _ = reply.send(self.lock.release(&self.shared.paths));
                    return;
                }
            }
            if next.is_none() {
                next = queue.recv().ok();
            }
        }
        // Dropped without release: nobody is there to hear of an error, and the system gives the
        // lock back anyway.
        let _ = self.lock.release(&self.shared.paths);
    }

    fn append(&mut self, batch: Vec<Append>) {
        match self.write(&batch.iter().map(|a| a.body.as_slice()).collect::<Vec<_>>()) {
            Ok(first) => {
                let mut live = locked(&self.live);
                let mut replies = Vec::with_capacity(batch.len());
                for (seq, Append { entry, reply, .. }) in (first..).zip(batch) {
                    live.apply(seq, *entry);
                    replies.push((seq, reply));
                }
                drop(live);
                for (seq, reply) in replies {
                    // Who asked may have been cancelled; what was written stays.
                    let _ = reply.send(Ok(seq));
                }
            }
            Err(error) => {
                if matches!(error, StateError::LockLost { .. }) {
                    self.lost.store(true, Ordering::Release);
                }
                for Append { reply, .. } in batch {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn write(&mut self, bodies: &[&[u8]]) -> Result<u64, StateError> {
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
        journal.append(paths, bodies, &permit)
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
        let merged = self.journal.as_ref().map_or_else(String::new, |j| hex(&j.chain()));
        let (encoded, serial) = {
            let live = locked(&self.live);
            (format::encode_state(&live.stored, &merged)?, live.stored.snapshot.serial)
        };
        let parts = [encoded.head.as_slice(), encoded.body.as_slice()];
        permit()?;
        history::keep(paths, serial, &parts)?;
        drop(paths.replace(&paths.state, &parts, &permit)?);
        locked(&self.live).finished = false;
        self.sum = encoded.sum;
        if let Some(journal) = self.journal.take() {
            journal.remove(paths)?;
        }
        history::prune(paths, self.shared.retention)
    }
}
