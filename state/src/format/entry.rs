//! Journal entries: what one line says.
//!
//! The one decision: an entry is encoded by whoever hands it over (in parallel, refusing what must
//! not be stored), and only framed by the one thread that writes.

use std::sync::Arc;

use jiff::Timestamp;
use mesh_model::change::Counts;
use mesh_model::snapshot::Intent;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::read::{Reader, Text};
use super::rows::{InstanceRow, IntentRow, OutputRow, address, text_field, write_instance, write_intent, write_output};
use super::write::{ValueWriter, integer, string};
use crate::{HistoryEntry, Outputs, Record, Summary};

/// What a journal line says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// A stage begins.
    Begin { digest: Arc<str>, command: Arc<str> },
    /// An operation is about to be done.
    Intend(Intent),
    /// What came of it, or a change of state alone.
    Result { closes: Option<u64>, record: Record },
    /// The stage is complete.
    Finish { outputs: Outputs, meta: Meta },
    /// State alone was edited.
    Edit { changes: Vec<Record>, serial: u64, meta: Meta },
}

/// Who made a serial, when, and what was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    when: Timestamp,
    who: String,
    command: String,
    digest: String,
    add: usize,
    change: usize,
    destroy: usize,
    import: usize,
    forget: usize,
    #[serde(default, skip_serializing_if = "none")]
    edited: usize,
    complete: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn none(count: &usize) -> bool {
    *count == 0
}

impl Meta {
    pub(crate) fn new(who: String, command: String, digest: String, summary: Summary) -> Self {
        let Summary { counts: Counts { add, change, destroy, import, forget }, edited, complete } = summary;
        Self { when: Timestamp::now(), who, command, digest, add, change, destroy, import, forget, edited, complete }
    }

    pub(crate) fn entry(self, serial: u64) -> HistoryEntry {
        let Self { when, who, command, digest, add, change, destroy, import, forget, edited, complete } = self;
        let counts = Counts { add, change, destroy, import, forget };
        HistoryEntry { serial, when, who, command, digest, summary: Summary { counts, edited, complete } }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginRow<'a> {
    #[serde(borrow)]
    digest: Text<'a>,
    command: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressRow<'a> {
    #[serde(borrow)]
    address: Text<'a>,
    deposed: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRow<'a> {
    #[serde(borrow)]
    address: Text<'a>,
    deposed: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRow<'a> {
    #[serde(borrow)]
    from: Text<'a>,
    to: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishRow<'a> {
    #[serde(borrow)]
    outputs: Vec<OutputRow<'a>>,
    meta: Meta,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditRow<'a> {
    #[serde(borrow)]
    changes: Vec<EntryRow<'a>>,
    serial: u64,
    meta: Meta,
}

/// The `r` part of a line, as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EntryRow<'a> {
    #[serde(borrow)]
    Begin(BeginRow<'a>),
    Intend(IntentRow<'a>),
    Put(InstanceRow<'a>),
    Remove(AddressRow<'a>),
    Depose(KeyRow<'a>),
    Restore(KeyRow<'a>),
    Move(MoveRow<'a>),
    Outputs(Vec<OutputRow<'a>>),
    Nothing,
    Finish(FinishRow<'a>),
    Edit(EditRow<'a>),
}

fn outputs(reader: &Reader, rows: Vec<OutputRow<'_>>) -> Result<Outputs, String> {
    rows.into_iter().map(|row| row.build(reader)).collect()
}

impl EntryRow<'_> {
    pub(crate) fn build(self, reader: &Reader, closes: Option<u64>) -> Result<Entry, String> {
        let record = match self {
            Self::Begin(row) => {
                return Ok(Entry::Begin { digest: Arc::from(&*row.digest), command: Arc::from(&*row.command) });
            }
            Self::Intend(row) => return Ok(Entry::Intend(row.build(reader)?)),
            Self::Finish(row) => {
                return Ok(Entry::Finish { outputs: outputs(reader, row.outputs)?, meta: row.meta });
            }
            Self::Edit(row) => {
                let change = |row: EntryRow<'_>| match row.build(reader, None)? {
                    Entry::Result { record, .. } => Ok(record),
                    _ => Err("an edit holds something that is no change".to_owned()),
                };
                let changes = row.changes.into_iter().map(change).collect::<Result<_, _>>()?;
                return Ok(Entry::Edit { changes, serial: row.serial, meta: row.meta });
            }
            Self::Put(row) => {
                let (address, deposed, instance) = row.build(reader)?;
                Record::Put { address, deposed, instance }
            }
            Self::Remove(row) => {
                Record::Remove { address: address(reader, &row.address)?, deposed: row.deposed.map(|k| Arc::from(&*k)) }
            }
            Self::Depose(row) => {
                Record::Depose { address: address(reader, &row.address)?, key: Arc::from(&*row.deposed) }
            }
            Self::Restore(row) => {
                Record::Restore { address: address(reader, &row.address)?, key: Arc::from(&*row.deposed) }
            }
            Self::Move(row) => Record::Move { from: address(reader, &row.from)?, to: address(reader, &row.to)? },
            Self::Outputs(rows) => Record::Outputs(outputs(reader, rows)?),
            Self::Nothing => Record::Nothing,
        };
        Ok(Entry::Result { closes, record })
    }
}

fn write_outputs(out: &mut Vec<u8>, outputs: &Outputs) -> Result<(), Refusal> {
    out.push(b'[');
    for (i, (name, output)) in outputs.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_output(out, &mut ValueWriter { types: None, unknown: false }, name, output)?;
    }
    out.push(b']');
    Ok(())
}

/// `"KEY":{` field by field, closed with `}`.
fn object(out: &mut Vec<u8>, key: &str, fields: &[(&str, Option<&str>)]) {
    string(out, key);
    out.extend_from_slice(b":{");
    for (name, text) in fields {
        if let Some(text) = text {
            text_field(out, name, text);
        }
    }
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
}

impl Entry {
    /// The part of a line after its number: `,"c":7,"r":{...}`.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::with_capacity(512);
        if let Self::Result { closes: Some(seq), .. } = self {
            out.extend_from_slice(b",\"c\":");
            integer(&mut out, *seq);
        }
        out.extend_from_slice(b",\"r\":");
        if let Self::Result { record: Record::Nothing, .. } = self {
            out.extend_from_slice(b"\"nothing\"");
            return Ok(out);
        }
        out.push(b'{');
        match self {
            Self::Begin { digest, command } => {
                object(&mut out, "begin", &[("digest", Some(digest)), ("command", Some(command))]);
            }
            Self::Intend(intent) => {
                out.extend_from_slice(b"\"intend\":");
                write_intent(&mut out, None, None, intent)?;
            }
            Self::Finish { outputs, meta } => {
                out.extend_from_slice(b"\"finish\":{\"outputs\":");
                write_outputs(&mut out, outputs)?;
                write_meta(&mut out, meta)?;
            }
            Self::Edit { changes, serial, meta } => {
                out.extend_from_slice(b"\"edit\":{\"changes\":[");
                for (i, record) in changes.iter().filter(|r| **r != Record::Nothing).enumerate() {
                    out.extend_from_slice(if i > 0 { b",{" } else { b"{" });
                    write_record(&mut out, record)?;
                    out.push(b'}');
                }
                out.extend_from_slice(b"],\"serial\":");
                integer(&mut out, *serial);
                write_meta(&mut out, meta)?;
            }
            Self::Result { record, .. } => write_record(&mut out, record)?,
        }
        out.push(b'}');
        Ok(out)
    }
}

/// `,"meta":{...}}`.
fn write_meta(out: &mut Vec<u8>, meta: &Meta) -> Result<(), Refusal> {
    out.extend_from_slice(b",\"meta\":");
    out.extend(serde_json::to_vec(meta).map_err(|_| Refusal::new("a summary that cannot be written"))?);
    out.push(b'}');
    Ok(())
}

fn write_record(out: &mut Vec<u8>, record: &Record) -> Result<(), Refusal> {
    match record {
        Record::Put { address, deposed, instance } => {
            out.extend_from_slice(b"\"put\":");
            let mut writer = ValueWriter { types: None, unknown: false };
            write_instance(out, &mut writer, address, deposed.as_deref(), instance)?;
        }
        Record::Remove { address, deposed } => {
            object(out, "remove", &[("address", Some(&address.to_string())), ("deposed", deposed.as_deref())]);
        }
        Record::Depose { address, key } => {
            object(out, "depose", &[("address", Some(&address.to_string())), ("deposed", Some(key))]);
        }
        Record::Restore { address, key } => {
            object(out, "restore", &[("address", Some(&address.to_string())), ("deposed", Some(key))]);
        }
        Record::Move { from, to } => {
            object(out, "move", &[("from", Some(&from.to_string())), ("to", Some(&to.to_string()))]);
        }
        Record::Outputs(outputs) => {
            out.extend_from_slice(b"\"outputs\":");
            write_outputs(out, outputs)?;
        }
        Record::Nothing => {}
    }
    Ok(())
}
