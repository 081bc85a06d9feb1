//! The key file of this machine: its text, and how it is made.
//!
//! The one decision: one line that says what it is, of which version and whose, so that a file of something else is
//! never taken for a key; with a checksum, since any other 32 bytes would be a key, too. A file with only the word `new`
//! says that the key is lost for good.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::StateError;
use crate::local::{Paths, sync_folder};
use crate::seal::Secrets;

const FIRST: &str = "mesh-state-key";
const VERSION: u64 = 1;

/// Whether the owner says that the key is lost.
pub(super) fn is_new(bytes: &[u8]) -> bool {
    bytes.trim_ascii() == b"new"
}

/// The text of keys that nothing seals; the data key is not among them, since nothing is sealed then.
pub(super) fn open_bytes(lineage: &str, secrets: &Secrets) -> Zeroizing<Vec<u8>> {
    let summed = Zeroizing::new([&secrets.fingerprint[..], &sum(lineage, &*secrets.fingerprint)].concat());
    let key = Zeroizing::new(STANDARD.encode(&*summed));
    Zeroizing::new(format!("{FIRST} {VERSION} {lineage} {}\n", *key).into_bytes())
}

/// What follows a key: files of earlier versions end without.
fn sum(lineage: &str, key: &[u8]) -> [u8; 4] {
    let digest = Sha256::new().chain_update(lineage).chain_update([0]).chain_update(key).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The opposite; what is wrong with it, for people.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Result<(Arc<str>, Secrets), &'static str>, StateError> {
    let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    let mut words = text.split_ascii_whitespace();
    let (first, version) = (words.next(), words.next().and_then(|v| v.parse::<u64>().ok()));
    match (first, version) {
        (Some(FIRST), Some(VERSION)) => {}
        (Some(FIRST), Some(version)) if version > VERSION => {
            return Err(StateError::Newer { place: place.to_owned(), version, known: VERSION });
        }
        _ => return Ok(Err("it is not a fingerprint key")),
    }
    let lineage = words.next();
    let key = words.next().and_then(|k| STANDARD.decode(k).ok()).map(Zeroizing::new);
    if words.next().is_some() {
        return Ok(Err("it holds more than this version knows: a newer mesh wrote it, or it is damaged"));
    }
    let (Some(lineage), Some(bytes)) = (lineage, key) else { return Ok(Err("it is damaged")) };
    match bytes.split_first_chunk::<32>() {
        Some((key, rest)) if rest.is_empty() || rest == sum(lineage, key) => {
            Ok(Ok((lineage.into(), Secrets::new(Some(key))?)))
        }
        _ => Ok(Err("it is damaged")),
    }
}

/// Makes the file; false when one is there already.
pub(super) fn make(paths: &Paths, bytes: &[u8]) -> Result<bool, StateError> {
    let io = |e: &io::Error| StateError::io("writing", &paths.key, e);
    paths.make_folder()?;
    let mut file = paths.temporary()?;
    io::Write::write_all(&mut file, bytes).map_err(|e| io(&e))?;
    file.as_file().sync_all().map_err(|e| io(&e))?;
    match file.persist_noclobber(&paths.key) {
        Ok(_) => sync_folder(&paths.key).map(|()| true),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(io(&e.error)),
    }
}
