//! `mesh state show`.

use clap::ArgAction;
use mesh_model::{Address, Instance, Mode};

use super::{only_fingerprints, select, snapshot};
use crate::commands::options::StateArgs;
use crate::ui::{Outcome, Ui};
use crate::view::style::{DIM, out, paint};
use crate::view::values;

/// Show one instance
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Show sensitive values in clear where they are known; of most, state keeps only a fingerprint
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    show_sensitive: bool,
    /// Which one
    address: String,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let snapshot = snapshot(ui, &args.state)?;
    let address = select::instance(&snapshot, &args.address)?;
    if let Some(instance) = snapshot.instances.get(&address) {
        out(&block(&address, instance, None))?;
        only_fingerprints(ui, args.show_sensitive, instance.values.has_withheld());
    }
    Ok(0)
}

/// An instance as a block.
pub(crate) fn block(address: &Address, instance: &Instance, deposed: Option<&str>) -> String {
    let word = if address.mode == Mode::Data { "data" } else { "resource" };
    let mut facts = Vec::new();
    if let Some(identity) = &instance.identity {
        facts.push(format!("identity {identity}"));
    }
    for (yes, what) in [
        (instance.tainted, "tainted"),
        (instance.protected, "protected"),
        (instance.adopted, "adopted"),
        (instance.kept, "kept"),
    ] {
        if yes {
            facts.push(what.to_owned());
        }
    }
    let facts =
        if facts.is_empty() { String::new() } else { format!("{}\n", paint(DIM, format!("# ({})", facts.join(", ")))) };
    let deposed = deposed.map(|k| format!(" (deposed object {k})")).unwrap_or_default();
    format!(
        "# {address}{deposed}:\n{facts}{word} {:?} {:?} {{\n{}}}\n",
        &*address.ty,
        &*address.name,
        values::attributes(&instance.values, 1)
    )
}
