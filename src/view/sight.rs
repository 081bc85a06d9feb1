//! What a view may show of values: secrets by fingerprint only, or, where somebody asked for it, in clear.
//!
//! The one decision: a view gets its values from here and from nowhere else, so `-show-sensitive` is one
//! function ([`clear`]), and views that know nothing of it redact. What is known by fingerprint only stays
//! hidden, unless the other side of a change is the same secret in clear; ephemeral values always do.

use mesh_model::json::{sensitive_mirror, to_json};
use mesh_model::{Fingerprinter, Value};
use serde_json::Value as Json;

/// The eyes of one view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'f> {
    fingerprinter: &'f Fingerprinter,
    secrets: bool,
}

impl<'f> Sight<'f> {
    /// `secrets`: whether sensitive values are shown (`-show-sensitive`).
    pub(crate) const fn new(fingerprinter: &'f Fingerprinter, secrets: bool) -> Self {
        Self { fingerprinter, secrets }
    }

    /// One that sees no secret, for what is kept.
    pub(crate) const fn redacted(self) -> Self {
        Self { secrets: false, ..self }
    }

    /// Whether sensitive values are shown.
    pub(crate) const fn secrets(self) -> bool {
        self.secrets
    }

    /// A value as it may be seen.
    pub(crate) fn one(self, value: &Value) -> Value {
        if self.secrets { clear(value) } else { self.fingerprinter.withhold(value) }
    }

    /// Both sides of a change as they may be seen.
    pub(crate) fn both(self, before: &Value, after: &Value) -> (Value, Value) {
        if !self.secrets {
            return (self.one(before), self.one(after));
        }
        (clear(&self.filled(before, after)), clear(&self.filled(after, before)))
    }

    /// A stored value with its secrets from `known`, where they are the same by fingerprint.
    pub(crate) fn filled(self, stored: &Value, known: &Value) -> Value {
        if stored.is_withheld() {
            let same = known.is_wholly_known() && !known.has_withheld() && self.fingerprinter.same(stored, known);
            return if same { known.clone().mark(stored.marks()) } else { stored.clone() };
        }
        if !stored.has_withheld() {
            return stored.clone();
        }
        if let (Some(fields), Some(others)) = (stored.as_fields(), known.as_fields()) {
            return fields.iter().fold(stored.clone(), |out, (name, value)| match others.get(name) {
                Some(other) => out.with(name, self.filled(value, other)),
                None => out,
            });
        }
        stored.clone()
    }

    /// JSON of a value as it may be seen, and where it is sensitive.
    pub(crate) fn json(self, value: &Value) -> (Json, Json) {
        (to_json(&self.one(value)), sensitive_mirror(&self.fingerprinter.withhold(value)))
    }
}

/// The one way out: sensitive parts without their marks. What is ephemeral or known by fingerprint only is
/// left as it is, and no view shows that.
pub(crate) fn clear(value: &Value) -> Value {
    if value.marks().ephemeral() || value.is_withheld() || value.all_marks().is_empty() {
        return value.clone();
    }
    value.reveal().0.map_children(&clear)
}

#[cfg(test)]
mod tests {
    use mesh_model::{Marks, Type};

    use super::*;

    fn secret(text: &str) -> Value {
        Value::string(text).sensitive()
    }

    #[test]
    fn secrets_are_shown_only_where_asked_for() {
        let f = Fingerprinter::new([7; 32]);
        let ephemeral = Value::string("canary-e").mark(Marks::EPHEMERAL.union(Marks::SENSITIVE));
        let value = Value::object([
            ("a", secret("canary")),
            ("b", Value::tuple(vec![secret("canary-2"), Value::unknown(Type::String).sensitive()])),
            ("e", ephemeral),
        ]);
        let (hidden, mirror) = Sight::new(&f, false).json(&value);
        assert!(!hidden.to_string().contains("canary"), "{hidden}");
        let (shown, same) = Sight::new(&f, true).json(&value);
        assert_eq!(shown, serde_json::json!({ "a": "canary", "b": ["canary-2", null], "e": null }));
        assert_eq!(mirror, same, "what is sensitive is said in both");
        assert_eq!(Sight::new(&f, true).redacted().json(&value).0, hidden);
    }

    #[test]
    fn what_is_stored_is_shown_where_the_other_side_is_the_same() {
        let f = Fingerprinter::new([7; 32]);
        let sight = Sight::new(&f, true);
        let of = |a: &str, b: &str| Value::object([("a", secret(a)), ("b", secret(b)), ("c", Value::bool(true))]);
        let (before, after) = sight.both(&f.withhold(&of("x", "old")), &of("x", "new"));
        assert_eq!(before.get_str("a"), Some("x"));
        assert!(before.get("b").is_some_and(Value::is_withheld), "only its fingerprint is known");
        assert_eq!((after.get_str("a"), after.get_str("b")), (Some("x"), Some("new")));
    }
}
