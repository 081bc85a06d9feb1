//! The ten lines of `examples/quickstart`: nothing to install, no server.

use std::collections::BTreeMap;
use std::path::Path;

use crate::site::mesh;

#[test]
fn the_quickstart_applies_changes_and_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/main.mesh.hcl");
    std::fs::copy(example, folder.path().join("main.mesh.hcl")).expect("copies");
    let run = |arguments: &[&str]| mesh(folder.path(), arguments, &BTreeMap::new());
    run(&["init"]).expect(0, "init");
    assert!(folder.path().join("mesh.lock.hcl").exists());
    run(&["validate"]).expect(0, "validate");
    let plan = run(&["plan", "-detailed-exitcode"]).expect(2, "a plan with changes");
    assert!(plan.stdout.contains("Plan: 1 to add, 0 to change, 0 to destroy."), "{}", plan.stdout);
    assert!(!folder.path().join("greeting.txt").exists(), "a plan changes nothing");
    run(&["apply", "-auto-approve"]).expect(0, "apply");
    assert_eq!(std::fs::read_to_string(folder.path().join("greeting.txt")).expect("the file"), "Hello, world!\n");
    run(&["plan", "-detailed-exitcode"]).expect(0, "the second plan is empty");
    let changed = run(&["plan", "-out=p.meshplan", "-var", "name=mesh"]).expect(0, "a saved plan");
    assert!(changed.stdout.contains("Plan: 0 to add, 1 to change"), "{}", changed.stdout);
    run(&["apply", "p.meshplan"]).expect(0, "the saved plan applies");
    assert_eq!(std::fs::read_to_string(folder.path().join("greeting.txt")).expect("the file"), "Hello, mesh!\n");
    let stale = run(&["apply", "p.meshplan"]);
    assert_eq!(stale.code, 0, "an applied plan has nothing left to do: {}", stale.text());
    assert!(run(&["output", "sha256"]).expect(0, "output").stdout.starts_with('"'));
    assert!(run(&["state", "list"]).expect(0, "state list").stdout.contains("local_file.greeting"));
    std::fs::write(folder.path().join("greeting.txt"), "foreign").expect("writes");
    let drift = run(&["drift", "-var", "name=mesh"]).expect(2, "drift");
    assert!(drift.text().contains("local_file.greeting"), "{}", drift.text());
    run(&["destroy", "-auto-approve"]).expect(0, "destroy");
    assert!(!folder.path().join("greeting.txt").exists());
}

#[test]
fn every_example_is_formatted_and_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    mesh(&examples, &["fmt", "-check", "-recursive"], &BTreeMap::new()).expect(0, "the examples are formatted");
    for folder in ["quickstart", "onprem-hsm-vault", "onprem-hsm-vault/bootstrap"] {
        assert!(
            examples.join(folder).join("README.md").exists() || folder.ends_with("bootstrap"),
            "{folder} has a README"
        );
        mesh(&examples.join(folder), &["validate"], &BTreeMap::new()).expect(0, folder);
    }
}
