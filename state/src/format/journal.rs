//! The journal: a header line, then one line an entry.
//!
//! The one decision: each line carries the first half of a SHA-256 over the line before and itself,
//! so a flipped, missing, doubled or reordered line cannot pass. Only a last line without its line
//! end may be incomplete: that write was cut off and never acknowledged.

use mesh_model::Snapshot;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::entry::{Entry, EntryRow};
use super::read::{Reader, Text};
use super::rows::{number_field, text_field};
use super::write::integer;
use super::{Bad, VERSION, hex};

/// The hash that a line hands to the next.
pub(crate) type Chain = [u8; 16];

const OPEN: &[u8] = b"{\"h\":\"";
const CLOSE: &[u8] = b"\",";
/// Bytes before the hashed part of a line.
const PREFIX: usize = OPEN.len() + 32 + CLOSE.len();

/// What a journal continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalHeader {
    pub(crate) lineage: String,
    /// The serial of the state that the entries come after.
    pub(crate) base: u64,
    /// Checksum of that state; empty when there was none.
    pub(crate) sum: String,
    /// The number of the last entry before.
    pub(crate) seq: u64,
}

/// A journal that was read.
pub(crate) struct ReadJournal {
    pub(crate) header: JournalHeader,
    pub(crate) entries: Vec<(u64, Entry)>,
    /// The hashes of their lines.
    hashes: Vec<Chain>,
    pub(crate) chain: Chain,
    /// How many bytes are good; what follows was cut off.
    pub(crate) valid: usize,
}

impl ReadJournal {
    /// The hash of the line of an entry.
    pub(crate) fn hash_of(&self, seq: u64) -> Option<Chain> {
        let index = seq.checked_sub(self.header.seq + 1)?;
        self.hashes.get(usize::try_from(index).ok()?).copied()
    }
}

/// Appends one line to `out`; `body` is what follows the number.
pub(crate) fn frame(out: &mut Vec<u8>, chain: Chain, seq: u64, body: &[u8]) -> Chain {
    let start = out.len();
    out.resize(start + PREFIX, 0);
    out.extend_from_slice(b"\"n\":");
    integer(out, seq);
    out.extend_from_slice(body);
    close(out, chain, start)
}

/// Makes the line that starts at `start` complete.
fn close(out: &mut Vec<u8>, chain: Chain, start: usize) -> Chain {
    let hash = link(chain, &out[start + PREFIX..]);
    let prefix = &mut out[start..start + PREFIX];
    prefix[..OPEN.len()].copy_from_slice(OPEN);
    prefix[OPEN.len()..OPEN.len() + 32].copy_from_slice(hex(&hash).as_bytes());
    prefix[OPEN.len() + 32..].copy_from_slice(CLOSE);
    out.extend_from_slice(b"}\n");
    hash
}

fn link(chain: Chain, body: &[u8]) -> Chain {
    let digest = Sha256::new().chain_update(chain).chain_update(body).finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// The first line.
pub(crate) fn header_line(header: &JournalHeader) -> (Vec<u8>, Chain) {
    let mut out = vec![0; PREFIX];
    number_field(&mut out, "mesh_journal", VERSION);
    text_field(&mut out, "lineage", &header.lineage);
    number_field(&mut out, "base", header.base);
    text_field(&mut out, "sum", &header.sum);
    number_field(&mut out, "seq", header.seq);
    out.pop();
    let chain = close(&mut out, [0; 16], 0);
    (out, chain)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderRow<'a> {
    #[serde(rename = "h")]
    _hash: serde::de::IgnoredAny,
    mesh_journal: u64,
    #[serde(borrow)]
    lineage: Text<'a>,
    base: u64,
    sum: Text<'a>,
    seq: u64,
}

#[derive(Deserialize)]
struct VersionRow {
    mesh_journal: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "h")]
    _hash: serde::de::IgnoredAny,
    n: u64,
    c: Option<u64>,
    #[serde(borrow)]
    r: EntryRow<'a>,
}

/// The hash of a line whose frame and hash are right.
fn check(line: &[u8], chain: Chain) -> Option<Chain> {
    let rest = line.strip_prefix(OPEN)?;
    let (written, rest) = rest.split_at_checked(32)?;
    let body = rest.strip_prefix(CLOSE)?.strip_suffix(b"}")?;
    let hash = link(chain, body);
    (hex(&hash).as_bytes() == written).then_some(hash)
}

/// Reads a journal. A cut-off last line is left out; anything else that is wrong is an error.
pub(crate) fn read_journal(bytes: &[u8]) -> Result<ReadJournal, Bad> {
    let reader = Reader::default();
    let mut journal: Option<ReadJournal> = None;
    let mut chain = [0; 16];
    let mut start = 0;
    for number in 1.. {
        let rest = &bytes[start..];
        if rest.is_empty() {
            break;
        }
        let end = rest.iter().position(|b| *b == b'\n');
        let mut line = &rest[..end.unwrap_or(rest.len())];
        let mut hash = check(line, chain);
        // A complete last line with a damaged line end is no cut-off write: it was acknowledged.
        if let (None, None, [whole @ .., _]) = (hash, end, line) {
            hash = check(whole, chain);
            line = if hash.is_some() { whole } else { line };
        }
        let Some(hash) = hash else {
            let newer = serde_json::from_slice::<VersionRow>(line).ok().filter(|v| v.mesh_journal > VERSION);
            return match (newer, journal) {
                (Some(v), None) => Err(Bad::Newer(v.mesh_journal)),
                (None, None) => Err(Bad::at(1, "the first line is damaged")),
                (_, Some(journal)) if end.is_none() => Ok(journal),
                (_, Some(_)) => Err(Bad::at(number, "its hash does not match its content and the line before")),
            };
        };
        chain = hash;
        let bad = |e: &dyn std::fmt::Display| Bad::at(number, format!("not an entry of this version: {e}"));
        let text = std::str::from_utf8(line).map_err(|e| bad(&e))?;
        let valid = start + line.len() + usize::from(end.is_some());
        match &mut journal {
            None => {
                let header = header(text)?;
                journal = Some(ReadJournal { header, entries: Vec::new(), hashes: Vec::new(), chain, valid });
            }
            Some(journal) => {
                let line: Line<'_> = serde_json::from_str(text).map_err(|e| bad(&e))?;
                let expected = journal.entries.last().map_or(journal.header.seq, |(n, _)| *n) + 1;
                if line.n != expected {
                    return Err(Bad::at(number, format!("entry {} where {expected} was expected", line.n)));
                }
                journal.entries.push((line.n, line.r.build(&reader, line.c).map_err(|e| bad(&e))?));
                journal.hashes.push(chain);
                (journal.chain, journal.valid) = (chain, valid);
            }
        }
        start = valid;
    }
    journal.ok_or_else(|| Bad::at(1, "it is empty"))
}

fn header(text: &str) -> Result<JournalHeader, Bad> {
    if let Ok(v) = serde_json::from_str::<VersionRow>(text)
        && v.mesh_journal > VERSION
    {
        return Err(Bad::Newer(v.mesh_journal));
    }
    let row: HeaderRow<'_> =
        serde_json::from_str(text).map_err(|e| Bad::at(1, format!("not the header of a journal: {e}")))?;
    if row.mesh_journal != VERSION {
        return Err(Bad::at(1, "not the header of a journal"));
    }
    Ok(JournalHeader { lineage: row.lineage.to_string(), base: row.base, sum: row.sum.to_string(), seq: row.seq })
}

impl JournalHeader {
    /// For entries that come after a snapshot.
    pub(crate) fn after(snapshot: &Snapshot, sum: &str, seq: u64) -> Self {
        Self { lineage: snapshot.lineage.to_string(), base: snapshot.serial, sum: sum.to_owned(), seq }
    }
}
