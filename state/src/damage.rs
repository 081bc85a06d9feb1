//! Random lives of a state and random damage to its bytes, for the tests of every place that keeps one.
//!
//! The one decision: the oracle is what was read before. Reading what is damaged gives exactly that, or an error that
//! names what is damaged and a way out.

use std::time::Duration;

use mesh_model::snapshot::StoredOutput;
use mesh_model::{Fingerprinter, Type, Value};
use proptest::prelude::*;

use crate::conformance::sample::{address, instance, intent, outputs, put};
use crate::{Backend, LockInfo, Outputs, Record, StateError, Summary, Writer, document};

/// What can happen to bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Flip,
    Overwrite,
    Truncate,
    Remove,
    Insert,
    Double,
    Swap,
}

/// One damage, at places that are counted modulo the length.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    kind: Kind,
    /// Whether it begins and ends at line ends.
    lines: bool,
    places: [usize; 4],
    bytes: Vec<u8>,
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let kinds = [Kind::Flip, Kind::Overwrite, Kind::Truncate, Kind::Remove, Kind::Insert, Kind::Double, Kind::Swap];
    // What stands in the files, and anything else.
    let bytes = prop_oneof![
        proptest::string::string_regex("[0-9a-f]{1,4}|[ \",:{}\n]{1,3}")
            .expect("a pattern")
            .prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 1..20),
    ];
    let kind = proptest::sample::select(kinds.to_vec());
    (kind, any::<bool>(), any::<[usize; 4]>(), bytes).prop_map(|(kind, lines, places, bytes)| Damage {
        kind,
        lines,
        places,
        bytes,
    })
}

impl Damage {
    /// The bytes after it.
    pub(crate) fn of(&self, whole: &[u8]) -> Vec<u8> {
        let points: Vec<usize> = if self.lines {
            let ends = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(ends).collect()
        } else {
            (0..=whole.len()).collect()
        };
        let mut at = self.places.map(|place| points[place % points.len()]);
        at.sort_unstable();
        let [a, b, c, d] = at;
        // Short ranges say more than long ones.
        let b = if self.lines { b } else { b.min(a + 1 + self.places[0] % 8) };
        let parts: Vec<&[u8]> = match self.kind {
            Kind::Flip => {
                let mut bytes = whole.to_vec();
                if let Some(byte) = bytes.get_mut(self.places[0] % whole.len().max(1)) {
                    *byte ^= 1 << (self.places[1] % 8);
                }
                return bytes;
            }
            Kind::Overwrite => vec![&whole[..a], &self.bytes, &whole[(a + self.bytes.len()).min(whole.len())..]],
            Kind::Truncate => vec![&whole[..d]],
            Kind::Remove => vec![&whole[..a], &whole[b..]],
            Kind::Insert => vec![&whole[..a], &self.bytes, &whole[a..]],
            Kind::Double => vec![&whole[..c], &whole[a..b], &whole[c..]],
            Kind::Swap => vec![&whole[..a], &whole[c..d], &whole[b..c], &whole[a..b], &whole[d..]],
        };
        parts.concat()
    }
}

pub(crate) async fn lock(backend: &dyn Backend) -> Result<Box<dyn Writer>, StateError> {
    backend.lock(LockInfo::new("mesh apply", "ada", "host7"), Duration::from_secs(10)).await
}

/// A life: two serials at least, then steps, then a stage that does not end, with an open intent.
pub(crate) async fn live(backend: &dyn Backend, steps: &[u8]) -> Result<(), StateError> {
    let sealer = backend.keys().await?.sealer;
    let outputs = |n: usize| -> Result<Outputs, StateError> {
        let sealed = sealer.as_ref().map(|s| s.seal("output.s", b"canary")).transpose()?;
        let value = Value::withheld(Type::String, Fingerprinter::new([7; 32]).bytes(b"s"));
        let secret = StoredOutput { value, sensitive: true, sealed: sealed.map(Into::into) };
        Ok(outputs(n).into_iter().chain([("s".into(), secret)]).collect())
    };
    let mut writer = lock(backend).await?;
    for (n, step) in [1, 6, 1, 5, 6, 1].iter().chain(steps).chain(&[8, 1, 3, 1, 2]).enumerate() {
        let refused = match step % 9 {
            0 => {
                writer.release().await?;
                writer = lock(backend).await?;
                Ok(())
            }
            1 => {
                let seq = writer.intend(intent(n)).await?;
                writer.record(Some(seq), put(n)).await
            }
            2 => writer.intend(intent(n)).await.map(drop),
            3 => writer.record(None, Record::Outputs(outputs(n)?)).await,
            4 => {
                let deposed = Some("old".into());
                writer.record(None, Record::Put { address: address(n), deposed, instance: instance(n) }).await
            }
            5 => writer.record(None, Record::Depose { address: address(n - 1), key: "d".into() }).await,
            6 => writer.finish(outputs(n)?, Summary::default()).await.map(drop),
            7 => {
                let changes = vec![Record::Move { from: address(n - 1), to: address(1000 + n) }, put(n)];
                writer.edit(changes, 0, Summary { edited: 2, ..Summary::default() }).await.map(drop)
            }
            _ => writer.begin("digest", "mesh apply").await,
        };
        // A step may not fit what is there.
        if let Err(error) = refused
            && !matches!(error, StateError::Refused { .. })
        {
            return Err(error);
        }
    }
    writer.release().await
}

/// What a reader or a writer sees: by its name, as bytes that can be compared.
pub(crate) type Views = Vec<(String, Result<Vec<u8>, StateError>)>;

/// All that can be read: each by a process of its own.
pub(crate) async fn views<B: Backend>(open: impl Fn() -> B, serials: &[u64]) -> Views {
    let text = |snapshot| document::write(&snapshot);
    let mut views = vec![
        ("snapshot".to_owned(), open().snapshot().await.and_then(text)),
        ("history".to_owned(), open().history().await.map(|h| format!("{h:?}").into_bytes())),
        (
            "keys".to_owned(),
            open()
                .keys()
                .await
                .map(|k| format!("{:?} {} {}", k.fingerprinter.key(), k.sealer.is_some(), k.stale).into_bytes()),
        ),
    ];
    for serial in serials {
        views.push((format!("serial {serial}"), open().at(*serial).await.and_then(text)));
    }
    let locked = async {
        let writer = lock(&open()).await?;
        let (snapshot, intents) = (writer.snapshot().await?, writer.open().await?);
        let seqs: Vec<u64> = intents.into_iter().map(|(seq, _)| seq).collect();
        writer.release().await?;
        Ok([text(snapshot)?, format!("{seqs:?}").into_bytes()].concat())
    };
    views.push(("lock".to_owned(), locked.await));
    views
}

/// Fails unless each view is what it was, or an error that names one of `names` and a way out.
pub(crate) fn judge(whole: &Views, damaged: &Views, names: &[String], context: &str) -> Result<(), TestCaseError> {
    for ((what, before), (_, after)) in whole.iter().zip(damaged) {
        match (before, after) {
            (Ok(before), Ok(after)) => prop_assert!(before == after, "{context}: another {what}"),
            (Err(e), _) => prop_assert!(false, "{context}: {what} was an error before: {e}"),
            (_, Err(e)) => {
                let way_out = match e {
                    StateError::Corrupt { way_out, .. }
                    | StateError::Unknown { way_out, .. }
                    | StateError::Missing { way_out, .. }
                    | StateError::Key { way_out, .. } => !way_out.is_empty(),
                    StateError::Newer { .. } | StateError::Lineage { .. } => true,
                    _ => false,
                };
                let text = e.to_string();
                prop_assert!(way_out && names.iter().any(|n| text.contains(n.as_str())), "{context}: {what}: {text}");
            }
        }
    }
    Ok(())
}
