//! Mocks and overrides in test files: what is made up is never asked for, everything else is real.

use super::{TWO, World, ran};
use crate::testing::Status;

#[test]
fn a_mocked_provider_is_never_asked() {
    let world = World::default();
    let configuration = r#"
provider "world" { token = "canary" }
resource "world_object" "a" {
  name     = "a"
  value    = "v"
  password = "canary"
}
resource "world_object" "b" {
  name  = "b"
  value = world_object.a.id
}
data "world_mirror" "m" { value = world_object.b.id }
output "mirror" { value = data.world_mirror.m.value }"#;
    let test = r#"
mock_provider "world" {
  mock_resource "world_object" {
    defaults = { length = 7 }
  }
}
run "made" {
  assert {
    condition     = world_object.a.length == 7 && world_object.a.value == "v" && can(regex("^[a-z]{8}$", world_object.a.id))
    error_message = "a is ${world_object.a.id}, ${world_object.a.length}"
  }
  assert {
    condition     = world_object.b.value == world_object.a.id && output.mirror == world_object.b.id
    error_message = "b"
  }
}
run "again" {
  assert {
    condition     = world_object.a.id == run.made.mirror || world_object.b.id == run.made.mirror
    error_message = "another object"
  }
}
run "planned" {
  command = plan
  assert {
    condition     = world_object.b.id == run.made.mirror && world_object.b.length == 7
    error_message = "another object"
  }
}"#;
    let ran = ran(&world, configuration, test);
    assert_eq!(ran.runs, ["made Pass", "again Pass", "planned Pass"], "{}", ran.said);
    assert_eq!((ran.status, ran.log.len()), (Status::Pass, 0), "{:?}", ran.log);
    assert!(!ran.said.contains("canary"), "{}", ran.said);
}

#[test]
fn mocks_may_answer_while_planning() {
    let world = World::default();
    let test = r#"
mock_provider "world" {
  override_during = plan
  mock_resource "world_object" {
    defaults = { id = "early" }
  }
}
run "planned" {
  command = plan
  assert {
    condition     = world_object.b.value == "early" && world_object.b.length == 0
    error_message = "no"
  }
}
run "applied" {
  assert {
    condition     = world_object.b.value == "early"
    error_message = "no"
  }
}"#;
    let ran = ran(&world, TWO, test);
    assert_eq!((ran.runs.join(","), ran.log.len()), ("planned Pass,applied Pass".to_owned(), 0), "{}", ran.said);
}

#[test]
fn what_is_not_overridden_is_real() {
    let world = World::default();
    let test = r#"
override_resource {
  target = world_object.a
  values = { id = "made up" }
}
run "mixed" {
  assert {
    condition     = world_object.b.value == "made up" && world_object.b.id == "id-b"
    error_message = "no"
  }
}"#;
    let ran = ran(&world, TWO, test);
    assert_eq!(
        (ran.runs.join(","), ran.log.join(",")),
        ("mixed Pass".to_owned(), "create b,delete b".to_owned()),
        "{}",
        ran.said
    );
}

#[test]
fn one_configuration_may_be_mocked_and_another_real() {
    let world = World::default();
    let configuration = r#"
provider "world" {}
provider "world" { alias = "other" }
resource "world_object" "a" { name = "a" }
resource "world_object" "b" {
  provider = world.other
  name     = "b"
}"#;
    let test = r#"
mock_provider "world" { alias = "mock" }
provider "world" { alias = "real" }
run "handed" {
  providers = { world = world.mock, world.other = world.real }
  assert {
    condition     = world_object.b.id == "id-b" && world_object.a.id != "id-a"
    error_message = "no"
  }
}"#;
    let ran = ran(&world, configuration, test);
    assert_eq!(
        (ran.runs.join(","), ran.log.join(",")),
        ("handed Pass".to_owned(), "create b,delete b".to_owned()),
        "{}",
        ran.said
    );
}

#[test]
fn gates_are_opened_by_overrides_only() {
    let world = World::default();
    let configuration = r#"
resource "mesh_gate" "g" {
  waiting_for  = "a signature"
  instructions = "sign"
  open_when    = false
}
resource "world_object" "a" {
  name       = "a"
  depends_on = [mesh_gate.g]
}"#;
    let closed = ran(&world, configuration, "run \"closed\" {}");
    assert_eq!(closed.runs, ["closed Error"]);
    assert!(closed.said.contains("test::gate") && closed.said.contains("a signature"), "{}", closed.said);
    let test = r#"
override_resource {
  target = mesh_gate.g
  values = { opened = true }
}
run "opened" {
  assert {
    condition     = world_object.a.id == "id-a"
    error_message = "no"
  }
}"#;
    let opened = ran(&world, configuration, test);
    assert_eq!(
        (opened.status, opened.log.join(",")),
        (Status::Pass, "create a,delete a".to_owned()),
        "{}",
        opened.said
    );
}

#[test]
fn data_sources_are_overridden_without_being_read() {
    let world = World::default();
    let configuration = r#"
data "local_file" "x" { path = "not there" }
resource "world_object" "a" { name = data.local_file.x.content }"#;
    let without = ran(&world, configuration, "run \"reads\" {}");
    assert_eq!(without.runs, ["reads Error"], "{}", without.said);
    let test = r#"
override_data {
  target = data.local_file.x
  values = { content = "made up" }
}
run "made_up" {
  command = plan
  assert {
    condition     = world_object.a.name == "made up" && data.local_file.x.exists == false
    error_message = "no"
  }
}"#;
    let with = ran(&world, configuration, test);
    assert_eq!(with.runs, ["made_up Pass"], "{}", with.said);
}

#[test]
fn values_that_no_provider_would_give_are_refused() {
    for (values, reason) in [
        ("{ name = \"x\" }", "given by the configuration"),
        ("{ lenght = 1 }", "did you mean \"length\"?"),
        ("{ length = [] }", "does not fit"),
        ("\"x\"", "must be an object"),
    ] {
        let test = format!("override_resource {{\n target = world_object.a\n values = {values}\n}}\nrun \"r\" {{}}");
        let ran = ran(&World::default(), TWO, &test);
        assert_eq!(ran.runs, ["r Error"]);
        assert!(ran.said.contains("test::mock") && ran.said.contains(reason), "{}", ran.said);
    }
}
