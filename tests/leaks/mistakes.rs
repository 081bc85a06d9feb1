//! Mistakes that hold a secret: wrong conditions, functions, types and names, and servers that say what they refuse.
//!
//! The one decision: each mistake is a file of its own beside a few variables, planned and applied; it must fail, and say
//! nothing of the value, whoever's words the message is made of.

use serde_json::Value as Json;

use super::canary::{text, word};
use super::life::quoted;
use super::scene::{Scene, servers};

const HCL: &str = r#"
variable "secret" {
  type      = string
  sensitive = true
}
variable "word" { sensitive = true }
variable "flying" { ephemeral = true }
variable "vault_token" { sensitive = true }
variable "kubeconfig" { default = null }
variable "vault_address" {}
variable "vault_ca" {}
provider "vault" {
  address      = var.vault_address
  ca_cert_file = var.vault_ca
  token        = var.vault_token
}
provider "kubernetes" {
  kubeconfig = var.kubeconfig
}
resource "terraform_data" "before" { input = var.secret }
"#;

/// What a server refuses, during an apply at the latest.
const REFUSED: [&str; 8] = [
    // Vault says the type that it does not know.
    "resource \"vault_mount\" \"m\" {\n  path = \"leaks-mistake\"\n  type = var.word\n}",
    "resource \"vault_auth_backend\" \"m\" {\n  path = \"leaks-mistake\"\n  type = var.word\n}",
    "resource \"vault_policy\" \"m\" {\n  name   = \"leaks-mistake\"\n  policy = \"path {{ ${var.secret}\"\n}",
    "resource \"vault_kv_secret\" \"m\" {\n  mount = \"nowhere/${var.word}\"\n  name  = var.word\n  data  = { a = var.secret }\n}",
    "resource \"vault_mount\" \"m\" {\n  path            = \"leaks-mistake\"\n  type            = \"kv\"\n  max_lease_ttl   = var.word\n}",
    // The cluster says each value that it refuses.
    "resource \"kubernetes_manifest\" \"m\" {\n  manifest = {\n    apiVersion = \"v1\"\n    kind       = \"Service\"\n    metadata   = { name = \"mistake\", namespace = \"default\" }\n    spec       = { type = var.word, ports = [{ port = 80 }] }\n  }\n}",
    "resource \"kubernetes_manifest\" \"m\" {\n  manifest = {\n    apiVersion = \"v1\"\n    kind       = \"Secret\"\n    type       = \"kubernetes.io/dockerconfigjson\"\n    metadata   = { name = \"mistake\", namespace = \"default\" }\n    data       = { \".dockerconfigjson\" = base64encode(var.secret) }\n  }\n}",
    "resource \"kubernetes_manifest\" \"m\" {\n  manifest = {\n    apiVersion = \"v1\"\n    kind       = \"Secret\"\n    metadata   = { name = \"mistake\", namespace = \"default\" }\n    data       = { key = var.secret }\n  }\n}",
];

/// What is found here.
const WRONG: [&str; 18] = [
    "resource \"terraform_data\" \"m\" {\n  input = \"x\"\n  lifecycle {\n    precondition {\n      condition     = var.secret == \"x\"\n      error_message = \"it is not x\"\n    }\n  }\n}",
    "resource \"terraform_data\" \"m\" {\n  input = \"x\"\n  lifecycle {\n    precondition {\n      condition     = contains([\"a\"], var.secret)\n      error_message = \"it is ${var.secret}\"\n    }\n  }\n}",
    "output \"m\" {\n  value = \"${var.secret}!\"\n}",
    "output \"m\" {\n  value     = tonumber(var.secret)\n  sensitive = true\n}",
    "output \"m\" {\n  value     = jsondecode(var.secret)\n  sensitive = true\n}",
    "output \"m\" {\n  value     = yamldecode(\"a: [${var.secret}\")\n  sensitive = true\n}",
    "output \"m\" {\n  value     = base64decode(var.secret)\n  sensitive = true\n}",
    "output \"m\" {\n  value     = file(\"/nowhere/${var.secret}\")\n  sensitive = true\n}",
    "output \"m\" {\n  value     = regex(var.secret, \"x\")\n  sensitive = true\n}",
    "output \"m\" {\n  value     = { a = 1 }[var.secret]\n  sensitive = true\n}",
    "output \"m\" {\n  value     = parseint(var.word, 10)\n  sensitive = true\n}",
    "output \"m\" {\n  value     = timeadd(var.secret, \"1h\")\n  sensitive = true\n}",
    "output \"m\" {\n  value     = cidrhost(var.secret, 1)\n  sensitive = true\n}",
    "output \"m\" {\n  value     = formatdate(\"YYYY\", var.secret)\n  sensitive = true\n}",
    "output \"m\" {\n  value = var.flying\n}",
    "resource \"terraform_data\" \"m\" {\n  for_each = toset([var.secret])\n}",
    "resource \"terraform_data\" \"m\" {\n  count = var.secret\n}",
    "variable \"narrow\" {\n  sensitive = true\n  validation {\n    condition     = startswith(var.narrow, \"x\")\n    error_message = \"it is ${var.narrow}\"\n  }\n}",
];

fn scene() -> Scene {
    let mut scene = Scene::new(HCL);
    let (vault, cluster) = (servers().vault().expect("vault"), servers().kubernetes().expect("a cluster"));
    scene.secret("secret", &text("mistaken"));
    scene.secret("word", &word("mistaken word"));
    scene.secret("narrow", &text("too narrow"));
    scene.secret("flying", &text("mistaken, ephemeral"));
    scene.secret("vault_token", vault.root_token());
    scene.flock.add("the token of the kubeconfig", cluster.token("admin").expect("a token"));
    scene.var("kubeconfig", &cluster.kubeconfig("admin").expect("a kubeconfig").display().to_string());
    scene.var("vault_address", &vault.address);
    scene.var("vault_ca", &vault.ca_file.display().to_string());
    scene
}

#[test]
fn no_message_holds_the_secret_that_it_is_about() {
    let scene = scene();
    for hcl in WRONG {
        scene.write("mistake.mesh.hcl", hcl);
        for arguments in [&["plan"][..], &["plan", "-json"], &["apply", "-auto-approve"]] {
            scene.run(1, arguments);
        }
    }
    for hcl in REFUSED {
        scene.write("mistake.mesh.hcl", hcl);
        for arguments in [&["apply", "-auto-approve"][..], &["apply", "-auto-approve", "-json"]] {
            scene.run(1, arguments);
        }
    }
    scene.write("mistake.mesh.hcl", "");
    // A test whose assertions are about secrets.
    let tests = "run \"a\" {\n  command = plan\n  plan_options {\n    target = [terraform_data.before]\n  }\n  assert {\n    condition     = var.secret == \"x\"\n    error_message = \"it is another one\"\n  }\n  assert {\n    condition     = terraform_data.before.input == \"x\"\n    error_message = \"it is ${var.secret}\"\n  }\n}\n";
    scene.write("a.meshtest.hcl", tests);
    for arguments in [&["test"][..], &["test", "-verbose"], &["test", "-json"]] {
        scene.run(1, arguments);
    }
    scene.nothing();
}

#[test]
fn no_broken_input_is_shown() {
    let mut scene = scene();
    // Values that cannot be read, in the file and in the environment.
    for (name, value) in [
        ("open", format!("secret = \"{}\n", word("broken file"))),
        ("type", format!("secret = [{}]\n", quoted(&word("broken file")))),
        ("call", format!("secret = nosuch({})\n", quoted(&word("broken file")))),
        ("rest", format!("secret = {} {}\n", quoted(&word("broken file")), word("broken file"))),
        ("bare", format!("secret = {}\n", word("broken file"))),
        ("heredoc", format!("secret = <<EOT\n{}\n", word("broken file"))),
        ("twice", format!("secret = {0}\nsecret = {0}\n", quoted(&word("broken file")))),
        ("more", format!("secret {{ a = {} }}\n", quoted(&word("broken file")))),
    ] {
        scene.flock.add("a broken -var-file", &word("broken file"));
        let file = format!("-var-file={}", scene.input(&format!("{name}.meshvars.hcl"), &value));
        scene.run(1, &["plan", &file]);
        scene.run(1, &["plan", "-json", &file]);
    }
    for (name, value) in [
        ("open", format!("{{ \"secret\": \"{}", word("broken file"))),
        ("rest", format!("{{ \"secret\": \"x\" }} {}", word("broken file"))),
        ("bare", format!("{{ \"secret\": {} }}", word("broken file"))),
        ("type", format!("{{ \"secret\": [\"{}\"] }}", word("broken file"))),
    ] {
        let file = format!("-var-file={}", scene.input(&format!("{name}.meshvars.json"), &value));
        scene.run(1, &["plan", &file]);
    }
    scene.write(
        "typed.mesh.hcl",
        "variable \"typed\" {\n  type      = object({ a = list(string), b = number })\n  sensitive = true\n}\n",
    );
    let broken = word("broken variable");
    for value in [
        format!("{{ a = [\"{broken}\", "),
        format!("{{ a = \"{broken}\" }}"),
        format!("{{ a = [\"{broken}\"], b = \"{broken}\" }}"),
        broken.clone(),
    ] {
        scene.secret("typed", &value);
        scene.flock.add("a typed variable", &broken);
        scene.run(1, &["plan"]);
        let argument = format!("-var=typed={value}");
        scene.run(1, &["plan", "-json", &argument]);
    }
    scene.write("typed.mesh.hcl", "");
    // A kubeconfig that cannot be read, or whose key is no key.
    let admin = std::fs::read(servers().kubernetes().expect("a cluster").kubeconfig("admin").expect("a kubeconfig"));
    let admin: Json = serde_json::from_slice(&admin.expect("reads")).expect("JSON");
    let secret = word("broken kubeconfig");
    scene.flock.add("a broken kubeconfig", &secret);
    let mut no_key = admin.clone();
    no_key["users"][0]["user"] = serde_json::json!({ "client-key-data": secret, "client-certificate-data": secret });
    let mut wrong = admin.clone();
    wrong["users"][0]["user"]["token"] = format!("{secret}\n").into();
    let mut typed = admin;
    typed["users"][0]["user"]["token"] = serde_json::json!([secret]);
    for config in
        [no_key.to_string(), wrong.to_string(), typed.to_string(), format!("users:\n- user: {{ token: {secret}\n")]
    {
        let file = scene.input("broken.kubeconfig", &config);
        scene.var("kubeconfig", &file);
        scene.write("mistake.mesh.hcl", "data \"kubernetes_cluster\" \"c\" {}\n");
        scene.run(1, &["plan"]);
        // The same file as the way to the state.
        let backend = format!(
            "mesh {{\n  backend \"kubernetes\" {{\n    namespace  = \"default\"\n    kubeconfig = \"{file}\"\n  }}\n}}\n"
        );
        scene.write("mistake.mesh.hcl", &backend);
        scene.run(1, &["plan"]);
    }
    scene.nothing();
}
