//! `mesh show`: state, or a saved plan.

use std::path::PathBuf;

use clap::ArgAction;

use super::options::StateArgs;
use super::{saved, state};
use crate::ui::{Outcome, Ui};
use crate::view::style::{BOLD, out, paint};
use crate::view::{json, values};

/// Show state, or a saved plan
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Show sensitive values in clear where they are known; of most, state keeps only a fingerprint
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    show_sensitive: bool,
    /// Write JSON; secrets are null in it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
    /// A plan that was saved with `mesh plan -out=FILE`
    #[arg(value_name = "PLAN")]
    file: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    if let Some(file) = &args.file {
        let content = saved::open(ui, file, &args.state, &[])?.content;
        out(&if args.json { format!("{}\n", content.json) } else { content.text })?;
        state::only_fingerprints(ui, args.show_sensitive, true);
        return Ok(0);
    }
    let snapshot = state::snapshot(ui, &args.state)?;
    out(&if args.json { format!("{}\n", json::state(&snapshot)) } else { state_text(&snapshot) })?;
    state::only_fingerprints(ui, args.show_sensitive, state::withholds(&snapshot));
    Ok(0)
}

/// All that a state knows.
pub(crate) fn state_text(snapshot: &mesh_model::Snapshot) -> String {
    if snapshot.instances.is_empty() && snapshot.deposed.is_empty() && snapshot.outputs.is_empty() {
        return "The state is empty: it knows no resources.\n".to_owned();
    }
    let current = snapshot.instances.iter().map(|(a, i)| state::block(a, i, None));
    let deposed = snapshot.deposed.iter().map(|((a, k), i)| state::block(a, i, Some(k)));
    let mut text = current.chain(deposed).collect::<Vec<_>>().join("\n");
    if !snapshot.outputs.is_empty() {
        push!(text, "\n{}\n\n", paint(BOLD, "Outputs:"));
        for (name, output) in &snapshot.outputs {
            let value = if output.sensitive { "(sensitive value)".to_owned() } else { values::text(&output.value) };
            push!(text, "{name} = {value}\n");
        }
    }
    text
}
