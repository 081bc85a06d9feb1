//! The fingerprint key: made with the lineage, kept beside the state, never in it.
//!
//! The one decision: the key may be made by the first plan, because the digest of that plan and of
//! its apply must agree; that is no change of the state. Who has lost the key for good says so
//! (a file that holds only the word `new`), and then every secret shows as changed once.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::Fingerprinter;
use zeroize::Zeroizing;

use super::{Shared, files, locked};
use crate::StateError;

const FIRST: &str = "mesh-state-key";
const VERSION: u64 = 1;

/// The key of a lineage.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) lineage: Arc<str>,
    fingerprinter: Fingerprinter,
}

impl Key {
    fn generate(lineage: Option<&str>) -> Result<Self, io::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
        let lineage = lineage.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        Ok(Self { lineage: lineage.into(), fingerprinter: Fingerprinter::new(*bytes) })
    }

    pub(super) fn fingerprinter(&self) -> Fingerprinter {
        self.fingerprinter.clone()
    }

    fn text(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(STANDARD.encode(self.fingerprinter.key()));
        Zeroizing::new(format!("{FIRST} {VERSION} {} {}\n", self.lineage, *key))
    }
}

enum Parsed {
    Key(Key),
    New,
}

impl Shared {
    fn key_error(&self, why: impl Into<String>) -> StateError {
        StateError::Key {
            place: self.paths.key.display().to_string(),
            why: why.into(),
            way_out: "Restore it from a backup of the folder. If it is lost for good, put the single word `new` into \
                      it: a new key is made, and every secret shows as changed once, since it can no longer be \
                      compared."
                .into(),
        }
    }

    fn parse_key(&self, text: &str) -> Result<Parsed, StateError> {
        if text.trim() == "new" {
            return Ok(Parsed::New);
        }
        let mut words = text.split_ascii_whitespace();
        let (first, version) = (words.next(), words.next().and_then(|v| v.parse::<u64>().ok()));
        match (first, version) {
            (Some(FIRST), Some(VERSION)) => {}
            (Some(FIRST), Some(version)) if version > VERSION => {
                let place = self.paths.key.display().to_string();
                return Err(StateError::Newer { place, version, known: VERSION });
            }
            _ => return Err(self.key_error("it is not a fingerprint key")),
        }
        let lineage = words.next();
        let bytes = words.next().and_then(|k| STANDARD.decode(k).ok()).map(Zeroizing::new);
        match (lineage, bytes.and_then(|b| <[u8; 32]>::try_from(b.as_slice()).ok()), words.next()) {
            (Some(lineage), Some(bytes), None) => {
                Ok(Parsed::Key(Key { lineage: lineage.into(), fingerprinter: Fingerprinter::new(bytes) }))
            }
            _ => Err(self.key_error("it is damaged")),
        }
    }

    fn read_key(&self) -> Result<Option<Parsed>, StateError> {
        let Some(bytes) = files::read(&self.paths.key)?.map(Zeroizing::new) else { return Ok(None) };
        self.parse_key(&String::from_utf8_lossy(&bytes)).map(Some)
    }

    /// The lineage of a key that is there already, for a state that is not.
    pub(super) fn key_lineage(&self) -> Result<Option<Arc<str>>, StateError> {
        match self.read_key()? {
            Some(Parsed::Key(key)) => Ok(Some(key.lineage)),
            _ => Ok(locked(&self.unsaved_key).as_ref().map(|k| k.lineage.clone())),
        }
    }

    /// The key of this lineage, made when there is no state yet. `durable` insists on the file.
    pub(super) fn key(&self, durable: bool) -> Result<Key, StateError> {
        // In this order: whoever makes a state has made its key before.
        let lineage = self.peek_lineage()?;
        let existing = self.read_key()?;
        match (existing, lineage) {
            (Some(Parsed::Key(key)), Some(lineage)) if *key.lineage != *lineage => {
                Err(self.key_error(format!("it belongs to lineage {}, the state has lineage {lineage}", key.lineage)))
            }
            (Some(Parsed::Key(key)), _) => Ok(key),
            (None, Some(_)) => Err(self.key_error("it is missing, but the state that it belongs to is there")),
            (Some(Parsed::New), lineage) => {
                let io = |e: &io::Error| StateError::io("making", &self.paths.key, e);
                let key = Key::generate(lineage.as_deref()).map_err(|e| io(&e))?;
                self.paths.replace(&self.paths.key, &[key.text().as_bytes()], &|| Ok(()))?;
                Ok(key)
            }
            (None, None) => self.make_key(durable),
        }
    }

    fn make_key(&self, durable: bool) -> Result<Key, StateError> {
        let mut unsaved = locked(&self.unsaved_key);
        let key = match unsaved.take() {
            Some(key) => key,
            None => Key::generate(None).map_err(|e| StateError::io("making", &self.paths.key, &e))?,
        };
        match self.save_new(&key) {
            Ok(true) => Ok(key),
            // Another process was first.
            Ok(false) => match self.read_key()? {
                Some(Parsed::Key(key)) => Ok(key),
                _ => Err(self.key_error("it is damaged")),
            },
            Err(StateError::Io { fault: crate::Fault::Permission | crate::Fault::ReadOnly, .. }) if !durable => {
                *unsaved = Some(key.clone());
                Ok(key)
            }
            Err(e) => Err(e),
        }
    }

    /// Whether the file was made; not when one is there already.
    fn save_new(&self, key: &Key) -> Result<bool, StateError> {
        let path = &self.paths.key;
        let io = |e: &io::Error| StateError::io("writing", path, e);
        self.paths.make_folder()?;
        let mut file = self.paths.temporary()?;
        io::Write::write_all(&mut file, key.text().as_bytes()).map_err(|e| io(&e))?;
        file.as_file().sync_all().map_err(|e| io(&e))?;
        match file.persist_noclobber(path) {
            Ok(_) => files::sync_folder(&self.paths.folder).map(|()| true),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(io(&e.error)),
        }
    }
}
