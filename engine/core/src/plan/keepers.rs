//! A stack must not manage the only thing that opens the keys of its own state.
//!
//! The one decision: what counts is an object in state or in the plan, whatever is done to it: such a stack locks itself
//! out with one apply, and whoever would help needs the state for it. One keeper that is not managed here is enough.

use mesh_model::{Address, Diagnostic, Diagnostics, Value};

use super::Planning;
use crate::engine::Keeper;

/// The error, where each of `keepers` needs an object of this stack.
pub(super) fn check(keepers: &[Keeper], planning: &Planning<'_>) -> Diagnostics {
    let managed: Option<Vec<(&Keeper, &Address)>> =
        keepers.iter().map(|keeper| Some((keeper, managed(keeper, planning)?))).collect();
    let Some(managed) = managed.filter(|m| !m.is_empty()) else { return Diagnostics::default() };
    let list: Vec<String> =
        managed.iter().map(|(keeper, address)| format!("{} needs {address}", keeper.name)).collect();
    let detail = format!(
        "The keys of this state can be opened by nobody whose key this stack does not manage itself: {}. With that object the state would be \
         lost. Manage it in another stack, or add a recipient that no stack of its own can take away, such as a passphrase that is kept in a \
         safe.",
        list.join("; ")
    );
    Diagnostic::error("plan::recipient", "The stack manages what its own state is sealed with", detail).into()
}

/// An object of this stack that a keeper needs.
fn managed<'p>(keeper: &Keeper, planning: &'p Planning<'_>) -> Option<&'p Address> {
    let planned = planning.plan.changes.iter().flat_map(|c| [(&c.address, &c.before), (&c.address, &c.after)]);
    let known = planning.snapshot.instances.iter().map(|(address, instance)| (address, &instance.values));
    let mut objects = planned.chain(known);
    let needed = |address: &Address, values: &Value| {
        keeper.needs.iter().any(|(need, value)| {
            need.ty == &*address.ty && values.get(need.attribute).is_some_and(|found| same(found, value))
        })
    };
    objects.find(|(address, values)| needed(address, values)).map(|(address, _)| address)
}

/// Whether two names are one; slashes around a path say nothing.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.trim_matches('/') == b.trim_matches('/'),
        _ => false,
    }
}
