//! A recipient that is a passphrase.
//!
//! The one decision: Argon2id with what RFC 9106 recommends where memory is limited (64 MiB, three passes); the
//! parameters are kept with the key, so that they can grow.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::{Key, Recipient, decrypt, encrypt};

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (64 << 10, 3, 1);
/// The most memory that a file may ask for, in KiB.
const MOST: u32 = 1 << 20;
/// The shortest passphrase, in characters.
const SHORTEST: usize = 16;

/// Whoever knows it.
pub struct Passphrase {
    name: String,
    text: Zeroizing<String>,
    cost: (u32, u32, u32),
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passphrase({:?})", self.name)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    kdf: String,
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    key: String,
}

impl Passphrase {
    /// With a name for messages.
    ///
    /// # Errors
    /// When it is shorter than 16 characters.
    pub fn new(name: impl Into<String>, text: Zeroizing<String>) -> Result<Self, String> {
        if text.chars().count() < SHORTEST {
            return Err(format!("a passphrase has at least {SHORTEST} characters"));
        }
        Ok(Self { name: name.into(), text, cost: COST })
    }

    #[cfg(test)]
    pub(crate) fn cheap(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: Zeroizing::new(text.into()), cost: (8, 1, 1) }
    }

    /// The key that the passphrase gives; off the async threads, since it takes a while on purpose.
    async fn derive(&self, (memory, passes, lanes): (u32, u32, u32), salt: Vec<u8>) -> Result<Key, String> {
        if memory > MOST {
            return Err(format!("it asks for {memory} KiB of memory; at most {MOST} are given"));
        }
        let params = Params::new(memory, passes, lanes, Some(32)).map_err(|e| e.to_string())?;
        let text = self.text.clone();
        let work = move || {
            let mut key = Zeroizing::new([0; 32]);
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon.hash_password_into(text.as_bytes(), &salt, key.as_mut_slice()).map_err(|e| e.to_string())?;
            Ok(key)
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
    }
}

fn bound(lineage: &str) -> Vec<u8> {
    format!("mesh passphrase\n{lineage}").into_bytes()
}

#[async_trait]
impl Recipient for Passphrase {
    fn kind(&self) -> &'static str {
        "passphrase"
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn wrap(&self, lineage: &str, key: &Key) -> Result<Json, String> {
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).map_err(|e| e.to_string())?;
        let derived = self.derive(self.cost, salt.clone()).await?;
        let wrapped = encrypt(&derived, &bound(lineage), key.as_slice()).map_err(|e| e.to_string())?;
        let (memory, passes, lanes) = self.cost;
        let (salt, key) = (STANDARD.encode(salt), STANDARD.encode(wrapped));
        serde_json::to_value(Wrapped { kdf: "argon2id".into(), memory, passes, lanes, salt, key })
            .map_err(|e| e.to_string())
    }

    async fn unwrap(&self, lineage: &str, wrapped: &Json) -> Result<Key, String> {
        let w = Wrapped::deserialize(wrapped)
            .map_err(|e| format!("its parameters are damaged, or a newer mesh wrote them: {e}"))?;
        if w.kdf != "argon2id" {
            return Err(format!("the key derivation {:?} is not known here: a newer mesh wrote it", w.kdf));
        }
        let decode = |text: &str| {
            STANDARD.decode(text).map_err(|e| format!("its parameters are damaged, or a newer mesh wrote them: {e}"))
        };
        let derived = self.derive((w.memory, w.passes, w.lanes), decode(&w.salt)?).await?;
        let key = decrypt(&derived, &bound(lineage), &decode(&w.key)?).ok_or("the passphrase is not the right one")?;
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| "its key has another length")?;
        Ok(Zeroizing::new(key))
    }
}
