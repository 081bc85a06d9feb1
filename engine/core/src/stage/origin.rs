//! Whether state is still what a plan was made from, and the errors where it is not.
//!
//! The one decision: a reviewed plan is known again by its digest, which everything that it leads to is recorded under.
//! So its own traces in state do not make it stale, and those of anybody else do.

use std::sync::Arc;

use mesh_model::{Diagnostic, Diagnostics, Snapshot};

use super::{Run, state_diagnostics};
use crate::conform::Reviewed;

pub(super) const OTHER_ORIGIN: &str = "state: another run has applied something since the plan was made";

/// Where state comes from, seen from a reviewed plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// It is what the plan was made from.
    Same,
    /// This very plan has changed it, and nothing else has.
    Resumed,
    /// This very plan has changed it, and was not cut off: nothing is half done.
    Done,
    /// Something else has changed it.
    Other,
}

impl Run<'_> {
    /// Where state comes from, seen from a reviewed plan.
    pub(super) async fn origin(&self, reviewed: &Reviewed, snapshot: &Snapshot) -> Result<Origin, Diagnostics> {
        let unfinished = snapshot.unfinished.as_ref().map(|u| &*u.digest);
        let ours = unfinished == Some(reviewed.digest.as_str());
        if reviewed.anywhere {
            return Ok(if ours { Origin::Resumed } else { Origin::Same });
        }
        if snapshot.serial == reviewed.serial {
            return Ok(match (ours, unfinished == reviewed.unfinished.as_deref()) {
                (true, _) => Origin::Resumed,
                (false, true) => Origin::Same,
                (false, false) => Origin::Other,
            });
        }
        let history = self.backend.history().await.map_err(|e| state_diagnostics(&e))?;
        let since: Vec<_> = history.iter().filter(|h| h.serial > reviewed.serial).collect();
        let all = u64::try_from(since.len()).ok() == snapshot.serial.checked_sub(reviewed.serial);
        let only_ours = all && since.iter().all(|h| h.digest == reviewed.digest) && (ours || unfinished.is_none());
        Ok(match (only_ours, ours) {
            (true, true) => Origin::Resumed,
            (true, false) => Origin::Done,
            (false, _) => Origin::Other,
        })
    }
}

/// What must not have moved between planning and locking.
pub(super) type Mark = (Arc<str>, u64, usize, usize, Option<Arc<str>>);

pub(super) fn mark(snapshot: &Snapshot) -> Mark {
    (
        snapshot.lineage.clone(),
        snapshot.serial,
        snapshot.open.len(),
        snapshot.instances.len(),
        snapshot.unfinished.as_ref().map(|u| u.digest.clone()),
    )
}

pub(super) fn moved() -> Diagnostic {
    Diagnostic::error(
        "apply::stale",
        "State has changed since the plan was made",
        "Another run has applied something in the meantime, so this plan is not applied. Run the same command again to see a new plan.",
    )
}

pub(super) fn stale(lines: &[String], digest: &str) -> Diagnostic {
    Diagnostic::error(
        "apply::stale",
        "The approved plan does not fit any more",
        format!(
            "Planning again gives something that the approved plan does not say:\n  - {}\nNothing was changed. Make and review a \
             new plan; its digest is {digest} as things are now.",
            lines.join("\n  - ")
        ),
    )
}
