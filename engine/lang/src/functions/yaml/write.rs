//! Writes YAML as the field writes it.
//!
//! The one decision: every text is in double quotes, or a literal block where it has several lines and
//! no surprises, so that no reader takes a text for a number or a truth value. Long quoted texts are
//! folded after column 80.

use std::fmt::Write as _;

use super::*;

const WIDTH: usize = 80;

/// A wholly known value as a YAML document.
pub(in super::super) fn encode(value: &Value) -> Result<String, CallError> {
    let mut out = String::new();
    block(value, 0, &mut out)?;
    if value.is_null() || value.as_bool().is_some() || value.as_number().is_some() {
        out.push_str("...\n");
    }
    Ok(out)
}

/// Writes a value whose first line has begun; ends the line.
fn block(value: &Value, indent: usize, out: &mut String) -> Result<(), CallError> {
    match value.kind() {
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(s) if literal_allowed(s) => {
            literal(s, indent + 2, out);
            return Ok(());
        }
        Kind::String(s) => quoted(s, Some(indent + 2), out),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) if items.is_empty() => out.push_str("[]"),
        Kind::Map(_, fields) | Kind::Object(fields) if fields.is_empty() => out.push_str("{}"),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push_str("- ");
                // Lines of a text stand two columns after the dash, entries of a container at its first one.
                block(item, if item.as_str().is_some() { indent } else { indent + 2 }, out)?;
                if out.len() > MAX_TEXT {
                    return Err(too_long());
                }
            }
            return Ok(());
        }
        Kind::Map(_, fields) | Kind::Object(fields) => {
            for (i, (key, item)) in fields.iter().enumerate() {
                if i > 0 {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                entry(key, item, indent, out)?;
                if out.len() > MAX_TEXT {
                    return Err(too_long());
                }
            }
            return Ok(());
        }
        Kind::Null(_) | Kind::Unknown(_) | Kind::Withheld(..) => out.push_str("null"),
    }
    out.push('\n');
    Ok(())
}

fn entry(key: &str, item: &Value, indent: usize, out: &mut String) -> Result<(), CallError> {
    quoted(key, None, out);
    out.push(':');
    let empty = item.children().next().is_none();
    let (sequence, mapping) = (item.as_items().is_some(), item.as_fields().is_some());
    if !empty && (sequence || mapping) {
        let inner = if mapping { indent + 2 } else { indent };
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', inner));
        return block(item, inner, out);
    }
    out.push(' ');
    block(item, indent, out)
}

fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a text of several lines can be a literal block: nothing to escape, no space before a line's end.
fn literal_allowed(text: &str) -> bool {
    text.contains('\n')
        && text.chars().all(|c| printable(c) && (c == '\n' || !is_break(c)))
        && !text.contains(" \n")
        && !text.ends_with(' ')
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text.ends_with("\n\n") || text == "\n" {
        out.push('+');
    }
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// In double quotes; folded with the given indentation, where one is given.
fn quoted(text: &str, fold: Option<usize>, out: &mut String) {
    let mut column = out.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    out.push('"');
    let mut spaces = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let before = out.len();
        let next = chars.peek().map(|(_, c)| *c);
        if c == ' ' {
            match fold {
                Some(indent) if !spaces && column > WIDTH && at > 0 && next.is_some() => {
                    out.push('\n');
                    out.extend(std::iter::repeat_n(' ', indent));
                    column = indent;
                    if next == Some(' ') {
                        out.push('\\');
                        column += 1;
                    }
                }
                _ => {
                    out.push(' ');
                    column += 1;
                }
            }
            spaces = true;
            continue;
        }
        spaces = false;
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
        column += out[before..].chars().count();
    }
    out.push('"');
}
