//! Moves, removals, imports and checks: names change, objects stay.

use super::Bed;
use mesh_model::{Type, Value};

fn lines(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn object(ty: &str, name: &str, more: &str) -> String {
    format!("resource \"world_object\" \"{ty}\" {{\n  name = \"{name}\"\n  {more}\n}}\n")
}

fn moved(from: &str, to: &str) -> String {
    format!("moved {{\n  from = world_object.{from}\n  to   = world_object.{to}\n}}\n")
}

#[test]
fn a_move_renames_without_touching_the_object() {
    let bed = Bed::new();
    bed.applies(&object("a", "x", ""));
    let after = object("b", "x", "") + &moved("a", "b");
    assert_eq!(bed.plan(&after), Ok(lines(&["> world_object.a world_object.b"])));
    assert_eq!(bed.applies(&after), lines(&[]));
    // Whoever skips a release goes through the whole chain.
    let chain = object("d", "x", "value = \"1\"") + &moved("a", "b") + &moved("c", "d") + &moved("b", "c");
    assert_eq!(bed.plan(&chain), Ok(lines(&["~ world_object.d", "> world_object.b world_object.d"])));
    assert_eq!(bed.applies(&chain), lines(&["update x"]));
}

#[test]
fn turning_repetition_on_and_off_keeps_the_first_instance() {
    let bed = Bed::new();
    bed.applies(&object("a", "x", ""));
    let two = object("a", "x${count.index == 0 ? \"\" : count.index}", "count = 2");
    assert_eq!(bed.plan(&two), Ok(lines(&["+ world_object.a[1]", "> world_object.a world_object.a[0]"])));
    assert_eq!(bed.applies(&two), lines(&["create x1"]));
    let one = object("a", "x", "");
    assert_eq!(bed.plan(&one), Ok(lines(&["- world_object.a[1]", "> world_object.a[0] world_object.a"])));
    assert_eq!(bed.applies(&one), lines(&["delete x1"]));
    let keyed = object("a", "${each.key}", "for_each = toset([\"x\", \"y\"])");
    let with = keyed.clone() + &moved("a", "a[\"x\"]");
    assert_eq!(bed.plan(&with), Ok(lines(&["+ world_object.a[\"y\"]", "> world_object.a world_object.a[\"x\"]"])));
    assert_eq!(bed.applies(&with), lines(&["create y"]));
}

#[test]
fn modules_move_with_all_that_is_in_them() {
    let mut bed = Bed::new();
    bed.files = [("m/m.mesh.hcl", "variable \"n\" {}\nresource \"world_object\" \"o\" { name = var.n }\n")].into();
    let call = |name: &str, more: &str| format!("module \"{name}\" {{\n  source = \"./m\"\n  {more}\n}}\n");
    bed.applies(&call("a", "for_each = toset([\"x\", \"y\"])\n  n = each.key"));
    let renamed = call("b", "for_each = toset([\"x\", \"y\"])\n  n = each.key")
        + "moved {\n  from = module.a\n  to = module.b\n}\n";
    assert_eq!(
        bed.plan(&renamed),
        Ok(lines(&[
            "> module.a[\"x\"].world_object.o module.b[\"x\"].world_object.o",
            "> module.a[\"y\"].world_object.o module.b[\"y\"].world_object.o",
        ]))
    );
    assert_eq!(bed.applies(&renamed), lines(&[]));
    let single = call("c", "n = \"x\"") + "moved {\n  from = module.b[\"x\"]\n  to = module.c\n}\n";
    assert_eq!(
        bed.plan(&single),
        Ok(lines(&["- module.b[\"y\"].world_object.o", "> module.b[\"x\"].world_object.o module.c.world_object.o"]))
    );
    assert_eq!(bed.applies(&single), lines(&["delete y"]));
    // Out of the module, by a statement of the root module.
    let out = object("o", "x", "") + "moved {\n  from = module.c.world_object.o\n  to = world_object.o\n}\n";
    assert_eq!(bed.applies(&out), lines(&[]));
}

#[test]
fn moves_that_make_no_sense_are_refused() {
    let bed = Bed::new();
    bed.applies(&(object("a", "x", "") + &object("b", "y", "")));
    let still = object("a", "x", "") + &object("b", "y", "") + &moved("a", "c");
    assert!(bed.plan(&still).is_err_and(|e| e.contains("plan::moved_exists")));
    let circle = object("c", "x", "") + &moved("a", "b") + &moved("b", "a");
    assert!(bed.plan(&circle).is_err_and(|e| e.contains("plan::moved_circle")));
    // Taken: the object stays where it is, and nothing is configured there.
    let taken = object("b", "y", "") + &moved("a", "b");
    assert_eq!(bed.plan(&taken), Ok(lines(&["- world_object.a"])));
    let (_, finished) = bed.apply(&taken).expect("the apply begins");
    assert!(finished.warnings.iter().any(|d| d.code == "plan::moved_taken"));
}

#[test]
fn an_object_that_moved_to_nowhere_is_deleted() {
    let bed = Bed::new();
    bed.applies(&object("a", "x", ""));
    let gone = moved("a", "b") + "output \"x\" { value = 1 }\n";
    assert_eq!(bed.plan(&gone), Ok(lines(&["- world_object.b", "> world_object.a world_object.b"])));
    assert_eq!(bed.applies(&gone), lines(&["delete x"]));
}

#[test]
fn removed_says_whether_the_object_stays() {
    let bed = Bed::new();
    let two = object("a", "x", "lifecycle { prevent_destroy = true }") + &object("b", "y", "");
    bed.applies(&two);
    let removed = "removed {\n  from = world_object.a\n  lifecycle { destroy = false }\n}\nremoved {\n  from = world_object.b\n}\n";
    assert_eq!(bed.plan(removed), Ok(lines(&[". world_object.a", "- world_object.b"])));
    assert_eq!(bed.applies(removed), lines(&["delete y"]));
    assert_eq!(bed.world.state().objects.keys().collect::<Vec<_>>(), ["x"]);
}

#[test]
fn an_import_takes_what_is_there() {
    let bed = Bed::new();
    let value = Value::object([
        ("name", Value::string("x")),
        ("value", Value::string("1")),
        ("secret", Value::null(Type::String)),
        ("id", Value::string("id-x")),
        ("length", Value::number(1)),
    ]);
    bed.world.state().objects.insert("x".into(), value);
    let import = |key: &str, id: &str| format!("import {{\n  to = world_object.a{key}\n  id = \"{id}\"\n}}\n");
    let same = object("a", "x", "value = \"1\"");
    assert!(bed.plan(&same).is_err_and(|e| e.contains("plan::exists")));
    assert!(bed.plan(&(same.clone() + &import("", "z"))).is_err_and(|e| e.contains("plan::import ")));
    let missing = object("a", "q", "") + &import("", "q");
    assert!(bed.plan(&missing).is_err_and(|e| e.contains("plan::import_missing")));
    let changed = object("a", "x", "value = \"22\"") + &import("", "x");
    assert_eq!(bed.plan(&changed), Ok(lines(&["~ world_object.a"])));
    let with = same.clone() + &import("", "x");
    assert_eq!(bed.plan(&with), Ok(lines(&["  world_object.a"])));
    bed.applies(&with);
    // It is ours from now on: with its block it goes.
    assert_eq!(bed.applies("output \"o\" { value = 1 }"), lines(&["delete x"]));
    let keyed = object("a", "${each.key}", "for_each = toset([\"k\"])");
    let none =
        "import {\n  for_each = { k = \"k\", l = \"l\" }\n  to = world_object.a[each.key]\n  id = each.value\n}\n";
    assert!(bed.plan(&(keyed + none)).is_err_and(|e| e.contains("plan::import_target")));
}

#[test]
fn checks_warn_and_stop_nothing() {
    let bed = Bed::new();
    let check = "check \"c\" {\n  assert {\n    condition     = world_object.a.length > 3\n    error_message = \"too short\"\n  }\n}\n";
    let text = object("a", "x", "value = \"1\"") + check;
    assert_eq!(bed.plan(&text), Ok(lines(&["+ world_object.a"])));
    let (_, finished) = bed.apply(&text).expect("the apply begins");
    assert!(finished.is_complete());
    let found: Vec<&str> = finished.report.diagnostics.iter().map(|d| d.detail.as_str()).collect();
    assert_eq!(found, ["too short"]);
    let status = |text: &str| {
        bed.with(text, async |run| {
            run.plan(|p| p.plan.checks.iter().map(|c| c.status.word()).collect::<Vec<_>>()).await
        })
    };
    assert_eq!(status(&text), Ok(vec!["fail"]));
    assert_eq!(status(&text.replace("> 3", "> 0")), Ok(vec!["pass"]));
}
