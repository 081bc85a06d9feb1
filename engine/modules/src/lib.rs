//! Modules from elsewhere: git repositories, archives, OCI registries.
//!
//! The one decision: what a configuration uses is decided by the lock file and lies in a cache by
//! content. Only a fetching [`Store`] (of `mesh init`) runs programs or asks servers, and only for what the cache
//! lacks; every other command works without a network. It does not choose versions: a source names one.

mod cache;
mod docker;
mod git;
mod http;
mod lock;
mod oci;
mod process;
mod source;
mod store;
mod tree;
mod unpack;

pub use cache::FOLDER;
pub use lock::{Entry, Lock};
pub use store::{Fetching, Store, Used};
