//! Backends of the real servers, each with a state of its own and a network that can be cut.
//!
//! The one decision: what belongs to one backend stands here alone: its block, its variables and what messages call it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use mesh_sandbox::{Part, Sandbox};
use serde_json::{Value, json};

use super::proxy::Proxy;
use super::server::Server;
use crate::site::sandbox;

/// The servers of all scenes, here and in `kills`; the kernel ends them with the process.
pub(crate) fn servers() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| sandbox(&[&Part::ALL[..], &[Part::Minio]].concat()))
}

/// A backend with a state of its own, and a network to it.
pub(crate) struct Place {
    /// The `mesh` block; the address is a variable.
    pub(crate) block: String,
    /// What reaches it directly.
    pub(crate) direct: BTreeMap<String, String>,
    /// What reaches it through the network.
    pub(super) through: BTreeMap<String, String>,
    pub(super) network: Proxy,
    /// What messages call it.
    pub(super) called: String,
    /// What of its server is its own: a bucket, a schema, a namespace, a path.
    pub(super) own: String,
    _folder: tempfile::TempDir,
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn port_of(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port")
}

pub(crate) fn s3() -> Place {
    let (minio, folder) = (servers().minio().expect("minio"), tempfile::tempdir().expect("a folder"));
    let bucket = minio.bucket("state").expect("a bucket");
    let network = Proxy::new(port_of(&minio.address));
    let block = format!(
        "mesh {{\n  backend \"s3\" {{\n    bucket       = \"{bucket}\"\n    prefix       = \"team/prod\"\n    endpoint     = var.endpoint\n    ca_cert_file = \"{}\"\n  }}\n}}\nvariable \"endpoint\" {{}}\n",
        minio.ca_file.display()
    );
    let env = |address: &str| {
        variables(&[
            ("MESH_VAR_endpoint", address),
            ("AWS_ACCESS_KEY_ID", &minio.access_key),
            ("AWS_SECRET_ACCESS_KEY", minio.secret_key()),
        ])
    };
    let through = env(&format!("https://127.0.0.1:{}", network.port));
    let called = format!("s3 bucket {bucket}, prefix team/prod");
    Place { block, direct: env(&minio.address), through, network, called, own: bucket, _folder: folder }
}

/// The database, in a sandbox of its own: the other servers take longer to start.
pub(super) fn database() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| sandbox(&[Part::Postgres]))
}

pub(crate) fn postgres() -> Place {
    let (server, folder) = (database().postgres().expect("a database"), tempfile::tempdir().expect("a folder"));
    let schema = database().namespace("state").replace('-', "_");
    let network = Proxy::new(server.port);
    let block = format!(
        "mesh {{\n  backend \"postgres\" {{\n    connection   = var.connection\n    ca_cert_file = \"{}\"\n    schema       = \"{schema}\"\n    name         = \"prod\"\n  }}\n}}\nvariable \"connection\" {{}}\n",
        server.ca_file.display()
    );
    let env = |port: u16| {
        let connection = format!("postgresql://{}@127.0.0.1:{port}/postgres?sslmode=verify-full", server.user);
        variables(&[("MESH_VAR_connection", &connection), ("PGPASSWORD", server.password())])
    };
    let (direct, through, called) = (env(server.port), env(network.port), format!("state {schema}.prod"));
    Place { block, direct, through, network, called, own: schema, _folder: folder }
}

pub(crate) fn kubernetes() -> Place {
    let (cluster, folder) = (servers().kubernetes().expect("a cluster"), tempfile::tempdir().expect("a folder"));
    let namespace = servers().namespace("state");
    make("namespaces", &json!({ "metadata": { "name": namespace } }));
    let network = Proxy::new(port_of(&cluster.url));
    let direct = cluster.kubeconfig("admin").expect("a kubeconfig");
    let text = std::fs::read_to_string(direct).expect("reads");
    let through = folder.path().join("through");
    let moved = text.replace(&cluster.url, &format!("https://127.0.0.1:{}", network.port));
    std::fs::write(&through, moved).expect("writes");
    let block = format!(
        "mesh {{\n  backend \"kubernetes\" {{\n    namespace  = \"{namespace}\"\n    name       = \"prod\"\n    kubeconfig = var.kubeconfig\n  }}\n}}\nvariable \"kubeconfig\" {{}}\n"
    );
    let env = |file: &Path| variables(&[("MESH_VAR_kubeconfig", &file.display().to_string())]);
    let called = format!("kubernetes namespace {namespace}, state prod");
    Place { block, direct: env(direct), through: env(&through), network, called, own: namespace, _folder: folder }
}

/// A server of Terraform's protocol.
pub(super) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start("pw"))
}

/// Terraform's protocol. Its copy on this machine belongs to one address, so every command takes the same way.
pub(super) fn http() -> Place {
    let (server, folder) = (server(), tempfile::tempdir().expect("a folder"));
    let network = Proxy::new(port_of(&server.address));
    let path = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
    let address = format!("http://127.0.0.1:{}/{path}", network.port);
    let block = format!(
        "mesh {{\n  backend \"http\" {{\n    address      = \"{address}\"\n    lock_address = \"{address}\"\n    username     = \"ada\"\n  }}\n}}\n"
    );
    let env = variables(&[("TF_HTTP_PASSWORD", "pw")]);
    Place { block, direct: env.clone(), through: env, network, called: address, own: path, _folder: folder }
}

/// Makes something in the cluster as an administrator; the answer.
pub(super) fn make(path: &str, object: &Value) -> Value {
    let cluster = servers().kubernetes().expect("a cluster");
    let group = if path.contains("/role") { "apis/rbac.authorization.k8s.io" } else { "api" };
    let made = std::process::Command::new("curl")
        .args(["-sf", "--cacert"])
        .arg(&cluster.ca_file)
        .args(["-H", &format!("Authorization: Bearer {}", token("admin")), "-H", "Content-Type: application/json"])
        .args(["-d", &object.to_string(), &format!("{}/{group}/v1/{path}", cluster.url)])
        .output()
        .expect("curl runs");
    assert!(made.status.success(), "{path}: {made:?}");
    serde_json::from_slice(&made.stdout).expect("JSON")
}

/// The token of a user of the cluster.
fn token(user: &str) -> String {
    let file = servers().kubernetes().expect("a cluster").kubeconfig(user).expect("a kubeconfig");
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(file).expect("reads")).expect("it is written as JSON");
    json["users"][0]["user"]["token"].as_str().expect("a token").to_owned()
}
