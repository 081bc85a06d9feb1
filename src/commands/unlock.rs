//! `mesh unlock`: breaks the lock of a run that is stuck.
//!
//! The one decision: the id must be given, so that nobody breaks another lock than the one that an
//! error message showed. The broken run can write nothing more.

use clap::ArgAction;
use mesh_model::Diagnostic;

use super::options::StateArgs;
use super::running::runtime;
use super::saved;
use crate::ui::{Outcome, Ui, ask};
use crate::view::style::{BOLD, out, paint};

/// Break the state lock of a run that is stuck
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    force: bool,
    /// The id of the lock, as the error message shows it
    id: String,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::backend(ui, &args.state, &[])?;
    let runtime = runtime()?;
    // Another lock, or none, is said by the attempt itself.
    let holder = runtime.block_on(backend.lock_info())?.filter(|h| h.id == args.id);
    if let Some(holder) = holder.filter(|_| !args.force) {
        let gone = if holder.dead { ", which is gone: the next run takes the lock over" } else { "" };
        if !ui.can_ask() {
            let detail = format!("The lock is held by {holder}{gone}. Give -force to break it without a question.");
            return Err(Diagnostic::error("cli::no_terminal", "Nobody can be asked for approval", detail).into());
        }
        let question = format!(
            "\n{}\n  It is held by {holder}{gone}.\n  If that run still lives, it can write nothing more to state; what it is doing outside goes on.\n  \
             Only \'yes\' will be accepted to confirm.\n\n  {} ",
            paint(BOLD, "Do you really want to break the lock?"),
            paint(BOLD, "Enter a value:")
        );
        if ask(&question, &|| false).as_deref() != Some("yes") {
            out("\nUnlock cancelled.\n")?;
            return Ok(1);
        }
    }
    runtime.block_on(backend.unlock(&args.id))?;
    out("The lock is broken. The next run looks up what was in flight before it does anything else.\n")?;
    Ok(0)
}
