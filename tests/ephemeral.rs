//! Ephemeral blocks from end to end: a secret of Vault, a token of Vault and one of Kubernetes reach a provider and a
//! write-only attribute, appear nowhere, and nothing of them is left in Vault, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mesh_sandbox::{Part, Sandbox};
use serde_json::{Value, json};

use crate::site::{Folder, Output, certificate, command, mesh, sandbox, scan};

const SECRET: &str = "canary-of-the-database";

/// Servers, a folder, and a client of the administrators.
struct Lab {
    sandbox: Sandbox,
    folder: Folder,
    env: BTreeMap<String, String>,
    http: reqwest::blocking::Client,
}

impl Lab {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let sandbox = sandbox(&[Part::Vault, Part::Kubernetes]);
        let vault = sandbox.vault().expect("vault");
        let kubeconfig = sandbox.kubernetes().and_then(|k| k.kubeconfig("admin")).expect("kubeconfig");
        let http = reqwest::blocking::Client::builder().tls_certs_only([certificate(&vault.ca_file)]);
        let http = http.timeout(Duration::from_secs(20)).build().expect("a client");
        let folder = Folder::new("");
        let env = BTreeMap::from([("MESH_VAR_token".to_owned(), vault.root_token().to_owned())]);
        let settings = format!(
            "  address      = {:?}\n  ca_cert_file = {:?}\n",
            vault.address,
            vault.ca_file.display().to_string()
        );
        let hcl = HCL.replace("@settings@", &settings).replace("@kubeconfig@", &kubeconfig.display().to_string());
        std::fs::write(folder.path().join("main.mesh.hcl"), hcl).expect("writes");
        let lab = Self { sandbox, folder, env, http };
        for (mount, version) in [("source", "1"), ("copy", "2")] {
            let body = json!({ "type": "kv", "options": { "version": version } });
            lab.vault("POST", &format!("sys/mounts/{mount}"), Some(body));
        }
        lab.vault("POST", "source/db", Some(json!({ "password": SECRET })));
        lab
    }

    fn vault(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let vault = self.sandbox.vault().expect("vault");
        let request = self.http.request(method.parse().expect("a method"), format!("{}/v1/{path}", vault.address));
        let request = request.header("X-Vault-Token", vault.root_token());
        let request = body.into_iter().fold(request, |request, body| request.body(body.to_string()));
        let text = request.send().and_then(reqwest::blocking::Response::text).expect("an answer");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// All tokens that Vault has.
    fn tokens(&self) -> BTreeSet<String> {
        let answer = self.vault("LIST", "auth/token/accessors", None);
        let keys = answer["data"]["keys"].as_array().expect("accessors");
        keys.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect()
    }

    /// Runs, and expects that no token is left.
    fn mesh(&self, arguments: &[&str]) -> Output {
        let before = self.tokens();
        let output = mesh(self.folder.path(), arguments, &self.env);
        assert_eq!(self.tokens(), before, "tokens are left:\n{}", output.text());
        output
    }

    fn copy(&self) -> Value {
        self.vault("GET", "copy/data/db", None)["data"]["data"].clone()
    }

    /// Puts more into the configuration.
    fn write(&self, file: &str, hcl: &str) {
        std::fs::write(self.folder.path().join(file), hcl).expect("writes");
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = command(self.folder.path(), arguments, &self.env);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mesh starts")
    }
}

const HCL: &str = r#"
variable "token" {
  type      = string
  ephemeral = true
}
provider "vault" {
@settings@
  token = var.token
}
provider "kubernetes" {
  kubeconfig = "@kubeconfig@"
}
ephemeral "vault_token" "deploy" {
  policies = ["root"]
  ttl      = "10m"
}
provider "vault" {
  alias = "deploy"
@settings@
  token = ephemeral.vault_token.deploy.client_token
}
ephemeral "vault_kv_secret" "db" {
  provider = vault.deploy
  mount    = "source"
  name     = "db"
}
resource "kubernetes_manifest" "account" {
  manifest = {
    apiVersion = "v1"
    kind       = "ServiceAccount"
    metadata   = { name = "app", namespace = "default" }
  }
}
ephemeral "kubernetes_token_request" "app" {
  namespace       = "default"
  service_account = "app"
  audiences       = ["vault"]
  depends_on      = [kubernetes_manifest.account]
}
ephemeral "random_password" "admin" {
  length      = 32
  special     = false
  min_numeric = 4
}
resource "vault_kv_secret_v2" "copy" {
  provider = vault.deploy
  mount    = "copy"
  name     = "db"
  data_wo = {
    password = ephemeral.vault_kv_secret.db.data["password"]
    jwt      = ephemeral.kubernetes_token_request.app.token
    admin    = ephemeral.random_password.admin.result
  }
  data_wo_version = 1
}
"#;

#[test]
fn secrets_pass_through_and_leave_nothing() {
    let lab = Lab::new();
    let mut said = String::new();
    let mut run = |arguments: &[&str], code: i32| {
        let output = lab.mesh(arguments).expect(code, &arguments.join(" "));
        said.push_str(&output.text());
        output
    };
    run(&["validate"], 0);
    let plan = run(&["plan", "-out=saved", "-input=false"], 0).stdout;
    assert!(plan.contains("ephemeral.vault_token.deploy: Opening complete after"), "{plan}");
    assert!(plan.contains("ephemeral.vault_token.deploy: Closing complete after"), "{plan}");
    assert!(!plan.contains("kubernetes_token_request.app: Opening"), "its account is not there yet:\n{plan}");
    let json = run(&["plan", "-format=json", "-input=false"], 0).stdout;
    let mut json: Value = serde_json::from_str(&json).expect("nothing but JSON");
    assert!(json["configuration"].take().to_string().contains("random_password"), "what is configured is said");
    assert!(!json.to_string().contains("random_password"), "{json}");
    let events = run(&["apply", "-json", "-auto-approve", "saved"], 0).stdout;
    for (kind, action) in [("start", "open"), ("complete", "open"), ("start", "close"), ("complete", "close")] {
        let found = events.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).any(|line| {
            line["type"] == format!("ephemeral_op_{kind}")
                && line["hook"]["action"] == action
                && line["hook"]["resource"]["addr"] == "ephemeral.kubernetes_token_request.app"
        });
        assert!(found, "{kind} {action}:\n{events}");
    }
    let first = lab.copy();
    let text = |copy: &Value, name: &str| copy[name].as_str().unwrap_or_else(|| panic!("{name}: {copy}")).to_owned();
    assert_eq!(text(&first, "password"), SECRET);
    assert_eq!((text(&first, "jwt").split('.').count(), text(&first, "admin").len()), (3, 32));
    // Another password in every run is no change; another version is one.
    run(&["plan", "-detailed-exitcode", "-input=false"], 0);
    let main = lab.folder.text("main.mesh.hcl");
    lab.write("main.mesh.hcl", &main.replace("data_wo_version = 1", "data_wo_version = 2"));
    run(&["apply", "-auto-approve"], 0);
    let second = lab.copy();
    assert_ne!(text(&first, "admin"), text(&second, "admin"));
    run(&["state", "show", "vault_kv_secret_v2.copy"], 0);
    let mut secrets = vec![SECRET.to_owned(), lab.env["MESH_VAR_token"].clone()];
    secrets.extend([&first, &second].into_iter().flat_map(|c| [text(c, "jwt"), text(c, "admin")]));
    assert!(secrets.iter().all(|s| !said.contains(s.as_str())), "a secret was printed:\n{said}");
    scan(lab.folder.path(), &secrets);
    lab.mesh(&["destroy", "-auto-approve"]).expect(0, "destroy");
    assert_eq!(lab.copy(), Value::Null);
    // An operation that fails, a condition that does not hold, an opening that is refused: nothing is left.
    lab.write("bad.mesh.hcl", "resource \"vault_kv_secret_v2\" \"bad\" {\n  provider = vault.deploy\n  mount = \"nowhere\"\n  name = \"x\"\n  data_wo = { a = ephemeral.random_password.admin.result }\n}\n");
    let output = lab.mesh(&["apply", "-auto-approve"]).expect(1, "there is no such mount");
    assert!(output.text().contains("vault_kv_secret_v2.bad"), "{}", output.text());
    lab.write("bad.mesh.hcl", "ephemeral \"vault_kv_secret\" \"bad\" {\n  provider = vault.deploy\n  mount = \"source\"\n  name = \"none\"\n}\n");
    let output = lab.mesh(&["plan"]).expect(1, "there is no such secret");
    assert!(output.text().contains("The secret does not exist") && output.text().contains("bad.mesh.hcl:"));
    lab.write("bad.mesh.hcl", "output \"leak\" {\n  value = ephemeral.vault_token.deploy.client_token\n}\n");
    let output = lab.mesh(&["apply", "-auto-approve"]).expect(1, "an output is stored");
    assert!(output.text().contains("An output would store an ephemeral value"), "{}", output.text());
    interrupted(&lab);
}

/// A plan that hangs at another server and is interrupted revokes what it has opened.
fn interrupted(lab: &Lab) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    lab.write(
        "bad.mesh.hcl",
        &format!("provider \"vault\" {{\n  alias = \"silent\"\n  address = {address:?}\n  token = ephemeral.vault_token.deploy.client_token\n}}\ndata \"vault_health\" \"h\" {{\n  provider = vault.silent\n}}\n"),
    );
    let before = lab.tokens();
    let child = lab.start(&["plan", "-input=false"]);
    // The token is made before it is sent anywhere.
    let (_waiting, _) = silent.accept().expect("mesh connects");
    assert_eq!(lab.tokens().difference(&before).count(), 1, "it is open");
    let start = Instant::now();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < Duration::from_secs(10), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("Interrupted") && text.contains("Closing complete"), "{text}");
    assert_eq!(lab.tokens(), before, "{text}");
}
