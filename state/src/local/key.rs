//! The keys of a lineage: made with it, kept beside the state, never in it; sealed where encryption is configured.
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
use crate::seal::{self, Encryption, Sealer, Secrets};
use crate::{Keys, StateError};

const FIRST: &str = "mesh-state-key";
const VERSION: u64 = 1;

/// The keys of a lineage.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) lineage: Arc<str>,
    secrets: Secrets,
    /// The file, where it is sealed, and whether for others than are configured.
    sealed: Option<(Vec<u8>, bool)>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.lineage)
    }
}

impl Key {
    /// New ones.
    fn generate(lineage: Option<&str>) -> Result<Self, StateError> {
        let lineage = lineage.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        Ok(Self { lineage: lineage.into(), secrets: Secrets::new(None)?, sealed: None })
    }

    /// As others see them.
    pub(super) fn keys(&self, encrypted: bool) -> Keys {
        Keys {
            fingerprinter: Fingerprinter::new(*self.secrets.fingerprint),
            sealer: self.sealed.as_ref().map(|_| Sealer::new(self.secrets.data.clone())),
            stale: self.sealed.as_ref().map_or(encrypted, |(_, stale)| *stale),
        }
    }

    /// The same keys for others, or for everybody who has the file.
    pub(super) async fn sealed_for(self, place: &str, encryption: Option<&Encryption>) -> Result<Self, StateError> {
        let sealed = match encryption {
            Some(encryption) => Some((seal::seal(place, &self.lineage, &self.secrets, encryption).await?, false)),
            None => None,
        };
        Ok(Self { sealed, ..self })
    }

    /// The file.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        if let Some((sealed, _)) = &self.sealed {
            return Zeroizing::new(sealed.clone());
        }
        let key = Zeroizing::new(STANDARD.encode(*self.secrets.fingerprint));
        Zeroizing::new(format!("{FIRST} {VERSION} {} {}\n", self.lineage, *key).into_bytes())
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

    /// Opens sealed keys, or makes sealed ones for a state that has none; what follows needs no recipient any more.
    /// `lineage` looks up that of the state.
    pub(super) async fn open_keys(
        &self,
        lineage: impl FnOnce() -> Result<Option<String>, StateError> + Send,
    ) -> Result<(), StateError> {
        let place = self.paths.key.display().to_string();
        let bytes = files::read(&self.paths.key)?.map(Zeroizing::new);
        let is_new = bytes.as_ref().is_none_or(|b| b.trim_ascii() == b"new");
        match (&bytes, &self.encryption) {
            (Some(bytes), encryption) if seal::is_sealed(bytes) => {
                let opened = locked(&self.opened_key).clone();
                if opened.is_some_and(|k| k.bytes().as_slice() == bytes.as_slice()) {
                    return Ok(());
                }
                let opened = seal::open(&place, bytes, encryption.as_ref()).await?;
                let sealed = Some((bytes.to_vec(), opened.stale));
                *locked(&self.opened_key) = Some(Key { lineage: opened.lineage, secrets: opened.secrets, sealed });
            }
            (_, Some(encryption)) if is_new && locked(&self.unsaved_key).is_none() => {
                let lineage = lineage()?;
                if bytes.is_none() && lineage.is_some() {
                    // Missing: that is said where it is needed.
                    return Ok(());
                }
                let key = Key::generate(lineage.as_deref())?.sealed_for(&place, Some(encryption)).await?;
                *locked(&self.unsaved_key) = Some(key);
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts other keys in the place of those that are there.
    pub(super) fn replace_key(&self, key: &Key) -> Result<(), StateError> {
        self.paths.replace(&self.paths.key, &[&key.bytes()], &|| Ok(())).map(drop)
    }

    fn parse_key(&self, bytes: &[u8]) -> Result<Parsed, StateError> {
        if seal::is_sealed(bytes) {
            let opened = locked(&self.opened_key).clone().filter(|k| k.bytes().as_slice() == bytes);
            return opened.map(Parsed::Key).ok_or_else(|| self.key_error("it was replaced just now"));
        }
        let text = String::from_utf8_lossy(bytes);
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
                let secrets = Secrets::new(Some(&bytes))?;
                Ok(Parsed::Key(Key { lineage: lineage.into(), secrets, sealed: None }))
            }
            _ => Err(self.key_error("it is damaged")),
        }
    }

    fn read_key(&self) -> Result<Option<Parsed>, StateError> {
        let Some(bytes) = files::read(&self.paths.key)?.map(Zeroizing::new) else { return Ok(None) };
        self.parse_key(&bytes).map(Some)
    }

    /// The lineage of a key that is there already, for a state that is not.
    pub(super) fn key_lineage(&self) -> Result<Option<Arc<str>>, StateError> {
        let bytes = files::read(&self.paths.key)?.map(Zeroizing::new);
        if let Some(bytes) = bytes.as_ref().filter(|b| seal::is_sealed(b)) {
            return Ok(seal::lineage(bytes).map(Arc::from));
        }
        match bytes.map(|b| self.parse_key(&b)).transpose()? {
            Some(Parsed::Key(key)) => Ok(Some(key.lineage)),
            _ => Ok(locked(&self.unsaved_key).as_ref().map(|k| k.lineage.clone())),
        }
    }

    /// The key of this lineage, made when there is no state yet. `durable` insists on the file.
    pub(super) fn key(&self, durable: bool) -> Result<Key, StateError> {
        // In this order: whoever makes a state has made its key before.
        let lineage = self.peek_lineage()?;
        self.key_of(lineage, durable)
    }

    /// The same for a lineage that was looked up before.
    pub(super) fn key_of(&self, lineage: Option<String>, durable: bool) -> Result<Key, StateError> {
        let existing = self.read_key()?;
        match (existing, lineage) {
            (Some(Parsed::Key(key)), Some(lineage)) if *key.lineage != *lineage => {
                Err(self.key_error(format!("it belongs to lineage {}, the state has lineage {lineage}", key.lineage)))
            }
            (Some(Parsed::Key(key)), _) => Ok(key),
            (None, Some(_)) => Err(self.key_error("it is missing, but the state that it belongs to is there")),
            (Some(Parsed::New), lineage) => {
                let unsaved =
                    locked(&self.unsaved_key).take().filter(|k| lineage.as_deref().is_none_or(|l| *k.lineage == *l));
                let key = unsaved.map_or_else(|| Key::generate(lineage.as_deref()), Ok)?;
                self.replace_key(&key)?;
                self.remember(&key);
                Ok(key)
            }
            (None, None) => self.make_key(durable),
        }
    }

    fn make_key(&self, durable: bool) -> Result<Key, StateError> {
        let mut unsaved = locked(&self.unsaved_key);
        let key = match unsaved.take() {
            Some(key) => key,
            None => Key::generate(None)?,
        };
        match self.save_new(&key) {
            Ok(true) => {
                self.remember(&key);
                Ok(key)
            }
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

    /// What we have sealed ourselves needs not be opened.
    fn remember(&self, key: &Key) {
        if key.sealed.is_some() {
            *locked(&self.opened_key) = Some(key.clone());
        }
    }

    /// Whether the file was made; not when one is there already.
    fn save_new(&self, key: &Key) -> Result<bool, StateError> {
        let path = &self.paths.key;
        let io = |e: &io::Error| StateError::io("writing", path, e);
        self.paths.make_folder()?;
        let mut file = self.paths.temporary()?;
        io::Write::write_all(&mut file, &key.bytes()).map_err(|e| io(&e))?;
        file.as_file().sync_all().map_err(|e| io(&e))?;
        match file.persist_noclobber(path) {
            Ok(_) => files::sync_folder(&self.paths.folder).map(|()| true),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(io(&e.error)),
        }
    }
}
