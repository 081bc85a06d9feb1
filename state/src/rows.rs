//! A state as rows, for backends that keep one row an object, output and open intent.
//!
//! The one decision: rows are opaque text in the format of the journal. A backend stores what a [`Batch`] says under
//! the keys that it gives, and hands the same text back; what an entry means for the rows is decided here, by the code
//! that replays journals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_model::snapshot::{Intent, Unfinished};
use mesh_model::{Address, Snapshot};

use crate::format::{self, Bad, Entry, InstanceRow, IntentRow, Meta, OutputRow, Reader, Stored, ValueWriter};
use crate::replay::{Live, check_all};
use crate::{HistoryEntry, LockInfo, Outputs, Record, StateError, Summary};

/// What of a state is no row of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The lineage.
    pub lineage: String,
    /// The serial.
    pub serial: u64,
    /// The number of the last entry.
    pub seq: u64,
    /// The digest of the plan whose stage is unfinished.
    pub unfinished: Option<String>,
    /// The command of that stage.
    pub command: Option<String>,
    /// Who made the serial, as text.
    pub meta: Option<String>,
}

/// Rows as they were stored.
#[derive(Clone, Debug, Default)]
pub struct Stock<'a> {
    /// Objects, current and deposed.
    pub objects: Vec<&'a str>,
    /// Root outputs.
    pub outputs: Vec<&'a str>,
    /// Open intents by number.
    pub intents: Vec<(u64, &'a str)>,
}

/// What several entries together do to the rows: the last word about each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Objects by address and deposed key (empty: the current one); `None` where the row goes.
    pub objects: BTreeMap<(String, String), Option<String>>,
    /// All outputs by name, where they change.
    pub outputs: Option<BTreeMap<String, String>>,
    /// Intents by number; `None` where it is closed.
    pub intents: BTreeMap<u64, Option<String>>,
}

/// What a state is, kept up to date entry by entry.
#[derive(Debug)]
pub struct Ledger {
    live: Live,
}

impl Ledger {
    /// Reads a state whole; `place` is its name in messages.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] for a row that is none of this version.
    pub fn read(place: &str, header: &Header, stock: &Stock<'_>) -> Result<Self, StateError> {
        let reader = Reader::default();
        let corrupt = |what: &str, why: String| {
            let why = format!("{what} is none of this version: {why}");
            StateError::unread(place, None, why, "Restore it from a backup.".to_owned())
        };
        let mut stored = Stored { seq: header.seq, ..Stored::default() };
        let snapshot = &mut stored.snapshot;
        snapshot.lineage = Arc::from(&*header.lineage);
        snapshot.serial = header.serial;
        snapshot.unfinished = header.unfinished.as_deref().map(|d| Unfinished { digest: d.into() });
        for text in &stock.objects {
            let row = parse::<InstanceRow<'_>>(text).and_then(|row| row.build(&reader));
            match row.map_err(|e| corrupt("the row of an object", e))? {
                (address, None, instance) => _ = snapshot.instances.insert(address, instance),
                (address, Some(key), instance) => _ = snapshot.deposed.insert((address, key), instance),
            }
        }
        for text in &stock.outputs {
            let row = parse::<OutputRow<'_>>(text).and_then(|row| row.build(&reader));
            let (name, output) = row.map_err(|e| corrupt("the row of an output", e))?;
            snapshot.outputs.insert(name, output);
        }
        for (seq, text) in &stock.intents {
            let row = parse::<IntentRow<'_>>(text).and_then(|row| row.build(&reader));
            stored.open.insert(*seq, row.map_err(|e| corrupt("the row of an intent", e))?);
        }
        if let Some(meta) = &header.meta {
            stored.meta = Some(serde_json::from_str(meta).map_err(|e| corrupt("the summary", e.to_string()))?);
        }
        let mut live = Live::new(stored);
        live.command = header.command.as_deref().map(Arc::from);
        Ok(Self { live })
    }

    /// What is known, open intents included.
    pub fn snapshot(&self) -> Snapshot {
        self.live.snapshot()
    }

    /// The same without a copy.
    pub fn into_snapshot(self) -> Snapshot {
        self.live.into_snapshot()
    }

    /// Open intents with their numbers.
    pub fn open(&self) -> Vec<(u64, Intent)> {
        self.live.stored.open.iter().map(|(n, i)| (*n, i.clone())).collect()
    }

    /// What is stored beside the rows.
    ///
    /// # Errors
    /// [`StateError::Refused`] for a summary that cannot be written.
    pub fn header(&self) -> Result<Header, StateError> {
        let Stored { snapshot, seq, meta, .. } = &self.live.stored;
        let refused = |_| StateError::Refused { what: "a summary that cannot be written".to_owned() };
        Ok(Header {
            lineage: snapshot.lineage.to_string(),
            serial: snapshot.serial,
            seq: *seq,
            unfinished: snapshot.unfinished.as_ref().map(|u| u.digest.to_string()),
            command: self.live.command.as_deref().map(str::to_owned),
            meta: meta.as_ref().map(serde_json::to_string).transpose().map_err(refused)?,
        })
    }

    /// The state as a state file: what a history keeps, and [`at`] reads.
    ///
    /// # Errors
    /// [`StateError::Refused`] for a value that must not be stored.
    pub fn file(&self) -> Result<Vec<u8>, StateError> {
        let encoded = format::encode_state(&self.live.stored)?;
        Ok([encoded.head, encoded.body].concat())
    }

    /// A stage begins. Gives the number of the entry, as the others.
    pub fn begin(&mut self, digest: &str, command: &str) -> u64 {
        self.next(Entry::Begin { digest: digest.into(), command: command.into() })
    }

    /// Something is about to be done.
    ///
    /// # Errors
    /// [`StateError::Refused`] for a value that must not be stored; so for the others, and then nothing has changed.
    pub fn intend(&mut self, intent: Intent, batch: &mut Batch) -> Result<u64, StateError> {
        let mut out = Vec::new();
        format::write_intent(&mut out, None, None, &intent)?;
        let text = text(out)?;
        let seq = self.next(Entry::Intend(intent));
        batch.intents.insert(seq, Some(text));
        Ok(seq)
    }

    /// What came of it.
    ///
    /// # Errors
    /// [`StateError::Refused`] also for a result that would lose an object, or closes what is not open.
    pub fn record(&mut self, closes: Option<u64>, record: Record, batch: &mut Batch) -> Result<u64, StateError> {
        self.live.check(closes, &record)?;
        storable(&record)?;
        let touched = self.touched(&record);
        if let Some(seq) = closes {
            batch.intents.insert(seq, None);
        }
        let outputs = matches!(record, Record::Outputs(_));
        let seq = self.next(Entry::Result { closes, record });
        self.write(touched, outputs, batch)?;
        Ok(seq)
    }

    /// The stage of the holder `info` is complete.
    ///
    /// # Errors
    /// [`StateError::Refused`].
    pub fn finish(
        &mut self,
        outputs: Outputs,
        summary: Summary,
        info: &LockInfo,
        batch: &mut Batch,
    ) -> Result<u64, StateError> {
        storable(&Record::Outputs(outputs.clone()))?;
        let meta = self.live.finishing(who(info), &info.command, summary);
        let seq = self.next(Entry::Finish { outputs, meta });
        self.write(BTreeSet::new(), true, batch)?;
        Ok(seq)
    }

    /// State alone is edited, as a serial of its own, the next one or `at_least`.
    ///
    /// # Errors
    /// [`StateError::Refused`], for the changes one after the other.
    pub fn edit(
        &mut self,
        changes: Vec<Record>,
        at_least: u64,
        summary: Summary,
        info: &LockInfo,
        batch: &mut Batch,
    ) -> Result<u64, StateError> {
        check_all(&self.live, &changes)?;
        changes.iter().try_for_each(storable)?;
        let before: BTreeSet<_> = self.keys().collect();
        let outputs = changes.iter().any(|c| matches!(c, Record::Outputs(_)));
        let named: BTreeSet<_> = changes.iter().flat_map(|c| self.touched(c)).collect();
        let serial = at_least.max(self.live.stored.snapshot.serial + 1);
        let meta = Meta::new(who(info), info.command.clone(), String::new(), summary);
        let seq = self.next(Entry::Edit { changes, serial, meta });
        // A change may move what one before it has moved: what came and went shows in the keys.
        let after: BTreeSet<_> = self.keys().collect();
        let touched = before.symmetric_difference(&after).cloned().chain(named).collect();
        self.write(touched, outputs, batch)?;
        Ok(seq)
    }

    fn next(&mut self, entry: Entry) -> u64 {
        let seq = self.live.stored.seq + 1;
        self.live.apply(seq, entry);
        seq
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let snapshot = &self.live.stored.snapshot;
        let current = snapshot.instances.keys().map(|a| (a.clone(), None));
        current.chain(snapshot.deposed.keys().map(|(a, k)| (a.clone(), Some(k.clone()))))
    }

    /// The keys of the objects that a record puts, removes or moves.
    fn touched(&self, record: &Record) -> BTreeSet<Key> {
        let deposed = &self.live.stored.snapshot.deposed;
        match record {
            Record::Put { address, deposed, .. } | Record::Remove { address, deposed } => {
                [(address.clone(), deposed.clone())].into()
            }
            Record::Depose { address, key } | Record::Restore { address, key } => {
                [(address.clone(), None), (address.clone(), Some(key.clone()))].into()
            }
            Record::Move { from, to } => {
                let behind = deposed.range((from.clone(), Arc::from(""))..).take_while(|((a, _), _)| a == from);
                let keys = behind.map(|((_, k), _)| Some(k.clone())).chain([None]);
                keys.flat_map(|k| [(from.clone(), k.clone()), (to.clone(), k)]).collect()
            }
            Record::Outputs(_) | Record::Nothing => BTreeSet::new(),
        }
    }

    /// The rows of these objects, and of the outputs, as they are now.
    fn write(&self, touched: BTreeSet<Key>, outputs: bool, batch: &mut Batch) -> Result<(), StateError> {
        let snapshot = &self.live.stored.snapshot;
        for (address, key) in touched {
            let instance = match &key {
                None => snapshot.instances.get(&address),
                Some(key) => snapshot.deposed.get(&(address.clone(), key.clone())),
            };
            let mut row = None;
            if let Some(instance) = instance {
                let mut out = Vec::with_capacity(512);
                format::write_instance(&mut out, &mut plain(), &address, key.as_deref(), instance)?;
                row = Some(text(out)?);
            }
            batch.objects.insert((address.to_string(), key.map_or_else(String::new, |k| k.to_string())), row);
        }
        if outputs {
            let rows = snapshot.outputs.iter().map(|(name, output)| {
                let mut out = Vec::new();
                format::write_output(&mut out, &mut plain(), name, output)?;
                Ok((name.to_string(), text(out)?))
            });
            batch.outputs = Some(rows.collect::<Result<_, StateError>>()?);
        }
        Ok(())
    }
}

/// An entry of a history from the summary that [`Header::meta`] had.
///
/// # Errors
/// [`StateError::Corrupt`] for a text that is none.
pub fn history_entry(place: &str, serial: u64, meta: &str) -> Result<HistoryEntry, StateError> {
    let meta: Meta = serde_json::from_str(meta)
        .map_err(|e| corrupt_file(place, None, format!("the summary of serial {serial} cannot be read: {e}")))?;
    Ok(meta.entry(serial))
}

/// The snapshot of a serial from the state file that [`Ledger::file`] made.
///
/// # Errors
/// [`StateError::Newer`], [`StateError::Corrupt`], also for the file of another serial.
pub fn at(place: &str, serial: u64, bytes: &[u8]) -> Result<Snapshot, StateError> {
    let stored = format::read_state(bytes).map_err(|bad| match bad {
        Bad::Newer(version) => StateError::Newer { place: place.to_owned(), version, known: format::VERSION },
        Bad::Damaged(line, why) => corrupt_file(place, line, why),
    })?;
    if stored.snapshot.serial != serial {
        return Err(corrupt_file(place, Some(1), format!("it holds serial {}", stored.snapshot.serial)));
    }
    Ok(Live::new(stored).into_snapshot())
}

type Key = (Address, Option<Arc<str>>);

fn plain() -> ValueWriter<'static> {
    ValueWriter { types: None, unknown: false }
}

fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn text(bytes: Vec<u8>) -> Result<String, StateError> {
    String::from_utf8(bytes).map_err(|_| StateError::Refused { what: "a row that is no text".to_owned() })
}

/// Refuses what must not be stored, before anything is changed.
fn storable(record: &Record) -> Result<(), StateError> {
    Entry::Result { closes: None, record: record.clone() }.encode()?;
    Ok(())
}

fn who(info: &LockInfo) -> String {
    format!("{}@{}", info.user, info.host)
}

fn corrupt_file(place: &str, line: Option<usize>, why: String) -> StateError {
    let way_out = "Restore it from a backup, or use another serial.".to_owned();
    StateError::unread(place, line, why, way_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::sample::{address, instance, intent, outputs, put};

    /// The rows that batches leave, read back.
    fn stored(batches: &[Batch], header: &Header) -> Ledger {
        let (mut objects, mut intents, mut outputs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for batch in batches {
            objects.extend(batch.objects.clone());
            intents.extend(batch.intents.clone());
            outputs = batch.outputs.clone().unwrap_or(outputs);
        }
        let stock = Stock {
            objects: objects.values().flatten().map(String::as_str).collect(),
            outputs: outputs.values().map(String::as_str).collect(),
            intents: intents.iter().filter_map(|(n, t)| Some((*n, t.as_deref()?))).collect(),
        };
        Ledger::read("rows", header, &stock).expect("it is read")
    }

    fn info() -> LockInfo {
        LockInfo::new("mesh apply", "ada", "host7")
    }

    #[test]
    fn rows_hold_what_the_ledger_knows() {
        let mut ledger = Ledger { live: Live::default() };
        let mut all = Vec::new();
        let mut step = |change: &dyn Fn(&mut Ledger, &mut Batch) -> Result<u64, StateError>| {
            let mut batch = Batch::default();
            change(&mut ledger, &mut batch).expect("it is taken");
            all.push(batch);
            let header = ledger.header().expect("a header");
            let read = stored(&all, &header);
            assert_eq!(read.live.stored.snapshot.instances, ledger.live.stored.snapshot.instances);
            assert_eq!(read.live.stored.snapshot.deposed, ledger.live.stored.snapshot.deposed);
            assert_eq!(read.live.stored.snapshot.outputs, ledger.live.stored.snapshot.outputs);
            assert_eq!(read.live.stored.open, ledger.live.stored.open);
            assert_eq!(read.header().expect("a header"), header);
            let file = ledger.file().expect("a file");
            assert_eq!(at("rows", header.serial, &file).expect("it is read").instances, read.snapshot().instances);
            assert!(at("rows", header.serial + 1, &file).is_err(), "the file of another serial passes");
        };
        step(&|l, _| Ok(l.begin("digest", "mesh apply")));
        step(&|l, b| l.intend(intent(1), b));
        step(&|l, b| l.record(Some(2), put(1), b));
        step(&|l, b| l.record(None, Record::Depose { address: address(1), key: "d".into() }, b));
        step(&|l, b| l.record(None, put(1), b));
        step(&|l, b| l.record(None, Record::Move { from: address(1), to: address(2) }, b));
        step(&|l, b| l.record(None, Record::Remove { address: address(2), deposed: None }, b));
        step(&|l, b| l.record(None, Record::Restore { address: address(2), key: "d".into() }, b));
        step(&|l, b| l.finish(outputs(1), Summary::default(), &info(), b));
        let twice = vec![
            Record::Move { from: address(2), to: address(3) },
            put(2),
            Record::Depose { address: address(3), key: "x".into() },
            Record::Move { from: address(3), to: address(4) },
            Record::Outputs(outputs(2)),
        ];
        step(&|l, b| l.edit(twice.clone(), 7, Summary::default(), &info(), b));
        step(&|l, b| l.record(None, Record::Nothing, b));
        let snapshot = ledger.snapshot();
        assert_eq!((snapshot.serial, snapshot.deposed.len(), snapshot.outputs), (7, 1, outputs(2)));
        assert_eq!(snapshot.instances.get(&address(2)), Some(&instance(2)));
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut ledger = Ledger { live: Live::default() };
        let mut batch = Batch::default();
        let secret = mesh_model::Value::object([("a", mesh_model::Value::string("canary").sensitive())]);
        let leaking = Arc::new(mesh_model::Instance { values: secret, ..(*instance(1)).clone() });
        let leak = Record::Put { address: address(1), deposed: None, instance: leaking };
        assert!(ledger.record(None, leak.clone(), &mut batch).is_err());
        assert!(ledger.record(Some(9), put(1), &mut batch).is_err());
        assert!(ledger.edit(vec![put(1), leak], 0, Summary::default(), &info(), &mut batch).is_err());
        assert_eq!((batch, ledger.header().expect("a header")), (Batch::default(), Header::default()));
    }
}
