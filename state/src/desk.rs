//! The writer that others hold, where one task or thread does the writing: it hands entries over and waits.
//!
//! The one decision: backends differ in how a batch of entries becomes durable, never in what an entry is, when it
//! counts, or who is told; so that is written once, here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mesh_model::Snapshot;
use mesh_model::snapshot::Intent;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::format::{Chain, Entry, Meta, hex};
use crate::local::locked;
use crate::replay::{Live, check_all};
use crate::{LockInfo, Outputs, Record, StateError, Summary, Writer};

/// Entries in one batch at most: bounds the memory of one write.
const BATCH: usize = 1024;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StateError>>;

/// What the one who writes is asked to do.
pub(crate) enum Job {
    Append(Append),
    Compact { reply: Reply<Snapshot> },
    Release { reply: Reply<()> },
}

/// An entry, encoded already.
pub(crate) struct Append {
    entry: Box<Entry>,
    pub(crate) body: Vec<u8>,
    reply: Reply<u64>,
}

/// Stands for a lock whose writing is done elsewhere.
pub(crate) struct Desk {
    jobs: UnboundedSender<Job>,
    live: Arc<Mutex<Live>>,
    lost: Arc<AtomicBool>,
    info: LockInfo,
    taken_over: Option<LockInfo>,
    place: String,
}

impl Desk {
    /// With the queue for the one who writes and keeps `live` and `lost` up to date.
    pub(crate) fn new(
        live: Arc<Mutex<Live>>,
        lost: Arc<AtomicBool>,
        info: LockInfo,
        taken_over: Option<LockInfo>,
        place: String,
    ) -> (Self, UnboundedReceiver<Job>) {
        let (jobs, queue) = unbounded_channel();
        (Self { jobs, live, lost, info, taken_over, place }, queue)
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

/// What waits behind `first` and goes into one batch with it, up to so many bytes; and the job after that, if it
/// was taken out of the queue.
pub(crate) fn batch(first: Append, queue: &mut UnboundedReceiver<Job>, most: usize) -> (Vec<Append>, Option<Job>) {
    let (mut bytes, mut batch) = (first.body.len(), vec![first]);
    while batch.len() < BATCH && bytes < most {
        match queue.try_recv() {
            Ok(Job::Append(more)) => {
                bytes += more.body.len();
                batch.push(more);
            }
            Ok(other) => return (batch, Some(other)),
            Err(_) => break,
        }
    }
    (batch, None)
}

/// What was written counts from now on, numbered from the first entry on and up to a line of this hash, and whoever
/// asked is told.
pub(crate) fn settle(live: &Mutex<Live>, batch: Vec<Append>, written: Result<(u64, Chain), StateError>) {
    match written {
        Ok((first, chain)) => {
            let mut live = locked(live);
            live.stored.merged = hex(&chain);
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
            for Append { reply, .. } in batch {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

#[async_trait]
impl Writer for Desk {
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
