//! The formats on disk: version 1 of the state file and of the journal, both JSON lines.
//!
//! The one decision: own encoders and decoders between bytes and the model, without a JSON tree in
//! between. A state is a header, one row an object and a closing checksum; a journal is a chain of
//! lines, each with a hash over itself and the line before, so that no flipped byte passes. A reader
//! refuses what it does not know: ignoring it would lose it at the next write.

mod entry;
mod journal;
mod read;
mod rows;
mod state;

#[cfg(test)]
mod tests;
mod write;

pub(crate) use entry::{Entry, Meta};
pub(crate) use journal::{Chain, JournalHeader, ReadJournal, frame, header_line, read_journal};
pub(crate) use read::Reader;
pub(crate) use rows::{InstanceRow, IntentRow, OutputRow, write_instance, write_intent, write_output};
pub(crate) use state::{Stored, close_lines, closed_lines, encode_state, read_meta, read_state};
pub(crate) use write::ValueWriter;

/// The newest version of both formats.
pub(crate) const VERSION: u64 = 1;

/// Bytes that are no state or journal of a known version.
#[derive(Debug)]
pub(crate) enum Bad {
    /// Written by a newer version.
    Newer(u64),
    /// Damaged: the line, if one can be told, and why.
    Damaged(Option<usize>, String),
}

impl Bad {
    pub(crate) fn at(line: usize, why: impl Into<String>) -> Self {
        Self::Damaged(Some(line), why.into())
    }
}

/// A value that must not or cannot be stored.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) why: &'static str,
    /// Where, innermost step last; without what is sensitive.
    pub(crate) path: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(why: &'static str) -> Self {
        Self { why, path: Vec::new() }
    }

    pub(crate) fn under(mut self, step: impl Into<String>) -> Self {
        self.path.insert(0, step.into());
        self
    }
}

impl From<Refusal> for crate::StateError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { what: format!("{} at {}", refusal.why, refusal.path.join(".")) }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}
