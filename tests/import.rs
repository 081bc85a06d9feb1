//! Importing: `mesh import`, and blocks that are written for imports that have none.
//!
//! The one decision: what is imported was made by `mesh` from another folder with another state, so that a
//! generated block can be compared with what it was made from: its plan must not want any change.

use std::collections::BTreeMap;
use std::path::Path;

use mesh_sandbox::Part;

use crate::site::{Folder, Output, mesh, sandbox};

fn write(folder: &Folder, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).expect("writes");
}

#[test]
fn an_object_is_imported_into_its_block_and_nothing_else_changes() {
    let text = r#"
variable "name" {}
resource "terraform_data" "a" { input = "x" }
resource "terraform_data" "other" {}
resource "terraform_data" "many" {
  count = 2
  input = terraform_data.a.id
}
resource "local_file" "f" {
  filename = "${var.name}.txt"
  content  = "as it is\n"
}
module "m" {
  source   = "./m"
  for_each = toset(["x.y"])
}
"#;
    let folder = Folder::new(text);
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    write(&folder, "m/m.mesh.hcl", "resource \"terraform_data\" \"i\" {}\n");
    write(&folder, "f.txt", "as it is\n");
    write(&folder, "g.txt", "something else\n");
    let import = |address: &str, id: &str| folder.run(&["import", "-var", "name=f", address, id]);
    let done = import("terraform_data.a", "${an \"id\"}").expect(0, "import");
    assert_eq!(
        done.stdout.lines().last(),
        Some(
            "Imported ${an \"id\"} as terraform_data.a. The object was not changed; mesh plan shows what the configuration wants different."
        ),
    );
    import("terraform_data.many[1]", "second").expect(0, "one of several");
    import("module.m[\"x.y\"].terraform_data.i", "inner").expect(0, "in a module");
    import("local_file.f", "f.txt").expect(0, "a file");
    let listed = folder.run(&["state", "list"]).expect(0, "list").stdout;
    assert_eq!(
        listed,
        "local_file.f\nterraform_data.a\nterraform_data.many[1]\nmodule.m[\"x.y\"].terraform_data.i\n".to_owned()
    );
    let history = folder.run(&["state", "history"]).expect(0, "history").stdout;
    assert!(history.contains("mesh import local_file.f: 1 edited in state"), "{history}");
    let plan = folder.run(&["plan", "-var", "name=f", "-target=local_file.f", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.text());

    let before = folder.text("mesh.state");
    for (address, id, code, word) in [
        ("terraform_data.a", "again", 1, "State has an object at terraform_data.a already"),
        ("terraform_data.nope", "x", 1, "There is no block resource \"terraform_data\" \"nope\""),
        ("terraform_data.many", "x", 1, "say which one with a key"),
        ("terraform_data.many[7]", "x", 1, "makes no instance terraform_data.many[7]"),
        ("terraform_data.other[0]", "x", 1, "neither count nor for_each"),
        ("terraform_data.other", "", 1, "not empty"),
        ("module.m", "x", 1, "is a module"),
        ("data.local_file.f", "x", 1, "only what is managed"),
        ("bad", "x", 1, "is not an address"),
    ] {
        let refused = import(address, id).expect(code, address);
        // Words may be broken over lines.
        let said = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(word), "{address}: {}", refused.stderr);
    }
    folder.run(&["import", "-input=false", "terraform_data.other", "x"]).expect(1, "a variable is missing");
    folder.run(&["import", "-var", "name=h", "local_file.f"]).expect(1, "no id");
    folder.run(&["state", "rm", "local_file.f"]).expect(0, "rm");
    let missing = folder.run(&["import", "-var", "name=h", "local_file.f", "h.txt"]).expect(1, "no such file");
    assert!(missing.stderr.contains("Nothing there to import"), "{}", missing.stderr);
    let wrong = folder.run(&["import", "-var", "name=f", "local_file.f", "g.txt"]).expect(1, "another file");
    assert!(wrong.stderr.contains("Not the object to import"), "{}", wrong.stderr);
    assert_ne!(folder.text("mesh.state"), before);
    assert!(!folder.path().join("(command line).mesh.hcl").exists());
}

#[test]
fn what_an_import_lacks_is_planned_next() {
    let folder = Folder::new("resource \"local_file\" \"f\" {\n  filename = \"f.txt\"\n  content  = \"new\\n\"\n}\n");
    write(&folder, "f.txt", "old\n");
    folder.run(&["import", "local_file.f", "f.txt"]).expect(0, "import");
    assert_eq!(folder.text("f.txt"), "old\n");
    let plan = folder.run(&["plan"]).expect(0, "plan").stdout;
    assert!(plan.contains("0 to add, 1 to change, 0 to destroy"), "{plan}");
}

#[test]
fn blocks_are_written_for_imports_that_have_none() {
    let imports = r#"
locals { name = "b" }
import {
  to = terraform_data.a
  id = "one"
}
import {
  to = local_file.f
  id = "${local.name}.txt"
}
"#;
    let folder = Folder::new(imports);
    write(&folder, "b.txt", "first ${x}\nsecond \"y\"\n");
    let without = folder.run(&["plan"]).expect(1, "no block");
    assert!(without.stderr.contains("-generate-config-out"), "{}", without.stderr);
    let plan = folder.run(&["plan", "-generate-config-out=new.mesh.hcl"]).expect(0, "generated");
    assert!(plan.stdout.contains("2 to import, 0 to add, 0 to change, 0 to destroy"), "{}", plan.stdout);
    assert!(
        plan.stderr.contains("Wrote blocks for terraform_data.a, local_file.f to new.mesh.hcl."),
        "{}",
        plan.stderr
    );
    let text = folder.text("new.mesh.hcl");
    let body = text.split_once("\n\n").expect("a comment before").1;
    let want = r#"# terraform_data.a is "one"
resource "terraform_data" "a" {
}

# local_file.f is "b.txt"
resource "local_file" "f" {
  filename = "b.txt"
  content  = <<EOT
first $${x}
second "y"
EOT
}
"#;
    assert_eq!(body, want);
    folder.run(&["fmt", "-check", "new.mesh.hcl"]).expect(0, "it is formatted");
    let again = folder.run(&["plan", "-generate-config-out=new.mesh.hcl"]).expect(1, "it is there");
    assert!(again.stderr.contains("it is there already"), "{}", again.stderr);
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder.run(&["plan", "-detailed-exitcode"]).expect(0, "nothing more");
    folder.run(&["plan", "-generate-config-out=more.mesh.hcl"]).expect(0, "nothing to generate");
    assert!(!folder.path().join("more.mesh.hcl").exists());
}

#[test]
fn what_cannot_be_generated_writes_nothing() {
    for (imports, file, word) in [
        ("import {\n  to = local_file.f\n  id = \"none\"\n}\n", "x.mesh.hcl", "Nothing there to import"),
        ("import {\n  to = local_flie.f\n  id = \"a\"\n}\n", "x.mesh.hcl", "Did you mean \"local_file\"?"),
        ("import {\n  to = local_file.f[0]\n  id = \"a\"\n}\n", "x.mesh.hcl", "Write this block yourself."),
        (
            "import {\n  for_each = toset([\"a\"])\n  to = local_file.f[each.key]\n  id = each.key\n}\n",
            "x.mesh.hcl",
            "Write this block yourself.",
        ),
        ("import {\n  to = local_file.f\n  id = timestamp()\n}\n", "x.mesh.hcl", "known only after"),
        ("", "x.txt", "ends with .mesh.hcl"),
        ("", "m/x.mesh.hcl", "of this folder"),
        ("", "x_override.mesh.hcl", "change blocks of others"),
        ("", "main.mesh.hcl", "it is there already"),
    ] {
        let folder = Folder::new(imports);
        let refused = folder.run(&["plan", &format!("-generate-config-out={file}")]).expect(1, imports);
        let said = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(word), "{imports}{file}: {}", refused.stderr);
        assert!(file == "main.mesh.hcl" || !folder.path().join(file).exists());
    }
}

const PROVIDERS: &str = r#"
provider "vault" {
  address      = "@address@"
  ca_cert_file = "@ca@"
}
provider "vault" {
  alias        = "eu"
  address      = "@address@"
  ca_cert_file = "@ca@"
}
provider "kubernetes" {
  kubeconfig = "@kubeconfig@"
}
"#;

const OBJECTS: &str = r#"
resource "vault_policy" "p" {
  name   = "gateway"
  policy = <<EOT
path "secret/*" {
  capabilities = ["read"]
}
EOT
}
resource "vault_mount" "m" {
  path        = "mesh"
  type        = "kv"
  description = "for ${"$"}{the} mesh"
  version     = 2
}
resource "kubernetes_manifest" "c" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "c", namespace = "default", labels = { "app.kubernetes.io/name" = "c" } }
    data       = { "a.txt" = "line\nline ${"$"}{x}\n", b = "2" }
  }
}
resource "kubernetes_manifest" "s" {
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "s", namespace = "default" }
    stringData = { password = "canary-4711" }
  }
}
"#;

const IMPORTS: &str = r#"
import {
  to = vault_policy.p
  id = "gateway"
}
import {
  to       = vault_mount.m
  id       = "mesh"
  provider = vault.eu
}
import {
  to = kubernetes_manifest.c
  id = "ConfigMap default/c"
}
"#;

#[test]
fn generated_blocks_of_servers_want_no_change() {
    let sandbox = sandbox(&[Part::Vault, Part::Kubernetes]);
    let vault = sandbox.vault().expect("vault");
    let kubeconfig = sandbox.kubernetes().and_then(|k| k.kubeconfig("admin")).expect("kubeconfig");
    let providers = PROVIDERS
        .replace("@address@", &vault.address)
        .replace("@ca@", &vault.ca_file.display().to_string())
        .replace("@kubeconfig@", &kubeconfig.display().to_string());
    let env = BTreeMap::from([("VAULT_TOKEN".to_owned(), vault.root_token().to_owned())]);
    let run = |folder: &Path, arguments: &[&str]| -> Output { mesh(folder, arguments, &env) };
    let made = Folder::new(&format!("{providers}{OBJECTS}"));
    run(made.path(), &["apply", "-auto-approve"]).expect(0, "the objects are made");

    let folder = Folder::new(&format!("{providers}{IMPORTS}"));
    let plan = run(folder.path(), &["plan", "-generate-config-out=new.mesh.hcl"]).expect(0, "generated");
    let text = folder.text("new.mesh.hcl");
    assert!(plan.stdout.contains("3 to import, 0 to add, 0 to change, 0 to destroy"), "{}\n{text}", plan.stdout);
    for part in [
        "resource \"vault_mount\" \"m\" {\n  provider = vault.eu\n",
        "  policy = <<EOT\npath \"secret/*\" {\n  capabilities = [\"read\"]\n}\nEOT\n",
        "\"app.kubernetes.io/name\" = \"c\"",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    for part in ["accessor", "uid", "managedFields", "resourceVersion", "status"] {
        assert!(!text.contains(part), "{part} is in\n{text}");
    }
    run(folder.path(), &["fmt", "-check", "new.mesh.hcl"]).expect(0, "it is formatted");
    run(folder.path(), &["apply", "-auto-approve"]).expect(0, "imported");
    run(folder.path(), &["plan", "-detailed-exitcode"]).expect(0, "nothing more");
    // What was generated is forgotten, and comes back by the command.
    run(folder.path(), &["state", "rm", "vault_mount.m", "kubernetes_manifest.c"]).expect(0, "rm");
    std::fs::write(folder.path().join("main.mesh.hcl"), &providers).expect("writes");
    run(folder.path(), &["import", "vault_mount.m", "mesh"]).expect(0, "import");
    run(folder.path(), &["import", "kubernetes_manifest.c", "ConfigMap default/c"]).expect(0, "import");
    run(folder.path(), &["plan", "-detailed-exitcode"]).expect(0, "nothing more");

    // A secret is never written.
    let secret = "import {\n  to = kubernetes_manifest.s\n  id = \"Secret default/s\"\n}\n";
    let folder = Folder::new(&format!("{providers}{secret}"));
    let plan = run(folder.path(), &["plan", "-generate-config-out=new.mesh.hcl"]);
    let text = folder.text("new.mesh.hcl");
    assert!(text.contains("null # sensitive: mesh writes no secret."), "{text}");
    for shown in [&text, &plan.text()] {
        assert!(!shown.contains("canary") && !shown.contains("Y2FuYXJ5LTQ3MTE="), "{shown}");
    }
}
