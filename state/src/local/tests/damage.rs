//! Files that are damaged in any way give what they held, or an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::{backend, encryption, intent, lock};
use crate::damage::{self, Damage, damage};
use crate::{Backend, LocalBackend, StateError};

/// All files of a state but those that are being written.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries =
        |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    let paths = entries(folder).into_iter().chain(entries(&folder.join("mesh.state.history")));
    paths.filter(|p| p.is_file()).map(|p| (p.clone(), fs::read(p).expect("a file"))).collect()
}

fn restore(whole: &BTreeMap<PathBuf, Vec<u8>>, now: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in whole.iter().filter(|(path, bytes)| now.get(*path) != Some(*bytes)) {
        fs::write(path, bytes).expect("a file that can be written");
    }
}

fn whole_life(steps: &[u8], sealed: bool, damages: &[Damage]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // In memory where that is possible: nothing here depends on a disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let path = folder.path().join("mesh.state");
    let recipients = sealed.then(|| encryption(&["ops"]));
    let open = || match &recipients {
        Some(recipients) => LocalBackend::new(&path).encrypted(recipients.clone()),
        None => LocalBackend::new(&path),
    };
    runtime.block_on(damage::live(&open(), steps)).expect("a life");
    let serials: Vec<u64> = runtime.block_on(open().history()).expect("a history").iter().map(|e| e.serial).collect();
    let before = runtime.block_on(damage::views(open, &serials));
    let whole = files(folder.path());
    prop_assert!(whole.len() >= 4 + serials.len() && serials.len() >= 2, "{:?}", whole.keys());
    let try_out = |damaged: &BTreeMap<PathBuf, Vec<u8>>, context: &str| {
        restore(damaged, &whole);
        let names = damaged.keys().map(|p| p.display().to_string()).collect::<Vec<_>>();
        let after = runtime.block_on(damage::views(open, &serials));
        let now = files(folder.path());
        if let Some((_, Err(_))) = after.last() {
            let there = |p: &PathBuf| damaged.get(p).or(whole.get(p));
            let changed: Vec<_> =
                now.iter().filter(|(p, b)| !p.ends_with("mesh.state.lock") && there(p) != Some(*b)).collect();
            prop_assert!(changed.is_empty(), "{context}: refused, but changed {:?}", changed[0].0);
        }
        restore(&whole, &now);
        damage::judge(&before, &after, &names, context)
    };
    for (path, bytes) in &whole {
        let name = path.file_name().expect("a name").display();
        for damage in damages {
            let bad = damage.of(bytes);
            // It is informational, and may say nothing.
            let lock = path.ends_with("mesh.state.lock");
            if bad != *bytes && !lock {
                try_out(&[(path.clone(), bad)].into(), &format!("{name} {damage:?}"))?;
            } else if lock {
                fs::write(path, bad).expect("a file that can be written");
                let after = runtime.block_on(damage::views(open, &serials));
                restore(&whole, &files(folder.path()));
                damage::judge(&before, &after, &[path.display().to_string()], &format!("{name} {damage:?}"))?;
            }
        }
    }
    // Any two files in each other's place.
    for (a, first) in &whole {
        for (b, second) in whole.iter().filter(|(b, second)| *b > a && *second != first) {
            let swapped = [(a.clone(), second.clone()), (b.clone(), first.clone())];
            try_out(&swapped.into(), &format!("{} and {} are exchanged", a.display(), b.display()))?;
        }
    }
    damage::judge(&before, &runtime.block_on(damage::views(open, &serials)), &[], "restored")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_damage_gives_what_was_there_or_an_error(
        steps in proptest::collection::vec(any::<u8>(), 0..12),
        sealed in any::<bool>(),
        damages in proptest::collection::vec(damage(), 16),
    ) {
        whole_life(&steps, sealed, &damages)?;
    }
}

#[tokio::test]
async fn a_lock_file_that_says_nothing_locks_nevertheless() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mesh.state.lock");
    let holder = lock(folder.path()).await.expect("the lock");
    let seq = holder.intend(intent(1)).await.expect("an intent");
    for nothing in ["", "{}", "{\"token\":0}", "\u{0}\u{0}"] {
        fs::write(&path, nothing).expect("a file that can be written");
        let other = backend(folder.path()).lock(crate::LockInfo::new("a", "b", "c"), std::time::Duration::ZERO).await;
        assert!(matches!(other, Err(StateError::Locked { .. })), "{nothing:?} lets somebody in");
    }
    holder.record(Some(seq), super::put(1)).await.expect("it still holds the lock");
    // Taken away by the name that it has now: then it writes nothing more.
    let unknown = backend(folder.path()).lock_info().await.expect("looks").expect("somebody");
    backend(folder.path()).unlock(&unknown.id).await.expect("breaks it");
    let new = lock(folder.path()).await.expect("the lock");
    assert!(matches!(holder.intend(intent(2)).await, Err(StateError::LockLost { .. })));
    new.release().await.expect("releases");
    let seen = Arc::new(backend(folder.path())).snapshot().await.expect("reads");
    assert_eq!((seen.instances.len(), seen.open.len()), (1, 0));
}
