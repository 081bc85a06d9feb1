//! Reading a remote state as one consistent whole, without a lock.
//!
//! The one decision: everything but the head and the lock is written once. The head names the state that
//! is compacted last; the operations since then are segments, numbered without gaps, in a folder that is
//! named after that state. A reader that finds the head unchanged at the end has seen one moment. The head ends with
//! a checksum, and the name of a state with a part of that state's.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use mesh_model::Snapshot;
use serde::{Deserialize, Serialize};

use super::lease::LOCK;
use super::store::{Store, Version};
use crate::StateError;
use crate::error::versioned;
use crate::format::{self, Bad, Chain, Meta, ReadJournal, Stored, hex};
use crate::left::Left;
use crate::replay::Live;

/// The newest version of the head and of the layout.
const VERSION: u64 = 1;
/// The name of the head.
pub(super) const HEAD: &str = "head";
/// Where compacted states lie.
pub(super) const STATES: &str = "states/";
/// Where segments lie.
pub(super) const JOURNAL: &str = "journal/";
/// How often a stage may end while we read.
const ATTEMPTS: usize = 100;
/// Requests at once.
pub(super) const AT_ONCE: usize = 16;

/// A compacted state that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) serial: u64,
    /// The blob.
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) meta: Option<Meta>,
}

/// What the head says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Version of the layout.
    mesh_remote: u64,
    pub(super) lineage: String,
    pub(super) serial: u64,
    /// The number of the last entry that is merged.
    pub(super) seq: u64,
    /// The blob of the state.
    pub(super) state: String,
    /// Serials that can be read, oldest first; the last is the state.
    pub(super) history: Vec<Kept>,
}

impl Head {
    pub(super) fn new(lineage: &str, serial: u64, seq: u64, history: Vec<Kept>) -> Self {
        let state = history.last().map(|k| k.name.clone()).unwrap_or_default();
        Self { mesh_remote: VERSION, lineage: lineage.to_owned(), serial, seq, state, history }
    }

    /// The blob.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(format::close_lines(line))
    }

    fn parse(place: &str, bytes: &[u8]) -> Result<Self, StateError> {
        let head = format!("{HEAD} in {place}");
        // One that was written by hand has no checksum.
        let json = format::closed_lines(bytes).map_or(bytes, |(content, _)| content);
        versioned(&head, "mesh_remote", VERSION, json, || {
            format!(
                "Restore it from a backup of the store. It names the newest blob below {STATES}; one that is written by \
                 hand needs no closing line with a checksum."
            )
        })
    }
}

/// The folder of the segments that come after a state.
pub(super) fn generation(serial: u64, seq: u64) -> String {
    format!("{JOURNAL}{serial:010}-{seq:014}/")
}

/// The name of a compacted state with this checksum.
pub(super) fn state_name(serial: u64, sum: &str) -> String {
    format!("{STATES}{serial:010}-{}", &sum[..16.min(sum.len())])
}

pub(super) fn segment(generation: &str, n: usize) -> String {
    format!("{generation}{n:08}")
}

/// The number of a segment.
pub(super) fn number(name: &str) -> Option<usize> {
    name.rsplit('/').next()?.parse().ok()
}

/// A segment: a first line that makes it unlike any other and tells its length, then lines of the journal.
pub(super) fn signed(token: u64, why: &str, lines: &[u8]) -> Vec<u8> {
    let mut bytes = format!("#{token} {why} {}\n", lines.len()).into_bytes();
    bytes.extend_from_slice(lines);
    bytes
}

/// The lines of a segment, if it is whole.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let first = std::str::from_utf8(bytes[..end].strip_prefix(b"#")?).ok()?;
    let length: usize = first.rsplit(' ').next()?.parse().ok()?;
    let lines = &bytes[end + 1..];
    (lines.len() == length).then_some(lines)
}

/// State and journal together.
pub(super) struct Loaded {
    pub(super) live: Live,
    pub(super) head: Option<(Head, Version)>,
    /// Checksum of the state; empty without one.
    pub(super) sum: String,
    pub(super) generation: String,
    /// How many segments there are.
    pub(super) segments: usize,
    /// The hash of the last line; `None` without a segment.
    pub(super) chain: Option<Chain>,
}

/// The head, if there is a state.
pub(super) async fn head(store: &dyn Store) -> Result<Option<(Head, Version)>, StateError> {
    match store.get(HEAD).await? {
        Some(blob) => Ok(Some((Head::parse(&store.place(), &blob.bytes)?, blob.version))),
        None => Ok(None),
    }
}

/// The serials that can be read.
pub(super) async fn history(store: &dyn Store) -> Result<Vec<Kept>, StateError> {
    match head(store).await? {
        Some((head, _)) => Ok(head.history),
        // Nothing yet, unless the head alone is gone.
        None => load(store, None, None, None).await.map(|_| Vec::new()),
    }
}

/// A compacted state.
pub(super) async fn state(store: &dyn Store, name: &str) -> Result<Option<Stored>, StateError> {
    let Some(blob) = store.get(name).await? else { return Ok(None) };
    let stored = format::read_state(&blob.bytes).map_err(|e| bad(store, name, e))?;
    if name != state_name(stored.snapshot.serial, &stored.sum) {
        return Err(bad(store, name, Bad::Damaged(None, "it holds another state than its name says".into())));
    }
    Ok(Some(stored))
}

/// What is known now; `cached` is a state that was read before, by its name.
pub(super) async fn load(
    store: &dyn Store,
    cached: Option<&(String, Stored)>,
    lineage: Option<Arc<str>>,
    left: Option<&Left>,
) -> Result<Loaded, StateError> {
    for _ in 0..ATTEMPTS {
        let head = head(store).await?;
        let stored = match &head {
            None => None,
            Some((head, _)) => match cached.filter(|(name, _)| *name == head.state) {
                Some((_, stored)) => Some(stored.clone()),
                None => state(store, &head.state).await?,
            },
        };
        let (serial, seq) = head.as_ref().map_or((0, 0), |(h, _)| (h.serial, h.seq));
        let generation = generation(serial, seq);
        let names = store.list(&generation).await?;
        let parts = futures::stream::iter(names.clone()).map(async |name| store.get(&name).await);
        let parts: Vec<_> = parts.buffered(AT_ONCE).try_collect().await?;
        if store.version(HEAD).await? != head.as_ref().map(|(_, v)| v.clone()) {
            continue;
        }
        if let (Some((head, _)), None) = (&head, &stored) {
            return Err(missing(store, &head.state));
        }
        if head.is_none() && names.is_empty() {
            let left = [store.list(STATES).await?, store.list(JOURNAL).await?].concat();
            if !left.is_empty() && store.version(HEAD).await?.is_none() {
                return Err(missing(store, HEAD));
            }
        }
        let mut journal = Segments { count: names.len(), generation, bytes: Vec::new() };
        let generation = &journal.generation;
        for (n, (name, part)) in names.iter().zip(parts).enumerate() {
            let part = part.filter(|_| *name == segment(generation, n));
            let part = part.ok_or_else(|| missing(store, &segment(generation, n)))?;
            let lines = content(&part.bytes);
            let cut = || bad(store, name, Bad::at(1, "it is not whole"));
            journal.bytes.extend_from_slice(lines.ok_or_else(cut)?);
        }
        return join(store, head, stored, lineage, left, journal);
    }
    Err(StateError::remote("reading", &store.place(), "it is replaced again and again"))
}

/// The segments of a state, in order.
struct Segments {
    generation: String,
    count: usize,
    bytes: Vec<u8>,
}

fn join(
    store: &dyn Store,
    head: Option<(Head, Version)>,
    stored: Option<Stored>,
    lineage: Option<Arc<str>>,
    left: Option<&Left>,
    Segments { generation, count: segments, bytes }: Segments,
) -> Result<Loaded, StateError> {
    let sum = stored.as_ref().map_or_else(String::new, |s| s.sum.clone());
    let journal = match segments {
        0 => None,
        _ => Some(format::read_journal(&bytes).map_err(|e| bad(store, &generation, e))?),
    };
    let stored = match (stored, &journal) {
        (Some(stored), _) => stored,
        (None, journal) => {
            let lineage = journal.as_ref().map(|j| Arc::from(&*j.header.lineage)).or(lineage).unwrap_or_default();
            Stored { snapshot: Snapshot { lineage, ..Snapshot::default() }, ..Stored::default() }
        }
    };
    if let Some((head, _)) = &head
        && (head.serial, head.seq, &*head.lineage) != (stored.snapshot.serial, stored.seq, &*stored.snapshot.lineage)
    {
        return Err(bad(store, HEAD, Bad::Damaged(None, format!("it says something else than {}", head.state))));
    }
    let Some(journal) = journal else {
        check(store, left, &stored, &generation, None)?;
        return Ok(Loaded { live: Live::new(stored), head, sum, generation, segments, chain: None });
    };
    if journal.valid != bytes.len() {
        return Err(bad(store, &generation, Bad::Damaged(None, "its end is cut off".into())));
    }
    if *journal.header.lineage != *stored.snapshot.lineage {
        return Err(StateError::Lineage {
            place: store.place(),
            expected: journal.header.lineage,
            found: stored.snapshot.lineage.to_string(),
        });
    }
    if journal.header.sum != sum {
        let why = "its operations come after another version of this serial".to_owned();
        return Err(bad(store, &generation, Bad::Damaged(None, why)));
    }
    check(store, left, &stored, &generation, Some(&journal))?;
    let mut live = Live::new(stored);
    if !journal.entries.is_empty() {
        live.stored.merged = hex(&journal.chain);
    }
    for (seq, entry) in journal.entries {
        live.apply(seq, entry);
    }
    Ok(Loaded { live, head, sum, generation, segments, chain: Some(journal.chain) })
}

/// An error unless state and journal hold all that was `left`.
fn check(
    store: &dyn Store,
    left: Option<&Left>,
    base: &Stored,
    generation: &str,
    journal: Option<&ReadJournal>,
) -> Result<(), StateError> {
    let Some((left, why)) = left.and_then(|l| Some((l, l.missing_in(base, journal)?))) else { return Ok(()) };
    let name = if base.snapshot.serial < left.serial { HEAD } else { generation };
    Err(StateError::Corrupt {
        place: format!("{name} in {}", store.place()),
        line: None,
        why,
        way_out: format!(
            "If the store was put back to an earlier time, restore its newest blobs, all from the same time. To go on with \
             what is there, remove the blob {LOCK}: what the missing operations made must then be imported, or removed \
             by hand."
        ),
    })
}

/// The lineage of what is there, from the head or the first segment.
pub(super) async fn lineage(store: &dyn Store) -> Result<Option<String>, StateError> {
    if let Some((head, _)) = head(store).await? {
        return Ok(Some(head.lineage));
    }
    Ok(Some(load(store, None, None, None).await?.live.stored.snapshot.lineage.to_string()).filter(|l| !l.is_empty()))
}

/// Blobs that nothing names any more.
pub(super) fn garbage(head: &Head, names: Vec<String>) -> Vec<String> {
    let current = generation(head.serial, head.seq);
    let kept: BTreeMap<&str, ()> = head.history.iter().map(|k| (&*k.name, ())).collect();
    names.into_iter().filter(|n| !n.starts_with(&current) && !kept.contains_key(&**n)).collect()
}

pub(super) fn bad(store: &dyn Store, name: &str, bad: Bad) -> StateError {
    let place = format!("{name} in {}", store.place());
    match bad {
        Bad::Newer(version) => StateError::Newer { place, version, known: format::VERSION },
        Bad::Damaged(line, why) => {
            let way_out =
                "Restore it from a backup of the store. Earlier serials are in its history: `mesh state history`.";
            StateError::unread(place, line, why, way_out.into())
        }
    }
}

pub(super) fn missing(store: &dyn Store, name: &str) -> StateError {
    StateError::Missing {
        place: format!("{name} in {}", store.place()),
        why: "it is not there, but what it belongs to is".into(),
        way_out: "Restore it from a backup of the store, all blobs from the same time.".into(),
    }
}
