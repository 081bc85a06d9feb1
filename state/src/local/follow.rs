//! A copy of a state that is kept elsewhere as a whole: its journal is here, on this machine.
//!
//! The one decision: what this machine has done and not handed over yet is never overwritten. It has, where there
//! is a journal that continues the state elsewhere, or a later serial whose history knows that state.

use crate::StateError;
use crate::format;

use super::files;
use super::{LocalBackend, Shared, history};

/// How a copy stands to the state elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Followed {
    /// It is the same, perhaps with operations that this machine has done since.
    Same,
    /// This machine has ended a stage that is not handed over yet: this is the state.
    Ahead(Vec<u8>),
}

impl LocalBackend {
    /// With the keys in another file.
    #[must_use]
    pub fn keyed_at(self, key: impl Into<std::path::PathBuf>) -> Self {
        self.with(|setup| setup.paths.key = key.into())
    }

    /// Brings the copy up to what is kept elsewhere (`None`: nothing is).
    ///
    /// # Errors
    /// [`StateError::Corrupt`] when this machine has done something that the state elsewhere does not know, and the
    /// other way round.
    pub async fn follow(&self, elsewhere: Option<Vec<u8>>) -> Result<Followed, StateError> {
        self.blocking(move |shared| shared.follow(elsewhere.as_deref())).await
    }

    /// The state as it is to be kept elsewhere.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn content(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.blocking(|shared| files::read(&shared.paths.state)).await
    }
}

impl Shared {
    fn follow(&self, elsewhere: Option<&[u8]>) -> Result<Followed, StateError> {
        let paths = &self.paths;
        let here = files::read(&paths.state)?;
        if here.as_deref() == elsewhere {
            return Ok(Followed::Same);
        }
        let serial = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => format::read_state(bytes).map(|s| s.snapshot.serial),
            None => Ok(0),
        };
        let theirs = serial(elsewhere).map_err(|e| paths.bad(&paths.state, e))?;
        let ours = serial(here.as_deref()).map_err(|e| paths.bad(&paths.state, e))?;
        if let Some(here) = here.filter(|_| ours > theirs) {
            let known = match elsewhere {
                Some(bytes) => history::bytes(paths, theirs)?.as_deref() == Some(bytes),
                None => ours == 1,
            };
            return if known { Ok(Followed::Ahead(here)) } else { Err(self.apart(ours, theirs)) };
        }
        if files::read(&paths.journal)?.is_some() {
            return Err(self.apart(ours, theirs));
        }
        let Some(bytes) = elsewhere else { return Ok(Followed::Same) };
        paths.make_folder()?;
        history::keep(paths, theirs, &[bytes])?;
        drop(paths.replace(&paths.state, &[bytes], &|| Ok(()))?);
        self.drop_cache();
        Ok(Followed::Same)
    }

    fn apart(&self, ours: u64, theirs: u64) -> StateError {
        let place = self.paths.folder.display().to_string();
        StateError::Corrupt {
            way_out: format!(
                "Somebody else has applied meanwhile, or the state there was put back. Import what this machine has made, then move {place} \
                 away."
            ),
            place,
            line: None,
            why: format!(
                "it holds operations of this machine after serial {ours}, but the state that they belong to has serial {theirs} and is \
                 another one"
            ),
        }
    }
}
