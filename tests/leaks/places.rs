//! State elsewhere: what a bucket, a database, a cluster and a server of the http protocol are given.
//!
//! The one decision: everything that a place keeps is read behind the backend's back (files of the drive, a dump of the
//! database, objects of the API, bodies of requests), after each step, also while a killed run's intents lie there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::canary::{text, word};
use super::life::Others;
use super::scene::{SEEN, Scene, servers};
use crate::backends::Server;

const HCL: &str = r#"
variable "secret" { sensitive = true }
variable "flying" { ephemeral = true }
variable "round" { default = 0 }
variable "fail" { default = false }
resource "terraform_data" "seen" { input = "nosecret4711seen" }
resource "terraform_data" "secret" {
  input            = { plain = var.secret, json = jsonencode({ a = [var.secret] }), base64 = base64encode(var.secret) }
  triggers_replace = var.round
}
resource "terraform_data" "many" {
  count            = 40
  input            = "${var.secret}-${count.index}"
  triggers_replace = var.round
}
resource "local_file" "asked" {
  count             = 20
  filename          = "out/${mesh.workspace}-${count.index}"
  sensitive_content = "${var.secret}-${var.round}"
}
resource "terraform_data" "fails" {
  count      = var.fail ? 1 : 0
  input      = var.secret
  depends_on = [terraform_data.many]
  lifecycle {
    postcondition {
      condition     = self.output == "x"
      error_message = "it is ${nonsensitive("another one")}"
    }
  }
}
output "seen" { value = "nosecret4711seen" }
output "secret" {
  value     = [var.secret, terraform_data.secret.output]
  sensitive = true
}
"#;

/// A backend, the variables that reach it, and all that it keeps.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) block: String,
    /// Variables of the environment; what is secret is a canary.
    pub(super) env: Vec<(&'static str, String)>,
    pub(super) secrets: Vec<(&'static str, String)>,
    pub(super) dump: Box<dyn Fn() -> Vec<(String, Vec<u8>)>>,
}

fn files(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
        if path.is_dir() {
            files(&path, out);
        } else {
            // A file of the drive may be replaced meanwhile.
            out.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

/// The folder of a bucket on the drive.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path()).filter(|p| p.is_dir());
    entries.into_iter().find_map(|path| if path.ends_with(name) { Some(path) } else { find(&path, name) })
}

pub(super) fn s3() -> Place {
    let minio = servers().minio().expect("minio");
    let bucket = minio.bucket("leaks").expect("a bucket");
    let drive = find(servers().folder(), &bucket).expect("the bucket on the drive");
    Place {
        name: "s3",
        block: format!(
            "  backend \"s3\" {{\n    bucket       = \"{bucket}\"\n    endpoint     = \"{}\"\n    ca_cert_file = \"{}\"\n  }}\n",
            minio.address,
            minio.ca_file.display()
        ),
        env: vec![
            ("AWS_ACCESS_KEY_ID", minio.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", minio.secret_key().into()),
        ],
        secrets: vec![("the key of the bucket", minio.secret_key().to_owned())],
        dump: Box::new(move || {
            let mut all = Vec::new();
            files(&drive, &mut all);
            all
        }),
    }
}

pub(super) fn postgres() -> Place {
    let server = servers().postgres().expect("a database");
    let schema = servers().namespace("leaks").replace('-', "_");
    let connection = server.connection("postgres", "verify-full");
    let block = format!(
        "  backend \"postgres\" {{\n    connection   = var.connection\n    ca_cert_file = \"{}\"\n    schema       = \"{schema}\"\n  }}\n",
        server.ca_file.display()
    );
    let (ca, dumped) = (server.ca_file.clone(), connection.clone());
    Place {
        name: "postgres",
        block,
        env: vec![("MESH_VAR_connection", connection.clone()), ("DATABASE_URL", connection)],
        secrets: vec![("the password of the database", server.password().to_owned())],
        dump: Box::new(move || {
            let mut dump = Command::new("pg_dump");
            dump.args(["--inserts", "--schema", &schema, "--dbname", &dumped]).env("PGSSLROOTCERT", &ca);
            let dump = dump.output().expect("pg_dump runs");
            assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
            vec![("its dump".to_owned(), dump.stdout)]
        }),
    }
}

pub(super) fn kubernetes() -> Place {
    let cluster = servers().kubernetes().expect("a cluster");
    let namespace = servers().namespace("leaks");
    let others = Others::new();
    let object = serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    others.apply(&format!("/api/v1/namespaces/{namespace}"), &object);
    let kubeconfig = cluster.kubeconfig("admin").expect("a kubeconfig").display().to_string();
    Place {
        name: "kubernetes",
        block: format!(
            "  backend \"kubernetes\" {{\n    namespace  = \"{namespace}\"\n    kubeconfig = \"{kubeconfig}\"\n  }}\n"
        ),
        env: Vec::new(),
        secrets: vec![("the token of the kubeconfig", cluster.token("admin").expect("a token").to_owned())],
        dump: Box::new(move || {
            let kinds = ["api/v1", "apis/coordination.k8s.io/v1"].into_iter().zip(["secrets", "leases"]);
            let kinds = kinds.chain([("api/v1", "configmaps"), ("api/v1", "events")]);
            kinds
                .map(|(group, kind)| {
                    let list = others.cluster("GET", &format!("/{group}/namespaces/{namespace}/{kind}"), None);
                    assert!(list["items"].is_array(), "{list}");
                    (kind.to_owned(), list.to_string().into_bytes())
                })
                .collect()
        }),
    }
}

pub(super) fn http() -> Place {
    let password = word("http password");
    let server = Server::start(&password);
    let address = &server.address;
    Place {
        name: "http",
        block: format!(
            "  backend \"http\" {{\n    address      = \"{address}/state\"\n    lock_address = \"{address}/state\"\n    username     = \"ada\"\n  }}\n"
        ),
        env: vec![("TF_HTTP_PASSWORD", password.clone())],
        secrets: vec![("the password of the http server", password)],
        dump: Box::new(move || server.requests()),
    }
}

/// The working folder of a stack at a place.
pub(super) fn scene(place: &Place, encryption: &str, hcl: &str) -> Scene {
    let connection =
        if place.block.contains("var.connection") { "variable \"connection\" { sensitive = true }\n" } else { "" };
    let mut scene = Scene::new(&format!("mesh {{\n{}{encryption}}}\n{connection}{hcl}", place.block));
    scene.env.extend(place.env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    for (source, secret) in &place.secrets {
        scene.flock.add(source, secret);
    }
    scene.secret("secret", &text("secret"));
    scene.secret("flying", &text("flying"));
    scene
}

/// Gives back what a killed run holds.
fn unlock(scene: &Scene) {
    let said = scene.asked_any(&["unlock", "-force", "nonsense"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
    let Some((_, id)) = said.split_once(", lock id ") else { return };
    let id = id.split('.').next().expect("an id").to_owned();
    scene.run(0, &["unlock", "-force", &id]);
}

fn life(place: &Place) {
    let mut scene = scene(place, "", HCL);
    let look = |scene: &Scene, after: &str| scene.elsewhere(&format!("{} after {after}", place.name), &place.dump);
    scene.run(0, &["init"]);
    scene.run(0, &["plan", "-out=p"]);
    scene.run(0, &["apply", "p"]);
    look(&scene, "apply");
    for (round, after) in [300, 500, 800, 1100].into_iter().enumerate() {
        let secret = text(&format!("secret {round}"));
        scene.secret("secret", &secret);
        let round = format!("-var=round={}", round + 1);
        scene.kill(&["apply", "-auto-approve", &round], Duration::from_millis(after));
        look(&scene, "a kill");
        unlock(&scene);
    }
    scene.run(1, &["apply", "-auto-approve", "-json", "-var=fail=true", "-var=round=6"]);
    look(&scene, "a failing apply");
    scene.run(0, &["apply", "-auto-approve", "-var=round=6"]);
    scene.run(0, &["state", "pull"]);
    scene.run(0, &["state", "history"]);
    if place.name != "http" {
        scene.run(0, &["state", "diff", "1"]);
        scene.run(0, &["state", "rollback", "-auto-approve", "1"]);
        scene.run(0, &["workspace", "new", "eu"]);
        scene.run(0, &["apply", "-auto-approve"]);
        look(&scene, "workspaces");
        scene.run(0, &["workspace", "select", "default"]);
    }
    scene.run(0, &["taint", "terraform_data.secret"]);
    scene.run(0, &["state", "rekey"]);
    look(&scene, "a life");
    // Whoever may not come in is refused with words that tell nothing of the key that was tried.
    for (name, value) in &place.env {
        let wrong = match *name {
            "AWS_SECRET_ACCESS_KEY" => word("wrong"),
            "MESH_VAR_connection" => value.replace(&place.secrets[0].1, &word("wrong")),
            _ => continue,
        };
        scene.flock.add("a wrong key", &word("wrong"));
        let right = scene.env.insert((*name).to_owned(), wrong);
        scene.run(1, &["plan"]);
        scene.run(1, &["plan", "-json"]);
        if *name == "MESH_VAR_connection" {
            let broken = format!("postgresql://u:{}@[broken:x/ y?sslmode={}", word("wrong"), word("wrong"));
            scene.env.insert((*name).to_owned(), broken);
            scene.run(1, &["plan"]);
        }
        scene.env.extend(right.map(|right| ((*name).to_owned(), right)));
    }
    // A control at the place itself: the scan sees what is no secret there, and would see this one.
    scene.flock.add("the control", SEEN);
    assert!((place.dump)().iter().any(|(_, bytes)| scene.flock.find(bytes).contains("the control")), "the control");
    scene.nothing();
}

#[test]
fn a_bucket_keeps_no_secret() {
    life(&s3());
}

#[test]
fn a_database_keeps_no_secret() {
    life(&postgres());
}

#[test]
fn a_cluster_keeps_no_secret() {
    life(&kubernetes());
}

#[test]
fn a_server_of_the_http_protocol_keeps_no_secret() {
    life(&http());
}

#[test]
fn a_state_that_moves_leaves_no_secret_behind() {
    let places = [s3(), postgres(), kubernetes()];
    let mut scene = scene(&places[0], "", HCL);
    for place in &places[1..] {
        scene.env.extend(place.env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        for (source, secret) in &place.secrets {
            scene.flock.add(source, secret);
        }
    }
    scene.run(0, &["apply", "-auto-approve"]);
    for place in &places[1..] {
        scene.write(
            "main.mesh.hcl",
            &format!("mesh {{\n{}}}\nvariable \"connection\" {{ sensitive = true }}\n{HCL}", place.block),
        );
        scene.run(1, &["plan"]);
        scene.run(0, &["init", "-migrate-state", "-force-copy"]);
        scene.elsewhere(place.name, &place.dump);
        scene.run(0, &["plan", "-detailed-exitcode"]);
    }
    scene.nothing();
}
