//! `mesh taint` and `mesh untaint`: whether the next apply makes a new object for an instance.

use std::sync::Arc;

use clap::ArgAction;
use mesh_model::{Address, Diagnostic, Diagnostics, Instance, Mode, Snapshot};
use mesh_state::Record;

use super::options::EditArgs;
use super::state::edit::{Edit, edit};
use super::state::select;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;

/// Have the next apply make a new object for an instance
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// Take a taint away: the object stays
#[derive(clap::Args, Debug)]
pub(crate) struct UntaintArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct Common {
    #[command(flatten)]
    edit: EditArgs,
    /// Only warn where state does not know the instance
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    allow_missing: bool,
    /// Which instance
    address: String,
}

pub(crate) fn taint(ui: &mut Ui, args: &Args) -> Outcome {
    set(ui, &args.common, true)
}

pub(crate) fn untaint(ui: &mut Ui, args: &UntaintArgs) -> Outcome {
    set(ui, &args.common, false)
}

fn set(ui: &mut Ui, args: &Common, tainted: bool) -> Outcome {
    let address = select::one(&args.address)?;
    if address.mode != Mode::Managed {
        let detail = format!("{address} is read, not made, so there is nothing that could be made anew.");
        return Err(Diagnostic::error("cli::taint", "Not a managed instance", detail).into());
    }
    let mut missing = None;
    let command = format!("{} {address}", if tainted { "taint" } else { "untaint" });
    let work = |snapshot: &Snapshot| change(snapshot, &args.address, tainted, args.allow_missing);
    let done = edit(ui, &args.edit, &command, work, |_, snapshot, _| {
        missing = (!snapshot.instances.contains_key(&address)).then(|| select::unknown(snapshot, &args.address));
        Ok(true)
    })?;
    if let Some(mut warning) = missing {
        warning.severity = mesh_model::Severity::Warning;
        ui.report(&Diagnostics::from(warning));
        return Ok(0);
    }
    out(&match (done, tainted) {
        (Some(_), true) => format!("{address} is tainted: the next apply makes a new object for it.\n"),
        (Some(_), false) => format!("{address} is no longer tainted: its object stays.\n"),
        (None, _) => format!("{address} is tainted already.\n"),
    })?;
    Ok(0)
}

fn change(snapshot: &Snapshot, text: &str, tainted: bool, allow_missing: bool) -> Result<Edit, Failure> {
    let address: Address = match select::instance(snapshot, text) {
        Ok(address) => address,
        Err(_) if allow_missing => return Ok(Edit::new(Vec::new(), 0)),
        Err(error) => return Err(error.into()),
    };
    let changes = match snapshot.instances.get(&address) {
        Some(instance) if instance.tainted != tainted => {
            let instance = Arc::new(Instance { tainted, ..Instance::clone(instance) });
            vec![Record::Put { address, deposed: None, instance }]
        }
        Some(_) if !tainted => {
            let detail = format!("{address} is not tainted, so there is no taint to take away.");
            return Err(Diagnostic::error("cli::untaint", "Not tainted", detail).into());
        }
        _ => Vec::new(),
    };
    Ok(Edit::new(changes, 1))
}
