//! How functions read files: from the disk, and where it has none, as somebody else saw them.
//!
//! The one decision: what was read is remembered by the path as the configuration means it (relative to
//! the root module where it lies below it), so that a plan brings its files along to a machine that has
//! none of them. The disk comes first: a file that is written between plan and apply (a signed certificate)
//! is seen, and one that was changed is found out by comparing the plans.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What functions saw of the file system, by path.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The content of files.
    pub contents: BTreeMap<String, Arc<[u8]>>,
    /// Files that are there.
    pub files: BTreeSet<String>,
    /// The files that match a pattern, by folder and pattern.
    pub sets: BTreeMap<(String, String), Vec<String>>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen({} files)", self.contents.len())
    }
}

/// The way to files; clones remember together.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    given: Arc<Seen>,
    seen: Option<Arc<Mutex<Seen>>>,
}

impl Reader {
    /// Falls back on `given`, and remembers all that is read.
    pub fn remembering(given: Seen) -> Self {
        Self { given: Arc::new(given), seen: Some(Arc::default()) }
    }

    /// What was read so far.
    pub fn seen(&self) -> Seen {
        self.seen.as_ref().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    fn remember(&self, what: impl FnOnce(&mut Seen)) {
        if let Some(seen) = &self.seen {
            what(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The content of a file: what `read` gives, or as given.
    pub(super) fn content<E>(&self, path: &Path, read: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Arc<[u8]>, E> {
        let key = path.to_string_lossy();
        let content = match (read(), self.given.contents.get(&*key)) {
            (Ok(content), _) => content.into(),
            (Err(_), Some(content)) => content.clone(),
            (Err(error), None) => return Err(error),
        };
        self.remember(|s| {
            s.contents.insert(key.into_owned(), content.clone());
        });
        Ok(content)
    }

    /// Whether a file is there.
    pub(super) fn exists<E>(&self, path: &Path, look: impl FnOnce() -> Result<bool, E>) -> Result<bool, E> {
        let key = path.to_string_lossy();
        let exists = look()? || self.given.files.contains(&*key);
        if exists {
            self.remember(|s| {
                s.files.insert(key.into_owned());
            });
        }
        Ok(exists)
    }

    /// The files that match.
    pub(super) fn set<E>(
        &self,
        folder: &Path,
        pattern: &str,
        list: impl FnOnce() -> Result<Vec<String>, E>,
    ) -> Result<Vec<String>, E> {
        let key = (folder.to_string_lossy().into_owned(), pattern.to_owned());
        let mut files = list()?;
        files.extend(self.given.sets.get(&key).into_iter().flatten().cloned());
        files.sort();
        files.dedup();
        self.remember(|s| {
            s.sets.insert(key, files.clone());
        });
        Ok(files)
    }
}
