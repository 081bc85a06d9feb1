//! What is secret is in no output, unless `-show-sensitive` asks for it, and never in a file.
//!
//! The one decision: each command is run twice on the same folder, without the option and with it; the
//! canary must be absent from one and present in the other, so a view that forgot either is seen.

use std::path::Path;

use crate::site::Folder;

const CANARY: &str = "c4nary-s3cret";
const EPHEMERAL: &str = "c4nary-eph3meral";

const SPEC: &str = r#"
variable "s" {
  default   = "c4nary-s3cret"
  sensitive = true
}
variable "e" {
  default   = "c4nary-eph3meral"
  sensitive = true
  ephemeral = true
}
locals {
  upper = upper(var.e)
}
resource "terraform_data" "t" {
  input = { secret = var.s, open = "seen" }
}
resource "local_file" "f" {
  filename          = "out/f"
  sensitive_content = var.s
}
output "s" {
  value     = var.s
  sensitive = true
}
output "later" {
  value     = "${var.s}-${terraform_data.t.id}"
  sensitive = true
}
output "open" {
  value = "seen"
}
"#;

/// Asserts that no file that we write holds a secret, but the one that was asked to.
fn nothing_at_rest(folder: &Folder) {
    fn walk(path: &Path, seen: &mut usize) {
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, seen);
            } else if !path.ends_with("main.mesh.hcl") && !path.ends_with("out/f") {
                *seen += 1;
                let text = String::from_utf8_lossy(&std::fs::read(&path).expect("reads")).into_owned();
                assert!(!text.contains("c4nary"), "{}", path.display());
            }
        }
    }
    let mut seen = 0;
    walk(folder.path(), &mut seen);
    assert!(seen > 1, "state and plans are there");
}

/// Runs a command without the option and with it. `shows`: whether the option makes a difference.
fn twice(folder: &Folder, arguments: &[&str], code: i32, shows: bool) -> String {
    let hidden = folder.run(arguments).expect(code, "without the option").text();
    assert!(!hidden.contains("c4nary") && hidden.contains("seen"), "{arguments:?}\n{hidden}");
    let output = folder.run(&[arguments, &["-show-sensitive"]].concat()).expect(code, "with it");
    let text = output.text();
    assert_eq!(text.contains(CANARY), shows, "{arguments:?}\n{text}");
    assert!(!text.contains(EPHEMERAL), "{arguments:?}\n{text}");
    if !shows {
        assert!(output.stderr.contains("Secrets are not kept"), "{arguments:?}\n{text}");
    }
    text
}

#[test]
fn secrets_are_shown_where_it_is_asked_for_and_known() {
    let folder = Folder::new(SPEC);
    let text = twice(&folder, &["plan"], 0, true);
    assert!(text.contains(&format!("sensitive_content    = \"{CANARY}\"")), "{text}");
    twice(&folder, &["plan", "-format=json"], 0, true);
    twice(&folder, &["plan", "-format=markdown"], 0, true);
    twice(&folder, &["plan", "-out=p"], 0, true);
    twice(&folder, &["show", "p"], 0, false);
    twice(&folder, &["show", "-json", "p"], 0, false);
    nothing_at_rest(&folder);
    // What is made known by the apply is shown at its end.
    let applied = folder.run(&["apply", "-auto-approve", "-show-sensitive"]).expect(0, "applies").stdout;
    assert!(applied.contains(&format!("later = \"{CANARY}-")) && applied.contains("open = \"seen\""), "{applied}");
    let hidden = folder.run(&["apply", "-auto-approve"]).expect(0, "applies").stdout;
    assert!(hidden.contains("later = <sensitive>") && !hidden.contains("c4nary"), "{hidden}");
    let shown = folder.run(&["apply", "-auto-approve", "-show-sensitive"]).expect(0, "nothing to do").stdout;
    assert!(shown.contains(&format!("s = \"{CANARY}\"")), "{shown}");
    nothing_at_rest(&folder);
    for arguments in
        [&["show"][..], &["show", "-json"], &["output"], &["output", "-json"], &["state", "show", "terraform_data.t"]]
    {
        twice(&folder, arguments, 0, false);
    }
}

#[test]
fn streams_and_later_plans_show_what_is_known() {
    let folder = Folder::new(SPEC);
    let told = twice_applied(&folder);
    assert!(told.contains(&format!("\"value\":\"{CANARY}\"")), "{told}");
    // The old value is known by its fingerprint alone, the new one is known.
    std::fs::write(folder.path().join("main.mesh.hcl"), SPEC.replace("s3cret", "n3w")).expect("writes");
    let text = folder.run(&["plan", "-show-sensitive"]).expect(0, "plans").stdout;
    assert!(text.contains("(sensitive value) -> \"c4nary-n3w\""), "{text}");
    let text = folder.run(&["plan"]).expect(0, "plans").stdout;
    assert!(text.contains("(sensitive value) -> (sensitive value)") && !text.contains("c4nary"), "{text}");
    // Where it stays the same, both sides are known.
    let json =
        folder.run(&["plan", "-format=json", "-show-sensitive", "-var=s=c4nary-s3cret"]).expect(0, "plans").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let change = &json["resource_changes"][1]["change"];
    for side in ["before", "after"] {
        assert_eq!(change[side]["input"]["secret"], CANARY, "{change:#}");
        assert_eq!(change[format!("{side}_sensitive")]["input"]["secret"], true, "{change:#}");
    }
    assert_eq!(json["variables"]["s"]["value"], CANARY);
    assert!(json["variables"].get("e").is_none(), "{json:#}");
    let destroyed = folder.run(&["destroy", "-auto-approve", "-show-sensitive"]).expect(0, "destroys").text();
    assert!(destroyed.contains("- secret = (sensitive value)"), "state has its fingerprint: {destroyed}");
    assert!(destroyed.contains(&format!("= \"{CANARY}\" -> null")), "the file itself was read: {destroyed}");
}

/// An apply with a stream, without the option and with it.
fn twice_applied(folder: &Folder) -> String {
    let hidden = folder.run(&["apply", "-auto-approve", "-json"]).expect(0, "applies").text();
    assert!(!hidden.contains("c4nary"), "{hidden}");
    let outputs = hidden.lines().rfind(|l| l.contains("\"type\":\"outputs\"")).expect("outputs are told");
    let outputs: serde_json::Value = serde_json::from_str(outputs).expect("JSON");
    assert!(outputs["outputs"]["s"].get("value").is_none(), "{outputs}");
    folder.run(&["apply", "-auto-approve", "-json", "-show-sensitive"]).expect(0, "applies").stdout
}

#[test]
fn the_console_shows_secrets_only_when_asked() {
    let folder = Folder::new(SPEC);
    let ask = |arguments: &[&str], line: &str| {
        let program = Path::new(env!("CARGO_BIN_EXE_mesh"));
        crate::commands::run(program, folder.path(), arguments, line).expect(0, line).stdout
    };
    assert_eq!(ask(&["console"], "var.s\n"), "(sensitive value)\n");
    assert_eq!(ask(&["console", "-show-sensitive"], "var.s\n"), format!("\"{CANARY}\"\n"));
    assert_eq!(ask(&["console", "-show-sensitive"], "local.upper\n"), "(ephemeral value)\n");
}
