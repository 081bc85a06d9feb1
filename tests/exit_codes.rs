//! How commands end, for scripts.
//!
//! The one decision: each row is a life in a folder of its own, in `mesh` and, where it is there, in
//! `terraform`, with one expected code for both. What only `mesh` has (gates, drift) stands apart.

use std::path::Path;

use crate::commands::run;
use crate::site::{Folder, terraform};

const ONE: &str = "resource \"terraform_data\" \"a\" {\n  input = 1\n}\n";
const MOVED: &str = "resource \"terraform_data\" \"b\" {\n  input = 1\n}\nmoved {\n  from = terraform_data.a\n  to   = terraform_data.b\n}\n";
const FORGOTTEN: &str = "removed {\n  from = terraform_data.a\n  lifecycle {\n    destroy = false\n  }\n}\n";
const IMPORTED: &str = "resource \"terraform_data\" \"a\" {\n  input = 1\n}\nresource \"terraform_data\" \"i\" {}\nimport {\n  to = terraform_data.i\n  id = \"x\"\n}\n";
const BROKEN: &str = "resource \"terraform_data\" \"a\" {\n  input = nope.x\n}\n";
const FAILS: &str = "resource \"terraform_data\" \"a\" {\n  input = 1\n  lifecycle {\n    postcondition {\n      condition     = length(self.id) > 100\n      error_message = \"No.\"\n    }\n  }\n}\n";
const WARNS: &str = "resource \"terraform_data\" \"a\" {\n  input = 1\n}\ncheck \"c\" {\n  assert {\n    condition     = terraform_data.a.input == 2\n    error_message = \"No.\"\n  }\n}\n";
const OUTPUT: &str = "resource \"terraform_data\" \"a\" {\n  input = 1\n}\noutput \"o\" {\n  value = 1\n}\n";

/// What was applied, what is configured now, the command, its code.
const ROWS: &[(&str, &str, &[&str], i32)] = &[
    ("", ONE, &["plan"], 0),
    ("", ONE, &["plan", "-detailed-exitcode"], 2),
    ("", ONE, &["plan", "-detailed-exitcode=false"], 0),
    (ONE, ONE, &["plan", "-detailed-exitcode"], 0),
    (ONE, "", &["plan", "-detailed-exitcode"], 2),
    (ONE, ONE, &["plan", "-detailed-exitcode", "-destroy"], 2),
    ("", "", &["plan", "-detailed-exitcode", "-destroy"], 0),
    (ONE, ONE, &["plan", "-detailed-exitcode", "-refresh-only"], 0),
    (ONE, ONE, &["plan", "-detailed-exitcode", "-replace=terraform_data.a"], 2),
    (ONE, ONE, &["plan", "-detailed-exitcode", "-json"], 0),
    (ONE, MOVED, &["plan", "-detailed-exitcode", "-json"], 2),
    (ONE, MOVED, &["plan", "-detailed-exitcode"], 2),
    (ONE, FORGOTTEN, &["plan", "-detailed-exitcode"], 2),
    (ONE, IMPORTED, &["plan", "-detailed-exitcode"], 2),
    (ONE, OUTPUT, &["plan", "-detailed-exitcode"], 2),
    (ONE, WARNS, &["plan", "-detailed-exitcode"], 0),
    (ONE, BROKEN, &["plan", "-detailed-exitcode"], 1),
    (ONE, BROKEN, &["plan", "-json"], 1),
    ("", FAILS, &["apply", "-auto-approve"], 1),
    ("", FAILS, &["apply", "-auto-approve", "-json"], 1),
    ("", ONE, &["apply", "-auto-approve"], 0),
    ("", ONE, &["apply", "-json"], 1),
    ("", ONE, &["apply", "-input=false"], 1),
    ("", ONE, &["apply", "-auto-approve", "-detailed-exitcode"], 1),
    ("", ONE, &["apply", "missing.plan"], 1),
    (ONE, ONE, &["destroy", "-auto-approve"], 0),
    (ONE, ONE, &["destroy", "-input=false"], 1),
    (ONE, ONE, &["refresh"], 0),
    (ONE, ONE, &["refresh", "-json"], 0),
    (ONE, BROKEN, &["refresh"], 1),
    (ONE, ONE, &["show"], 0),
    (ONE, ONE, &["show", "-json"], 0),
    (ONE, ONE, &["show", "missing.plan"], 1),
    (ONE, ONE, &["output"], 0),
    (OUTPUT, OUTPUT, &["output", "-raw", "o"], 0),
    (OUTPUT, OUTPUT, &["output", "missing"], 1),
    ("", ONE, &["validate"], 0),
    ("", ONE, &["validate", "-json"], 0),
    ("", BROKEN, &["validate"], 1),
    ("", BROKEN, &["validate", "-json"], 1),
    ("", ONE, &["fmt", "-check"], 0),
    ("", "a   = 1\nbb = 2\n", &["fmt", "-check"], 3),
    ("", "a = {\n", &["fmt", "-check"], 2),
    ("", ONE, &["test"], 0),
    ("", ONE, &["version"], 0),
    ("", ONE, &["version", "-json"], 0),
    ("", ONE, &["providers", "schema", "-json"], 0),
    ("", ONE, &["providers", "schema"], 1),
    ("", ONE, &["nonsense"], 1),
    ("", ONE, &["plan", "-nonsense"], 1),
    ("", ONE, &["plan", "-target="], 1),
    ("", ONE, &["plan", "-var=nope=1"], 1),
    (ONE, ONE, &["taint", "terraform_data.none"], 1),
    (ONE, ONE, &["state", "show", "terraform_data.none"], 1),
    (ONE, ONE, &["state", "rm", "terraform_data.a"], 0),
];

#[test]
fn commands_end_as_terraforms_do() {
    let mesh = (Path::new(env!("CARGO_BIN_EXE_mesh")).to_path_buf(), "main.mesh.hcl");
    let field = terraform().map(|program| (program, "main.tf"));
    let mut wrong = Vec::new();
    for (before, now, arguments, code) in ROWS {
        for (program, name) in std::iter::once(&mesh).chain(&field) {
            let folder = Folder::new("");
            std::fs::remove_file(folder.path().join("main.mesh.hcl")).expect("was written");
            let ask = |arguments: &[&str]| run(program, folder.path(), arguments, "");
            let configure = |text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
            configure(before);
            ask(&["init"]).expect(0, "prepares");
            if !before.is_empty() {
                ask(&["apply", "-auto-approve"]).expect(0, "applies");
            }
            configure(now);
            let output = ask(arguments);
            if output.code != *code {
                wrong.push(format!("{name} {arguments:?}: {}, not {code}\n{}", output.code, output.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn drift_and_gates_have_codes_of_their_own() {
    let file = "resource \"local_file\" \"f\" {\n  filename = \"f\"\n  content  = \"x\"\n}\n";
    let folder = Folder::new(file);
    folder.run(&["apply", "-auto-approve"]).expect(0, "applies");
    folder.run(&["drift"]).expect(0, "nothing has drifted");
    std::fs::write(folder.path().join("f"), "y").expect("writes");
    folder.run(&["drift"]).expect(2, "it has drifted");
    folder.run(&["drift", "-json"]).expect(2, "it has drifted");
    std::fs::write(folder.path().join("main.mesh.hcl"), BROKEN).expect("writes");
    folder.run(&["drift"]).expect(1, "nothing can be said");
    let gate = "resource \"mesh_gate\" \"g\" {\n  waiting_for  = \"it\"\n  instructions = \"wait\"\n  open_when    = false\n}\n";
    let gated = Folder::new(gate);
    gated.run(&["plan", "-detailed-exitcode"]).expect(2, "there is something to wait for");
    gated.run(&["apply", "-auto-approve"]).expect(3, "it waits");
    let stream = gated.run(&["apply", "-auto-approve", "-json"]).expect(3, "it waits").stdout;
    assert!(
        stream.lines().any(|l| l.contains("\"type\":\"change_summary\"") && l.contains("\"complete\":false")),
        "{stream}"
    );
}
