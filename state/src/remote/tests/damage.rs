//! Blobs that are damaged in any way give what they held, or an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Bed, locked};
use crate::Backend;
use crate::damage::{self, Damage, damage};
use crate::remote::{LOCK, RemoteBackend};
use crate::seal::{Encryption, Passphrase, Recipient};

type Blobs = BTreeMap<String, (Vec<u8>, usize)>;

/// A blob's name, or that of its folder, where a whole journal is meant.
fn names(blobs: &[&str]) -> Vec<String> {
    blobs.iter().map(|name| name.rsplit_once('/').map_or(*name, |(folder, _)| folder).to_owned()).collect()
}

fn whole_life(steps: &[u8], sealed: bool, damages: &[Damage]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bed = Bed::new();
    let store = bed.store("s");
    let recipient: Arc<dyn Recipient> = Arc::new(Passphrase::cheap("ops", "a passphrase of ops"));
    let encryption = sealed.then(|| Encryption { recipients: vec![recipient] });
    let open = || RemoteBackend::new(store.clone(), bed.folder.path().join("s"), encryption.clone());
    runtime.block_on(damage::live(&open(), steps)).expect("a life");
    let serials: Vec<u64> = runtime.block_on(open().history()).expect("a history").iter().map(|e| e.serial).collect();
    let whole: Blobs = locked(&store.blobs).clone();
    let before = runtime.block_on(damage::views(open, &serials));
    prop_assert!(whole.len() >= 6 && serials.len() >= 2, "{:?}", whole.keys());
    let try_out = |damaged: &[(&str, Option<Vec<u8>>)], context: &str| {
        let mut blobs = whole.clone();
        for (n, (name, bytes)) in damaged.iter().enumerate() {
            match bytes {
                Some(bytes) => drop(blobs.insert((*name).to_owned(), (bytes.clone(), 100_000 + n))),
                None => drop(blobs.remove(*name)),
            }
        }
        *locked(&store.blobs) = blobs;
        let after = runtime.block_on(damage::views(open, &serials));
        *locked(&store.blobs) = whole.clone();
        damage::judge(&before, &after, &names(&damaged.iter().map(|(n, _)| *n).collect::<Vec<_>>()), context)
    };
    for (name, (bytes, _)) in &whole {
        for damage in damages {
            let bad = damage.of(bytes);
            if bad != *bytes {
                try_out(&[(name, Some(bad))], &format!("{name} {damage:?}"))?;
            }
        }
        if name != LOCK {
            try_out(&[(name, None)], &format!("{name} is missing"))?;
        }
    }
    for (a, (first, _)) in &whole {
        for (b, (second, _)) in whole.iter().filter(|(b, (second, _))| *b > a && second != first) {
            let swapped = [(a.as_str(), Some(second.clone())), (b.as_str(), Some(first.clone()))];
            try_out(&swapped, &format!("{a} and {b} are exchanged"))?;
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
