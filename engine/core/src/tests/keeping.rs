//! Objects that stay when state forgets them, and protection that was never applied.

use super::Bed;

fn lines(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn kept(name: &str, lifecycle: &str) -> String {
    format!("resource \"world_object\" \"k\" {{\n  name = {name:?}\n  lifecycle {{ {lifecycle} }}\n}}\n")
}

fn user() -> &'static str {
    "resource \"world_object\" \"u\" {\n  name  = \"u\"\n  value = world_object.k.id\n}\n"
}

#[test]
fn what_is_kept_is_forgotten_when_it_would_go() {
    let bed = Bed::new();
    bed.applies(&kept("k", "destroy = false"));
    // Its block is gone: state remembers.
    assert_eq!(bed.plan(""), Ok(lines(&[". world_object.k"])));
    assert_eq!(bed.applies(""), lines(&[]));
    assert!(bed.world.state().objects.contains_key("k"));
    // A removed block that says so deletes it.
    let bed = Bed::new();
    bed.applies(&kept("k", "destroy = false"));
    let removed = "removed {\n  from = world_object.k\n  lifecycle { destroy = true }\n}\n";
    assert_eq!(bed.applies(removed), lines(&["delete k"]));
}

#[test]
fn a_replace_makes_the_new_object_and_forgets_the_old_one() {
    let bed = Bed::new();
    bed.applies(&(kept("k", "destroy = false") + user()));
    let other = kept("k2", "destroy = false") + user();
    assert_eq!(bed.plan(&other), Ok(lines(&["+/. world_object.k", "~ world_object.u"])));
    assert_eq!(bed.applies(&other), lines(&["create k2", "update u"]));
    assert!(bed.world.state().objects.contains_key("k"), "the old one is there");
    // Refused: the old one is the current one again.
    bed.world.state().faults.insert("k3".into(), super::fake::Fault::Reject);
    let third = kept("k3", "destroy = false") + user();
    assert!(!bed.apply(&third).expect("begins").1.is_complete());
    assert_eq!(bed.plan(&other), Ok(lines(&[])));
    // In doubt: looked up, and nothing is made twice or deleted.
    bed.world.state().faults.insert("k3".into(), super::fake::Fault::DoneInDoubt);
    assert!(!bed.apply(&third).expect("begins").1.is_complete());
    bed.world.state().log.clear();
    assert_eq!(bed.applies(&third), lines(&["update k3", "update u"]));
    assert_eq!(bed.world.state().objects.keys().cloned().collect::<Vec<_>>(), lines(&["k", "k2", "k3", "u"]));
}

#[test]
fn a_new_object_cannot_stand_where_the_old_one_stays() {
    let mut bed = Bed::new();
    bed.applies(&kept("k", "destroy = false"));
    bed.options.replace = vec!["world_object.k".parse().expect("an address")];
    let error = bed.plan(&kept("k", "destroy = false")).expect_err("refused");
    assert!(error.contains("plan::same_identity") && error.contains("destroy = false"), "{error}");
}

#[test]
fn a_destroy_keeps_what_the_configuration_says_even_when_that_was_never_applied() {
    let mut bed = Bed::new();
    bed.applies(&kept("k", ""));
    bed.options.mode = crate::Mode::Destroy;
    assert_eq!(bed.plan(&kept("k", "")), Ok(lines(&["- world_object.k"])));
    assert_eq!(bed.plan(&kept("k", "destroy = false")), Ok(lines(&[". world_object.k"])));
    assert_eq!(bed.plan(&kept("k", "prevent_destroy = true")), Ok(lines(&[])), "it is protected and stays");
}
