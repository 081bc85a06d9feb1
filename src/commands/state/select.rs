//! Addresses as commands over state take them: what they find there, and what is said where they find nothing.

use std::collections::BTreeSet;

use mesh_model::{Address, Diagnostic, InstanceKey, Selector, Snapshot};

/// Reads an address.
///
/// # Errors
/// A text that is none.
pub(crate) fn parse(text: &str) -> Result<Selector, Diagnostic> {
    text.parse().map_err(|e| Diagnostic::error("cli::address", "Bad address", format!("{e}.")))
}

/// All addresses that state knows, those of deposed objects included.
pub(crate) fn known(snapshot: &Snapshot) -> BTreeSet<&Address> {
    snapshot.instances.keys().chain(snapshot.deposed.keys().map(|(a, _)| a)).collect()
}

/// The error for an address that state does not know.
pub(crate) fn unknown(snapshot: &Snapshot, text: &str) -> Diagnostic {
    let mut names = BTreeSet::new();
    for address in known(snapshot) {
        names.insert(address.to_string());
        names.insert(Address { key: None, ..address.clone() }.to_string());
        if !address.module.is_root() {
            names.insert(address.module.to_string());
        }
    }
    let near = mesh_lang::suggestion(text, names.iter().map(String::as_str));
    let near = near.map(|s| format!(" Did you mean {s}?")).unwrap_or_default();
    let detail = format!("State knows nothing at {text}.{near} mesh state list shows all.");
    Diagnostic::error("cli::state_address", "No such instance", detail)
}

/// An address of exactly one instance in state.
///
/// # Errors
/// No address, an address of something else, an instance that is not there.
pub(crate) fn instance(snapshot: &Snapshot, text: &str) -> Result<Address, Diagnostic> {
    let address = one(text)?;
    if snapshot.instances.contains_key(&address) {
        return Ok(address);
    }
    let several = Selector::Resource(address);
    let keys: Vec<&InstanceKey> =
        snapshot.instances.keys().filter(|a| several.covers(a)).filter_map(|a| a.key.as_ref()).collect();
    if keys.is_empty() {
        return Err(unknown(snapshot, text));
    }
    let first = format!("{text}{}", keys[0]);
    let detail = format!("{text} has {} instances. Say which one: {first}, for example.", keys.len());
    Err(Diagnostic::error("cli::state_address", "No such instance", detail))
}

/// An address of one instance, wherever it is.
///
/// # Errors
/// No address of a resource.
pub(crate) fn one(text: &str) -> Result<Address, Diagnostic> {
    match parse(text)? {
        Selector::Resource(address) => Ok(address),
        Selector::Module(_) => {
            let detail = format!("{text} is a module. Give the address of an instance in it: {text}.TYPE.NAME.");
            Err(Diagnostic::error("cli::address", "Not an instance", detail))
        }
    }
}
