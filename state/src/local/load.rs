//! Reading state and journal as one consistent whole, without a lock.
//!
//! The one decision: the state file is opened first and looked at again after the journal was read;
//! if it was replaced in between, a stage ended meanwhile and both are read again. A journal that
//! does not belong to the state is an error, never ignored, unless the state says that it is merged. So is less
//! than what the lock file says was there before.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use mesh_model::Snapshot;

use super::files::{self, FileId};
use super::{Shared, lock, locked};
use crate::StateError;
use crate::format::{self, JournalHeader, ReadJournal, Stored, hex};
use crate::left::Left;
use crate::replay::Live;

/// A state file that was read, as long as it is the same file.
#[derive(Debug)]
pub(super) struct Cached {
    id: FileId,
    stored: Stored,
}

/// State and journal together.
pub(super) struct Loaded {
    pub(super) live: Live,
    /// The checksum of the state file; empty without one.
    pub(super) sum: String,
    /// The journal's good bytes and its end, when it has something that the state has not.
    pub(super) journal: Option<Tail>,
}

/// The journal of a stage that did not end.
pub(super) struct Tail {
    pub(super) bytes: Vec<u8>,
    pub(super) chain: format::Chain,
}

impl Live {
    /// The snapshot with its open intents, without a copy.
    pub(crate) fn into_snapshot(self) -> Snapshot {
        Snapshot { open: self.stored.open.into_values().collect(), ..self.stored.snapshot }
    }
}

/// How often a stage may end while we read.
const ATTEMPTS: usize = 100;

impl Shared {
    /// What is known now.
    pub(super) fn load(&self) -> Result<Loaded, StateError> {
        let paths = &self.paths;
        for _ in 0..ATTEMPTS {
            let left = lock::left(paths)?;
            let file = self.open_state()?;
            let id = file.as_ref().map(|(_, id)| *id);
            let journal = files::read(&paths.journal)?;
            if FileId::at(&paths.state)? != id {
                continue;
            }
            let stored = match file {
                Some((file, id)) => Some(self.read_state(file, id, Stored::clone)?),
                None => None,
            };
            let journal = match &journal {
                Some(bytes) => Some(format::read_journal(bytes).map_err(|e| paths.bad(&paths.journal, e))?),
                None => None,
            }
            .zip(journal);
            match self.join(stored, journal, left.as_ref()) {
                // It was being written while we read it.
                Err(_) if lock::left(paths)? != left => {}
                joined => return joined,
            }
        }
        Err(StateError::io("reading", &paths.state, &std::io::Error::other("it is replaced again and again")))
    }

    /// Whether the journal of an earlier stage is still there, and nobody who would remove it.
    pub(super) fn unsettled(&self) -> Result<bool, StateError> {
        let journal = files::optional(std::fs::metadata(&self.paths.journal))
            .map_err(|e| StateError::io("reading", &self.paths.journal, &e))?;
        Ok(journal.is_some() && super::lock::look(&self.paths)?.is_none_or(|holder| holder.dead))
    }

    fn open_state(&self) -> Result<Option<(File, FileId)>, StateError> {
        let path = &self.paths.state;
        let Some(file) = files::optional(File::open(path)).map_err(|e| StateError::io("opening", path, &e))? else {
            return Ok(None);
        };
        let id = FileId::of(&file.metadata().map_err(|e| StateError::io("reading", path, &e))?);
        Ok(Some((file, id)))
    }

    fn read_state<T>(&self, mut file: File, id: FileId, part: impl FnOnce(&Stored) -> T) -> Result<T, StateError> {
        let mut cache = locked(&self.cache);
        if let Some(cached) = cache.as_ref().filter(|c| c.id == id) {
            return Ok(part(&cached.stored));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| StateError::io("reading", &self.paths.state, &e))?;
        let stored = format::read_state(&bytes).map_err(|e| self.paths.bad(&self.paths.state, e))?;
        Ok(part(&cache.insert(Cached { id, stored }).stored))
    }

    /// Forgets the state file that was read last; frees its memory.
    pub(super) fn drop_cache(&self) {
        *locked(&self.cache) = None;
    }

    /// An error unless state and journal hold all that was `left`.
    fn check(&self, left: Option<&Left>, base: &Stored, journal: Option<&ReadJournal>) -> Result<(), StateError> {
        let Some((left, why)) = left.and_then(|l| Some((l, l.missing_in(base, journal)?))) else { return Ok(()) };
        let paths = &self.paths;
        let older = base.snapshot.serial < left.serial && journal.is_none();
        let file = if older { &paths.state } else { &paths.journal };
        let gone = if file.exists() { "" } else { "it is not there; " };
        Err(StateError::Corrupt {
            place: file.display().to_string(),
            line: None,
            why: format!("{gone}{why}"),
            way_out: format!(
                "Restore {} and {} from a backup, both of the same time; files of whole serials are in {}. To go on \
                 with what is there, remove {}: what the missing operations made must then be imported, or removed \
                 by hand.",
                paths.state.display(),
                paths.journal.display(),
                paths.history.display(),
                paths.lock.display()
            ),
        })
    }

    fn join(
        &self,
        stored: Option<Stored>,
        journal: Option<(ReadJournal, Vec<u8>)>,
        left: Option<&Left>,
    ) -> Result<Loaded, StateError> {
        let sum = stored.as_ref().map_or_else(String::new, |s| s.sum.clone());
        let Some((journal, mut bytes)) = journal else {
            let stored = match stored {
                Some(stored) => stored,
                None => self.nothing()?,
            };
            self.check(left, &stored, None)?;
            return Ok(Loaded { live: Live::new(stored), sum, journal: None });
        };
        // Ended between writing the state and removing the journal.
        if let Some(stored) = stored.as_ref().filter(|s| s.merged == hex(&journal.chain)) {
            self.check(left, stored, None)?;
            return Ok(Loaded { live: Live::new(stored.clone()), sum, journal: None });
        }
        let stored = self.base(stored, &journal.header, journal.entries.is_empty(), &sum)?;
        if stored.sum != journal.header.sum {
            // Only a journal without entries gets here: there is nothing in it to lose.
            self.check(left, &stored, None)?;
            return Ok(Loaded { live: Live::new(stored), sum, journal: None });
        }
        self.check(left, &stored, Some(&journal))?;
        let mut live = Live::new(stored);
        if !journal.entries.is_empty() {
            live.stored.merged = hex(&journal.chain);
        }
        for (seq, entry) in journal.entries {
            live.apply(seq, entry);
        }
        bytes.truncate(journal.valid);
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        Ok(Loaded { live, sum, journal: Some(Tail { bytes, chain: journal.chain }) })
    }

    /// The state that a journal continues.
    fn base(
        &self,
        stored: Option<Stored>,
        header: &JournalHeader,
        empty: bool,
        sum: &str,
    ) -> Result<Stored, StateError> {
        let paths = &self.paths;
        let (place, journal) = (paths.state.display().to_string(), paths.journal.display());
        match stored {
            Some(stored) if *stored.snapshot.lineage != *header.lineage => Err(StateError::Lineage {
                place,
                expected: format!("{} (from {journal})", header.lineage),
                found: stored.snapshot.lineage.to_string(),
            }),
            Some(stored) if sum == header.sum || empty => Ok(stored),
            Some(stored) => Err(StateError::Corrupt {
                place,
                line: None,
                why: format!(
                    "it has serial {}, but {journal} holds operations that were done after another version of serial {}",
                    stored.snapshot.serial, header.base
                ),
                way_out: format!(
                    "If an older state was put in place, put serial {} back (see {}); its operations are then \
                     replayed. To give them up, move {journal} and {} away: the objects that it names must then be imported.",
                    header.base,
                    paths.history.display(),
                    paths.lock.display()
                ),
            }),
            None if header.base == 0 => {
                let snapshot = Snapshot { lineage: Arc::from(&*header.lineage), ..Snapshot::default() };
                Ok(Stored { snapshot, ..Stored::default() })
            }
            None => Err(self.missing(&format!("serial {} of it is continued by {journal}", header.base))),
        }
    }

    fn missing(&self, why: &str) -> StateError {
        let paths = &self.paths;
        StateError::Missing {
            place: paths.state.display().to_string(),
            why: format!("the state is not there, but {why}"),
            way_out: format!(
                "Copy its newest file from {} to {}. If the stack is really gone and a new one shall begin, remove \
                 that folder, {}, {} and {}.",
                paths.history.display(),
                paths.state.display(),
                paths.journal.display(),
                paths.key.display(),
                paths.lock.display()
            ),
        }
    }

    /// The state of nothing: no file, and no trace of one.
    fn nothing(&self) -> Result<Stored, StateError> {
        if super::history::serials(&self.paths)?.is_empty() {
            let lineage = self.keyring.lineage_here()?.unwrap_or_default();
            return Ok(Stored { snapshot: Snapshot { lineage, ..Snapshot::default() }, ..Stored::default() });
        }
        Err(self.missing(&format!("{} is", self.paths.history.display())))
    }

    /// The lineage of the state or its journal. The file is read whole: a damaged one must not pass for another lineage,
    /// and whoever asks reads the state next.
    pub(super) fn peek_lineage(&self) -> Result<Option<String>, StateError> {
        let paths = &self.paths;
        if let Some((file, id)) = self.open_state()? {
            return self.read_state(file, id, |stored| Some(stored.snapshot.lineage.to_string()));
        }
        match files::read(&paths.journal)? {
            Some(bytes) => {
                format::read_journal(&bytes).map(|j| Some(j.header.lineage)).map_err(|e| paths.bad(&paths.journal, e))
            }
            None => Ok(None),
        }
    }
}
