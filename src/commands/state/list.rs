//! `mesh state list`.

use mesh_model::Address;

use super::{select, snapshot};
use crate::commands::options::StateArgs;
use crate::ui::{Outcome, Ui};
use crate::view::style::out;

/// List the instances that state knows
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Only those of these addresses: an instance, a block, or a module
    address: Vec<String>,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let wanted = args.address.iter().map(|a| select::parse(a)).collect::<Result<Vec<_>, _>>()?;
    let snapshot = snapshot(ui, &args.state)?;
    let listed = |address: &Address| wanted.is_empty() || wanted.iter().any(|w| w.covers(address));
    let current = snapshot.instances.keys().map(|a| (a, format!("{a}\n")));
    let deposed = snapshot.deposed.keys().map(|(a, key)| (a, format!("{a} (deposed {key})\n")));
    let rows: String = current.chain(deposed).filter(|(a, _)| listed(a)).map(|(_, row)| row).collect();
    if rows.is_empty() && !wanted.is_empty() {
        return Err(select::unknown(&snapshot, &args.address.join(", ")).into());
    }
    out(&rows)?;
    Ok(0)
}
