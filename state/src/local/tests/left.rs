//! What was there when the lock was given back is there, or its loss is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Failure, backend, intent, lock, put, serial};
use crate::{Backend, Outputs, StateError, Summary, document};

/// A stage that ended, and one that did not; the lock was given back in good order.
async fn two_stages(folder: &Path) -> Result<Vec<u8>, Failure> {
    serial(folder, 2).await?;
    let writer = lock(folder).await?;
    writer.begin("d2", "mesh apply").await?;
    for n in 3..5 {
        let seq = writer.intend(intent(n)).await?;
        writer.record(Some(seq), put(n)).await?;
    }
    writer.intend(intent(5)).await?;
    writer.release().await?;
    Ok(seen(folder).await?)
}

/// The snapshot, as bytes that can be compared.
async fn seen(folder: &Path) -> Result<Vec<u8>, StateError> {
    document::write(&backend(folder).snapshot().await?)
}

/// The error that tells the loss, for a reader and for a writer, which changes nothing.
async fn loss(folder: &Path, words: &[&str]) -> Result<(), Failure> {
    let before = files(folder)?;
    for error in [backend(folder).snapshot().await.err(), lock(folder).await.err()] {
        let error = error.ok_or("what was lost is not told")?;
        assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|w| text.contains(w)) && text.contains("mesh.state.lock"), "{text}");
    }
    let mut after = files(folder)?;
    // The token has counted up.
    after.insert("mesh.state.lock".into(), before["mesh.state.lock".as_ref() as &Path].clone());
    assert!(before == after, "something was changed");
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, Failure> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            files.insert(path.strip_prefix(folder)?.to_owned(), fs::read(&path)?);
        }
    }
    Ok(files)
}

#[tokio::test]
async fn a_journal_that_was_cut_off_at_any_byte_is_noticed() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let whole = two_stages(folder.path()).await?;
    let (journal, lock_file) = (fs::read(path("mesh.state.journal"))?, fs::read(path("mesh.state.lock"))?);
    let lines: Vec<usize> = journal.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    // The second serial's operations are numbered on from the 4 of the first; the last line is number 10.
    for (kept, cut) in lines[..lines.len() - 1].iter().enumerate() {
        fs::write(path("mesh.state.journal"), &journal[..*cut])?;
        let words = match 4 + kept {
            9 => "operation 10 is missing".to_owned(),
            end => format!("operations {} to 10 are missing", end + 1),
        };
        loss(folder.path(), &["mesh.state.journal: ", &words, "at serial 1"]).await?;
    }
    for cut in lines[0]..journal.len() {
        fs::write(path("mesh.state.journal"), &journal[..cut])?;
        match seen(folder.path()).await {
            Err(StateError::Corrupt { .. }) => assert!(cut < journal.len() - 1),
            // Only the last line end is gone.
            seen => assert!(seen? == whole && cut == journal.len() - 1, "cut at {cut}"),
        }
    }
    fs::remove_file(path("mesh.state.journal"))?;
    loss(folder.path(), &["mesh.state.journal: it is not there; operations 5 to 10 are missing"]).await?;
    fs::write(path("mesh.state.journal"), "")?;
    let empty = backend(folder.path()).snapshot().await.expect_err("an empty journal");
    assert!(empty.to_string().contains("it is empty"), "{empty}");

    // The way out: restored, or accepted.
    fs::write(path("mesh.state.journal"), &journal)?;
    assert!(seen(folder.path()).await? == whole);
    fs::write(path("mesh.state.journal"), &journal[..lines[2]])?;
    fs::remove_file(path("mesh.state.lock"))?;
    let accepted = backend(folder.path()).snapshot().await?;
    assert_eq!((accepted.instances.len(), accepted.open.len()), (2, 1));
    lock(folder.path()).await?.release().await?;
    assert!(seen(folder.path()).await? == document::write(&accepted)?);
    // Who died holding it may have written less.
    fs::write(path("mesh.state.journal"), &journal)?;
    fs::write(path("mesh.state.lock"), &lock_file)?;
    let writer = lock(folder.path()).await?;
    let held = fs::read(path("mesh.state.lock"))?;
    writer.intend(intent(6)).await?;
    writer.release().await?;
    fs::write(path("mesh.state.journal"), &journal)?;
    fs::write(path("mesh.state.lock"), &held)?;
    assert!(backend(folder.path()).lock_info().await?.is_some_and(|i| i.dead));
    assert!(seen(folder.path()).await? == whole);
    // But not less than what was there before it.
    fs::write(path("mesh.state.journal"), &journal[..lines[2]])?;
    loss(folder.path(), &["operations 7 to 10 are missing"]).await
}

#[tokio::test]
async fn a_state_that_was_put_back_to_an_older_one_is_noticed() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    for n in 1..=3 {
        serial(folder.path(), n).await?;
    }
    let newest = fs::read(path("mesh.state"))?;
    fs::copy(path("mesh.state.history/00000002.state"), path("mesh.state"))?;
    loss(folder.path(), &["mesh.state: it holds serial 2, and serial 3 was here", "operations 8 to 12"]).await?;
    // Nor is nothing what was there.
    fs::remove_file(path("mesh.state"))?;
    fs::rename(path("mesh.state.history"), path("aside"))?;
    loss(folder.path(), &["mesh.state: it is not there; it holds serial 0, and serial 3 was here"]).await?;
    fs::rename(path("aside"), path("mesh.state.history"))?;
    fs::write(path("mesh.state"), &newest)?;
    assert_eq!(backend(folder.path()).snapshot().await?.serial, 3);

    // Another life of the same serials is another one, however long it is.
    let other = tempfile::tempdir()?;
    for name in ["mesh.state", "mesh.state.key"] {
        fs::copy(path(name), other.path().join(name))?;
    }
    assert_eq!(backend(other.path()).snapshot().await?.serial, 3, "a copy without its lock file is a state");
    serial(folder.path(), 4).await?;
    serial(other.path(), 4).await?;
    let ours = fs::read(path("mesh.state"))?;
    fs::copy(other.path().join("mesh.state"), path("mesh.state"))?;
    loss(folder.path(), &["operation 18 is not the one that was here"]).await?;
    // What is later cannot be compared, and is nothing that was lost as far as anybody knows.
    serial(other.path(), 1).await?;
    fs::copy(other.path().join("mesh.state"), path("mesh.state"))?;
    assert_eq!(backend(folder.path()).snapshot().await?.serial, 5);
    fs::write(path("mesh.state"), &ours)?;

    // Lock files of earlier versions say nothing of it, and are no reason to complain.
    fs::copy(path("mesh.state.history/00000002.state"), path("mesh.state"))?;
    for earlier in ["{\"token\":7}", "", "not JSON"] {
        fs::write(path("mesh.state.lock"), earlier)?;
        assert_eq!(backend(folder.path()).snapshot().await?.serial, 2);
    }
    lock(folder.path()).await?.release().await?;
    fs::write(path("mesh.state"), &newest)?;
    assert_eq!(backend(folder.path()).snapshot().await?.serial, 3);
    Ok(())
}

#[tokio::test]
async fn breaking_a_lock_keeps_what_was_there() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    serial(folder.path(), 1).await?;
    serial(folder.path(), 2).await?;
    let stuck = lock(folder.path()).await?;
    stuck.intend(intent(7)).await?;
    backend(folder.path()).unlock(&stuck.lock_info().id).await?;
    assert_eq!(backend(folder.path()).snapshot().await?.open.len(), 1);
    let state = folder.path().join("mesh.state");
    fs::remove_file(folder.path().join("mesh.state.journal"))?;
    assert_eq!(backend(folder.path()).snapshot().await?.serial, 2, "its journal is what it is");
    fs::copy(folder.path().join("mesh.state.history/00000001.state"), &state)?;
    loss(folder.path(), &["it holds serial 1, and serial 2 was here"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_beside_writers_never_see_a_loss() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    serial(folder.path(), 1).await?;
    let root = folder.path().to_owned();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (root, done) = (root.clone(), done.clone());
            tokio::spawn(async move {
                let (mut looks, mut most) = (0, 0);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let seen = backend(&root).snapshot().await?.instances.len();
                    assert!(seen >= most, "{seen} after {most}");
                    (looks, most) = (looks + 1, seen);
                }
                Ok::<usize, StateError>(looks)
            })
        })
        .collect();
    for round in 0..150 {
        let writer = lock(&root).await?;
        writer.record(None, put(100 + round)).await?;
        match round % 5 {
            // Gives up, or fails, or ends, or dies.
            0 => writer.finish(Outputs::new(), Summary::default()).await.map(drop)?,
            1 => drop(writer.record(Some(9999), put(1)).await),
            2 => {
                drop(writer);
                continue;
            }
            _ => {}
        }
        writer.release().await?;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await?? > 10);
    }
    Ok(())
}
