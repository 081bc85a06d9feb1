//! Objects of Vault and Kubernetes that Terraform's file knows: made by the servers' own APIs, then taken over.
//!
//! The one decision: the file is wrong about them in places on purpose, and what is recorded is what the servers say.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mesh_sandbox::{Part, Sandbox};
use serde_json::{Value as Json, json};

use super::{SECRET, clean, file, resource, words, write};
use crate::site::{Folder, certificate, mesh, sandbox};

const HCL: &str = r#"
provider "vault" {
  address      = "@address@"
  ca_cert_file = "@ca@"
}
provider "vault" {
  alias        = "eu"
  address      = terraform_data.address.output
  ca_cert_file = "@ca@"
}
provider "kubernetes" {
  kubeconfig = "@kubeconfig@"
}
resource "terraform_data" "address" { input = "@address@" }
resource "vault_mount" "apps" {
  provider    = vault.eu
  path        = "teams/apps"
  type        = "kv"
  version     = "2"
  description = "for apps"
}
resource "vault_mount" "old" {
  path          = "old"
  type          = "kv"
  max_lease_ttl = "1h"
}
resource "vault_auth_backend" "k8s" {
  path = "k8s"
  type = "kubernetes"
}
resource "vault_policy" "reader" {
  name   = "reader"
  policy = "path \"old/*\" { capabilities = [\"read\"] }"
}
resource "vault_kv_secret" "db" {
  mount = vault_mount.old.path
  name  = "a/db"
  data  = { password = "canary-4711" }
}
resource "vault_kv_secret_v2" "pin" {
  for_each = toset(["one"])
  provider = vault.eu
  mount    = vault_mount.apps.path
  name     = "mesh/pin"
  data     = { pin = "canary-4711" }
}
resource "kubernetes_manifest" "config" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "config", namespace = "shop" }
    data       = { a = "1" }
  }
}
resource "kubernetes_manifest" "secret" {
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "secret", namespace = "shop" }
    data       = { password = "Y2FuYXJ5LTQ3MTE=" }
  }
}
resource "kubernetes_labels" "shop" {
  api_version   = "v1"
  kind          = "Namespace"
  name          = "shop"
  labels        = { team = "mesh" }
  field_manager = "Terraform"
}
"#;

struct Lab {
    sandbox: Sandbox,
    vault: reqwest::blocking::Client,
    kubernetes: reqwest::blocking::Client,
}

impl Lab {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let sandbox = sandbox(&[Part::Vault, Part::Kubernetes]);
        let client = |ca: &Path| {
            let builder = reqwest::blocking::Client::builder().tls_certs_only([certificate(ca)]);
            builder.timeout(Duration::from_secs(20)).build().expect("a client")
        };
        let vault = client(&sandbox.vault().expect("vault").ca_file);
        let kubernetes = client(&sandbox.kubernetes().expect("kubernetes").ca_file);
        Self { sandbox, vault, kubernetes }
    }

    fn vault(&self, path: &str, body: &Json) {
        let vault = self.sandbox.vault().expect("vault");
        let request =
            self.vault.post(format!("{}/v1/{path}", vault.address)).header("X-Vault-Token", vault.root_token());
        let answer = request.body(body.to_string()).send().expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().unwrap_or_default());
    }

    /// Server-side apply, as Terraform does it.
    fn apply(&self, path: &str, body: &Json) {
        let kubernetes = self.sandbox.kubernetes().expect("kubernetes");
        let request = self.kubernetes.patch(format!("{}{path}?fieldManager=Terraform&force=true", kubernetes.url));
        let request = request.bearer_auth(kubernetes.token("admin").expect("a token"));
        let request = request.header("Content-Type", "application/apply-patch+yaml").body(body.to_string());
        let answer = request.send().expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().unwrap_or_default());
    }

    /// What other people made.
    fn fill(&self) {
        let mount = |version: &str, more: Json| json!({ "type": "kv", "options": { "version": version }, "description": more["description"], "config": more["config"] });
        self.vault("sys/mounts/teams/apps", &mount("2", json!({ "description": "for apps" })));
        self.vault("sys/mounts/old", &mount("1", json!({ "config": { "max_lease_ttl": "1h" } })));
        self.vault("sys/auth/k8s", &json!({ "type": "kubernetes" }));
        self.vault(
            "sys/policies/acl/reader",
            &json!({ "policy": "path \"old/*\" {\n  capabilities = [\"read\"]\n}\n" }),
        );
        self.vault("old/a/db", &json!({ "password": SECRET }));
        self.vault("teams/apps/data/mesh/pin", &json!({ "data": { "pin": SECRET } }));
        let object = |kind: &str, name: &str, data: Json| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": "shop" }, "data": data });
        self.apply("/api/v1/namespaces/shop", &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "labels": { "team": "mesh" } } }));
        self.apply("/api/v1/namespaces/shop/configmaps/config", &object("ConfigMap", "config", json!({ "a": "1" })));
        self.apply(
            "/api/v1/namespaces/shop/secrets/secret",
            &object("Secret", "secret", json!({ "password": "Y2FuYXJ5LTQ3MTE=" })),
        );
    }
}

fn mount(path: &str, version: &str, max: u32) -> Json {
    json!({ "accessor": "kv_0", "allowed_managed_keys": null, "audit_non_hmac_request_keys": [], "audit_non_hmac_response_keys": [],
        "default_lease_ttl_seconds": 0, "delegated_auth_accessors": null, "description": "as it was", "external_entropy_access": false,
        "id": path, "identity_token_key": "", "listing_visibility": "", "local": false, "max_lease_ttl_seconds": max, "namespace": null,
        "options": { "version": version }, "passthrough_request_headers": null, "path": path, "plugin_version": null, "seal_wrap": false, "type": "kv" })
}

fn manifest(manifest: &Json, ty: &Json) -> Json {
    let typed = json!({ "value": manifest, "type": ty });
    json!({ "computed_fields": null, "field_manager": [], "manifest": typed, "object": typed, "timeouts": [], "wait": [], "wait_for": null })
}

fn object(kind: &str, name: &str, data: Json, more: Json) -> Json {
    let value =
        json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": "shop" }, "data": data });
    let ty = json!(["object", { "apiVersion": "string", "kind": "string", "metadata": ["object", { "name": "string", "namespace": "string" }], "data": ["object", more] }]);
    manifest(&value, &ty)
}

fn state(address: &str) -> Json {
    let policy = |name: &str, namespace: Json| json!({ "id": name, "name": name, "namespace": namespace, "policy": "path \"nothing\" {}" });
    let v1 = json!({ "data": { "password": "canary-old" }, "data_json": "{\"password\":\"canary-old\"}", "data_json_wo": null,
        "data_json_wo_version": null, "id": "old/a/db", "namespace": null, "path": "old/a/db" });
    let v2 = json!({ "cas": null, "custom_metadata": [{ "cas_required": false, "data": {}, "delete_version_after": 0, "max_versions": 0 }],
        "data": { "pin": SECRET }, "data_json": "{\"pin\":\"canary-4711\"}", "data_json_wo": null, "data_json_wo_version": null,
        "delete_all_versions": false, "disable_read": false, "id": "teams/apps/data/mesh/pin",
        "metadata": { "created_time": "2025-01-01T00:00:00Z", "custom_metadata": "null", "deletion_time": "", "destroyed": "false", "version": "1" },
        "mount": "teams/apps", "name": "mesh/pin", "namespace": null, "options": null, "path": "teams/apps/data/mesh/pin" });
    let backend = json!({ "accessor": "auth_kubernetes_0", "description": "", "disable_remount": false, "id": "k8s", "identity_token_key": null,
        "local": false, "namespace": null, "path": "k8s", "tune": [], "type": "kubernetes" });
    let labels = json!({ "api_version": "v1", "field_manager": "Terraform", "force": null, "id": "apiVersion=v1,kind=Namespace,name=shop",
        "kind": "Namespace", "labels": { "team": "mesh" }, "metadata": [{ "name": "shop", "namespace": "" }], "timeouts": null });
    let mut resources = vec![
        resource(
            "terraform",
            "terraform_data",
            "address",
            json!({ "id": "one", "triggers_replace": null,
            "input": { "value": address, "type": "string" }, "output": { "value": address, "type": "string" } }),
        ),
        resource("vault", "vault_mount", "apps", mount("teams/apps", "2", 0)),
        resource("vault", "vault_mount", "old", mount("old", "1", 7200)),
        resource("vault", "vault_mount", "gone", mount("gone", "2", 0)),
        resource("vault", "vault_auth_backend", "k8s", backend),
        resource("vault", "vault_policy", "reader", policy("reader", Json::Null)),
        resource("vault", "vault_policy", "elsewhere", policy("elsewhere", "team-a".into())),
        resource("vault", "vault_policy", "gone", policy("gone", Json::Null)),
        resource(
            "vault",
            "vault_kubernetes_auth_backend_role",
            "r",
            json!({ "id": "auth/k8s/role/r", "backend": "k8s", "role_name": "r" }),
        ),
        resource("vault", "vault_kv_secret", "db", v1),
        resource("vault", "vault_kv_secret_v2", "pin", v2),
        resource(
            "kubernetes",
            "kubernetes_manifest",
            "config",
            object("ConfigMap", "config", json!({ "a": "1" }), json!({ "a": "string" })),
        ),
        resource(
            "kubernetes",
            "kubernetes_manifest",
            "secret",
            object("Secret", "secret", json!({ "password": "Y2FuYXJ5LTQ3MTE=" }), json!({ "password": "string" })),
        ),
        resource(
            "kubernetes",
            "kubernetes_manifest",
            "gone",
            object("ConfigMap", "gone", json!({ "a": "1" }), json!({ "a": "string" })),
        ),
        resource(
            "kubernetes",
            "kubernetes_config_map",
            "c",
            json!({ "id": "shop/c", "data": {}, "metadata": [{ "name": "c", "namespace": "shop" }] }),
        ),
        resource("kubernetes", "kubernetes_labels", "shop", labels),
    ];
    for resource in &mut resources {
        let eu = resource["name"] == "apps" || resource["type"] == "vault_kv_secret_v2";
        if eu {
            resource["provider"] = format!("{}.eu", resource["provider"].as_str().expect("a provider")).into();
        }
        if resource["type"] == "vault_kv_secret_v2" {
            resource["instances"][0]["index_key"] = "one".into();
            resource["instances"][0]["dependencies"] = json!(["vault_mount.apps"]);
        }
        if resource["type"].as_str().is_some_and(|t| t.starts_with("vault_kv")) {
            resource["instances"][0]["sensitive_attributes"] =
                json!([[{ "type": "get_attr", "value": "data" }], [{ "type": "get_attr", "value": "data_json" }]]);
        }
        if resource["name"] == "reader" {
            // Sensitive by what it was made of: what is read of it is, too.
            resource["instances"][0]["sensitive_attributes"] = json!([[{ "type": "get_attr", "value": "policy" }]]);
        }
    }
    file(&resources)
}

#[test]
fn objects_of_servers_are_taken_over_as_they_are() {
    let lab = Lab::new();
    lab.fill();
    let vault = lab.sandbox.vault().expect("vault");
    let kubeconfig = lab.sandbox.kubernetes().and_then(|k| k.kubeconfig("admin")).expect("kubeconfig");
    let hcl = HCL
        .replace("@address@", &vault.address)
        .replace("@ca@", &vault.ca_file.display().to_string())
        .replace("@kubeconfig@", &kubeconfig.display().to_string());
    let folder = Folder::new(&hcl);
    write(&folder, "terraform.tfstate", state(&vault.address));
    let run = |arguments: &[&str], token: &str| {
        mesh(folder.path(), arguments, &BTreeMap::from([("VAULT_TOKEN".to_owned(), token.to_owned())]))
    };
    let import = ["state", "import-terraform", "-auto-approve", "terraform.tfstate"];
    run(&import, "wrong").expect(1, "what cannot be looked at is not passed over");
    assert!(!folder.path().join("mesh.state").exists(), "something was written");
    let done = run(&import, vault.root_token()).expect(0, "taken over");
    let said = words(&done);
    for line in [
        "+ vault_mount.apps: sys/mounts/teams/apps",
        "+ vault_kv_secret.db: old/a/db",
        "+ vault_kv_secret_v2.pin[\"one\"]: teams/apps/data/mesh/pin",
        "+ kubernetes_manifest.secret: Secret shop/secret",
        ". vault_mount.gone: it is not there (any more)",
        ". vault_policy.gone: it is not there (any more)",
        ". kubernetes_manifest.gone: it is not there (any more)",
        ". vault_policy.elsewhere: it is in the namespace \"team-a\"",
        ". vault_kubernetes_auth_backend_role.r: mesh has no type vault_kubernetes_auth_backend_role",
        ". kubernetes_config_map.c: mesh has no type kubernetes_config_map",
        "Took over 10 objects, as serial 1.",
    ] {
        assert!(said.contains(line), "{line} is not in\n{}", done.text());
    }
    assert!(!done.text().contains("canary") && !done.text().contains("Y2FuYXJ5"), "{}", done.text());
    clean(folder.path());
    let pulled = run(&["state", "pull"], "").expect(0, "pull").stdout;
    for wrong in ["canary", "Y2FuYXJ5", "as it was", "nothing", "7200", "capabilities"] {
        assert!(!pulled.contains(wrong), "{wrong} is in\n{pulled}");
    }
    assert!(pulled.contains("\"vault.eu\"") && pulled.contains("[\"vault_mount.apps\"]"), "{pulled}");
    let plan = run(&["plan", "-detailed-exitcode"], vault.root_token());
    assert_eq!(plan.code, 0, "{}", plan.text());
    run(&["apply", "-auto-approve"], vault.root_token()).expect(0, "apply");
    run(&["plan", "-detailed-exitcode"], vault.root_token()).expect(0, "nothing more");
    clean(folder.path());
}
