//! Processes that end badly: killed, or without space.
//!
//! The one decision: the victim is this test binary itself, run again with one ignored test, in a
//! folder that holds a marker; what it prints as acknowledged must be there afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, address, backend, intent, lock, put};
use crate::{Backend, Fault, Outputs, Record, StateError, Summary, Writer};

/// The process that [`killed_at_any_moment`] kills: applies for ever and says what is acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "not a test of its own: it runs until it is killed"]
async fn applies_until_killed() -> Result<(), Failure> {
    let folder = std::env::current_dir()?;
    if !folder.join("victim").exists() {
        return Ok(());
    }
    let writer: Arc<dyn Writer> = lock(&folder).await?.into();
    for (seq, open) in writer.open().await? {
        // Looked up, and found: as the engine does for an open intent.
        let Record::Put { instance, .. } = put(0) else { continue };
        writer.record(Some(seq), Record::Put { address: open.address, deposed: None, instance }).await?;
    }
    let start = writer.snapshot().await?.instances.len();
    for round in 0.. {
        writer.begin("digest", "mesh apply").await?;
        let lanes: Vec<_> = (0..8)
            .map(|lane| {
                let writer = writer.clone();
                tokio::spawn(async move {
                    let n = 1_000_000 * lane + start * 1000 + round;
                    let seq = writer.intend(intent(n)).await?;
                    writer.record(Some(seq), put(n)).await?;
                    writeln!(std::io::stdout(), "acknowledged {n}")
                        .map_err(|e| StateError::io("writing", Path::new("stdout"), &e))
                })
            })
            .collect();
        for lane in lanes {
            lane.await??;
        }
        if round % 3 == 2 {
            writer.finish(Outputs::new(), Summary::default()).await?;
            writeln!(std::io::stdout(), "finished {}", writer.snapshot().await?.serial)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_any_moment() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("victim"), "")?;
    let mut acknowledged = BTreeSet::new();
    let mut serial = 0;
    for round in 0..25u64 {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "local::tests::crash::applies_until_killed", "--ignored", "--nocapture"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().expect("a pipe");
        let reader =
            std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(15 + round * 37 % 90)).await;
        child.kill()?;
        child.wait()?;
        for line in reader.join().expect("the reader ends") {
            match line.split_once(' ') {
                Some(("acknowledged", n)) => _ = acknowledged.insert(address(n.parse()?)),
                Some(("finished", n)) => serial = n.parse::<u64>()?,
                _ => {}
            }
        }
        let seen = backend(folder.path()).snapshot().await?;
        let known: BTreeSet<_> = seen.instances.keys().cloned().collect();
        assert!(acknowledged.is_subset(&known), "round {round} lost an acknowledged result");
        assert!(seen.serial >= serial, "round {round} lost a finished stage");
        let holder = backend(folder.path()).lock_info().await?;
        assert!(holder.is_none_or(|h| h.dead), "round {round}: a dead process holds the lock");
    }
    assert!(acknowledged.len() > 100, "only {} results: the processes died too early", acknowledged.len());
    let writer = lock(folder.path()).await?;
    assert!(writer.taken_over().is_some(), "the takeover is not reported");
    writer.release().await?;
    let left: Vec<_> = fs::read_dir(folder.path())?.flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains("tmp-")), "{left:?}");
    Ok(())
}

/// The process of [`a_full_disk_loses_nothing`]: writes until it cannot, then looks.
#[tokio::test]
#[ignore = "not a test of its own: it runs with a limit on the size of files"]
async fn writes_until_it_cannot() -> Result<(), Failure> {
    let folder = std::env::current_dir()?;
    if !folder.join("victim").exists() {
        return Ok(());
    }
    let writer = lock(&folder).await?;
    let mut stored = 0;
    let error = loop {
        match writer.record(None, put(stored)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StateError::Io { fault: Fault::DiskFull, .. }), "{error}");
    assert!(writer.record(None, put(stored)).await.is_err(), "there was space after all");
    assert_eq!(backend(&folder).snapshot().await?.instances.len(), stored);
    writer.release().await?;
    fs::write(folder.join("stored"), stored.to_string())?;
    Ok(())
}

#[tokio::test]
async fn a_full_disk_loses_nothing() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("victim"), "")?;
    let limited =
        "trap '' XFSZ; ulimit -f 32; exec \"$0\" --exact local::tests::crash::writes_until_it_cannot --ignored";
    let status = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe()?)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status()?;
    assert!(status.success());
    let stored: usize = fs::read_to_string(folder.path().join("stored"))?.parse()?;
    assert!(stored > 10, "only {stored}");
    // With space again, the next process goes on where it stopped.
    let writer = lock(folder.path()).await?;
    writer.record(None, put(stored)).await?;
    let done = writer.finish(Outputs::new(), Summary::default()).await?;
    assert_eq!(done.instances.len(), stored + 1);
    writer.release().await?;
    Ok(())
}
