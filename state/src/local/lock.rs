//! The lock: an advisory lock of the operating system on a file that says who holds it.
//!
//! The one decision: the system releases it when the process ends, however it ends, so no lock is
//! left for ever. Breaking the lock of a live process replaces the file; the old holder sees that its
//! file is no longer the one under the name, and stops. Fencing tokens count up in the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::files::{self, Paths};
use crate::hold::Hold;
use crate::left::Left;
use crate::{LockInfo, StateError};

/// A lock that we hold.
#[derive(Debug)]
pub(super) struct HeldLock {
    file: File,
    pub(super) info: LockInfo,
    /// Who died holding it.
    pub(super) taken_over: Option<LockInfo>,
    /// What was there when it was last given back.
    left: Option<Left>,
}

/// What trying for the lock gave.
pub(super) enum Attempt {
    Taken(Box<HeldLock>),
    Held(Box<LockInfo>),
}

fn content(file: &File, paths: &Paths) -> Result<Hold, StateError> {
    let mut bytes = vec![0; 8192];
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    match Hold::parse(&paths.lock.display().to_string(), &bytes[..length]) {
        // What is damaged is nobody: the system's lock alone decides.
        Err(StateError::Corrupt { .. }) => Ok(Hold::default()),
        read => read,
    }
}

fn write(file: &File, content: &Hold) -> io::Result<()> {
    let bytes = serde_json::to_vec(content).map_err(io::Error::other)?;
    file.write_all_at(&bytes, 0)?;
    file.set_len(bytes.len() as u64)
}

fn unknown_holder() -> LockInfo {
    let mut info = LockInfo::new("unknown", "somebody", "this machine or another");
    (info.id, info.pid, info.process) = (String::from("unknown"), 0, None);
    info
}

impl HeldLock {
    /// Tries once.
    pub(super) fn try_take(paths: &Paths, info: LockInfo) -> Result<Attempt, StateError> {
        let io = |e: &io::Error| StateError::io("locking", &paths.lock, e);
        paths.make_folder()?;
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&paths.lock)
                .map_err(|e| io(&e))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = content(&file, paths)?.holder.unwrap_or_else(unknown_holder);
                    return Ok(Attempt::Held(Box::new(holder)));
                }
                Err(TryLockError::Error(e)) => return Err(io(&e)),
            }
            // The file may have been replaced between opening and locking it.
            if !files::is_at(&file, &paths.lock) {
                continue;
            }
            let before = content(&file, paths)?;
            let info = LockInfo { token: before.token + 1, ..info };
            let content = Hold::new(info.token, Some(info.clone()), before.left.clone());
            write(&file, &content).map_err(|e| io(&e))?;
            let lock = Self { file, info, taken_over: before.holder, left: before.left };
            return Ok(Attempt::Taken(Box::new(lock)));
        }
    }

    /// Whether it is still ours.
    pub(super) fn check(&self, paths: &Paths) -> Result<(), StateError> {
        if files::is_at(&self.file, &paths.lock) {
            return Ok(());
        }
        Err(StateError::LockLost { place: paths.state.display().to_string() })
    }

    /// Gives it back with what is there now, all of it durable; `None` where that is not known.
    pub(super) fn release(self, paths: &Paths, left: Option<Left>) -> Result<(), StateError> {
        let io = |e: &io::Error| StateError::io("unlocking", &paths.lock, e);
        if self.check(paths).is_ok() {
            let content = Hold::new(self.info.token, None, left.or(self.left));
            write(&self.file, &content).map_err(|e| io(&e))?;
        }
        self.file.unlock().map_err(|e| io(&e))
    }
}

/// What was there when it was last given back, as far as that can be read.
pub(super) fn left(paths: &Paths) -> Result<Option<Left>, StateError> {
    let Ok(file) = File::open(&paths.lock) else { return Ok(None) };
    Ok(content(&file, paths)?.left)
}

/// Who holds it, or died holding it.
pub(super) fn look(paths: &Paths) -> Result<Option<LockInfo>, StateError> {
    let io = |e: &io::Error| StateError::io("reading", &paths.lock, e);
    let Some(file) = files::optional(File::open(&paths.lock)).map_err(|e| io(&e))? else { return Ok(None) };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(Some(content(&file, paths)?.holder.unwrap_or_else(unknown_holder))),
        Err(TryLockError::Error(e)) => Err(io(&e)),
        Ok(()) => Ok(content(&file, paths)?.holder.map(|holder| LockInfo { dead: true, ..holder })),
    }
}

/// Breaks the lock with this id, whether its holder lives or not.
pub(super) fn break_lock(paths: &Paths, id: &str) -> Result<(), StateError> {
    let holder = look(paths)?;
    let place = paths.state.display().to_string();
    let Some(_) = holder.as_ref().filter(|h| h.id == id) else {
        return Err(StateError::NoSuchLock { place, id: id.to_owned(), holder: holder.map(Box::new) });
    };
    let file = File::open(&paths.lock).map_err(|e| StateError::io("reading", &paths.lock, &e))?;
    let broken = Hold::broken(content(&file, paths)?);
    let bytes =
        serde_json::to_vec(&broken).map_err(|e| StateError::io("writing", &paths.lock, &io::Error::other(e)))?;
    paths.replace(&paths.lock, &[&bytes], &|| Ok(())).map(drop)
}
