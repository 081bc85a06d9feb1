//! `data "mesh_remote_state"`: one stack sees the outputs of another, and no more than it may.

use std::collections::BTreeMap;

use super::{Place, kubernetes, postgres, s3};
use crate::site::{Folder, Output, mesh};

const OUTPUTS: &str = r#"
variable "phrase" {
  sensitive = true
  default   = "canary canary canary"
}
output "address" { value = { ip = "203.0.113.7", ports = [80, 443] } }
output "secret" {
  value     = var.phrase
  sensitive = true
}
output "none" { value = null }
"#;

const SEALED: &str =
    "  encryption {\n    recipient \"passphrase\" \"p\" {\n      passphrase = var.phrase\n    }\n  }\n}\n";

fn words(output: &Output) -> String {
    output.text().split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "")
}

/// The stack that reads.
fn reader(encryption: &str, data: &str) -> Folder {
    Folder::new(&format!(
        "{encryption}\nvariable \"phrase\" {{\n  sensitive = true\n  default   = \"canary canary canary\"\n}}\ndata \"mesh_remote_state\" \"s\" {{\n{data}\n  defaults = {{ later = \"soon\" }}\n}}\n\
         resource \"local_file\" \"f\" {{\n  filename = \"f.txt\"\n  content  = \"${{data.mesh_remote_state.s.outputs.address.ip}} ${{data.mesh_remote_state.s.outputs.address.ports[1]}} \
         ${{data.mesh_remote_state.s.outputs.later}} ${{jsonencode(data.mesh_remote_state.s.withheld)}}\"\n}}\n"
    ))
}

/// Both ends of one place; `config` are the settings without what is a variable there.
fn seen(place: &Place, backend: &str, config: &str) {
    let writer = Folder::new(&format!("{}{OUTPUTS}", place.block.replacen("  }\n}\n", &format!("  }}\n{SEALED}"), 1)));
    mesh(writer.path(), &["apply", "-auto-approve"], &place.direct).expect(0, "the other stack");
    let data = format!("  backend = \"{backend}\"\n  config = {{\n{config}\n  }}");
    // No recipient: what is sensitive stays where it is.
    let stranger = reader("", &data);
    let run = |folder: &Folder, arguments: &[&str]| mesh(folder.path(), arguments, &place.direct);
    run(&stranger, &["apply", "-auto-approve"]).expect(0, "reads");
    assert_eq!(stranger.text("f.txt"), "203.0.113.7 443 soon [\"secret\"]");
    run(&stranger, &["plan", "-detailed-exitcode"]).expect(0, "nothing to do");
    // A recipient sees it, and it stays sensitive.
    let friend = reader(&format!("mesh {{\n{SEALED}"), &data);
    let more = "output \"s\" {\n  value     = data.mesh_remote_state.s.outputs.secret\n  sensitive = true\n}\n";
    std::fs::write(friend.path().join("more.mesh.hcl"), more).expect("writes");
    let applied = run(&friend, &["apply", "-auto-approve"]).expect(0, "reads");
    assert!(!applied.text().contains("canary"), "{}", applied.text());
    assert_eq!(friend.text("f.txt"), "203.0.113.7 443 soon []");
    assert_eq!(run(&friend, &["output", "-raw", "s"]).expect(0, "its own now").stdout, "canary canary canary");
    std::fs::write(friend.path().join("more.mesh.hcl"), more.replace("  sensitive = true\n", "")).expect("writes");
    let refused = words(&run(&friend, &["plan"]).expect(1, "it is sensitive"));
    assert!(refused.contains("sensitive") && !refused.contains("canary"), "{refused}");
}

#[test]
fn outputs_of_another_stack_in_s3() {
    let place = s3();
    let text = |name: &str| {
        let line = place.block.lines().find(|l| l.trim_start().starts_with(name)).expect("a setting");
        line.replace("var.endpoint", &format!("{:?}", place.direct["MESH_VAR_endpoint"]))
    };
    let config: Vec<String> = ["bucket", "prefix", "endpoint", "ca_cert_file"].map(text).into();
    seen(&place, "s3", &config.join("\n"));
}

#[test]
fn outputs_of_another_stack_in_postgres() {
    let place = postgres();
    let text =
        |name: &str| place.block.lines().find(|l| l.trim_start().starts_with(name)).expect("a setting").to_owned();
    let connection = format!("connection = {:?}", place.direct["MESH_VAR_connection"]);
    let config = [connection, text("ca_cert_file"), text("schema"), text("name ")];
    seen(&place, "postgres", &config.join("\n"));
}

#[test]
fn outputs_of_another_stack_in_kubernetes() {
    let place = kubernetes();
    let text =
        |name: &str| place.block.lines().find(|l| l.trim_start().starts_with(name)).expect("a setting").to_owned();
    let kubeconfig = format!("kubeconfig = {:?}", place.direct["MESH_VAR_kubeconfig"]);
    seen(&place, "kubernetes", &[text("namespace "), text("name "), kubeconfig].join("\n"));
}

#[test]
fn another_workspace_and_what_is_not_there() {
    let env = BTreeMap::new();
    let writer = Folder::new("output \"address\" { value = { ip = mesh.workspace, ports = [1, 2] } }\n");
    mesh(writer.path(), &["workspace", "new", "eu"], &env).expect(0, "new");
    mesh(writer.path(), &["apply", "-auto-approve"], &env).expect(0, "apply");
    let state = writer.path().join("mesh.state");
    let config = |path: &str| format!("  backend = \"local\"\n  config  = {{ path = \"{path}\" }}");
    let eu = reader("", &format!("{}\n  workspace = \"eu\"", config(&state.display().to_string())));
    mesh(eu.path(), &["apply", "-auto-approve"], &env).expect(0, "reads");
    assert_eq!(eu.text("f.txt"), "eu 2 soon []");
    for (data, part) in [
        (config(&state.display().to_string()), "There is no state in the local file"),
        ("  backend = \"locl\"".to_owned(), "Did you mean \"local\"?"),
        ("  backend = \"local\"\n  config  = { pat = \"x\" }".to_owned(), "Did you mean \"path\"?"),
        ("  backend = \"local\"\n  config  = [1]".to_owned(), "must be an object"),
        ("  backend = \"s3\"\n  config  = { prefix = \"x\" }".to_owned(), "\"bucket\" is required"),
        ("  backend = \"s3\"\n  config  = { bucket = \"x\" }".to_owned(), "There are no credentials"),
        (format!("{}\n  workspace = \"us\"", config(&state.display().to_string())), "There is no state"),
    ] {
        let said = words(&mesh(reader("", &data).path(), &["plan"], &env).expect(1, part));
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!writer.path().join("mesh.state.key").exists(), "who reads makes no keys");
}
