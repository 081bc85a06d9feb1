//! `mesh state mv`: objects get other addresses in state.
//!
//! The one decision: what an address without a key stands for is read from state, as in Terraform: the one
//! instance that has no key, else all instances. What remembers a block by its name (dependencies) follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::ArgAction;
use mesh_model::{Address, Diagnostic, Instance, Mode, ModulePath, ResourceAddress, Selector, Snapshot};
use mesh_state::Record;

use super::edit::{Edit, edit, named};
use super::select::{self, known, unknown};
use crate::commands::options::EditArgs;
use crate::ui::{Outcome, Ui};
use crate::view::style::out;

/// Give objects other addresses, without touching them
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    edit: EditArgs,
    /// Only say what would move
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    dry_run: bool,
    /// What moves: an instance, a block with all its instances, or a module
    source: String,
    /// The new address
    destination: String,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let (source, destination) = (select::parse(&args.source)?, select::parse(&args.destination)?);
    let work = |snapshot: &Snapshot| {
        let moves = moves(snapshot, &args.source, &source, &destination)?;
        let count = moves.len();
        Ok(Edit::new(records(snapshot, moves), count))
    };
    let command = named("state mv", &[&args.source, &args.destination]);
    let done = edit(ui, &args.edit, &command, work, |_, _, edit| {
        let word = if args.dry_run { "Would move" } else { "Move" };
        let mut text = String::new();
        for change in &edit.changes {
            if let Record::Move { from, to } = change {
                push!(text, "{word} {from} to {to}\n");
            }
        }
        out(&text)?;
        Ok(!args.dry_run)
    })?;
    if done.is_some() {
        out(
            "\nNo object was touched. Give the configuration the same addresses: what it does not declare is planned to be deleted.\n",
        )?;
    }
    Ok(0)
}

fn bad(detail: String) -> Diagnostic {
    Diagnostic::error("cli::state_mv", "It cannot move there", detail)
}

/// What moves where.
fn moves(
    snapshot: &Snapshot,
    text: &str,
    source: &Selector,
    destination: &Selector,
) -> Result<Vec<(Address, Address)>, Diagnostic> {
    match (source, destination) {
        (Selector::Resource(from), Selector::Resource(to)) => resources(snapshot, text, from, to),
        (Selector::Module(from), Selector::Module(to)) => modules(snapshot, text, from, to),
        (Selector::Resource(_), Selector::Module(to)) => {
            Err(bad(format!("{to} is a module, {text} is not. Write the address of a resource in it: {to}.TYPE.NAME.")))
        }
        (Selector::Module(_), Selector::Resource(to)) => {
            Err(bad(format!("{text} is a module, {to} is not: a module moves to the address of a module.")))
        }
    }
}

fn resources(
    snapshot: &Snapshot,
    text: &str,
    from: &Address,
    to: &Address,
) -> Result<Vec<(Address, Address)>, Diagnostic> {
    if from.mode != Mode::Managed || to.mode != Mode::Managed {
        return Err(bad(
            "Only what is managed is in state: data and ephemeral blocks are read anew by every run.".into()
        ));
    }
    if from.ty != to.ty {
        return Err(bad(format!("An object keeps its type: {from} is a {}, {to} would be a {}.", from.ty, to.ty)));
    }
    let known = known(snapshot);
    let taken = |a: &Address| bad(format!("State has an object at {a} already. Move or forget that one first."));
    if known.contains(from) {
        return if known.contains(to) { Err(taken(to)) } else { Ok(vec![(from.clone(), to.clone())]) };
    }
    let of = |block: &Address, a: &Address| Address { key: None, ..a.clone() } == *block;
    let all: Vec<&Address> = known.iter().copied().filter(|a| of(from, a)).collect();
    if all.is_empty() {
        return Err(unknown(snapshot, text));
    }
    if to.key.is_some() {
        let detail = format!(
            "{from} has several instances, and {to} is one. Move them one by one, or write the destination without a key."
        );
        return Err(bad(detail));
    }
    if let Some(occupied) = known.iter().find(|a| of(to, a)) {
        return Err(taken(occupied));
    }
    Ok(all.into_iter().map(|a| (a.clone(), Address { key: a.key.clone(), ..to.clone() })).collect())
}

fn modules(
    snapshot: &Snapshot,
    text: &str,
    from: &ModulePath,
    to: &ModulePath,
) -> Result<Vec<(Address, Address)>, Diagnostic> {
    let known = known(snapshot);
    let last = from.0.len() - 1;
    let exact = |path: &ModulePath, a: &Address| a.module.0.starts_with(&path.0);
    // With any key in the last step.
    let any = |path: &ModulePath, a: &Address| {
        let (end, steps) = (path.0.len() - 1, &a.module.0);
        steps.len() > end && steps[..end] == path.0[..end] && steps[end].0 == path.0[end].0
    };
    // Without a key: the one instance that has none, else all of them, each under its own key.
    let single = from.0[last].1.is_some() || known.iter().any(|a| exact(from, a));
    let moving: Vec<&Address> =
        known.iter().copied().filter(|a| if single { exact(from, a) } else { any(from, a) }).collect();
    if moving.is_empty() {
        return Err(unknown(snapshot, text));
    }
    if !single && to.0.last().is_some_and(|(_, key)| key.is_some()) {
        let detail = format!(
            "{from} has several instances, and {to} is one. Move them one by one, or write the destination without a key."
        );
        return Err(bad(detail));
    }
    let taken = |a: &&&Address| (if single { exact(to, a) } else { any(to, a) }) && !moving.contains(*a);
    if to == from {
        return Err(bad(format!("{from} is there already.")));
    }
    if let Some(occupied) = known.iter().find(|a| taken(a)) {
        return Err(bad(format!(
            "State has objects in {to} already, {occupied} for example. Move or forget them first."
        )));
    }
    let renamed = |address: &Address| {
        let mut steps = to.0.to_vec();
        if let Some((_, key)) = steps.last_mut().filter(|_| !single) {
            key.clone_from(&address.module.0[last].1);
        }
        steps.extend_from_slice(&address.module.0[from.0.len()..]);
        Address { module: ModulePath(steps.into()), ..address.clone() }
    };
    let mut out: Vec<_> = moving.into_iter().map(|a| (a.clone(), renamed(a))).collect();
    if to.0.len() > from.0.len() {
        // Into itself: what lies deeper makes way first.
        out.reverse();
    }
    Ok(out)
}

/// The moves, and what else changes: who depends on a block by its name depends on it under the new one.
fn records(snapshot: &Snapshot, moves: Vec<(Address, Address)>) -> Vec<Record> {
    let to: BTreeMap<&Address, &Address> = moves.iter().map(|(a, b)| (a, b)).collect();
    let now = |a: &Address| to.get(a).map_or_else(|| a.clone(), |b| (*b).clone());
    let stay: BTreeSet<ResourceAddress> = known(snapshot).into_iter().map(|a| now(a).resource()).collect();
    let mut renamed: BTreeMap<String, BTreeSet<Arc<str>>> = BTreeMap::new();
    for (from, to) in moves.iter().filter(|(from, to)| from.resource() != to.resource()) {
        let names = renamed.entry(from.resource().to_string()).or_default();
        names.insert(to.resource().to_string().into());
        if stay.contains(&from.resource()) {
            names.insert(from.resource().to_string().into());
        }
    }
    let follow = |instance: &Arc<Instance>| {
        if !instance.dependencies.iter().any(|d| renamed.contains_key(&**d)) {
            return None;
        }
        let mut list: Vec<Arc<str>> = Vec::new();
        for dependency in instance.dependencies.iter() {
            match renamed.get(&**dependency) {
                Some(names) => list.extend(names.iter().cloned()),
                None => list.push(dependency.clone()),
            }
        }
        Some(Arc::new(Instance { dependencies: list.into(), ..Instance::clone(instance) }))
    };
    let current = snapshot.instances.iter().map(|(a, i)| (a, None, i));
    let deposed = snapshot.deposed.iter().map(|((a, k), i)| (a, Some(k.clone()), i));
    let following: Vec<Record> = current
        .chain(deposed)
        .filter_map(|(a, deposed, i)| Some(Record::Put { address: now(a), deposed, instance: follow(i)? }))
        .collect();
    moves.into_iter().map(|(from, to)| Record::Move { from, to }).chain(following).collect()
}
