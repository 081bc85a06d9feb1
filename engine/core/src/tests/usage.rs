//! What went wrong when the engine was used in earnest: modules, later stages, plans that are resumed,
//! replaced and destroyed half-way.

use mesh_model::Value;

use super::Bed;
use super::fake::Fault;

fn lines(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn output(bed: &Bed, hcl: &str, name: &str) -> String {
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete(), "{finished:?}");
    mesh_model::json::to_json(&finished.outputs[name].value).to_string()
}

#[test]
fn blocks_of_a_repeated_module_keep_their_own_values() {
    let mut bed = Bed::new();
    bed.files.insert(
        "m/main.mesh.hcl",
        r#"
variable "name" {}
resource "world_object" "p" { name = "p-${var.name}" }
resource "world_object" "q" { name = "q-${var.name}" }
resource "world_object" "r" {
  count = 2
  name  = "r${count.index}-${world_object.q.id}"
}
output "ids" { value = concat([world_object.p.id, world_object.q.id], world_object.r[*].id) }
"#,
    );
    let hcl = "module \"m\" {\n  source   = \"./m\"\n  for_each = toset([\"a\", \"b\"])\n  name     = each.key\n}\noutput \"all\" { value = [for k in [\"a\", \"b\"] : module.m[k].ids] }";
    let want =
        r#"[["id-p-a","id-q-a","id-r0-id-q-a","id-r1-id-q-a"],["id-p-b","id-q-b","id-r0-id-q-b","id-r1-id-q-b"]]"#;
    assert_eq!(output(&bed, hcl, "all"), want);
    assert_eq!(bed.plan(hcl), Ok(Vec::new()));
}

#[test]
fn what_changes_with_every_plan_makes_no_endless_stages() {
    let bed = Bed::new();
    let hcl = "resource \"terraform_data\" \"now\" { input = timestamp() }\nresource \"mesh_gate\" \"g\" {\n  waiting_for  = \"it\"\n  instructions = \"wait\"\n  open_when    = false\n}\noutput \"at\" { value = terraform_data.now.output }";
    let (stages, finished) = bed.apply(hcl).expect("begins");
    assert_eq!((stages.len(), finished.waiting.len(), finished.deferred.len()), (1, 1, 1), "{stages:?}");
    assert!(finished.report.succeeded());
}

#[test]
fn a_replace_that_was_asked_for_happens_once() {
    let mut bed = Bed::new();
    let hcl = "resource \"world_object\" \"a\" { name = \"a\" }\nresource \"terraform_data\" \"t\" { input = \"x\" }\nresource \"world_object\" \"b\" {\n  count = length(terraform_data.t.id) > 0 ? 1 : 1\n  name  = \"b\"\n}";
    bed.applies("resource \"world_object\" \"a\" { name = \"a\" }");
    bed.options.replace = vec!["world_object.a".parse().expect("an address")];
    let (stages, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete() && stages.len() == 2, "{stages:?} {:?}", finished.report);
    assert_eq!(std::mem::take(&mut bed.world.state().log), lines(&["delete a", "create a", "create b"]));
}

#[test]
fn a_trigger_is_not_lost_when_the_replace_is_skipped() {
    let bed = Bed::new();
    let hcl = |v: &str| {
        format!(
            "resource \"world_object\" \"a\" {{\n  name = \"a\"\n  value = \"{v}\"\n}}\nresource \"world_object\" \"c\" {{\n  name = \"c\"\n  value = \"{v}\"\n}}\nresource \"terraform_data\" \"b\" {{\n  input = world_object.c.id\n  lifecycle {{\n    create_before_destroy = true\n    replace_triggered_by  = [world_object.a.value]\n  }}\n}}"
        )
    };
    bed.applies(&hcl("1"));
    bed.world.state().faults.insert("c".into(), Fault::Reject);
    let (_, finished) = bed.apply(&hcl("2")).expect("begins");
    assert_eq!((finished.counts.change, finished.report.skipped.len()), (1, 1), "{finished:?}");
    assert_eq!(bed.plan(&hcl("2")), Ok(lines(&["+/- terraform_data.b", "~ world_object.c"])));
    bed.applies(&hcl("2"));
}

#[test]
fn a_trigger_is_the_instance_or_attribute_that_it_names() {
    let bed = Bed::new();
    let hcl = |count: usize, first: &str| {
        format!(
            "resource \"world_object\" \"s\" {{\n  count = {count}\n  name  = \"s${{count.index}}\"\n  value = count.index == 0 ? \"{first}\" : \"same\"\n}}\n{}",
            [("zero", "world_object.s[0]"), ("one", "world_object.s[1].value"), ("name", "world_object.s[0].name"), ("all", "world_object.s")]
                .map(|(n, t)| format!("resource \"world_object\" \"{n}\" {{\n  name = \"{n}\"\n  lifecycle {{ replace_triggered_by = [{t}] }}\n}}\n"))
                .concat()
                + "resource \"world_object\" \"each\" {\n  count = 2\n  name = \"e${count.index}\"\n  lifecycle { replace_triggered_by = [world_object.s[count.index].value] }\n}\n"
        )
    };
    bed.applies(&hcl(2, "x"));
    assert_eq!(bed.plan(&hcl(3, "x")), Ok(lines(&["+ world_object.s[2]"])), "a create triggers nothing");
    let want = ["-/+ world_object.all", "-/+ world_object.each[0]", "~ world_object.s[0]", "-/+ world_object.zero"];
    assert_eq!(bed.plan(&hcl(2, "y")), Ok(lines(&want)));
}

const VALUE: &str = "resource \"world_object\" \"a\" {\n  name  = \"a\"\n  value = \"V\"\n}\n";

#[test]
fn an_approved_plan_is_not_replayed_over_a_later_run() {
    let bed = Bed::new();
    let (first, second) = (VALUE.replace('V', "1"), VALUE.replace('V', "2"));
    let reviewed = bed.review(&first);
    let (_, finished) = bed.apply_reviewed(&first, &reviewed).expect("applies");
    assert!(finished.is_complete());
    let (stages, again) = bed.apply_reviewed(&first, &reviewed).expect("there is nothing left to do");
    assert!(again.nothing && stages == [Vec::<String>::new()]);
    bed.applies(&second);
    let error = bed.apply_reviewed(&first, &reviewed).expect_err("stale");
    assert!(error.contains("apply::stale") && error.contains("another run"), "{error}");
    assert_eq!(bed.world.state().objects["a"].get_str("value"), Some("2"));
}

#[test]
fn an_approved_plan_is_resumed_in_the_middle_of_a_replace() {
    for create_first in [false, true] {
        let mut bed = Bed::new();
        let hcl = |name: &str| {
            format!(
                "resource \"world_object\" \"a\" {{\n  name = \"{name}\"\n  lifecycle {{ create_before_destroy = {create_first} }}\n}}\nresource \"world_object\" \"z\" {{ name = \"z\" }}"
            )
        };
        bed.applies(&hcl("a1"));
        bed.options.replace = vec!["world_object.z".parse().expect("an address")];
        let reviewed = bed.review(&hcl("a2"));
        bed.world.state().faults.insert(if create_first { "a1" } else { "a2" }.into(), Fault::Reject);
        let (_, finished) = bed.apply_reviewed(&hcl("a2"), &reviewed).expect("begins");
        assert!(!finished.report.succeeded());
        let (_, finished) = bed.apply_reviewed(&hcl("a2"), &reviewed).expect("resumes");
        assert!(finished.is_complete(), "{finished:?}");
        let log = std::mem::take(&mut bed.world.state().log);
        assert_eq!(log.iter().filter(|l| *l == "create z").count(), 1, "{log:?}");
        assert_eq!(bed.world.state().objects.keys().cloned().collect::<Vec<_>>(), lines(&["a2", "z"]));
    }
}

#[test]
fn a_new_object_cannot_stand_where_the_old_one_is() {
    let mut bed = Bed::new();
    let hcl = "resource \"world_object\" \"a\" {\n  name = \"a\"\n  lifecycle { create_before_destroy = true }\n}";
    bed.applies(hcl);
    bed.options.replace = vec!["world_object.a".parse().expect("an address")];
    assert!(bed.plan(hcl).expect_err("one identity").contains("plan::same_identity"));
}

#[test]
fn an_output_that_is_gone_is_taken_out_of_state() {
    let bed = Bed::new();
    bed.applies("output \"a\" { value = 1 }\noutput \"b\" { value = 2 }");
    let (_, finished) = bed.apply("output \"b\" { value = 2 }").expect("begins");
    assert!(!finished.nothing);
    assert_eq!(finished.outputs.keys().map(|k| k.to_string()).collect::<Vec<_>>(), ["b"]);
    assert!(bed.apply("output \"b\" { value = 2 }").expect("begins").1.nothing);
}

#[test]
fn a_precondition_that_waits_for_another_value_is_checked_before_the_call() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"a\" { name = \"a\" }\nresource \"world_object\" \"b\" {\n  name = \"b\"\n  lifecycle {\n    precondition {\n      condition     = world_object.a.id == \"other\"\n      error_message = \"a is ${world_object.a.id}\"\n    }\n  }\n}";
    let (_, finished) = bed.apply(hcl).expect("begins");
    let failed = &finished.report.failed;
    assert!(
        failed.len() == 1 && failed[0].1.code == "apply::precondition" && failed[0].1.detail.contains("id-a"),
        "{failed:?}"
    );
    assert!(!bed.world.state().objects.contains_key("b"));
}

#[test]
fn an_object_whose_block_moved_to_another_alias_is_looked_for_there() {
    let bed = Bed::new();
    let hcl = |with: &str| {
        format!(
            "provider \"world\" {{}}\nprovider \"world\" {{ alias = \"two\" }}\nresource \"world_object\" \"a\" {{\n  name = \"a\"\n{with}}}"
        )
    };
    bed.applies(&hcl(""));
    assert_eq!(bed.applies(&hcl("  provider = world.two\n")), Vec::<String>::new());
    bed.world.state().objects.remove("a");
    assert_eq!(
        bed.plan(&hcl("")),
        Ok(lines(&["+ world_object.a", "! world_object.a"])),
        "it is looked at, not believed"
    );
}

#[test]
fn what_has_vanished_is_made_as_configured_also_where_changes_are_ignored() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"a\" {\n  name   = \"a\"\n  value  = \"v\"\n  secret = sensitive(\"canary\")\n  lifecycle { ignore_changes = all }\n}";
    bed.applies(hcl);
    bed.world.state().objects.remove("a");
    bed.applies(hcl);
    assert_eq!(bed.world.state().objects["a"].get("secret").map(|v| v.reveal_deep().0), Some(Value::string("canary")));
}

#[test]
fn a_destroy_needs_no_values_of_what_was_never_made() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"a\" {\n  count = 2\n  name  = \"a${count.index}\"\n}\nlocals { second = world_object.a[1].id }\noutput \"second\" { value = local.second }";
    bed.world.state().faults.insert("a1".into(), Fault::Reject);
    bed.apply(hcl).expect("begins");
    let mut bed = bed;
    bed.options.mode = crate::Mode::Destroy;
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete() && bed.world.state().objects.is_empty(), "{finished:?}");
}

#[test]
fn a_destroy_says_what_it_cannot_reach() {
    let mut bed = Bed::new();
    let object = "resource \"world_object\" \"a\" { name = \"a\" }\n";
    bed.applies(object);
    let hcl = format!(
        "{object}resource \"terraform_data\" \"t\" {{ input = \"x\" }}\nprovider \"world\" {{ endpoint = terraform_data.t.id }}"
    );
    bed.options.mode = crate::Mode::Destroy;
    let error = bed.apply(&hcl).expect_err("the provider cannot be configured");
    assert!(error.contains("plan::destroy_provider") && error.contains("world_object.a"), "{error}");
    assert!(bed.world.state().objects.contains_key("a"));
}

#[test]
fn a_module_whose_instances_are_unknown_waits_inside_its_envelope() {
    let mut bed = Bed::new();
    bed.files.insert("m/main.mesh.hcl", "variable \"v\" {}\nresource \"world_object\" \"o\" {\n  for_each = toset([\"x\"])\n  name     = each.key\n  value    = var.v\n}\n");
    let hcl = |v: &str| {
        format!(
            "resource \"terraform_data\" \"t\" {{ input = \"x\" }}\nmodule \"m\" {{\n  source = \"./m\"\n  count  = length(terraform_data.t.id) > 0 ? 1 : 0\n  v      = \"{v}\"\n}}"
        )
    };
    let reviewed = bed.review(&hcl("one"));
    assert_eq!(reviewed.plan.deferred[0].pattern, "module.m[*].world_object.o[*]");
    let (stages, finished) = bed.apply_reviewed(&hcl("one"), &reviewed).expect("applies");
    assert!(finished.is_complete(), "{finished:?}");
    assert_eq!(stages[1], lines(&["+ module.m[0].world_object.o[\"x\"]"]));
    // A module that turns out to have no instance has nothing that could wait.
    let none = "module \"m\" {\n  source = \"./m\"\n  count  = 0\n  v      = mesh_gate.g.output\n}\nresource \"mesh_gate\" \"g\" {\n  waiting_for  = \"it\"\n  instructions = \"wait\"\n  open_when    = false\n}";
    let (stages, _) = Bed { files: bed.files.clone(), ..Bed::new() }.apply(none).expect("begins");
    assert_eq!(stages, [lines(&["? mesh_gate.g", "| mesh_gate.g"])]);
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
fn a_new_object_that_is_refused_leaves_the_old_one_in_its_place() {
    let bed = Bed::new();
    let hcl = |name: &str| {
        format!(
            "resource \"world_object\" \"a\" {{\n  name = \"{name}\"\n  lifecycle {{ create_before_destroy = true }}\n}}"
        )
    };
    bed.applies(&hcl("a1"));
    bed.world.state().faults.insert("a2".into(), Fault::Reject);
    let (_, finished) = bed.apply(&hcl("a2")).expect("begins");
    assert_eq!(finished.report.failed.len(), 1, "{finished:?}");
    // It is current, not left over: with the old configuration there is nothing to do.
    assert_eq!(bed.plan(&hcl("a1")), Ok(Vec::new()));
    assert_eq!(bed.plan(&hcl("a2")), Ok(lines(&["+/- world_object.a"])));
}

#[test]
fn half_an_object_makes_room_for_the_whole_one_of_the_same_name() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"a\" {\n  name = \"a\"\n}\nresource \"world_object\" \"b\" {\n  name = \"b\"\n  value = world_object.a.id\n  lifecycle { create_before_destroy = true }\n}";
    bed.world.state().faults.insert("a".into(), Fault::Half);
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert_eq!((finished.report.failed.len(), finished.report.skipped.len()), (1, 1), "{finished:?}");
    bed.world.state().log.clear();
    assert_eq!(bed.plan(hcl), Ok(lines(&["-/+ world_object.a", "+ world_object.b"])));
    assert_eq!(bed.applies(hcl), lines(&["delete a", "create a", "create b"]));
}

#[test]
fn an_object_that_is_left_over_is_deleted_also_when_it_is_the_last() {
    let bed = Bed::new();
    let hcl = |name: &str| {
        format!(
            "resource \"world_object\" \"a\" {{\n  name = \"{name}\"\n  lifecycle {{ create_before_destroy = true }}\n}}"
        )
    };
    bed.applies(&hcl("a1"));
    for last in [hcl("a2"), String::new()] {
        bed.world.state().faults.insert("a1".into(), Fault::Reject);
        let (_, finished) = bed.apply(&last).expect("begins");
        assert_eq!(finished.report.failed.len(), 1, "{finished:?}");
    }
    assert_eq!(bed.world.state().objects.len(), 1);
    bed.applies("");
    assert!(bed.world.state().objects.is_empty());
}

#[test]
fn what_goes_for_good_does_so_after_what_used_it_was_changed() {
    let bed = Bed::new();
    let object = |name: &str, value: &str| {
        format!("resource \"world_object\" \"{name}\" {{\n  name = \"{name}\"\n  value = {value}\n}}\n")
    };
    let w = |v: &str| object("w", &format!("\"{v}\""));
    bed.applies(&[w("1"), object("x", "world_object.w.id"), object("y", "world_object.x.id")].concat());
    bed.world.state().log.clear();
    // The one in the middle goes, and all others change.
    let after = [w("2"), object("y", "world_object.w.id")].concat();
    assert_eq!(bed.applies(&after), lines(&["update w", "update y", "delete x"]));
}

#[test]
fn what_is_needed_through_an_empty_block_or_a_data_source_is_remembered() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"z1\" { name = \"z1\" }\nresource \"world_object\" \"none\" {\n  count = 0\n  name  = world_object.z1.id\n}\ndata \"world_mirror\" \"m\" { value = world_object.z1.id }\nresource \"world_object\" \"a\" {\n  name  = \"a\"\n  value = data.world_mirror.m.value\n}\nresource \"world_object\" \"b\" {\n  name  = \"b\"\n  value = join(\"\", world_object.none[*].id)\n}";
    bed.applies(hcl);
    let deleted = bed.applies("");
    assert_eq!(deleted.last().map(String::as_str), Some("delete z1"), "{deleted:?}");
}
