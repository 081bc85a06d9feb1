//! `mesh state rollback`: what state was at a serial, it becomes again.
//!
//! The one decision: nothing is undone; the old content becomes a new serial, and the objects stay as they
//! are. So a rollback can be rolled back, and the next plan shows what state and objects make of each other.

use clap::ArgAction;
use mesh_model::{Instance, Snapshot};
use mesh_state::document;

use super::edit::{Edit, consent, edit};
use crate::commands::options::EditArgs;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Outcome, Ui};
use crate::view::style::{GREEN, RED, YELLOW, out, paint};

/// Make state again what it was at a serial, without touching any object
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    edit: EditArgs,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    auto_approve: bool,
    /// The serial, as mesh state history lists it
    serial: u64,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::backend(ui, &args.edit.state, &[])?;
    let then = runtime()?.block_on(backend.at(args.serial))?;
    let work = |now: &Snapshot| {
        if now.lineage != then.lineage {
            mesh_state::expect_lineage(&then, &now.lineage, &format!("serial {}", args.serial))?;
        }
        let changes = document::difference(now, &then);
        Ok(Edit { edited: changes.len(), ..Edit::new(changes, 0) })
    };
    let mut declined = false;
    let command = format!("state rollback {}", args.serial);
    let done = edit(ui, &args.edit, &command, work, |ui, now, edit| {
        if edit.changes.is_empty() {
            return Ok(false);
        }
        out(&shown(now, &then))?;
        declined = !consent(ui, args.auto_approve, "Do you want to put this back into state?")?;
        Ok(!declined)
    })?;
    match done {
        Some(serial) => out(&format!(
            "\nState is again what it was at serial {}, as serial {serial}. No object was touched; mesh plan shows what it means.\n",
            args.serial
        ))?,
        None if declined => {
            out("\nRollback cancelled.\n")?;
            return Ok(1);
        }
        None => out(&format!("State is what it was at serial {} already.\n", args.serial))?,
    }
    Ok(0)
}

/// What changes in state, without any value.
fn shown(now: &Snapshot, then: &Snapshot) -> String {
    let mut text =
        format!("State is serial {} and would be again what it was at serial {}:\n", now.serial, then.serial);
    let names = |s: &Snapshot| {
        let current = s.instances.iter().map(|(a, i)| (a.to_string(), i.clone()));
        let deposed = s.deposed.iter().map(|((a, k), i)| (format!("{a} (deposed {k})"), i.clone()));
        current.chain(deposed).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (old, new) = (names(now), names(then));
    for name in old.keys().filter(|n| !new.contains_key(*n)) {
        push!(text, "  {} {name}: no longer known; its object stays, and nothing manages it\n", paint(RED, "-"));
    }
    for (name, instance) in &new {
        match old.get(name) {
            None => {
                push!(text, "  {} {name}: known again, whether its object is still there or not\n", paint(GREEN, "+"))
            }
            Some(now) if now != instance => {
                push!(text, "  {} {name}: {}\n", paint(YELLOW, "~"), different(now, instance).join(", "));
            }
            Some(_) => {}
        }
    }
    let outputs: Vec<&str> = then
        .outputs
        .iter()
        .filter(|(n, o)| now.outputs.get(*n) != Some(*o))
        .map(|(n, _)| &**n)
        .chain(now.outputs.keys().filter(|n| !then.outputs.contains_key(*n)).map(|n| &**n))
        .collect();
    if !outputs.is_empty() {
        push!(text, "  {} outputs: {}\n", paint(YELLOW, "~"), outputs.join(", "));
    }
    text.push_str("Only state changes: no object is made, changed or deleted.\n");
    text
}

/// What differs between two entries.
fn different(a: &Instance, b: &Instance) -> Vec<String> {
    let names =
        |i: &Instance| i.values.as_fields().into_iter().flat_map(|f| f.iter()).map(|(k, _)| k.clone()).collect();
    let mut fields: std::collections::BTreeSet<std::sync::Arc<str>> = names(a);
    fields.extend(names(b));
    let differs = |k: &std::sync::Arc<str>| a.values.get(k) != b.values.get(k);
    let mut out: Vec<String> = fields.iter().filter(|k| differs(k)).map(ToString::to_string).collect();
    for (differs, what) in [
        (a.identity != b.identity, "another object"),
        (a.tainted != b.tainted, "the taint"),
        (a.protected != b.protected, "the protection"),
        (a.dependencies != b.dependencies, "dependencies"),
        (a.provider != b.provider || a.target != b.target, "the provider"),
    ] {
        if differs {
            out.push(what.to_owned());
        }
    }
    if out.is_empty() {
        out.push("what the provider remembers".to_owned());
    }
    out
}
