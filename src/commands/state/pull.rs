//! `mesh state pull`: the state as a document.
//!
//! The one decision: it is what the disk holds, with the journal of a run that goes on or was cut off;
//! secrets are withheld in it as there.

use mesh_state::document;

use crate::commands::options::StateArgs;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Outcome, Ui};
use crate::view::style::raw;

/// Write the state to standard output, secrets withheld
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::as_it_is(ui, &args.state)?;
    let snapshot = runtime()?.block_on(backend.snapshot())?;
    raw(&document::write(&snapshot)?)?;
    Ok(0)
}
