//! When a gate opens, stays open and closes again.

use std::time::Duration;

use mesh_model::{Type, Value};
use mesh_sdk::Verdict;

use super::{plan, shaped, text};

fn config(open_when: Value, input: Value, value: Value) -> Value {
    Value::object([("waiting_for", text("x")), ("open_when", open_when), ("input", input), ("value", value)])
}

#[test]
fn a_gate_is_closed_until_its_condition_is_known_to_hold() {
    let provider = crate::provider();
    let decide = |open, input| {
        let response = plan(provider.as_ref(), "mesh_gate", None, &config(open, input, text("v")));
        assert_eq!(response.verdict, Verdict::Create);
        response.after.get("opened").cloned().expect("planned")
    };
    assert_eq!(decide(Value::bool(true), text("i")).as_bool(), Some(true));
    assert_eq!(decide(Value::bool(false), text("i")).as_bool(), Some(false));
    assert!(decide(Value::unknown(Type::Bool), text("i")).is_unknown());
    assert!(decide(Value::bool(true), Value::unknown(Type::String)).is_unknown());
    let secret = decide(Value::bool(true).sensitive(), text("i"));
    assert!(secret.as_bool() == Some(true) && secret.marks().is_empty());
}

#[test]
fn a_gate_says_how_an_apply_waits_for_it() {
    let provider = crate::provider();
    let rules = provider.rules("mesh_gate").expect("its rules");
    let waits = |timeout: &str, interval: &str| {
        let poll = Value::object([("timeout", text(timeout)), ("interval", text(interval))]);
        let config = config(Value::bool(false), text("i"), text("v")).with("poll", poll.clone());
        let planned = plan(provider.as_ref(), "mesh_gate", None, &config).after.with("poll", poll);
        (rules.validate(&config).len(), rules.closed_gate(&planned).expect("closed").poll)
    };
    let poll = |timeout, interval| {
        let (timeout, interval) = (Duration::from_secs(timeout), Duration::from_secs(interval));
        Some(mesh_model::change::Poll { interval, timeout })
    };
    assert_eq!(waits("10m", "2s"), (0, poll(600, 2)));
    assert_eq!(waits("soon", "0s"), (2, None));
    assert_eq!(waits("25h", "10s"), (1, None));
}

#[test]
fn an_opened_gate_stays_open_for_its_input_and_closes_for_another() {
    let provider = crate::provider();
    let first = plan(provider.as_ref(), "mesh_gate", None, &config(Value::bool(true), text("csr"), text("chain")));
    let saved = first.after;
    assert!(saved.get_str("input_digest").is_some_and(|d| d.len() == 64));
    for open in [Value::bool(false), Value::unknown(Type::Bool), Value::bool(true)] {
        let later = config(open, text("csr"), Value::unknown(Type::String));
        let response = plan(provider.as_ref(), "mesh_gate", Some(&saved), &later);
        assert_eq!(response.verdict, Verdict::NoOp);
        assert_eq!(response.after.get_str("output"), Some("chain"));
    }
    let other = config(Value::bool(false), text("another csr"), text("chain"));
    let response = plan(provider.as_ref(), "mesh_gate", Some(&saved), &other);
    assert_eq!(response.verdict, Verdict::Update);
    assert_eq!(response.after.get("opened").and_then(Value::as_bool), Some(false));
    assert!(response.after.get("output").is_some_and(Value::is_unknown));
}

#[test]
fn a_secret_that_was_handed_on_is_known_again_while_it_can_be_had() {
    let provider = crate::provider();
    let open = config(Value::bool(true), text("csr"), text("s3cret").sensitive());
    let saved = plan(provider.as_ref(), "mesh_gate", None, &open).after;
    let again = plan(provider.as_ref(), "mesh_gate", Some(&saved), &open);
    assert_eq!(again.verdict, Verdict::NoOp);
    let output = again.after.get("output").expect("planned");
    assert!(output.as_str() == Some("s3cret") && output.marks().sensitive());
}

#[test]
fn what_it_waits_for_is_one_line() {
    let provider = crate::provider();
    let rules = provider.rules("mesh_gate").expect("rules");
    let with = |t| shaped(provider.as_ref(), "mesh_gate", &Value::object([("waiting_for", text(t))]));
    assert!(rules.validate(&with("the chain")).is_empty());
    assert_eq!(rules.validate(&with("a\nb")).len(), 1);
}
