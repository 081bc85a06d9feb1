//! Workspaces of each backend: states of their own, made, listed, selected and deleted.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Place, kubernetes, postgres, s3};
use crate::site::{Folder, Output, mesh};

const SPEC: &str = r#"
resource "local_file" "f" {
  filename = "${mesh.workspace}.txt"
  content  = terraform.workspace
}
"#;

fn life(folder: &Path, env: &BTreeMap<String, String>) {
    let run = |arguments: &[&str]| mesh(folder, arguments, env);
    let list = || run(&["workspace", "list"]).expect(0, "list").stdout;
    let known = || run(&["state", "list"]).expect(0, "state list").stdout;
    assert_eq!(list(), "* default\n");
    run(&["apply", "-auto-approve"]).expect(0, "the default one");
    run(&["workspace", "new", "eu-1"]).expect(0, "new");
    assert_eq!((list(), known()), ("  default\n* eu-1\n".to_owned(), String::new()));
    run(&["apply", "-auto-approve"]).expect(0, "another state");
    assert_eq!(std::fs::read_to_string(folder.join("eu-1.txt")).expect("made"), "eu-1");
    run(&["plan", "-detailed-exitcode"]).expect(0, "nothing to do");
    let again = run(&["workspace", "new", "eu-1"]).expect(1, "it is there").text();
    assert!(again.contains("There is a workspace eu-1 already"), "{again}");
    run(&["workspace", "select", "default"]).expect(0, "select");
    run(&["plan", "-detailed-exitcode"]).expect(0, "the default one is what it was");

    let mut other = env.clone();
    other.insert("MESH_WORKSPACE".into(), "us".into());
    let typo = mesh(folder, &["apply", "-auto-approve"], &other).expect(1, "it was never made").text();
    assert!(typo.contains("The workspace does not exist") && !folder.join("us.txt").exists(), "{typo}");
    mesh(folder, &["workspace", "select", "us"], &other).expect(1, "the variable decides");
    let near = run(&["workspace", "select", "eu-2"]).expect(1, "there is none").text();
    assert!(near.contains("Did you mean \"eu-1\"?"), "{near}");
    run(&["workspace", "select", "-or-create", "us"]).expect(0, "made");
    assert_eq!(run(&["workspace", "show"]).stdout, "us\n");
    let json: serde_json::Value =
        serde_json::from_str(&run(&["workspace", "list", "-json"]).expect(0, "list").stdout).expect("JSON");
    assert_eq!(json["workspaces"][2], serde_json::json!({ "name": "us", "current": true }));
    mesh(folder, &["plan", "-detailed-exitcode"], &other).expect(2, "now it can be planned");

    let words = |output: Output| output.text().split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
    let selected = words(run(&["workspace", "delete", "us"]).expect(1, "it is selected"));
    assert!(selected.contains("Select another one first"), "{selected}");
    run(&["workspace", "select", "default"]).expect(0, "select");
    run(&["workspace", "delete", "us"]).expect(0, "it is empty");
    let full = words(run(&["workspace", "delete", "eu-1"]).expect(1, "it knows an object"));
    assert!(full.contains("still knows objects (1 of them)") && full.contains("-force"), "{full}");
    run(&["workspace", "delete", "-force", "eu-1"]).expect(0, "given up");
    assert!(folder.join("eu-1.txt").exists(), "its object stays");
    assert_eq!(list(), "* default\n");
    run(&["workspace", "delete", "default"]).expect(1, "never");
    run(&["workspace", "delete", "eu-1"]).expect(1, "it is gone");
    run(&["workspace", "new", "Eu"]).expect(1, "no name");
    // A new one of the same name knows nothing of the old one.
    run(&["workspace", "new", "eu-1"]).expect(0, "again");
    assert_eq!(known(), "");
    let history = run(&["state", "history"]).expect(0, "history").stdout;
    assert!(history.contains("workspace new") && history.matches("digest").count() == 0, "{history}");
    run(&["workspace", "select", "default"]).expect(0, "select");
    run(&["plan", "-detailed-exitcode"]).expect(0, "the default one is what it was");
}

fn at(place: &Place) {
    let folder = Folder::new(&format!("{}{SPEC}", place.block));
    life(folder.path(), &place.direct);
}

#[test]
fn workspaces_in_files() {
    let folder = Folder::new(SPEC);
    life(folder.path(), &BTreeMap::new());
    mesh(folder.path(), &["workspace", "delete", "eu-1"], &BTreeMap::new()).expect(0, "it is empty");
    assert!(!folder.path().join("mesh.state.d").exists(), "nothing is left");
    mesh(folder.path(), &["workspace", "new", "eu-1"], &BTreeMap::new()).expect(0, "again");
    let left: Vec<String> = std::fs::read_dir(folder.path().join("mesh.state.d"))
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left, ["eu-1"]);
}

#[test]
fn workspaces_in_kubernetes() {
    at(&kubernetes());
}

#[test]
fn workspaces_in_s3() {
    at(&s3());
}

#[test]
fn workspaces_in_postgres() {
    at(&postgres());
}

#[test]
fn locks_of_all_workspaces_are_listed() {
    let place = s3();
    let stack = super::Stack::new(&place, super::MANY);
    stack.run(&["workspace", "new", "eu"]).expect(0, "new");
    assert_eq!(stack.run(&["lock", "list"]).expect(0, "none").stdout, "Nothing is locked.\n");
    let run = stack.start(&super::apply("v=1", "n=300"), &place.through);
    stack.working();
    place.network.stall();
    let listed = stack.run(&["lock", "list"]).expect(0, "one").stdout;
    assert!(
        listed.starts_with("eu  ") && listed.contains("\"mesh apply\"") && listed.contains("it ends at"),
        "{listed}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&stack.run(&["lock", "list", "-json"]).expect(0, "one").stdout).expect("JSON");
    assert_eq!((json["locks"][0]["workspace"].as_str(), json["locks"][0]["dead"].as_bool()), (Some("eu"), Some(false)));
    let id = json["locks"][0]["id"].as_str().expect("an id");
    stack.run(&["unlock", "-force", id]).expect(0, "unlock");
    place.network.mend();
    assert_eq!(stack.ends(run).code, 1, "the lock is lost");
    assert_eq!(stack.run(&["lock", "list"]).expect(0, "none").stdout, "Nothing is locked.\n");
}
