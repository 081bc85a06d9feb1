//! The state file: a header, one row an object, output or open intent, and a checksum.
//!
//! The one decision: JSON lines, so that an error names a line and a diff of two states is readable;
//! the checksum at the end covers every byte before it, so truncation and flipped bytes show.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_model::snapshot::{Intent, Unfinished};
use mesh_model::{Snapshot, Type};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::entry::Meta;
use super::read::{Reader, Text};
use super::rows::{
    InstanceRow, IntentRow, OutputRow, number_field, text_field, write_instance, write_intent, write_output,
};
use super::write::{TypeTable, ValueWriter};
use super::{Bad, Refusal, VERSION, hex};

/// A compacted state with what belongs to it but not to the snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// The snapshot; its open intents are in `open`.
    pub(crate) snapshot: Snapshot,
    /// Open intents by number.
    pub(crate) open: BTreeMap<u64, Intent>,
    /// The number of the last journal entry that is merged.
    pub(crate) seq: u64,
    /// The hash of that entry's line; empty when none is. What was replayed over a state counts as merged.
    pub(crate) merged: String,
    /// Who made the serial.
    pub(crate) meta: Option<Meta>,
    /// The checksum of the file; empty before there is one.
    pub(crate) sum: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderRow<'a> {
    mesh_state: u64,
    #[serde(borrow)]
    lineage: Text<'a>,
    serial: u64,
    seq: u64,
    merged: Text<'a>,
    unfinished: Option<Text<'a>>,
    meta: Option<Meta>,
    types: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct VersionRow {
    mesh_state: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Row<'a> {
    #[serde(borrow)]
    Instance(InstanceRow<'a>),
    Output(OutputRow<'a>),
    Open(IntentRow<'a>),
}

const SUM: &[u8] = b"{\"sha256\":\"";
/// Length of the closing line.
const TRAILER: usize = SUM.len() + 64 + 3;

/// A state in bytes.
pub(crate) struct Encoded {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) sum: String,
}

/// The bytes of a state.
pub(crate) fn encode_state(stored: &Stored) -> Result<Encoded, Refusal> {
    let snapshot = &stored.snapshot;
    let mut types = TypeTable::default();
    let mut body = Vec::with_capacity(512 * snapshot.instances.len() + 1024);
    let current = snapshot.instances.iter().map(|(a, i)| (a, None, i));
    let deposed = snapshot.deposed.iter().map(|((a, k), i)| (a, Some(&**k), i));
    for (address, key, instance) in current.chain(deposed) {
        body.extend_from_slice(b"{\"instance\":");
        let mut writer = ValueWriter { types: Some(&mut types), unknown: false };
        write_instance(&mut body, &mut writer, address, key, instance)?;
        body.extend_from_slice(b"}\n");
    }
    for (name, output) in &snapshot.outputs {
        body.extend_from_slice(b"{\"output\":");
        write_output(&mut body, &mut ValueWriter { types: Some(&mut types), unknown: false }, name, output)?;
        body.extend_from_slice(b"}\n");
    }
    for (seq, intent) in &stored.open {
        body.extend_from_slice(b"{\"open\":");
        write_intent(&mut body, Some(&mut types), Some(*seq), intent)?;
        body.extend_from_slice(b"}\n");
    }
    let mut head = vec![b'{'];
    number_field(&mut head, "mesh_state", VERSION);
    text_field(&mut head, "lineage", &snapshot.lineage);
    number_field(&mut head, "serial", snapshot.serial);
    number_field(&mut head, "seq", stored.seq);
    text_field(&mut head, "merged", &stored.merged);
    if let Some(unfinished) = &snapshot.unfinished {
        text_field(&mut head, "unfinished", &unfinished.digest);
    }
    if let Some(meta) = &stored.meta {
        head.extend_from_slice(b"\"meta\":");
        head.extend(serde_json::to_vec(meta).map_err(|_| Refusal::new("a summary that cannot be written"))?);
        head.push(b',');
    }
    head.extend_from_slice(b"\"types\":[");
    head.extend_from_slice(types.texts.join(",").as_bytes());
    head.extend_from_slice(b"]}\n");

    let sum = hex(&Sha256::new().chain_update(&head).chain_update(&body).finalize());
    close(&mut body, &sum);
    Ok(Encoded { head, body, sum })
}

/// Adds the closing line.
fn close(out: &mut Vec<u8>, sum: &str) {
    for part in [SUM, sum.as_bytes(), b"\"}\n"] {
        out.extend_from_slice(part);
    }
}

/// Closes lines with a checksum over all of them.
pub(crate) fn close_lines(mut lines: Vec<u8>) -> Vec<u8> {
    let sum = hex(&Sha256::digest(&lines));
    close(&mut lines, &sum);
    lines
}

/// The lines before a closing line, and the checksum, which is theirs.
pub(crate) fn closed_lines(bytes: &[u8]) -> Result<(&[u8], String), Bad> {
    let (content, trailer) = bytes
        .len()
        .checked_sub(TRAILER)
        .map(|n| bytes.split_at(n))
        .filter(|(_, t)| t.starts_with(SUM) && t.ends_with(b"\"}\n"))
        .ok_or_else(|| Bad::Damaged(None, "it was cut off: the closing line with the checksum is missing".into()))?;
    let sum = hex(&Sha256::digest(content));
    if sum.as_bytes() != &trailer[SUM.len()..SUM.len() + 64] {
        return Err(Bad::Damaged(None, "its checksum does not match its content".into()));
    }
    Ok((content, sum))
}

fn version(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<VersionRow>(line).ok().map(|v| v.mesh_state)
}

/// Serial and history data of a state, whose rows are checked and not read.
pub(crate) fn read_meta(bytes: &[u8]) -> Result<(u64, Option<Meta>), Bad> {
    let (content, _) = check(bytes)?;
    let row = header(content.split(|b| *b == b'\n').next().unwrap_or_default())?;
    Ok((row.serial, row.meta))
}

/// Reads a state whole.
pub(crate) fn read_state(bytes: &[u8]) -> Result<Stored, Bad> {
    let (content, sum) = check(bytes)?;
    let content = std::str::from_utf8(content).map_err(|e| Bad::Damaged(None, e.to_string()))?;
    parse(content, sum)
}

fn check(bytes: &[u8]) -> Result<(&[u8], String), Bad> {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    match version(first).filter(|v| *v > VERSION) {
        Some(newer) => Err(Bad::Newer(newer)),
        None => closed_lines(bytes),
    }
}

fn header(line: &[u8]) -> Result<HeaderRow<'_>, Bad> {
    let row: HeaderRow<'_> =
        serde_json::from_slice(line).map_err(|e| Bad::at(1, format!("not the header of a state: {e}")))?;
    if row.mesh_state == VERSION { Ok(row) } else { Err(Bad::at(1, "not the header of a state")) }
}

fn parse(content: &str, sum: String) -> Result<Stored, Bad> {
    let mut lines = content.split_terminator('\n').enumerate();
    let (_, first) = lines.next().ok_or_else(|| Bad::at(1, "it is empty"))?;
    let header = header(first.as_bytes())?;
    let types = header.types.iter().map(Type::from_json).collect::<Option<Vec<_>>>();
    let reader = Reader::with_types(types.ok_or_else(|| Bad::at(1, "a type that this version does not know"))?);
    let mut stored =
        Stored { seq: header.seq, merged: header.merged.to_string(), meta: header.meta, sum, ..Stored::default() };
    // Rows come in order: collected first, the maps are then built in one go.
    let (mut instances, mut deposed, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    for (index, line) in lines {
        let bad = |e: &dyn std::fmt::Display| Bad::at(index + 1, format!("not a row of this version: {e}"));
        match serde_json::from_str(line).map_err(|e| bad(&e))? {
            Row::Instance(row) => match row.build(&reader).map_err(|e| bad(&e))? {
                (address, None, instance) => instances.push((address, instance)),
                (address, Some(key), instance) => deposed.push(((address, key), instance)),
            },
            Row::Output(row) => outputs.push(row.build(&reader).map_err(|e| bad(&e))?),
            Row::Open(row) => {
                let seq = row.seq.ok_or_else(|| bad(&"an open intent without its number"))?;
                stored.open.insert(seq, row.build(&reader).map_err(|e| bad(&e))?);
            }
        }
    }
    let rows = instances.len() + deposed.len() + outputs.len();
    let snapshot = &mut stored.snapshot;
    snapshot.lineage = Arc::from(&*header.lineage);
    snapshot.serial = header.serial;
    snapshot.unfinished = header.unfinished.map(|d| Unfinished { digest: Arc::from(&*d) });
    snapshot.instances = instances.into_iter().collect();
    snapshot.deposed = deposed.into_iter().collect();
    snapshot.outputs = outputs.into_iter().collect();
    if snapshot.instances.len() + snapshot.deposed.len() + snapshot.outputs.len() != rows {
        return Err(Bad::Damaged(None, "two rows have one address".into()));
    }
    Ok(stored)
}
