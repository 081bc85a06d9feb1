//! `mesh state push`: a document becomes the state.
//!
//! The one decision: the lineage stays, since the key that fingerprints secrets belongs to it; a document of
//! another one needs `-force`, and its secrets then show as changed once. What was there is in the history.

use std::io::Read as _;
use std::path::Path;

use clap::ArgAction;
use mesh_core::decide::differences;
use mesh_model::{Diagnostic, Fingerprinter, Mode, Snapshot};
use mesh_sdk::marks::mark_sensitive;
use mesh_state::document;

use super::edit::{Edit, edit_at};
use crate::commands::options::EditArgs;
use crate::commands::project;
use crate::commands::saved;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::{out, plain};

/// Make a document that `mesh state pull` wrote the state
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    edit: EditArgs,
    /// Also over a newer serial, another lineage, and operations whose outcome is not known
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    force: bool,
    /// The document; - is standard input
    file: String,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let pushed = read(&args.file)?;
    no_secret(ui, &pushed)?;
    if !pushed.open.is_empty() && !args.force {
        let detail = format!(
            "It was pulled while operations were open ({} of them), which a push does not bring along. Pull it after an apply has \
             finished; with -force they are left out, and objects that they made are unknown.",
            pushed.open.len()
        );
        return Err(Diagnostic::error("cli::push_open", "The document has open operations", detail).into());
    }
    let work = |now: &Snapshot| {
        if !args.force {
            fits(now, &pushed)?;
        }
        let changes = document::difference(now, &pushed);
        let edited = changes.len();
        Ok(Edit { changes, edited, at_least: pushed.serial, force: args.force })
    };
    let command = format!("state push {}", plain(&args.file));
    let (wait, backend) = (args.edit.lock_wait()?, saved::as_it_is(ui, &args.edit.state)?);
    match edit_at(ui, &*backend, wait, &command, work, |_, _, _| Ok(true))? {
        Some(serial) => out(&format!(
            "The document is the state now, as serial {serial}. No object was touched; mesh plan shows what it means.\n"
        ))?,
        None => out("State is what the document says already.\n")?,
    }
    Ok(0)
}

fn read(file: &str) -> Result<Snapshot, Failure> {
    let (name, bytes) = if file == "-" {
        let mut bytes = Vec::new();
        ("standard input".to_owned(), std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (file.to_owned(), std::fs::read(Path::new(file)))
    };
    let bytes =
        bytes.map_err(|e| Diagnostic::error("cli::push", "The document is not readable", format!("{name}: {e}.")))?;
    Ok(document::read(&bytes, &name)?)
}

/// Whether a document continues the state.
fn fits(now: &Snapshot, pushed: &Snapshot) -> Result<(), Diagnostic> {
    let refused = |summary, detail| Err(Diagnostic::error("cli::push", summary, detail));
    if now.lineage != pushed.lineage {
        let detail = format!(
            "The document has lineage {}, the state here {}: they are of two stacks, or this one was made anew. To move a state to \
             another place, copy its key (mesh.state.key) there first. With -force it is taken nevertheless; its secrets then \
             show as changed once.",
            pushed.lineage,
            if now.lineage.is_empty() { "none yet" } else { &now.lineage }
        );
        return refused("The document is of another lineage", detail);
    }
    if pushed.serial < now.serial || pushed.serial == now.serial && !document::difference(now, pushed).is_empty() {
        let detail = format!(
            "The document has serial {}, the state here {}: something was applied since it was pulled. Pull again and edit that, or \
             raise its serial. -force takes it nevertheless, and the history keeps what is there now.",
            pushed.serial, now.serial
        );
        return refused("The state is newer than the document", detail);
    }
    Ok(())
}

/// Refuses values in clear where the schema of their type says that they are secret.
fn no_secret(ui: &Ui, pushed: &Snapshot) -> Result<(), Failure> {
    let engine = project::engine(ui, std::sync::Arc::new(mesh_core::Silent));
    // Any key tells whether something would have to be withheld.
    let fingerprinter = Fingerprinter::new([0; 32]);
    let deposed = pushed.deposed.iter().map(|((a, _), i)| (a, i));
    for (address, instance) in pushed.instances.iter().chain(deposed) {
        let Some((schema, rules)) =
            engine.schema(Mode::Managed, &address.ty).zip(engine.rules(Mode::Managed, &address.ty))
        else {
            continue;
        };
        let marked = rules.mark(mark_sensitive(&schema.schema, &instance.values));
        let clear = differences(&marked, &fingerprinter.withhold(&marked));
        if !clear.is_empty() {
            let names = clear.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let detail = format!(
                "{address} holds {names} in clear. State keeps secrets as fingerprints only: leave what mesh state pull wrote there."
            );
            return Err(Diagnostic::error("cli::push_secret", "The document holds a secret in clear", detail).into());
        }
    }
    Ok(())
}
