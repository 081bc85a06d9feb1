//! `mesh state replace-provider`: objects belong to another configuration of their provider.
//!
//! The one decision: it is for what is in state and no longer configured, whose provider block has another
//! alias by now; what is configured follows its block by itself. The provider stays the same, since its
//! values mean nothing to another.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::ArgAction;
use mesh_model::{Diagnostic, Instance, Snapshot};
use mesh_state::Record;

use super::edit::{Edit, consent, edit, named};
use crate::commands::options::EditArgs;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;

/// Have objects belong to another alias of their provider, without touching them
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    edit: EditArgs,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    auto_approve: bool,
    /// The configuration that state names: vault, vault.eu or vault.eu["a"]
    from: String,
    /// The one that answers from now on
    to: String,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let name = |text: &str| text.split(['.', '[']).next().unwrap_or_default().to_owned();
    if name(&args.from) != name(&args.to) {
        let detail = format!(
            "{} and {} are two providers, and one cannot look after what the other has made. Only the alias may differ.",
            name(&args.from),
            name(&args.to)
        );
        return Err(Diagnostic::error("cli::replace_provider", "Another provider", detail).into());
    }
    let work = |snapshot: &Snapshot| changes(snapshot, &args.from, &args.to);
    let mut declined = false;
    let command = named("state replace-provider", &[&args.from, &args.to]);
    let done = edit(ui, &args.edit, &command, work, |ui, _, edit| {
        let mut text = format!("From {} to {}:\n", args.from, args.to);
        for change in &edit.changes {
            if let Record::Put { address, deposed, .. } = change {
                let deposed = deposed.as_ref().map(|k| format!(" (deposed {k})")).unwrap_or_default();
                push!(text, "  {address}{deposed}\n");
            }
        }
        out(&text)?;
        declined = !consent(ui, args.auto_approve, "Do you want to change this in state?")?;
        Ok(!declined)
    })?;
    if declined {
        out("\nReplacing cancelled.\n")?;
        return Ok(1);
    }
    if done.is_some() {
        out("\nNo object was touched. The next plan looks for these objects with the other configuration.\n")?;
    }
    Ok(0)
}

fn changes(snapshot: &Snapshot, from: &str, to: &str) -> Result<Edit, Failure> {
    let current = snapshot.instances.iter().map(|(a, i)| (a, None, i));
    let deposed = snapshot.deposed.iter().map(|((a, k), i)| (a, Some(k.clone()), i));
    let all = current.chain(deposed).filter(|(.., i)| &*i.provider == from);
    let changes: Vec<Record> = all
        .map(|(address, deposed, instance)| Record::Put {
            address: address.clone(),
            deposed,
            instance: Arc::new(Instance { provider: to.into(), ..Instance::clone(instance) }),
        })
        .collect();
    if changes.is_empty() {
        let known: BTreeSet<&str> =
            snapshot.instances.values().chain(snapshot.deposed.values()).map(|i| &*i.provider).collect();
        let near = mesh_lang::suggestion(from, known.iter().copied());
        let near = near.map(|s| format!(" Did you mean {s}?")).unwrap_or_default();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let detail = format!("State has no object of {from}.{near} Its objects are of: {known}.");
        return Err(Diagnostic::error("cli::replace_provider", "No such provider in state", detail).into());
    }
    let count = changes.len();
    Ok(Edit::new(changes, count))
}
