//! The folder of one sandbox and the lock that says whether it lives.
//!
//! The lock is an flock on a file in the folder: the kernel frees it when the owner dies, so "is it running?" needs no
//! process id and no clean-up after a crash. A folder is emptied only when it is a sandbox's (it has the lock file).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, at};

/// Folders with this prefix in the temporary folder belong to test processes and are swept when their owner is dead.
pub(crate) const TEMPORARY_PREFIX: &str = "mesh-sandbox-";
const LOCK: &str = "lock";
/// The longest path of a socket is 107 bytes; ours add up to 30.
const MAX_LENGTH: usize = 70;

/// An owned, empty folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder over and empties it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let path = &at(path, std::path::absolute(path))?;
        if path.as_os_str().len() > MAX_LENGTH {
            return Err(Error::NotThere(format!(
                "the folder's path is longer than {MAX_LENGTH} bytes, too long for sockets in it: {}",
                path.display()
            )));
        }
        let lock = path.join(LOCK);
        loop {
            at(path, private_folder(path))?;
            let mut entries = at(path, fs::read_dir(path))?;
            if !lock.exists() && entries.next().is_some() {
                return Err(Error::Foreign(path.clone()));
            }
            let file = at(&lock, OpenOptions::new().create(true).append(true).mode(0o600).open(&lock))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::Running(path.clone())),
                Err(TryLockError::Error(source)) => return Err(Error::Io { path: lock, source }),
            }
            // A stopping owner removes the folder while it holds the lock: ours may be on a file that is gone.
            let held = at(&lock, file.metadata())?;
            if fs::metadata(&lock).is_ok_and(|now| now.ino() == held.ino()) {
                empty(path)?;
                return Ok(Self { path: path.clone(), _lock: file });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A private folder below it.
    pub(crate) fn sub(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        at(&path, private_folder(&path))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The lock file goes last of all: while it is there, the rest is known to be ours.
        if empty(&self.path).is_ok() {
            let _ = fs::remove_file(self.path.join(LOCK));
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Whether a live process owns the folder.
pub(crate) fn is_owned(path: &Path) -> bool {
    File::open(path.join(LOCK)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether there is a sandbox's folder, alive or dead.
pub(crate) fn exists(path: &Path) -> bool {
    path.join(LOCK).exists()
}

/// Removes what killed test processes left in the temporary folder.
pub(crate) fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
        if ours && exists(&path) && !is_owned(&path) {
            drop(Folder::take(&path));
        }
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<()> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    at(path, file.and_then(|mut file| file.write_all(content.as_bytes())))
}

fn private_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn empty(path: &Path) -> Result<()> {
    for entry in at(path, fs::read_dir(path))?.flatten() {
        let inner = entry.path();
        if entry.file_name() == LOCK {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        at(&inner, if is_folder { fs::remove_dir_all(&inner) } else { fs::remove_file(&inner) })?;
    }
    Ok(())
}
