//! The folder of one sandbox and the lock that says whether it lives.
//!
//! The lock is an flock on a file in the folder: the kernel frees it when the owner dies, so "is it running?" needs no
//! process id and no clean-up after a crash. A folder is emptied only when it is a sandbox's (it has the lock file).
//! For folders that nobody will look at again, util-linux's `flock` waits for the same lock and removes them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Error, Result, at};

const LOCK: &str = "lock";
/// The longest path of a socket is 107 bytes; ours add up to 30.
const MAX_LENGTH: usize = 70;

/// An owned, empty folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: Option<File>,
    cleaner: Option<Child>,
    kept: bool,
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
                return Ok(Self { path: path.clone(), lock: Some(file), cleaner: None, kept: false });
            }
        }
    }

    /// Has the folder removed also when its owner is killed.
    pub(crate) fn remove_after_death(&mut self, flock: &Path) -> Result<()> {
        let mut command = Command::new(flock);
        // Again when it fails: a server that is just dying may still write.
        let script = "for try in 1 2 3 4 5; do rm -rf -- \"$0\" && exit; sleep 0.2; done";
        command.arg(self.path.join(LOCK)).args(["/bin/sh", "-c", script]).arg(&self.path).current_dir("/");
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.cleaner = Some(at(flock, command.spawn())?);
        Ok(())
    }

    /// Leaves the folder, with the logs that an error names; the next start in it removes them.
    pub(crate) fn keep(mut self) {
        if let Some(mut cleaner) = self.cleaner.take() {
            let _ = cleaner.kill();
            let _ = cleaner.wait();
        }
        self.kept = true;
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
        if !self.kept && empty(&self.path).is_ok() {
            let _ = fs::remove_file(self.path.join(LOCK));
            let _ = fs::remove_dir(&self.path);
        }
        drop(self.lock.take());
        if let Some(mut cleaner) = self.cleaner.take() {
            let _ = cleaner.wait();
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
