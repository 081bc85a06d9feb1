//! The cases without a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_model::{Instance, Snapshot, Value};

use super::sample::{address, instance, intent, lock, outputs, put};
use super::{Open, ensure, text};
use crate::{LockInfo, Record, StateError, Summary, Writer, expect_lineage};

fn same(a: &Snapshot, b: &Snapshot) -> Result<(), String> {
    ensure((&a.lineage, a.serial) == (&b.lineage, b.serial), "lineage or serial differ")?;
    ensure(a.instances == b.instances, "instances differ")?;
    ensure(a.deposed == b.deposed, "deposed objects differ")?;
    ensure(a.outputs == b.outputs, "outputs differ")?;
    ensure(a.open == b.open, "open intents differ")?;
    ensure(a.unfinished == b.unfinished, "unfinished differs")
}

/// Creates instance `n` with intent and result.
async fn create(writer: &dyn Writer, n: usize) -> Result<(), String> {
    let seq = writer.intend(intent(n)).await.map_err(text)?;
    writer.record(Some(seq), put(n)).await.map_err(text)
}

pub(super) async fn nothing_yet(open: Open<'_>) -> Result<(), String> {
    let (a, b) = (open("nothing"), open("nothing"));
    let empty = a.snapshot().await.map_err(text)?;
    ensure(empty.serial == 0 && empty.instances.is_empty(), "an empty state is not empty")?;
    let key = a.fingerprinter().await.map_err(text)?;
    ensure(key.key() == b.fingerprinter().await.map_err(text)?.key(), "two plans have two keys")?;
    let planned = a.snapshot().await.map_err(text)?;
    ensure(!planned.lineage.is_empty() && planned.serial == 0, "no lineage after the key was made")?;
    ensure(a.lock_info().await.map_err(text)?.is_none(), "a plan took a lock")?;
    let writer = lock(&*b).await.map_err(text)?;
    let first = writer.finish(outputs(1), Summary::default()).await.map_err(text)?;
    writer.release().await.map_err(text)?;
    expect_lineage(&first, &planned.lineage, "state").map_err(text)?;
    ensure(key.key() == a.fingerprinter().await.map_err(text)?.key(), "the first apply has another key")?;
    ensure(
        matches!(expect_lineage(&first, "other", "state"), Err(StateError::Lineage { .. })),
        "another lineage passes",
    )
}

pub(super) async fn one_stage(open: Open<'_>) -> Result<(), String> {
    let (a, b) = (open("stage"), open("stage"));
    let writer = lock(&*a).await.map_err(text)?;
    writer.begin("digest-1", "mesh apply").await.map_err(text)?;
    create(&*writer, 1).await?;
    let rejected = writer.intend(intent(2)).await.map_err(text)?;
    writer.record(Some(rejected), Record::Nothing).await.map_err(text)?;
    let doubt = writer.intend(intent(3)).await.map_err(text)?;
    let during = b.snapshot().await.map_err(text)?;
    ensure(during.serial == 0, "the serial advanced within a stage")?;
    ensure(during.instances.get(&address(1)) == Some(&instance(1)), "an instance did not round-trip")?;
    ensure(during.open == [intent(3)], "the open intents are not the one in doubt")?;
    ensure(during.unfinished.as_ref().is_some_and(|u| &*u.digest == "digest-1"), "the stage is not unfinished")?;
    same(&during, &writer.snapshot().await.map_err(text)?)?;

    let done = writer.finish(outputs(1), Summary { complete: true, ..Summary::default() }).await.map_err(text)?;
    ensure(done.serial == 1 && done.unfinished.is_none(), "the stage did not finish")?;
    ensure(done.outputs == outputs(1), "outputs did not round-trip")?;
    same(&done, &b.snapshot().await.map_err(text)?)?;
    let left = writer.open().await.map_err(text)?;
    ensure(left == [(doubt, intent(3))], "an open intent did not survive its serial")?;
    writer.release().await.map_err(text)?;

    let writer = lock(&*b).await.map_err(text)?;
    writer.record(Some(doubt), put(3)).await.map_err(text)?;
    writer.release().await.map_err(text)?;
    let after = a.snapshot().await.map_err(text)?;
    ensure(after.open.is_empty() && after.instances.len() == 2, "a later process could not close the intent")
}

pub(super) async fn locks_exclude(open: Open<'_>) -> Result<(), String> {
    let (a, b) = (open("exclude"), open("exclude"));
    let writer = lock(&*a).await.map_err(text)?;
    let other = LockInfo::new("mesh destroy", "bob", "host8");
    match b.lock(other, Duration::ZERO).await {
        Err(StateError::Locked { holder, .. }) => {
            ensure(holder.id == writer.lock_info().id && holder.user == "ada", "the wrong holder is named")?;
        }
        Err(e) => return Err(format!("not the error of a held lock: {e}")),
        Ok(_) => return Err("two hold the lock".into()),
    }
    let info = b.lock_info().await.map_err(text)?;
    ensure(info.is_some_and(|i| i.user == "ada" && !i.dead), "the holder is not shown")?;
    let token = writer.lock_info().token;
    writer.release().await.map_err(text)?;
    ensure(b.lock_info().await.map_err(text)?.is_none(), "a released lock is shown")?;
    let writer = lock(&*b).await.map_err(text)?;
    ensure(writer.lock_info().token > token, "the fencing token did not advance")?;
    ensure(writer.taken_over().is_none(), "a released lock was taken over")?;
    writer.release().await.map_err(text)
}

pub(super) async fn waiting_for_a_lock(open: Open<'_>) -> Result<(), String> {
    let (a, b) = (open("wait"), open("wait"));
    let writer = lock(&*a).await.map_err(text)?;
    let waiting = tokio::spawn(async move { lock(&*b).await });
    tokio::time::sleep(Duration::from_millis(120)).await;
    ensure(!waiting.is_finished(), "did not wait for the lock")?;
    writer.release().await.map_err(text)?;
    waiting.await.map_err(|e| e.to_string())?.map_err(text)?.release().await.map_err(text)
}

pub(super) async fn a_broken_lock_fences(open: Open<'_>) -> Result<(), String> {
    let (a, b) = (open("fence"), open("fence"));
    let old = lock(&*a).await.map_err(text)?;
    old.begin("digest-1", "mesh apply").await.map_err(text)?;
    create(&*old, 1).await?;
    let seq = old.intend(intent(2)).await.map_err(text)?;
    let wrong = b.unlock("nonsense").await;
    ensure(matches!(wrong, Err(StateError::NoSuchLock { holder: Some(_), .. })), "a wrong id broke the lock")?;
    if !b.capabilities().fencing {
        return old.release().await.map_err(text);
    }
    b.unlock(&old.lock_info().id).await.map_err(text)?;
    let new = lock(&*b).await.map_err(text)?;
    ensure(new.lock_info().token > old.lock_info().token, "the fencing token did not advance")?;
    let stale = old.record(Some(seq), put(2)).await;
    ensure(matches!(stale, Err(StateError::LockLost { .. })), "a fenced writer could write")?;
    ensure(old.lost(), "a fenced writer does not know it")?;
    ensure(old.finish(outputs(1), Summary::default()).await.is_err(), "a fenced writer could finish")?;
    ensure(new.open().await.map_err(text)? == [(seq, intent(2))], "the open intent of the fenced writer is lost")?;
    new.record(Some(seq), put(2)).await.map_err(text)?;
    // Letting go of a lost lock must not let go of the new one.
    drop(old.release().await);
    ensure(b.lock_info().await.map_err(text)?.is_some(), "the fenced writer released the new lock")?;
    let done = new.finish(outputs(1), Summary::default()).await.map_err(text)?;
    ensure(done.instances.len() == 2 && done.open.is_empty(), "something is missing after the takeover")?;
    new.release().await.map_err(text)
}

pub(super) async fn no_record_loses_an_object(open: Open<'_>) -> Result<(), String> {
    let backend = open("records");
    let writer = lock(&*backend).await.map_err(text)?;
    create(&*writer, 1).await?;
    create(&*writer, 2).await?;
    let refused = async |record: Record| match writer.record(None, record.clone()).await {
        Err(StateError::Refused { .. }) => Ok(()),
        other => Err(format!("{record:?} gave {other:?}")),
    };
    let depose = |n, key: &str| Record::Depose { address: address(n), key: key.into() };
    let restore = |n, key: &str| Record::Restore { address: address(n), key: key.into() };
    refused(Record::Move { from: address(1), to: address(2) }).await?;
    refused(Record::Move { from: address(8), to: address(9) }).await?;
    refused(depose(9, "d1")).await?;
    refused(restore(1, "d1")).await?;
    writer.record(None, depose(1, "d1")).await.map_err(text)?;
    create(&*writer, 1).await?;
    refused(depose(1, "d1")).await?;
    refused(restore(1, "d1")).await?;
    let moved = Record::Move { from: address(1), to: address(4) };
    writer.record(None, moved).await.map_err(text)?;
    let now = backend.snapshot().await.map_err(text)?;
    ensure(now.deposed.contains_key(&(address(4), "d1".into())), "a move left the deposed object behind")?;
    ensure(now.instances.contains_key(&address(4)) && !now.instances.contains_key(&address(1)), "not moved")?;
    let remove = |deposed: Option<&str>| Record::Remove { address: address(4), deposed: deposed.map(Into::into) };
    writer.record(None, remove(None)).await.map_err(text)?;
    writer.record(None, restore(4, "d1")).await.map_err(text)?;
    writer.record(None, depose(4, "d2")).await.map_err(text)?;
    writer.record(None, remove(Some("d2"))).await.map_err(text)?;
    writer.record(None, Record::Outputs(outputs(2))).await.map_err(text)?;
    ensure(writer.record(Some(4711), put(1)).await.is_err(), "a result closed an intent that is not open")?;
    let now = backend.snapshot().await.map_err(text)?;
    ensure(now.instances.len() == 1 && now.deposed.is_empty() && now.outputs == outputs(2), "records went wrong")?;
    writer.release().await.map_err(text)
}

pub(super) async fn secrets_are_refused(open: Open<'_>) -> Result<(), String> {
    let backend = open("secrets");
    let writer = lock(&*backend).await.map_err(text)?;
    let canary = || Value::string("canary-4711");
    for bad in [
        canary().sensitive(),
        Value::tuple(vec![canary()]).sensitive(),
        canary().mark(mesh_model::Marks::EPHEMERAL),
        Value::unknown(mesh_model::Type::String),
    ] {
        let values = Value::object([("a", Value::object([("b", bad)]))]);
        let broken = Instance { values, ..(*instance(1)).clone() };
        let record = Record::Put { address: address(1), deposed: None, instance: Arc::new(broken) };
        match writer.record(None, record).await {
            Err(e @ StateError::Refused { .. }) => {
                ensure(!e.to_string().contains("canary"), "the error shows the secret")?;
                ensure(e.to_string().contains("a.b"), format!("the error does not say where: {e}"))?;
            }
            other => return Err(format!("a value that must not be stored gave {other:?}")),
        }
    }
    ensure(backend.snapshot().await.map_err(text)?.instances.is_empty(), "something refused was stored")?;
    writer.release().await.map_err(text)
}

pub(super) async fn history_of_serials(open: Open<'_>) -> Result<(), String> {
    let backend = open("history");
    if !backend.capabilities().history {
        return Ok(());
    }
    let none = backend.at(1).await;
    ensure(matches!(none, Err(StateError::NoSuchSerial { range: None, .. })), "an empty state has history")?;
    let writer = lock(&*backend).await.map_err(text)?;
    for n in 1..=3 {
        writer.begin(&format!("digest-{n}"), "mesh apply").await.map_err(text)?;
        create(&*writer, n).await?;
        let counts = mesh_model::change::Counts { add: n, ..Default::default() };
        writer.finish(outputs(n), Summary { counts, complete: n == 3, ..Summary::default() }).await.map_err(text)?;
    }
    writer.release().await.map_err(text)?;
    let entries = open("history").history().await.map_err(text)?;
    ensure(entries.iter().map(|e| e.serial).eq(1..=3), "serials are missing in the history")?;
    let last = &entries[2];
    ensure((&*last.who, &*last.command, &*last.digest) == ("ada@host7", "mesh apply", "digest-3"), "who did what?")?;
    ensure(last.summary.counts.add == 3 && last.summary.complete, "the summary is wrong")?;
    let second = backend.at(2).await.map_err(text)?;
    ensure(second.serial == 2 && second.instances.len() == 2 && second.outputs == outputs(2), "serial 2 is wrong")?;
    let beyond = backend.at(9).await;
    ensure(matches!(beyond, Err(StateError::NoSuchSerial { range: Some((1, 3)), .. })), "serial 9 is there")
}

pub(super) async fn readers_see_what_is_acknowledged(open: Open<'_>) -> Result<(), String> {
    const COUNT: usize = 240;
    let writer: Arc<dyn Writer> = lock(&*open("readers")).await.map_err(text)?.into();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let lanes: Vec<_> = (0..8)
        .map(|lane| {
            let (writer, acknowledged) = (writer.clone(), acknowledged.clone());
            tokio::spawn(async move {
                for n in (lane..COUNT).step_by(8) {
                    create(&*writer, n).await?;
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    if lane == 0 && n % 48 == 0 {
                        writer.finish(outputs(n), Summary::default()).await.map_err(text)?;
                    }
                }
                Ok::<(), String>(())
            })
        })
        .collect();
    let reader = open("readers");
    let mut serial = 0;
    while acknowledged.load(Ordering::SeqCst) < COUNT && !lanes.iter().all(tokio::task::JoinHandle::is_finished) {
        let least = acknowledged.load(Ordering::SeqCst);
        let seen = reader.snapshot().await.map_err(text)?;
        ensure(seen.instances.len() >= least, format!("{least} were acknowledged, {} seen", seen.instances.len()))?;
        ensure(seen.serial >= serial, "a reader went back in time")?;
        serial = seen.serial;
    }
    for lane in lanes {
        lane.await.map_err(|e| e.to_string())??;
    }
    ensure(reader.snapshot().await.map_err(text)?.instances.len() == COUNT, "instances are missing at the end")
}

pub(super) async fn fifty_megabytes(open: Open<'_>) -> Result<(), String> {
    let backend = open("big");
    let writer = lock(&*backend).await.map_err(text)?;
    let filler = "0123456789abcdef".repeat(3200);
    for n in 0..1000 {
        let values = Value::object([("text", Value::string(format!("{n}{filler}")))]);
        let big = Arc::new(Instance { values, ..(*instance(n)).clone() });
        writer.record(None, Record::Put { address: address(n), deposed: None, instance: big }).await.map_err(text)?;
    }
    let done = writer.finish(outputs(1), Summary::default()).await.map_err(text)?;
    writer.release().await.map_err(text)?;
    same(&done, &open("big").snapshot().await.map_err(text)?)
}
