//! Saved state: what `mesh` knows about the objects that it made.
//!
//! The one decision: every operation is journaled twice, as an intent before the provider is called
//! and as a result after, each durable before the walk goes on and at a cost that does not depend on
//! the size of the state. A snapshot is the last compacted state with the journal replayed over it,
//! so readers need no lock and nothing that was acknowledged can be lost.
//!
//! This crate knows no configuration, no provider and no plan. What it stores holds no secret in
//! clear: values arrive withheld, and one that is not is refused.

pub mod api;
pub mod conformance;
#[cfg(test)]
mod damage;
mod desk;
pub mod document;
pub mod error;
#[cfg(test)]
mod fixtures;
mod format;
mod hold;
mod home;
pub mod keyring;
mod kind;
mod left;
pub mod local;
mod process;
pub mod remote;
mod replay;
pub mod rows;
pub mod seal;
pub mod seen;

/// The state file where nothing says another; beside it are the keys of states elsewhere.
pub const STATE: &str = "mesh.state";

pub use api::{Backend, Capabilities, HistoryEntry, Keys, LockInfo, Outputs, Record, Summary, Writer, expect_lineage};
pub use error::{Fault, StateError};
pub use home::Home;
pub use keyring::Keyring;
pub use kind::{BackendKind, BadSetting, Settings};
pub use local::{LocalBackend, Retention};
