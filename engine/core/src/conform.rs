//! Whether a second plan does what the first one said.
//!
//! The one decision: "the same or narrower". A change conforms when its action is the reviewed one
//! and every value that was known then is the same now; what was unknown may have become known.
//! Used for saved plans, approved digests, resuming, and between planning and applying.

use std::collections::BTreeMap;

use mesh_model::change::Deferred;
use mesh_model::{Action, Change, Fingerprinter, Kind, Path, Plan, Reason, Step, Value};

use crate::plan::Planning;

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

/// A plan that somebody has approved, and the state that it was made from.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// The plan.
    pub plan: Plan,
    /// Its digest: everything that is applied because of it is recorded under this.
    pub digest: String,
    /// The serial of the state.
    pub serial: u64,
    /// Whether it may be applied to any later state, as long as planning again gives no more than it says.
    pub anywhere: bool,
    /// The digest of what was unfinished in the state.
    pub unfinished: Option<String>,
}

/// What a later plan does that the reviewed one does not say, one line each; empty when the later
/// one is equal or narrower. `resumed`: a part of the reviewed plan is done already, so a create or
/// a replace may have become its second half.
pub fn exceeds(fingerprinter: &Fingerprinter, reviewed: &Plan, planning: &Planning<'_>, resumed: bool) -> Vec<String> {
    let key = |c: &Change| (c.address.clone(), c.deposed.clone());
    let allowed: BTreeMap<_, _> = reviewed.writes().map(|c| (key(c), c)).collect();
    let now = &planning.plan;
    let mut lines = Vec::new();
    for (change, item) in now.changes.iter().zip(&planning.items).filter(|(c, _)| c.action.is_write()) {
        match allowed.get(&key(change)) {
            Some(old) if old.action == change.action || resumed && is_second_half(old, change) => {
                if !conforms(fingerprinter, &old.after, &change.after) {
                    let paths = moved(fingerprinter, &old.after, &change.after);
                    lines.push(format!("{}: the new values differ from the reviewed ones at {paths}", change.address));
                } else if old.action == change.action
                    && old.action != Action::Create
                    && !conforms(fingerprinter, &old.before, &change.before)
                    && !(resumed && is_as_recorded(fingerprinter, planning, change))
                {
                    let paths = moved(fingerprinter, &old.before, &change.before);
                    let versions = match (&old.version, &change.version) {
                        (Some(then), Some(now)) if then != now => format!(" (version {then} then, {now} now)"),
                        _ => String::new(),
                    };
                    lines.push(format!(
                        "{}: it was changed since the plan was made, at {paths}{versions}",
                        change.address
                    ));
                }
            }
            Some(old) => lines.push(format!(
                "{}: the plan said {}, now it would be {}",
                change.address,
                words(old.action),
                words(change.action)
            )),
            None => {
                let replaced = allowed.get(&(change.address.clone(), None));
                let left_over = change.deposed.is_some() && replaced.is_some_and(|r| r.action.deposes());
                if !(resumed && left_over || within(fingerprinter, &reviewed.deferred, change, item.desired.as_ref())) {
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

/// Where a value is not what it was, by attribute.
fn moved(fingerprinter: &Fingerprinter, then: &Value, now: &Value) -> String {
    fn collect(f: &Fingerprinter, then: &Value, now: &Value, at: &Path, out: &mut Vec<String>) {
        if conforms(f, then, now) {
            return;
        }
        let (Some(a), Some(b)) = (then.as_fields(), now.as_fields()) else { return out.push(at.to_string()) };
        let null = Value::NULL;
        let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
        for name in names {
            let (then, now) = (a.get(name).unwrap_or(&null), b.get(name).unwrap_or(&null));
            collect(f, then, now, &at.join(Step::Key(name.clone())), out);
        }
    }
    let mut paths = Vec::new();
    collect(fingerprinter, then, now, &Path::default(), &mut paths);
    match paths.as_slice() {
        [whole] if whole.is_empty() => "all of it".to_owned(),
        paths => paths.join(", "),
    }
}

/// Whether a change completes what an interrupted run has begun: a create that is there but was not
/// confirmed or failed half-way, a replace whose old object is gone.
fn is_second_half(old: &Change, now: &Change) -> bool {
    match old.action {
        Action::Create => now.action == Action::Update || now.action.is_replace() && now.reason == Reason::Tainted,
        a if a.is_replace() => {
            matches!(now.action, Action::Create | Action::Update)
                || now.action.is_replace() && now.reason == Reason::Tainted
        }
        _ => false,
    }
}

/// Whether what is there is what this very plan has left: state remembers it so.
fn is_as_recorded(fingerprinter: &Fingerprinter, planning: &Planning<'_>, change: &Change) -> bool {
    let saved = planning.snapshot.instances.get(&change.address);
    saved.is_some_and(|s| conforms(fingerprinter, &s.values, &change.before))
}

fn words(action: Action) -> String {
    action.words().join(" and ")
}

/// Whether a change is inside one of the envelopes: its block was deferred with this action allowed,
/// and what was known of its configuration is so.
pub fn within(fingerprinter: &Fingerprinter, envelopes: &[Deferred], change: &Change, desired: Option<&Value>) -> bool {
    let resource = change.address.resource();
    let mut bounds = envelopes.iter().filter(|e| e.resource == resource).peekable();
    if bounds.peek().is_none() {
        return false;
    }
    let address = change.address.to_string();
    bounds.any(|e| {
        e.actions.contains(&change.action)
            && covers(&e.pattern, &address)
            && desired.is_none_or(|d| as_known(fingerprinter, &e.known, d))
    })
}

/// Whether a configuration says what was known of it: nothing is known where there is null.
fn as_known(fingerprinter: &Fingerprinter, known: &Value, desired: &Value) -> bool {
    let Some(fields) = known.as_fields() else { return true };
    fields
        .iter()
        .all(|(name, value)| value.is_null() || desired.get(name).is_some_and(|d| conforms(fingerprinter, value, d)))
}

/// Whether an address fits a pattern, in which `[*]` stands for any key.
fn covers(pattern: &str, address: &str) -> bool {
    let mut parts = pattern.split("[*]");
    let Some(mut rest) = parts.next().and_then(|first| address.strip_prefix(first)) else { return false };
    for part in parts {
        let Some(after) = after_key(rest).and_then(|r| r.strip_prefix(part)) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// What follows the key that a text begins with.
fn after_key(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let Some(quoted) = inner.strip_prefix('"') else { return inner.split_once(']').map(|(_, rest)| rest) };
    let mut escaped = false;
    let end = quoted.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    })?;
    quoted[end.0 + 1..].strip_prefix(']')
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

    #[test]
    fn patterns_cover_keys_and_nothing_else() {
        for (pattern, address, fits) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b[0]", false),
            ("a.b[*]", "a.b[10]", true),
            ("a.b[*]", "a.b", false),
            ("module.m[\"x\"].a.b[*]", "module.m[\"x\"].a.b[\"k]\\\"[\"]", true),
            ("module.m[\"x\"].a.b[*]", "module.m[\"y\"].a.b[0]", false),
            ("module.m[*].a.b", "module.m[\"y\"].a.b", true),
            ("module.m[*].a.b", "module.m[\"y\"].a.c", false),
        ] {
            assert_eq!(covers(pattern, address), fits, "{pattern} {address}");
        }
    }
}
