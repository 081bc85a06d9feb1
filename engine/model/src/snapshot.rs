//! Snapshots: what state knows.
//!
//! The one decision: a snapshot in memory is separate from its form on disk (the state crate has
//! versioned structs for that). Secrets in it are withheld or sealed, never in clear.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Address, Value};

/// Which remote object an instance is: enough to find it again after a crash.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub struct Identity(pub Arc<str>);

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One object that state knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The provider and its alias that made it: `vault`, `vault.eu`.
    pub provider: Arc<str>,
    /// Version of the schema that the values have.
    pub schema_version: u32,
    /// The values in the shape of the schema; sensitive ones withheld.
    pub values: Value,
    /// The remote identity, once known.
    pub identity: Option<Identity>,
    /// The system it was made on (cluster uid, Vault cluster, token serial).
    pub target: Option<Arc<str>>,
    /// Blocks that it directly depends on, as configuration addresses.
    pub dependencies: Arc<[Arc<str>]>,
    /// Must not be destroyed, even when its block is gone.
    pub protected: bool,
    /// Was planned with `create_before_destroy`.
    pub create_before_destroy: bool,
    /// A create failed half way: replace it.
    pub tainted: bool,
    /// Was adopted, not created, by us.
    pub adopted: bool,
    /// The object stays when state forgets it (`destroy = false`).
    pub kept: bool,
    /// What the provider wants to remember; never a secret.
    pub private: Option<Arc<str>>,
}

/// A stored root output.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredOutput {
    /// The value; withheld when sensitive and not sealed.
    pub value: Value,
    /// Whether it is declared sensitive.
    pub sensitive: bool,
    /// The value, sealed, where it is sensitive and the state has encryption.
    pub sealed: Option<Arc<str>>,
}

/// Everything that state knows at one serial.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Random identifier of this state's history; empty when there is no state yet.
    pub lineage: Arc<str>,
    /// Advances once per apply stage.
    pub serial: u64,
    /// Current objects.
    pub instances: BTreeMap<Address, Arc<Instance>>,
    /// Objects that were replaced but not deleted yet, by address and deposed key.
    pub deposed: BTreeMap<(Address, Arc<str>), Arc<Instance>>,
    /// Root outputs.
    pub outputs: BTreeMap<Arc<str>, StoredOutput>,
    /// Operations that were begun and whose result is not known.
    pub open: Vec<Intent>,
    /// The digest of the plan whose apply did not finish, and what it has done.
    pub unfinished: Option<Unfinished>,
}

/// What was about to be done: durable before the call.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The instance.
    pub address: Address,
    /// `create`, `update` or `delete`.
    pub operation: Operation,
    /// The provider and its alias.
    pub provider: Arc<str>,
    /// The remote identity, as far as it is known before the call.
    pub identity: Option<Identity>,
    /// The planned values (withheld where sensitive), to compare with what is found.
    pub planned: Value,
    /// Direct dependencies, for the instance that may have to be recorded.
    pub dependencies: Arc<[Arc<str>]>,
    /// The object must not be destroyed, even when its block is gone before the result is known.
    pub protected: bool,
    /// The object stays when state forgets it.
    pub kept: bool,
}

/// What a provider call does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Makes an object.
    Create,
    /// Changes an object in place.
    Update,
    /// Deletes an object.
    Delete,
}

impl Operation {
    /// The word in journals and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// An apply that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The digest of its plan.
    pub digest: Arc<str>,
}
