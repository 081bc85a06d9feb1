//! Values as text of the language, redacted.
//!
//! The one decision: one renderer for `Debug`, console, outputs and plan lines, so that redaction
//! cannot be forgotten in one of them. Layout of a plan (symbols, old and new side by side) is the
//! view's work.

use unicode_normalization::char::is_combining_mark;

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
            c if !has_shape(c) => {
                use std::fmt::Write as _;
                let code = u32::from(c);
                let _ = if code < 0x1_0000 { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text in quotes, as the console shows a value: nothing is doubled, and what has no shape of its own is
/// written as its code.
pub fn quote_shown(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if has_shape(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..0x80 => write!(out, "\\x{code:02x}"),
                    0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Letters, marks, numbers, punctuation, symbols and the plain space.
fn has_shape(c: char) -> bool {
    c.escape_debug().len() == 1 || matches!(c, '\'' | '\u{ff9e}' | '\u{ff9f}') || is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_the_language_does() {
        assert_eq!(quote("a\"b\n${x}"), r#""a\"b\n$${x}""#);
        assert_eq!(
            quote_shown("'a\"${x}\u{301}\u{200d}\0\u{85}"),
            r#""'a\"${x}́\u200d\x00\u0085""#.replace("\\u0301", "\u{301}")
        );
    }
}
