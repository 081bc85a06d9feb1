//! Commands over state: what they change, what they refuse, what they say.
//!
//! The one decision: each case of a command that `terraform` has runs in both programs on the same
//! configuration, and addresses and exit codes must be the same; where ours differ on purpose, the case says so.

mod documents;
mod history;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::site::{Folder, Output, terraform};

const BOTH: &str = r#"
resource "terraform_data" "a" { input = 1 }
resource "terraform_data" "b" {
  count = 2
  input = terraform_data.a.output
}
resource "terraform_data" "k" {
  for_each = toset(["x", "y"])
}
module "m" { source = "./m" }
module "n" {
  source   = "./m"
  for_each = toset(["p", "q"])
}
"#;

fn applied() -> Folder {
    let folder = Folder::new(BOTH);
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    for name in ["m/m.mesh.hcl", "m/m.tf"] {
        std::fs::write(folder.path().join(name), "resource \"terraform_data\" \"i\" {}\n").expect("writes");
    }
    std::fs::write(folder.path().join("main.tf"), BOTH).expect("writes");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder
}

fn run(program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("copies");
        }
    }
    // What was seen of the state that this one replaces.
    let _ = std::fs::remove_file(to.join(".mesh/seen.json"));
    let _ = std::fs::remove_file(to.join("mesh.state.lock"));
}

fn list(output: Output) -> Vec<String> {
    let mut lines: Vec<String> = output.expect(0, "list").stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn moves_removals_and_taints_are_those_of_terraform() {
    // The arguments, ours where they differ, the exit code.
    let cases: &[(&[&str], i32)] = &[
        (&["state", "mv", "terraform_data.a", "terraform_data.z"], 0),
        (&["state", "mv", "terraform_data.b", "terraform_data.z"], 0),
        (&["state", "mv", "terraform_data.b[0]", "terraform_data.z"], 0),
        (&["state", "mv", "terraform_data.b[0]", "terraform_data.z[\"x\"]"], 0),
        (&["state", "mv", "terraform_data.a", "terraform_data.z[0]"], 0),
        (&["state", "mv", "terraform_data.b", "terraform_data.z[0]"], 1),
        (&["state", "mv", "terraform_data.b", "terraform_data.k"], 1),
        (&["state", "mv", "terraform_data.a", "terraform_data.b"], 0),
        (&["state", "mv", "terraform_data.a", "terraform_data.b[0]"], 1),
        (&["state", "mv", "terraform_data.a", "terraform_data.b[5]"], 0),
        (&["state", "mv", "terraform_data.a", "module.m.terraform_data.a"], 0),
        (&["state", "mv", "terraform_data.b", "module.z.terraform_data.b"], 0),
        (&["state", "mv", "terraform_data.a", "module.z"], 1),
        (&["state", "mv", "module.m", "terraform_data.z"], 1),
        (&["state", "mv", "module.m", "module.z"], 0),
        (&["state", "mv", "module.n[\"p\"]", "module.z"], 0),
        (&["state", "mv", "module.n[\"p\"]", "module.z[\"u\"]"], 0),
        (&["state", "mv", "module.m", "module.n[\"p\"]"], 1),
        (&["state", "mv", "module.m", "module.n[\"new\"]"], 0),
        (&["state", "mv", "module.m", "module.m.module.x"], 0),
        (&["state", "mv", "module.m", "module.n"], 0),
        (&["state", "mv", "module.m", "module.m"], 1),
        (&["state", "mv", "terraform_data.a", "null_resource.a"], 1),
        (&["state", "mv", "terraform_data.a", "data.terraform_data.a"], 1),
        (&["state", "mv", "terraform_data.nope", "terraform_data.z"], 1),
        (&["state", "mv", "terraform_data.b[9]", "terraform_data.z"], 1),
        (&["state", "mv", "module.nope", "module.z"], 1),
        (&["state", "mv", "terraform_data.a", "terraform_data.a"], 1),
        (&["state", "mv", "-dry-run", "terraform_data.b", "terraform_data.z"], 0),
        (&["state", "mv", "terraform_data.k[\"x\"]", "terraform_data.b[2]"], 0),
        (&["state", "mv", "bad", "terraform_data.z"], 1),
        (&["state", "mv", "terraform_data.a"], 1),
        (&["state", "rm", "terraform_data.a"], 0),
        (&["state", "rm", "terraform_data.b"], 0),
        (&["state", "rm", "terraform_data.b[0]", "terraform_data.a"], 0),
        (&["state", "rm", "terraform_data.a", "terraform_data.a"], 0),
        (&["state", "rm", "module.n"], 0),
        (&["state", "rm", "module.n[\"p\"]"], 0),
        (&["state", "rm", "terraform_data.nope"], 1),
        (&["state", "rm", "module.nope"], 1),
        (&["state", "rm", "-dry-run", "terraform_data.b"], 0),
        (&["state", "rm"], 1),
        (&["taint", "terraform_data.a"], 0),
        (&["taint", "terraform_data.b[0]"], 0),
        (&["taint", "terraform_data.b"], 1),
        (&["taint", "terraform_data.nope"], 1),
        (&["taint", "-allow-missing", "terraform_data.nope"], 0),
        (&["taint", "module.m"], 1),
        (&["taint", "data.terraform_data.a"], 1),
        (&["untaint", "terraform_data.a"], 1),
        (&["untaint", "terraform_data.nope"], 1),
        (&["untaint", "-allow-missing", "terraform_data.nope"], 0),
    ];
    let ours = applied();
    let theirs = terraform().map(|program| {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["main.tf", "m/m.tf"] {
            std::fs::create_dir_all(folder.path().join("m")).expect("a folder");
            std::fs::copy(ours.path().join(name), folder.path().join(name)).expect("copies");
        }
        run(&program, folder.path(), &["init"]).expect(0, "init");
        run(&program, folder.path(), &["apply", "-auto-approve"]).expect(0, "apply");
        let state = std::fs::read(folder.path().join("terraform.tfstate")).expect("a state");
        (program, folder, state)
    });
    let base = tempfile::tempdir().expect("a folder");
    copy(ours.path(), base.path());
    let tainted = |folder: &Folder| {
        let plan: Json =
            serde_json::from_str(&folder.run(&["plan", "-format=json"]).expect(0, "plan").stdout).expect("is JSON");
        let changes = plan["resource_changes"].as_array().expect("changes").clone();
        let mut out: Vec<String> = changes
            .iter()
            .filter(|c| c["action_reason"] == "replace_because_tainted")
            .map(|c| c["address"].as_str().expect("an address").to_owned())
            .collect();
        out.sort();
        out
    };
    for (arguments, code) in cases {
        for seen in [".mesh/seen.json", "mesh.state.lock"] {
            let _ = std::fs::remove_file(ours.path().join(seen));
        }
        for name in ["mesh.state", "mesh.state.history"] {
            let (from, to) = (base.path().join(name), ours.path().join(name));
            if from.is_dir() {
                std::fs::remove_dir_all(&to).expect("removes");
                copy(&from, &to);
            } else {
                std::fs::copy(from, to).expect("copies");
            }
        }
        let before = list(ours.run(&["state", "list"]));
        let said = ours.run(arguments).expect(*code, &arguments.join(" "));
        let after = list(ours.run(&["state", "list"]));
        if *code != 0 || arguments.contains(&"-dry-run") {
            assert_eq!(after, before, "{arguments:?} changed something");
        }
        let Some((program, folder, state)) = &theirs else { continue };
        std::fs::write(folder.path().join("terraform.tfstate"), state).expect("writes");
        assert_eq!(run(program, folder.path(), arguments).code, *code, "{arguments:?} in terraform");
        assert_eq!(after, list(run(program, folder.path(), &["state", "list"])), "{arguments:?}\n{}", said.text());
        if arguments[0] == "taint" && *code == 0 {
            let shown = run(program, folder.path(), &["show", "-json"]).expect(0, "show").stdout;
            let state: Json = serde_json::from_str(&shown).expect("is JSON");
            let mut want: Vec<String> = state["values"]["root_module"]["resources"]
                .as_array()
                .expect("resources")
                .iter()
                .filter(|r| r["tainted"] == true)
                .map(|r| r["address"].as_str().expect("an address").to_owned())
                .collect();
            want.sort();
            assert_eq!(tainted(&ours), want, "{arguments:?}");
        }
    }
}

/// What differs from Terraform: a name that is not there is never passed over, and calls with keys move whole.
#[test]
fn a_typo_among_names_forgets_nothing_and_calls_move_whole() {
    let folder = applied();
    let before = list(folder.run(&["state", "list"]));
    let refused = folder.run(&["state", "rm", "terraform_data.b", "terraform_data.aa"]).expect(1, "a typo");
    assert!(refused.stderr.contains("Did you mean terraform_data.a?"), "{}", refused.stderr);
    folder.run(&["state", "rm", "-dry-run", "terraform_data.aa"]).expect(1, "as it would end");
    assert_eq!(list(folder.run(&["state", "list"])), before);
    let moved = folder.run(&["state", "mv", "module.n", "module.z"]).expect(0, "a call");
    let want = "Move module.n[\"p\"].terraform_data.i to module.z[\"p\"].terraform_data.i\n\
                Move module.n[\"q\"].terraform_data.i to module.z[\"q\"].terraform_data.i\n\n\
                No object was touched. Give the configuration the same addresses: what it does not declare is planned to be deleted.\n";
    assert_eq!(moved.stdout, want);
    folder.run(&["state", "mv", "module.z", "module.y[0]"]).expect(1, "several instances to one");
    folder.run(&["state", "mv", "module.m", "module.m.module.m"]).expect(0, "into itself");
    folder.run(&["state", "mv", "module.m", "module.m.module.m"]).expect(0, "into itself again");
    folder.run(&["state", "mv", "module.m.module.m.module.m", "module.m"]).expect(0, "and back");
    assert_eq!(folder.run(&["state", "list", "module.m"]).expect(0, "list").stdout, "module.m.terraform_data.i\n");
}

#[test]
fn a_moved_object_is_the_same_object_and_its_dependents_follow() {
    let folder = applied();
    let id = |text: &str| text.lines().find(|l| l.trim_start().starts_with("id ")).map(str::to_owned);
    let before = folder.run(&["state", "show", "terraform_data.a"]).expect(0, "show").stdout;
    let moved = folder.run(&["state", "mv", "terraform_data.a", "terraform_data.z"]).expect(0, "mv");
    assert!(
        moved.stdout.starts_with("Move terraform_data.a to terraform_data.z\n\nNo object was touched."),
        "{moved:?}"
    );
    let after = folder.run(&["state", "show", "terraform_data.z"]).expect(0, "show").stdout;
    assert_eq!(id(&after), id(&before));
    let state = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    assert!(!state.contains("terraform_data.a\"") && state.contains("[\"terraform_data.z\"]"), "{state}");
    let text = folder.text("main.mesh.hcl").replace("\"a\"", "\"z\"").replace("terraform_data.a", "terraform_data.z");
    std::fs::write(folder.path().join("main.mesh.hcl"), text).expect("writes");
    let plan = folder.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.text());
}

#[test]
fn forgotten_objects_stay_and_say_so() {
    let folder = Folder::new("resource \"local_file\" \"f\" {\n  filename = \"f.txt\"\n  content  = \"x\"\n}\n");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    let gone = folder.run(&["state", "rm", "local_file.f"]).expect(0, "rm").stdout;
    assert!(
        gone.starts_with("Forget local_file.f\n\nState knows these objects no longer. The objects themselves stay"),
        "{gone}"
    );
    assert_eq!(folder.text("f.txt"), "x");
    assert_eq!(folder.run(&["state", "list"]).expect(0, "list").stdout, "");
}

#[test]
fn edits_wait_for_the_lock_and_say_who_holds_it() {
    let folder = Folder::new("resource \"terraform_data\" \"a\" {}\n");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let backend = mesh_state::LocalBackend::new(folder.path().join("mesh.state"));
    let info = mesh_state::LockInfo::new("mesh apply", "ada", "host7");
    let lock = mesh_state::Backend::lock(&backend, info, std::time::Duration::ZERO);
    let writer = runtime.block_on(lock).expect("the lock");
    for arguments in [
        &["state", "rm", "terraform_data.a"][..],
        &["state", "mv", "terraform_data.a", "terraform_data.b"],
        &["taint", "terraform_data.a"],
    ] {
        let held = folder.run(arguments).expect(1, "locked");
        assert!(held.stderr.contains("by ada on host7"), "{}", held.stderr);
    }
    folder.run(&["state", "rm", "-dry-run", "terraform_data.a"]).expect(0, "a dry run needs no lock");
    let wrong = folder.run(&["taint", "-lock-timeout=soon", "terraform_data.a"]).expect(1, "no duration");
    assert!(wrong.stderr.contains("30s or 5m"), "{}", wrong.stderr);
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| folder.run(&["taint", "-lock-timeout=20s", "terraform_data.a"]));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!waiting.is_finished(), "it did not wait");
        runtime.block_on(writer.release()).expect("releases");
        waiting.join().expect("ends")
    });
    waiting.expect(0, "after the lock");
}

#[test]
fn what_is_open_is_not_edited() {
    let folder = Folder::new("resource \"terraform_data\" \"a\" {}\nresource \"terraform_data\" \"b\" {}\n");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let backend = mesh_state::LocalBackend::new(folder.path().join("mesh.state"));
    runtime.block_on(async {
        let info = mesh_state::LockInfo::new("mesh apply", "ada", "host7");
        let writer = mesh_state::Backend::lock(&backend, info, std::time::Duration::ZERO).await.expect("the lock");
        let intent = mesh_model::snapshot::Intent {
            address: "terraform_data.a".parse().expect("an address"),
            operation: mesh_model::snapshot::Operation::Update,
            provider: "builtin".into(),
            identity: None,
            planned: mesh_model::Value::NULL,
            dependencies: std::sync::Arc::from([]),
            protected: false,
            kept: false,
        };
        writer.intend(intent).await.expect("is written");
        writer.release().await.expect("releases");
    });
    for arguments in
        [&["state", "rm", "terraform_data.a"][..], &["state", "mv", "terraform_data.a", "terraform_data.c"]]
    {
        let refused = folder.run(arguments).expect(1, "it is open");
        assert!(refused.stderr.contains("Run mesh apply"), "{}", refused.stderr);
    }
    folder.run(&["state", "rm", "terraform_data.b"]).expect(0, "the other is not");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply looks it up");
    folder.run(&["state", "rm", "terraform_data.a"]).expect(0, "then it goes");
}

#[test]
fn what_is_left_follows_a_provider_to_its_new_alias() {
    let folder = Folder::new(
        "provider \"builtin\" {\n  alias = \"old\"\n}\nresource \"terraform_data\" \"a\" {\n  provider = builtin.old\n}\n",
    );
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    std::fs::write(folder.path().join("main.mesh.hcl"), "provider \"builtin\" {\n  alias = \"new\"\n}\n")
        .expect("writes");
    for (arguments, word) in [
        (&["builtin.odl", "builtin.new"], "Did you mean builtin.old?"),
        (&["builtin.old", "vault.new"], "are two providers"),
    ] {
        let refused = folder.run(&[&["state", "replace-provider", "-auto-approve"], &arguments[..]].concat());
        let refused = refused.expect(1, word);
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    let asked = folder.run(&["state", "replace-provider", "builtin.old", "builtin.new"]).expect(1, "nobody to ask");
    assert_eq!(asked.stdout, "From builtin.old to builtin.new:\n  terraform_data.a\n");
    folder.run(&["state", "replace-provider", "-auto-approve", "builtin.old", "builtin.new"]).expect(0, "replaced");
    let pulled = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    assert!(pulled.contains("builtin.new") && !pulled.contains("builtin.old"), "{pulled}");
    let gone = folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    assert!(gone.stdout.contains("1 destroyed"), "{}", gone.stdout);
}
