//! `mesh state rollback`: what state was at a serial, it becomes again.
//!
//! The one decision: nothing is undone; the old content becomes a new serial, and the objects stay as they
//! are. So a rollback can be rolled back, and the next plan shows what state and objects make of each other.

use clap::ArgAction;
use mesh_model::Snapshot;
use mesh_state::document;

use super::edit::{Edit, consent, edit};
use crate::commands::options::EditArgs;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Outcome, Ui};
use crate::view::state_diff::compare;
use crate::view::style::out;

/// Make state again what it was at a serial, without touching any object
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    edit: EditArgs,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    auto_approve: bool,
    /// The serial, as mesh state history lists it
    serial: u64,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::backend(ui, &args.edit.state, &[])?;
    let then = runtime()?.block_on(backend.at(args.serial))?;
    let work = |now: &Snapshot| {
        if now.lineage != then.lineage {
            mesh_state::expect_lineage(&then, &now.lineage, &format!("serial {}", args.serial))?;
        }
        let changes = document::difference(now, &then);
        Ok(Edit { edited: changes.len(), ..Edit::new(changes, 0) })
    };
    let mut declined = false;
    let command = format!("state rollback {}", args.serial);
    let done = edit(ui, &args.edit, &command, work, |ui, now, edit| {
        if edit.changes.is_empty() {
            return Ok(false);
        }
        out(&shown(now, &then))?;
        declined = !consent(ui, args.auto_approve, "Do you want to put this back into state?")?;
        Ok(!declined)
    })?;
    match done {
        Some(serial) => out(&format!(
            "\nState is again what it was at serial {}, as serial {serial}. No object was touched; mesh plan shows what it means.\n",
            args.serial
        ))?,
        None if declined => {
            out("\nRollback cancelled.\n")?;
            return Ok(1);
        }
        None => out(&format!("State is what it was at serial {} already.\n", args.serial))?,
    }
    Ok(0)
}

/// What changes in state.
fn shown(now: &Snapshot, then: &Snapshot) -> String {
    let compared = compare(now, then);
    let (added, _, removed) = compared.counts();
    let mut text =
        format!("State is serial {} and would be again what it was at serial {}:\n", now.serial, then.serial);
    text.push_str(&compared.text());
    text.push('\n');
    if added > 0 {
        text.push_str("What is added is known again, whether its object is still there or not.\n");
    }
    if removed > 0 {
        text.push_str("What is removed is no longer known: its object stays, and nothing manages it.\n");
    }
    text.push_str("Only state changes: no object is made, changed or deleted.\n");
    text
}
