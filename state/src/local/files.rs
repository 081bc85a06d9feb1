//! Names of the files, and how they are replaced.
//!
//! The one decision: a file is replaced by writing a new one beside it, syncing it, renaming it and
//! syncing the folder; at no instant is there half a file under a name that is read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::StateError;
use crate::format::Bad;

/// The state file and its siblings.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) folder: PathBuf,
    pub(super) state: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) lock: PathBuf,
    pub(crate) key: PathBuf,
    pub(super) history: PathBuf,
    /// How names of files that are being written begin.
    temporary: String,
}

impl Paths {
    pub(crate) fn new(state: PathBuf) -> Self {
        let sibling = |suffix: &str| {
            let mut name = state.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let folder = match state.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = state.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Self {
            folder,
            journal: sibling(".journal"),
            lock: sibling(".lock"),
            key: sibling(".key"),
            history: sibling(".history"),
            temporary: format!(".{name}.tmp-"),
            state,
        }
    }

    /// Makes the folder of the state.
    pub(crate) fn make_folder(&self) -> Result<(), StateError> {
        fs::create_dir_all(&self.folder).map_err(|e| StateError::io("making the folder", &self.folder, &e))
    }

    /// A new file beside the state, readable by this account only.
    pub(crate) fn temporary(&self) -> Result<tempfile::NamedTempFile, StateError> {
        tempfile::Builder::new()
            .prefix(&self.temporary)
            .tempfile_in(&self.folder)
            .map_err(|e| StateError::io("making a file in", &self.folder, &e))
    }

    /// Puts `parts` into the file `path`, durably. `permit` is asked right before the file changes.
    pub(crate) fn replace(
        &self,
        path: &Path,
        parts: &[&[u8]],
        permit: &dyn Fn() -> Result<(), StateError>,
    ) -> Result<File, StateError> {
        let io = |e: &io::Error| StateError::io("writing", path, e);
        let mut file = self.temporary()?;
        if let Ok(old) = fs::metadata(path) {
            file.as_file().set_permissions(old.permissions()).map_err(|e| io(&e))?;
        }
        for part in parts {
            file.write_all(part).map_err(|e| io(&e))?;
        }
        file.as_file().sync_all().map_err(|e| io(&e))?;
        permit()?;
        let file = file.persist(path).map_err(|e| io(&e.error))?;
        sync_folder(path)?;
        Ok(file)
    }

    /// Reads a file whole; `None` when there is none.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StateError> {
        read(path)
    }

    /// Removes a file, or a folder with all that is in it; what is not there is no error.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), StateError> {
        let is_folder = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        optional(removed).map(drop).map_err(|e| StateError::io("removing", path, &e))
    }

    /// Removes what a killed writer was about to put in place; only under the lock.
    pub(super) fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&self.temporary) {
                // Only space is lost when this fails.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The error for bytes that cannot be read.
    pub(super) fn bad(&self, path: &Path, bad: Bad) -> StateError {
        let place = path.display().to_string();
        match bad {
            Bad::Newer(version) => StateError::Newer { place, version, known: crate::format::VERSION },
            Bad::Damaged(line, why) => {
                let way_out = if path == self.journal {
                    format!(
                        "It holds what was done since the state of the last serial was written. Restore it from a \
                         backup. Without one, move it away or delete the damaged line and all after it, and remove {}: \
                         then the objects that they name (they are readable) must be imported again or removed by \
                         hand. {}",
                        self.lock.display(),
                        if line == Some(1) {
                            "All lines after the first may be good."
                        } else {
                            "Earlier lines are good."
                        }
                    )
                } else if path.starts_with(&self.history) {
                    "Restore it from a backup, or remove it: nothing but looking at that serial, or going back to it, needs \
                     it."
                        .into()
                } else {
                    format!(
                        "Restore it from a backup, or copy the newest good file of {} over it; operations in {} \
                         that belong to it are then replayed.",
                        self.history.display(),
                        self.journal.display()
                    )
                };
                StateError::unread(place, line, why, way_out)
            }
        }
    }
}

/// Makes that a file was renamed or removed durable.
pub(crate) fn sync_folder(of: &Path) -> Result<(), StateError> {
    let folder = of.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StateError::io("syncing the folder of", of, &e))
}

/// Reads a file whole; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    optional(fs::read(path)).map_err(|e| StateError::io("reading", path, &e))
}

/// `None` for what is not there.
pub(super) fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Which file it is, and which content it has: changes when it is replaced or written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileId {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Of what a path names now.
    pub(super) fn at(path: &Path) -> Result<Option<Self>, StateError> {
        let metadata = optional(fs::metadata(path)).map_err(|e| StateError::io("reading", path, &e))?;
        Ok(metadata.as_ref().map(Self::of))
    }
}

/// Whether `path` still names the open file.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
