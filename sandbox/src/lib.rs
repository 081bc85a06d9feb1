//! A disposable real system on loopback: Kubernetes (etcd, apiserver, controller-manager, scheduler, kwok as the
//! nodes), Vault with the kubernetes auth plugin, a SoftHSM token, and HAProxy in master-worker mode.
//!
//! The decision that shaped it: nothing is faked and nothing is downloaded ready-made. The servers are built from
//! pinned Go modules (`servers/`) into a cache, or found in a given folder or on PATH; the rest are Debian packages.
//! Every process it starts is tied to its owner by the kernel (`setpriv --pdeathsig KILL`), so that even a SIGKILL
//! of the owner leaves nothing running.
//!
//! It prints nothing, reads no environment and knows no command line: callers hand in an [`Options`] and a
//! [`Progress`]. Everything blocks; every function may also be called from inside an async runtime.
//!
//! # In a test
//! ```no_run
//! use mesh_sandbox::{Options, Part, Sandbox, default_cache};
//! # fn main() -> Result<(), mesh_sandbox::Error> {
//! # let (home, path) = (std::path::Path::new("/root"), std::ffi::OsStr::new("/usr/bin"));
//! let options = Options::temporary(default_cache(home), path, [Part::Kubernetes, Part::Vault]);
//! let sandbox = Sandbox::start(options, &|_: &mesh_sandbox::Event| {})?;
//! let namespace = sandbox.namespace("istio");          // only a name: unique, nothing is created
//! let kubeconfig = sandbox.kubernetes()?.kubeconfig("operator")?;
//! let vault = sandbox.vault()?;                        // vault.address, vault.ca_file, vault.root_token()
//! let sealed = sandbox.extra_vault()?;                 // one of its own for a test that seals it
//! sealed.seal()?;
//! # Ok(()) }                                           // dropping stops all and removes the folder
//! ```
//!
//! # Playing pods
//! kwok schedules every pod onto one of three nodes, gives it an address and makes it Running and Ready. A pod with
//! the annotation [`READY_ANNOTATION`] (`sandbox.mesh/ready: "hsm-plugin,vault-client"`) is Running with exactly
//! these containers ready: set it in the pod template for the first picture, patch it on the pod (merge patch of
//! `metadata.annotations`) for the next ones; an empty text means none, removing the annotation means all. Pods of
//! Jobs complete at once.

mod background;
mod build;
mod certs;
mod error;
mod folder;
mod gateway;
mod http;
mod kubeconfig;
mod kubernetes;
mod minio;
mod needs;
mod options;
mod postgres;
mod process;
mod progress;
mod sandbox;
mod servers;
mod token;
mod unique;
mod vault;

#[cfg(test)]
mod tests;

pub use background::{Down, ServerState, State, Status, Up, down, env, status, supervise, up};
pub use certs::Certificates;
pub use error::{Error, Result};
pub use gateway::Gateway;
pub use kubernetes::{Kubernetes, Node, READY_ANNOTATION};
pub use minio::Minio;
pub use needs::{Missing, install_command, missing};
pub use options::{Options, Part, default_cache};
pub use postgres::Postgres;
pub use progress::{Event, Progress};
pub use sandbox::{Sandbox, conftest};
pub use token::SoftToken;
pub use unique::free_port;
pub use vault::Vault;
