//! What was there when a lock was last given back in good order.
//!
//! The one decision: it is kept beside the lock as a lower bound. All of it was durable before it was written down, so
//! whoever looks at it first and at the state then must find it, whatever others do meanwhile and however they end. What
//! was done since may be more. So the end of a journal cannot be cut off unnoticed, nor an older state put in
//! place; but what the last holder did who died can.

use serde::{Deserialize, Serialize};

use crate::format::{ReadJournal, Stored, hex};

/// The end of a state.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Left {
    /// The serial.
    pub(crate) serial: u64,
    /// The number of the last entry.
    seq: u64,
    /// The hash of its line, and with it of all before; empty where there was none.
    chain: String,
}

impl Left {
    /// That of what is known now.
    pub(crate) fn of(stored: &Stored) -> Self {
        Self { serial: stored.snapshot.serial, seq: stored.seq, chain: stored.merged.clone() }
    }

    /// Why a state, with the journal that continues it, is not what was there; `None` when it is that, or more.
    pub(crate) fn missing_in(&self, base: &Stored, journal: Option<&ReadJournal>) -> Option<String> {
        let end = journal.and_then(|j| j.entries.last()).map_or(base.seq, |(seq, _)| *seq);
        if end < self.seq {
            let operations = match self.seq - end {
                1 => format!("operation {} is missing", self.seq),
                _ => format!("operations {} to {} are missing", end + 1, self.seq),
            };
            let (serial, found) = (self.serial, base.snapshot.serial);
            return Some(if found < serial && journal.is_none() {
                format!(
                    "it holds serial {found}, and serial {serial} was here when the lock was last given back: {operations}"
                )
            } else {
                format!("{operations}, which had been recorded when the lock was last given back, at serial {serial}")
            });
        }
        let chain = match base.seq {
            seq if seq == self.seq => Some(base.merged.clone()),
            _ => journal.and_then(|j| j.hash_of(self.seq)).map(|hash| hex(&hash)),
        };
        chain
            .filter(|c| *c != self.chain)
            .map(|_| format!("operation {} is not the one that was here when the lock was given back", self.seq))
    }
}
