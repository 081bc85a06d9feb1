//! Plan files of earlier versions are read; those of later ones are refused with a word about it.
//!
//! `cargo test -p mesh-core record_the_fixtures -- --ignored` records that of a new version, once.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use mesh_model::{Type, Value};
use serde_json::json;

use super::saved::encode;
use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
const CURRENT: &str = "v1";

fn key() -> Fingerprinter {
    Fingerprinter::new([5; 32])
}

/// One value of every kind.
fn values() -> Value {
    let pin = Value::withheld(Type::String, key().bytes(b"pin"));
    Value::object([
        ("name", Value::string("p \u{e9}")),
        ("big", Value::number(u64::MAX)),
        ("on", Value::bool(true)),
        ("absent", Value::null(Type::list(Type::String))),
        ("id", Value::unknown(Type::String)),
        ("tags", Value::set(Type::String, [Value::string("b"), Value::string("a")])),
        ("ports", Value::list(Type::Number, vec![Value::number(1)])),
        ("labels", Value::map(Type::String, [("k", Value::string("v"))].into_iter().collect())),
        ("pair", Value::tuple(vec![Value::number(1), Value::string("x")])),
        ("pin", pin.sensitive()),
    ])
}

fn content() -> Content {
    let read = SavedReads::new(Seen {
        contents: BTreeMap::from([("a.txt".to_owned(), Arc::from(&b"read"[..]))]),
        files: BTreeSet::from(["b.txt".to_owned()]),
        sets: BTreeMap::from([(("c".to_owned(), "*".to_owned()), vec!["d".to_owned()])]),
    });
    let change = SavedChange {
        address: "vault_policy.p[\"x\"]".to_owned(),
        deposed: Some("d".to_owned()),
        action: "Delete".to_owned(),
        provider: "vault.eu".to_owned(),
        version: Some("7".to_owned()),
        before: encode(&key().withhold(&values())),
        after: encode(&Value::NULL),
    };
    let envelope = SavedEnvelope {
        pattern: "vault_policy.q[*]".to_owned(),
        actions: vec!["Create".to_owned()],
        reason: "for_each is not known yet".to_owned(),
        known: encode(&values()),
    };
    let output = SavedOutput {
        action: "Update".to_owned(),
        before: encode(&Value::number(1)),
        after: encode(&Value::bool(true)),
    };
    Content {
        files: BTreeMap::from([("main.mesh.hcl".to_owned(), "output \"o\" {}\n".to_owned())]),
        read,
        version: "0.1.0".to_owned(),
        root: PathBuf::from("/stack"),
        unfinished: Some("digest of another".to_owned()),
        inputs: BTreeMap::from([("v".to_owned(), "\"1\"".to_owned())]),
        destroy: false,
        refresh_only: false,
        refresh: true,
        replace: vec!["vault_policy.r".to_owned()],
        targets: vec!["module.m".to_owned()],
        excludes: vec!["vault_policy.s".to_owned()],
        timestamp: "2026-01-01T00:00:00Z".to_owned(),
        changes: vec![change],
        deferred: vec![envelope],
        outputs: BTreeMap::from([("o".to_owned(), output)]),
        json: "{\"format_version\":\"1.2\"}".to_owned(),
        text: "Plan: 0 to add, 0 to change, 1 to destroy.\n".to_owned(),
    }
}

/// All that it holds, for people.
fn describe(header: &Header, c: &Content) -> Result<String, Diagnostic> {
    let seen = c.read.seen()?;
    let mut text = String::new();
    let mut line = |what: &str, words: &dyn std::fmt::Debug| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what}: {words:?}");
    };
    line("of", &(&header.digest, &header.lineage, header.serial));
    line("files", &c.files);
    line("read", &(seen.contents, seen.files, seen.sets));
    line("by", &(&c.version, &c.root, &c.timestamp, &c.unfinished));
    line("inputs", &c.inputs);
    line("destroy, refresh only, refresh", &(c.destroy, c.refresh_only, c.refresh));
    line("replace, targets, excludes", &(&c.replace, &c.targets, &c.excludes));
    for s in &c.changes {
        line("change", &(&s.address, &s.deposed, &s.action, &s.provider, &s.version));
        line("  values", &(s.before.to_string(), s.after.to_string()));
    }
    for s in &c.deferred {
        line("deferred", &(&s.pattern, &s.actions, &s.reason, s.known.to_string()));
    }
    for (name, s) in &c.outputs {
        line("output", &(name, &s.action, s.before.to_string(), s.after.to_string()));
    }
    line("shown", &(&c.json, &c.text));
    Ok(text)
}

#[test]
#[ignore = "writes the fixtures of a new version"]
fn record_the_fixtures() {
    let folder = Path::new(FOLDER).join(CURRENT);
    assert!(!folder.exists(), "{} is there: what a version has written is never written again", folder.display());
    fs::create_dir_all(&folder).expect("a folder");
    let (header, content) = (Header::new("digest".to_owned(), "lineage", 3), content());
    fs::write(folder.join("plan"), seal(&key(), &header, &content).expect("seals")).expect("writes");
    fs::write(folder.join("plan.txt"), describe(&header, &content).expect("all of it")).expect("writes");
}

#[test]
fn plan_files_of_every_version_are_read() {
    let mut count = 0;
    for version in fs::read_dir(FOLDER).expect("fixtures") {
        let version = version.expect("a version").path();
        let (header, content) = open(&key(), &fs::read(version.join("plan")).expect("reads")).expect("opens");
        let text = describe(&header, &content).expect("all of it");
        // What it is compared with when it is applied.
        let plan = reviewed(&header, &content).expect("a plan").plan;
        assert_eq!((plan.changes.len(), plan.deferred.len(), plan.outputs.len()), (1, 1, 1));
        assert_eq!(text, fs::read_to_string(version.join("plan.txt")).expect("reads"), "{}", version.display());
        count += 1;
    }
    assert!(count > 0, "there are fixtures");
}

#[test]
fn newer_plan_files_are_refused() {
    // As `seal` would write them, from what is not known here.
    let sealed = |clear: Json, body: &Json| {
        let (clear, nonce) = (clear.to_string().into_bytes(), [1_u8; 12]);
        let payload = Payload { msg: &body.to_string().into_bytes(), aad: &clear };
        let sealed = cipher(&key()).encrypt(&nonce.into(), payload).expect("seals");
        [&clear[..], b"\n", &nonce, &sealed].concat()
    };
    let header = json!({ "mesh_plan": 1, "digest": "d", "lineage": "l", "serial": 3 });
    let body = serde_json::to_value(content()).expect("JSON");
    open(&key(), &sealed(header.clone(), &body)).expect("one of this version");
    let more = |value: &Json, pointer: &str, name: &str, is: Json| {
        let mut value = value.clone();
        value.pointer_mut(pointer).expect("a place")[name] = is;
        value
    };
    let headers = [more(&header, "", "mesh_plan", json!(2)), more(&header, "", "zone", json!(7))];
    let places = ["", "/read", "/changes/0", "/deferred/0", "/outputs/o"];
    let bodies = places.map(|place| more(&body, place, "zone", json!(7)));
    let all = headers.iter().map(|h| (h, &body)).chain(bodies.iter().map(|b| (&header, b)));
    for (header, body) in all {
        let error = open(&key(), &sealed(header.clone(), body)).map(|_| ()).expect_err("it is newer").to_string();
        assert!(error.contains("newer") && error.contains("Make the plan again"), "{error}");
    }
}
