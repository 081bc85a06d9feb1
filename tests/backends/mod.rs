//! State elsewhere, from the command line to the real servers: the same scenes for each backend.

mod migration;
mod other_states;
mod place;
mod proxy;
mod rights;
#[path = "../../state/http/src/tests/server.rs"]
#[expect(dead_code, reason = "the tests of that backend ask it more")]
mod server;
mod settings;
mod stack;
mod workspaces;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use place::{Place, kubernetes, postgres, s3, servers};
pub(crate) use server::Server;

use crate::site::mesh;
use place::{http, server};
use stack::Stack;

/// In one line, without what frames it.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "")
}

const MANY: &str = r#"
variable "v" {}
variable "n" {}
resource "local_file" "f" {
  count    = var.n
  filename = "out/f${count.index}.txt"
  content  = "v=${var.v}"
}
resource "terraform_data" "t" {
  count            = var.n
  input            = local_file.f[count.index].filename
  triggers_replace = var.v
}
"#;

/// `apply` of [`MANY`].
fn apply<'a>(v: &'a str, n: &'a str) -> Vec<&'a str> {
    vec!["apply", "-auto-approve", "-input=false", "-var", v, "-var", n]
}

fn complete(stack: &Stack<'_>, v: &str, n: &str) {
    stack.run(&["plan", "-detailed-exitcode", "-var", v, "-var", n]).expect(0, "the second plan is empty");
    let count: usize = n[2..].parse().expect("a number");
    let want: BTreeSet<String> = (0..count).map(|i| format!("f{i}.txt")).collect();
    assert_eq!(stack.files(), want, "no orphan, nothing missing");
    let known = stack.run(&["state", "list"]).expect(0, "state list").stdout;
    assert_eq!(known.lines().count(), count * 2, "{known}");
    assert!(stack.lock().is_none(), "the lock is given back");
}

/// Kills the same command at many moments. Nobody breaks a lock: that of a process of this machine ends with it.
fn kills(stack: &Stack<'_>) {
    let place = stack.place;
    for (round, (v, n)) in [("v=1", "n=60"), ("v=2", "n=60"), ("v=3", "n=20"), ("v=4", "n=0")].into_iter().enumerate() {
        let arguments = apply(v, n);
        for attempt in 0..4_u64 {
            let mut child = stack.start(&arguments, &place.direct);
            std::thread::sleep(Duration::from_millis(90 + 110 * attempt + 23 * round as u64));
            let _ = child.kill();
            child.wait().expect("ends");
        }
        stack.run(&arguments).expect(0, "the same command finishes");
        complete(stack, v, n);
    }
}

fn killed_again_and_again(place: &Place) {
    let stack = Stack::new(place, MANY);
    kills(&stack);
    let mut child = stack.start(&apply("v=5", "n=100"), &place.direct);
    stack.locked();
    let _ = child.kill();
    child.wait().expect("ends");
    let listed = stack.run(&["lock", "list"]).expect(0, "lock list").stdout;
    assert!(listed.contains("its holder is gone; the next run takes it over"), "{listed}");
    stack.run(&apply("v=5", "n=100")).expect(0, "the next run waits for nothing");
    // That of a process that was killed on another machine ends by itself.
    let arguments = apply("v=6", "n=150");
    let mut child = stack.start_elsewhere(&arguments, &place.through);
    stack.locked();
    place.network.stall();
    let _ = child.kill();
    child.wait().expect("ends");
    place.network.mend();
    let busy = stack.run(&arguments).expect(1, "the lease still holds").text();
    assert!(busy.contains("is in use") && busy.contains("sign of life"), "{busy}");
    let waiting = [&arguments[..], &["-lock-timeout=90s"]].concat();
    stack.run(&waiting).expect(0, "the lease ends, and the same command finishes");
    complete(&stack, "v=6", "n=150");
}

#[test]
fn killed_again_and_again_the_same_command_finishes_in_kubernetes() {
    killed_again_and_again(&kubernetes());
}

#[test]
fn killed_again_and_again_the_same_command_finishes_in_s3() {
    killed_again_and_again(&s3());
}

#[test]
fn killed_again_and_again_the_same_command_finishes_in_postgres() {
    let place = postgres();
    kills(&Stack::new(&place, MANY));
}

fn one_at_a_time(place: &Place) {
    let stack = Stack::new(place, MANY);
    let arguments = apply("v=1", "n=300");
    let first = stack.start(&arguments, &place.through);
    let (id, holder) = stack.working();
    place.network.stall();
    assert!(holder.contains("\"mesh apply\"") && holder.contains(&format!("(process {})", first.id())), "{holder}");
    let second = stack.run(&arguments).expect(1, "somebody else applies").text();
    let second = second.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
    assert!(second.contains("The state is locked") && second.contains(&holder), "{second}");
    assert!(second.contains(&place.called), "{second}");
    stack.run(&["plan", "-var=v=1", "-var=n=300"]).expect(0, "a plan needs no lock");
    stack.run(&["state", "list"]).expect(0, "nor does a look into state");
    stack.run(&["unlock", "-force", &id]).expect(0, "unlock");
    stack.run(&arguments).expect(0, "the same command finishes");
    complete(&stack, "v=1", "n=300");
    place.network.mend();
    let first = stack.ends(first);
    let text = first.text();
    assert!(first.code == 1 && text.contains("The state lock was lost"), "{text}");
    complete(&stack, "v=1", "n=300");
}

#[test]
fn one_run_at_a_time_in_kubernetes() {
    one_at_a_time(&kubernetes());
}

#[test]
fn one_run_at_a_time_in_s3() {
    one_at_a_time(&s3());
}

#[test]
fn one_run_at_a_time_in_postgres() {
    one_at_a_time(&postgres());
}

fn a_cut_network(place: &Place) {
    let stack = Stack::new(place, MANY);
    let arguments = apply("v=1", "n=300");
    for round in 0..2 {
        let run = stack.start(&arguments, &place.through);
        if round == 0 {
            stack.locked()
        } else {
            stack.working()
        };
        place.network.cut();
        let run = stack.ends(run);
        let text = run.text().split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        assert!(run.code == 1 && text.contains("The state could not be read or written"), "{text}");
        assert!(text.contains(&place.called) && text.contains("run the same command again"), "{text}");
        place.network.mend();
        stack.break_lock();
    }
    stack.run(&arguments).expect(0, "the same command goes on");
    complete(&stack, "v=1", "n=300");
}

#[test]
fn a_network_that_is_cut_loses_nothing_in_kubernetes() {
    a_cut_network(&kubernetes());
}

#[test]
fn a_network_that_is_cut_loses_nothing_in_s3() {
    a_cut_network(&s3());
}

#[test]
fn a_network_that_is_cut_loses_nothing_in_postgres() {
    a_cut_network(&postgres());
}

/// The protocol cannot be asked who holds the lock, and a lock there has no time to live: whoever is refused reads its
/// id and breaks it.
#[test]
fn a_network_that_is_cut_loses_nothing_over_http() {
    let place = http();
    let stack = Stack::new(&place, MANY);
    for v in ["v=1", "v=2"] {
        let arguments = apply(v, "n=300");
        let run = stack.start(&arguments, &place.through);
        let started = Instant::now();
        let written = || std::fs::read_to_string(stack.path().join("out/f7.txt")).unwrap_or_default();
        while written() != v {
            assert!(started.elapsed() < Duration::from_secs(60), "it does nothing");
        }
        place.network.cut();
        let text = flat(&stack.ends(run).expect(1, "it cannot hand its state over").text());
        for part in ["The state could not be read or written", &place.called, "run the same command again"] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        place.network.mend();
        let held = flat(&stack.run(&arguments).expect(1, "the lock is still there").text());
        let (_, id) = held.split_once(", lock id ").expect(&held);
        stack.run(&["unlock", "-force", id.split('.').next().expect("an id")]).expect(0, "unlock");
        // Nothing is left to be done, and yet the same command has to end: other machines see the server's state alone.
        stack.run(&arguments).expect(0, "the same command");
        let kept = server().content(&format!("/{}", place.own)).expect("a state is handed over");
        let kept: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
        let state = kept["state"].as_str().expect("a state");
        assert_eq!(state.matches("{\"instance\":").count(), 600, "the server has all of it");
        let plan = ["plan", "-detailed-exitcode", "-var", v, "-var=n=300"];
        stack.run(&plan).expect(0, "the second plan is empty");
        assert_eq!((stack.files().len(), stack.run(&["state", "list"]).stdout.lines().count()), (300, 600));
    }
}

fn a_life(place: &Place) {
    let stack = Stack::new(place, MANY);
    stack.run(&["plan", "-var=v=1", "-var=n=3", "-out=p"]).expect(0, "a saved plan");
    assert!(!stack.path().join("mesh.state").exists(), "state is elsewhere");
    stack.run(&["apply", "p"]).expect(0, "applies it");
    complete(&stack, "v=1", "n=3");
    stack.run(&apply("v=2", "n=5")).expect(0, "applies");
    let history = stack.run(&["state", "history"]).expect(0, "history").stdout;
    assert!(history.contains("mesh apply") && history.lines().count() >= 2, "{history}");
    stack.run(&["state", "mv", "terraform_data.t[4]", "terraform_data.t[9]"]).expect(0, "moves");
    assert!(stack.run(&["state", "list"]).stdout.contains("terraform_data.t[9]"));
    stack.run(&["state", "rollback", "-auto-approve", "2"]).expect(0, "goes back");
    complete(&stack, "v=2", "n=5");
    let pulled = stack.run(&["state", "pull"]).expect(0, "all of it").stdout;
    assert!(pulled.contains("\"serial\":4"), "{pulled}");

    // Another machine, with the configuration and what it made, but without the key.
    let key = stack.path().join("mesh.state.key");
    let kept = stack.path().join("kept");
    std::fs::rename(&key, &kept).expect("moves");
    let error = stack.run(&["plan", "-var=v=2", "-var=n=5"]).expect(1, "without the key").text();
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
    assert!(error.contains("copy mesh.state.key from a machine that has it"), "{error}");
    std::fs::rename(&kept, &key).expect("moves");
    stack.run(&["destroy", "-auto-approve", "-var=v=2", "-var=n=5"]).expect(0, "destroys");
    assert!(stack.files().is_empty() && stack.run(&["state", "list"]).expect(0, "list").stdout.is_empty());
}

/// Keys that are sealed lie beside the state: whoever is a recipient needs nothing else.
fn sealed_keys(place: &Place) {
    let sealed =
        "output \"o\" {\n  value     = var.phrase\n  sensitive = true\n}\nvariable \"phrase\" { sensitive = true }\n";
    let stack = Stack::new(place, sealed);
    let file = stack.path().join("main.mesh.hcl");
    let recipient =
        "  encryption {\n    recipient \"passphrase\" \"p\" {\n      passphrase = var.phrase\n    }\n  }\n}\nvariable";
    let text = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(&file, text.replacen("}\nvariable", recipient, 1)).expect("writes");
    let other = tempfile::tempdir().expect("a folder");
    std::fs::copy(&file, other.path().join("main.mesh.hcl")).expect("copies");
    let at = |folder: &Path, phrase: &str, arguments: &[&str]| {
        let mut env = place.direct.clone();
        env.insert("MESH_VAR_phrase".into(), phrase.into());
        mesh(folder, arguments, &env)
    };
    let run = |phrase: &str, arguments: &[&str]| at(stack.path(), phrase, arguments);
    let phrase = "canary canary canary";
    run(phrase, &["apply", "-auto-approve"]).expect(0, "applies");
    for folder in [stack.path(), other.path()] {
        assert_eq!(at(folder, phrase, &["output", "-raw", "o"]).expect(0, "gives it back").stdout, phrase);
        assert!(!folder.join("mesh.state.key").exists(), "the keys lie where the state lies");
    }
    let wrong = run("another canary phrase", &["plan"]).expect(1, "another passphrase").text();
    assert!(!wrong.contains("copy mesh.state.key") && !wrong.contains("canary"), "{wrong}");
    run(phrase, &["state", "rekey"]).expect(0, "seals them again");
    assert_eq!(at(other.path(), phrase, &["output", "-raw", "o"]).expect(0, "gives it back").stdout, phrase);
    run(phrase, &["plan", "-detailed-exitcode"]).expect(0, "the second plan is empty");
}

#[test]
fn sealed_keys_in_kubernetes() {
    sealed_keys(&kubernetes());
}

#[test]
fn sealed_keys_in_s3() {
    sealed_keys(&s3());
}

#[test]
fn sealed_keys_in_postgres() {
    sealed_keys(&postgres());
}

#[test]
fn a_life_in_postgres() {
    a_life(&postgres());
}

#[test]
fn a_life_in_kubernetes() {
    a_life(&kubernetes());
}

#[test]
fn a_life_in_s3() {
    a_life(&s3());
}
