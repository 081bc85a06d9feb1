//! Values as text of the language, redacted.
//!
//! The one decision: one renderer for `Debug`, console, outputs and plan lines, so that redaction
//! cannot be forgotten in one of them. Layout of a plan (symbols, old and new side by side) is the
//! view's work.

use crate::path::is_identifier;
use crate::{Kind, Value};

/// What stands for a sensitive value.
pub const SENSITIVE: &str = "(sensitive value)";
/// What stands for an ephemeral value.
pub const EPHEMERAL: &str = "(ephemeral value)";
/// What stands for an unknown value.
pub const UNKNOWN: &str = "(known after apply)";

/// A value on one line: `{ a = 1, b = ["x"] }`.
pub fn inline(value: &Value) -> String {
    if let Some(text) = leaf(value) {
        return text;
    }
    match value.kind() {
        Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => {
            format!("[{}]", i.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(_, f) | Kind::Object(f) if f.is_empty() => "{}".into(),
        Kind::Map(_, f) | Kind::Object(f) => {
            format!(
                "{{ {} }}",
                f.iter().map(|(k, v)| format!("{} = {}", key(k), inline(v))).collect::<Vec<_>>().join(", ")
            )
        }
        _ => String::new(),
    }
}

/// The text of a value that is shown on one line: primitives, null, unknown and anything redacted.
pub fn leaf(value: &Value) -> Option<String> {
    if value.marks().ephemeral() {
        return Some(EPHEMERAL.into());
    }
    if value.marks().sensitive() {
        return Some(SENSITIVE.into());
    }
    match value.kind() {
        Kind::Null(_) => Some("null".into()),
        Kind::Bool(b) => Some(b.to_string()),
        Kind::Number(n) => Some(n.to_string()),
        Kind::String(s) => Some(quote(s)),
        Kind::Unknown(_) => Some(UNKNOWN.into()),
        Kind::Withheld(..) => Some(SENSITIVE.into()),
        _ => None,
    }
}

/// A key of an object or map as it is written: bare where it can be.
pub fn key(text: &str) -> String {
    if is_identifier(text) { text.to_owned() } else { quote(text) }
}

/// Text in quotes, as the language writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => {
                out.push(c);
                out.push(c);
            }
            c if c.is_control() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    use std::fmt::Write as _;
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_the_language_does() {
        assert_eq!(quote("a\"b\n${x}"), r#""a\"b\n$${x}""#);
    }
}
