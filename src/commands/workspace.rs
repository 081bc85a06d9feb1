//! `mesh workspace`: several states of one configuration.
//!
//! The one decision: a workspace is there when its state is, so `new` makes an empty one, and a name that was typed
//! wrong plans nothing. Which one is selected is said by `MESH_WORKSPACE`, else by a file of this folder.

use clap::ArgAction;
use mesh_lang::functions::DEFAULT_WORKSPACE;
use mesh_lang::suggestion;
use mesh_model::Diagnostic;
use mesh_state::seen::Seen;
use mesh_state::{StateError, Summary};
use serde_json::json;

use super::backend::{Places, SEEN};
use super::options::StateArgs;
use super::project::lock_info;
use super::running::runtime;
use super::saved;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;

/// Says which one is selected, where it is not the default one.
const SELECTED: &str = ".mesh/workspace";
const VARIABLE: &str = "MESH_WORKSPACE";

/// List, make, select and delete workspaces: several states of one configuration
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the workspaces
    List {
        /// Write JSON
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
        json: bool,
    },
    /// Show the name of the selected workspace
    Show,
    /// Make a workspace with an empty state, and select it
    New {
        /// Its name: a-z, 0-9 and -
        name: String,
    },
    /// Select another workspace
    Select {
        /// Make it if it is not there
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
        or_create: bool,
        /// Its name
        name: String,
    },
    /// Delete a workspace with its state
    Delete {
        /// Also when its state knows objects; they are left as they are
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
        force: bool,
        /// Its name
        name: String,
    },
}

fn error(detail: String) -> Diagnostic {
    Diagnostic::error("cli::workspace", "The workspace cannot be used", detail)
}

/// A name that every backend takes; `None` for the default workspace.
fn named(name: &str, whence: &str) -> Result<Option<String>, Diagnostic> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name == DEFAULT_WORKSPACE {
        return Ok(None);
    }
    if (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(Some(name.to_owned()));
    }
    Err(error(format!("{name:?}{whence} is no name of a workspace: up to 63 of a-z, 0-9 and -, with neither end a -.")))
}

/// The selected workspace, where it is not the default one.
///
/// # Errors
/// A name that is none.
pub(crate) fn selected(ui: &Ui) -> Result<Option<String>, Failure> {
    if let Some(name) = ui.var(VARIABLE) {
        return Ok(named(name, &format!(" in {VARIABLE}"))?);
    }
    match std::fs::read_to_string(SELECTED) {
        Ok(name) => Ok(named(name.trim(), &format!(" in {SELECTED}"))?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(error(format!("{SELECTED}: {e}.")).into()),
    }
}

fn select(ui: &Ui, name: Option<&str>) -> Result<(), Failure> {
    if let Some(variable) = ui.var(VARIABLE) {
        let detail = format!(
            "{VARIABLE} is set to {variable:?} and decides which workspace is selected. Unset it, or change it."
        );
        return Err(error(detail).into());
    }
    let written = match name {
        Some(name) => std::fs::create_dir_all(".mesh").and_then(|()| std::fs::write(SELECTED, format!("{name}\n"))),
        None => std::fs::remove_file(SELECTED).or_else(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(e),
        }),
    };
    Ok(written.map_err(|e| error(format!("{SELECTED}: {e}.")))?)
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    let current = selected(ui)?;
    if let Command::Show = args.command {
        out(&format!("{}\n", current.as_deref().unwrap_or(DEFAULT_WORKSPACE)))?;
        return Ok(0);
    }
    let places = saved::places(ui, &StateArgs::default(), vars)?;
    match &args.command {
        Command::Show => {}
        Command::List { json } => out(&list(&places, current.as_deref(), *json)?)?,
        Command::New { name } => {
            let name = named(name, "")?;
            make(ui, &places, name.as_deref())?;
            select(ui, name.as_deref())?;
            out(&format!("The workspace {} is made and selected; its state is empty.\n", shown(name.as_deref())))?;
        }
        Command::Select { name, or_create } => {
            let name = named(name, "")?;
            let names = runtime()?.block_on(places.open(None)?.workspaces())?;
            let there = name.as_ref().is_none_or(|name| names.contains(name));
            if !there && !or_create {
                let name = shown(name.as_deref());
                let known = names.iter().map(String::as_str).chain([DEFAULT_WORKSPACE]);
                let hint = suggestion(name, known).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
                let detail = format!("There is no workspace {name}.{hint} `mesh workspace new {name}` makes it.");
                return Err(error(detail).into());
            }
            if !there {
                make(ui, &places, name.as_deref())?;
            }
            select(ui, name.as_deref())?;
            out(&format!("The workspace {} is selected.\n", shown(name.as_deref())))?;
        }
        Command::Delete { name, force } => {
            let Some(name) = named(name, "")? else {
                return Err(error("The default workspace cannot be deleted.".to_owned()).into());
            };
            if current.as_deref() == Some(&*name) {
                let detail = format!("{name} is selected. Select another one first: mesh workspace select default.");
                return Err(error(detail).into());
            }
            if !runtime()?.block_on(places.open(None)?.workspaces())?.contains(&name) {
                return Err(error(format!("There is no workspace {name}.")).into());
            }
            runtime()?.block_on(places.open(Some(&name))?.delete(lock_info(ui, "workspace delete"), *force))?;
            forget(&name);
            out(&format!("The workspace {name} is deleted.\n"))?;
        }
    }
    Ok(0)
}

fn shown(name: Option<&str>) -> &str {
    name.unwrap_or(DEFAULT_WORKSPACE)
}

/// An empty state, where there is none.
fn make(ui: &Ui, places: &Places, name: Option<&str>) -> Result<(), Failure> {
    let state = places.open(name)?;
    let made = async {
        if name.is_none() || state.lineage().await?.is_some() {
            return Ok(false);
        }
        let writer = state.lock(lock_info(ui, "workspace new"), std::time::Duration::ZERO).await?;
        let done = writer.edit(Vec::new(), 1, Summary { complete: true, ..Summary::default() }).await;
        writer.release().await?;
        done.map(|_| true)
    };
    if !runtime()?.block_on(made).map_err(|e: StateError| e)? {
        return Err(error(format!("There is a workspace {} already.", shown(name))).into());
    }
    Ok(())
}

/// What this machine has seen of a state that is gone.
fn forget(name: &str) {
    let seen = Seen::new(SEEN);
    if let Ok(mut memory) = seen.read()
        && memory.states.remove(name).is_some()
    {
        // Nothing is lost with it but a warning.
        let _ = seen.write(&memory);
    }
}

fn list(places: &Places, current: Option<&str>, json: bool) -> Result<String, Failure> {
    let mut names = vec![DEFAULT_WORKSPACE.to_owned()];
    names.extend(runtime()?.block_on(places.open(None)?.workspaces())?);
    let is_current = |name: &str| name == shown(current);
    if json {
        let rows: Vec<_> = names.iter().map(|n| json!({ "name": n, "current": is_current(n) })).collect();
        return Ok(format!("{}\n", json!({ "format_version": "1.0", "workspaces": rows })));
    }
    Ok(names.iter().map(|n| format!("{} {n}\n", if is_current(n) { "*" } else { " " })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_backend_takes() {
        assert_eq!(named("default", "").expect("a name"), None);
        assert_eq!(named("prod-1", "").expect("a name").as_deref(), Some("prod-1"));
        for bad in ["", "Prod", "a/b", "..", "-a", "a-", "a.b", "a b", &"a".repeat(64)] {
            assert!(named(bad, "").is_err(), "{bad}");
        }
    }
}
