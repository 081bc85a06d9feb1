//! `mesh state history`: who made which serial, when, and how.

use clap::ArgAction;
use mesh_state::HistoryEntry;
use serde_json::json;

use crate::commands::options::StateArgs;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Outcome, Ui};
use crate::view::style::{BOLD, DIM, out, paint, visible};

/// List the serials of state that are kept: who made them, when, and how
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Write JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::as_it_is(ui, &args.state)?;
    let runtime = runtime()?;
    let now = runtime.block_on(backend.snapshot())?.serial;
    let entries = runtime.block_on(backend.history())?;
    if args.json {
        let rows: Vec<_> = entries.iter().map(|e| row(e, now)).collect();
        out(&format!("{}\n", json!({ "format_version": "1.0", "serials": rows })))?;
        return Ok(0);
    }
    if entries.is_empty() {
        out("There is no history yet: nothing was applied.\n")?;
        return Ok(0);
    }
    let text: String = entries.iter().rev().map(|e| paragraph(e, now)).collect();
    out(&text)?;
    Ok(0)
}

fn when(entry: &HistoryEntry) -> String {
    entry.when.round(jiff::Unit::Second).unwrap_or(entry.when).to_string()
}

/// One serial for programs; `now`: the current one.
pub(super) fn row(entry: &HistoryEntry, now: u64) -> serde_json::Value {
    let counts = entry.summary.counts;
    json!({
        "serial": entry.serial,
        "current": entry.serial == now,
        "time": when(entry),
        "who": entry.who,
        "command": entry.command,
        "digest": Some(&entry.digest).filter(|d| !d.is_empty()),
        "summary": {
            "add": counts.add,
            "change": counts.change,
            "remove": counts.destroy,
            "import": counts.import,
            "forget": counts.forget,
            "edited": entry.summary.edited,
            "complete": entry.summary.complete,
        },
    })
}

/// One serial for people; `now`: the current one.
pub(super) fn paragraph(entry: &HistoryEntry, now: u64) -> String {
    let mark = if entry.serial == now { " (current)" } else { "" };
    let digest = if entry.digest.is_empty() { String::new() } else { format!("  digest {}\n", entry.digest) };
    format!(
        "{}  {}  {}\n  {}: {}\n{}",
        paint(BOLD, format!("{}{mark}", entry.serial)),
        when(entry),
        visible(&entry.who),
        visible(&entry.command),
        entry.summary,
        paint(DIM, digest)
    )
}
