//! The suite over a store in memory, and what only a remote state can suffer: lost answers, a network that is cut,
//! holders that sleep, blobs that are damaged.

mod cost;
mod damage;
pub(crate) mod memory;

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::*;
use crate::conformance::{self, sample};
use crate::{Record, Summary};
use memory::Memory;

struct Bed {
    folder: tempfile::TempDir,
    stores: Mutex<HashMap<String, Arc<Memory>>>,
}

impl Bed {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), stores: Mutex::default() }
    }

    fn store(&self, name: &str) -> Arc<Memory> {
        locked(&self.stores).entry(name.to_owned()).or_default().clone()
    }

    fn open(&self, name: &str) -> RemoteBackend {
        RemoteBackend::new(self.store(name), self.folder.path().join(name), None)
    }
}

#[tokio::test]
async fn the_suite() {
    let bed = Bed::new();
    let open = |name: &str| -> Arc<dyn Backend> { Arc::new(bed.open(name)) };
    conformance::run(&open).await.expect("every promise is kept");
}

#[tokio::test]
async fn lost_answers_lose_nothing_and_double_nothing() {
    for lost in 0..14 {
        let bed = Bed::new();
        let (store, backend) = (bed.store("s"), bed.open("s"));
        backend.fingerprinter().await.expect("a key");
        *locked(&store.lose) = Some(lost);
        let run = async {
            let writer = sample::lock(&backend).await?;
            writer.begin("d", "mesh apply").await?;
            for n in 1..=3 {
                let seq = writer.intend(sample::intent(n)).await?;
                writer.record(Some(seq), sample::put(n)).await?;
            }
            writer.finish(sample::outputs(1), Summary::default()).await?;
            writer.release().await
        };
        let result: Result<(), StateError> = run.await;
        // Only taking and giving back the lease do not look again: the next try does.
        if result.is_err() {
            *locked(&store.blobs).entry(lease::LOCK.into()).or_default() = (b"{\"token\":9}".to_vec(), 9999);
            let writer = sample::lock(&backend).await.expect("the next run");
            writer.finish(sample::outputs(1), Summary::default()).await.expect("ends");
        } else {
            let snapshot = backend.snapshot().await.expect("reads");
            assert_eq!((snapshot.serial, snapshot.instances.len(), snapshot.open.len()), (1, 3, 0), "{lost}");
        }
        assert_eq!(locked(&store.lose).take(), None, "{lost} was reached");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_network_keeps_what_was_acknowledged_and_says_so() {
    for cut in 1..40 {
        let bed = Bed::new();
        let (store, backend) = (bed.store("s"), bed.open("s"));
        backend.fingerprinter().await.expect("a key");
        *locked(&store.cut) = Some(cut);
        let mut acknowledged = 0;
        let run = async {
            let writer = sample::lock(&backend).await?;
            writer.begin("d", "mesh apply").await?;
            for n in 1..=3 {
                let seq = writer.intend(sample::intent(n)).await?;
                writer.record(Some(seq), sample::put(n)).await?;
                acknowledged = n;
            }
            writer.finish(sample::outputs(1), Summary::default()).await?;
            writer.release().await
        };
        let result: Result<(), StateError> = run.await;
        *locked(&store.cut) = None;
        // The holder could not give it back.
        tokio::time::sleep(LEASE).await;
        if let Some(left) = backend.lock_info().await.expect("looks") {
            backend.unlock(&left.id).await.expect("breaks it");
        }
        let seen = bed.open("s").snapshot().await.expect("reads");
        assert!(seen.instances.len() >= acknowledged, "{cut}: {acknowledged} were acknowledged");
        assert!(result.is_ok() || seen.serial <= 1, "{cut}");
        let writer = sample::lock(&bed.open("s")).await.expect("goes on");
        for (seq, _) in writer.open().await.expect("open intents") {
            writer.record(Some(seq), Record::Nothing).await.expect("closes");
        }
        writer.finish(sample::outputs(1), Summary::default()).await.expect("ends");
    }
}

#[tokio::test]
async fn a_holder_that_slept_through_its_lease_writes_nothing_more() {
    let bed = Bed::new();
    let ttl = Duration::from_millis(600);
    let slow = bed.open("s").with_lease(ttl);
    let old = sample::lock(&slow).await.expect("the lease");
    let seq = old.intend(sample::intent(1)).await.expect("an intent");
    // Its heartbeat goes on, so it keeps the lease.
    tokio::time::sleep(ttl * 3).await;
    assert!(slow.lock_info().await.expect("looks").is_some_and(|i| !i.dead));
    // A process that is stopped sends none: as if its lease had run out.
    let store = bed.store("s");
    let stopped = locked(&store.blobs).get(lease::LOCK).map(|(b, _)| String::from_utf8_lossy(b).into_owned());
    let mut json: serde_json::Value = serde_json::from_str(&stopped.expect("a lock")).expect("JSON");
    json["holder"]["expires"] = "2020-01-01T00:00:00Z".into();
    locked(&store.blobs).insert(lease::LOCK.into(), (json.to_string().into_bytes(), 9999));
    let new = sample::lock(&bed.open("s")).await.expect("takes over");
    assert_eq!(new.taken_over().map(|i| i.id.clone()), Some(old.lock_info().id.clone()));
    let stale = old.record(Some(seq), sample::put(1)).await;
    assert!(matches!(stale, Err(StateError::LockLost { .. })) && old.lost(), "{stale:?}");
    new.record(Some(seq), sample::put(1)).await.expect("the new holder closes it");
    new.release().await.expect("releases");
}

#[tokio::test]
async fn a_process_of_this_machine_that_is_gone_holds_nothing() {
    let bed = Bed::new();
    let store = bed.store("s");
    let old = sample::lock(&bed.open("s")).await.expect("the lease");
    let seq = old.intend(sample::intent(1)).await.expect("an intent");
    let held = locked(&store.blobs)[lease::LOCK].0.clone();
    let holder = |process: Option<&str>| {
        let mut json: serde_json::Value = serde_json::from_slice(&held).expect("JSON");
        json["holder"]["process"] = process.into();
        locked(&store.blobs).insert(lease::LOCK.into(), (json.to_string().into_bytes(), 9999));
    };
    let Some(ours) = old.lock_info().process.clone() else { return };
    let (place, started) = ours.rsplit_once(' ').expect("words");
    let (here, pid) = place.rsplit_once(' ').expect("words");
    let elsewhere = here.replace("pid:[", "pid:[9");
    let another = format!("{elsewhere} {pid} 1");
    let rebooted = format!("0{} {pid} 1", &here[1..]);
    for living in [Some(&*ours), Some(&another), Some(&rebooted), Some("nonsense"), Some(""), None] {
        holder(living);
        let error = bed.open("s").lock(LockInfo::new("a", "b", "c"), Duration::ZERO).await.err().expect("it is held");
        assert!(matches!(error, StateError::Locked { .. }), "{living:?}: {error}");
        assert!(bed.open("s").lock_info().await.expect("looks").is_some_and(|i| !i.dead), "{living:?}");
    }
    // The number is in use, by a process that was started at another time.
    assert_ne!(started, "1");
    holder(Some(&format!("{place} 1")));
    let left = bed.open("s").lock_info().await.expect("looks").expect("somebody");
    assert!(left.dead && left.expires.is_some_and(|at| at > jiff::Timestamp::now()), "{left:?}");
    let new = bed.open("s").lock(LockInfo::new("a", "b", "c"), Duration::ZERO).await.expect("takes over at once");
    assert_eq!(new.taken_over().map(|i| i.id.clone()), Some(old.lock_info().id.clone()));
    // Where that was wrong: the holder lives after all, and writes nothing more.
    let stale = old.record(Some(seq), sample::put(1)).await;
    assert!(matches!(stale, Err(StateError::LockLost { .. })) && old.lost(), "{stale:?}");
    new.record(Some(seq), sample::put(1)).await.expect("the new holder closes it");
    new.release().await.expect("releases");
}

#[tokio::test]
async fn a_holder_that_was_overtaken_by_a_whole_stage_writes_nothing_more() {
    let bed = Bed::new();
    let old = sample::lock(&bed.open("s")).await.expect("the lease");
    old.begin("d", "mesh apply").await.expect("begins");
    bed.open("s").unlock(&old.lock_info().id).await.expect("breaks it");
    let new = sample::lock(&bed.open("s")).await.expect("takes over");
    new.record(None, sample::put(1)).await.expect("records");
    new.finish(sample::outputs(1), Summary::default()).await.expect("ends, and removes the old segments");
    new.release().await.expect("releases");
    let stale = old.intend(sample::intent(2)).await;
    assert!(matches!(stale, Err(StateError::LockLost { .. })) && old.lost(), "{stale:?}");
    let seen = bed.open("s").snapshot().await.expect("reads");
    assert_eq!((seen.serial, seen.instances.len(), seen.open.len()), (1, 1, 0));
}

#[tokio::test]
async fn damage_is_an_error_and_never_a_silent_loss() {
    let bed = Bed::new();
    let writer = sample::lock(&bed.open("s")).await.expect("a lease");
    for n in 1..=2 {
        writer.record(None, sample::put(n)).await.expect("records");
    }
    writer.finish(sample::outputs(1), Summary::default()).await.expect("ends");
    writer.record(None, sample::put(3)).await.expect("records");
    writer.release().await.expect("releases");
    let store = bed.store("s");
    let whole = locked(&store.blobs).clone();
    let good = bed.open("s").snapshot().await.expect("reads");
    let names = whole.keys().filter(|n| *n != lease::LOCK).cloned().collect::<Vec<_>>();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let length = whole[&name].0.len();
        for at in (0..length).step_by(1 + length / 60) {
            let mut damaged = whole.clone();
            let bytes = &mut damaged.get_mut(&name).expect("is there").0;
            bytes[at] ^= 0x40;
            *locked(&store.blobs) = damaged;
            if let Ok(seen) = bed.open("s").snapshot().await {
                assert_eq!((seen.serial, &seen.instances), (good.serial, &good.instances), "{name} at {at}");
            }
            let mut cut = whole.clone();
            cut.get_mut(&name).expect("is there").0.truncate(at);
            *locked(&store.blobs) = cut;
            if let Ok(seen) = bed.open("s").snapshot().await {
                assert_eq!((seen.serial, &seen.instances), (good.serial, &good.instances), "{name} cut at {at}");
            }
        }
        let mut without = whole.clone();
        without.remove(&name);
        *locked(&store.blobs) = without;
        let seen = bed.open("s").snapshot().await;
        assert!(seen.is_err(), "{name} is missing");
    }
}

/// The error that tells a loss, for a reader and for a writer, which sweeps nothing away.
async fn loss(bed: &Bed, words: &[&str]) {
    let states =
        || locked(&bed.store("s").blobs).keys().filter(|n| n.starts_with("states/")).cloned().collect::<Vec<_>>();
    let before = states();
    for error in [bed.open("s").snapshot().await.err(), sample::lock(&bed.open("s")).await.err()] {
        let error = error.expect("what was lost is told");
        assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|w| text.contains(w)) && text.contains("remove the blob lock"), "{text}");
    }
    assert_eq!(states(), before);
}

#[tokio::test]
async fn what_was_put_back_to_an_earlier_time_is_noticed() {
    let bed = Bed::new();
    let store = bed.store("s");
    let writer = sample::lock(&bed.open("s")).await.expect("a lease");
    let mut heads = Vec::new();
    for n in 1..=3 {
        writer.record(None, sample::put(n)).await.expect("records");
        writer.finish(sample::outputs(1), Summary::default()).await.expect("ends");
        heads.push(locked(&store.blobs)["head"].clone());
    }
    writer.record(None, sample::put(4)).await.expect("records");
    writer.record(None, sample::put(5)).await.expect("records");
    writer.release().await.expect("releases");
    let whole = locked(&store.blobs).clone();
    let good = bed.open("s").snapshot().await.expect("reads");

    locked(&store.blobs).insert("head".into(), heads[1].clone());
    loss(&bed, &["head in memory: it holds serial 2, and serial 3 was here", "operations 5 to 8 are missing"]).await;
    // Everything is gone but the lock.
    let lock = locked(&store.blobs)["lock"].clone();
    *locked(&store.blobs) = [("lock".to_owned(), lock)].into();
    loss(&bed, &["it holds serial 0, and serial 3 was here"]).await;
    // The journal ends earlier, at a segment's end.
    *locked(&store.blobs) = whole.clone();
    let last = whole.keys().rfind(|n| n.starts_with("journal/")).expect("a segment");
    locked(&store.blobs).remove(last);
    loss(&bed, &["operation 8 is missing", "at serial 3"]).await;

    // The way out: put back, or accepted. A lock that is broken, held or of an earlier version is no reason to complain.
    *locked(&store.blobs) = whole.clone();
    let writer = sample::lock(&bed.open("s")).await.expect("a lease");
    let held = locked(&store.blobs)["lock"].clone();
    bed.open("s").unlock(&writer.lock_info().id).await.expect("breaks it");
    drop(writer);
    assert_eq!(bed.open("s").snapshot().await.expect("reads").instances, good.instances);
    let earlier: &[u8] = b"{\"token\":9}";
    for lock in [Some(held), Some((earlier.to_vec(), 9998)), None] {
        *locked(&store.blobs) = whole.clone();
        let lock = lock.map(|lock| locked(&store.blobs).insert("lock".into(), lock));
        assert_eq!(bed.open("s").snapshot().await.expect("reads").instances, good.instances);
        if lock.is_none() {
            locked(&store.blobs).remove("lock");
            locked(&store.blobs).insert("head".into(), heads[1].clone());
            assert_eq!(bed.open("s").snapshot().await.expect("reads").serial, 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_beside_writers_never_see_a_loss() {
    let bed = Arc::new(Bed::new());
    sample::lock(&bed.open("s")).await.expect("a lease").release().await.expect("releases");
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (bed, done) = (bed.clone(), done.clone());
            tokio::spawn(async move {
                let (mut looks, mut most) = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    let seen = bed.open("s").snapshot().await.expect("nothing is lost").instances.len();
                    assert!(seen >= most, "{seen} after {most}");
                    (looks, most) = (looks + 1, seen);
                }
                looks
            })
        })
        .collect();
    for round in 0..100 {
        let writer = sample::lock(&bed.open("s")).await.expect("a lease");
        writer.record(None, sample::put(round)).await.expect("records");
        match round % 5 {
            0 => drop(writer.finish(sample::outputs(1), Summary::default()).await.expect("ends")),
            1 => assert!(writer.record(Some(9999), sample::put(1)).await.is_err()),
            2 => {
                drop(writer);
                continue;
            }
            _ => {}
        }
        writer.release().await.expect("releases");
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.expect("a reader ends") > 10);
    }
}
