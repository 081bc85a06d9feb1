//! What is decided about an object, case by case.

use mesh_model::json::from_json;
use mesh_model::{Fingerprinter, ResourceSchema};
use mesh_sdk::Resource as _;
use serde_json::{Value as Json, json};

use super::*;
use crate::resources::manifest::Manifest;

fn schema() -> ResourceSchema {
    Manifest.schema()
}

fn values(manifest: &Json, uid: Option<&str>) -> Value {
    Value::object([
        ("manifest", from_json(manifest)),
        ("field_manager", Value::NULL),
        ("force_conflicts", Value::bool(false)),
        ("uid", uid.map_or(Value::NULL, Value::string)),
        ("live", Value::NULL),
        ("wait", Value::NULL),
    ])
}

fn decide(observed: Option<&Json>, desired: &Value, preview: Option<(&Json, &Json)>) -> PlanResponse {
    let observed = observed.map(|o| values(o, Some("u1")));
    let preview = preview.map(|(live, dry)| values(dry, Some("u1")).with("live", from_json(live)));
    let manifest = desired.get("manifest").cloned().unwrap_or(Value::NULL);
    object(
        &PlanRequest {
            schema: &schema(),
            saved: observed.as_ref(),
            observed: observed.as_ref(),
            desired,
            preview: preview.as_ref(),
            fingerprinter: &Fingerprinter::new([1; 32]),
        },
        "manifest",
        &Place::of(&manifest),
        &["wait"],
    )
}

fn map(data: Json) -> Json {
    json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"},"data":data})
}

fn deployment(spec: Json) -> Json {
    json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"n"},"spec":spec})
}

#[test]
fn nothing_is_asked_when_all_is_equal() {
    let wanted = map(json!({"a":"1"}));
    let response = decide(Some(&wanted), &values(&wanted, None), None);
    assert_eq!(response.verdict, Verdict::NoOp);
    assert!(!response.needs_preview);
    assert_eq!(response.after.get_str("uid"), Some("u1"));
    assert_eq!(response.before, response.after);
}

#[test]
fn creates_are_tried_where_that_tells_something() {
    let plain = decide(None, &values(&map(json!({})), None), None);
    assert_eq!((plain.verdict, plain.needs_preview), (Verdict::Create, false));
    let tried = decide(None, &values(&deployment(json!({})), None), None);
    assert_eq!((tried.verdict, tried.needs_preview), (Verdict::Create, true));
    assert!(tried.after.get("uid").is_some_and(Value::is_unknown));
}

#[test]
fn the_dry_run_has_the_last_word() {
    let (there, wanted) = (map(json!({"a":"1"})), map(json!({"a":"2"})));
    let first = decide(Some(&there), &values(&wanted, None), None);
    assert_eq!((first.verdict, first.needs_preview), (Verdict::Update, true));
    let second = decide(Some(&there), &values(&wanted, None), Some((&there, &wanted)));
    assert_eq!((second.verdict, second.needs_preview), (Verdict::Update, false));
    // A webhook sets it back.
    let same = decide(Some(&there), &values(&wanted, None), Some((&there, &there)));
    assert_eq!(same.verdict, Verdict::NoOp);
}

#[test]
fn a_change_shows_what_is_there_also_at_new_paths() {
    let there = deployment(json!({}));
    let live = deployment(json!({"replicas":1}));
    let wanted = deployment(json!({"replicas":3}));
    let response = decide(Some(&there), &values(&wanted, None), Some((&live, &wanted)));
    assert_eq!(response.verdict, Verdict::Update);
    let before = response.before.get("manifest").and_then(|m| m.get("spec")?.get("replicas")?.as_i64());
    assert_eq!(before, Some(1));
    assert!(response.before.get("live").is_some_and(Value::is_null));
}

#[test]
fn another_object_and_immutable_fields_replace() {
    let there = map(json!({}));
    let mut wanted = there.clone();
    wanted["metadata"]["name"] = "b".into();
    let response = decide(Some(&there), &values(&wanted, None), None);
    let Verdict::Replace(paths) = response.verdict else { panic!("{:?}", response.verdict) };
    assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["manifest.metadata.name"]);
    assert!(!response.needs_preview);
    let selector = |app: &str| deployment(json!({"selector":{"matchLabels":{"app":app}}}));
    let response = decide(Some(&selector("a")), &values(&selector("b"), None), None);
    assert!(matches!(response.verdict, Verdict::Replace(_)));
    assert!(response.needs_preview, "the new object is tried before the old one is given up");
}

#[test]
fn what_is_not_known_yet_is_not_tried() {
    let there = map(json!({"a":"1"}));
    let desired = values(&there, None);
    let manifest = desired.get("manifest").cloned().expect("a manifest");
    let unknown = manifest.with("data", Value::object([("a", Value::unknown(Type::String))]));
    let response = decide(Some(&there), &desired.with("manifest", unknown), None);
    assert_eq!((response.verdict, response.needs_preview), (Verdict::Update, false));
}
