//! Create, change, replace, delete, drift, failure, crash, gates, stages.

use super::Bed;
use super::fake::Fault;
use mesh_model::Value;

fn lines(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

const TWO: &str = r#"
resource "world_object" "a" {
  name  = "a"
  value = "one"
}
resource "world_object" "b" {
  name  = "b"
  value = world_object.a.id
}
output "b" { value = world_object.b.value }
"#;

#[test]
fn creates_in_order_and_then_has_nothing_to_do() {
    let bed = Bed::new();
    assert_eq!(bed.plan(TWO), Ok(lines(&["+ world_object.a", "+ world_object.b"])));
    assert_eq!(bed.applies(TWO), lines(&["create a", "create b"]));
    assert_eq!(bed.world.state().objects["b"].get_str("value"), Some("id-a"));
}

#[test]
fn a_foreign_change_is_drift_and_is_repaired() {
    let bed = Bed::new();
    bed.applies(TWO);
    let changed = bed.world.state().objects["a"].with("value", Value::string("foreign"));
    bed.world.state().objects.insert("a".into(), changed);
    assert_eq!(bed.plan(TWO), Ok(lines(&["~ world_object.a", "! world_object.a"])));
    assert_eq!(bed.applies(TWO), lines(&["update a"]));
    bed.world.state().objects.remove("b");
    assert_eq!(bed.plan(TWO), Ok(lines(&["+ world_object.b", "! world_object.b"])));
    assert_eq!(bed.applies(TWO), lines(&["create b"]));
}

#[test]
fn a_changed_name_replaces_in_the_right_order() {
    let bed = Bed::new();
    bed.applies(TWO);
    let renamed = TWO.replace("name  = \"a\"", "name  = \"a2\"");
    assert_eq!(bed.plan(&renamed), Ok(lines(&["-/+ world_object.a", "~ world_object.b"])));
    assert_eq!(bed.applies(&renamed), lines(&["delete a", "create a2", "update b"]));
    let first = renamed.replace("name  = \"a2\"", "name = \"a3\"\n lifecycle { create_before_destroy = true }");
    assert_eq!(bed.applies(&first), lines(&["create a3", "update b", "delete a2"]));
}

#[test]
fn what_is_no_longer_configured_goes_in_reverse_order() {
    let bed = Bed::new();
    bed.applies(TWO);
    assert_eq!(bed.applies("output \"x\" { value = 1 }"), lines(&["delete b", "delete a"]));
    assert!(bed.world.state().objects.is_empty());
}

#[test]
fn a_failure_skips_what_needs_it_and_nothing_else() {
    let bed = Bed::new();
    let hcl = format!("{TWO}\nresource \"world_object\" \"c\" {{ name = \"c\" }}");
    bed.world.state().faults.insert("a".into(), Fault::Reject);
    let (_, finished) = bed.apply(&hcl).expect("begins");
    let failed: Vec<String> = finished.report.failed.iter().map(|(a, _)| a.to_string()).collect();
    let skipped: Vec<String> = finished.report.skipped.iter().map(|(a, _, w)| format!("{a}: {w}")).collect();
    assert_eq!(failed, lines(&["world_object.a"]));
    assert_eq!(skipped, lines(&["world_object.b: world_object.a failed"]));
    assert!(bed.world.state().objects.contains_key("c"));
    bed.world.state().log.clear();
    assert_eq!(bed.applies(&hcl), lines(&["create a", "create b"]));
}

#[test]
fn an_outcome_in_doubt_is_looked_up_before_anything_else() {
    for (fault, expected) in
        [(Fault::DoneInDoubt, vec!["update a", "create b"]), (Fault::LostInDoubt, vec!["create a", "create b"])]
    {
        let bed = Bed::new();
        bed.world.state().faults.insert("a".into(), fault);
        let (_, finished) = bed.apply(TWO).expect("begins");
        assert!(!finished.is_complete());
        bed.world.state().log.clear();
        assert_eq!(bed.applies(TWO), lines(&expected), "{fault:?}");
        assert_eq!(bed.world.state().objects.len(), 2);
    }
}

#[test]
fn an_operation_that_takes_too_long_is_in_doubt_and_looked_up() {
    let bed = Bed::new();
    let hcl = |time: &str| {
        format!(
            "resource \"world_object\" \"s\" {{\n  name = \"slow\"\n  timeouts {{\n    create = \"{time}\"\n  }}\n}}"
        )
    };
    let (_, finished) = bed.apply(&hcl("20ms")).expect("begins");
    let [(_, failed)] = finished.report.failed.as_slice() else { panic!("{:?}", finished.report) };
    assert_eq!(failed.summary, "Not done in time");
    assert!(failed.detail.contains("20ms") && failed.detail.contains("looks it up"), "{}", failed.detail);
    assert_eq!(bed.applies(&hcl("1m")), lines(&["create slow"]));
    assert!(bed.plan(&hcl("soon")).expect_err("no duration").contains("4:14 lang::value"), "its place is said");
}

#[test]
fn an_existing_object_is_an_error_unless_it_is_adopted() {
    let bed = Bed::new();
    let there = Value::object([
        ("name", Value::string("a")),
        ("value", Value::string("old")),
        ("secret", Value::NULL),
        ("id", Value::string("id-a")),
        ("length", Value::number(3)),
    ]);
    bed.world.state().objects.insert("a".into(), there);
    let error = bed.plan(TWO).expect_err("exists");
    assert!(error.contains("plan::exists") && error.contains("main.mesh.hcl:2:1"), "{error}");
    let adopting = TWO.replace("value = \"one\"", "value = \"one\"\n  lifecycle { on_existing = \"adopt\" }");
    assert_eq!(bed.applies(&adopting), lines(&["create a", "create b"]));
    // What was adopted is forgotten, not deleted.
    assert_eq!(bed.applies("output \"x\" { value = 1 }"), lines(&["delete b"]));
    assert!(bed.world.state().objects.contains_key("a"));
}

#[test]
fn a_protected_object_stays_even_when_its_block_is_gone() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"k\" {\n  name = \"k\"\n  lifecycle { prevent_destroy = true }\n}";
    bed.applies(hcl);
    assert!(bed.plan("").expect_err("protected").contains("plan::protected"));
    assert!(
        bed.plan(&hcl.replace("\"k\"\n  life", "\"k2\"\n  life")).expect_err("protected").contains("plan::protected")
    );
    let open = hcl.replace("true", "false");
    bed.apply(&open).expect("takes the protection off");
    assert_eq!(bed.applies(""), lines(&["delete k"]));
}

#[test]
fn a_gate_keeps_the_rest_waiting_until_it_opens() {
    let mut bed = Bed::new();
    let hcl = r#"
variable "signed" { default = "" }
resource "world_object" "csr" { name = "csr" }
resource "mesh_gate" "sign" {
  waiting_for  = "a signature"
  instructions = "sign ${world_object.csr.id}"
  input        = world_object.csr.id
  open_when    = var.signed != ""
  value        = var.signed
}
resource "world_object" "cert" {
  name  = "cert"
  value = mesh_gate.sign.output
}
"#;
    let (stages, finished) = bed.apply(hcl).expect("begins");
    assert_eq!(stages.first().map(Vec::len), Some(4), "{stages:?}");
    assert_eq!(finished.waiting.len(), 1);
    assert!(finished.waiting[0].instructions.contains("id-csr"));
    assert!(!bed.world.state().objects.contains_key("cert"));
    bed.set("signed", "chain");
    let (_, finished) = bed.apply(hcl).expect("opens");
    assert!(finished.is_complete(), "{finished:?}");
    assert_eq!(bed.world.state().objects["cert"].get_str("value"), Some("chain"));
    // It stays open for the same input.
    bed.set("signed", "");
    assert_eq!(bed.plan(hcl), Ok(Vec::new()));
}

#[test]
fn a_provider_configured_from_a_resource_waits_for_it_within_one_apply() {
    let bed = Bed::new();
    let hcl = r#"
resource "terraform_data" "cluster" { input = "x" }
provider "world" { endpoint = terraform_data.cluster.id }
resource "world_object" "a" { name = "a" }
"#;
    let (stages, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete(), "{finished:?}");
    assert_eq!(stages, vec![lines(&["+ terraform_data.cluster", "? world_object.a"]), lines(&["+ world_object.a"])]);
    assert_eq!(bed.plan(hcl), Ok(Vec::new()));
}

#[test]
fn repetition_adds_and_removes_single_instances() {
    let bed = Bed::new();
    let with =
        |keys: &str| format!("resource \"world_object\" \"o\" {{\n  for_each = toset([{keys}])\n  name = each.key\n}}");
    bed.applies(&with("\"x\", \"y\""));
    assert_eq!(bed.applies(&with("\"y\", \"z\"")).len(), 2);
    assert_eq!(bed.world.state().objects.keys().cloned().collect::<Vec<_>>(), lines(&["y", "z"]));
}

#[test]
fn two_addresses_of_one_object_are_an_error() {
    let bed = Bed::new();
    let hcl =
        "resource \"world_object\" \"p\" { name = \"same\" }\nresource \"world_object\" \"q\" { name = \"same\" }";
    assert!(bed.plan(hcl).expect_err("one object").contains("plan::identity"));
}

#[test]
fn a_circle_names_every_reference() {
    let bed = Bed::new();
    let hcl = "locals {\n  a = local.b\n  b = local.a\n}";
    let error = bed.plan(hcl).expect_err("a circle");
    assert!(error.contains("plan::cycle") && error.contains("local.a") && error.contains("local.b"), "{error}");
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

#[test]
fn modules_expand_with_their_own_variables() {
    let bed = Bed::new();
    let hcl = "resource \"world_object\" \"n\" {\n  count = 3\n  name  = \"n${count.index}\"\n}\noutput \"names\" { value = world_object.n[*].name }";
    assert_eq!(bed.applies(hcl).len(), 3);
    assert_eq!(bed.applies(&hcl.replace('3', "1")).len(), 2);
}

#[test]
fn drift_of_what_has_to_wait_is_said_all_the_same() {
    let bed = Bed::new();
    let hcl = |input: &str| {
        format!(
            "resource \"terraform_data\" \"t\" {{ input = \"{input}\" }}\nresource \"world_object\" \"o\" {{\n  count = terraform_data.t.output == \"x\" ? 1 : 1\n  name  = \"o\"\n  value = \"v\"\n}}"
        )
    };
    bed.applies(&hcl("x"));
    let changed = bed.world.state().objects["o"].with("value", Value::string("foreign"));
    bed.world.state().objects.insert("o".into(), changed);
    // The provider of `o` waits for a resource that is replaced.
    let waiting = "resource \"terraform_data\" \"t\" {\n  triggers_replace = \"new\"\n}\nprovider \"world\" { endpoint = terraform_data.t.id }\nresource \"world_object\" \"o\" {\n  count = length(terraform_data.t.id)\n  name  = \"o\"\n  value = \"v\"\n}";
    let plan = bed.plan(waiting).expect("plans");
    assert!(plan.iter().any(|l| l.starts_with("? world_object.o")), "{plan:?}");
    let late = "resource \"terraform_data\" \"t\" {\n  triggers_replace = \"new\"\n}\nresource \"world_object\" \"o\" {\n  count = length(terraform_data.t.id)\n  name  = \"o\"\n  value = \"v\"\n}";
    let plan = bed.plan(late).expect("plans");
    assert!(plan.contains(&"! world_object.o[0]".to_owned()), "{plan:?}");
}
