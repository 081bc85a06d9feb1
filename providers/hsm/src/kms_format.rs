//! The encrypted CSR of k8s-kms-plugin: four texts in a Secret.
//!
//! `kek-id` and `csr-id` are plain; `encrypted-dek` is a compact JWE (`dir`, `A256GCM`) that the KEK
//! in the HSM opens; its content is a JWK with the data key (DEK), which opens `encrypted-csr`, a
//! JWE whose protected header `_thales_aad` carries the csr-id.
//!
//! The one decision: one codec for both directions, in steps, so that the KEK can be anywhere:
//! behind a PKCS#11 session, a process border, or in a test vector. General JOSE libraries do not
//! fit: the IV of the first JWE has 16 bytes and its key never leaves the HSM.

use std::collections::BTreeMap;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a GCM tag.
const TAG: usize = 16;
/// The entries of the Secret.
pub const ENTRIES: [&str; 4] = ["kek-id", "encrypted-dek", "csr-id", "encrypted-csr"];

/// AES-256-GCM with the KEK, the 128-bit tag behind the data; IVs have 16 bytes.
pub trait KekCipher {
    /// Encrypts and appends the tag; the error is the device's own words.
    fn encrypt(&self, iv: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, String>;
    /// Decrypts data with the tag behind it.
    fn decrypt(&self, iv: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String>;
}

/// One compact JWE, taken apart and checked for its form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jwe {
    /// The protected header as it was sent: the additional authenticated data.
    pub aad: String,
    /// The initialisation vector.
    pub iv: Vec<u8>,
    /// The ciphertext with the tag behind it.
    pub sealed: Vec<u8>,
    /// The key that it names.
    pub kid: String,
    thales_aad: Option<String>,
}

impl Jwe {
    fn parse(what: &str, text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{what} is not what k8s-kms-plugin writes: {why}");
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [header, key, iv, sealed, tag] = parts.as_slice() else {
            return Err(bad("a compact JWE has five parts"));
        };
        let bytes = |part: &str| B64.decode(part).map_err(|_| bad("a part is not base64url"));
        let fields: Json = serde_json::from_slice(&bytes(header)?).map_err(|_| bad("its header is not JSON"))?;
        let field = |name: &str| fields.get(name).and_then(Json::as_str);
        if field("alg") != Some("dir") || field("enc") != Some("A256GCM") {
            return Err(bad("its header must say alg \"dir\" and enc \"A256GCM\""));
        }
        if fields.get("zip").is_some() || !key.is_empty() {
            return Err(bad("it is compressed or brings a key of its own"));
        }
        let kid = field("kid").ok_or_else(|| bad("its header names no key (kid)"))?.to_owned();
        let (iv, mut sealed, tag) = (bytes(iv)?, bytes(sealed)?, bytes(tag)?);
        if tag.len() != TAG || !matches!(iv.len(), 12 | 16) {
            return Err(bad("its tag must have 16 bytes and its IV 12 or 16"));
        }
        sealed.extend(tag);
        let thales_aad = field("_thales_aad").map(str::to_owned);
        Ok(Self { aad: (*header).to_owned(), iv, sealed, kid, thales_aad })
    }

    fn write(header: &Json, iv: &[u8], seal: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>) -> Result<String, String> {
        let header = B64.encode(header.to_string());
        let sealed = seal(header.as_bytes())?;
        let (data, tag) =
            sealed.split_at_checked(sealed.len().wrapping_sub(TAG)).ok_or("the cipher gave no tag".to_owned())?;
        Ok(format!("{header}..{}.{}.{}", B64.encode(iv), B64.encode(data), B64.encode(tag)))
    }
}

/// The four entries, taken apart and checked against each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedCsr {
    /// The id of the KEK that opens the first JWE.
    pub kek_id: String,
    /// The id of the request.
    pub csr_id: String,
    /// The data key, sealed by the KEK.
    pub dek: Jwe,
    csr: Jwe,
}

impl SealedCsr {
    /// From the entries of the Secret: all four as they are, or all four in base64 as `data` of a
    /// Secret has them. The error says which entry is wrong.
    pub fn parse(entries: &BTreeMap<String, String>) -> Result<Self, String> {
        let missing: Vec<&str> = ENTRIES.into_iter().filter(|e| !entries.contains_key(*e)).collect();
        if !missing.is_empty() {
            return Err(format!("these entries are missing: {}", missing.join(", ")));
        }
        // Base64 has no dots and a compact JWE has four.
        let raw = entries["encrypted-dek"].contains('.');
        let entry = |name: &str| -> Result<String, String> {
            let text = entries[name].trim();
            if raw {
                return Ok(text.to_owned());
            }
            let bytes =
                STANDARD.decode(text).map_err(|_| format!("{name} is neither a text of k8s-kms-plugin nor base64"))?;
            String::from_utf8(bytes).map_err(|_| format!("{name} is not text"))
        };
        let sealed = Self {
            kek_id: entry("kek-id")?,
            csr_id: entry("csr-id")?,
            dek: Jwe::parse("encrypted-dek", &entry("encrypted-dek")?)?,
            csr: Jwe::parse("encrypted-csr", &entry("encrypted-csr")?)?,
        };
        if sealed.dek.kid != sealed.kek_id {
            return Err(format!(
                "encrypted-dek was sealed by the key \"{}\", not by kek-id \"{}\"",
                sealed.dek.kid, sealed.kek_id
            ));
        }
        Ok(sealed)
    }

    /// Opens the request with the content of [`SealedCsr::dek`].
    pub fn open(&self, dek: &[u8]) -> Result<String, String> {
        let jwk: Json = serde_json::from_slice(dek).map_err(|_| "the data key is not a JWK".to_owned())?;
        let kid = jwk.get("kid").and_then(Json::as_str).unwrap_or_default();
        if kid != self.csr.kid {
            return Err("encrypted-csr was sealed by another data key than encrypted-dek holds".into());
        }
        let key = jwk.get("k").and_then(Json::as_str).and_then(|k| B64.decode(k).ok()).map(Zeroizing::new);
        let cipher = key
            .filter(|_| jwk.get("kty").and_then(Json::as_str) == Some("oct"))
            .and_then(|k| Aes256Gcm::new_from_slice(&k).ok())
            .ok_or("the data key is not a 256-bit key")?;
        let iv: [u8; 12] =
            self.csr.iv.as_slice().try_into().map_err(|_| "the IV of encrypted-csr must have 12 bytes")?;
        let payload = Payload { msg: &self.csr.sealed, aad: self.csr.aad.as_bytes() };
        let plain = cipher
            .decrypt(&Nonce::from(iv), payload)
            .map_err(|_| "encrypted-csr is corrupt: its tag does not fit".to_owned())?;
        let bound = self.csr.thales_aad.as_deref().and_then(|t| B64.decode(t).ok());
        if bound.as_deref() != Some(self.csr_id.as_bytes()) {
            return Err("encrypted-csr belongs to another csr-id".into());
        }
        String::from_utf8(plain).map_err(|_| "the decrypted CSR is not text".to_owned())
    }
}

/// Writes the four entries, as texts (a Secret holds them in base64). `random` fills bytes.
pub fn seal_csr(
    kek: &dyn KekCipher,
    kek_id: &str,
    csr_id: &str,
    csr_pem: &str,
    random: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
) -> Result<BTreeMap<String, String>, String> {
    let (mut dek, mut dek_iv, mut csr_iv) = (Zeroizing::new([0_u8; 32]), [0_u8; 16], [0_u8; 12]);
    random(dek.as_mut_slice())?;
    random(&mut dek_iv)?;
    random(&mut csr_iv)?;
    let kid = mesh_x509::hex(&Sha256::digest(dek.as_slice()));
    let jwk = Zeroizing::new(
        json!({
            "key_ops": ["encrypt", "decrypt", "sign", "verify"],
            "alg": "A256GCM",
            "kid": kid,
            "k": B64.encode(dek.as_slice()),
            "kty": "oct",
        })
        .to_string(),
    );
    let header = json!({ "alg": "dir", "kid": kek_id, "enc": "A256GCM" });
    let encrypted_dek = Jwe::write(&header, &dek_iv, |aad| kek.encrypt(&dek_iv, aad, jwk.as_bytes()))?;
    let header = json!({ "alg": "dir", "kid": kid, "enc": "A256GCM", "_thales_aad": B64.encode(csr_id) });
    let encrypted_csr = Jwe::write(&header, &csr_iv, |aad| {
        let cipher = Aes256Gcm::new_from_slice(dek.as_slice()).map_err(|e| e.to_string())?;
        cipher.encrypt(&Nonce::from(csr_iv), Payload { msg: csr_pem.as_bytes(), aad }).map_err(|e| e.to_string())
    })?;
    let texts = [kek_id.to_owned(), encrypted_dek, csr_id.to_owned(), encrypted_csr];
    Ok(ENTRIES.iter().map(|e| (*e).to_owned()).zip(texts).collect())
}

/// Opens the four entries with a KEK at hand; the data source does the same through its worker.
pub fn open_csr(kek: &dyn KekCipher, entries: &BTreeMap<String, String>) -> Result<String, String> {
    let sealed = SealedCsr::parse(entries)?;
    let dek = Zeroizing::new(kek.decrypt(&sealed.dek.iv, sealed.dek.aad.as_bytes(), &sealed.dek.sealed)?);
    sealed.open(&dek)
}

#[cfg(test)]
pub(crate) mod tests;
