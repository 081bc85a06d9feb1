//! Commands over state: what they change, what they refuse, what they say.
//!
//! The one decision: each case of a command that `terraform` has runs in both programs on the same
//! configuration, and addresses and exit codes must be the same; where ours differ on purpose, the case says so.

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
fn the_history_tells_who_did_what_and_leads_back() {
    let folder = applied();
    folder.run(&["state", "rm", "terraform_data.b[0]"]).expect(0, "rm");
    folder.run(&["taint", "terraform_data.a"]).expect(0, "taint");
    let shown = folder.run(&["state", "history"]).expect(0, "history").stdout;
    assert!(
        shown.starts_with("3 (current)  ") && shown.contains("\n  mesh taint terraform_data.a: 1 edited in state\n"),
        "{shown}"
    );
    let json: Json =
        serde_json::from_str(&folder.run(&["state", "history", "-json"]).expect(0, "JSON").stdout).expect("JSON");
    let serials = json["serials"].as_array().expect("a list");
    assert_eq!(serials.iter().map(|s| s["serial"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert_eq!((&serials[0]["command"], &serials[0]["summary"]["add"]), (&"mesh apply".into(), &8.into()));
    assert_eq!(
        (&serials[1]["command"], &serials[1]["summary"]["edited"]),
        (&"mesh state rm terraform_data.b[0]".into(), &1.into())
    );
    assert!(serials[0]["digest"].is_string() && serials[1]["digest"].is_null() && serials[2]["current"] == true);

    let asked = folder.run(&["state", "rollback", "1"]).expect(1, "nobody to ask");
    for part in [
        "  # terraform_data.b[0]: added\n",
        "  # terraform_data.a: changed\n  # (tainted: true -> false)\n",
        "1 added, 1 changed, 0 removed.",
        "What is added is known again, whether its object is still there or not.\n",
    ] {
        assert!(asked.stdout.contains(part), "{part}: {}", asked.stdout);
    }
    assert!(asked.stdout.ends_with("Only state changes: no object is made, changed or deleted.\n"), "{}", asked.stdout);
    assert_eq!(folder.run(&["state", "list", "terraform_data.b"]).stdout, "terraform_data.b[1]\n");
    folder.run(&["state", "rollback", "9", "-auto-approve"]).expect(1, "no such serial");
    folder.run(&["state", "rollback", "-auto-approve", "1"]).expect(0, "rollback");
    let plan = folder.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.text());
    let again = folder.run(&["state", "rollback", "-auto-approve", "1"]).expect(0, "nothing to do");
    assert!(again.stdout.contains("already"), "{}", again.stdout);
    folder.run(&["state", "rollback", "-auto-approve", "3"]).expect(0, "a rollback can be rolled back");
    assert_eq!(folder.run(&["state", "list", "terraform_data.b"]).stdout, "terraform_data.b[1]\n");
}

#[test]
fn a_document_is_pushed_whole_or_not_at_all() {
    let folder = applied();
    let file = folder.path().join("pulled");
    let pull = || folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    let push = |text: &str, flags: &[&str]| {
        std::fs::write(&file, text).expect("writes");
        folder.run(&[&["state", "push"], flags, &["pulled"]].concat())
    };
    let first = pull();
    assert_eq!(push(&first, &[]).expect(0, "the same").stdout, "State is what the document says already.\n");
    folder.run(&["state", "rm", "terraform_data.a"]).expect(0, "rm");
    let older = push(&first, &[]).expect(1, "older");
    assert!(older.stderr.contains("The state is newer than the document"), "{}", older.stderr);
    assert!(push(&first, &["-force"]).expect(0, "forced").stdout.contains("as serial 3."));
    let edited = |text: &str| {
        let (content, _) = text.trim_end().rsplit_once('\n').expect("lines");
        format!("{content}\n{{\"sha256\":\"edited\"}}\n")
    };
    let now = pull();
    let without: String = now.lines().filter(|l| !l.contains("terraform_data.k[")).map(|l| format!("{l}\n")).collect();
    let newer = edited(&without.replace("\"serial\":3", "\"serial\":30"));
    let other = edited(&now.replacen("\"lineage\":\"", "\"lineage\":\"0", 1));
    let broken = edited(&now.replacen("terraform_data.k", "terraform data.k", 1));
    let refused: [(&str, &[&str]); 5] = [
        (&other, &[]),
        (&broken, &["-force"]),
        (&now[..now.len() - 4], &["-force"]),
        (&now.replacen("terraform_data.a", "terraform_data.c", 1), &["-force"]),
        ("{}", &["-force"]),
    ];
    for (text, flags) in refused {
        push(text, flags).expect(1, text);
        assert_eq!(pull(), now, "a refused document changed the state");
    }
    folder.run(&["state", "push", "no-such-file"]).expect(1, "no file");
    assert!(push(&newer, &[]).expect(0, "newer").stdout.contains("as serial 30."));
    assert_eq!(folder.run(&["state", "list", "terraform_data.k"]).code, 1);
    assert!(push(&other, &["-force"]).expect(0, "forced").stdout.contains("as serial 31."));
    let plan = folder.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.text());
}

#[test]
fn no_secret_leaves_state_or_comes_into_it() {
    let secret = "canary-4711-secret";
    let text = format!(
        "resource \"local_file\" \"p\" {{\n  filename = \"f\"\n  sensitive_content = \"{secret}\"\n}}\nresource \"terraform_data\" \"d\" {{\n  input = sensitive(\"{secret}\")\n}}\n"
    );
    let folder = Folder::new(&text);
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    let pulled = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    assert!(!pulled.contains(secret) && pulled.contains("withheld"), "{pulled}");
    let at = pulled.find("\"sensitive_content\":{").expect("a withheld result");
    // Behind the brace that closes the value.
    let mut depth = 0;
    let end = pulled[at..].find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == '}' && depth == 0
    });
    let end = at + end.expect("an end");
    let (content, _) = pulled.trim_end().rsplit_once('\n').expect("lines");
    let clear = format!(
        "{}\"sensitive_content\":\"{secret}\"{}\n{{\"sha256\":\"edited\"}}\n",
        &content[..at],
        &content[end + 1..]
    );
    std::fs::write(folder.path().join("clear"), clear).expect("writes");
    let refused = folder.run(&["state", "push", "-force", "clear"]).expect(1, "a secret in clear");
    assert!(refused.stderr.contains("local_file.p holds sensitive_content"), "{}", refused.stderr);
    assert!(!refused.text().contains(secret));
    assert_eq!(folder.run(&["state", "pull"]).stdout, pulled);
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
fn a_state_moves_to_another_place_with_its_key() {
    let folder = applied();
    let pulled = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    for (with_key, code) in [(false, 1), (true, 0)] {
        let place = tempfile::tempdir().expect("a folder");
        copy(folder.path(), place.path());
        for name in ["mesh.state", "mesh.state.key"] {
            if name != "mesh.state.key" || !with_key {
                std::fs::remove_file(place.path().join(name)).expect("removes");
            }
        }
        std::fs::remove_dir_all(place.path().join("mesh.state.history")).expect("removes");
        std::fs::write(place.path().join("pulled"), &pulled).expect("writes");
        let run = |arguments: &[&str]| crate::site::mesh(place.path(), arguments, &std::collections::BTreeMap::new());
        let pushed = run(&["state", "push", "pulled"]).expect(code, "push");
        if with_key {
            run(&["plan", "-detailed-exitcode"]).expect(0, "everything is known there");
        } else {
            assert!(pushed.stderr.contains("copy its key"), "{}", pushed.stderr);
            assert!(run(&["state", "list"]).stdout.is_empty());
        }
    }
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

#[test]
fn as_much_history_is_kept_as_is_said() {
    let spec = |history: &str| {
        format!(
            "mesh {{\n  history {{\n    {history}\n  }}\n}}\nvariable \"v\" {{}}\nresource \"terraform_data\" \"t\" {{ input = var.v }}\n"
        )
    };
    let folder = Folder::new(&spec("serials = 3"));
    for n in 0..5 {
        folder.run(&["apply", "-auto-approve", &format!("-var=v={n}")]).expect(0, "apply");
    }
    let serials = |folder: &Folder| {
        let json: Json = serde_json::from_str(&folder.run(&["state", "history", "-json"]).expect(0, "history").stdout)
            .expect("is JSON");
        let rows = json["serials"].as_array().expect("serials").clone();
        rows.iter().map(|row| row["serial"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(serials(&folder), [3, 4, 5]);
    let write = |history: &str| std::fs::write(folder.path().join("main.mesh.hcl"), spec(history)).expect("writes");
    write("bytes = 1");
    folder.run(&["apply", "-auto-approve", "-var=v=9"]).expect(0, "apply");
    assert_eq!(serials(&folder), [5, 6], "the two newest always are");
    for (bad, part) in [
        ("serials = 0", "from 1 on"),
        ("serials = 1.5", "from 1 on"),
        ("serial = 1", "\"serial\" is not expected"),
        ("serials = terraform_data.t.id", "variables only"),
    ] {
        write(bad);
        let refused = folder.run(&["plan", "-var=v=9"]).expect(1, bad).text();
        assert!(refused.contains(part) && refused.contains("main.mesh.hcl:3"), "{bad}: {refused}");
    }
}
