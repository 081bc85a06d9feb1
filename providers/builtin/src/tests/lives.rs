//! The conformance suite for every resource type.

use mesh_model::{Type, Value};
use mesh_sdk::Verdict;
use mesh_sdk::conformance::{Case, run};

use super::{plan, session, text};

#[tokio::test]
async fn every_type_keeps_the_promises_of_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    let (provider, session) = session(folder.path()).await;
    let list = |items: &[&str]| Value::tuple(items.iter().map(|i| text(i)).collect::<Vec<_>>());
    let cases = [
        Case {
            updates: vec![Value::object([("input", list(&["a", "b"]))]), Value::object([("input", Value::NULL)])],
            replace: Some(Value::object([("triggers_replace", list(&["v2"]))])),
            ..Case::new("terraform_data", Value::object([("input", text("one"))]))
        },
        Case {
            canary: Some("canary-7f31"),
            ..Case::new("terraform_data", Value::object([("input", text("canary-7f31").sensitive())]))
        },
        Case {
            updates: vec![
                Value::object([("filename", text("./a/b.txt")), ("content", text("two\n"))]),
                Value::object([("filename", text("./a/b.txt")), ("content_base64", text("/wA="))]),
                Value::object([
                    ("filename", text("./a/b.txt")),
                    ("content_base64", text("/wA=")),
                    ("file_permission", text("600")),
                ]),
            ],
            replace: Some(Value::object([("filename", text("c.txt")), ("content", text("two\n"))])),
            ..Case::new("local_file", Value::object([("filename", text("./a/b.txt")), ("content", text("one\n"))]))
        },
        Case {
            updates: vec![Value::object([("filename", text("pin")), ("sensitive_content", text("canary-2b"))])],
            canary: Some("canary-2"),
            ..Case::new(
                "local_file",
                Value::object([("filename", text("pin")), ("sensitive_content", text("canary-2a"))]),
            )
        },
        Case {
            updates: vec![gate("two", "chain of two")],
            canary: Some("chain of"),
            ..Case::new("mesh_gate", gate("one", "chain of one"))
        },
    ];
    for case in &cases {
        if let Err(problem) = run(provider.as_ref(), session.as_ref(), case).await {
            panic!("{problem}");
        }
    }
    assert!(!folder.path().join("a/b.txt").exists(), "deleted with its object");
}

fn gate(input: &str, value: &str) -> Value {
    Value::object([
        ("waiting_for", text("the chain")),
        ("open_when", Value::bool(true)),
        ("input", text(input)),
        ("value", text(value).sensitive()),
    ])
}

#[test]
fn output_is_known_in_the_plan_where_input_is() {
    let provider = crate::provider();
    let saved = Value::object([
        ("id", text("1")),
        ("input", text("a")),
        ("output", text("a")),
        ("triggers_replace", Value::NULL),
    ]);
    let changed = plan(provider.as_ref(), "terraform_data", Some(&saved), &Value::object([("input", text("b"))]));
    assert_eq!(changed.verdict, Verdict::Update);
    assert_eq!((changed.after.get_str("id"), changed.after.get_str("output")), (Some("1"), Some("b")));
    let unknown = Value::object([("input", Value::unknown(Type::String))]);
    let waiting = plan(provider.as_ref(), "terraform_data", Some(&saved), &unknown);
    assert!(waiting.after.get("output").is_some_and(Value::is_unknown));
    let trigger = Value::object([("input", text("a")), ("triggers_replace", Value::unknown(Type::Dynamic))]);
    let replaced = plan(provider.as_ref(), "terraform_data", Some(&saved), &trigger);
    assert!(matches!(replaced.verdict, Verdict::Replace(_)));
    assert!(replaced.after.get("id").is_some_and(Value::is_unknown));
}
