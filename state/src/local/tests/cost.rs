//! What an operation costs, counted in the files: bytes that are added and files that are touched, no time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Failure, address, backend, intent, lock, put};
use crate::{Backend as _, Record, Summary};

const OPERATIONS: usize = 20;

/// Which file it is, how long, and written when.
type Seen = (u64, u64, i64, i64);

fn files(folder: &Path) -> Result<BTreeMap<PathBuf, Seen>, Failure> {
    let mut files = BTreeMap::new();
    for folder in [folder, &folder.join("mesh.state.history")] {
        for entry in fs::read_dir(folder)? {
            let (path, m) = entry.and_then(|e| Ok((e.path(), e.metadata()?)))?;
            if m.is_file() {
                files.insert(path, (m.ino(), m.len(), m.mtime(), m.mtime_nsec()));
            }
        }
    }
    Ok(files)
}

/// Bytes that a writer's operations add to a state with `size` instances, one after the other. Nothing but the journal
/// is touched, and that is the same file.
async fn cost(size: usize) -> Result<u64, Failure> {
    let folder = tempfile::tempdir()?;
    let writer = lock(folder.path()).await?;
    let Record::Put { instance, .. } = put(0) else { return Err("no put".into()) };
    let put = |n: usize| Record::Put { address: address(n), deposed: None, instance: instance.clone() };
    // One entry, so that the numbers of those to come have as many digits at any size.
    writer.edit((0..size).map(|n| put(10_000_000 + n)).collect(), 0, Summary::default()).await?;
    writer.record(None, put(1)).await?;
    let before = files(folder.path())?;
    for n in 1..=OPERATIONS {
        let seq = writer.intend(intent(5)).await?;
        writer.record(Some(seq), put(900)).await?;
        writer.record(None, Record::Move { from: address(n), to: address(n + 1) }).await?;
    }
    let after = files(folder.path())?;
    writer.release().await?;
    assert_eq!(backend(folder.path()).snapshot().await?.instances.len(), size + 2);
    let changed: Vec<_> = after.iter().filter(|(path, now)| before.get(*path) != Some(*now)).collect();
    let [(path, now)] = changed[..] else { return Err(format!("{changed:?} changed").into()) };
    let was = before[path];
    assert!(path.ends_with("mesh.state.journal") && now.0 == was.0 && before.len() == after.len(), "{path:?}");
    Ok(now.1 - was.1)
}

#[tokio::test]
async fn an_operation_costs_the_same_at_any_size() -> Result<(), Failure> {
    let (small, large) = (cost(100).await?, cost(100_000).await?);
    assert_eq!(small, large, "bytes at 100 and at 100,000 instances");
    assert!(small < 400 * 3 * u64::try_from(OPERATIONS)?, "{small} bytes");
    Ok(())
}
