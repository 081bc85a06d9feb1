//! Values and files survive the way to bytes and back; damage shows.

use std::sync::Arc;

use mesh_model::snapshot::{Identity, Intent, Operation};
use mesh_model::{Address, Fields, Fingerprint, Instance, Kind, Marks, Number, Snapshot, Type, Value};
use proptest::prelude::*;

use super::read::Reader;
use super::write::{TypeTable, ValueWriter};
use super::*;
use crate::Record;

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![Just(Type::Dynamic), Just(Type::Bool), Just(Type::Number), Just(Type::String)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::set),
            inner.clone().prop_map(Type::map),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Type::tuple),
            prop::collection::vec(("[a$]{0,2}", inner), 0..3).prop_map(Type::object),
        ]
    })
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", Number::from_f64),
        (1i64..1000, 1i64..1000).prop_filter_map("defined", |(a, b)| Number::from(a).div(&Number::from(b))),
        Just(()).prop_filter_map("infinite", |()| Number::from(-1i64).div(&Number::from(0i64))),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        types().prop_map(Value::null),
        types().prop_map(|t| Value::null(t).sensitive()),
        any::<bool>().prop_map(Value::bool),
        numbers().prop_map(Value::number),
        "\\PC{0,8}".prop_map(Value::string),
        "[\"\\\\\n\u{0}$]{0,4}".prop_map(Value::string),
        (types(), any::<[u8; 32]>()).prop_map(|(t, f)| Value::withheld(t, Fingerprint::from_bytes(f))),
        types().prop_map(Value::unknown),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4);
        let fields = prop::collection::vec(("[$!a-c]{0,2}", inner), 0..4)
            .prop_map(|f| f.into_iter().map(|(k, v)| (Arc::<str>::from(k), v)).collect::<Fields>());
        prop_oneof![
            items.clone().prop_map(Value::tuple),
            (types(), items.clone()).prop_map(|(t, i)| Value::list(t, i)),
            (types(), items).prop_map(|(t, i)| Kind::Set(t, i.into()).into()),
            (types(), fields.clone()).prop_map(|(t, f)| Value::map(t, f)),
            fields.prop_map(Value::from_fields),
        ]
    })
}

fn encode(value: &Value, types: Option<&mut TypeTable>) -> Result<String, Refusal> {
    let mut out = Vec::new();
    ValueWriter { types, unknown: true }.value(&mut out, value)?;
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

fn address(n: usize) -> Address {
    format!("terraform_data.x[{n}]").parse().expect("an address")
}

fn stored(rows: usize) -> Stored {
    let instance = |n: usize| Instance {
        provider: "builtin".into(),
        schema_version: 0,
        values: Value::object([("id", Value::string(format!("id-{n}"))), ("tags", Value::strings(["a", "b"]))]),
        identity: Some(Identity(format!("id-{n}").into())),
        target: None,
        dependencies: ["terraform_data.y".into()].into(),
        protected: false,
        create_before_destroy: false,
        tainted: false,
        adopted: false,
        kept: false,
        private: None,
    };
    let snapshot = Snapshot {
        lineage: "l".into(),
        serial: 3,
        instances: (0..rows).map(|n| (address(n), Arc::new(instance(n)))).collect(),
        ..Snapshot::default()
    };
    Stored { snapshot, seq: 9, merged: "m".into(), ..Stored::default() }
}

fn bytes(stored: &Stored) -> Vec<u8> {
    let encoded = encode_state(stored).expect("it encodes");
    [encoded.head, encoded.body].concat()
}

fn journal() -> Vec<u8> {
    let header = JournalHeader { lineage: "l".into(), base: 0, sum: String::new(), seq: 0 };
    let (mut bytes, mut chain) = header_line(&header);
    let intent = Intent {
        address: address(1),
        operation: Operation::Create,
        provider: "builtin".into(),
        identity: None,
        planned: Value::object([("id", Value::unknown(Type::String))]),
        dependencies: Arc::from([]),
        protected: true,
        kept: true,
    };
    let instance = stored(1).snapshot.instances.into_values().next().expect("one");
    for (seq, entry) in [
        Entry::Begin { digest: "d".into(), command: "mesh apply".into() },
        Entry::Intend(intent),
        Entry::Result { closes: Some(2), record: Record::Put { address: address(1), deposed: None, instance } },
        Entry::Result { closes: None, record: Record::Nothing },
    ]
    .iter()
    .enumerate()
    {
        chain = frame(&mut bytes, chain, seq as u64 + 1, &entry.encode().expect("it encodes"));
    }
    bytes
}

proptest! {
    #[test]
    fn values_round_trip(value in values()) {
        let json = encode(&value, None).expect("it may be stored");
        let back = Reader::default().value(&json).map_err(|e| TestCaseError::fail(format!("{e}: {json}")))?;
        prop_assert_eq!(&back, &value, "{}", json);

        let mut table = TypeTable::default();
        let json = encode(&value, Some(&mut table)).expect("it may be stored");
        let types = table.texts.iter().map(|t| {
            Type::from_json(&serde_json::from_str(t).expect("JSON")).expect("a type")
        }).collect();
        prop_assert_eq!(&Reader::with_types(types).value(&json).expect("it reads"), &value, "{}", json);
    }

    #[test]
    fn no_sensitive_leaf_gets_out(value in values(), path in any::<bool>()) {
        let hidden = Value::string("canary-4711");
        let bad = if path { Value::tuple(vec![value, hidden.sensitive()]) }
            else { Value::tuple(vec![value, Value::object([("x", hidden)]).sensitive()]) };
        prop_assert!(encode(&bad, None).is_err());
        prop_assert!(encode(&Value::tuple(vec![Value::NULL.mark(Marks::EPHEMERAL)]), None).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(mut noise in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        let mut text = bytes(&stored(1));
        text.truncate(cut % text.len());
        noise.splice(0..0, text);
        prop_assert!(read_state(&noise).is_err());
        prop_assert!(read_journal(&noise).is_err());
    }
}

#[test]
fn a_state_round_trips_and_every_flipped_or_missing_byte_shows() {
    let good = stored(3);
    let text = bytes(&good);
    let back = read_state(&text).expect("it reads");
    assert_eq!(back.snapshot.instances, good.snapshot.instances);
    assert_eq!((back.snapshot.serial, back.seq, &*back.merged), (3, 9, "m"));
    for at in 0..text.len() {
        assert!(read_state(&text[..at]).is_err(), "cut at {at}");
        for bit in [1, 8, 64] {
            let mut bad = text.clone();
            bad[at] ^= bit;
            assert!(read_state(&bad).is_err(), "flipped at {at}");
        }
        let mut doubled = text.clone();
        doubled.insert(at, text[at]);
        assert!(read_state(&doubled).is_err(), "doubled at {at}");
    }
}

#[test]
fn a_journal_cut_anywhere_keeps_its_whole_lines() {
    let text = journal();
    let whole = read_journal(&text).expect("it reads").entries;
    let header = text.iter().position(|b| *b == b'\n').expect("a line");
    for at in 0..text.len() {
        match read_journal(&text[..at]) {
            Ok(journal) => {
                assert_eq!(journal.entries, whole[..journal.entries.len()]);
                // A line is complete even when only its line end is missing.
                let lines = text[..at].iter().filter(|b| **b == b'\n').count();
                let end = usize::from(text[at] == b'\n');
                assert_eq!(journal.entries.len() + 1, lines + end, "cut at {at}");
                assert!(journal.valid <= at);
            }
            Err(Bad::Damaged(Some(1), _)) => assert!(at < header, "cut at {at}"),
            Err(e) => panic!("cut at {at}: {e:?}"),
        }
    }
}

#[test]
fn a_journal_with_a_flipped_byte_or_another_order_is_refused_or_whole() {
    let text = journal();
    let whole = read_journal(&text).expect("it reads").entries;
    for at in 0..text.len() {
        for bit in [1, 8, 64] {
            let mut bad = text.clone();
            bad[at] ^= bit;
            match read_journal(&bad) {
                // Only the very last line end can be damaged without loss.
                Ok(journal) => assert!(at == text.len() - 1 && journal.entries == whole, "at {at}"),
                Err(Bad::Damaged(Some(_), _) | Bad::Newer(_)) => {}
                Err(e) => panic!("flipped at {at}: {e:?}"),
            }
        }
    }
    let mut lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    lines.swap(2, 3);
    assert!(matches!(read_journal(&lines.concat()), Err(Bad::Damaged(Some(3), _))));
    lines.swap(2, 3);
    lines.remove(2);
    assert!(matches!(read_journal(&lines.concat()), Err(Bad::Damaged(Some(3), _))));
}

#[test]
fn newer_formats_and_unknown_fields_are_refused() {
    let text = String::from_utf8(bytes(&stored(1))).expect("text");
    let newer = text.replacen("\"mesh_state\":1", "\"mesh_state\":2", 1);
    assert!(matches!(read_state(newer.as_bytes()), Err(Bad::Newer(2))));
    let text = String::from_utf8(journal()).expect("text");
    let newer = text.replacen("\"mesh_journal\":1", "\"mesh_journal\":7", 1);
    assert!(matches!(read_journal(newer.as_bytes()), Err(Bad::Newer(7))));
    for json in [r#"{"$":"later","v":1}"#, r#"{"$":"list","t":"string","v":[],"x":1}"#, r#"{"a":1,"a":2}"#, "1.5"] {
        assert!(Reader::default().value(json).is_err(), "{json}");
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let deep = |n: usize| (0..n).fold(Value::NULL, |v, _| Value::tuple(vec![v]));
    let json = encode(&deep(100), None).expect("deep, but not too deep");
    assert_eq!(Reader::default().value(&json).expect("it reads"), deep(100));
    assert!(encode(&deep(10_000), None).is_err());
    let deep_type = (0..200).fold(Type::String, |t, _| Type::list(t));
    assert!(encode(&Value::null(deep_type), None).is_err());
}
