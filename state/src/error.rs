//! What can go wrong with state, each with the way out.
//!
//! The one decision: an error says what was not lost. None holds a value of the state.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use mesh_model::Diagnostic;
use serde::Deserialize;

use crate::LockInfo;

/// Why an operation of the system failed, as far as it matters for the way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The account may not.
    Permission,
    /// No space, or no quota, is left.
    DiskFull,
    /// The file system is read-only.
    ReadOnly,
    /// Anything else.
    Other,
}

/// Why state could not be read or written.
#[derive(Clone, Debug)]
pub enum StateError {
    /// Somebody else holds the lock.
    Locked {
        /// The state.
        place: String,
        /// Who.
        holder: Box<LockInfo>,
    },
    /// The lock was broken or replaced while we held it.
    LockLost {
        /// The state.
        place: String,
    },
    /// No lock with the given id is there.
    NoSuchLock {
        /// The state.
        place: String,
        /// The id that was given.
        id: String,
        /// The lock that is there.
        holder: Option<Box<LockInfo>>,
    },
    /// Another history than the expected one.
    Lineage {
        /// The state.
        place: String,
        /// The lineage that was expected.
        expected: String,
        /// The lineage that is there.
        found: String,
    },
    /// Written by a newer `mesh`.
    Newer {
        /// The file or object.
        place: String,
        /// Its format version.
        version: u64,
        /// The newest version that this `mesh` reads.
        known: u64,
    },
    /// Damaged, in a way that could lose something if it were ignored.
    Corrupt {
        /// The file or object.
        place: String,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong with it.
        why: String,
        /// What to do.
        way_out: String,
    },
    /// Well formed, and more than this version knows: it could be lost if it were ignored.
    Unknown {
        /// The file or object.
        place: String,
        /// The line, from 1.
        line: Option<usize>,
        /// What is not known.
        why: String,
        /// What to do if it is damage.
        way_out: String,
    },
    /// The state is gone, but its journal or history is there.
    Missing {
        /// The file or object.
        place: String,
        /// What is there.
        why: String,
        /// What to do.
        way_out: String,
    },
    /// The fingerprint key is missing, unreadable or another lineage's.
    Key {
        /// The file or object.
        place: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        way_out: String,
    },
    /// The history has no such serial.
    NoSuchSerial {
        /// The state.
        place: String,
        /// The serial.
        serial: u64,
        /// The oldest and the newest that are there.
        range: Option<(u64, u64)>,
    },
    /// It is not the state that was seen last: older, another one, or none.
    Other {
        /// The state.
        place: String,
        /// What was seen, and what is there.
        why: String,
        /// What to do.
        way_out: String,
    },
    /// The selected workspace was never made.
    NoWorkspace {
        /// Where its state would be.
        place: String,
        /// Its name.
        workspace: String,
    },
    /// It still knows objects, which nothing would manage any more.
    NotEmpty {
        /// The state.
        place: String,
        /// How many.
        objects: usize,
    },
    /// The system that the state lies in does not serve us, and trying again does not change that.
    Unusable {
        /// The state.
        place: String,
        /// What the system said.
        why: String,
        /// What to do.
        way_out: String,
    },
    /// What was handed over must not or cannot be stored; nothing was written.
    Refused {
        /// What and why; without values.
        what: String,
    },
    /// The system did not do it.
    Io {
        /// What was being done: `writing`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What kind of failure.
        fault: Fault,
        /// The system's own words.
        message: String,
    },
}

impl StateError {
    /// A failure of the system.
    pub(crate) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::PermissionDenied => Fault::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Fault::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem => Fault::ReadOnly,
            _ => Fault::Other,
        };
        Self::Io { doing, path: path.to_owned(), fault, message: error.to_string() }
    }

    /// A failure of a system elsewhere, in its own words.
    pub fn remote(doing: &'static str, place: &str, message: impl fmt::Display) -> Self {
        Self::Io { doing, path: PathBuf::from(place), fault: Fault::Other, message: message.to_string() }
    }

    /// What could not be read: damaged, or more than this version knows.
    pub fn unread(place: impl Into<String>, line: Option<usize>, why: String, way_out: String) -> Self {
        let place = place.into();
        // As serde and the readers of this crate say it.
        let words = ["unknown field `", "unknown variant `", "this version does not know"];
        if words.iter().any(|w| why.contains(w)) {
            Self::Unknown { place, line, why, way_out }
        } else {
            Self::Corrupt { place, line, why, way_out }
        }
    }

    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "state::locked",
            Self::LockLost { .. } => "state::lock_lost",
            Self::NoSuchLock { .. } => "state::no_such_lock",
            Self::Lineage { .. } => "state::lineage",
            Self::Newer { .. } => "state::newer",
            Self::Corrupt { .. } => "state::corrupt",
            Self::Unknown { .. } => "state::unknown",
            Self::Missing { .. } => "state::missing",
            Self::Key { .. } => "state::key",
            Self::NoSuchSerial { .. } => "state::no_such_serial",
            Self::Other { .. } => "state::other",
            Self::NoWorkspace { .. } => "state::no_workspace",
            Self::NotEmpty { .. } => "state::not_empty",
            Self::Unusable { .. } => "state::unusable",
            Self::Refused { .. } => "state::refused",
            Self::Io { .. } => "state::io",
        }
    }

    /// One constant line.
    pub const fn summary(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "The state is locked",
            Self::LockLost { .. } => "The state lock was lost",
            Self::NoSuchLock { .. } => "No such lock",
            Self::Lineage { .. } => "The state is of another lineage",
            Self::Newer { .. } => "The state was written by a newer version",
            Self::Corrupt { .. } => "The state is damaged",
            Self::Unknown { .. } => "The state holds what this version does not know",
            Self::Missing { .. } => "The state is missing",
            Self::Key { .. } => "The fingerprint key of the state cannot be used",
            Self::NoSuchSerial { .. } => "The history has no such serial",
            Self::Other { .. } => "The state is not the one that was seen last",
            Self::NoWorkspace { .. } => "The workspace does not exist",
            Self::NotEmpty { .. } => "The state is not empty",
            Self::Unusable { .. } => "The state backend cannot be used",
            Self::Refused { .. } => "A value cannot be stored",
            Self::Io { fault: Fault::Permission, .. } => "No permission for the state",
            Self::Io { fault: Fault::DiskFull, .. } => "No space left for the state",
            Self::Io { fault: Fault::ReadOnly, .. } => "The state is on a read-only file system",
            Self::Io { .. } => "The state could not be read or written",
        }
    }

    /// What, why and the way out.
    pub fn detail(&self) -> String {
        match self {
            Self::Locked { place, holder } => {
                let ends = holder.expires.map_or_else(String::new, |at| {
                    let at = at.round(jiff::Unit::Second).unwrap_or(at);
                    format!(" Without a sign of life from it the lock ends at {at}.")
                });
                format!(
                    "{place} is in use: {holder}, lock id {}. Wait until it ends, or give a longer -lock-timeout.{ends} \
                     If that run is stuck for good, stop it, or break its lock with `mesh unlock {}`; nothing that it \
                     recorded is lost.",
                    holder.id, holder.id
                )
            }
            Self::LockLost { place } => format!(
                "The lock on {place} was broken or removed while this run held it, so nothing more is written. What \
                 was recorded is kept, what was in flight is open and will be looked up. Run the same command again."
            ),
            Self::NoSuchLock { place, id, holder: Some(holder) } => {
                format!("{place} is locked under another id than {id}: {holder}, lock id {}.", holder.id)
            }
            Self::NoSuchLock { place, id, holder: None } => {
                format!("{place} is not locked, so there is no lock {id} to break.")
            }
            Self::Lineage { place, expected, found } => {
                let found = if found.is_empty() { "none" } else { found };
                format!(
                    "{place} has lineage {found}, expected was {expected}: it is the state of another stack, or it \
                     was deleted and made anew. Use the state that belongs to this plan, or plan again."
                )
            }
            Self::Newer { place, version, known } => format!(
                "{place} has format version {version}; this mesh reads up to {known}. Use the version of mesh that \
                 wrote it, or a later one."
            ),
            Self::Corrupt { place, line, why, way_out } => {
                let at = line.map_or_else(String::new, |n| format!(", line {n}"));
                format!("{place}{at}: {why}. Nothing was changed. {way_out}")
            }
            Self::Unknown { place, line, why, way_out } => {
                let at = line.map_or_else(String::new, |n| format!(", line {n}"));
                format!(
                    "{place}{at}: {why}. Nothing was changed. If a newer mesh wrote it, use that version or a later one; \
                     if not, it is damaged. {way_out}"
                )
            }
            Self::Missing { place, why, way_out }
            | Self::Key { place, why, way_out }
            | Self::Other { place, why, way_out }
            | Self::Unusable { place, why, way_out } => {
                format!("{place}: {why}. {way_out}")
            }
            Self::NoSuchSerial { place, serial, range } => match range {
                Some((oldest, newest)) => {
                    format!("{place} keeps serials {oldest} to {newest}; {serial} is not among them.")
                }
                None => format!("{place} keeps no history yet, so there is no serial {serial}."),
            },
            Self::NoWorkspace { place, workspace } => format!(
                "{place} has no state yet: the workspace {workspace:?} was never made. `mesh workspace new {workspace}` makes it, `mesh \
                 workspace list` shows those that there are."
            ),
            Self::NotEmpty { place, objects } => format!(
                "{place} still knows objects ({objects} of them); without it nothing would manage them. Nothing was changed. Destroy them first, or \
                 give -force to leave them as they are."
            ),
            Self::Refused { what } => format!("{what}. Nothing was written. This is a bug in mesh: please report it."),
            Self::Io { doing, path, fault, message } => {
                let way_out = match fault {
                    Fault::Permission => "Give this account read and write access to the file and its folder.",
                    Fault::DiskFull => {
                        "Free some space and run the same command again; everything that was recorded is kept."
                    }
                    Fault::ReadOnly => "Planning works there, changing does not: mount it writable.",
                    Fault::Other => "Everything that was recorded before is kept; run the same command again.",
                };
                format!("{doing} {}: {message}. {way_out}", path.display())
            }
        }
    }
}

/// A JSON object whose field `field` says its version.
///
/// # Errors
/// [`StateError::Newer`]; [`StateError::Unknown`] or [`StateError::Corrupt`] with a way out.
pub(crate) fn versioned<'a, T: Deserialize<'a>>(
    place: &str,
    field: &str,
    known: u64,
    bytes: &'a [u8],
    way_out: impl FnOnce() -> String,
) -> Result<T, StateError> {
    let version = serde_json::from_slice::<serde_json::Value>(bytes).ok().and_then(|v| v.get(field)?.as_u64());
    if let Some(version) = version.filter(|v| *v > known) {
        return Err(StateError::Newer { place: place.to_owned(), version, known });
    }
    let read = serde_json::from_slice(bytes);
    read.map_err(|e| StateError::unread(place, None, format!("it cannot be read: {e}"), way_out()))
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.summary(), self.detail())
    }
}

impl std::error::Error for StateError {}

impl From<StateError> for Diagnostic {
    fn from(error: StateError) -> Self {
        Self::error(error.code(), error.summary(), error.detail())
    }
}
