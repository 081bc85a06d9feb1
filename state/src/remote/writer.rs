//! The writer of a remote state: one task that owns the lease, the journal and the live snapshot.
//!
//! The one decision: a batch of entries is one segment, written only where no segment is. Entries that
//! arrive while a segment is on its way form the next one. Whoever takes the lock over writes a segment first, so
//! an old holder finds its next place taken and stops, however late it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::head::{self, AT_ONCE, HEAD, Head, JOURNAL, Kept, STATES};
use super::lease::Lease;
use super::store::{Expected, Store, Version};
use crate::StateError;
use crate::desk::{self, Append, Desk, Job};
use crate::format::{self, Chain, JournalHeader, Stored};
use crate::left::Left;
use crate::local::{Retention, locked};
use crate::replay::Live;

/// Bytes of a segment at most, as long as it has more than one entry.
const SEGMENT: usize = 512 << 10;
/// Pauses before a request that failed is tried again.
const RETRIES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// The task's side.
struct Task {
    store: Arc<dyn Store>,
    retention: Retention,
    lease: Lease,
    live: Arc<Mutex<Live>>,
    lost: Arc<AtomicBool>,
    head: Option<(Head, Version)>,
    generation: String,
    /// The number of the next segment.
    next: usize,
    chain: Chain,
    /// Why nothing more can be written.
    broken: Option<StateError>,
}

/// Takes the next place in the journal, so that an earlier holder can write no more.
pub(super) async fn fence(store: &dyn Store, token: u64, why: &str) -> Result<(), StateError> {
    loop {
        let (serial, seq) = head::head(store).await?.map_or((0, 0), |(h, _)| (h.serial, h.seq));
        let generation = head::generation(serial, seq);
        // After the last one, also where one before it is gone: that is told when all are read.
        let last = store.list(&generation).await?.pop();
        let next = last.map_or(0, |name| head::number(&name).map_or(0, |n| n + 1));
        // Without a segment there is no header either: the next holder writes it, conditionally as well.
        if next == 0 {
            return Ok(());
        }
        if store
            .put(&head::segment(&generation, next), head::signed(token, why, &[]), Expected::Absent)
            .await?
            .is_some()
        {
            return Ok(());
        }
    }
}

/// Fences off earlier holders, reads what is there, ends what they left half way, and starts the task.
pub(super) async fn start(
    store: Arc<dyn Store>,
    lease: Lease,
    lineage: Arc<str>,
    retention: Retention,
    cached: Option<(String, Stored)>,
) -> Result<Desk, StateError> {
    match Task::prepare(&*store, &lease, lineage, cached).await {
        Ok((live, head, generation, next, chain)) => {
            let (info, taken_over) = (lease.info.clone(), lease.taken_over.clone());
            let place = store.place();
            let (live, lost) = (Arc::new(Mutex::new(live)), Arc::default());
            let mut task = Task { store, retention, lease, live, lost, head, generation, next, chain, broken: None };
            if locked(&task.live).finished
                && let Err(error) = task.compact().await
            {
                // The first error is the one to tell.
                let _ = task.lease.release(None).await;
                return Err(error);
            }
            let (desk, queue) = Desk::new(task.live.clone(), task.lost.clone(), info, taken_over, place);
            tokio::spawn(task.run(queue));
            Ok(desk)
        }
        Err(error) => {
            let _ = lease.release(None).await;
            Err(error)
        }
    }
}

/// What a task begins with: the snapshot, the head, the folder of segments, the next one's number, the chain.
type Prepared = (Live, Option<(Head, Version)>, String, usize, Chain);

impl Task {
    async fn prepare(
        store: &dyn Store,
        lease: &Lease,
        lineage: Arc<str>,
        cached: Option<(String, Stored)>,
    ) -> Result<Prepared, StateError> {
        let token = lease.info.token;
        loop {
            fence(store, token, "begins").await?;
            let loaded = head::load(store, cached.as_ref(), Some(lineage.clone()), lease.left.as_ref()).await?;
            let snapshot = &loaded.live.stored.snapshot;
            if *snapshot.lineage != *lineage {
                return Err(StateError::Lineage {
                    place: store.place(),
                    expected: lineage.to_string(),
                    found: snapshot.lineage.to_string(),
                });
            }
            if let Some((head, _)) = &loaded.head {
                // What a holder that died while it compacted has left.
                let mut names = store.list(JOURNAL).await?;
                names.extend(store.list(STATES).await?);
                sweep(store, head::garbage(head, names)).await?;
            }
            if let Some(chain) = loaded.chain {
                return Ok((loaded.live, loaded.head, loaded.generation, loaded.segments, chain));
            }
            let header = JournalHeader::after(snapshot, &loaded.sum, loaded.live.stored.seq);
            let (line, chain) = format::header_line(&header);
            let bytes = head::signed(token, "begins", &line);
            let first = head::segment(&loaded.generation, 0);
            if store.put(&first, bytes, Expected::Absent).await?.is_some() {
                return Ok((loaded.live, loaded.head, loaded.generation, 1, chain));
            }
        }
    }

    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        let mut next: Option<Job> = None;
        loop {
            let job = match next.take() {
                Some(job) => job,
                None => {
                    let beat = tokio::time::sleep(self.lease.pause());
                    tokio::select! {
                        job = queue.recv() => match job {
                            Some(job) => job,
                            None => break,
                        },
                        () = beat => {
                            self.beat().await;
                            continue;
                        }
                    }
                }
            };
            match job {
                Job::Append(first) => {
                    let (batch, after) = desk::batch(first, &mut queue, SEGMENT);
                    next = after;
                    self.append(batch).await;
                }
                Job::Compact { reply } => {
                    let result = self.compact().await;
                    let _ = reply.send(result.map(|()| locked(&self.live).snapshot()));
                }
                Job::Release { reply } => {
                    let _ = reply.send(self.release().await);
                    return;
                }
            }
            self.beat().await;
        }
        // Dropped without release: nobody is there to hear of an error, and the lease ends by itself.
        let _ = self.release().await;
    }

    async fn release(self) -> Result<(), StateError> {
        let left = Left::of(&locked(&self.live).stored);
        self.lease.release(Some(left)).await
    }

    /// Prolongs the lease when it is time to.
    async fn beat(&mut self) {
        if self.broken.is_some() || !self.lease.is_due() {
            return;
        }
        match self.lease.renew().await {
            Ok(true) => {}
            Ok(false) => drop(self.stop(StateError::LockLost { place: self.store.place() })),
            // Tried again with the next beat, as long as it holds.
            Err(_) if !self.lease.is_over() => {}
            Err(_) => drop(self.stop(StateError::LockLost { place: self.store.place() })),
        }
    }

    /// Nothing more is written from now on.
    fn stop(&mut self, error: StateError) -> StateError {
        if matches!(error, StateError::LockLost { .. }) {
            self.lost.store(true, Ordering::Release);
        }
        self.broken = Some(error.clone());
        error
    }

    async fn append(&mut self, batch: Vec<Append>) {
        let first = locked(&self.live).stored.seq + 1;
        let (mut lines, mut chain) = (Vec::new(), self.chain);
        for (seq, a) in (first..).zip(&batch) {
            chain = format::frame(&mut lines, chain, seq, &a.body);
        }
        let segment = head::signed(self.lease.info.token, "writes", &lines);
        let written = self.write(segment, chain).await.map(|()| (first, chain));
        desk::settle(&self.live, batch, written);
    }

    /// One segment, whose last line has this hash.
    async fn write(&mut self, bytes: Vec<u8>, chain: Chain) -> Result<(), StateError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let name = head::segment(&self.generation, self.next);
        self.put_once(&name, bytes).await.map_err(|e| self.stop(e))?;
        // Whoever took over may have compacted and removed what barred this place: then nobody reads it.
        let head = self.store.version(HEAD).await.map_err(|e| self.stop(e))?;
        if head.as_ref() != self.head.as_ref().map(|(_, version)| version) {
            return Err(self.stop(StateError::LockLost { place: self.store.place() }));
        }
        self.next += 1;
        self.chain = chain;
        Ok(())
    }

    /// Writes a blob that nobody else writes; an answer that was lost is found by looking. When it fails for
    /// good nobody knows what is there: nothing more is written, and the next process reads what is.
    async fn put_once(&self, name: &str, bytes: Vec<u8>) -> Result<(), StateError> {
        let mut pauses = RETRIES.iter();
        loop {
            match self.store.put(name, bytes.clone(), Expected::Absent).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {
                    let there = self.store.get(name).await?;
                    if there.is_some_and(|b| b.bytes == bytes) {
                        return Ok(());
                    }
                    return Err(StateError::LockLost { place: self.store.place() });
                }
                Err(error) => match pauses.next() {
                    Some(pause) if !self.lease.is_over() => tokio::time::sleep(*pause).await,
                    _ => return Err(error),
                },
            }
        }
    }

    /// Writes the state whole, names it in the head, and removes the segments. What a crash leaves between two
    /// steps: a state that nothing names; then segments that nothing reads any more.
    async fn compact(&mut self) -> Result<(), StateError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let result = self.replace_state().await;
        result.map_err(|e| self.stop(e))
    }

    async fn replace_state(&mut self) -> Result<(), StateError> {
        let (encoded, lineage, serial, seq, meta) = {
            let live = locked(&self.live);
            let stored = &live.stored;
            let encoded = format::encode_state(stored)?;
            (encoded, stored.snapshot.lineage.clone(), stored.snapshot.serial, stored.seq, stored.meta.clone())
        };
        let bytes = [encoded.head, encoded.body].concat();
        let size = bytes.len() as u64;
        // Holders that compact the same operations write the same bytes.
        let name = head::state_name(serial, &encoded.sum);
        self.put_once(&name, bytes).await?;
        let kept = Kept { serial, name, bytes: size, meta };
        let mut history = self.head.as_ref().map_or_else(Vec::new, |(h, _)| h.history.clone());
        history.push(kept);
        let head = Head::new(&lineage, serial, seq, prune(history, self.retention));
        let expected = self.head.as_ref().map_or(Expected::Absent, |(_, v)| Expected::Is(v.clone()));
        let bytes = head.encode().map_err(|e| StateError::remote("writing", &self.store.place(), e))?;
        let version = match self.put_head(bytes.clone(), expected).await? {
            Some(version) => version,
            // An answer was lost, or another holder has compacted the same.
            None => match self.store.get(HEAD).await? {
                Some(blob) if blob.bytes == bytes => blob.version,
                _ => return Err(StateError::LockLost { place: self.store.place() }),
            },
        };
        let old = std::mem::replace(&mut self.generation, head::generation(serial, seq));
        let dropped = self.head.replace((head, version)).map_or_else(Vec::new, |(h, _)| h.history);
        let current = self.head.as_ref().map_or(&[][..], |(h, _)| &h.history);
        let mut names: Vec<String> = (0..self.next).rev().map(|n| head::segment(&old, n)).collect();
        names.extend(dropped.into_iter().filter(|k| !current.iter().any(|c| c.name == k.name)).map(|k| k.name));
        let header = {
            let mut live = locked(&self.live);
            live.finished = false;
            JournalHeader::after(&live.stored.snapshot, &encoded.sum, live.stored.seq)
        };
        let (line, chain) = format::header_line(&header);
        let first = head::signed(self.lease.info.token, "goes on", &line);
        self.put_once(&head::segment(&self.generation, 0), first).await?;
        (self.next, self.chain) = (1, chain);
        sweep(&*self.store, names).await
    }

    async fn put_head(&self, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        let mut pauses = RETRIES.iter();
        loop {
            match (self.store.put(HEAD, bytes.clone(), expected.clone()).await, pauses.next()) {
                (Err(_), Some(pause)) if !self.lease.is_over() => tokio::time::sleep(*pause).await,
                (result, _) => return result,
            }
        }
    }
}

/// What is kept of a history; the two newest always are.
fn prune(mut history: Vec<Kept>, retention: Retention) -> Vec<Kept> {
    let mut bytes = 0;
    let mut keep = 0;
    for (age, kept) in history.iter().rev().enumerate() {
        bytes += kept.bytes;
        if age >= 2 && (age >= retention.entries || bytes > retention.bytes) {
            break;
        }
        keep = age + 1;
    }
    history.split_off(history.len() - keep)
}

async fn sweep(store: &dyn Store, names: Vec<String>) -> Result<(), StateError> {
    let removals = futures::stream::iter(names).map(async |name| store.remove(&name).await);
    let mut removed = std::pin::pin!(removals.buffer_unordered(AT_ONCE));
    while let Some(result) = removed.next().await {
        result?;
    }
    Ok(())
}
