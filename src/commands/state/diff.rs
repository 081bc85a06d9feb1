//! `mesh state diff`: what differs between two serials of the history.
//!
//! The one decision: a serial is what state knew when it was made; the current state is also what an apply that did
//! not finish has done since, and says so. Nothing outside is looked at.

use clap::ArgAction;
use mesh_model::Snapshot;
use mesh_state::HistoryEntry;
use serde_json::{Value as Json, json};

use super::history::{paragraph, row};
use crate::commands::options::StateArgs;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Outcome, Ui};
use crate::view::state_diff::compare;
use crate::view::style::{YELLOW, out, paint};

/// Show what differs between two serials of state
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Write JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
    /// The serial to start from, as mesh state history lists it
    from: u64,
    /// The serial to compare with; without, state as it is now
    to: Option<u64>,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::backend(ui, &args.state, &[])?;
    let (from, to, now, history) = runtime()?.block_on(async {
        let now = backend.snapshot().await?;
        let from = backend.at(args.from).await?;
        let to = match args.to {
            Some(serial) => backend.at(serial).await?,
            None => now.clone(),
        };
        Ok::<_, mesh_state::StateError>((from, to, now.serial, backend.history().await?))
    })?;
    let compared = compare(&from, &to);
    let made = |serial: u64| history.iter().find(|e| e.serial == serial);
    if args.json {
        let side = |s: &Snapshot| made(s.serial).map_or_else(|| json!({ "serial": s.serial }), |e| row(e, now));
        let mut whole = json!({ "format_version": "1.0", "from": side(&from), "to": side(&to) });
        whole["changes"] = compared.changes();
        whole["outputs"] = compared.outputs();
        whole["unfinished"] = Json::Bool(to.unfinished.is_some());
        out(&format!("{whole}\n"))?;
        return Ok(0);
    }
    let mut text =
        format!("From {}to {}", side(from.serial, made(from.serial), now), side(to.serial, made(to.serial), now));
    if to.unfinished.is_some() {
        push!(text, "{}\n", paint(YELLOW, "An apply has not finished since; what it has done is shown here, too."));
    }
    text.push_str(&if compared.is_empty() { "\nNothing differs.\n".to_owned() } else { compared.text() });
    out(&text)?;
    Ok(0)
}

/// Who made a serial, when, and how.
fn side(serial: u64, made: Option<&HistoryEntry>, now: u64) -> String {
    made.map_or_else(|| format!("{serial}\n"), |entry| paragraph(entry, now))
}
