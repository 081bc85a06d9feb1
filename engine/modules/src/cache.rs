//! The folder of fetched modules.
//!
//! The one decision: a module lies under the digest of its content, and comes there by one rename of
//! something complete. So two runs at once agree, a killed run leaves nothing that could be taken for a
//! module, and the folder can be copied to another machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::tree;

/// Where modules lie, below the root folder.
pub const FOLDER: &str = ".mesh/modules";
/// What the names of unfinished folders begin with.
const UNFINISHED: &str = ".new-";

/// The cache of one root folder.
pub(crate) struct Cache {
    dir: PathBuf,
}

/// Whether a module is there.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// With the content that its name says.
    Good,
    /// Not at all.
    Absent,
    /// With another content, whose digest this is.
    Other(String),
}

impl Cache {
    /// Of the root folder `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { dir: root.join(FOLDER) }
    }

    /// The folder of a digest, and how users know it; `None` for what is no digest.
    pub(crate) fn place(&self, digest: &str) -> Option<(PathBuf, String)> {
        let name = tree::digits(digest)?;
        Some((self.dir.join(name), format!("{FOLDER}/{name}")))
    }

    /// Looks at the module of a digest.
    pub(crate) fn state(&self, digest: &str) -> io::Result<State> {
        let Some((folder, _)) = self.place(digest) else { return Ok(State::Absent) };
        if !folder.is_dir() {
            return Ok(State::Absent);
        }
        let found = tree::digest(&folder)?;
        Ok(if found == digest { State::Good } else { State::Other(found) })
    }

    /// Adds what `fill` writes: it gets an empty folder for the module and one for its own work.
    /// Gives the digest, and what `fill` gave.
    pub(crate) fn add<T>(&self, fill: impl FnOnce(&Path, &Path) -> Result<T, String>) -> Result<(String, T), String> {
        let failed = |e: io::Error| format!("the folder {FOLDER} cannot be written: {e}");
        fs::create_dir_all(&self.dir).map_err(failed)?;
        // One run at a time; the system lets go of it with the process.
        let lock = File::create(self.dir.join(".lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        self.sweep().map_err(failed)?;
        let work = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.dir).map_err(failed)?;
        let (module, own) = (work.path().join("module"), work.path().join("work"));
        fs::create_dir(&module).and_then(|()| fs::create_dir(&own)).map_err(failed)?;
        let given = fill(&module, &own)?;
        let digest = tree::digest(&module).map_err(failed)?;
        let (place, _) = self.place(&digest).ok_or("its digest cannot be a name")?;
        if self.state(&digest).map_err(failed)? != State::Good {
            // What somebody has changed goes with the other unfinished things.
            match fs::rename(&place, work.path().join("old")) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
                _ => fs::rename(&module, &place).map_err(failed)?,
            }
        }
        Ok((digest, given))
    }

    /// Removes what killed runs have left.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join(FOLDER)).expect("the cache").flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_module_is_there_whole_or_not_at_all() {
        let root = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(root.path());
        let write =
            |folder: &Path, text: &str| fs::write(folder.join("main.mesh.hcl"), text).map_err(|e| e.to_string());
        let failed = cache.add(|module, _| {
            write(module, "half")?;
            Err::<(), _>("the line broke".to_owned())
        });
        assert_eq!(failed, Err("the line broke".to_owned()));
        assert_eq!(names(root.path()), [".lock"]);
        fs::create_dir_all(root.path().join(FOLDER).join(".new-killed/module")).expect("a folder");
        let (digest, ()) = cache.add(|module, _| write(module, "whole")).expect("added");
        let folder = tree::digits(&digest).expect("a digest").to_owned();
        assert_eq!(names(root.path()), [".lock".to_owned(), folder.clone()]);
        assert_eq!(cache.state(&digest).expect("read"), State::Good);
        let file = root.path().join(FOLDER).join(&folder).join("main.mesh.hcl");
        fs::write(&file, "changed").expect("written");
        assert!(matches!(cache.state(&digest).expect("read"), State::Other(other) if other != digest));
        // Fetching it again repairs it.
        cache.add(|module, _| write(module, "whole")).expect("added");
        assert_eq!(cache.state(&digest).expect("read"), State::Good);
        assert_eq!(names(root.path()).len(), 2);
        assert_eq!(cache.state("tree1:../../x").expect("read"), State::Absent);
    }

    #[test]
    fn runs_at_once_agree() {
        let root = tempfile::tempdir().expect("a folder");
        let digests: Vec<String> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let fill = |m: &Path, _: &Path| fs::write(m.join("a"), "1").map_err(|e| e.to_string());
                        Cache::new(root.path()).add(fill).expect("added").0
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().expect("no panic")).collect()
        });
        assert!(digests.iter().all(|d| *d == digests[0]));
        assert_eq!(names(root.path()).len(), 2);
    }
}
