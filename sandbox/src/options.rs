//! What a caller chooses: parts, folders, names.
//!
//! Everything that would come from the environment (HOME, PATH) is a plain argument here, so that the crate behaves
//! the same in the command, in tests and in another program.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::unique;

/// A part of the real system; parts are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// etcd, kube-apiserver, controller-manager, scheduler, kwok and three nodes.
    Kubernetes,
    /// Vault over TLS, with the kubernetes auth plugin.
    Vault,
    /// A SoftHSM token.
    Hsm,
    /// HAProxy with a foreign configuration, an empty `conf.d`, master and stats sockets.
    Gateway,
    /// conftest, which reads plans with policies. Nothing of it runs in a sandbox.
    Conftest,
    /// MinIO, a store that speaks S3. Only for tests of what lies in buckets.
    Minio,
    /// PostgreSQL over TLS, from Debian's package. Only for tests of what lies in a database.
    Postgres,
}

impl Part {
    /// All that run in a usual sandbox.
    pub const ALL: [Self; 4] = [Self::Kubernetes, Self::Vault, Self::Hsm, Self::Gateway];

    /// The word on the command line and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Vault => "vault",
            Self::Hsm => "hsm",
            Self::Gateway => "gateway",
            Self::Conftest => "conftest",
            Self::Minio => "minio",
            Self::Postgres => "postgres",
        }
    }
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|part| part.name() == text).ok_or_else(|| {
            Error::NotThere(format!("there is no part `{text}`: the parts are kubernetes, vault, hsm, gateway"))
        })
    }
}

/// How to bring up one sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name, for people.
    pub name: String,
    /// Its own folder: emptied at the start, removed at the stop. Short enough for a socket (70 bytes).
    pub folder: PathBuf,
    /// Where built servers are kept; shared by all sandboxes of a user.
    pub cache: PathBuf,
    /// A folder with server binaries that win over PATH and over building.
    pub bin_dir: Option<PathBuf>,
    /// Where programs are looked for: the absolute folders of PATH, then the usual system folders and Go's.
    pub path: Vec<PathBuf>,
    /// What to start.
    pub parts: BTreeSet<Part>,
    /// Kubernetes users (token credentials) without any rights, one kubeconfig each. `operator` by default.
    pub users: Vec<String>,
    /// Remove the folder also when the owner is killed. Else it stays, with its logs, until the next start.
    pub temporary: bool,
}

impl Options {
    /// A named sandbox in `folder`; `path` is the caller's PATH.
    #[must_use]
    pub fn new(
        name: &str,
        folder: impl Into<PathBuf>,
        cache: impl Into<PathBuf>,
        path: &OsStr,
        parts: impl IntoIterator<Item = Part>,
    ) -> Self {
        let system =
            ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/go/bin"];
        Self {
            name: name.to_owned(),
            folder: folder.into(),
            cache: cache.into(),
            bin_dir: None,
            path: std::env::split_paths(path)
                .filter(|folder| folder.is_absolute())
                .chain(system.map(PathBuf::from))
                .collect(),
            parts: parts.into_iter().collect(),
            users: vec!["operator".to_owned()],
            temporary: false,
        }
    }

    /// A sandbox for one test process, in a new folder below the system's temporary folder that goes away with its
    /// owner, however that ends.
    #[must_use]
    pub fn temporary(cache: impl Into<PathBuf>, path: &OsStr, parts: impl IntoIterator<Item = Part>) -> Self {
        let name = format!("mesh-sandbox-{}", unique::word());
        let folder = std::env::temp_dir().join(&name);
        Self { temporary: true, ..Self::new(&name, folder, cache, path, parts) }
    }

    /// The first executable `program` in `path`.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(program)).find(|file| is_executable(file))
    }
}

/// The cache folder of a user, given the home folder: `<home>/.cache/mesh`.
#[must_use]
pub fn default_cache(home: &Path) -> PathBuf {
    home.join(".cache").join("mesh")
}

pub(crate) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
