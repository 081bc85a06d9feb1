//! The keys of a lineage: made with it, kept beside the state, never in it.
//!
//! The one decision: sealed keys lie where the state lies, so that every machine with a recipient has them; keys that
//! nothing seals lie in a file of this machine that only its owner reads. The keys may be made by the first plan,
//! because the digest of that plan and of its apply must agree; that is no change of the state. Who has lost them for
//! good says so (a key file that holds only the word `new`), and then every secret shows as changed once.

mod file;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mesh_model::Fingerprinter;
use zeroize::Zeroizing;

use crate::local::{Paths, locked};
use crate::seal::{self, Encryption, Sealer, Secrets};
use crate::{Fault, Keys, StateError};

/// A place for sealed keys, beside a state that lies elsewhere.
#[async_trait]
pub trait KeyPlace: Send + Sync {
    /// What it is and where, for people.
    fn place(&self) -> String;

    /// What was put there last.
    async fn get(&self) -> Result<Option<Vec<u8>>, StateError>;

    /// Puts `bytes` there, in the place of `before` (`None`: of nothing); false where something else is by now.
    async fn put(&self, before: Option<&[u8]>, bytes: &[u8]) -> Result<bool, StateError>;
}

/// The keys of a lineage, on their way from one place to another.
#[derive(Clone)]
pub struct Portable {
    lineage: Arc<str>,
    secrets: Secrets,
}

impl fmt::Debug for Portable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Portable({})", self.lineage)
    }
}

/// The keys of a lineage.
#[derive(Clone)]
struct Key {
    lineage: Arc<str>,
    secrets: Secrets,
    /// As they are kept, where they are sealed, and whether for others than are configured.
    sealed: Option<(Vec<u8>, bool)>,
}

impl Key {
    fn generate(lineage: Option<&str>) -> Result<Self, StateError> {
        let lineage = lineage.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        Ok(Self { lineage: lineage.into(), secrets: Secrets::new(None)?, sealed: None })
    }

    fn keys(&self, encrypted: bool) -> Keys {
        Keys {
            fingerprinter: Fingerprinter::new(*self.secrets.fingerprint),
            sealer: self.sealed.as_ref().map(|_| Sealer::new(self.secrets.data.clone())),
            stale: self.sealed.as_ref().map_or(encrypted, |(_, stale)| *stale),
        }
    }

    /// As it is kept.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        match &self.sealed {
            Some((sealed, _)) => Zeroizing::new(sealed.clone()),
            None => file::open_bytes(&self.lineage, &self.secrets),
        }
    }
}

/// What is there.
enum There {
    /// Keys, and the bytes where they lie elsewhere.
    Key(Key, Option<Vec<u8>>),
    /// They are lost for good; what lies elsewhere can be overwritten.
    New(Option<Vec<u8>>),
    Nothing,
}

struct Inner {
    paths: Paths,
    elsewhere: Option<Arc<dyn KeyPlace>>,
    encryption: Option<Encryption>,
    /// The state elsewhere, for messages.
    state: Option<String>,
    /// Keys that are not kept (yet), for the life of this process.
    unsaved: Mutex<Option<Key>>,
    /// Sealed keys that were opened.
    opened: Mutex<Option<Key>>,
}

/// The keys of one state; clones are the same.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.0.paths.key.display())
    }
}

impl Keyring {
    pub(crate) fn at(paths: Paths, encryption: Option<Encryption>) -> Self {
        Self::with(paths, encryption, None, None)
    }

    fn with(
        paths: Paths,
        encryption: Option<Encryption>,
        elsewhere: Option<Arc<dyn KeyPlace>>,
        state: Option<String>,
    ) -> Self {
        let (unsaved, opened) = Default::default();
        Self(Arc::new(Inner { paths, elsewhere, encryption, state, unsaved, opened }))
    }

    /// The keys of a state that lies elsewhere: sealed at `place`, and else in the file `FILE.key` of this machine.
    pub fn elsewhere(
        file: impl Into<std::path::PathBuf>,
        encryption: Option<Encryption>,
        place: Arc<dyn KeyPlace>,
    ) -> Self {
        let state = Some(place.place());
        Self::with(Paths::new(file.into()), encryption, Some(place), state)
    }

    /// The keys with their lineage: those of the state's `lineage`, or new ones where there is no state. `durable`
    /// insists on keeping them.
    ///
    /// # Errors
    /// [`StateError::Key`] when the state is there and its keys are not, are another lineage's, or cannot be opened.
    pub async fn open(&self, lineage: Option<String>, durable: bool) -> Result<(Arc<str>, Keys), StateError> {
        let key = self.key(lineage, durable).await?;
        Ok((key.lineage.clone(), key.keys(self.0.encryption.is_some())))
    }

    /// Makes a new data key and seals all keys for those who are configured now, and for nobody else. One of those for
    /// whom they are sealed has to be among them. What is sealed once is not opened for everybody again.
    ///
    /// # Errors
    /// When they cannot be opened, or not be sealed for one of them; then nothing is changed.
    pub async fn rekey(&self, lineage: Option<String>) -> Result<(), StateError> {
        // Made, if there are none yet.
        self.key(lineage, true).await?;
        let There::Key(key, before) = self.there().await? else { return Err(self.replaced()) };
        let secrets = if self.0.encryption.is_some() { key.secrets.rotated()? } else { key.secrets };
        let key = self.sealed(Key { secrets, ..key }).await?;
        self.replace(&key, before.as_deref()).await
    }

    /// The lineage of the keys, if there are any; opens nothing.
    ///
    /// # Errors
    /// Keys that cannot be read.
    pub async fn lineage(&self) -> Result<Option<Arc<str>>, StateError> {
        if let Some(place) = &self.0.elsewhere
            && let Some(bytes) = place.get().await?
        {
            return Ok(seal::lineage(&bytes).map(Arc::from));
        }
        self.lineage_here()
    }

    /// The same of a state that lies here.
    pub(crate) fn lineage_here(&self) -> Result<Option<Arc<str>>, StateError> {
        match self.read_file()? {
            Some(bytes) if seal::is_sealed(&bytes) => Ok(seal::lineage(&bytes).map(Arc::from)),
            Some(bytes) if !file::is_new(&bytes) => self.parse_file(&bytes).map(|key| Some(key.lineage)),
            _ => Ok(locked(&self.0.unsaved).as_ref().map(|k| k.lineage.clone())),
        }
    }

    /// The keys of a state, to be taken elsewhere.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub async fn export(&self, lineage: Option<String>) -> Result<Portable, StateError> {
        let Key { lineage, secrets, .. } = self.key(lineage, true).await?;
        Ok(Portable { lineage, secrets })
    }

    /// Keeps keys for a state that is about to be made here. What lies elsewhere is overwritten: it belongs to no state.
    ///
    /// # Errors
    /// [`StateError::Key`] where the key file is another state's.
    pub async fn import(&self, keys: &Portable) -> Result<(), StateError> {
        let before = match self.there().await? {
            There::Key(key, Some(_)) if key.lineage == keys.lineage => return Ok(()),
            There::Key(_, Some(before)) => Some(before),
            There::Key(key, None) if key.lineage == keys.lineage => None,
            There::Key(key, None) => {
                let why =
                    format!("it holds keys of lineage {}, and those of {} are to come", key.lineage, keys.lineage);
                let way_out = "If no state needs them any more, move them away.".to_owned();
                return Err(StateError::Key { place: self.place(), why, way_out });
            }
            There::New(before) => before,
            There::Nothing => None,
        };
        let Portable { lineage, secrets } = keys.clone();
        let key = self.sealed(Key { lineage, secrets, sealed: None }).await?;
        self.put(&key, before.as_deref()).await
    }

    /// Removes the key file, with a state that is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_file(&self) -> Result<(), StateError> {
        *locked(&self.0.opened) = None;
        self.0.paths.remove(&self.0.paths.key)
    }

    async fn key(&self, lineage: Option<String>, durable: bool) -> Result<Key, StateError> {
        match (self.there().await?, lineage) {
            (There::Key(key, _), Some(lineage)) if *key.lineage != *lineage => {
                Err(self.error(format!("it belongs to lineage {}, the state has lineage {lineage}", key.lineage)))
            }
            (There::Key(key, _), _) => Ok(key),
            (There::Nothing, Some(_)) => Err(self.error("it is missing, but the state that it belongs to is there")),
            (There::New(before), lineage) => {
                let key = self.sealed(Key::generate(lineage.as_deref())?).await?;
                self.replace(&key, before.as_deref()).await?;
                Ok(key)
            }
            (There::Nothing, None) => self.make(durable).await,
        }
    }

    async fn make(&self, durable: bool) -> Result<Key, StateError> {
        let unsaved = locked(&self.0.unsaved).take();
        let key = match unsaved {
            Some(key) => key,
            None => self.sealed(Key::generate(None)?).await?,
        };
        let kept = match self.sealed_elsewhere(&key) {
            Some(place) => place.put(None, &key.bytes()).await,
            None => file::make(&self.0.paths, &key.bytes()),
        };
        let tolerable = |fault| fault != Fault::DiskFull && (self.0.elsewhere.is_some() || fault != Fault::Other);
        match kept {
            Ok(true) => {
                self.remember(&key);
                Ok(key)
            }
            // Another process was first.
            Ok(false) => match self.there().await? {
                There::Key(key, _) => Ok(key),
                _ => Err(self.error("it is damaged")),
            },
            Err(StateError::Unusable { .. }) if !durable => Ok(self.unsaved(key)),
            Err(StateError::Io { fault, .. }) if !durable && tolerable(fault) => Ok(self.unsaved(key)),
            Err(e) => Err(e),
        }
    }

    fn unsaved(&self, key: Key) -> Key {
        *locked(&self.0.unsaved) = Some(key.clone());
        key
    }

    /// What we have sealed ourselves needs not be opened.
    fn remember(&self, key: &Key) {
        *locked(&self.0.opened) = key.sealed.is_some().then(|| key.clone());
    }

    /// Where these keys lie, unless it is the file.
    fn sealed_elsewhere(&self, key: &Key) -> Option<&Arc<dyn KeyPlace>> {
        self.0.elsewhere.as_ref().filter(|_| key.sealed.is_some())
    }

    /// Sealed for those who are configured, if somebody is.
    async fn sealed(&self, key: Key) -> Result<Key, StateError> {
        let Some(encryption) = &self.0.encryption else { return Ok(Key { sealed: None, ..key }) };
        let bytes = seal::seal(&self.place(), &key.lineage, &key.secrets, encryption).await?;
        Ok(Key { sealed: Some((bytes, false)), ..key })
    }

    /// Puts keys in the place of what is there, wherever that is.
    async fn replace(&self, key: &Key, before: Option<&[u8]>) -> Result<(), StateError> {
        self.put(key, before).await?;
        if self.sealed_elsewhere(key).is_some() {
            // It would still open everything.
            self.0.paths.remove(&self.0.paths.key)?;
        }
        Ok(())
    }

    async fn put(&self, key: &Key, before: Option<&[u8]>) -> Result<(), StateError> {
        match self.sealed_elsewhere(key) {
            Some(place) if !place.put(before, &key.bytes()).await? => return Err(self.replaced()),
            Some(_) => {}
            None => {
                self.0.paths.make_folder()?;
                drop(self.0.paths.replace(&self.0.paths.key, &[&key.bytes()], &|| Ok(()))?);
            }
        }
        self.remember(key);
        Ok(())
    }

    async fn there(&self) -> Result<There, StateError> {
        let here = self.read_file()?;
        let new = here.as_deref().is_some_and(|b| file::is_new(b));
        if let Some(place) = &self.0.elsewhere
            && let Some(bytes) = place.get().await?
        {
            return if new {
                Ok(There::New(Some(bytes)))
            } else {
                Ok(There::Key(self.unseal(&bytes).await?, Some(bytes)))
            };
        }
        match here {
            None => Ok(There::Nothing),
            Some(_) if new => Ok(There::New(None)),
            Some(bytes) if seal::is_sealed(&bytes) => self.unseal(&bytes).await.map(|key| There::Key(key, None)),
            Some(bytes) => self.parse_file(&bytes).map(|key| There::Key(key, None)),
        }
    }

    async fn unseal(&self, bytes: &[u8]) -> Result<Key, StateError> {
        let known = locked(&self.0.opened).clone().filter(|k| k.bytes().as_slice() == bytes);
        if let Some(key) = known {
            return Ok(key);
        }
        let opened = seal::open(&self.place(), bytes, self.0.encryption.as_ref()).await?;
        let key =
            Key { lineage: opened.lineage, secrets: opened.secrets, sealed: Some((bytes.to_vec(), opened.stale)) };
        self.remember(&key);
        Ok(key)
    }

    fn read_file(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        self.0.paths.read(&self.0.paths.key).map(|bytes| bytes.map(Zeroizing::new))
    }

    fn parse_file(&self, bytes: &[u8]) -> Result<Key, StateError> {
        let place = self.0.paths.key.display().to_string();
        let (lineage, secrets) = file::parse(&place, bytes)?.map_err(|why| self.error(why))?;
        Ok(Key { lineage, secrets, sealed: None })
    }

    /// Where they are, for people.
    fn place(&self) -> String {
        match (&self.0.elsewhere, &self.0.encryption) {
            (Some(place), Some(_)) => format!("keys of the {}", place.place()),
            _ => self.0.paths.key.display().to_string(),
        }
    }

    fn replaced(&self) -> StateError {
        let way_out = "Nothing was changed. Run the command again.".to_owned();
        StateError::Key { place: self.place(), why: "somebody else has replaced it meanwhile".to_owned(), way_out }
    }

    fn error(&self, why: impl Into<String>) -> StateError {
        let file = self.0.paths.key.display();
        let lost = "a new key is made, and every secret shows as changed once, since it can no longer be compared.";
        match &self.0.state {
            None => StateError::Key {
                place: file.to_string(),
                why: why.into(),
                way_out: format!(
                    "Restore it from a backup of the folder. If it is lost for good, put the single word `new` into it: {lost}"
                ),
            },
            Some(_) if self.0.encryption.is_some() => StateError::Key {
                place: self.place(),
                why: why.into(),
                way_out: format!(
                    "Sealed keys lie beside the state: restore them there from a backup. If they are lost for good, put the \
                     single word `new` into {file}: {lost}"
                ),
            },
            Some(state) => StateError::Key {
                place: file.to_string(),
                why: format!("{}: it belongs to {state}", why.into()),
                way_out: format!(
                    "Without encryption the key is a file beside the configuration and does not lie in the store: copy {file} from a \
                     machine that has it, over a safe way. If it is lost for good, put the single word `new` into it: {lost}"
                ),
            },
        }
    }
}
