//! A Kubernetes cluster: etcd, apiserver, controller-manager, scheduler, and kwok as its nodes.
//!
//! Everything that decides about objects is the real thing; only kubelets are played (see `stages/stages.yaml`). RBAC
//! is on, and besides the admin there are users without any right, for tests that must grant what suffices.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::build::Programs;
use crate::certs::{self, Certs};
use crate::error::{Error, Result, at};
use crate::folder::write_private;
use crate::http::Http;
use crate::kubeconfig;
use crate::process::{Launcher, Program, Server};
use crate::progress::{Event, Progress};
use crate::unique::{Slot, free_port, secret};

/// Which containers of a pod are ready, by name, separated by commas; without it all are.
pub const READY_ANNOTATION: &str = "sandbox.mesh/ready";

const ADMIN: &str = "admin";
const NODES: u8 = 3;
const STAGES: &str = include_str!("../stages/stages.yaml");
/// Seconds when warm; the limit leaves room for a machine that builds something at the same time.
const LIMIT: Duration = Duration::from_secs(90);

/// A node that kwok plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `node-1` to `node-3`.
    pub name: String,
    /// Its InternalIP, a loopback address on which tests may listen.
    pub ip: Ipv4Addr,
}

/// The running cluster.
pub struct Kubernetes {
    /// `https://127.0.0.1:<port>`.
    pub url: String,
    /// The CA of the apiserver's certificate (PEM).
    pub ca_file: PathBuf,
    /// The credentials of cluster-admin.
    pub admin_kubeconfig: PathBuf,
    /// Three of them.
    pub nodes: Vec<Node>,
    users: BTreeMap<String, (PathBuf, String)>,
    servers: Vec<Server>,
}

/// What the cluster is made of.
pub(crate) struct Parts<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) openssl: &'a Path,
    pub(crate) launcher: &'a Launcher,
    pub(crate) slot: &'a Slot,
    pub(crate) folder: &'a Path,
    pub(crate) users: &'a [String],
    pub(crate) progress: &'a dyn Progress,
}

impl Kubernetes {
    /// The kubeconfig of a user of `Options::users`, or of `admin`.
    ///
    /// # Errors
    /// There is no such user.
    pub fn kubeconfig(&self, user: &str) -> Result<&Path> {
        Ok(&self.user(user)?.0)
    }

    /// The bearer token of a user of `Options::users`, or of `admin`.
    ///
    /// # Errors
    /// There is no such user.
    pub fn token(&self, user: &str) -> Result<&str> {
        Ok(&self.user(user)?.1)
    }

    fn user(&self, user: &str) -> Result<&(PathBuf, String)> {
        let known = || self.users.keys().cloned().collect::<Vec<_>>().join(", ");
        self.users
            .get(user)
            .ok_or_else(|| Error::NotThere(format!("this cluster has no user `{user}`, only {}", known())))
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(crate) fn start(parts: &Parts<'_>) -> Result<Self> {
        let certs = certs::make(parts.openssl, parts.folder)?;
        let mut users: BTreeMap<String, String> = parts.users.iter().map(|user| (user.clone(), secret())).collect();
        users.insert(ADMIN.to_owned(), secret());
        let tokens = parts.folder.join("tokens.csv");
        let lines = users.iter().map(|(user, token)| {
            let group = if user == ADMIN { "system:masters" } else { "" };
            format!("{token},{user},{user},\"{group}\"\n")
        });
        write_private(&tokens, &lines.collect::<String>())?;
        let stages = parts.folder.join("stages.yaml");
        at(&stages, std::fs::write(&stages, STAGES))?;

        let (etcd, etcd_url) = parts.etcd()?;
        let port = free_port()?;
        let url = format!("https://127.0.0.1:{port}");
        let admin_token = users.get(ADMIN).map_or("", String::as_str);
        let admin = kubeconfig::write(parts.folder, ADMIN, &url, &certs.ca, admin_token)?;
        let api = Http::new(&url, &certs.ca, ("Authorization", format!("Bearer {admin_token}")))?;
        let apiserver = parts.apiserver(&certs, &tokens, &etcd_url, port, &api)?;
        let mut servers = parts.controllers(&certs, &admin, &stages)?;
        let nodes = parts.nodes(&api, servers.first())?;
        for server in &servers {
            parts.progress.event(&Event::Ready {
                server: server.name.clone(),
                address: String::new(),
                elapsed: server.started.elapsed(),
            });
        }
        // Stopped in this order: what talks to the apiserver first.
        servers.extend([apiserver, etcd]);
        let kubeconfigs = users.into_iter().map(|(user, token)| {
            let file = kubeconfig::write(parts.folder, &user, &url, &certs.ca, &token)?;
            Ok((user, (file, token)))
        });
        let users = kubeconfigs.collect::<Result<_>>()?;
        Ok(Self { url, ca_file: certs.ca, admin_kubeconfig: admin, nodes, users, servers })
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("url", &self.url).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Parts<'_> {
    fn launch(&self, name: &'static str, args: Vec<String>) -> Result<Server> {
        self.progress.event(&Event::Starting { server: name.to_owned() });
        let program =
            self.programs.get(name).ok_or_else(|| Error::NotThere(format!("there is no program `{name}`")))?;
        let args = args.into_iter().map(OsString::from).collect();
        let log = self.folder.join(format!("{name}.log"));
        self.launcher.launch(Program { name, program, args, env: Vec::new(), folder: self.folder, log, inherit: false })
    }

    fn ready(&self, server: &Server, address: &str) {
        let (name, elapsed) = (server.name.clone(), server.started.elapsed());
        self.progress.event(&Event::Ready { server: name, address: address.to_owned(), elapsed });
    }

    fn etcd(&self) -> Result<(Server, String)> {
        let client = format!("http://127.0.0.1:{}", free_port()?);
        let peer = format!("http://127.0.0.1:{}", free_port()?);
        let server = self.launch(
            "etcd",
            vec![
                "--name=sandbox".to_owned(),
                format!("--data-dir={}", self.folder.join("etcd").display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=sandbox={peer}"),
                // The data is thrown away: nothing has to survive a power cut.
                "--unsafe-no-fsync=true".to_owned(),
            ],
        )?;
        let address = client.trim_start_matches("http://").to_owned();
        server.wait_until(LIMIT, || std::net::TcpStream::connect(&address).is_ok())?;
        self.ready(&server, &client);
        Ok((server, client))
    }

    fn apiserver(&self, certs: &Certs, tokens: &Path, etcd: &str, port: u16, api: &Http) -> Result<Server> {
        let server = self.launch(
            "kube-apiserver",
            vec![
                format!("--etcd-servers={etcd}"),
                "--bind-address=127.0.0.1".to_owned(),
                // Else it asks the machine for its address on the outside, and puts it into the Service `kubernetes`.
                "--advertise-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--secure-port={port}"),
                format!("--cert-dir={}", self.folder.display()),
                format!("--tls-cert-file={}", certs.serving.display()),
                format!("--tls-private-key-file={}", certs.serving_key.display()),
                format!("--token-auth-file={}", tokens.display()),
                "--authorization-mode=RBAC".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", certs.accounts_key.display()),
                format!("--service-account-signing-key-file={}", certs.accounts_key.display()),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--service-node-port-range=30000-32767".to_owned(),
                "--allow-privileged=true".to_owned(),
            ],
        )?;
        server.wait_until(LIMIT, || api.ok("/readyz"))?;
        self.ready(&server, &format!("https://127.0.0.1:{port}"));
        Ok(server)
    }

    /// kwok, the controller-manager and the scheduler, in this order.
    fn controllers(&self, certs: &Certs, admin: &Path, stages: &Path) -> Result<Vec<Server>> {
        let kubeconfig = format!("--kubeconfig={}", admin.display());
        let kwok = vec![
            kubeconfig.clone(),
            format!("--config={}", stages.display()),
            "--manage-all-nodes=true".to_owned(),
            "--node-lease-duration-seconds=40".to_owned(),
            "--cidr=10.244.0.0/16".to_owned(),
        ];
        let manager = vec![
            kubeconfig.clone(),
            format!("--service-account-private-key-file={}", certs.accounts_key.display()),
            format!("--root-ca-file={}", certs.ca.display()),
            format!("--cluster-signing-cert-file={}", certs.ca.display()),
            format!("--cluster-signing-key-file={}", certs.ca_key.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--controllers=*,-nodeipam,-cloud-node-lifecycle".to_owned(),
        ];
        let scheduler = vec![kubeconfig, "--leader-elect=false".to_owned(), "--secure-port=0".to_owned()];
        Ok(vec![
            self.launch("kwok", kwok)?,
            self.launch("kube-controller-manager", manager)?,
            self.launch("kube-scheduler", scheduler)?,
        ])
    }

    /// Creates the nodes, and waits until they are Ready and free of taints and until pods can be created.
    fn nodes(&self, api: &Http, kwok: Option<&Server>) -> Result<Vec<Node>> {
        let nodes: Vec<Node> =
            (0..NODES).map(|index| Node { name: format!("node-{}", index + 1), ip: self.slot.node(index) }).collect();
        for node in &nodes {
            api.call(Method::POST, "/api/v1/nodes", &node_object(node))?;
        }
        let Some(kwok) = kwok else { return Ok(nodes) };
        kwok.wait_until(LIMIT, || {
            let all = api.call(Method::GET, "/api/v1/nodes", &Value::Null);
            all.is_ok_and(|all| all["items"].as_array().is_some_and(|items| items.iter().all(is_usable)))
                && api.ok("/api/v1/namespaces/default/serviceaccounts/default")
                && api.ok("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
        })?;
        Ok(nodes)
    }
}

fn is_usable(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
    ready && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
}

fn node_object(node: &Node) -> Value {
    let resources = json!({"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
            },
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node.ip},
                {"type": "Hostname", "address": node.name},
            ],
            "capacity": resources,
            "allocatable": resources,
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "osImage": "mesh sandbox", "kernelVersion": "none",
                "containerRuntimeVersion": "kwok://0.8.0", "kubeletVersion": "v1.36.3", "kubeProxyVersion": "v1.36.3",
                "machineID": "", "systemUUID": "", "bootID": "",
            },
        },
    })
}
