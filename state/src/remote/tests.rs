//! The suite over a store in memory, and what only a remote state can suffer: lost answers, a network that is cut,
//! holders that sleep, blobs that are damaged.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::conformance::{self, sample};
use crate::{Record, Summary};

/// Blobs in memory, and how often the system lets us down.
#[derive(Default)]
struct Memory {
    blobs: Mutex<BTreeMap<String, (Vec<u8>, usize)>>,
    writes: AtomicUsize,
    /// After so many more writes the answer of one is lost.
    lose: Mutex<Option<usize>>,
    /// After so many more requests nothing answers.
    cut: Mutex<Option<usize>>,
}

impl Memory {
    async fn request(&self) -> Result<(), StateError> {
        // As an answer of a network would.
        tokio::task::yield_now().await;
        let mut cut = locked(&self.cut);
        match cut.as_mut() {
            Some(0) => Err(StateError::remote("asking", "memory", "the network is cut")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    async fn get(&self, name: &str) -> Result<Option<Blob>, StateError> {
        self.request().await?;
        let blobs = locked(&self.blobs);
        Ok(blobs.get(name).map(|(bytes, v)| Blob { bytes: bytes.clone(), version: Version(v.to_string()) }))
    }

    async fn version(&self, name: &str) -> Result<Option<Version>, StateError> {
        self.request().await?;
        Ok(locked(&self.blobs).get(name).map(|(_, v)| Version(v.to_string())))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        self.request().await?;
        let mut blobs = locked(&self.blobs);
        let there = blobs.get(name).map(|(_, v)| Version(v.to_string()));
        let fits = match expected {
            Expected::Absent => there.is_none(),
            Expected::Is(version) => there == Some(version),
        };
        if !fits {
            return Ok(None);
        }
        let version = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        blobs.insert(name.to_owned(), (bytes, version));
        let mut lose = locked(&self.lose);
        match lose.as_mut() {
            Some(0) => {
                *lose = None;
                Err(StateError::remote("writing", "memory", "no answer"))
            }
            Some(left) => {
                *left -= 1;
                Ok(Some(Version(version.to_string())))
            }
            None => Ok(Some(Version(version.to_string()))),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StateError> {
        self.request().await?;
        Ok(locked(&self.blobs).keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }

    async fn remove(&self, name: &str) -> Result<(), StateError> {
        self.request().await?;
        locked(&self.blobs).remove(name);
        Ok(())
    }
}

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
    let ttl = Duration::from_millis(200);
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
    drop(writer);
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
        assert!(seen.is_err() || name.ends_with("00000001"), "{name} is missing");
    }
}
