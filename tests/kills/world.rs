//! The servers as they are, and as one configuration over all of them wants them.
//!
//! The one decision: nothing here asks `mesh`. What exists is listed at the servers themselves, by a namespace, a
//! mount, a token, an HAProxy and a folder that hold nothing else; what should exist is worked out from the sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use mesh_sandbox::{Gateway, SoftToken};
use serde_json::{Value, json};

use crate::backends::servers;
use crate::site::certificate;

/// How large, in which version, under which names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    /// Instances of each block.
    pub(super) n: usize,
    /// Changed in place.
    pub(super) v: usize,
    /// Part of every name, so that another one replaces everything.
    pub(super) r: usize,
}

impl Size {
    /// The options that say so.
    pub(super) fn options(self) -> Vec<String> {
        vec![format!("-var=n={}", self.n), format!("-var=v={}", self.v), format!("-var=r={}", self.r)]
    }
}

/// What exists: the name of an object, and what of it counts.
pub(super) type Objects = BTreeMap<String, String>;

/// Places on all servers that nobody else uses.
pub(super) struct World {
    /// In every name.
    tag: String,
    mount: String,
    token: SoftToken,
    gateway: Gateway,
    vip: String,
    http: reqwest::blocking::Client,
    folder: tempfile::TempDir,
}

const PIN: &str = "98765432";

/// Every resource comes `n` times. `hsm_key_pair`, `vault_policy`, the Secret and the file are replaced the new one
/// first, the others the old one first.
const CONFIGURATION: &str = r#"
variable "n" { type = number }
variable "v" {}
variable "r" {}
variable "vault_token" {}
variable "pin" {}
locals {
  some = var.n > 0 ? 1 : 0
  keys = toset([for i in range(var.n) : tostring(i)])
}
provider "kubernetes" {
  kubeconfig = "@kubeconfig@"
}
provider "vault" {
  address      = "@vault@"
  token        = var.vault_token
  ca_cert_file = "@vault_ca@"
}
provider "hsm" {
  library     = "@module@"
  token_label = "kills"
  pin         = var.pin
  environment = { SOFTHSM2_CONF = "@softhsm@" }
}
provider "gateway" {
  main_config   = "@haproxy@"
  config_dir    = "@haproxy_d@"
  master_socket = "@master@"
  stats_socket  = "@stats@"
}
resource "hsm_secret_key" "k" {
  count = var.n
  id    = "@tag@-k${count.index}-r${var.r}"
  label = "v${var.v}"
  lifecycle { prevent_destroy = false }
}
resource "hsm_key_pair" "p" {
  for_each  = local.keys
  id        = "@tag@-p${each.key}-r${var.r}"
  label     = "v${var.v}"
  algorithm = "ec-p256"
  lifecycle {
    prevent_destroy       = false
    create_before_destroy = true
  }
}
resource "vault_mount" "m" {
  count   = local.some
  path    = "@mount@"
  type    = "kv"
  version = "2"
}
resource "vault_kv_secret_v2" "s" {
  count = var.n
  mount = vault_mount.m[0].path
  name  = "@tag@-s${count.index}-r${var.r}"
  data  = { v = var.v, key = hsm_key_pair.p[tostring(count.index)].spki_sha256 }
}
resource "vault_policy" "p" {
  count  = var.n
  name   = "@tag@-p${count.index}-r${var.r}"
  policy = "path \"${vault_mount.m[0].path}/v${var.v}\" { capabilities = [\"read\"] }"
  lifecycle { create_before_destroy = true }
}
resource "kubernetes_manifest" "c" {
  count = var.n
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "@tag@-c${count.index}-r${var.r}", namespace = "@tag@" }
    data       = { v = var.v, policy = vault_policy.p[count.index].name }
  }
}
resource "kubernetes_manifest" "s" {
  for_each = local.keys
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "@tag@-s${each.key}-r${var.r}", namespace = "@tag@" }
    stringData = { v = var.v, key = hsm_secret_key.k[tonumber(each.key)].id }
  }
  lifecycle { create_before_destroy = true }
}
resource "gateway_load_balancer" "g" {
  count  = local.some
  name   = "@tag@-g-r${var.r}"
  vip    = "@vip@"
  ports  = { http = { port = 8080, node_port = 30000 + tonumber(var.v) } }
  nodes  = { for i in range(var.n) : "node${i}" => "127.9.9.${i + 1}" }
  min_up = 0
  max_remove_percent = 100
}
resource "local_file" "f" {
  count    = var.n
  filename = "out/@tag@-f${count.index}-r${var.r}"
  content  = "v${var.v} ${kubernetes_manifest.c[count.index].manifest.metadata.name}"
  lifecycle { create_before_destroy = true }
}
resource "terraform_data" "t" {
  count            = var.n
  input            = "${local_file.f[count.index].filename} ${vault_kv_secret_v2.s[count.index].name}"
  triggers_replace = "${var.r}${join(",", [for g in gateway_load_balancer.g : g.name])}"
}
"#;

impl World {
    pub(super) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let servers = servers();
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = [
            certificate(&servers.kubernetes().expect("a cluster").ca_file),
            certificate(&servers.vault().expect("vault").ca_file),
        ];
        let http = reqwest::blocking::Client::builder()
            .tls_certs_only(authorities)
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        let world = Self {
            tag: servers.namespace("kills"),
            mount: servers.mount("kills"),
            token: servers.soft_token(&folder.path().join("hsm"), "kills", "12345678", PIN).expect("a token"),
            gateway: servers.extra_gateway().expect("HAProxy"),
            vip: servers.vip().expect("an address").to_string(),
            http,
            folder,
        };
        let namespace = json!({ "metadata": { "name": world.tag } });
        let made = world.kubernetes("POST", "/api/v1/namespaces", Some(namespace));
        assert_eq!(made["kind"], "Namespace", "{made}");
        world
    }

    /// The configuration; secrets come as [`World::variables`].
    pub(super) fn configuration(&self) -> String {
        let (cluster, vault) = (servers().kubernetes().expect("a cluster"), servers().vault().expect("vault"));
        let path = |path: &Path| path.display().to_string();
        [
            ("@kubeconfig@", path(cluster.kubeconfig("admin").expect("a user"))),
            ("@vault@", vault.address.clone()),
            ("@vault_ca@", path(&vault.ca_file)),
            ("@module@", path(&self.token.module_path)),
            ("@softhsm@", path(&self.token.conf_path)),
            ("@haproxy@", path(&self.gateway.config)),
            ("@haproxy_d@", path(&self.gateway.conf_dir)),
            ("@master@", path(&self.gateway.master_socket)),
            ("@stats@", path(&self.gateway.stats_socket)),
            ("@vip@", self.vip.clone()),
            ("@mount@", self.mount.clone()),
            ("@tag@", self.tag.clone()),
        ]
        .iter()
        .fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// The configuration without the resources that do not begin with one of these.
    pub(super) fn configuration_of(&self, resources: &[&str]) -> String {
        let text = self.configuration();
        let mut parts = text.split("\nresource \"");
        let mut some = parts.next().expect("providers").to_owned();
        for part in parts.filter(|p| resources.iter().any(|r| p.starts_with(r))) {
            some.push_str("\nresource \"");
            some.push_str(part);
        }
        some
    }

    pub(super) fn variables(&self) -> [(String, String); 2] {
        let token = servers().vault().expect("vault").root_token().to_owned();
        [("MESH_VAR_vault_token".into(), token), ("MESH_VAR_pin".into(), PIN.into())]
    }

    /// What a configuration of this size means.
    pub(super) fn wanted(&self, size: Size) -> Objects {
        let Size { n, v, r } = size;
        let name = |kind: &str, i: usize| format!("{}-{kind}{i}-r{r}", self.tag);
        let mut objects = Objects::new();
        for i in 0..n {
            objects.insert(format!("secret key {}", name("k", i)), format!("v{v}"));
            objects.insert(format!("private key {}", name("p", i)), format!("v{v}"));
            objects.insert(format!("public key {}", name("p", i)), format!("v{v}"));
            objects.insert(format!("kv {}", name("s", i)), v.to_string());
            objects.insert(format!("policy {}", name("p", i)), format!("{}/v{v}", self.mount));
            objects.insert(format!("configmap {}", name("c", i)), format!("{v} {}", name("p", i)));
            objects.insert(format!("secret {}", name("s", i)), format!("{v} {}", name("k", i)));
            objects.insert(format!("file {}", name("f", i)), format!("v{v} {}", name("c", i)));
        }
        if n > 0 {
            objects.insert(format!("mount {}", self.mount), String::new());
            let gateway = format!("{}-g-r{r}", self.tag);
            objects.insert(format!("gateway file {gateway}"), String::new());
            let servers: Vec<String> = (0..n).map(|i| format!("127.9.9.{}:{}", i + 1, 30000 + v)).collect();
            objects.insert(format!("gateway running {gateway}"), servers.join(" "));
        }
        objects
    }

    /// What is there. Two objects of one name panic.
    pub(super) fn objects(&self, out: &Path) -> Objects {
        let mut all = self.token_objects();
        all.extend(self.vault_objects());
        all.extend(self.cluster_objects());
        all.extend(self.gateway_objects());
        for entry in std::fs::read_dir(out).into_iter().flatten().flatten() {
            let content = std::fs::read_to_string(entry.path()).expect("reads");
            all.push((format!("file {}", entry.file_name().to_string_lossy()), content));
        }
        let mut objects = Objects::new();
        for (name, content) in all {
            let before = objects.insert(name.clone(), content);
            assert!(before.is_none(), "there are two of {name}");
        }
        objects
    }

    fn token_objects(&self) -> Vec<(String, String)> {
        let output = Command::new("pkcs11-tool")
            .arg("--module")
            .arg(&self.token.module_path)
            .args(["--token-label", "kills", "--login", "--pin", PIN, "-O"])
            .env("SOFTHSM2_CONF", &self.token.conf_path)
            .output()
            .expect("pkcs11-tool runs");
        assert!(output.status.success(), "{output:?}");
        let (mut found, mut kind, mut label) = (Vec::new(), String::new(), String::new());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((word, _)) = line.split_once(" Object") {
                kind = word.to_lowercase();
            } else if let Some(text) = line.trim().strip_prefix("label:") {
                text.trim().clone_into(&mut label);
            } else if let Some(hex) = line.trim().strip_prefix("ID:") {
                let hex = hex.trim();
                let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal");
                let id: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
                found.push((format!("{kind} {}", String::from_utf8_lossy(&id)), label.clone()));
            }
        }
        found
    }

    fn vault_objects(&self) -> Vec<(String, String)> {
        let names = |path: &str| -> Vec<String> {
            let answer = self.vault(&format!("{path}?list=true"));
            answer["data"]["keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|k| k.as_str().map(str::to_owned))
                .collect()
        };
        let mut found = Vec::new();
        for name in names("sys/policies/acl").iter().filter(|n| n.starts_with(&self.tag)) {
            let policy = self.vault(&format!("sys/policies/acl/{name}"));
            let path =
                policy["data"]["policy"].as_str().and_then(|p| p.split('"').nth(1)).unwrap_or_default().to_owned();
            found.push((format!("policy {name}"), path));
        }
        if !self.vault("sys/mounts")["data"][format!("{}/", self.mount)].is_null() {
            found.push((format!("mount {}", self.mount), String::new()));
            for name in names(&format!("{}/metadata", self.mount)) {
                let secret = self.vault(&format!("{}/data/{name}", self.mount));
                found.push((format!("kv {name}"), secret["data"]["data"]["v"].as_str().unwrap_or_default().to_owned()));
            }
        }
        found
    }

    fn cluster_objects(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (kind, other) in [("configmap", "policy"), ("secret", "key")] {
            let list = self.kubernetes("GET", &format!("/api/v1/namespaces/{}/{kind}s", self.tag), None);
            for item in list["items"].as_array().unwrap_or_else(|| panic!("a list: {list}")) {
                let name = item["metadata"]["name"].as_str().unwrap_or_default();
                let field = |field: &str| {
                    let text = item["data"][field].as_str().unwrap_or_default();
                    match base64::engine::general_purpose::STANDARD.decode(text) {
                        Ok(bytes) if kind == "secret" => String::from_utf8_lossy(&bytes).into_owned(),
                        _ => text.to_owned(),
                    }
                };
                // The cluster puts this one into every namespace.
                if name != "kube-root-ca.crt" {
                    found.push((format!("{kind} {name}"), format!("{} {}", field("v"), field(other))));
                }
            }
        }
        found
    }

    fn gateway_objects(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.gateway.conf_dir).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let own = name.strip_prefix("mesh-").and_then(|n| n.strip_suffix(".cfg")).unwrap_or(&name);
            found.push((format!("gateway file {own}"), String::new()));
        }
        let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in self.haproxy("show servers state").lines() {
            let field: Vec<&str> = line.split(' ').collect();
            if let [_, section, _, _, address, .., port, _, _, _, _, _, _] = field[..]
                && let Some(at) = section.find(&self.tag)
            {
                let name = section[at..].trim_end_matches("_http");
                running.entry(name.to_owned()).or_default().insert(format!("{address}:{port}"));
            }
        }
        found.extend(running.into_iter().map(|(name, servers)| {
            (format!("gateway running {name}"), servers.into_iter().collect::<Vec<_>>().join(" "))
        }));
        found
    }

    fn haproxy(&self, line: &str) -> String {
        let until = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            // A worker that is being replaced may close the connection.
            let answer = UnixStream::connect(&self.gateway.stats_socket).and_then(|mut socket| {
                socket.set_read_timeout(Some(Duration::from_secs(5)))?;
                socket.write_all(format!("{line}\n").as_bytes())?;
                let mut answer = String::new();
                socket.read_to_string(&mut answer).map(|_| answer)
            });
            match answer {
                Ok(answer) if !answer.is_empty() => return answer,
                _ if std::time::Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                other => panic!("HAProxy does not answer: {other:?}"),
            }
        }
    }

    fn vault(&self, path: &str) -> Value {
        let vault = servers().vault().expect("vault");
        let request = self.http.get(format!("{}/v1/{path}", vault.address)).header("X-Vault-Token", vault.root_token());
        let text = request.send().and_then(reqwest::blocking::Response::text).expect("an answer");
        serde_json::from_str(&text).expect("JSON")
    }

    fn kubernetes(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let cluster = servers().kubernetes().expect("a cluster");
        let request = self
            .http
            .request(method.parse().expect("a method"), format!("{}{path}", cluster.url))
            .bearer_auth(cluster.token("admin").expect("a user"))
            .header("Content-Type", "application/json");
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        let text = request.send().and_then(reqwest::blocking::Response::text).expect("an answer");
        serde_json::from_str(&text).expect("JSON")
    }

    /// A folder that goes when the world does.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
