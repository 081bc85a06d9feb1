//! The order of collections among each other.
//!
//! The one decision: the field orders the elements of a set that are no primitives by a text of their
//! content, so `[10]` stands before `[9]`. The text made here sorts alike and tells all values apart.

use std::fmt::Write as _;

use super::{Kind, Value};

/// The text that a collection is ordered by; `None` for anything else.
pub(super) fn key_of(value: &Value) -> Option<String> {
    value.children().next().map(|_| key(value))
}

/// The text that a collection is ordered by.
pub(super) fn key(value: &Value) -> String {
    let mut out = String::new();
    push(value, &mut out);
    out
}

fn push(value: &Value, out: &mut String) {
    let all = |out: &mut String, open: char, items: &mut dyn Iterator<Item = &Value>, close: char| {
        out.push(open);
        for item in items {
            push(item, out);
            out.push(';');
        }
        out.push(close);
    };
    match &value.kind {
        Kind::Unknown(_) => out.push('?'),
        Kind::Null(_) => out.push('~'),
        Kind::Withheld(_, print) => {
            let _ = write!(out, "!{:x?}", print.bytes());
        }
        Kind::Bool(b) => out.push(if *b { 'T' } else { 'F' }),
        // All digits too, for numbers that the short form does not tell apart.
        Kind::Number(n) => {
            let _ = write!(out, "{};{n}", n.short());
        }
        Kind::String(s) => {
            let _ = write!(out, "{s:?}");
        }
        Kind::List(_, items) | Kind::Set(_, items) => all(out, '[', &mut items.iter(), ']'),
        Kind::Tuple(items) => all(out, '<', &mut items.iter(), '>'),
        Kind::Map(_, fields) | Kind::Object(fields) => {
            out.push('{');
            for (name, item) in fields.iter() {
                let _ = write!(out, "{name:?}:");
                push(item, out);
                out.push(';');
            }
            out.push('}');
        }
    }
}
