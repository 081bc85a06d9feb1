//! `mesh state diff`, and what `mesh state rollback` shows: what differs between two serials.
//!
//! The one decision: one life of a configuration, with everything in it that an entry of state can have; secrets are
//! canaries, and no text or JSON shows one.

use serde_json::{Value as Json, json};

use crate::site::{Folder, Output};

const FIRST: &str = r#"
resource "terraform_data" "a" {
  input = { text = "one\ntwo\nthree\n", n = 1, pin = sensitive("canary-1") }
}
resource "terraform_data" "moved" { input = "stays" }
resource "terraform_data" "gone" { input = "x" }
output "open" { value = 1 }
output "secret" {
  value     = "canary-1"
  sensitive = true
}
output "gone" { value = "g" }
"#;

const SECOND: &str = r#"
resource "terraform_data" "a" {
  input      = { text = "one\n2\nthree\n", n = 1, pin = sensitive("canary-2") }
  depends_on = [terraform_data.new]
  lifecycle { prevent_destroy = true }
}
moved {
  from = terraform_data.moved
  to   = terraform_data.there
}
resource "terraform_data" "there" { input = "stays" }
resource "terraform_data" "new" { input = ["n"] }
output "open" { value = 2 }
output "secret" {
  value     = "canary-2"
  sensitive = true
}
"#;

fn lived() -> Folder {
    let folder = Folder::new(FIRST);
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    std::fs::write(folder.path().join("main.mesh.hcl"), SECOND).expect("writes");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder.run(&["taint", "terraform_data.new"]).expect(0, "taint");
    folder
}

/// The text without what is random, the headers apart.
fn shown(output: Output) -> (String, String) {
    assert!(!output.text().contains("canary"), "{}", output.text());
    let (head, body) = output.stdout.split_once("\n\n").expect("headers");
    let lines = body.lines().map(|l| match l.split_once(" = \"") {
        Some((start, id)) if start.trim_start_matches([' ', '+', '-', '~']) == "id    " && id.len() >= 37 => {
            format!("{start} = \"ID\"{}", &id[37..])
        }
        _ => l.to_owned(),
    });
    (head.to_owned(), lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn two_serials_are_compared_as_plans_are_drawn() {
    let folder = lived();
    let (head, body) = shown(folder.run(&["state", "diff", "1", "2"]).expect(0, "diff"));
    let head: Vec<&str> = head.lines().collect();
    assert!(head[0].starts_with("From 1  2") && head[1] == "  mesh apply: 3 added, 0 changed, 0 destroyed", "{head:?}");
    assert!(head[3].starts_with("to 2  2") && head[4] == "  mesh apply: 1 added, 1 changed, 1 destroyed", "{head:?}");
    let want = r#"  # terraform_data.a: changed
  # (dependencies: [] -> ["terraform_data.new"])
  # (protected: false -> true)
  ~ resource "terraform_data" "a" {
        id     = "ID"
      ~ input  = {
          ~ pin  = (sensitive value) -> (sensitive value)
          ~ text = <<-EOT
                one
              - two
              + 2
                three
            EOT
            # (1 unchanged attribute hidden)
        }
      ~ output = {
          ~ pin  = (sensitive value) -> (sensitive value)
          ~ text = <<-EOT
                one
              - two
              + 2
                three
            EOT
            # (1 unchanged attribute hidden)
        }
    }

  # terraform_data.gone: removed
  - resource "terraform_data" "gone" {
      - id     = "ID" -> null
      - input  = "x" -> null
      - output = "x" -> null
    }

  # terraform_data.moved: removed
  - resource "terraform_data" "moved" {
      - id     = "ID" -> null
      - input  = "stays" -> null
      - output = "stays" -> null
    }

  # terraform_data.new: added
  + resource "terraform_data" "new" {
      + id     = "ID"
      + input  = [
          + "n",
        ]
      + output = [
          + "n",
        ]
    }

  # terraform_data.there: added
  + resource "terraform_data" "there" {
      + id     = "ID"
      + input  = "stays"
      + output = "stays"
    }

Outputs:
  - gone   = "g" -> null
  ~ open   = 1 -> 2
  ~ secret = (sensitive value) -> (sensitive value)

2 added, 1 changed, 2 removed."#;
    assert_eq!(body, want);
    // To the current one, and the other way round.
    let (head, body) = shown(folder.run(&["state", "diff", "2"]).expect(0, "diff"));
    assert!(
        head.contains("\nto 3 (current)  ") && head.contains("mesh taint terraform_data.new: 1 edited in state"),
        "{head}"
    );
    assert!(body.contains("  # terraform_data.new: changed\n  # (tainted: false -> true)\n"), "{body}");
    let (_, body) = shown(folder.run(&["state", "diff", "3", "2"]).expect(0, "diff"));
    assert!(
        body.contains("  # (tainted: true -> false)\n") && body.ends_with("0 added, 1 changed, 0 removed."),
        "{body}"
    );
    let same = folder.run(&["state", "diff", "2", "2"]).expect(0, "the same").stdout;
    assert!(same.ends_with("\nNothing differs.\n"), "{same}");
    let (_, asked) = shown(folder.run(&["state", "rollback", "2"]).expect(1, "nobody to ask"));
    assert!(asked.contains("  # (tainted: true -> false)\n") && asked.contains("0 added, 1 changed"), "{asked}");
}

#[test]
fn programs_get_both_sides_and_no_secret() {
    let folder = lived();
    let output = folder.run(&["state", "diff", "-json", "1"]).expect(0, "diff");
    assert!(!output.text().contains("canary"), "{}", output.text());
    let json: Json = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((&json["format_version"], &json["unfinished"]), (&"1.0".into(), &false.into()));
    assert_eq!((&json["from"]["serial"], &json["from"]["command"]), (&1.into(), &"mesh apply".into()));
    assert_eq!((&json["to"]["serial"], &json["to"]["current"]), (&3.into(), &true.into()));
    let changes = json["changes"].as_array().expect("changes");
    let actions: Vec<_> = changes.iter().map(|c| (c["address"].as_str(), c["action"].as_str())).collect();
    let want = [("a", "update"), ("gone", "delete"), ("moved", "delete"), ("new", "create"), ("there", "create")];
    let want: Vec<_> = want.iter().map(|(a, b)| (format!("terraform_data.{a}"), *b)).collect();
    assert_eq!(actions, want.iter().map(|(a, b)| (Some(a.as_str()), Some(*b))).collect::<Vec<_>>());
    let a = &changes[0];
    assert_eq!(a["paths"], json!(["input.pin", "input.text", "output.pin", "output.text"]));
    assert_eq!(
        a["entry"],
        json!({ "dependencies": { "before": [], "after": ["terraform_data.new"] }, "protected": { "before": false, "after": true } })
    );
    assert_eq!(
        (&a["before"]["input"]["text"], &a["after"]["input"]["pin"]),
        (&"one\ntwo\nthree\n".into(), &Json::Null)
    );
    assert_eq!(
        (&a["before_sensitive"]["input"]["pin"], &a["after_sensitive"]["input"]["pin"]),
        (&true.into(), &true.into())
    );
    assert_eq!(changes[3]["entry"], json!({ "tainted": { "before": false, "after": true } }));
    assert_eq!(
        json["outputs"]["open"],
        json!({ "before": 1, "after": 2, "before_sensitive": false, "after_sensitive": false, "action": "update" })
    );
    assert_eq!(
        (&json["outputs"]["secret"]["action"], &json["outputs"]["secret"]["after"]),
        (&"update".into(), &Json::Null)
    );
    assert_eq!(json["outputs"]["gone"]["action"], "delete");
}

#[test]
fn a_serial_that_is_not_kept_is_an_error_and_an_unfinished_apply_is_said() {
    let text = "resource \"terraform_data\" \"a\" {}\nresource \"local_file\" \"f\" {\n  filename = \"d/f\"\n  content  = terraform_data.a.id\n}\n";
    let folder = Folder::new(text);
    folder.run(&["apply", "-auto-approve", "-target=terraform_data.a"]).expect(0, "apply");
    for arguments in [&["9"][..], &["1", "9"], &["x"], &[]] {
        let refused = folder.run(&[&["state", "diff"], arguments].concat()).expect(1, "no such serial");
        assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    }
    let refused = folder.run(&["state", "diff", "9"]).stderr;
    assert!(refused.contains("keeps serials 1 to 1"), "{refused}");
    std::fs::write(folder.path().join("d"), "in the way").expect("writes");
    std::fs::write(folder.path().join("main.mesh.hcl"), format!("{text}resource \"terraform_data\" \"b\" {{}}\n"))
        .expect("writes");
    folder.run(&["apply", "-auto-approve"]).expect(1, "the file cannot be made");
    let said = folder.run(&["state", "diff", "1"]).expect(0, "diff").stdout;
    assert!(said.contains("An apply has not finished since") && said.contains("# terraform_data.b: added"), "{said}");
}
