//! A state as a document of its own: what `mesh state pull` writes and `mesh state push` reads.
//!
//! The one decision: it is the state file's format, so secrets are withheld in it as on disk and a copy
//! that was cut off shows. Who edits it by hand ends it with the line `{"sha256":"edited"}`.

use mesh_model::Snapshot;
use sha2::{Digest, Sha256};

use crate::format::{self, Bad, Stored, hex};
use crate::{Record, StateError};

/// In the place of a checksum.
const EDITED: &str = "{\"sha256\":\"edited\"}";

/// The document of a snapshot, open intents included.
///
/// # Errors
/// [`StateError::Refused`] for a value that must not be stored.
pub fn write(snapshot: &Snapshot) -> Result<Vec<u8>, StateError> {
    let open: std::collections::BTreeMap<u64, _> = (1..).zip(snapshot.open.iter().cloned()).collect();
    let seq = open.keys().next_back().copied().unwrap_or_default();
    let encoded = format::encode_state(&Stored { snapshot: snapshot.clone(), open, seq, ..Stored::default() })?;
    Ok([encoded.head, encoded.body].concat())
}

/// Reads a document whole. `place` is its name in messages.
///
/// # Errors
/// [`StateError::Newer`], [`StateError::Corrupt`] for what is none, and for one that holds a secret in clear.
pub fn read(bytes: &[u8], place: &str) -> Result<Snapshot, StateError> {
    let text = bytes.trim_ascii_end();
    let edited = text.strip_suffix(EDITED.as_bytes()).filter(|c| c.ends_with(b"\n"));
    let closed = edited.map(|content| {
        let sum = hex(&Sha256::digest(content));
        [content, b"{\"sha256\":\"", sum.as_bytes(), b"\"}\n"].concat()
    });
    let stored = format::read_state(closed.as_deref().unwrap_or(bytes)).map_err(|bad| match bad {
        Bad::Newer(version) => StateError::Newer { place: place.to_owned(), version, known: format::VERSION },
        Bad::Damaged(line, why) => corrupt(place, line, why),
    })?;
    let snapshot = Snapshot { open: stored.open.into_values().collect(), ..stored.snapshot };
    match write(&snapshot) {
        Ok(_) => Ok(snapshot),
        Err(StateError::Refused { what }) => Err(corrupt(place, None, what)),
        Err(other) => Err(other),
    }
}

fn corrupt(place: &str, line: Option<usize>, why: String) -> StateError {
    let way_out = format!(
        "Give a document as `mesh state pull` writes it, or a file of the history. One that was edited by hand ends with \
         the line {EDITED} in the place of its checksum."
    );
    StateError::unread(place, line, why, way_out)
}

/// The changes that make `from` into `to`: lineage, serial and open intents apart.
pub fn difference(from: &Snapshot, to: &Snapshot) -> Vec<Record> {
    let gone = from.instances.keys().filter(|a| !to.instances.contains_key(*a));
    let gone = gone.map(|a| Record::Remove { address: a.clone(), deposed: None });
    let deposed_gone = from.deposed.keys().filter(|k| !to.deposed.contains_key(*k));
    let deposed_gone = deposed_gone.map(|(a, k)| Record::Remove { address: a.clone(), deposed: Some(k.clone()) });
    let new = to.instances.iter().filter(|(a, i)| from.instances.get(*a) != Some(*i));
    let new = new.map(|(a, i)| Record::Put { address: a.clone(), deposed: None, instance: i.clone() });
    let deposed_new = to.deposed.iter().filter(|(k, i)| from.deposed.get(*k) != Some(*i));
    let deposed_new = deposed_new.map(|((a, k), i)| Record::Put {
        address: a.clone(),
        deposed: Some(k.clone()),
        instance: i.clone(),
    });
    let outputs = (from.outputs != to.outputs).then(|| Record::Outputs(to.outputs.clone()));
    gone.chain(deposed_gone).chain(new).chain(deposed_new).chain(outputs).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_model::snapshot::Unfinished;
    use mesh_model::{Instance, Value};

    use super::*;
    use crate::conformance::sample::{address, instance, intent, outputs};

    fn snapshot() -> Snapshot {
        Snapshot {
            lineage: "l".into(),
            serial: 4,
            instances: [(address(1), instance(1)), (address(2), instance(2))].into(),
            deposed: [((address(1), "d".into()), instance(3))].into(),
            outputs: outputs(1),
            open: vec![intent(5), intent(6)],
            unfinished: Some(Unfinished { digest: "digest".into() }),
        }
    }

    #[test]
    fn a_document_comes_back_as_it_was() {
        let before = snapshot();
        let bytes = write(&before).expect("it is written");
        let after = read(&bytes, "document").expect("it is read");
        assert_eq!((&after.lineage, after.serial), (&before.lineage, before.serial));
        assert!(difference(&before, &after).is_empty());
        assert_eq!((after.open, after.unfinished), (before.open, before.unfinished));
    }

    #[test]
    fn what_was_edited_says_so_and_what_was_cut_off_shows() {
        let text = String::from_utf8(write(&snapshot()).expect("it is written")).expect("it is text");
        let (content, _) = text.trim_end().rsplit_once('\n').expect("lines");
        let edited = content.replace("\"serial\":4", "\"serial\":9");
        let whole = read(format!("{edited}\n{EDITED}").as_bytes(), "document").expect("it is read");
        assert_eq!(whole.serial, 9);
        for broken in [edited.as_str(), content, &text[..text.len() / 2], "", "{}", EDITED] {
            let error = read(broken.as_bytes(), "document").expect_err("it is no document");
            assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
        }
        let newer = text.replacen("\"mesh_state\":1", "\"mesh_state\":7", 1);
        assert!(matches!(read(newer.as_bytes(), "document"), Err(StateError::Newer { version: 7, .. })));
    }

    #[test]
    fn a_secret_in_clear_is_refused() {
        let clear = Value::object([("pin", Value::string("canary-4711").sensitive())]);
        let leaking = Arc::new(Instance { values: clear, ..(*instance(1)).clone() });
        assert!(write(&Snapshot { instances: [(address(1), leaking)].into(), ..snapshot() }).is_err());
        let text = String::from_utf8(write(&snapshot()).expect("it is written")).expect("it is text");
        let (content, _) = text.trim_end().rsplit_once('\n').expect("lines");
        // The first name of all, since names are sorted.
        let leak = "\"values\":{\"a-pin\":{\"$\":\"sensitive\",\"v\":\"canary-4711\"},";
        let edited = content.replacen("\"values\":{", leak, 1);
        assert_ne!(edited, content);
        let error = read(format!("{edited}\n{EDITED}\n").as_bytes(), "document").expect_err("it leaks").to_string();
        assert!(error.contains("pin") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn differences_are_what_differs() {
        let (from, mut to) = (snapshot(), snapshot());
        to.instances.remove(&address(1));
        to.instances.insert(address(2), instance(7));
        to.deposed.clear();
        to.outputs = outputs(2);
        let mut live = crate::replay::Live::default();
        live.stored.snapshot = from.clone();
        let changes = difference(&from, &to);
        assert_eq!(changes.len(), 4);
        for (seq, record) in (1..).zip(changes) {
            live.apply(seq, crate::format::Entry::Result { closes: None, record });
        }
        assert!(difference(&live.stored.snapshot, &to).is_empty());
    }
}
