//! Operations that were cut off: what became of their objects is looked up like everything else.
//!
//! The one decision: an open create is made a tentative instance of the snapshot in memory, so that
//! observing and deciding need no second path; whatever is found is recorded before anything else
//! is written. An open update may have been made, so its object needs what both say.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use mesh_model::snapshot::{Identity, Intent, Operation};
use mesh_model::{Address, Instance, Snapshot, Type, Value};

/// An operation without a known result.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// What was about to be done.
    pub intent: Intent,
    /// The address of the object now: moves may have renamed it since.
    pub at: Address,
    /// What was found: the object's identity when it is there; `None` when it is certainly not.
    pub found: Option<(Value, Identity)>,
    /// Whether anybody could look.
    pub looked: bool,
}

/// Adds a tentative instance for each open create whose identity is known.
pub(super) fn tentative(snapshot: &mut Snapshot) -> Vec<Recovered> {
    let open = std::mem::take(&mut snapshot.open);
    for intent in &open {
        if intent.operation == Operation::Update
            && let Some(instance) = snapshot.instances.get_mut(&intent.address)
        {
            let dependencies = either(&instance.dependencies, &intent.dependencies);
            *instance = Arc::new(Instance { dependencies, ..Instance::clone(instance) });
        }
        if intent.operation != Operation::Create
            || intent.identity.is_none()
            || snapshot.instances.contains_key(&intent.address)
        {
            continue;
        }
        snapshot.instances.insert(
            intent.address.clone(),
            Arc::new(Instance {
                provider: intent.provider.clone(),
                schema_version: 0,
                values: known(&intent.planned),
                identity: intent.identity.clone(),
                target: None,
                dependencies: intent.dependencies.clone(),
                protected: intent.protected,
                create_before_destroy: false,
                tainted: false,
                adopted: false,
                kept: intent.kept,
                private: None,
            }),
        );
    }
    open.into_iter()
        .map(|intent| Recovered { at: intent.address.clone(), intent, found: None, looked: false })
        .collect()
}

/// Where a replacement was begun and nothing new is there, the old object is the current one again. Gives its
/// address and key.
pub(super) fn restored(snapshot: &mut Snapshot) -> Vec<(Address, Arc<str>)> {
    let mut left: BTreeMap<Address, Vec<Arc<str>>> = BTreeMap::new();
    for (address, key) in snapshot.deposed.keys().filter(|(a, _)| !snapshot.instances.contains_key(a)) {
        left.entry(address.clone()).or_default().push(key.clone());
    }
    let only = left.into_iter().filter_map(|(address, keys)| match <[Arc<str>; 1]>::try_from(keys) {
        Ok([key]) => Some((address, key)),
        Err(_) => None,
    });
    let restored: Vec<_> = only.collect();
    for at in &restored {
        if let Some(instance) = snapshot.deposed.remove(at) {
            snapshot.instances.insert(at.0.clone(), instance);
        }
    }
    restored
}

/// What an object may need that is as one of the two say.
pub(crate) fn either(a: &Arc<[Arc<str>]>, b: &Arc<[Arc<str>]>) -> Arc<[Arc<str>]> {
    let more = b.iter().filter(|n| !a.contains(n));
    a.iter().chain(more).cloned().collect()
}

/// Follows the moves of this run.
pub(super) fn moved(recovered: &mut [Recovered], moves: &[(Address, Address)]) {
    for (from, to) in moves {
        for r in recovered.iter_mut().filter(|r| r.at == *from) {
            r.at = to.clone();
        }
    }
}

/// With null where something was unknown.
fn known(value: &Value) -> Value {
    if value.is_unknown() { Value::null(Type::Dynamic) } else { value.map_children(&known) }
}

impl Recovered {
    /// Whether what now stands at the address is not what was about to be made, but the old object, which is the
    /// current one again.
    pub(super) fn restored(&self, restored: &[(Address, Arc<str>)]) -> bool {
        self.intent.operation == Operation::Create && restored.iter().any(|(at, _)| *at == self.intent.address)
    }
}

/// The addresses of open creates.
pub(super) fn created(recovered: &[Recovered], old: &[(Address, Arc<str>)]) -> HashSet<Address> {
    let creates = recovered.iter().filter(|r| r.intent.operation == Operation::Create && !r.restored(old));
    creates.map(|r| r.at.clone()).collect()
}
