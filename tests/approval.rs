//! Approving a digest, and planning a part, from the command line.

use crate::site::Folder;

const TWO: &str = "resource \"terraform_data\" \"a\" {\n  input = \"1\"\n}\n\nresource \"terraform_data\" \"b\" {\n  input = \
                   terraform_data.a.id\n}\n";

/// The digest that a plan prints.
fn digest(folder: &Folder, arguments: &[&str]) -> String {
    let text = folder.run(&[&["plan"], arguments].concat()).expect(0, "plans").stdout;
    let line = text.lines().find_map(|l| l.strip_prefix("Plan digest: ")).expect("a digest");
    line.to_owned()
}

fn approve(folder: &Folder, digest: &str) -> crate::site::Output {
    folder.run(&["apply", "-input=false", &format!("-approve={digest}")])
}

#[test]
fn an_approved_digest_is_that_plan_or_less() {
    let folder = Folder::new(TWO);
    let both = digest(&folder, &[]);
    // A part of it is done meanwhile: what is left is narrower.
    folder.run(&["apply", "-auto-approve", "-target=terraform_data.a"]).expect(0, "a part");
    let rest = approve(&folder, &both).expect(0, "what is left");
    assert!(rest.stdout.contains("1 added, 0 changed, 0 destroyed"), "{}", rest.stdout);
    assert!(approve(&folder, &both).expect(0, "nothing is left").stdout.contains("No changes"));
}

#[test]
fn what_the_approved_plan_does_not_say_is_refused() {
    let folder = Folder::new(TWO);
    let first = digest(&folder, &[]);
    std::fs::write(folder.path().join("main.mesh.hcl"), TWO.replace('1', "2")).expect("writes");
    let second = digest(&folder, &[]);
    assert_ne!(first, second);
    let refused = approve(&folder, &first).expect(1, "another value");
    assert!(refused.stderr.contains("terraform_data.a: the new values differ"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&second), "the new digest is said: {}", refused.stderr);
    assert!(folder.run(&["state", "list"]).stdout.is_empty(), "nothing was changed");
    // Where the plan was not made, only the very same one is taken.
    std::fs::remove_dir_all(folder.path().join(".mesh/plans")).expect("was kept");
    let refused = approve(&folder, &first).expect(1, "an unknown plan");
    assert!(refused.stderr.contains("Not the approved plan") && refused.stderr.contains(&second), "{}", refused.stderr);
    approve(&folder, &second).expect(0, "the same plan");
    let wrong = approve(&folder, "4711").expect(1, "no digest");
    assert!(wrong.stderr.contains("is no digest"), "{}", wrong.stderr);
}

#[test]
fn a_plan_of_a_part_says_so_and_is_kept_in_the_plan_file() {
    let folder = Folder::new(TWO);
    let saved = folder.run(&["plan", "-exclude=terraform_data.b", "-out=p"]).expect(0, "plans");
    assert!(saved.stderr.contains("Only a part is planned"), "{}", saved.stderr);
    let json: serde_json::Value =
        serde_json::from_str(&folder.run(&["show", "-json", "p"]).expect(0, "shows").stdout).expect("JSON");
    assert_eq!((&json["complete"], &json["applyable"]), (&false.into(), &true.into()));
    assert!(folder.run(&["apply", "p"]).expect(0, "applies").stdout.contains("1 added"));
    assert_eq!(folder.run(&["state", "list"]).stdout, "terraform_data.a\n");
    let mixed = folder.run(&["apply", "-target=terraform_data.a", "p"]).expect(1, "an option of plans");
    assert!(mixed.stderr.contains("A saved plan is applied as it is"), "{}", mixed.stderr);
    for wrong in [
        &["plan", "-target=terraform_data.a", "-exclude=terraform_data.b"][..],
        &["plan", "-refresh-only", "-destroy"],
        &["plan", "-refresh-only", "-refresh=false"],
        &["plan", "-refresh-only", "-replace=terraform_data.a"],
    ] {
        let text = folder.run(wrong).expect(1, "options that exclude each other").stderr;
        assert!(text.contains("Bad option"), "{text}");
    }
}

#[test]
fn refreshing_only_has_the_exit_codes_of_a_plan() {
    let file = "resource \"local_file\" \"f\" {\n  filename = \"f.txt\"\n  content  = \"x\"\n}\n";
    let folder = Folder::new(file);
    folder.run(&["apply", "-auto-approve"]).expect(0, "applies");
    folder.run(&["plan", "-refresh-only", "-detailed-exitcode"]).expect(0, "nothing has drifted");
    std::fs::remove_file(folder.path().join("f.txt")).expect("was made");
    let text = folder.run(&["plan", "-refresh-only", "-detailed-exitcode"]).expect(2, "it is gone").stdout;
    assert!(text.contains("has been deleted") && text.contains("Nothing is changed by this plan"), "{text}");
    folder.run(&["apply", "-refresh-only", "-auto-approve"]).expect(0, "state forgets it");
    assert!(folder.run(&["state", "list"]).stdout.is_empty());
}
