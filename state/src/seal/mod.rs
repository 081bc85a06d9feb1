//! Sealing: how the keys of a lineage are kept, and what they seal.
//!
//! The one decision: one random key seals the fingerprint key and the data keys of a lineage, and is itself wrapped
//! for each recipient, so any one of them opens the state (break glass), and changing recipients touches no
//! state. The header is bound to what it seals: recipients or lineage that were exchanged open nothing. The
//! fingerprint key stays the same for the life of a lineage; fingerprints would tell nothing otherwise.

mod passphrase;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::{Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use passphrase::Passphrase;

use crate::StateError;
use crate::error::versioned;

/// A key of 32 bytes; zeroed when it is dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// The newest version of sealed keys.
const VERSION: u64 = 2;

/// Somebody who can open the keys of a state.
#[async_trait]
pub trait Recipient: Send + Sync {
    /// What kind: `passphrase`. Wrapped keys are offered to recipients of their kind.
    fn kind(&self) -> &'static str;

    /// The name in the configuration, for messages.
    fn name(&self) -> &str;

    /// The key, wrapped so that this recipient can unwrap it; all that it needs for that but its secret.
    ///
    /// # Errors
    /// Why it cannot, for people.
    async fn wrap(&self, lineage: &str, key: &Key) -> Result<Json, String>;

    /// The opposite.
    ///
    /// # Errors
    /// Why it cannot, for people: it may be wrapped for another one of this kind.
    async fn unwrap(&self, lineage: &str, wrapped: &Json) -> Result<Key, String>;
}

/// How a state is encrypted, as configured: at least one recipient.
#[derive(Clone)]
pub struct Encryption {
    /// Those who can open it, the one that is asked first first.
    pub recipients: Vec<Arc<dyn Recipient>>,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.recipients.iter().map(|r| format!("{} {:?}", r.kind(), r.name()))).finish()
    }
}

/// Seals single values under the newest data key of a lineage, and opens those of all; cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<[Key]>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// With the keys of [`Secrets`], the newest first.
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(keys.into())
    }

    /// A value, whatever its marks, as text that is bound to `place`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal_value(&self, place: &str, value: &Value) -> Result<String, StateError> {
        let plain = Zeroizing::new(mesh_model::json::canonical(&value.reveal_deep().0).into_bytes());
        self.seal(place, &plain)
    }

    /// The value that was sealed at `place`, of a type, sensitive; `None` as for [`Sealer::open`].
    pub fn open_value(&self, place: &str, sealed: &str, ty: &Type) -> Option<Value> {
        let plain = self.open(place, sealed)?;
        let value = mesh_model::json::from_json(&serde_json::from_slice(&plain).ok()?);
        mesh_model::convert::convert(&value, ty).ok().map(Value::sensitive)
    }

    /// `plain` as text, bound to `place`: put elsewhere it does not open.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<String, StateError> {
        let key = self.0.first().ok_or_else(|| StateError::Refused { what: "there is no key to seal with".into() })?;
        encrypt(key, place.as_bytes(), plain).map(|bytes| STANDARD.encode(bytes))
    }

    /// What was sealed at `place`; `None` when it is damaged, or was sealed elsewhere or with another key.
    pub fn open(&self, place: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        self.0.iter().find_map(|key| decrypt(key, place.as_bytes(), &bytes))
    }
}

/// Nonce and ciphertext.
fn encrypt(key: &Key, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>, StateError> {
    let fail = |why: String| StateError::Refused { what: format!("it cannot be sealed: {why}") };
    let mut nonce = [0_u8; 12];
    getrandom::fill(&mut nonce).map_err(|e| fail(e.to_string()))?;
    let cipher = Aes256Gcm::new(&(**key).into());
    let text = cipher.encrypt(&nonce.into(), Payload { msg: plain, aad: bound }).map_err(|e| fail(e.to_string()))?;
    Ok([nonce.as_slice(), &text].concat())
}

fn decrypt(key: &Key, bound: &[u8], bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = bytes.split_at_checked(12)?;
    let nonce: [u8; 12] = nonce.try_into().ok()?;
    let cipher = Aes256Gcm::new(&(**key).into());
    cipher.decrypt(&nonce.into(), Payload { msg: text, aad: bound }).ok().map(Zeroizing::new)
}

fn random() -> Result<Key, StateError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice())
        .map_err(|e| StateError::Refused { what: format!("the system gives no randomness: {e}") })?;
    Ok(key)
}

/// The secrets of a lineage.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) fingerprint: Key,
    /// What seals values: the newest first, which seals; the others open what was sealed before a rekey.
    pub(crate) data: Vec<Key>,
}

impl Secrets {
    /// With a fingerprint key that there is already, or a new one.
    pub(crate) fn new(fingerprint: Option<&[u8; 32]>) -> Result<Self, StateError> {
        let fingerprint = fingerprint.map_or_else(random, |key| Ok(Zeroizing::new(*key)))?;
        Ok(Self { fingerprint, data: vec![random()?] })
    }

    /// With a new data key before the others: who knew only those opens nothing that is sealed from now on.
    pub(crate) fn rotated(self) -> Result<Self, StateError> {
        Ok(Self { data: std::iter::once(random()?).chain(self.data).collect(), ..self })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    kind: String,
    name: String,
    key: Json,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    mesh_keys: u64,
    lineage: String,
    recipients: Vec<Wrapped>,
    sealed: String,
}

impl Sealed {
    /// What the secrets are bound to.
    fn bound(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for part in self.recipients.iter().flat_map(|r| [r.kind.clone(), r.name.clone(), r.key.to_string()]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut bound = format!("mesh keys {VERSION}\n{}\n", self.lineage).into_bytes();
        bound.extend(hash.finalize());
        bound
    }
}

/// Whether bytes are sealed keys, of whatever version.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{")
}

/// The lineage of sealed keys, as their header says it.
pub(crate) fn lineage(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct LineageOnly {
        lineage: String,
    }
    serde_json::from_slice(bytes).ok().map(|l: LineageOnly| l.lineage)
}

/// Secrets for the recipients of `encryption`.
pub(crate) async fn seal(
    place: &str,
    lineage: &str,
    secrets: &Secrets,
    encryption: &Encryption,
) -> Result<Vec<u8>, StateError> {
    let key = random()?;
    let mut recipients = Vec::new();
    for recipient in &encryption.recipients {
        let (kind, name) = (recipient.kind(), recipient.name());
        let wrapped = recipient.wrap(lineage, &key).await.map_err(|why| StateError::Key {
            place: place.to_owned(),
            why: format!("the keys of the state cannot be sealed for {kind} {name:?}: {why}"),
            way_out: "Nothing was changed. Make that recipient reachable, or take it out of the encryption block."
                .into(),
        })?;
        recipients.push(Wrapped { kind: kind.to_owned(), name: name.to_owned(), key: wrapped });
    }
    let mut sealed = Sealed { mesh_keys: VERSION, lineage: lineage.to_owned(), recipients, sealed: String::new() };
    let keys = std::iter::once(&secrets.fingerprint).chain(&secrets.data);
    let plain = Zeroizing::new(keys.flat_map(|key| key.iter().copied()).collect::<Vec<u8>>());
    sealed.sealed = STANDARD.encode(encrypt(&key, &sealed.bound(), &plain)?);
    let mut bytes = serde_json::to_vec(&sealed).map_err(|e| StateError::remote("writing", place, e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What was sealed.
pub(crate) struct Opened {
    pub(crate) lineage: Arc<str>,
    pub(crate) secrets: Secrets,
    /// Whether it is sealed for others than are configured.
    pub(crate) stale: bool,
}

/// Opens sealed keys with the first recipient that can.
pub(crate) async fn open(place: &str, bytes: &[u8], encryption: Option<&Encryption>) -> Result<Opened, StateError> {
    let error = |why: String, way_out: &str| StateError::Key {
        place: place.to_owned(),
        why,
        way_out: format!("{way_out} Nothing was changed."),
    };
    let damaged = |why: &str| error(format!("it is damaged: {why}"), "Restore it from a backup.");
    let sealed: Sealed = match versioned(place, "mesh_keys", VERSION, bytes, || "Restore it from a backup.".into()) {
        Err(StateError::Corrupt { why, .. }) => return Err(damaged(&why)),
        read => read?,
    };
    let names = |list: &mut dyn Iterator<Item = (String, String)>| {
        list.map(|(kind, name)| format!("{kind} {name:?}")).collect::<Vec<_>>().join(", ")
    };
    let there = || names(&mut sealed.recipients.iter().map(|r| (r.kind.clone(), r.name.clone())));
    let Some(encryption) = encryption else {
        let why = format!("it is sealed for {}, and no encryption is configured", there());
        return Err(error(why, "Put the encryption block back, with one of these recipients."));
    };
    let text = STANDARD.decode(&sealed.sealed).map_err(|e| damaged(&e.to_string()))?;
    let mut reasons = Vec::new();
    for recipient in &encryption.recipients {
        for wrapped in sealed.recipients.iter().filter(|w| w.kind == recipient.kind()) {
            let key = match recipient.unwrap(&sealed.lineage, &wrapped.key).await {
                Ok(key) => key,
                Err(why) => {
                    reasons.push(format!("{} {:?}: {why}", recipient.kind(), recipient.name()));
                    continue;
                }
            };
            let plain = decrypt(&key, &sealed.bound(), &text);
            let plain = plain.ok_or_else(|| damaged("its header does not belong to what it seals"))?;
            let (keys, rest) = plain.as_chunks::<32>();
            let ([fingerprint, data @ ..], true) = (keys, rest.is_empty() && keys.len() > 1) else {
                return Err(damaged("what it seals has another length"));
            };
            let data = data.iter().map(|key| Zeroizing::new(*key)).collect();
            let secrets = Secrets { fingerprint: Zeroizing::new(*fingerprint), data };
            let configured = encryption.recipients.iter().map(|r| (r.kind(), r.name()));
            let stale = !configured.eq(sealed.recipients.iter().map(|r| (&*r.kind, &*r.name)));
            return Ok(Opened { lineage: sealed.lineage.as_str().into(), secrets, stale });
        }
    }
    let tried = if reasons.is_empty() { "none of these is configured".to_owned() } else { reasons.join("; ") };
    let why = format!("it is sealed for {}, and none of the configured recipients opens it: {tried}", there());
    Err(error(
        why,
        "Give the right secret, make the recipient reachable, or configure another one that it is sealed for.",
    ))
}
