//! `mesh state`: looking into state, and editing it without touching any object.
//!
//! The one decision: an edit is worked out by a pure function of the snapshot, first without the lock
//! (so that what cannot be done changes nothing, and what will be done can be shown), then again under
//! it; the result is one step in state and one entry in its history (`edit`).

mod diff;
pub(crate) mod edit;
mod history;
mod import_terraform;
mod list;
mod mv;
mod pull;
mod push;
mod rekey;
mod replace_provider;
mod rm;
mod rollback;
pub(crate) mod select;
mod show;

use mesh_model::{Diagnostic, Snapshot};

pub(crate) use show::block;

use super::options::StateArgs;
use super::running::runtime;
use super::saved;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui};

/// Look into state, and edit it without touching any object
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Mv(mv::Args),
    Rm(rm::Args),
    Pull(pull::Args),
    Push(push::Args),
    ReplaceProvider(replace_provider::Args),
    History(history::Args),
    Diff(diff::Args),
    ImportTerraform(import_terraform::Args),
    Rekey(rekey::Args),
    Rollback(rollback::Args),
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    match &args.command {
        Command::List(args) => list::run(ui, args),
        Command::Show(args) => show::run(ui, args),
        Command::Mv(args) => mv::run(ui, args),
        Command::Rm(args) => rm::run(ui, args),
        Command::Pull(args) => pull::run(ui, args),
        Command::Push(args) => push::run(ui, args),
        Command::ReplaceProvider(args) => replace_provider::run(ui, args),
        Command::History(args) => history::run(ui, args),
        Command::Diff(args) => diff::run(ui, args),
        Command::ImportTerraform(args) => import_terraform::run(ui, args, vars),
        Command::Rekey(args) => rekey::run(ui, args),
        Command::Rollback(args) => rollback::run(ui, args),
    }
}

/// State as it is now.
///
/// # Errors
/// State that cannot be read.
pub(crate) fn snapshot(ui: &mut Ui, state: &StateArgs) -> Result<Snapshot, Failure> {
    let backend = saved::backend(ui, state, &[])?;
    Ok(runtime()?.block_on(backend.snapshot())?)
}

/// Says why `-show-sensitive` does not show what is `withheld`.
pub(crate) fn only_fingerprints(ui: &Ui, asked: bool, withheld: bool) {
    if asked && withheld {
        let detail = "Of secrets, state and plan files keep fingerprints only, so they are not shown. mesh plan -show-sensitive and \
                      mesh console -show-sensitive evaluate the configuration and show what it gives.";
        ui.report(&Diagnostic::warning("cli::withheld", "Secrets are not kept", detail).into());
    }
}

/// Whether state holds less of a value than its text.
pub(crate) fn withholds(snapshot: &Snapshot) -> bool {
    let objects = snapshot.instances.values().chain(snapshot.deposed.values());
    objects.map(|i| &i.values).chain(snapshot.outputs.values().map(|o| &o.value)).any(mesh_model::Value::has_withheld)
}
