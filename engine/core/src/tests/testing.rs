//! Test files over the real engine and a world in memory, whose log says what was really done.

mod mocks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use mesh_lang::functions::Context;
use mesh_lang::{LoadOptions, TestFile, TestRun, load_from, parse_test};
use mesh_model::{Diagnostics, Sources};
use mesh_sdk::Services;
use tokio::sync::watch;

use super::fake::{Fault, World, provider};
use super::{Memory, text};
use crate::testing::{Bench, Listener, Made, RunOutcome, Status, check, run_file};
use crate::{Cancel, Engine, Inputs, Silent};

/// Does something when a run is over, as somebody else might.
struct Meddler<'m> {
    sender: watch::Sender<u8>,
    at_end: &'m dyn Fn(&str, &watch::Sender<u8>),
    lines: Vec<String>,
}

impl Listener for Meddler<'_> {
    fn run_begins(&mut self, _: &TestFile, _: &TestRun) {}

    fn made(&mut self, _: &TestFile, run: &TestRun, made: Made<'_>) {
        self.lines.push(match made {
            Made::Plan(planning) => format!("{} plans {}", run.name, planning.plan.changes.len()),
            Made::State(snapshot) => format!("{} has {}", run.name, snapshot.instances.len()),
        });
    }

    fn run_ends(&mut self, _: &TestFile, outcome: &RunOutcome) {
        (self.at_end)(&outcome.name, &self.sender);
    }

    fn ends(&mut self, _: &TestFile) {}

    fn run_destroys(&mut self, _: &TestFile, run: &str) {
        self.lines.push(format!("destroys {run}"));
    }
}

/// What became of a test file.
struct Ran {
    status: Status,
    /// `name status` of each run.
    runs: Vec<String>,
    /// Everything that was said.
    said: String,
    /// What the world was asked to do.
    log: Vec<String>,
    lines: Vec<String>,
}

fn ran(world: &World, configuration: &str, test: &str) -> Ran {
    meddled(world, &[("main.mesh.hcl", configuration)], test, &|_, _| {})
}

fn meddled(world: &World, files: &[(&str, &str)], test: &str, at_end: &dyn Fn(&str, &watch::Sender<u8>)) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sources = Sources::default();
    let files =
        Memory(files.iter().map(|(n, t)| (folder.path().join(n), (*t).to_owned())).collect::<BTreeMap<PathBuf, _>>());
    let (config, found) = load_from(&files, LoadOptions::new(folder.path()), &mut sources);
    let config = config.filter(|_| !found.has_errors()).unwrap_or_else(|| panic!("{}", text(&sources, &found)));
    let (file, found) = parse_test(test, "a.meshtest.hcl", &mut sources);
    assert!(!found.has_errors(), "{}", text(&sources, &found));
    let services = Services { root: folder.path().into(), cache: folder.path().join("cache"), ..Services::default() };
    let engine = Engine::new(vec![mesh_provider_builtin::provider(), provider(world)], services, Arc::new(Silent));
    let context = Context { plan_timestamp: "2026-01-01T00:00:00Z".into(), ..Context::new(folder.path()) };
    let (modules, inputs) = (BTreeMap::new(), Inputs::new());
    let bench = Bench {
        engine: &engine,
        config: &config,
        modules: &modules,
        inputs: &inputs,
        context: &context,
        folder: folder.path(),
        parallelism: 4,
    };
    let (sender, cancel) = Cancel::new();
    let mut meddler = Meddler { sender, at_end, lines: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(run_file(&bench, &file, &mut meddler, &cancel));
    let all = outcome.runs.iter().flat_map(|r| r.diagnostics.iter()).chain(outcome.diagnostics.iter());
    let all = Diagnostics(all.cloned().collect());
    let values: Vec<String> = all.iter().flat_map(|d| &d.values).map(|(what, is)| format!("{what} {is}")).collect();
    Ran {
        status: outcome.status,
        runs: outcome.runs.iter().map(|r| format!("{} {:?}", r.name, r.status)).collect(),
        said: format!("{}\n{}", text(&sources, &all), values.join("\n")),
        log: world.state().log.clone(),
        lines: meddler.lines,
    }
}

const TWO: &str = r#"
resource "world_object" "a" { name = "a" }
resource "world_object" "b" {
  name  = "b"
  value = world_object.a.id
}
output "length" { value = world_object.b.length }
"#;

#[test]
fn what_was_made_is_destroyed_in_reverse_whatever_happened() {
    let world = World::default();
    let test = r#"
run "first" {
  assert {
    condition     = world_object.b.value == "id-a" && output.length == 4
    error_message = "no"
  }
}
run "fails" {
  assert {
    condition     = world_object.b.length == 5
    error_message = "it has ${world_object.b.length}"
  }
}
run "planned" {
  command = plan
}"#;
    let ran = ran(&world, TWO, test);
    assert_eq!(ran.runs, ["first Pass", "fails Fail", "planned Pass"], "{}", ran.said);
    assert_eq!(
        (ran.status, ran.log.as_slice()),
        (Status::Fail, &["create a", "create b", "delete b", "delete a"].map(String::from)[..])
    );
    assert!(ran.said.contains("it has 4") && ran.said.contains("left side is 4\nright side is 5"), "{}", ran.said);
    assert_eq!(ran.lines, ["first has 2", "fails has 2", "planned plans 2", "destroys fails"]);
}

#[test]
fn what_cannot_be_destroyed_is_named() {
    let world = World::default();
    let fault = |_: &str, _: &watch::Sender<u8>| {
        world.state().faults.insert("a".into(), Fault::Reject);
    };
    let ran = meddled(&world, &[("main.mesh.hcl", TWO)], r#"run "made" {}"#, &fault);
    assert_eq!((ran.runs.as_slice(), ran.status), (&["made Pass".to_owned()][..], Status::Error));
    assert!(ran.said.contains("test::left") && ran.said.contains("- world_object.a: a"), "{}", ran.said);
    assert!(!ran.said.contains("world_object.b: b") && ran.said.contains("The world refuses"), "{}", ran.said);
}

#[test]
fn a_failed_apply_skips_the_rest_and_cleans_up() {
    let world = World::default();
    world.state().faults.insert("b".into(), Fault::Reject);
    let ran = ran(&world, TWO, "run \"bad\" {}\nrun \"later\" {}");
    assert_eq!(ran.runs, ["bad Error", "later Skip"], "{}", ran.said);
    assert!(world.state().objects.is_empty(), "{:?}", world.state().log);
}

#[test]
fn an_interrupt_skips_what_is_not_begun_and_cleans_up() {
    let world = World::default();
    let stop = |run: &str, sender: &watch::Sender<u8>| {
        if run == "first" {
            sender.send(1).expect("somebody listens");
        }
    };
    let ran = meddled(&world, &[("main.mesh.hcl", TWO)], "run \"first\" {}\nrun \"second\" {}", &stop);
    assert_eq!((ran.runs.join(","), ran.status), ("first Pass,second Skip".to_owned(), Status::Error), "{}", ran.said);
    assert_eq!(ran.log, ["create a", "create b", "delete b", "delete a"]);
    // Asked twice, it only says what is left.
    let world = World::default();
    let stop = |_: &str, sender: &watch::Sender<u8>| sender.send(2).expect("somebody listens");
    let ran = meddled(&world, &[("main.mesh.hcl", TWO)], "run \"first\" {}", &stop);
    assert_eq!(ran.log, ["create a", "create b"]);
    assert!(ran.said.contains("- world_object.a: a\n  - world_object.b: b"), "{}", ran.said);
}

#[test]
fn protected_objects_of_a_test_go_too() {
    let world = World::default();
    let configuration = r#"
resource "world_object" "a" {
  name = "a"
  lifecycle { prevent_destroy = true }
}"#;
    let ran = ran(&world, configuration, "run \"made\" {}");
    assert_eq!((ran.status, ran.log.join(",")), (Status::Pass, "create a,delete a".to_owned()), "{}", ran.said);
}

#[test]
fn providers_of_the_file_are_made_of_variables_and_earlier_runs() {
    let world = World::default();
    let configuration = r#"
resource "world_object" "a" { name = "a" }
output "place" { value = "at-elsewhere" }"#;
    let test = r#"
variables { where = "at-here" }
provider "world" { endpoint = try(run.first.place, var.where) }
run "first" {}
run "second" { state_key = "second" }"#;
    let ran = ran(&world, configuration, test);
    assert_eq!(ran.status, Status::Pass, "{}", ran.said);
    let others: Vec<String> = world.state().others.keys().cloned().collect();
    assert_eq!(others, ["elsewhere", "here"]);
    for other in world.state().others.values() {
        assert_eq!(other.state().log, ["create a", "delete a"]);
    }
}

#[test]
fn secrets_are_shown_in_no_failed_assertion() {
    let world = World::default();
    let configuration = r#"
resource "world_object" "a" {
  name   = "a"
  secret = "canary"
}"#;
    let test = r#"
run "secret" {
  assert {
    condition     = world_object.a.secret == "other"
    error_message = "it is ${world_object.a.secret}"
  }
}"#;
    let ran = ran(&world, configuration, test);
    assert_eq!(ran.runs, ["secret Fail"], "{}", ran.said);
    assert!(!ran.said.contains("canary") && ran.said.contains("left side is (sensitive value)"), "{}", ran.said);
}

#[test]
fn a_plan_of_a_part_and_a_look_only() {
    let world = World::default();
    let test = r#"
run "part" {
  plan_options { target = [world_object.a] }
  assert {
    condition     = world_object.a.id == "id-a"
    error_message = "no"
  }
}
run "looks" {
  plan_options { mode = refresh-only }
}"#;
    let ran = ran(&world, TWO, test);
    assert_eq!(ran.runs, ["part Pass", "looks Pass"], "{}", ran.said);
    assert_eq!(ran.log, ["create a", "delete a"]);
}

#[test]
fn names_are_checked_without_running() {
    let mut sources = Sources::default();
    let files = Memory(BTreeMap::from([(PathBuf::from("/r/main.mesh.hcl"), TWO.to_owned())]));
    let (config, _) = load_from(&files, LoadOptions::new("/r".as_ref()), &mut sources);
    let config = config.expect("a configuration");
    let engine = Engine::new(vec![provider(&World::default())], Services::default(), Arc::new(Silent));
    let test = r#"
mock_provider "wrld" {
  mock_resource "world_objct" {}
}
override_resource { target = world_object.zz }
run "a" {
  expect_failures = [check.none, local.x]
  assert {
    condition     = output.lenght == world_object.c.id && var.x == run.b.y && world_object.a.id == run.a.z
    error_message = "no"
  }
}
run "b" {}"#;
    let (file, found) = parse_test(test, "a.meshtest.hcl", &mut sources);
    assert!(found.is_empty(), "{}", text(&sources, &found));
    let found = check(&engine, &config, &BTreeMap::new(), &file);
    let lines: Vec<String> = found.iter().map(|d| format!("{} {}", d.code, d.detail)).collect();
    for part in [
        "output.lenght: ",
        "world_object.c: ",
        "var.x: ",
        "run.b: ",
        "run.a: ",
        "does not declare check.none",
        "local.x has no conditions",
        "no provider \"wrld\"",
        "a type \"world_objct\"",
        "test::override",
    ] {
        assert!(lines.iter().any(|l| l.contains(part)), "{part}\n{}", lines.join("\n"));
    }
    assert_eq!(lines.len(), 10, "{}", lines.join("\n"));
}
