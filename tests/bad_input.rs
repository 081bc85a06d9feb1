//! Wrong input of every kind: a clear error with the line or the server's words, and nothing changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use mesh_sandbox::Part;

use crate::site::{Folder, Output, mesh, sandbox};

impl Folder {
    /// Applying fails with code 1, says all the parts, and leaves no file behind.
    fn refuses(&self, parts: &[&str]) -> Output {
        let before = names(self.path());
        let output = self.run(&["apply", "-auto-approve", "-input=false"]);
        assert_eq!(output.code, 1, "{}", output.text());
        for part in parts {
            assert!(output.text().contains(part), "says {part:?}:\n{}", output.text());
        }
        for word in ["panicked", "BUG", "unwrap"] {
            assert!(!output.text().contains(word), "{}", output.text());
        }
        let added: Vec<_> = names(self.path())
            .into_iter()
            .filter(|n| !before.contains(n) && !n.ends_with(".key") && !n.contains("lock"))
            .collect();
        assert!(added.is_empty(), "nothing is written: {added:?}");
        output
    }
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

const FILE: &str = "resource \"local_file\" \"f\" {\n  filename = \"f.txt\"\n  content  = \"x\"\n}\n";

#[test]
fn broken_hcl_names_every_place() {
    let output = Folder::new("resource \"local_file\" \"f\" {\n  filename = [\n}\n\nlocals {\n  a = )\n}\n")
        .refuses(&["main.mesh.hcl"]);
    assert!(output.text().matches("main.mesh.hcl").count() >= 2, "both mistakes are shown:\n{}", output.text());
}

#[test]
fn an_unknown_attribute_is_named_with_what_was_meant() {
    Folder::new(&FILE.replace("content ", "contnet ")).refuses(&["main.mesh.hcl:3", "contnet", "content"]);
}

#[test]
fn a_circle_is_shown_with_its_lines() {
    Folder::new("locals {\n  a = local.b\n  b = local.c\n  c = local.a\n}\n").refuses(&[
        "local.a",
        "local.b",
        "local.c",
        "main.mesh.hcl:",
    ]);
}

#[test]
fn a_wrong_type_is_shown_at_its_value() {
    Folder::new("variable \"n\" {\n  type = number\n  default = \"many\"\n}\n").refuses(&["main.mesh.hcl:3"]);
    Folder::new(&FILE.replace("\"x\"", "[1, 2]")).refuses(&["main.mesh.hcl:3", "string"]);
}

#[test]
fn a_missing_variable_says_how_to_give_it() {
    Folder::new(&format!("variable \"site\" {{\n  description = \"Name of the site.\"\n}}\n{FILE}")).refuses(&[
        "site",
        "-var",
        "MESH_VAR_site",
        "Name of the site.",
    ]);
}

#[test]
fn hostile_nesting_and_noise_give_errors() {
    Folder::new(&format!("locals {{\n  a = {}1{}\n}}\n", "[".repeat(100_000), "]".repeat(100_000)))
        .refuses(&["main.mesh.hcl:2"]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("main.mesh.hcl"), [0xff, 0xfe, 0, 1, b'{']).expect("writes");
    let output = mesh(folder.path(), &["validate"], &BTreeMap::new());
    assert_eq!(output.code, 1, "{}", output.text());
    assert!(!output.text().contains("panicked"), "{}", output.text());
}

#[test]
fn wrong_flags_are_said_and_exit_with_1() {
    let folder = Folder::new(FILE);
    for arguments in [&["plan", "-nonsense"][..], &["nonsense"], &["plan", "-parallelism=x"]] {
        let output = folder.run(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {}", output.text());
    }
}

#[test]
fn a_locked_state_names_the_holder_and_a_foreign_or_broken_state_is_refused() {
    // Somebody holds the lock: an apply that waits at a slow command of its own.
    let folder = Folder::new(FILE);
    folder.run(&["apply", "-auto-approve"]).expect(0, "the first apply");
    let backend = mesh_state::LocalBackend::new(folder.path().join("mesh.state"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let info = mesh_state::LockInfo::new("mesh apply", "ada", "host7");
    let writer = runtime.block_on(mesh_state::Backend::lock(&backend, info, std::time::Duration::ZERO)).expect("locks");
    std::fs::write(folder.path().join("main.mesh.hcl"), FILE.replace("\"x\"", "\"y\"")).expect("writes");
    folder.refuses(&["ada", "host7"]);
    // Plans take no lock.
    folder.run(&["plan", "-detailed-exitcode"]).expect(2, "a plan of a locked state");
    runtime.block_on(writer.release()).expect("releases");
    assert_eq!(std::fs::read_to_string(folder.path().join("f.txt")).expect("the file"), "x");
    // The state of another lineage: its key is not this one's.
    let other = Folder::new(FILE);
    other.run(&["apply", "-auto-approve"]).expect(0, "another stack");
    std::fs::copy(other.path().join("mesh.state"), folder.path().join("mesh.state")).expect("copies");
    folder.refuses(&["lineage"]);
    // A truncated state.
    let bytes = std::fs::read(folder.path().join("mesh.state")).expect("reads");
    std::fs::write(other.path().join("mesh.state"), &bytes[..bytes.len() / 2]).expect("writes");
    other.refuses(&["mesh.state"]);
}

#[test]
fn a_plan_file_that_is_none_is_refused() {
    let folder = Folder::new(FILE);
    std::fs::write(folder.path().join("p.meshplan"), "rubbish").expect("writes");
    let output = folder.run(&["apply", "p.meshplan"]);
    assert_eq!(output.code, 1, "{}", output.text());
    assert!(output.text().contains("plan file"), "{}", output.text());
}

#[test]
fn an_unreachable_api_server_is_named() {
    let port = mesh_sandbox::free_port().expect("a port");
    let hcl = format!(
        "provider \"kubernetes\" {{\n  host = \"https://127.0.0.1:{port}\"\n  token = \"t\"\n}}\nresource \"kubernetes_manifest\" \"n\" {{\n  manifest = {{ apiVersion = \"v1\", kind = \"Namespace\", metadata = {{ name = \"n\" }} }}\n}}\n"
    );
    Folder::new(&hcl).refuses(&["main.mesh.hcl", &port.to_string()]);
}

#[test]
fn a_sealed_vault_and_an_expired_token_speak_for_themselves() {
    let sandbox = sandbox(&[Part::Vault]);
    let vault = sandbox.vault().expect("vault");
    let hcl = |token: &str| {
        format!(
            "provider \"vault\" {{\n  address = \"{}\"\n  token = \"{token}\"\n  ca_cert_file = \"{}\"\n}}\nresource \"vault_policy\" \"p\" {{\n  name = \"p\"\n  policy = \"\"\n}}\n",
            vault.address,
            vault.ca_file.display()
        )
    };
    let output = Folder::new(&hcl("hvs.canary-expired")).refuses(&["main.mesh.hcl"]);
    assert!(
        output.text().contains("denied") || output.text().contains("invalid token"),
        "Vault's own words:\n{}",
        output.text()
    );
    assert!(!output.text().contains("canary-expired"), "the token is not shown");
    vault.seal().expect("seals");
    Folder::new(&hcl(vault.root_token())).refuses(&["sealed"]);
    vault.unseal().expect("unseals");
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let sandbox = sandbox(&[Part::Hsm]);
    let folder = tempfile::tempdir().expect("a folder");
    let token = sandbox.soft_token(&folder.path().join("hsm"), "pins", "12345678", "right-4711").expect("a token");
    let hcl = format!(
        "provider \"hsm\" {{\n  library = \"{}\"\n  token_label = \"pins\"\n  pin = \"wrong-canary\"\n  environment = {{ SOFTHSM2_CONF = \"{}\" }}\n}}\n{}",
        token.module_path.display(),
        token.conf_path.display(),
        (0..3).map(|i| format!("resource \"hsm_secret_key\" \"k{i}\" {{\n  id = \"k{i}\"\n}}\n")).collect::<String>()
    );
    let output = Folder::new(&hcl).refuses(&["main.mesh.hcl", "PIN"]);
    assert!(!output.text().contains("wrong-canary"), "the PIN is not shown");
    // The token's own flag says that there was one wrong try; the right PIN still works.
    let slots = Command::new("pkcs11-tool")
        .args(["--module", &token.module_path.display().to_string(), "-L"])
        .env("SOFTHSM2_CONF", &token.conf_path)
        .output()
        .expect("pkcs11-tool");
    let text = String::from_utf8_lossy(&slots.stdout).into_owned();
    assert!(text.contains("user PIN count low") && !text.contains("locked"), "{text}");
    let right = hcl.replace("wrong-canary", "right-4711");
    Folder::new(&right).run(&["plan", "-detailed-exitcode"]).expect(2, "the right PIN works");
}
