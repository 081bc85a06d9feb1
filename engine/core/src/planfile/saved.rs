//! The reviewed changes in a plan file, and back.
//!
//! The one decision: a form of its own for values, with unknown parts and fingerprints, in which a
//! list and a tuple are the same: only comparing with a second plan reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_model::change::{Deferred, OutputChange};
use mesh_model::{Action, Address, Change, Diagnostic, Fields, Fingerprint, Fingerprinter, Kind, Plan, Type, Value};
use serde_json::{Value as Json, json};

use crate::conform::Reviewed;

use super::{Content, Header, SavedChange, SavedEnvelope, SavedOutput, damaged};

const ACTIONS: [Action; 9] = [
    Action::NoOp,
    Action::Read,
    Action::Create,
    Action::Update,
    Action::Replace,
    Action::ReplaceCreateFirst,
    Action::ReplaceForget,
    Action::Delete,
    Action::Forget,
];

fn action_name(action: Action) -> String {
    format!("{action:?}")
}

fn action_of(name: &str) -> Result<Action, Diagnostic> {
    ACTIONS
        .into_iter()
        .find(|a| action_name(*a) == name)
        .ok_or_else(|| damaged(&format!("It has an unknown action {name:?}.")))
}

/// The writes of a plan as they are kept.
pub fn changes_of(plan: &Plan, fingerprinter: &Fingerprinter) -> Vec<SavedChange> {
    plan.writes()
        .map(|c| SavedChange {
            address: c.address.to_string(),
            deposed: c.deposed.as_ref().map(ToString::to_string),
            action: action_name(c.action),
            provider: c.provider.to_string(),
            version: c.version.as_ref().map(ToString::to_string),
            before: encode(&fingerprinter.withhold(&c.before)),
            after: encode(&fingerprinter.withhold(&c.after)),
        })
        .collect()
}

/// The changes of root outputs as they are kept.
pub fn outputs_of(plan: &Plan, fingerprinter: &Fingerprinter) -> BTreeMap<String, SavedOutput> {
    let saved = |o: &OutputChange| SavedOutput {
        action: action_name(o.action),
        before: encode(&fingerprinter.withhold(&o.before)),
        after: encode(&fingerprinter.withhold(&o.after)),
    };
    plan.outputs.iter().map(|(name, o)| (name.to_string(), saved(o))).collect()
}

/// The envelopes of a plan as they are kept.
pub fn envelopes_of(plan: &Plan, fingerprinter: &Fingerprinter) -> Vec<SavedEnvelope> {
    plan.deferred
        .iter()
        .map(|d| SavedEnvelope {
            pattern: d.pattern.clone(),
            actions: d.actions.iter().map(|a| action_name(*a)).collect(),
            reason: d.reason.clone(),
            known: encode(&fingerprinter.withhold(&d.known)),
        })
        .collect()
}

/// The reviewed plan of a file, for comparing.
///
/// # Errors
/// When something in it cannot be read.
pub fn reviewed(header: &Header, content: &Content) -> Result<Reviewed, Diagnostic> {
    let address = |text: &str| text.parse::<Address>().map_err(|e| damaged(&e.to_string()));
    let mut plan = Plan { destroy: content.destroy, refresh_only: content.refresh_only, ..Plan::default() };
    for c in &content.changes {
        plan.changes.push(Change {
            deposed: c.deposed.as_deref().map(Arc::from),
            version: c.version.as_deref().map(Arc::from),
            ..Change::new(
                address(&c.address)?,
                Arc::from(c.provider.as_str()),
                action_of(&c.action)?,
                decode(&c.before)?,
                decode(&c.after)?,
            )
        });
    }
    for (name, o) in &content.outputs {
        let change =
            OutputChange { before: decode(&o.before)?, after: decode(&o.after)?, action: action_of(&o.action)? };
        plan.outputs.insert(Arc::from(name.as_str()), change);
    }
    for d in &content.deferred {
        // `x[*]` names the block as `x` does.
        plan.deferred.push(Deferred {
            resource: address(&d.pattern.replace("[*]", ""))?.resource(),
            pattern: d.pattern.clone(),
            actions: d.actions.iter().map(|a| action_of(a)).collect::<Result<_, _>>()?,
            reason: d.reason.clone(),
            reason_code: "deferred",
            known: decode(&d.known)?,
        });
    }
    let (digest, unfinished) = (header.digest.clone(), content.unfinished.clone());
    Ok(Reviewed { plan, digest, serial: header.serial, anywhere: false, unfinished })
}

pub(super) fn encode(value: &Value) -> Json {
    match value.kind() {
        Kind::Null(_) => Json::Null,
        Kind::Bool(b) => json!(b),
        Kind::String(s) => json!(&**s),
        Kind::Number(n) => json!({ "number": n.to_saved() }),
        Kind::Unknown(t) => json!({ "unknown": t.to_json() }),
        Kind::Withheld(t, f) => json!({ "withheld": hex(f.bytes()), "type": t.to_json() }),
        Kind::List(_, i) | Kind::Tuple(i) => json!({ "list": i.iter().map(encode).collect::<Vec<_>>() }),
        Kind::Set(_, i) => json!({ "set": i.iter().map(encode).collect::<Vec<_>>() }),
        Kind::Map(_, f) | Kind::Object(f) => {
            json!({ "object": f.iter().map(|(k, v)| (k.to_string(), encode(v))).collect::<serde_json::Map<_, _>>() })
        }
    }
}

fn decode(json: &Json) -> Result<Value, Diagnostic> {
    let bad = || damaged("A value in it cannot be read.");
    match json {
        Json::Null => Ok(Value::NULL),
        Json::Bool(b) => Ok(Value::bool(*b)),
        Json::String(s) => Ok(Value::string(s.as_str())),
        Json::Object(o) => {
            let (tag, inner) = o.iter().next().ok_or_else(bad)?;
            let ty = |j: &Json| Type::from_json(j).ok_or_else(bad);
            let list = |j: &Json| j.as_array().ok_or_else(bad)?.iter().map(decode).collect::<Result<Vec<_>, _>>();
            match tag.as_str() {
                "number" => Ok(Value::number(inner.as_str().and_then(mesh_model::Number::from_saved).ok_or_else(bad)?)),
                "unknown" => Ok(Value::unknown(ty(inner)?)),
                "withheld" => {
                    let bytes = unhex(inner.as_str().ok_or_else(bad)?).ok_or_else(bad)?;
                    Ok(Value::withheld(ty(o.get("type").ok_or_else(bad)?)?, Fingerprint::from_bytes(bytes)))
                }
                "list" => Ok(Value::tuple(list(inner)?)),
                "set" => Ok(Value::set(Type::Dynamic, list(inner)?)),
                "object" => {
                    let fields: Fields = inner
                        .as_object()
                        .ok_or_else(bad)?
                        .iter()
                        .map(|(k, v)| Ok((Arc::<str>::from(k.as_str()), decode(v)?)))
                        .collect::<Result<Vec<_>, Diagnostic>>()?
                        .into_iter()
                        .collect();
                    Ok(Value::from_fields(fields))
                }
                _ => Err(bad()),
            }
        }
        Json::Number(_) | Json::Array(_) => Err(bad()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let bytes: Option<Vec<u8>> =
        (0..text.len() / 2).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        let f = Fingerprinter::new([9; 32]);
        let value = Value::object([
            ("a", Value::list(Type::Number, vec![Value::number(1)])),
            ("s", Value::string("secret").sensitive()),
            ("u", Value::unknown(Type::set(Type::String))),
            ("n", Value::NULL),
        ]);
        let back = decode(&encode(&f.withhold(&value))).expect("decodes");
        assert!(crate::conform::conforms(&f, &back, &value));
        assert!(!crate::conform::conforms(&f, &back, &value.with("s", Value::string("other").sensitive())));
    }
}
