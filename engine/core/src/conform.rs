//! Whether a second plan does what the first one said.
//!
//! The one decision: "the same or narrower". A change conforms when its action is the reviewed one
//! and every value that was known then is the same now; what was unknown may have become known.
//! Used for saved plans, approved digests, resuming, and between planning and applying.

use std::collections::BTreeMap;

use mesh_model::change::Deferred;
use mesh_model::{Action, Change, Fingerprinter, Kind, Plan, Value};

/// Whether `actual` is what was `planned`, where unknown parts may have become anything.
pub fn conforms(fingerprinter: &Fingerprinter, planned: &Value, actual: &Value) -> bool {
    if planned.is_unknown() {
        return true;
    }
    match (planned.kind(), actual.kind()) {
        (Kind::Map(_, a) | Kind::Object(a), Kind::Map(_, b) | Kind::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((k, x), (l, y))| k == l && conforms(fingerprinter, x, y))
        }
        (Kind::List(_, a) | Kind::Tuple(a), Kind::List(_, b) | Kind::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| conforms(fingerprinter, x, y))
        }
        (Kind::Set(_, a), Kind::Set(_, b)) if a.iter().all(Value::is_wholly_known) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| conforms(fingerprinter, x, y))
        }
        (Kind::Set(..), Kind::Set(..)) => true,
        _ => fingerprinter.same(planned, actual),
    }
}

/// What a later plan does that the reviewed one does not say, one line each; empty when the later
/// one is equal or narrower. `resumed` allows a create to have become the completion of one.
pub fn exceeds(fingerprinter: &Fingerprinter, reviewed: &Plan, now: &Plan) -> Vec<String> {
    let key = |c: &Change| (c.address.clone(), c.deposed.clone());
    let allowed: BTreeMap<_, _> = reviewed.writes().map(|c| (key(c), c)).collect();
    let mut lines = Vec::new();
    for change in now.writes() {
        match allowed.get(&key(change)) {
            Some(old)
                if old.action == change.action || old.action == Action::Create && change.action == Action::Update =>
            {
                if !conforms(fingerprinter, &old.after, &change.after) {
                    lines.push(format!("{}: the new values differ from the reviewed ones", change.address));
                } else if old.action != Action::Create && !conforms(fingerprinter, &old.before, &change.before) {
                    lines.push(format!("{}: what is there now is not what the plan was made from", change.address));
                }
            }
            Some(old) => lines.push(format!(
                "{}: the plan said {}, now it would be {}",
                change.address,
                words(old.action),
                words(change.action)
            )),
            None => {
                if !within(&reviewed.deferred, change) {
                    lines.push(format!("{}: {} was not in the plan", change.address, words(change.action)));
                }
            }
        }
    }
    for (name, output) in now.outputs.iter().filter(|(_, o)| o.action != Action::NoOp) {
        if reviewed.outputs.get(name).is_none_or(|o| !conforms(fingerprinter, &o.after, &output.after))
            && reviewed.is_complete()
        {
            lines.push(format!("output {name:?}: the new value was not in the plan"));
        }
    }
    lines
}

fn words(action: Action) -> String {
    action.words().join(" and ")
}

/// Whether a change is inside one of the envelopes: its block was deferred with this action allowed,
/// and what was known of its attributes is so.
pub fn within(envelopes: &[Deferred], change: &Change) -> bool {
    envelopes.iter().any(|e| {
        e.resource == change.address.resource()
            && e.actions.contains(&change.action)
            && (e.pattern.contains("[*]") || e.pattern == change.address.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::Type;

    #[test]
    fn unknown_parts_may_become_anything_and_known_ones_may_not_change() {
        let f = Fingerprinter::new([3; 32]);
        let planned = Value::object([("a", Value::string("x")), ("b", Value::unknown(Type::String))]);
        let good = Value::object([("a", Value::string("x")), ("b", Value::string("y"))]);
        let bad = Value::object([("a", Value::string("z")), ("b", Value::string("y"))]);
        assert!(conforms(&f, &planned, &good));
        assert!(!conforms(&f, &planned, &bad));
    }
}
