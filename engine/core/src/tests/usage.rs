//! What scripts cannot say: operations that run together, and what files hold.

use super::Bed;
use super::fake::Fault;

fn lines(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn ready_operations_of_one_batch_are_one_call_with_a_result_each() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"o\" {\n  count = 5\n  name  = \"o${count.index}\"\n  value = \"batch\"\n}\nresource \"world_object\" \"after\" {\n  name  = \"after\"\n  value = world_object.o[0].id\n}";
    bed.world.state().faults.insert("o3".into(), Fault::Reject);
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert_eq!(
        (finished.counts.add, finished.report.failed.len(), finished.report.skipped.len()),
        (4, 1, 1),
        "{finished:?}"
    );
    let log = std::mem::take(&mut bed.world.state().log);
    assert_eq!((log[0].as_str(), log.len()), ("batch of 5", 6), "{log:?}");
    assert_eq!(bed.applies(hcl), lines(&["create o3", "create after"]));
    let gone = bed.applies("");
    assert_eq!(gone[..2], lines(&["delete after", "batch of 5"]), "{gone:?}");
}

#[test]
fn secrets_are_kept_as_fingerprints_only() {
    let mut bed = Bed::new();
    let hcl = "variable \"pin\" { sensitive = true }\nresource \"world_object\" \"s\" {\n  name   = \"s\"\n  secret = var.pin\n}";
    bed.set("pin", "canary-4711");
    bed.applies(hcl);
    for entry in std::fs::read_dir(bed.folder.path()).expect("folder").flatten() {
        if entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).expect("reads");
            assert!(!bytes.windows(11).any(|w| w == b"canary-4711"), "{}", entry.path().display());
        }
    }
    bed.set("pin", "canary-4712");
    assert_eq!(bed.plan(hcl), Ok(lines(&["~ world_object.s"])));
}
