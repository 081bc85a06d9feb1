//! `mesh state rekey`: the keys of a state are sealed for those who are configured now.
//!
//! The one decision: the keys themselves stay, since fingerprints would tell nothing otherwise; so whoever
//! could open them once and kept them still can open what he has a copy of.

use crate::commands::options::StateArgs;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Outcome, Ui};
use crate::view::style::out;

/// Seal the keys of the state for the recipients that are configured now
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::backend(ui, &args.state, &[])?;
    let runtime = runtime()?;
    runtime.block_on(backend.rekey())?;
    let sealed = runtime.block_on(backend.keys())?.sealer.is_some();
    out(if sealed {
        "The keys of the state are sealed for the recipients of the encryption block, and for nobody else.\n"
    } else {
        "No encryption is configured, so the keys of the state stay in a file that only its owner can read.\n"
    })?;
    Ok(0)
}
