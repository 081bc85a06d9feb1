//! The writer: one task that owns the session, and with it the lock, and the ledger.
//!
//! The one decision: entries that arrive while a statement is on its way go into the next one. After a failed statement
//! nobody knows what the server has done, so nothing more is written; the next process reads what is really there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mesh_model::Snapshot;
use mesh_model::snapshot::Intent;
use mesh_state::rows::{Batch, Ledger};
use mesh_state::{LockInfo, Outputs, Record, Retention, StateError, Summary, Writer};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::error::failure;
use crate::settings::Target;

/// Entries in one statement at most.
const BATCH: usize = 1024;

/// One statement, one transaction: the fence and the header, and what it let through.
const WRITE: &str = "\
WITH fence AS (
  UPDATE @.state SET lineage = $3, serial = $4, seq = $5, unfinished = $6, command = $7, meta = $8
  WHERE name = $1 AND token = $2 RETURNING name
), gone AS (
  DELETE FROM @.instance i USING fence WHERE i.state = fence.name AND i.id = ANY ($9::bytea[])
), put AS (
  INSERT INTO @.instance (state, id, address, deposed, row)
  SELECT fence.name, p.* FROM fence, unnest($10::bytea[], $11::text[], $12::text[], $13::text[]) AS p
  ON CONFLICT (state, id) DO UPDATE SET row = EXCLUDED.row
), closed AS (
  DELETE FROM @.intent i USING fence WHERE i.state = fence.name AND i.seq = ANY ($14::bigint[])
), opened AS (
  INSERT INTO @.intent (state, seq, row) SELECT fence.name, p.* FROM fence, unnest($15::bigint[], $16::text[]) AS p
), dropped AS (
  DELETE FROM @.output o USING fence WHERE o.state = fence.name AND NOT o.name = ANY ($17::text[])
), given AS (
  INSERT INTO @.output (state, name, row) SELECT fence.name, p.* FROM fence, unnest($17::text[], $18::text[]) AS p
  ON CONFLICT (state, name) DO UPDATE SET row = EXCLUDED.row
), kept AS (
  INSERT INTO @.history (state, serial, meta, bytes, snapshot)
  SELECT fence.name, $4, $8, length($19::bytea), $19 FROM fence WHERE $19 IS NOT NULL
  ON CONFLICT (state, serial) DO UPDATE SET meta = EXCLUDED.meta, bytes = EXCLUDED.bytes, snapshot = EXCLUDED.snapshot
)
SELECT count(*) FROM fence";

/// The two newest always stay.
const PRUNE: &str = "\
DELETE FROM @.history h USING (
  SELECT serial, row_number() OVER w AS age, sum(bytes) OVER w AS total
  FROM @.history WHERE state = $1 WINDOW w AS (ORDER BY serial DESC)
) AS old
WHERE h.state = $1 AND h.serial = old.serial AND old.age > 2 AND (old.age > $2 OR old.total > $3::bigint)";

type Reply<T> = oneshot::Sender<Result<T, StateError>>;

/// What the task is asked to do.
enum Job {
    Append(Step, Reply<u64>),
    Finish(Outputs, Summary, Reply<Snapshot>),
    Edit(Vec<Record>, u64, Summary, Reply<Snapshot>),
    Snapshot(Reply<Snapshot>),
    Open(Reply<Vec<(u64, Intent)>>),
    Release(Reply<()>),
}

/// An entry that goes into a batch.
enum Step {
    Begin(String, String),
    Intend(Box<Intent>),
    Record(Option<u64>, Box<Record>),
}

/// Holds the lock.
pub(crate) struct PostgresWriter {
    jobs: mpsc::UnboundedSender<Job>,
    lost: Arc<AtomicBool>,
    info: LockInfo,
    taken_over: Option<LockInfo>,
    place: String,
}

/// The task's side.
struct Task {
    target: Arc<Target>,
    client: Client,
    write: Statement,
    ledger: Ledger,
    info: LockInfo,
    retention: Retention,
    lost: Arc<AtomicBool>,
    /// Why nothing more can be written.
    broken: Option<StateError>,
}

impl PostgresWriter {
    pub(crate) async fn start(
        target: Arc<Target>,
        client: Client,
        ledger: Ledger,
        info: LockInfo,
        taken_over: Option<LockInfo>,
        retention: Retention,
    ) -> Result<Self, StateError> {
        let write = client.prepare(&target.sql(WRITE)).await;
        let write = write.map_err(|e| failure("preparing to write", &target.place, &e))?;
        let (jobs, queue) = mpsc::unbounded_channel();
        let (lost, place) = (Arc::<AtomicBool>::default(), target.place.clone());
        let task =
            Task { target, client, write, ledger, info: info.clone(), retention, lost: lost.clone(), broken: None };
        tokio::spawn(task.run(queue));
        Ok(Self { jobs, lost, info, taken_over, place })
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StateError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StateError::LockLost { place: self.place.clone() };
        self.jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Writer for PostgresWriter {
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
        self.ask(Job::Snapshot).await
    }

    async fn open(&self) -> Result<Vec<(u64, Intent)>, StateError> {
        self.ask(Job::Open).await
    }

    async fn begin(&self, plan_digest: &str, command: &str) -> Result<(), StateError> {
        let step = Step::Begin(plan_digest.to_owned(), command.to_owned());
        self.ask(|reply| Job::Append(step, reply)).await.map(drop)
    }

    async fn intend(&self, intent: Intent) -> Result<u64, StateError> {
        self.ask(|reply| Job::Append(Step::Intend(Box::new(intent)), reply)).await
    }

    async fn record(&self, seq: Option<u64>, result: Record) -> Result<(), StateError> {
        self.ask(|reply| Job::Append(Step::Record(seq, Box::new(result)), reply)).await.map(drop)
    }

    async fn finish(&self, outputs: Outputs, summary: Summary) -> Result<Snapshot, StateError> {
        self.ask(|reply| Job::Finish(outputs, summary, reply)).await
    }

    async fn edit(&self, changes: Vec<Record>, at_least: u64, summary: Summary) -> Result<Snapshot, StateError> {
        self.ask(|reply| Job::Edit(changes, at_least, summary, reply)).await
    }

    async fn release(self: Box<Self>) -> Result<(), StateError> {
        self.ask(Job::Release).await
    }
}

impl Task {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        let mut next = queue.recv().await;
        while let Some(job) = next.take() {
            match job {
                Job::Append(step, reply) => {
                    let mut steps = vec![(step, reply)];
                    while steps.len() < BATCH {
                        match queue.try_recv() {
                            Ok(Job::Append(step, reply)) => steps.push((step, reply)),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.append(steps).await;
                }
                Job::Finish(outputs, summary, reply) => {
                    let info = self.info.clone();
                    let finished = self.stage(|l, b| l.finish(outputs, summary, &info, b)).await;
                    // Who asked may have been cancelled; what was written stays. So below.
                    let _ = reply.send(finished);
                }
                Job::Edit(changes, at_least, summary, reply) => {
                    let info = self.info.clone();
                    let edited = match i64::try_from(at_least) {
                        Ok(_) => self.stage(|l, b| l.edit(changes, at_least, summary, &info, b)).await,
                        Err(_) => Err(StateError::Refused { what: format!("the serial {at_least} is too large") }),
                    };
                    let _ = reply.send(edited);
                }
                Job::Snapshot(reply) => _ = reply.send(self.usable().map(|()| self.ledger.snapshot())),
                Job::Open(reply) => _ = reply.send(self.usable().map(|()| self.ledger.open())),
                Job::Release(reply) => {
                    let _ = reply.send(self.release().await);
                    return;
                }
            }
            if next.is_none() {
                next = queue.recv().await;
            }
        }
        // Dropped without release: nobody is there to hear of an error, and the server gives the lock back anyway.
        let _ = self.release().await;
    }

    /// Whether the ledger is what the server has.
    fn usable(&self) -> Result<(), StateError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    async fn append(&mut self, steps: Vec<(Step, Reply<u64>)>) {
        let mut batch = Batch::default();
        let mut taken = Vec::with_capacity(steps.len());
        for (step, reply) in steps {
            let number = self.usable().and_then(|()| match step {
                Step::Begin(digest, command) => Ok(self.ledger.begin(&digest, &command)),
                Step::Intend(intent) => self.ledger.intend(*intent, &mut batch),
                Step::Record(closes, record) => self.ledger.record(closes, *record, &mut batch),
            });
            match number {
                Ok(number) => taken.push((number, reply)),
                Err(error) => _ = reply.send(Err(error)),
            }
        }
        if taken.is_empty() {
            return;
        }
        let written = self.write(batch, None).await;
        for (number, reply) in taken {
            let _ = reply.send(written.clone().map(|()| number));
        }
    }

    /// Ends a serial, its history included.
    async fn stage(
        &mut self,
        change: impl FnOnce(&mut Ledger, &mut Batch) -> Result<u64, StateError>,
    ) -> Result<Snapshot, StateError> {
        self.usable()?;
        let mut batch = Batch::default();
        change(&mut self.ledger, &mut batch)?;
        let file = self.ledger.file()?;
        self.write(batch, Some(file)).await?;
        let (entries, bytes) = (i64::try_from(self.retention.entries), i64::try_from(self.retention.bytes));
        let (entries, bytes) = (entries.unwrap_or(i64::MAX), bytes.unwrap_or(i64::MAX));
        let pruned = self.client.execute(&self.target.sql(PRUNE), &[&self.target.name, &entries, &bytes]).await;
        pruned.map_err(|e| failure("removing old history of", &self.target.place, &e))?;
        Ok(self.ledger.snapshot())
    }

    async fn write(&mut self, batch: Batch, file: Option<Vec<u8>>) -> Result<(), StateError> {
        let written = self.try_write(batch, file).await;
        if let Err(error) = &written {
            if matches!(error, StateError::LockLost { .. }) {
                self.lost.store(true, Ordering::Release);
            }
            self.broken = Some(error.clone());
        }
        written
    }

    async fn try_write(&self, batch: Batch, file: Option<Vec<u8>>) -> Result<(), StateError> {
        let failed = |e| failure("writing", &self.target.place, &e);
        let too_large = |_| StateError::Refused { what: "a number that is too large".to_owned() };
        let header = self.ledger.header()?;
        let number = |n: u64| i64::try_from(n).map_err(too_large);
        let (mut gone, mut ids, mut addresses, mut deposed, mut rows) = (vec![], vec![], vec![], vec![], vec![]);
        for ((address, key), row) in batch.objects {
            let id = Sha256::new().chain_update(&address).chain_update([0]).chain_update(&key).finalize().to_vec();
            match row {
                None => gone.push(id),
                Some(row) => {
                    ids.push(id);
                    addresses.push(address);
                    deposed.push(key);
                    rows.push(row);
                }
            }
        }
        let (mut closed, mut opened, mut intents) = (vec![], vec![], vec![]);
        for (seq, row) in batch.intents {
            match row {
                None => closed.push(number(seq)?),
                Some(row) => {
                    opened.push(number(seq)?);
                    intents.push(row);
                }
            }
        }
        // Null where outputs stay: nothing is then equal to one of them, nor different.
        let (names, outputs): (Option<Vec<_>>, Option<Vec<_>>) = batch.outputs.map(|o| o.into_iter().unzip()).unzip();
        let (token, serial, seq) = (number(self.info.token)?, number(header.serial)?, number(header.seq)?);
        let given: [&(dyn ToSql + Sync); 19] = [
            &self.target.name,
            &token,
            &header.lineage,
            &serial,
            &seq,
            &header.unfinished,
            &header.command,
            &header.meta,
            &gone,
            &ids,
            &addresses,
            &deposed,
            &rows,
            &closed,
            &opened,
            &intents,
            &names,
            &outputs,
            &file,
        ];
        let row = self.client.query_one(&self.write, &given).await;
        match row.and_then(|row| row.try_get::<_, i64>(0)).map_err(failed)? {
            0 => Err(StateError::LockLost { place: self.target.place.clone() }),
            _ => Ok(()),
        }
    }

    /// A lock that is lost, or whose session has ended, is given back already.
    async fn release(&self) -> Result<(), StateError> {
        if self.lost.load(Ordering::Acquire) || self.client.is_closed() {
            return Ok(());
        }
        self.target.give_back(&self.client, i64::try_from(self.info.token).unwrap_or_default()).await
    }
}
