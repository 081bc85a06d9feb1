//! `mesh state list` and `mesh state show`.

use mesh_model::{Address, Diagnostic, Instance, Mode, Snapshot};
use mesh_state::Backend as _;

use super::options::StateArgs;
use super::running::runtime;
use super::saved;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::{DIM, out, paint};
use crate::view::values;

/// Look into state
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the instances that state knows
    List {
        #[command(flatten)]
        state: StateArgs,
        /// Only those of these addresses: an instance, a block, or a module
        address: Vec<String>,
    },
    /// Show one instance
    Show {
        #[command(flatten)]
        state: StateArgs,
        /// Which one
        address: String,
    },
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    match &args.command {
        Command::List { state, address } => list(&snapshot(ui, state)?, address),
        Command::Show { state, address } => show(&snapshot(ui, state)?, address),
    }
}

/// State as it is now.
///
/// # Errors
/// State that cannot be read.
pub(crate) fn snapshot(ui: &mut Ui, state: &StateArgs) -> Result<Snapshot, Failure> {
    let backend = saved::backend(ui, state)?;
    Ok(runtime()?.block_on(backend.snapshot())?)
}

fn list(snapshot: &Snapshot, wanted: &[String]) -> Outcome {
    // An address covers itself and what stands below it.
    let covers = |text: &str| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|w| text.strip_prefix(w.as_str()).is_some_and(|r| r.is_empty() || r.starts_with(['.', '['])))
    };
    let current = snapshot.instances.keys().map(ToString::to_string);
    let deposed = snapshot.deposed.keys().map(|(a, key)| format!("{a} (deposed {key})"));
    let rows: String =
        current.chain(deposed).filter(|t| covers(t.split(' ').next().unwrap_or(t))).map(|t| t + "\n").collect();
    if rows.is_empty() && !wanted.is_empty() {
        let detail = format!("State knows nothing at {}.", wanted.join(", "));
        return Err(Diagnostic::error("cli::state_address", "No such instance", detail).into());
    }
    out(&rows)?;
    Ok(0)
}

fn show(snapshot: &Snapshot, text: &str) -> Outcome {
    let address: Address =
        text.parse().map_err(|e| Diagnostic::error("cli::address", "Bad address", format!("{e}.")))?;
    let Some(instance) = snapshot.instances.get(&address) else {
        let near = mesh_lang::suggestion(
            text,
            snapshot.instances.keys().map(ToString::to_string).collect::<Vec<_>>().iter().map(String::as_str),
        )
        .map(|s| format!(" Did you mean {s}?"))
        .unwrap_or_default();
        let detail = format!("State knows no instance {address}.{near} mesh state list shows all.");
        return Err(Diagnostic::error("cli::state_address", "No such instance", detail).into());
    };
    out(&block(&address, instance, None))?;
    Ok(0)
}

/// An instance as a block.
pub(crate) fn block(address: &Address, instance: &Instance, deposed: Option<&str>) -> String {
    let word = if address.mode == Mode::Data { "data" } else { "resource" };
    let mut facts = Vec::new();
    if let Some(identity) = &instance.identity {
        facts.push(format!("identity {identity}"));
    }
    for (yes, what) in [(instance.tainted, "tainted"), (instance.protected, "protected"), (instance.adopted, "adopted")]
    {
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
