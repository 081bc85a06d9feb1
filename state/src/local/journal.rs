//! The journal file that a writer appends to.
//!
//! The one decision: a batch of lines is one write and one sync. After a failed sync nobody knows
//! what is on the disk, so nothing more is written; the next process reads what is really there.

use std::fs::{File, OpenOptions};
use std::io::Write;

use super::files::{self, Paths};
use crate::StateError;
use crate::format::{self, Chain, JournalHeader};

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    length: u64,
    chain: Chain,
    seq: u64,
    /// Why nothing more can be written.
    broken: Option<StateError>,
}

type Permit<'a> = &'a dyn Fn() -> Result<(), StateError>;

impl Journal {
    /// A new one without entries, in place of any other.
    pub(super) fn create(paths: &Paths, header: &JournalHeader, permit: Permit<'_>) -> Result<Self, StateError> {
        let (line, chain) = format::header_line(header);
        Self::put(paths, &line, chain, header.seq, permit)
    }

    /// A copy of one that a dead process left. A copy, since that process may not be quite dead:
    /// what it still writes goes to a file without a name.
    pub(super) fn put(
        paths: &Paths,
        bytes: &[u8],
        chain: Chain,
        seq: u64,
        permit: Permit<'_>,
    ) -> Result<Self, StateError> {
        drop(paths.replace(&paths.journal, &[bytes], permit)?);
        let file = OpenOptions::new()
            .append(true)
            .open(&paths.journal)
            .map_err(|e| StateError::io("opening", &paths.journal, &e))?;
        Ok(Self { file, length: bytes.len() as u64, chain, seq, broken: None })
    }

    /// The hash of the last line.
    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Appends entries and gives the number of the first; durable when this returns.
    pub(super) fn append(&mut self, paths: &Paths, bodies: &[&[u8]], permit: Permit<'_>) -> Result<u64, StateError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        permit().map_err(|e| self.stop(e))?;
        let mut bytes = Vec::with_capacity(bodies.iter().map(|b| b.len() + 80).sum());
        let (mut chain, mut seq) = (self.chain, self.seq);
        for body in bodies {
            seq += 1;
            chain = format::frame(&mut bytes, chain, seq, body);
        }
        if let Err(e) = self.file.write_all(&bytes) {
            let error = StateError::io("writing", &paths.journal, &e);
            // Take back what was written in part; then a later try (with more space) is possible.
            return Err(match self.file.set_len(self.length) {
                Ok(()) => error,
                Err(_) => self.stop(error),
            });
        }
        self.file.sync_data().map_err(|e| self.stop(StateError::io("syncing", &paths.journal, &e)))?;
        // Still ours: then whoever takes over later copies what was just written.
        permit().map_err(|e| self.stop(e))?;
        let first = self.seq + 1;
        self.length += bytes.len() as u64;
        (self.chain, self.seq) = (chain, seq);
        Ok(first)
    }

    /// Nothing more is written from now on.
    pub(super) fn stop(&mut self, error: StateError) -> StateError {
        self.broken = Some(error.clone());
        error
    }
}

/// Removes the journal, if there is one: all of it is in the state.
pub(super) fn remove(paths: &Paths) -> Result<(), StateError> {
    match files::optional(std::fs::remove_file(&paths.journal)) {
        Ok(None) => Ok(()),
        Ok(Some(())) => files::sync_folder(&paths.journal),
        Err(e) => Err(StateError::io("removing", &paths.journal, &e)),
    }
}
