//! `mesh init -migrate-state`: states go from the backend where they were to the one that is configured now.
//!
//! The one decision: a state is copied with its lineage, its serial and its keys, under the locks of both places, and
//! compared afterwards; the one where it came from stays as it is. What is open is finished first, where it was begun.

use std::sync::Arc;
use std::time::Duration;

use mesh_lang::functions::DEFAULT_WORKSPACE;
use mesh_model::{Diagnostic, Snapshot};
use mesh_state::seen::{Memory, Origin, Seen};
use mesh_state::{Home, STATE, StateError, Summary, document, expect_lineage};

use super::backend::{Places, SEEN};
use super::project::lock_info;
use super::running::runtime;
use crate::ui::{Failure, Ui, ask};
use crate::view::style::{BOLD, paint};

/// What `mesh init` is to do about states that were elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// Notice it.
    Look,
    /// Bring them along; `sure` asks no question.
    Migrate { sure: bool },
    /// Accept what is there now.
    Reconfigure,
}

fn error(detail: impl Into<String>) -> Failure {
    Diagnostic::error("cli::migrate", "The state cannot be migrated", detail).into()
}

/// Whether anything is to be looked at.
///
/// # Errors
/// What is remembered cannot be read.
pub(crate) fn is_due(wanted: Wanted) -> Result<bool, Failure> {
    Ok(wanted != Wanted::Look || Seen::new(SEEN).read()?.origin.is_some())
}

/// Does it; what is to be said about it.
///
/// # Errors
/// States that cannot be copied; then nothing was changed in the place where they were.
pub(crate) fn at_init(ui: &Ui, places: &Places, wanted: Wanted) -> Result<String, Failure> {
    let (seen, here) = (Seen::new(SEEN), places.origin());
    let memory = seen.read()?;
    let missed = memory.states.values().any(|last| last.objects > 0);
    match wanted {
        Wanted::Reconfigure => {
            seen.write(&Memory::at(here))?;
            Ok("\nWhat is in the configured backend is accepted as it is.\n".to_owned())
        }
        Wanted::Look if missed && memory.origin.as_ref().is_some_and(|o| *o != here) => {
            let before = memory.origin.unwrap_or_default().backend;
            let detail = format!(
                "This folder has a state in the backend {before:?} with other settings than the configuration says now. Give -migrate-state to bring \
                 it along, or -reconfigure to use what is in the configured backend."
            );
            Err(Diagnostic::error("cli::backend_changed", "The backend was changed", detail).into())
        }
        Wanted::Look => Ok(String::new()),
        Wanted::Migrate { sure } => {
            let local = || Origin { backend: "local".into(), settings: serde_json::json!({ "path": STATE }) };
            let before = memory.origin.unwrap_or_else(local);
            if before == here {
                return Ok(
                    "\nThe backend is the one where the state is already: there is nothing to migrate.\n".to_owned()
                );
            }
            let old = places.at(&before).ok_or_else(|| error(format!("There is no backend {:?}.", before.backend)))?;
            let said = migrate(ui, &old, places, sure)?;
            seen.write(&Memory::at(here))?;
            Ok(said)
        }
    }
}

/// A state that goes.
struct Move {
    name: String,
    old: Arc<dyn Home>,
    new: Arc<dyn Home>,
    snapshot: Snapshot,
}

fn migrate(ui: &Ui, old: &Places, new: &Places, sure: bool) -> Result<String, Failure> {
    let runtime = runtime()?;
    let mut names = vec![None];
    names.extend(runtime.block_on(old.open(None)?.workspaces())?.into_iter().map(Some));
    let mut moves = Vec::new();
    for name in names {
        let (old, new) = (old.open(name.as_deref())?, new.open(name.as_deref())?);
        let name = name.unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
        let (snapshot, there) = (runtime.block_on(old.snapshot())?, runtime.block_on(new.snapshot())?);
        if movable(&name, &*old, &snapshot, &*new, &there)? {
            moves.push(Move { name, old, new, snapshot });
        }
    }
    if moves.is_empty() {
        return Ok("\nThere is no state that is not in the configured backend already.\n".to_owned());
    }
    let mut list = String::new();
    for Move { name, old, new, snapshot } in &moves {
        let (serial, objects) = (snapshot.serial, snapshot.instances.len() + snapshot.deposed.len());
        push!(
            list,
            "  {name} (serial {serial}, {objects} objects): from the {} to the {}\n",
            old.describe(),
            new.describe()
        );
    }
    if !sure {
        if !ui.can_ask() {
            return Err(error(
                "Nobody can be asked whether to copy it. Give -force-copy to copy it without a question.",
            ));
        }
        let question = format!(
            "\n{}\n{list}  The state stays where it was, too. Only 'yes' will be accepted to confirm.\n\n  {} ",
            paint(BOLD, "Do you want to copy the state to the configured backend?"),
            paint(BOLD, "Enter a value:")
        );
        if ask(&question, &|| false).as_deref() != Some("yes") {
            return Err(error("It was not confirmed. Nothing was changed."));
        }
    }
    for one in &moves {
        runtime.block_on(one.run(ui))?;
    }
    Ok(format!(
        "\nState was copied, with its keys and without its history, and compared:\n{list}The state stays where it was as well: remove it when nobody uses it \
         any more.\n"
    ))
}

/// Whether a state is to go; not when there is none, or when it is there already.
fn movable(name: &str, old: &dyn Home, snapshot: &Snapshot, new: &dyn Home, there: &Snapshot) -> Result<bool, Failure> {
    if snapshot.serial == 0 && snapshot.instances.is_empty() && snapshot.open.is_empty() {
        return Ok(false);
    }
    if !snapshot.open.is_empty() || snapshot.unfinished.is_some() {
        return Err(error(format!(
            "In the workspace {name} an apply is not finished ({}). Put the backend block back as it was, run mesh apply until it is complete, then \
             migrate.",
            old.describe()
        )));
    }
    if there.serial == 0 && there.instances.is_empty() && there.open.is_empty() {
        return Ok(true);
    }
    if there.lineage == snapshot.lineage
        && there.serial >= snapshot.serial
        && document::difference(snapshot, there).is_empty()
    {
        return Ok(false);
    }
    Err(error(format!(
        "For the workspace {name} there is a state in the {} already: lineage {}, serial {}. The one in the {} has lineage {}, serial {}. Nothing was \
         changed. Look which one is right; -reconfigure uses the one that is there.",
        new.describe(),
        there.lineage,
        there.serial,
        old.describe(),
        snapshot.lineage,
        snapshot.serial
    )))
}

impl Move {
    async fn run(&self, ui: &Ui) -> Result<(), StateError> {
        let info = || lock_info(ui, "init -migrate-state");
        let from = self.old.lock(info(), Duration::ZERO).await?;
        let copied = self.copy(&from.snapshot().await?, info()).await;
        from.release().await?;
        copied
    }

    async fn copy(&self, snapshot: &Snapshot, info: mesh_state::LockInfo) -> Result<(), StateError> {
        let keys = self.old.keyring().export(Some(snapshot.lineage.to_string())).await?;
        self.new.keyring().import(&keys).await?;
        let to = self.new.lock(info, Duration::ZERO).await?;
        let there = to.snapshot().await?;
        let written = async {
            expect_lineage(&there, &snapshot.lineage, &self.new.describe())?;
            let summary = Summary { edited: snapshot.instances.len(), complete: true, ..Summary::default() };
            to.edit(document::difference(&there, snapshot), snapshot.serial, summary).await
        };
        let written = written.await;
        to.release().await?;
        written?;
        let now = self.new.snapshot().await?;
        if now.lineage == snapshot.lineage && document::difference(&now, snapshot).is_empty() {
            return Ok(());
        }
        Err(StateError::Other {
            place: self.new.describe(),
            why: "what was written there is not what was read".to_owned(),
            way_out: "The state where it was is unchanged: put the backend block back as it was.".to_owned(),
        })
    }
}
