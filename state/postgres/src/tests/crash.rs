//! Processes and servers that end badly.
//!
//! The one decision: the victim is this test binary itself, run again with one ignored test, in a folder that holds the
//! connection string; what it prints as acknowledged must be there afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_state::{Backend, Outputs, Record, StateError, Summary, Writer};

use super::{Failure, address, backend, backend_at, info, intent, lock, postgres, put, sandbox};

fn say(line: &str) -> Result<(), StateError> {
    writeln!(std::io::stdout(), "{line}").map_err(|e| StateError::remote("writing", "stdout", e))
}

/// The process that is killed: applies for ever, or stops between intent and result, and says what is acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "not a test of its own: it runs until it is killed"]
async fn applies_until_killed() -> Result<(), Failure> {
    let folder = std::env::current_dir()?;
    let Ok(text) = fs::read_to_string(folder.join("victim")) else { return Ok(()) };
    let (mode, connection) = text.split_once(' ').expect("two words");
    let backend = backend_at(connection, mode, "state", &folder);
    let writer: Arc<dyn Writer> = lock(&backend).await?.into();
    if mode == "between" {
        writer.begin("digest", "mesh apply").await?;
        let seq = writer.intend(intent(1)).await?;
        say(&format!("intended {seq}"))?;
        std::future::pending::<()>().await;
    }
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
                    say(&format!("acknowledged {n}"))
                })
            })
            .collect();
        for lane in lanes {
            lane.await??;
        }
        if round % 3 == 2 {
            writer.finish(Outputs::new(), Summary::default()).await?;
            say(&format!("finished {}", writer.snapshot().await?.serial))?;
        }
    }
    Ok(())
}

fn victim(folder: &Path, mode: &str) -> Result<Child, Failure> {
    fs::write(folder.join("victim"), format!("{mode} {}", postgres().connection("postgres", "disable")))?;
    let child = Command::new(std::env::current_exe()?)
        .args(["--exact", "tests::crash::applies_until_killed", "--ignored", "--nocapture"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_intent_and_result() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut child = victim(folder.path(), "between")?;
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let said = lines.map_while(Result::ok).find_map(|l| Some(l.split_once("intended ")?.1.to_owned()));
    let seq: u64 = said.expect("it said what it intends").parse()?;
    let backend = backend("between", folder.path());
    let holder = backend.lock_info().await?.expect("a holder");
    assert!(!holder.dead, "the holder lives");
    assert!(matches!(backend.lock(info(), Duration::ZERO).await, Err(StateError::Locked { .. })), "two hold the lock");
    assert_eq!(backend.snapshot().await?.open, [intent(1)]);
    child.kill()?;
    child.wait()?;
    let killed = Instant::now();
    let writer = lock(&backend).await?;
    assert!(killed.elapsed() < Duration::from_secs(10), "the lock was free after {:?} only", killed.elapsed());
    assert_eq!(writer.taken_over().map(|h| &h.id), Some(&holder.id), "the takeover is not reported");
    assert_eq!(writer.open().await?, [(seq, intent(1))]);
    assert!(writer.snapshot().await?.unfinished.is_some());
    writer.record(Some(seq), put(1)).await?;
    writer.release().await?;
    assert!(backend.snapshot().await?.open.is_empty() && backend.lock_info().await?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let backend = backend("moments", folder.path());
    let (mut acknowledged, mut serial) = (BTreeSet::new(), 0);
    for round in 0..12u64 {
        let mut child = victim(folder.path(), "moments")?;
        let output = child.stdout.take().expect("a pipe");
        let (begun, begins) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.inspect(|line| _ = line.starts_with("acknowledged") && begun.send(()).is_ok()).collect::<Vec<_>>()
        });
        // Some die before they have begun.
        if round % 4 > 0 {
            tokio::task::block_in_place(|| begins.recv_timeout(Duration::from_secs(20)))?;
        }
        tokio::time::sleep(Duration::from_millis(20 + round * 37 % 190)).await;
        child.kill()?;
        child.wait()?;
        for line in reader.join().expect("the reader ends") {
            match line.split_once(' ') {
                Some(("acknowledged", n)) => _ = acknowledged.insert(address(n.parse()?)),
                Some(("finished", n)) => serial = n.parse::<u64>()?,
                _ => {}
            }
        }
        let seen = backend.snapshot().await?;
        let known: BTreeSet<_> = seen.instances.keys().cloned().collect();
        assert!(acknowledged.is_subset(&known), "round {round} lost an acknowledged result");
        assert!(seen.serial >= serial, "round {round} lost a finished stage");
    }
    assert!(acknowledged.len() > 100, "only {} results: the processes died too early", acknowledged.len());
    let writer = lock(&backend).await?;
    assert!(writer.taken_over().is_some(), "the takeover is not reported");
    writer.release().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_loses_nothing() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let server = sandbox().extra_postgres()?;
    let backend = backend_at(&server.connection("postgres", "prefer"), "mesh", "state", folder.path());
    let writer = lock(&backend).await?;
    writer.begin("digest", "mesh apply").await?;
    for n in 0..20 {
        let seq = writer.intend(intent(n)).await?;
        writer.record(Some(seq), put(n)).await?;
    }
    let seq = writer.intend(intent(20)).await?;
    assert_eq!(backend.snapshot().await?.instances.len(), 20);
    server.crash()?;
    let error = writer.record(Some(seq), put(20)).await.expect_err("there is no server");
    assert!(matches!(error, StateError::Io { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1") && text.contains("Everything that was recorded before is kept"), "{text}");
    assert!(!text.contains(server.password()), "the error shows the password");
    let error = backend.snapshot().await.expect_err("there is no server").to_string();
    assert!(error.contains("refused") && !error.contains(server.password()), "{error}");
    server.resume()?;
    assert!(writer.intend(intent(21)).await.is_err(), "a writer without its lock went on");
    writer.release().await?;
    let seen = backend.snapshot().await?;
    assert_eq!((seen.instances.len(), seen.open, seen.unfinished.is_some()), (20, vec![intent(20)], true));
    let next = lock(&backend).await?;
    assert!(next.taken_over().is_some());
    next.record(Some(seq), put(20)).await?;
    next.release().await?;
    assert_eq!(backend.snapshot().await?.instances.len(), 21);
    Ok(())
}
