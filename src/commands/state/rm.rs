//! `mesh state rm`: state forgets objects, which stay where they are.
//!
//! The one decision: an address that names nothing refuses the whole command, since it is a typo among
//! names that are about to be forgotten.

use std::sync::Arc;

use clap::ArgAction;
use mesh_model::{Address, Snapshot};
use mesh_state::Record;

use super::edit::{Edit, edit, named};
use super::select;
use crate::commands::options::EditArgs;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;

/// Forget objects without touching them
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    edit: EditArgs,
    /// Only say what would be forgotten
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    dry_run: bool,
    /// Only the deposed object with this key
    #[arg(long, value_name = "KEY")]
    deposed: Option<String>,
    /// What to forget: instances, blocks with all their instances, modules with all that is in them
    #[arg(required = true)]
    address: Vec<String>,
}

type Object = (Address, Option<Arc<str>>);

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let words: Vec<&str> = args.address.iter().map(String::as_str).collect();
    let work = |snapshot: &Snapshot| {
        let list = objects(snapshot, &args.address, args.deposed.as_deref())?;
        let count = list.len();
        let changes = list.into_iter().map(|(address, deposed)| Record::Remove { address, deposed }).collect();
        Ok(Edit::new(changes, count))
    };
    let done = edit(ui, &args.edit, &named("state rm", &words), work, |_, _, edit| {
        let word = if args.dry_run { "Would forget" } else { "Forget" };
        let mut text = String::new();
        for change in &edit.changes {
            match change {
                Record::Remove { address, deposed: None } => push!(text, "{word} {address}\n"),
                Record::Remove { address, deposed: Some(key) } => push!(text, "{word} {address} (deposed {key})\n"),
                _ => {}
            }
        }
        out(&text)?;
        Ok(!args.dry_run)
    })?;
    if done.is_some() {
        out(
            "\nState knows these objects no longer. The objects themselves stay where they are, also the deposed ones: nothing manages \
             them any more. What the configuration still declares is planned as new; import takes it back.\n",
        )?;
    }
    Ok(0)
}

/// What the addresses name, each object once.
fn objects(snapshot: &Snapshot, texts: &[String], key: Option<&str>) -> Result<Vec<Object>, Failure> {
    let mut out: Vec<Object> = Vec::new();
    for text in texts {
        let selected = select::parse(text)?;
        let current = snapshot.instances.keys().filter(|_| key.is_none()).map(|a| (a.clone(), None));
        let deposed = snapshot.deposed.keys().filter(|(_, k)| key.is_none_or(|wanted| wanted == &**k));
        let all = current.chain(deposed.map(|(a, k)| (a.clone(), Some(k.clone()))));
        let found: Vec<Object> = all.filter(|(a, _)| selected.covers(a)).collect();
        if found.is_empty() {
            let text = key.map_or_else(|| text.clone(), |k| format!("{text} (deposed {k})"));
            return Err(select::unknown(snapshot, &text).into());
        }
        for object in found {
            if !out.contains(&object) {
                out.push(object);
            }
        }
    }
    Ok(out)
}
