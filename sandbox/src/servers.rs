//! The servers that are built, as data: module files, packages, flags.
//!
//! The module files are embedded, so the installed binary needs no source tree. Adding a server is a folder under
//! `servers/` and a row in [`SERVERS`]; a test fails when a folder has no row. Versions are pinned by the module
//! files alone; the flags only make the binaries small and let Kubernetes know its version.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::options::{Options, Part, is_executable};

/// One Go module and the programs that are built from it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
    /// File name and content.
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) tags: &'static str,
    pub(crate) ldflags: &'static str,
    /// The binary's name and its package.
    pub(crate) programs: &'static [(&'static str, &'static str)],
    /// A cold build on two cores.
    pub(crate) usually: Duration,
}

macro_rules! module_files {
    ($name:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../servers/", $name, "/", $file)))),+]
    };
}

pub(crate) const SERVERS: &[Server] = &[
    Server {
        name: "etcd",
        part: Part::Kubernetes,
        files: module_files!("etcd": "go.mod", "go.sum"),
        tags: "",
        ldflags: "-s -w",
        programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
        usually: Duration::from_secs(25),
    },
    Server {
        name: "kubernetes",
        part: Part::Kubernetes,
        files: module_files!("kubernetes": "go.mod", "go.sum", "tools.go"),
        tags: "",
        // Without these the server calls itself v0.0.0-master.
        ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
                  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
        programs: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ],
        usually: Duration::from_secs(255),
    },
    Server {
        name: "kwok",
        part: Part::Kubernetes,
        files: module_files!("kwok": "go.mod", "go.sum"),
        tags: "",
        ldflags: "-s -w",
        programs: &[("kwok", "sigs.k8s.io/kwok/cmd/kwok")],
        usually: Duration::from_secs(55),
    },
    Server {
        name: "vault",
        part: Part::Vault,
        files: module_files!("vault": "go.mod", "go.sum", "tools.go"),
        // kv, pki, ssh, transit, approle, cert, jwt, userpass: what the providers speak to.
        tags: "minimal",
        ldflags: "-s -w",
        programs: &[
            ("vault", "github.com/hashicorp/vault"),
            (
                "vault-plugin-auth-kubernetes",
                "github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes",
            ),
        ],
        usually: Duration::from_secs(290),
    },
    Server {
        name: "conftest",
        part: Part::Conftest,
        files: module_files!("conftest": "go.mod", "go.sum", "tools.go"),
        tags: "",
        ldflags: "-s -w",
        programs: &[("conftest", "github.com/open-policy-agent/conftest")],
        usually: Duration::from_secs(200),
    },
    Server {
        name: "minio",
        part: Part::Minio,
        files: module_files!("minio": "go.mod", "go.sum"),
        tags: "",
        ldflags: "-s -w",
        programs: &[("minio", "github.com/minio/minio")],
        usually: Duration::from_secs(240),
    },
];

/// The servers of the chosen parts, in the order of the table.
pub(crate) fn of_parts(parts: &BTreeSet<Part>) -> impl Iterator<Item = &'static Server> {
    SERVERS.iter().filter(|server| parts.contains(&server.part))
}

impl Server {
    /// Whether a program of it is neither in the given folder nor on the path.
    pub(crate) fn must_be_built(&self, options: &Options) -> bool {
        self.programs.iter().any(|(program, _)| found(options, program).is_none())
    }
}

/// A binary that wins over building: in the given folder, else on the path.
pub(crate) fn found(options: &Options, program: &str) -> Option<std::path::PathBuf> {
    let given = options.bin_dir.iter().map(|folder| folder.join(program)).find(|file| is_executable(file));
    // Absolute, for servers run in folders of their own.
    given.or_else(|| options.find(program)).and_then(|file| std::path::absolute(file).ok())
}
