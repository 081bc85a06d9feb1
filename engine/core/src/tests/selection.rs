//! `-target`, `-exclude` and `-refresh-only`: what is planned, what stays as it is.

use super::Bed;
use crate::Mode;
use mesh_model::Value;

const HCL: &str = r#"
resource "world_object" "a" {
  name  = "a"
  value = "one"
}
resource "world_object" "b" {
  name  = "b"
  value = world_object.a.id
}
resource "world_object" "c" {
  count = 3
  name  = "c${count.index}"
  value = "one"
}
resource "world_object" "d" {
  name  = "d"
  value = join(",", world_object.c[*].id)
}
output "b" { value = world_object.b.value }
output "c" { value = world_object.c[2].value }
output "d" { value = world_object.d.value }
"#;

fn bed(targets: &[&str], excludes: &[&str]) -> Bed {
    let mut bed = Bed::new();
    select(&mut bed, targets, excludes);
    bed
}

fn select(bed: &mut Bed, targets: &[&str], excludes: &[&str]) {
    let parse = |list: &[&str]| list.iter().map(|t| t.parse().expect("an address")).collect();
    bed.options.targets = parse(targets);
    bed.options.excludes = parse(excludes);
}

/// What a plan would do.
fn planned(targets: &[&str], excludes: &[&str]) -> String {
    bed(targets, excludes).plan(HCL).map_or_else(|e| e, |lines| lines.join(", "))
}

#[test]
fn a_target_brings_what_it_needs_and_an_exclusion_takes_what_needs_it() {
    for (targets, excludes, expected) in [
        (&["world_object.a"][..], &[][..], "+ world_object.a"),
        (&["world_object.b"], &[], "+ world_object.a, + world_object.b"),
        (&["world_object.c[1]"], &[], "+ world_object.c[1]"),
        (&["world_object.c[1]", "world_object.a"], &[], "+ world_object.a, + world_object.c[1]"),
        (&["world_object.d"], &[], "+ world_object.c[0], + world_object.c[1], + world_object.c[2], + world_object.d"),
        (
            &["world_object.d", "world_object.c[0]"],
            &[],
            "+ world_object.c[0], + world_object.c[1], + world_object.c[2], + world_object.d",
        ),
        (&[], &["world_object.c"], "+ world_object.a, + world_object.b"),
        (&[], &["world_object.c[0]"], "+ world_object.a, + world_object.b, + world_object.c[1], + world_object.c[2]"),
        (&[], &["world_object.a", "world_object.d"], "+ world_object.c[0], + world_object.c[1], + world_object.c[2]"),
    ] {
        assert_eq!(planned(targets, excludes), expected, "{targets:?} {excludes:?}");
    }
    let typo = planned(&["world_object.bb"], &[]);
    assert!(typo.contains("plan::selection") && typo.contains("Did you mean world_object.b?"), "{typo}");
}

#[test]
fn what_is_left_out_stays_as_it_is_and_comes_with_the_next_whole_plan() {
    let mut bed = bed(&["world_object.b"], &[]);
    let (_, finished) = bed.apply(HCL).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    assert!(finished.warnings.iter().any(|d| d.code == "plan::partial"));
    assert_eq!(bed.world.state().log, ["create a", "create b"]);
    // Outputs of what was planned are there, the others are not.
    assert_eq!(finished.outputs.keys().map(|k| &**k).collect::<Vec<_>>(), ["b"]);
    bed.world.state().log.clear();
    select(&mut bed, &[], &[]);
    assert_eq!(bed.applies(HCL), ["create c0", "create c1", "create c2", "create d"]);
    // A change outside of the selection is not even looked at.
    let changed = bed.world.state().objects["a"].with("value", Value::string("foreign"));
    bed.world.state().objects.insert("a".into(), changed);
    select(&mut bed, &["world_object.c[0]"], &[]);
    assert_eq!(bed.plan(HCL), Ok(vec![]));
    // A part keeps outputs that are made from it.
    let other = HCL.replace(
        "value = \"one\"\n}\nresource \"world_object\" \"d\"",
        "value = \"two\"\n}\nresource \"world_object\" \"d\"",
    );
    let (_, finished) = bed.apply(&other).expect("begins");
    assert_eq!(bed.world.state().log, ["update c0"]);
    assert_eq!(finished.outputs["c"].value.as_str(), Some("one"));
}

#[test]
fn a_destroy_takes_what_needs_a_target_and_leaves_what_an_exclusion_needs() {
    let mut bed = Bed::new();
    bed.applies(HCL);
    bed.options.mode = Mode::Destroy;
    select(&mut bed, &[], &["world_object.b", "world_object.c[1]"]);
    let (_, finished) = bed.apply(HCL).expect("begins");
    assert!(finished.is_complete());
    assert_eq!(bed.world.state().log, ["delete d", "delete c0", "delete c2"]);
    assert_eq!(finished.outputs.len(), 3, "outputs stay as they are");
    bed.world.state().log.clear();
    select(&mut bed, &["world_object.a"], &[]);
    bed.apply(HCL).expect("begins");
    assert_eq!(bed.world.state().log, ["delete b", "delete a"]);
    assert_eq!(bed.world.state().objects.keys().collect::<Vec<_>>(), ["c1"]);
}

#[test]
fn what_is_no_longer_configured_is_selected_by_its_address() {
    let mut bed = Bed::new();
    bed.applies(HCL);
    let less = "resource \"world_object\" \"c\" {\n  count = 2\n  name = \"c${count.index}\"\n  value = \"one\"\n}";
    select(&mut bed, &["world_object.d", "world_object.c[2]"], &[]);
    assert_eq!(bed.plan(less), Ok(vec!["- world_object.c[2]".to_owned(), "- world_object.d".to_owned()]));
    // An orphan that needs what is excluded stays, too.
    select(&mut bed, &[], &["world_object.a"]);
    assert_eq!(bed.plan(less), Ok(vec!["- world_object.c[2]".to_owned(), "- world_object.d".to_owned()]));
}

#[test]
fn a_move_must_be_selected() {
    let mut bed = Bed::new();
    bed.applies(HCL);
    let moved = HCL
        .replace("\"world_object\" \"a\"", "\"world_object\" \"e\"")
        .replace("world_object.a.id", "world_object.e.id")
        + "moved {\n  from = world_object.a\n  to = world_object.e\n}";
    select(&mut bed, &["world_object.d"], &[]);
    let error = bed.plan(&moved).expect_err("a move outside");
    assert!(error.contains("world_object.a to world_object.e"), "{error}");
    select(&mut bed, &["world_object.b"], &[]);
    assert_eq!(bed.plan(&moved), Ok(vec!["> world_object.a world_object.e".to_owned()]));
}

#[test]
fn refreshing_only_takes_what_is_there_into_state() {
    let mut bed = Bed::new();
    bed.applies(HCL);
    let changed = bed.world.state().objects["b"].with("value", Value::string("foreign"));
    bed.world.state().objects.insert("b".into(), changed);
    bed.world.state().objects.remove("c1");
    bed.options.mode = Mode::RefreshOnly;
    assert_eq!(
        bed.plan(HCL),
        Ok(vec![". world_object.c[1]".into(), "! world_object.b".into(), "! world_object.c[1]".into()])
    );
    let (_, finished) = bed.apply(HCL).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    assert_eq!(finished.outputs["b"].value.as_str(), Some("foreign"));
    assert!(bed.world.state().log.is_empty(), "nothing was changed");
    assert_eq!(bed.plan(HCL), Ok(vec![]), "state says what is there");
    // Now it is the configuration that asks for something else, and nothing has drifted.
    bed.options.mode = Mode::Normal;
    assert_eq!(
        bed.plan(HCL),
        Ok(vec!["~ world_object.b".into(), "+ world_object.c[1]".into(), "~ world_object.d".into()])
    );
}
