//! `mesh state pull`: the state as a document.
//!
//! The one decision: it is what the disk holds, with the journal of a run that goes on or was cut off;
//! secrets are withheld in it as there.

use mesh_state::document;

use super::snapshot;
use crate::commands::options::StateArgs;
use crate::ui::{Outcome, Ui};
use crate::view::style::raw;

/// Write the state to standard output, secrets withheld
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let snapshot = snapshot(ui, &args.state)?;
    raw(&document::write(&snapshot)?)?;
    Ok(0)
}
