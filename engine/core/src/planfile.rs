//! Saved plans: a reviewed plan in a file that can be applied, resumed and shown.
//!
//! The one decision: the file holds what the plan was made from (sources, inputs, options) and what
//! it said; applying it plans again under the lock and goes on only when the result is equal or
//! narrower. Sealed whole with AES-256-GCM under a key derived from the lineage's fingerprint key;
//! only version, digest, lineage and serial are clear, and they are bound to the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use mesh_lang::functions::Seen;
use mesh_model::{Diagnostic, Fingerprinter};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::plan::{Mode, Options};

#[cfg(test)]
mod fixtures;
mod saved;

const FORMAT: u32 = 1;

/// The clear part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub mesh_plan: u32,
    /// What people approve.
    pub digest: String,
    /// Whose state it was made from.
    pub lineage: String,
    /// At which serial.
    pub serial: u64,
}

/// The sealed part.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Sources by path relative to the root folder.
    pub files: BTreeMap<String, String>,
    /// What functions read while planning.
    #[serde(default)]
    pub read: SavedReads,
    /// The version of mesh, and with it of all providers, that made the plan.
    #[serde(default)]
    pub version: String,
    /// The root folder when the plan was made.
    pub root: PathBuf,
    /// The digest of what was unfinished in the state.
    #[serde(default)]
    pub unfinished: Option<String>,
    /// Values of variables as text of the language, ephemeral ones left out.
    pub inputs: BTreeMap<String, String>,
    /// Whether everything is destroyed.
    pub destroy: bool,
    /// Whether state is only brought up to date.
    pub refresh_only: bool,
    /// Whether reality was looked at.
    pub refresh: bool,
    /// Instances that get a new object.
    pub replace: Vec<String>,
    /// What alone is planned.
    pub targets: Vec<String>,
    /// What is left out.
    pub excludes: Vec<String>,
    /// When it was made (RFC 3339), for `plantimestamp()`.
    pub timestamp: String,
    /// The changes as they were reviewed: address, action and digest-relevant values.
    pub changes: Vec<SavedChange>,
    /// The envelopes as they were reviewed.
    pub deferred: Vec<SavedEnvelope>,
    /// The changes of root outputs as they were reviewed, by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, SavedOutput>,
    /// The plan in the machine format, redacted, for `show -json`.
    pub json: String,
    /// The plan as text, for `show`.
    pub text: String,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(..)")
    }
}

/// Files that functions read: `file`, `fileexists`, `fileset` and their like, by path.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedReads {
    /// Contents in base64.
    contents: BTreeMap<String, String>,
    files: BTreeSet<String>,
    /// Folder, pattern, files.
    sets: Vec<(String, String, Vec<String>)>,
}

impl SavedReads {
    /// What was seen, as it is kept.
    pub fn new(seen: Seen) -> Self {
        Self {
            contents: seen.contents.into_iter().map(|(p, c)| (p, BASE64.encode(c))).collect(),
            files: seen.files,
            sets: seen.sets.into_iter().map(|((folder, pattern), files)| (folder, pattern, files)).collect(),
        }
    }

    /// What was seen.
    ///
    /// # Errors
    /// A content that is no base64.
    pub fn seen(&self) -> Result<Seen, Diagnostic> {
        let content =
            |text: &String| BASE64.decode(text).map_err(|e| damaged(&format!("A file in it cannot be read: {e}.")));
        let contents = self.contents.iter().map(|(p, c)| Ok((p.clone(), content(c)?.into())));
        Ok(Seen {
            contents: contents.collect::<Result<_, Diagnostic>>()?,
            files: self.files.clone(),
            sets: self.sets.iter().map(|(f, p, files)| ((f.clone(), p.clone()), files.clone())).collect(),
        })
    }
}

/// A reviewed change.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedChange {
    /// The instance.
    pub address: String,
    /// The key of a deposed object.
    pub deposed: Option<String>,
    /// The action: `Create`, `Update`, ...
    pub action: String,
    /// Provider and alias.
    pub provider: String,
    /// What the system counts changes of the object with, as it was seen.
    #[serde(default)]
    pub version: Option<String>,
    /// What was there, secrets by fingerprint (see [`saved`]).
    pub before: Json,
    /// What was to be, secrets by fingerprint.
    pub after: Json,
}

/// A reviewed change of a root output.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedOutput {
    /// The action, as in [`SavedChange`].
    pub action: String,
    /// The value in state, secrets by fingerprint.
    pub before: Json,
    /// The value to come, secrets by fingerprint.
    pub after: Json,
}

/// A reviewed envelope.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedEnvelope {
    /// The address pattern.
    pub pattern: String,
    /// Allowed actions.
    pub actions: Vec<String>,
    /// Why it waits, in words.
    pub reason: String,
    /// What was known of its configuration, secrets by fingerprint.
    #[serde(default)]
    pub known: Json,
}

impl Content {
    /// The options that the plan was made with.
    ///
    /// # Errors
    /// When an address in it cannot be read.
    pub fn options(&self, parallelism: usize) -> Result<Options, Diagnostic> {
        let mode = match (self.destroy, self.refresh_only) {
            (true, _) => Mode::Destroy,
            (false, true) => Mode::RefreshOnly,
            (false, false) => Mode::Normal,
        };
        Ok(Options {
            mode,
            refresh: self.refresh,
            replace: addresses(&self.replace)?,
            targets: addresses(&self.targets)?,
            excludes: addresses(&self.excludes)?,
            generate: false,
            parallelism,
        })
    }
}

fn addresses<T: std::str::FromStr<Err = mesh_model::address::AddressError>>(
    texts: &[String],
) -> Result<Vec<T>, Diagnostic> {
    texts.iter().map(|a| a.parse().map_err(|e: T::Err| damaged(&e.to_string()))).collect()
}

pub use saved::{changes_of, envelopes_of, outputs_of, reviewed};

fn damaged(why: &str) -> Diagnostic {
    Diagnostic::error(
        "planfile::damaged",
        "The plan file cannot be used",
        format!("{why} Make the plan again with mesh plan -out."),
    )
}

/// What was sealed whole is not damaged.
fn unread(what: &str, e: &serde_json::Error) -> Diagnostic {
    damaged(&format!("{what} is not one of this version of mesh; a newer one may have written it: {e}."))
}

fn cipher(fingerprinter: &Fingerprinter) -> Aes256Gcm {
    let key = fingerprinter.bytes(b"mesh plan file, version 1");
    Aes256Gcm::new(&(*key.bytes()).into())
}

/// The bytes of a plan file.
///
/// # Errors
/// When the operating system gives no randomness or the content cannot be encoded.
pub fn seal(fingerprinter: &Fingerprinter, header: &Header, content: &Content) -> Result<Vec<u8>, Diagnostic> {
    let clear = serde_json::to_string(header).map_err(|e| damaged(&e.to_string()))?;
    let body = serde_json::to_vec(content).map_err(|e| damaged(&e.to_string()))?;
    let mut nonce = [0_u8; 12];
    getrandom::fill(&mut nonce).map_err(|e| damaged(&format!("No randomness: {e}.")))?;
    let sealed = cipher(fingerprinter)
        .encrypt(&nonce.into(), Payload { msg: &body, aad: clear.as_bytes() })
        .map_err(|_| damaged("It could not be encrypted."))?;
    let mut out = clear.into_bytes();
    out.push(b'\n');
    out.extend(nonce);
    out.extend(sealed);
    Ok(out)
}

/// The clear part of a plan file.
///
/// # Errors
/// When this is no plan file, or one of another version.
pub fn header(bytes: &[u8]) -> Result<(Header, usize), Diagnostic> {
    let end = bytes.iter().take(4096).position(|b| *b == b'\n').ok_or_else(|| damaged("This is no plan file."))?;
    let clear: Json = serde_json::from_slice(&bytes[..end]).map_err(|_| damaged("This is no plan file."))?;
    let format = clear.get("mesh_plan").and_then(Json::as_u64).ok_or_else(|| damaged("This is no plan file."))?;
    if format != u64::from(FORMAT) {
        let newer = if format > u64::from(FORMAT) { ": a newer mesh wrote it" } else { "" };
        return Err(damaged(&format!(
            "It has format {format}, and this version of mesh reads format {FORMAT}{newer}."
        )));
    }
    let header = serde_json::from_value(clear).map_err(|e| unread("Its header", &e))?;
    Ok((header, end))
}

/// Opens a plan file.
///
/// # Errors
/// When it is damaged, or was made with another lineage's key.
pub fn open(fingerprinter: &Fingerprinter, bytes: &[u8]) -> Result<(Header, Content), Diagnostic> {
    let (header, end) = header(bytes)?;
    let rest = &bytes[end + 1..];
    let (nonce, sealed) = rest.split_at_checked(12).ok_or_else(|| damaged("It is cut off."))?;
    let nonce: [u8; 12] = nonce.try_into().map_err(|_| damaged("It is cut off."))?;
    let body = cipher(fingerprinter).decrypt(&nonce.into(), Payload { msg: sealed, aad: &bytes[..end] }).map_err(|_| {
        damaged("It is damaged, or it was sealed with the key of another state. Plan files can be opened where the key file of their state is.")
    })?;
    let content = serde_json::from_slice(&body).map_err(|e| unread("Its content", &e))?;
    Ok((header, content))
}

impl Header {
    /// The header of a plan.
    pub fn new(digest: String, lineage: &str, serial: u64) -> Self {
        Self { mesh_plan: FORMAT, digest, lineage: lineage.to_owned(), serial }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn seen() -> Seen {
        Seen {
            contents: BTreeMap::from([("a".to_owned(), Arc::from(&b"file-canary"[..]))]),
            files: BTreeSet::from(["b".to_owned()]),
            sets: BTreeMap::from([(("c".to_owned(), "*".to_owned()), vec!["d".to_owned()])]),
        }
    }

    fn content() -> Content {
        Content {
            files: BTreeMap::from([("main.mesh.hcl".to_owned(), "x".to_owned())]),
            root: PathBuf::from("/r"),
            read: SavedReads::new(seen()),
            version: "0".to_owned(),
            unfinished: None,
            inputs: BTreeMap::new(),
            destroy: false,
            refresh_only: false,
            refresh: true,
            replace: Vec::new(),
            targets: Vec::new(),
            excludes: Vec::new(),
            timestamp: "2026-01-01T00:00:00Z".to_owned(),
            changes: Vec::new(),
            deferred: Vec::new(),
            outputs: BTreeMap::new(),
            json: "{}".to_owned(),
            text: "secret-canary".to_owned(),
        }
    }

    proptest::proptest! {
        #[test]
        fn any_damage_is_an_error(
            ends in proptest::array::uniform4(proptest::prelude::any::<usize>()),
            inserted in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..9),
        ) {
            let f = Fingerprinter::new([5; 32]);
            let whole = seal(&f, &Header::new("d".into(), "l", 3), &content()).expect("seals");
            let other = seal(&f, &Header::new("d".into(), "l", 4), &content()).expect("seals");
            let mut at = ends.map(|end| end % (whole.len() + 1));
            at.sort_unstable();
            let [a, b, c, d] = at;
            let damaged: [&[&[u8]]; 6] = [
                &[&whole[..a], &inserted, &whole[(a + inserted.len()).min(whole.len())..]],
                &[&whole[..a], &inserted, &whole[a..]],
                &[&whole[..a]],
                &[&whole[..a], &whole[b..]],
                &[&whole[..a], &whole[c..d], &whole[b..c], &whole[a..b], &whole[d..]],
                &[&whole[..a], &other[a.min(other.len())..]],
            ];
            for bytes in damaged.map(<[&[u8]]>::concat) {
                if bytes != whole && bytes != other {
                    let error = open(&f, &bytes).map(|_| ()).expect_err("it is damaged").to_string();
                    proptest::prop_assert!(error.contains("mesh plan -out"), "{error}");
                }
            }
        }
    }

    #[test]
    fn every_damaged_byte_is_noticed_and_nothing_is_clear() {
        let f = Fingerprinter::new([5; 32]);
        let bytes = seal(&f, &Header::new("d".into(), "l", 3), &content()).expect("seals");
        assert!(!bytes.windows(6).any(|w| w == b"canary"));
        let (_, back) = open(&f, &bytes).expect("opens");
        assert_eq!(back.read.seen(), Ok(seen()));
        assert!(open(&Fingerprinter::new([6; 32]), &bytes).is_err());
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 1;
            assert!(open(&f, &bad).is_err(), "byte {i}");
        }
    }
}
