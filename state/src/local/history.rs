//! The history: a copy of the state file for each serial.
//!
//! The one decision: whole files in the format of the state itself, so that putting one back is a
//! copy. They are copies, not links: damage to the state must not reach its history.

use std::fs;
use std::path::PathBuf;

use mesh_model::Snapshot;

use super::Retention;
use super::files::{self, Paths};
use crate::format::{self, Bad};
use crate::{HistoryEntry, StateError};

const SUFFIX: &str = ".state";

fn file(paths: &Paths, serial: u64) -> PathBuf {
    paths.history.join(format!("{serial:08}{SUFFIX}"))
}

/// The serials that are there, in order.
pub(super) fn serials(paths: &Paths) -> Result<Vec<u64>, StateError> {
    let io = |e: &std::io::Error| StateError::io("reading", &paths.history, e);
    let Some(folder) = files::optional(fs::read_dir(&paths.history)).map_err(|e| io(&e))? else {
        return Ok(Vec::new());
    };
    let mut serials = Vec::new();
    for entry in folder {
        let name = entry.map_err(|e| io(&e))?.file_name();
        serials.extend(name.to_string_lossy().strip_suffix(SUFFIX).and_then(|n| n.parse::<u64>().ok()));
    }
    serials.sort_unstable();
    Ok(serials)
}

/// Keeps a serial.
pub(super) fn keep(paths: &Paths, serial: u64, parts: &[&[u8]]) -> Result<(), StateError> {
    fs::create_dir_all(&paths.history).map_err(|e| StateError::io("making the folder", &paths.history, &e))?;
    paths.replace(&file(paths, serial), parts, &|| Ok(())).map(drop)
}

/// Removes what is beyond the limits.
pub(super) fn prune(paths: &Paths, retention: Retention) -> Result<(), StateError> {
    let mut bytes = 0;
    for (age, serial) in serials(paths)?.into_iter().rev().enumerate() {
        let path = file(paths, serial);
        bytes += fs::metadata(&path).map_or(0, |m| m.len());
        if age >= 2 && (age >= retention.entries || bytes > retention.bytes) {
            fs::remove_file(&path).map_err(|e| StateError::io("removing", &path, &e))?;
        }
    }
    Ok(())
}

/// What is there. Whole files are looked at, so that damage is no other history.
pub(super) fn list(paths: &Paths) -> Result<Vec<HistoryEntry>, StateError> {
    let mut entries = Vec::new();
    for serial in serials(paths)? {
        // `None`: pruned by a running apply since the folder was listed.
        let Some(bytes) = bytes(paths, serial)? else { continue };
        let bad = |e| paths.bad(&file(paths, serial), e);
        let (found, meta) = format::read_meta(&bytes).map_err(bad)?;
        expect(found, serial).map_err(bad)?;
        entries.extend(meta.map(|m| m.entry(serial)));
    }
    Ok(entries)
}

fn expect(found: u64, serial: u64) -> Result<(), Bad> {
    if found == serial { Ok(()) } else { Err(Bad::at(1, format!("it holds serial {found}"))) }
}

/// The file of a serial, if it is kept.
pub(super) fn bytes(paths: &Paths, serial: u64) -> Result<Option<Vec<u8>>, StateError> {
    files::read(&file(paths, serial))
}

/// The snapshot of a serial.
pub(super) fn read(paths: &Paths, serial: u64) -> Result<Snapshot, StateError> {
    let path = file(paths, serial);
    let Some(bytes) = files::read(&path)? else {
        let there = serials(paths)?;
        let range = there.first().copied().zip(there.last().copied());
        return Err(StateError::NoSuchSerial { place: paths.state.display().to_string(), serial, range });
    };
    let stored = format::read_state(&bytes).map_err(|e| paths.bad(&path, e))?;
    expect(stored.snapshot.serial, serial).map_err(|e| paths.bad(&path, e))?;
    Ok(Snapshot { open: stored.open.into_values().collect(), ..stored.snapshot })
}
