//! What is done to files, and what is refused.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, Mode, ModulePath, Value};
use mesh_sdk::{ErrorKind, Observation, ObserveRequest, OnExisting, OperationRequest, Outcome, Session, Verdict};

use super::{plan, session, shaped, text};

fn address() -> Address {
    Address { module: ModulePath::root(), mode: Mode::Managed, ty: "local_file".into(), name: "x".into(), key: None }
}

async fn create(session: &dyn Session, after: Value, on_existing: OnExisting) -> Outcome {
    let request = OperationRequest {
        address: address(),
        ty: Arc::from("local_file"),
        operation: Operation::Create,
        identity: None,
        before: None,
        after: Some(after),
        private: None,
        on_existing,
    };
    session.apply(vec![request]).await.pop().expect("an answer")
}

fn rejected(outcome: Outcome) -> ErrorKind {
    match outcome {
        Outcome::Rejected { error, .. } => error.kind,
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn what_exists_and_is_not_ours_is_left_alone_unless_adopted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (provider, session) = session(folder.path()).await;
    let path = folder.path().join("f");
    std::fs::write(&path, "theirs").expect("written");
    let config = Value::object([("filename", text("f")), ("content", text("ours")), ("file_permission", text("0600"))]);
    let desired = shaped(provider.as_ref(), "local_file", &config);
    assert_eq!(rejected(create(session.as_ref(), desired.clone(), OnExisting::Fail).await), ErrorKind::Conflict);
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "theirs");
    assert!(matches!(create(session.as_ref(), desired, OnExisting::Adopt).await, Outcome::Applied { .. }));
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "ours");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["f"], "no temporary file stays");
}

#[tokio::test]
async fn folders_and_links_are_neither_followed_nor_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let (provider, session) = session(folder.path()).await;
    std::fs::create_dir(folder.path().join("dir")).expect("made");
    std::fs::write(folder.path().join("victim"), "v").expect("written");
    symlink("victim", folder.path().join("link")).expect("linked");
    for name in ["dir", "link"] {
        let config = Value::object([("filename", text(name)), ("content", text("x"))]);
        let desired = shaped(provider.as_ref(), "local_file", &config);
        assert_eq!(rejected(create(session.as_ref(), desired, OnExisting::Adopt).await), ErrorKind::Conflict);
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("victim")).expect("read"), "v");
}

#[tokio::test]
async fn an_edited_file_is_seen_by_its_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (provider, session) = session(folder.path()).await;
    let config = Value::object([("filename", text("f")), ("content", text("\u{e9}\n"))]);
    let desired = shaped(provider.as_ref(), "local_file", &config);
    let Outcome::Applied { values: saved, .. } = create(session.as_ref(), desired, OnExisting::Fail).await else {
        panic!("not created")
    };
    // The same text in another Unicode form: equal as a value, not as a file.
    std::fs::write(folder.path().join("f"), "e\u{301}\n").expect("written");
    let request = ObserveRequest {
        address: address(),
        ty: Arc::from("local_file"),
        identity: Some(Identity("f".into())),
        saved: Some(saved),
        desired: None,
        private: None,
    };
    let answer = session.observe(vec![request]).await.pop().expect("an answer");
    let Ok(Observation::Present(seen)) = answer else { panic!("not seen: {answer:?}") };
    assert_eq!(plan(provider.as_ref(), "local_file", Some(&seen.values), &config).verdict, Verdict::Update);
}

#[tokio::test]
async fn a_missing_file_is_an_error_unless_it_is_optional() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, session) = session(folder.path()).await;
    let config = |optional, secret| {
        Value::object([
            ("path", text("in.bin")),
            ("optional", Value::bool(optional)),
            ("sensitive", Value::bool(secret)),
        ])
    };
    let error = session.read("local_file", &config(false, false)).await.expect_err("it is missing");
    assert_eq!(error.kind, ErrorKind::Missing);
    let absent = session.read("local_file", &config(true, false)).await.expect("optional");
    assert_eq!(absent.get("exists").and_then(Value::as_bool), Some(false));
    std::fs::write(folder.path().join("in.bin"), [0xff, 0]).expect("written");
    let read = session.read("local_file", &config(false, true)).await.expect("there");
    assert!(read.get("content").is_some_and(Value::is_null));
    let bytes = read.get("content_base64").expect("given");
    assert!(bytes.as_str() == Some("/wA=") && bytes.marks().sensitive());
}

#[test]
fn configurations_that_cannot_work_are_named() {
    let provider = crate::provider();
    let rules = provider.rules("local_file").expect("rules");
    let problems = |config: &[(&'static str, &str)]| {
        let config = Value::object(config.iter().map(|(k, v)| (*k, text(v))));
        rules.validate(&shaped(provider.as_ref(), "local_file", &config)).len()
    };
    assert_eq!(problems(&[("filename", "f"), ("content", "")]), 0);
    assert_eq!(problems(&[("filename", "f")]), 1);
    assert_eq!(problems(&[("filename", "f/"), ("content", "a"), ("content_base64", "?"), ("file_permission", "9")]), 4);
}
