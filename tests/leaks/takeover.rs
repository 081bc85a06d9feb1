//! A state of Terraform holds its secrets in clear; what is taken over from it does not.

use serde_json::json;

use super::canary::text;
use super::life::Others;
use super::scene::{Scene, servers};

const HCL: &str = r#"
variable "vault_address" {}
variable "vault_ca" {}
variable "vault_token" { sensitive = true }
variable "secret" { sensitive = true }
provider "vault" {
  address      = var.vault_address
  ca_cert_file = var.vault_ca
  token        = var.vault_token
}
resource "vault_kv_secret" "db" {
  mount = "taken"
  name  = "db"
  data  = { password = var.secret }
}
"#;

#[test]
fn a_state_of_terraform_leaves_its_secrets_behind() {
    let (others, vault) = (Others::new(), servers().vault().expect("vault"));
    others.vault("sys/mounts/taken", &json!({ "type": "kv", "options": { "version": "1" } }));
    let (now, then) = (text("in Vault now"), text("in Terraform's file"));
    others.vault("taken/db", &json!({ "password": now }));
    let mut scene = Scene::new(HCL);
    scene.secret("secret", &now);
    scene.secret("vault_token", vault.root_token());
    scene.flock.add("Terraform's file", &then);
    scene.var("vault_address", &vault.address);
    scene.var("vault_ca", &vault.ca_file.display().to_string());
    let attributes = json!({ "data": { "password": then }, "data_json": json!({ "password": then }).to_string(), "data_json_wo": null,
        "data_json_wo_version": null, "id": "taken/db", "namespace": null, "path": "taken/db" });
    let resource = |ty: &str, provider: &str, attributes| {
        json!({ "mode": "managed", "type": ty, "name": "db", "provider": format!("provider[\"registry.terraform.io/hashicorp/{provider}\"]"),
            "instances": [{ "schema_version": 0, "attributes": attributes, "sensitive_attributes": [], "private": "bnVsbA==" }] })
    };
    let password = json!({ "result": then, "bcrypt_hash": then, "id": "none", "length": 10 });
    let outputs = json!({ "db": { "value": then, "type": "string", "sensitive": true } });
    let file = json!({ "version": 4, "terraform_version": "1.11.4", "serial": 3, "lineage": "c1", "outputs": outputs,
        "resources": [resource("vault_kv_secret", "vault", attributes), resource("random_password", "random", password)], "check_results": null });
    let good = scene.input("good.tfstate", &file.to_string());
    // A file that ends in the middle, and one whose parts are of other types.
    let broken = scene.input("broken.tfstate", &file.to_string()[..500]);
    let typed = scene.input("typed.tfstate", &file.to_string().replace("\"instances\":[{", "\"instances\":[7,{"));
    for file in [&broken, &typed] {
        scene.run(1, &["state", "import-terraform", "-auto-approve", file]);
    }
    scene.run(0, &["state", "import-terraform", "-dry-run", &good]);
    scene.run(0, &["state", "import-terraform", "-auto-approve", &good]);
    scene.run(1, &["state", "import-terraform", "-auto-approve", &good]);
    for arguments in [&["plan"][..], &["show", "-json"], &["state", "pull"], &["state", "history"]] {
        scene.run(0, arguments);
    }
    scene.nothing();
}
