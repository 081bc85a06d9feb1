//! `mesh lock`: who holds the locks of the states of a configuration.

use clap::ArgAction;
use mesh_lang::functions::DEFAULT_WORKSPACE;
use mesh_state::LockInfo;
use serde_json::json;

use super::options::StateArgs;
use super::running::runtime;
use super::saved;
use crate::ui::{Outcome, Ui};
use crate::view::style::{BOLD, out, paint, visible};

/// Show who holds the locks of state
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the locks of all workspaces: who holds them, since when, and for what
    List(List),
}

#[derive(clap::Args, Debug)]
struct List {
    #[command(flatten)]
    state: StateArgs,
    /// Write JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let Command::List(args) = &args.command;
    let places = saved::places(ui, &args.state, &[])?;
    let runtime = runtime()?;
    let mut names = vec![None];
    if args.state.state.is_none() {
        names.extend(runtime.block_on(places.open(None)?.workspaces())?.into_iter().map(Some));
    }
    let mut locks = Vec::new();
    for name in names {
        let state = places.open(name.as_deref())?;
        if let Some(holder) = runtime.block_on(state.lock_info())? {
            locks.push((name.unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned()), state.describe(), holder));
        }
    }
    if args.json {
        let rows: Vec<_> = locks.iter().map(|(name, place, holder)| row(name, place, holder)).collect();
        out(&format!("{}\n", json!({ "format_version": "1.0", "locks": rows })))?;
    } else if locks.is_empty() {
        out("Nothing is locked.\n")?;
    } else {
        out(&locks.iter().map(|(name, place, holder)| paragraph(name, place, holder)).collect::<String>())?;
    }
    Ok(0)
}

fn row(name: &str, place: &str, holder: &LockInfo) -> serde_json::Value {
    json!({
        "workspace": name,
        "state": place,
        "id": holder.id,
        "command": holder.command,
        "who": format!("{}@{}", holder.user, holder.host),
        "pid": holder.pid,
        "started": holder.started.to_string(),
        "expires": holder.expires.map(|at| at.to_string()),
        "dead": holder.dead,
    })
}

fn paragraph(name: &str, place: &str, holder: &LockInfo) -> String {
    let end = match (holder.dead, holder.expires) {
        (true, _) => "its holder is gone; the next run takes it over".to_owned(),
        (false, None) => "it ends with that process".to_owned(),
        (false, Some(at)) => {
            let at = at.round(jiff::Unit::Second).unwrap_or(at);
            format!("without a sign of life it ends at {at}")
        }
    };
    format!(
        "{}  {}\n  {}\n  lock id {}; {end}\n",
        paint(BOLD, name),
        visible(place),
        visible(&holder.to_string()),
        visible(&holder.id)
    )
}
