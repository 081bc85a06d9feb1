//! The local backend: the suite, and what only files can suffer.

mod cost;
mod crash;
mod damage;
mod left;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{LocalBackend, Retention};
use crate::Home as _;
use crate::conformance::plain::{address, intent, put};
use crate::{Backend, Fault, LockInfo, Outputs, Record, StateError, Summary, Writer};

type Failure = Box<dyn std::error::Error>;

fn backend(folder: &Path) -> LocalBackend {
    LocalBackend::new(folder.join("mesh.state"))
}

async fn lock(folder: &Path) -> Result<Box<dyn Writer>, StateError> {
    backend(folder).lock(LockInfo::new("mesh apply", "ada", "host7"), Duration::from_secs(5)).await
}

/// One finished serial with `1..=n`.
async fn serial(folder: &Path, n: usize) -> Result<(), StateError> {
    let writer = lock(folder).await?;
    writer.begin("d", "mesh apply").await?;
    for n in 1..=n {
        writer.record(None, put(n)).await?;
    }
    writer.finish(Outputs::new(), Summary::default()).await?;
    writer.release().await
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().to_owned();
    crate::conformance::run(&move |name| Arc::new(backend(&root.join(name)))).await?;
    Ok(())
}

#[tokio::test]
async fn a_journal_cut_at_every_byte_keeps_what_it_holds_and_goes_on() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    serial(folder.path(), 1).await?;
    let writer = lock(folder.path()).await?;
    writer.begin("d2", "mesh apply").await?;
    for n in 2..5 {
        let seq = writer.intend(intent(n)).await?;
        writer.record(Some(seq), put(n)).await?;
    }
    let lock_file = folder.path().join("mesh.state.lock");
    let held = fs::read(&lock_file)?;
    writer.release().await?;
    let path = folder.path().join("mesh.state.journal");
    let whole = fs::read(&path)?;
    let header = whole.iter().position(|b| *b == b'\n').expect("a header") + 1;
    let mut sizes = BTreeSet::new();
    for cut in header..=whole.len() {
        fs::write(&path, &whole[..cut])?;
        // As the holder leaves it that dies.
        fs::write(&lock_file, &held)?;
        let seen = backend(folder.path()).snapshot().await?;
        sizes.insert(seen.instances.len());
        // The next writer goes on after the good part, and a reader of that sees both.
        let writer = lock(folder.path()).await?;
        writer.record(None, put(9)).await?;
        writer.release().await?;
        let after = backend(folder.path()).snapshot().await?;
        assert_eq!(after.instances.len(), seen.instances.len() + 1, "cut at {cut}");
        assert_eq!(after.open, seen.open, "cut at {cut}");
    }
    assert_eq!(sizes, BTreeSet::from([1, 2, 3, 4]));
    fs::write(&path, &whole[..header - 2])?;
    assert!(matches!(backend(folder.path()).snapshot().await, Err(StateError::Corrupt { line: Some(1), .. })));
    Ok(())
}

#[tokio::test]
async fn an_edit_is_made_whole_or_not_at_all() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    serial(folder.path(), 3).await?;
    let (state, journal) = (folder.path().join("mesh.state"), folder.path().join("mesh.state.journal"));
    let (base, history) = (fs::read(&state)?, folder.path().join("mesh.state.history"));
    let writer = lock(folder.path()).await?;
    writer.record(None, put(7)).await?;
    // Without its history no edit is compacted, so that it stays in the journal.
    fs::rename(&history, folder.path().join("aside"))?;
    fs::write(&history, "")?;
    let held = fs::read(folder.path().join("mesh.state.lock"))?;
    let changes = vec![
        Record::Move { from: address(1), to: address(11) },
        Record::Move { from: address(2), to: address(12) },
        Record::Remove { address: address(3), deposed: None },
    ];
    let failed = writer.edit(changes, 5, Summary { edited: 3, ..Summary::default() }).await;
    assert!(matches!(failed, Err(StateError::Io { .. })), "{failed:?}");
    writer.release().await?;
    fs::remove_file(&history)?;
    fs::rename(folder.path().join("aside"), &history)?;
    let whole = fs::read(&journal)?;
    let header = whole.iter().position(|b| *b == b'\n').expect("a header") + 1;
    let mut seen = BTreeSet::new();
    for cut in header..=whole.len() {
        fs::write(&state, &base)?;
        fs::write(&journal, &whole[..cut])?;
        fs::write(folder.path().join("mesh.state.lock"), &held)?;
        let now = backend(folder.path()).snapshot().await?;
        let names: Vec<String> = now.instances.keys().map(ToString::to_string).collect();
        seen.insert((now.serial, names.join(" ")));
        lock(folder.path()).await?.release().await?;
        let after = backend(folder.path()).snapshot().await?;
        assert_eq!((after.serial, after.instances), (now.serial, now.instances), "cut at {cut}");
    }
    let x = |list: &[u8]| list.iter().map(|n| format!("terraform_data.x[{n}]")).collect::<Vec<_>>().join(" ");
    assert_eq!(seen, BTreeSet::from([(1, x(&[1, 2, 3])), (1, x(&[1, 2, 3, 7])), (5, x(&[7, 11, 12]))]));
    let last = backend(folder.path()).history().await?.pop().expect("an entry");
    assert_eq!((last.serial, last.summary.edited), (5, 3));
    Ok(())
}

#[tokio::test]
async fn compaction_that_was_cut_off_is_completed() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    // A file where the history folder should be stops compaction before the state is replaced.
    fs::write(path("mesh.state.history"), "")?;
    let writer = lock(folder.path()).await;
    assert!(writer.is_err(), "a history that is no folder was not noticed");
    fs::remove_file(path("mesh.state.history"))?;
    let writer = lock(folder.path()).await?;
    writer.record(None, put(1)).await?;
    fs::write(path("mesh.state.history"), "")?;
    let failed = writer.finish(Outputs::new(), Summary::default()).await;
    assert!(matches!(failed, Err(StateError::Io { .. })));
    assert!(writer.record(None, put(2)).await.is_err(), "wrote on after a failed compaction");
    writer.release().await?;
    fs::remove_file(path("mesh.state.history"))?;
    let journal = fs::read(path("mesh.state.journal"))?;

    let seen = backend(folder.path()).snapshot().await?;
    assert_eq!((seen.serial, seen.instances.len()), (1, 1), "a finished stage is not seen before compaction");
    lock(folder.path()).await?.release().await?;
    assert!(!path("mesh.state.journal").exists() && path("mesh.state").exists());

    // As if the removal of the journal had not reached the disk.
    fs::write(path("mesh.state.journal"), &journal)?;
    let again = backend(folder.path()).snapshot().await?;
    assert_eq!((again.serial, again.instances), (1, seen.instances));
    serial(folder.path(), 3).await?;
    assert_eq!(backend(folder.path()).snapshot().await?.serial, 2);

    // A journal of another serial than the state's is never ignored.
    fs::write(path("mesh.state.journal"), &journal)?;
    let foreign = backend(folder.path()).snapshot().await;
    assert!(matches!(foreign, Err(StateError::Corrupt { .. })), "{foreign:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_foreign_is_an_error_with_a_way_out() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    serial(folder.path(), 2).await?;
    let (state, key) = (fs::read(path("mesh.state"))?, fs::read(path("mesh.state.key"))?);

    fs::remove_file(path("mesh.state"))?;
    let missing = backend(folder.path()).snapshot().await.expect_err("the state is gone");
    assert!(matches!(missing, StateError::Missing { .. }) && missing.to_string().contains("history"), "{missing}");
    fs::copy(path("mesh.state.history/00000001.state"), path("mesh.state"))?;
    assert_eq!(fs::read(path("mesh.state"))?, state, "the way out does not lead back");

    fs::remove_file(path("mesh.state.key"))?;
    let missing = backend(folder.path()).fingerprinter().await.expect_err("the key is gone");
    assert!(matches!(missing, StateError::Key { .. }), "{missing}");
    assert!(matches!(lock(folder.path()).await, Err(StateError::Key { .. })));
    assert!(backend(folder.path()).snapshot().await.is_ok(), "reading needs no key");
    fs::write(path("mesh.state.key"), "new\n")?;
    backend(folder.path()).fingerprinter().await?;
    lock(folder.path()).await?.release().await?;
    assert_ne!(fs::read(path("mesh.state.key"))?, key);

    let other = tempfile::tempdir()?;
    backend(other.path()).fingerprinter().await?;
    fs::copy(other.path().join("mesh.state.key"), path("mesh.state.key"))?;
    assert!(matches!(lock(folder.path()).await, Err(StateError::Key { .. })), "another lineage's key");
    fs::write(path("mesh.state.key"), "mesh-state-key 1 x AAAA\n")?;
    assert!(matches!(lock(folder.path()).await, Err(StateError::Key { .. })), "a damaged key");
    fs::write(path("mesh.state.key"), "mesh-state-key 2 x\n")?;
    assert!(matches!(lock(folder.path()).await, Err(StateError::Newer { .. })), "a newer key");
    fs::write(path("mesh.state.key"), &key)?;

    fs::write(path("mesh.state"), &state[..state.len() / 2])?;
    let cut = backend(folder.path()).snapshot().await.expect_err("half a state");
    assert!(cut.to_string().contains("cut off"), "{cut}");
    Ok(())
}

#[tokio::test]
async fn files_are_private_and_the_key_is_nowhere_else() -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir()?;
    serial(folder.path(), 1).await?;
    for name in ["mesh.state", "mesh.state.key", "mesh.state.lock"] {
        let mode = fs::metadata(folder.path().join(name))?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    let key = fs::read_to_string(folder.path().join("mesh.state.key"))?;
    let secret = key.split_whitespace().last().expect("a key");
    assert!(!fs::read_to_string(folder.path().join("mesh.state"))?.contains(secret));
    Ok(())
}

#[tokio::test]
async fn history_is_kept_within_limits() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let retention = Retention { entries: 3, bytes: 1 << 20 };
    let backend = LocalBackend::new(folder.path().join("mesh.state")).retaining(retention);
    let writer = backend.lock(LockInfo::new("mesh apply", "ada", "host7"), Duration::ZERO).await?;
    for _ in 0..5 {
        writer.finish(Outputs::new(), Summary::default()).await?;
    }
    writer.release().await?;
    assert!(backend.history().await?.iter().map(|e| e.serial).eq(3..=5));
    let range = backend.at(1).await;
    assert!(matches!(range, Err(StateError::NoSuchSerial { range: Some((3, 5)), .. })));
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_can_be_planned_in() -> Result<(), Failure> {
    // Nobody can make a file there, not even the superuser.
    let backend = backend(Path::new("/sys"));
    let key = backend.fingerprinter().await?;
    assert_eq!(key.key(), backend.fingerprinter().await?.key());
    assert!(!backend.snapshot().await?.lineage.is_empty());
    let locked = backend.lock(LockInfo::new("mesh apply", "ada", "host7"), Duration::ZERO).await;
    let error = locked.err().expect("no lock there");
    assert!(matches!(error, StateError::Io { fault: Fault::Permission | Fault::ReadOnly, .. }), "{error}");
    Ok(())
}

fn encryption(names: &[&str]) -> crate::seal::Encryption {
    let recipient = |name: &&str| -> Arc<dyn crate::seal::Recipient> {
        Arc::new(crate::seal::Passphrase::cheap(name, &format!("a passphrase of {name}")))
    };
    crate::seal::Encryption { recipients: names.iter().map(recipient).collect() }
}

#[tokio::test]
async fn with_sealed_keys_every_promise_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |name: &str| -> Arc<dyn Backend> {
        Arc::new(LocalBackend::new(folder.path().join(name).join("mesh.state")).encrypted(encryption(&["ops"])))
    };
    crate::conformance::run(&open).await.expect("every promise is kept");
}

#[tokio::test]
async fn keys_are_sealed_for_others_and_stay_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.state");
    let open = |names: &[&str]| match names {
        [] => LocalBackend::new(&file),
        names => LocalBackend::new(&file).encrypted(encryption(names)),
    };
    let plain = open(&[]).keys().await.expect("open keys");
    assert!(plain.sealer.is_none() && !plain.stale);
    // Configured later: due, and done.
    let key_file = || std::fs::read(file.with_extension("state.key")).expect("a key file");
    assert!(open(&["ops"]).keys().await.expect("keys").stale);
    open(&["ops"]).rekey().await.expect("seals");
    let first = open(&["ops"]).keys().await.expect("keys");
    assert_eq!(first.fingerprinter.key(), plain.fingerprinter.key(), "fingerprints stay what they are");
    assert!(!first.stale && !key_file().windows(32).any(|w| w == plain.fingerprinter.key()));
    let sealed = first.sealer.expect("a sealer").seal("x", b"secret").expect("seals");
    // Another recipient is added, and the first taken away.
    assert!(open(&["glass"]).keys().await.is_err(), "not yet");
    assert!(open(&["glass"]).lock(LockInfo::new("a", "b", "c"), Duration::ZERO).await.is_err(), "no lock without keys");
    open(&["ops", "glass"]).rekey().await.expect("seals");
    open(&["glass"]).rekey().await.expect("seals");
    assert!(open(&["ops"]).keys().await.is_err(), "no longer");
    let last = open(&["glass"]).keys().await.expect("keys");
    assert_eq!(last.fingerprinter.key(), plain.fingerprinter.key());
    assert_eq!(last.sealer.expect("a sealer").open("x", &sealed).expect("opens").as_slice(), b"secret");
    let none = open(&[]).keys().await.expect_err("sealed").to_string();
    assert!(none.contains("passphrase \"glass\"") && none.contains("encryption block"), "{none}");
}
