//! Editing state under its lock.
//!
//! The one decision: the changes are worked out twice, before the lock and under it, and must be the
//! same; so whoever was shown something gets just that, and nothing that cannot be done takes a lock.

use std::collections::BTreeSet;
use std::time::Duration;

use mesh_model::{Address, Diagnostic, Snapshot};
use mesh_state::{Backend, Record, Summary};

use crate::commands::options::EditArgs;
use crate::commands::project::lock_info;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Failure, Ui, ask};
use crate::view::style::{BOLD, paint};

/// What is done to state.
#[derive(Debug, PartialEq)]
pub(crate) struct Edit {
    /// The changes, in their order; none where there is nothing to do.
    pub(crate) changes: Vec<Record>,
    /// How many entries that are for people.
    pub(crate) edited: usize,
    /// The least serial that it becomes.
    pub(crate) at_least: u64,
    /// Whether operations whose outcome is not known may be overlooked. They stay open.
    pub(crate) force: bool,
}

impl Edit {
    /// Of these changes.
    pub(crate) fn new(changes: Vec<Record>, edited: usize) -> Self {
        Self { changes, edited, at_least: 0, force: false }
    }
}

/// Edits the state that the arguments or the configuration name; see [`edit_at`].
pub(crate) fn edit(
    ui: &mut Ui,
    args: &EditArgs,
    command: &str,
    work: impl Fn(&Snapshot) -> Result<Edit, Failure>,
    go: impl FnOnce(&Ui, &Snapshot, &Edit) -> Result<bool, Failure>,
) -> Result<Option<u64>, Failure> {
    let wait = args.lock_wait()?;
    let backend = saved::backend(ui, &args.state, &[])?;
    edit_at(ui, &*backend, wait, command, work, go)
}

/// Edits state: `work` says how, `go` sees that and says whether to do it. Gives the new serial; `None` where
/// nothing was to be done, or `go` said no.
///
/// # Errors
/// Those of `work` and `go`, a lock that is held, state that cannot be read or written, state that changed
/// in between.
pub(crate) fn edit_at(
    ui: &Ui,
    backend: &dyn Backend,
    wait: Duration,
    command: &str,
    work: impl Fn(&Snapshot) -> Result<Edit, Failure>,
    go: impl FnOnce(&Ui, &Snapshot, &Edit) -> Result<bool, Failure>,
) -> Result<Option<u64>, Failure> {
    let runtime = runtime()?;
    let checked = |snapshot: &Snapshot| {
        let edit = work(snapshot)?;
        if !edit.force {
            in_doubt(snapshot, &edit.changes)?;
        }
        Ok::<_, Failure>(edit)
    };
    let before = runtime.block_on(backend.snapshot())?;
    let shown = checked(&before)?;
    if !go(ui, &before, &shown)? || shown.changes.is_empty() {
        return Ok(None);
    }
    let (info, summary) =
        (lock_info(ui, command), Summary { edited: shown.edited, complete: true, ..Summary::default() });
    runtime.block_on(async {
        let writer = backend.lock(info, wait).await?;
        let result = async {
            let now = checked(&writer.snapshot().await?)?;
            if now != shown {
                let detail =
                    "Another run has changed it in the meantime, so nothing was done. Run the same command again.";
                return Err(Diagnostic::error("cli::state_changed", "State has changed", detail).into());
            }
            Ok::<_, Failure>(writer.edit(now.changes, now.at_least, summary).await?.serial)
        };
        let result = result.await;
        let released = writer.release().await;
        let serial = result?;
        released?;
        Ok(Some(serial))
    })
}

/// Whether somebody says yes to what was shown.
///
/// # Errors
/// Nobody can be asked.
pub(super) fn consent(ui: &Ui, given: bool, question: &str) -> Result<bool, Failure> {
    if given {
        return Ok(true);
    }
    if !ui.can_ask() {
        let detail =
            "There is no terminal to ask at. What would change in state is shown above; give -auto-approve to do it.";
        return Err(Diagnostic::error("cli::no_terminal", "Nobody can be asked for approval", detail).into());
    }
    let question = format!(
        "\n{}\n  Only 'yes' will be accepted to approve.\n\n  {} ",
        paint(BOLD, question),
        paint(BOLD, "Enter a value:")
    );
    Ok(ask(&question, &|| false).as_deref() == Some("yes"))
}

/// Refuses to touch what an operation is open for: whether its object is there must be found out first.
fn in_doubt(snapshot: &Snapshot, changes: &[Record]) -> Result<(), Diagnostic> {
    if snapshot.open.is_empty() {
        return Ok(());
    }
    let touched: BTreeSet<&Address> = changes.iter().flat_map(addresses).collect();
    let open: BTreeSet<String> =
        snapshot.open.iter().map(|i| &i.address).filter(|a| touched.contains(a)).map(ToString::to_string).collect();
    if open.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "A run was cut off while it changed {}, and what came of that is not known yet. Run mesh apply (or mesh destroy), \
         which looks it up first; then edit state.",
        open.into_iter().collect::<Vec<_>>().join(", ")
    );
    Err(Diagnostic::error("cli::state_open", "An operation is still open", detail))
}

fn addresses(record: &Record) -> Vec<&Address> {
    match record {
        Record::Put { address, .. }
        | Record::Remove { address, .. }
        | Record::Depose { address, .. }
        | Record::Restore { address, .. } => vec![address],
        Record::Move { from, to } => vec![from, to],
        Record::Outputs(_) | Record::Nothing => Vec::new(),
    }
}

/// The command with its addresses, for the lock and the history; long lists are cut.
pub(crate) fn named(command: &str, addresses: &[&str]) -> String {
    const SHOWN: usize = 4;
    let mut words = vec![command.to_owned()];
    words.extend(addresses.iter().take(SHOWN).map(|a| (*a).to_owned()));
    if addresses.len() > SHOWN {
        words.push(format!("and {} more", addresses.len() - SHOWN));
    }
    words.join(" ")
}
