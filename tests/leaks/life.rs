//! The whole life of one stack with Vault, a cluster and a token, in a local state.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::canary::{text, word};
use super::scene::{Scene, servers};
use crate::site::certificate;

const HCL: &str = include_str!("main.mesh.hcl");

/// What other people do at the servers.
pub(super) struct Others {
    http: reqwest::blocking::Client,
}

impl Others {
    pub(super) fn new() -> Self {
        let (vault, cluster) = (servers().vault().expect("vault"), servers().kubernetes().expect("a cluster"));
        let http = reqwest::blocking::Client::builder()
            .tls_certs_only([certificate(&vault.ca_file), certificate(&cluster.ca_file)])
            .timeout(Duration::from_secs(20));
        Self { http: http.build().expect("a client") }
    }

    pub(super) fn vault(&self, path: &str, body: &Json) {
        let vault = servers().vault().expect("vault");
        let request = self.http.post(format!("{}/v1/{path}", vault.address));
        let answer = request.header("X-Vault-Token", vault.root_token()).body(body.to_string()).send();
        answer.and_then(reqwest::blocking::Response::error_for_status).expect("Vault does it");
    }

    /// Server-side apply of an object.
    pub(super) fn apply(&self, path: &str, body: &Json) {
        let answer = self.cluster("PATCH", &format!("{path}?fieldManager=others&force=true"), Some(body));
        assert!(answer["metadata"]["uid"].is_string(), "{answer}");
    }

    pub(super) fn cluster(&self, method: &str, path: &str, body: Option<&Json>) -> Json {
        let cluster = servers().kubernetes().expect("a cluster");
        let request = self.http.request(method.parse().expect("a method"), format!("{}{path}", cluster.url));
        let request = request.bearer_auth(cluster.token("admin").expect("a token"));
        let request = request.header("Content-Type", "application/apply-patch+yaml");
        let request = body.into_iter().fold(request, |request, body| request.body(body.to_string()));
        let answer = request.send().and_then(reqwest::blocking::Response::text).expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }
}

pub(super) fn secret(name: &str, data: &Json) -> Json {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "default" }, "stringData": data })
}

/// A key and a certificate that nobody knows, as a kubeconfig holds them.
fn client_key(folder: &Path) -> (String, String) {
    let arguments =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let more = ["-subj", "/CN=leaks", "-keyout", "k", "-out", "c"];
    let made = Command::new("openssl").args(arguments).args(more).current_dir(folder).output().expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("reads");
    (read("k"), read("c"))
}

/// The stack with all its canaries, and the arguments that give the rest.
pub(super) fn stack(others: &Others) -> (Scene, Vec<String>) {
    let mut scene = Scene::new(HCL);
    let (vault, cluster) = (servers().vault().expect("vault"), servers().kubernetes().expect("a cluster"));
    let token = cluster.token("admin").expect("a token");
    scene.flock.add("the token of the kubeconfig", token);
    scene.flock.add("the root token of Vault", vault.root_token());

    // Another user's kubeconfig, as text and with a key, too.
    let room = tempfile::tempdir().expect("a folder");
    let (key, certificate) = client_key(room.path());
    scene.flock.add("the client key", key.lines().nth(1).expect("a line"));
    let base64 = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let admin = cluster.kubeconfig("admin").expect("a kubeconfig");
    let mut config: Json = serde_json::from_slice(&std::fs::read(admin).expect("reads")).expect("JSON");
    config["users"][0]["user"]["client-key-data"] = base64(&key).into();
    config["users"][0]["user"]["client-certificate-data"] = base64(&certificate).into();
    scene.var("kubeconfig_content", &config.to_string());
    scene.var("kubeconfig", &admin.display().to_string());

    // A token of Vault whose text we choose, and secrets in it.
    let chosen = word("vault token");
    others.vault("auth/token/create", &json!({ "id": chosen, "policies": ["root"] }));
    scene.secret("vault_token", &chosen);
    others.vault("sys/mounts/source", &json!({ "type": "kv", "options": { "version": "1" } }));
    for (name, source) in [("db", "kept in Vault"), ("flying", "kept in Vault, ephemeral")] {
        others.vault(&format!("source/{name}"), &json!({ "password": text(source) }));
        scene.flock.add(source, &text(source));
    }
    scene.flock.add("a Secret of others", &text("a Secret of others"));
    others.apply(
        "/api/v1/namespaces/default/secrets/foreign",
        &secret("foreign", &json!({ "a": text("a Secret of others") })),
    );
    scene.var("vault_address", &vault.address);
    scene.var("vault_ca", &vault.ca_file.display().to_string());

    let (pin, so_pin) = (word("PIN"), word("SO PIN"));
    scene.flock.add("SO PIN", &so_pin);
    let hsm = tempfile::tempdir().expect("a folder").keep();
    let made = servers().soft_token(&hsm, "leaks", &so_pin, &pin).expect("a token");
    scene.secret("pin", &pin);
    scene.var("library", &made.module_path.display().to_string());
    scene.var("softhsm", &made.conf_path.display().to_string());

    for source in ["by_environment", "flying"] {
        scene.secret(source, &text(source));
    }
    // A key in PEM of lines that are canaries.
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n{}\n-----END PRIVATE KEY-----\n", word("tls 1"), word("tls 2"));
    scene.flock.add("the first line of the TLS key", &word("tls 1"));
    scene.flock.add("the second line of the TLS key", &word("tls 2"));
    scene.var("tls_key", &key);
    scene.flock.add("listed", &text("listed"));
    scene.var("listed", &format!("{{ a = [{}] }}", quoted(&text("listed"))));

    scene.flock.add("a file", &text("a file"));
    let file = scene.input("secret.txt", &text("a file"));
    scene.var("secret_file", &file);
    let template = scene.input("template.txt", "it is ${secret}, ${base64encode(secret)}\n");
    scene.var("template", &template);
    scene.flock.add("by_file", &text("by_file"));
    let values = format!("by_file = {}\n", quoted(&text("by_file")));
    let values = format!("-var-file={}", scene.input("v.meshvars.hcl", &values));
    scene.flock.add("by_argument", &text("by_argument"));
    (scene, vec![values, format!("-var=by_argument={}", text("by_argument"))])
}

/// A text as HCL writes it.
pub(super) fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${");
    format!("\"{text}\"")
}

#[test]
fn no_command_of_a_whole_life_leaks() {
    let others = Others::new();
    let (mut scene, variables) = stack(&others);
    let with = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().map(|a| (*a).to_owned()).chain(variables.iter().cloned()).collect()
    };
    let run = |scene: &Scene, code: i32, arguments: &[&str]| {
        let all = with(arguments);
        scene.run(code, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    scene.run(0, &["init"]);
    scene.run(0, &["validate", "-json"]);
    for arguments in [
        &["plan"][..],
        &["plan", "-json"],
        &["plan", "-format=json"],
        &["plan", "-format=markdown"],
        &["plan", "-out=p"],
        &["graph"],
    ] {
        run(&scene, 0, arguments);
    }
    for arguments in [&["show", "p"][..], &["show", "-json", "p"]] {
        scene.run(0, arguments);
    }
    // Killed at some moments, then finished; what it has started meanwhile tells nothing either.
    let apply = with(&["apply", "-auto-approve"]);
    let apply: Vec<&str> = apply.iter().map(String::as_str).collect();
    for after in [400, 900, 1500] {
        scene.kill(&apply, Duration::from_millis(after));
    }
    let mut running = scene.start(&apply);
    assert!(scene.children(running.id()) > 0, "the worker of the HSM was seen");
    let code = running.wait().expect("ends").code();
    assert_eq!(
        code,
        Some(0),
        "{}",
        std::fs::read_to_string(Path::new(&scene.env["TMPDIR"]).join("said")).expect("reads")
    );
    run(&scene, 0, &["plan", "-detailed-exitcode"]);
    scene.run(0, &["state", "list"]);
    for address in ["terraform_data.all", "vault_kv_secret_v2.kept", "kubernetes_manifest.tls", "local_file.asked"] {
        scene.run(0, &["state", "show", address]);
    }
    for arguments in [&["show"][..], &["show", "-json"], &["state", "pull"], &["output"], &["output", "-json"]] {
        scene.run(0, arguments);
    }
    // Other people change what we keep, to other secrets.
    for source in ["drift in Vault", "drift in a Secret"] {
        scene.flock.add(source, &text(source));
    }
    others.vault("copy/data/kept", &json!({ "data": { "a": text("drift in Vault"), "c": text("drift in Vault") } }));
    let drifted = secret("tls", &json!({ "tls.key": text("drift in a Secret"), "more": text("drift in a Secret") }));
    others.apply("/api/v1/namespaces/default/secrets/tls", &drifted);
    run(&scene, 2, &["drift"]);
    run(&scene, 2, &["drift", "-json"]);
    run(&scene, 0, &["plan", "-format=json"]);
    run(&scene, 0, &["refresh"]);
    // Every value is another one.
    for source in ["by_environment", "flying"] {
        let next = text(&format!("{source}, later"));
        scene.secret(source, &next);
    }
    run(&scene, 0, &["plan"]);
    run(&scene, 0, &["apply", "-auto-approve", "-json", "-var=round=1"]);
    for arguments in [
        &["state", "history"][..],
        &["state", "history", "-json"],
        &["state", "diff", "1"],
        &["state", "diff", "-json", "1"],
    ] {
        scene.run(0, arguments);
    }
    scene.run(0, &["state", "rollback", "-auto-approve", "1"]);
    run(&scene, 0, &["apply", "-auto-approve", "-var=round=1"]);
    scene.run(0, &["state", "rm", "vault_kv_secret_v2.kept"]);
    run(&scene, 0, &["import", "vault_kv_secret_v2.kept", "copy/data/kept"]);
    scene.run(0, &["state", "rm", "kubernetes_manifest.tls"]);
    run(&scene, 0, &["import", "kubernetes_manifest.tls", "Secret default/tls"]);
    scene.run(0, &["taint", "terraform_data.all"]);
    scene.run(0, &["state", "rekey"]);
    console(&scene, &with(&["console"]));
    // A workspace whose runs end with an error in the middle.
    scene.run(0, &["workspace", "list"]);
    scene.run(0, &["workspace", "show"]);
    run(&scene, 0, &["destroy", "-auto-approve"]);
    scene.nothing();
}

/// What is asked for in a console is hidden, also in errors.
fn console(scene: &Scene, arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for (line, answer) in [
        ("base64encode(var.by_environment)", "(sensitive value)"),
        ("jsonencode(var.listed)", "(sensitive value)"),
        ("[terraform_data.all.output, local.rendered]", "(sensitive value)"),
        ("var.by_argument == \"x\"", "(sensitive value)"),
        ("var.flying", "(ephemeral value)"),
        ("tonumber(var.by_file)", "Error:"),
        ("nosuch(var.pin)", "Error:"),
        ("var.listed[var.by_argument]", "Error:"),
        ("file(var.by_argument)", "Error:"),
    ] {
        let said = scene.told(&arguments, &format!("{line}\n"));
        assert!(said.contains(answer), "{line}: {said}");
    }
}
