//! Source text to the parser's tree, item by item.
//!
//! The one decision: a scanner cuts a file at the newlines outside all brackets, quotes and heredocs,
//! and each piece is parsed alone. So several errors are found per run, what is left open is reported
//! where it was opened, and the tree of a piece is gone before the next one is parsed. A piece that does
//! not parse is cut again inside its braces to find the line.

mod json;
mod places;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::expr::Expression;
use hcl_edit::parser;
use hcl_edit::structure::{Body, Structure};
use mesh_model::{Diagnostic, Diagnostics, Sources, Span};

use crate::expr::{Lower, Node};
use crate::limits::{self, MAX_ERRORS, MAX_ITEM_MARKS, MAX_MARKS, MAX_SOURCE};
pub(crate) use json::{a_kind, origins, parse_json, range};
pub(crate) use places::{Places, Written};
use scan::template_marks;
pub(crate) use scan::{Broken, scan};

/// The parser admits 64 levels of nesting; a debug build needs up to 4 MiB for them.
const STACK: usize = 8 << 20;
/// How deep a broken piece is cut again.
const MAX_CUTS: usize = 16;

/// Runs `work` on a thread whose stack suffices for the deepest input that is accepted.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => std::panic::resume_unwind(Box::new(format!("no thread for parsing: {error}"))),
        }
    })
}

/// Parses `text` piece by piece; `each` gets every attribute and block with the offset that its
/// spans are relative to.
pub(crate) fn parse_items(
    text: &str,
    file: u32,
    diagnostics: &mut Diagnostics,
    mut each: impl FnMut(usize, Structure, &mut Diagnostics),
) {
    if text.len() > MAX_SOURCE {
        return diagnostics.push(too_big(text, file));
    }
    // A byte order mark is accepted, as in the field.
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let found = scan(text, start..text.len());
    if found.marks > MAX_MARKS {
        diagnostics.push(limits::too_much("This file", MAX_MARKS, span(file, &(0..0))));
        return;
    }
    for piece in found.heavy {
        let start = piece.end - text[piece.clone()].trim_start().len();
        diagnostics.push(limits::too_much("This", MAX_ITEM_MARKS, span(file, &(start..start))));
    }
    for piece in found.items {
        if diagnostics.0.len() > MAX_ERRORS {
            let detail = format!("More than {MAX_ERRORS} errors; the rest of the file was not read.");
            let place = span(file, &(piece.start..piece.start));
            diagnostics.push(Diagnostic::error("lang::limit", "Too many errors", detail).at(place));
            break;
        }
        match text[piece.clone()].parse::<Body>() {
            Ok(body) => body.into_iter().for_each(|s| each(piece.start, s, diagnostics)),
            Err(error) => locate(text, piece, &error, file, MAX_CUTS, diagnostics),
        }
    }
    for broken in found.broken {
        diagnostics.push(report(broken, file));
    }
    diagnostics.0.sort_by_key(|d| (d.code != "lang::syntax", d.span));
}

fn too_big(text: &str, file: u32) -> Diagnostic {
    let detail = format!("This file has {} MiB; the limit is {} MiB. Split it.", text.len() >> 20, MAX_SOURCE >> 20);
    Diagnostic::error("lang::limit", "File too big", detail).at(Span { file, start: 0, end: 0 })
}

fn report(broken: Broken, file: u32) -> Diagnostic {
    let mut diagnostic = Diagnostic::error("lang::syntax", broken.summary, broken.detail).at(span(file, &broken.range));
    if let Some((range, what)) = broken.related {
        diagnostic = diagnostic.with(span(file, &range), what);
    }
    diagnostic
}

pub(crate) fn span(file: u32, range: &Range<usize>) -> Span {
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { file, start: at(range.start), end: at(range.end) }
}

/// Finds what is wrong within a piece that does not parse.
fn locate(
    text: &str,
    piece: Range<usize>,
    error: &parser::Error,
    file: u32,
    cuts: usize,
    diagnostics: &mut Diagnostics,
) {
    let before = diagnostics.0.len();
    if cuts > 0
        && let Some(inner) = block_content(text, &piece)
    {
        for part in scan(text, inner).items {
            if let Err(error) = text[part.clone()].parse::<Body>() {
                locate(text, part, &error, file, cuts - 1, diagnostics);
            }
        }
    } else if let Some(value) = attribute_value(text, &piece) {
        if value.is_empty() {
            let detail = "An expression is expected after \"=\".";
            diagnostics.push(
                Diagnostic::error("lang::syntax", "Missing value", detail)
                    .at(span(file, &(value.start - 1..value.start))),
            );
        } else if let Err(error) = text[value.clone()].parse::<Expression>() {
            diagnostics.push(syntax_error(text, value.start, value.end, &error, file));
        }
    } else if !text[piece.clone()].contains(['{', '"']) {
        let content = text[piece.clone()].trim();
        let start = piece.end - text[piece.clone()].trim_start().len();
        let detail = "An argument is written as: name = value. A block is written as: name { ... }";
        diagnostics.push(
            Diagnostic::error("lang::syntax", "Invalid syntax", detail).at(span(file, &(start..start + content.len()))),
        );
    }
    if diagnostics.0.len() == before {
        diagnostics.push(syntax_error(text, piece.start, piece.end, error, file));
    }
}

/// What stands between the braces, when a piece is a block.
fn block_content(text: &str, piece: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text[piece.clone()].trim_end();
    let open = bytes.find(['{', '=', '\n'])?;
    if bytes.as_bytes().get(open) != Some(&b'{') || !bytes.ends_with('}') || open + 1 >= bytes.len() {
        return None;
    }
    Some(piece.start + open + 1..piece.start + bytes.len() - 1)
}

/// What stands after the `=`, when a piece is an attribute.
fn attribute_value(text: &str, piece: &Range<usize>) -> Option<Range<usize>> {
    let whole = &text[piece.clone()];
    let equals = whole.find(['=', '{', '"'])?;
    if whole.as_bytes().get(equals) != Some(&b'=') {
        return None;
    }
    let after = piece.start + equals + 1;
    let value = &whole[equals + 1..];
    let start = after + (value.len() - value.trim_start().len());
    Some(if value.trim().is_empty() { after..after } else { start..start + value.trim().len() })
}

/// The parser's error as a diagnostic; the parsed text is `text[base..end]`.
pub(crate) fn syntax_error(text: &str, base: usize, end: usize, error: &parser::Error, file: u32) -> Diagnostic {
    let mut at = (base + error.location().offset()).min(end);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let blank = |c: char| c == ' ' || c == '\t';
    at += text[at..end].len() - text[at..end].trim_start_matches(blank).len();
    let rest = &text[at..end];
    let word = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
    let len = if word > 0 { word } else { rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8) };
    let place = span(file, &(at..at + len));
    let message = error.message();
    if message.contains("nesting depth") || message.contains("operator depth") {
        let detail =
            "More than 64 levels of nesting, or 128 operators in a row, are not read. Split this with local values.";
        return Diagnostic::error("lang::syntax", "Too deeply nested", detail).at(place);
    }
    if message.contains("found redefined") {
        let detail = format!("{:?} is already given above; a name can be given once.", &rest[..word]);
        return Diagnostic::error("lang::duplicate", "Duplicate argument", detail).at(place);
    }
    let operator = rest.trim_end();
    let detail = match message.split_once("; expected ") {
        _ if ["+", "-", "*", "/", "%", "&&", "||", "==", "!=", "<", ">", "<=", ">=", "?", "!"].contains(&operator) => {
            format!("An operand is missing after {operator:?}.")
        }
        _ if message == "unexpected token" && len > 0 => {
            "This is not expected here. Arguments are separated by new lines, elements by commas.".to_owned()
        }
        Some((what, expected)) => format!("{}: expected {expected}.", sentence(what)),
        None => format!("{}.", sentence(message)),
    };
    let found = match rest.chars().next() {
        None => " The text ends here.".to_owned(),
        Some('\n' | '\r') => " The line ends here.".to_owned(),
        Some(c) if c.is_control() => format!(" Found the control character U+{:04X}.", u32::from(c)),
        Some('=') => " Found \"=\"; the name of an argument is a bare word.".to_owned(),
        Some('\'') => " Found a single quote; text stands in double quotes.".to_owned(),
        Some(';') => " Found \";\"; arguments are separated by new lines.".to_owned(),
        Some(c) => format!(" Found {:?}.", if word > 0 { &rest[..word] } else { &rest[..c.len_utf8()] }),
    };
    Diagnostic::error("lang::syntax", "Invalid syntax", detail + &found).at(place)
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// A template text with variables `names`, for rendering.
pub(crate) fn parse_template(
    text: &str,
    name: &str,
    names: &[Arc<str>],
) -> Result<(Node, Diagnostics, Sources), String> {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    if template_marks(text) > MAX_ITEM_MARKS {
        return Err(limits::too_much("The template", MAX_ITEM_MARKS, span(file, &(0..0))).detail);
    }
    let template = match text.parse::<hcl_edit::template::Template>() {
        Ok(template) => template,
        Err(error) => {
            let found = syntax_error(text, 0, text.len(), &error, file);
            let place = found.span.map_or_else(|| name.to_owned(), |s| sources.position(s));
            return Err(format!("{place}: {}", found.detail.trim_end_matches('.')));
        }
    };
    let mut lower = Lower::new(&sources, file, 0);
    lower.slots = names.to_vec();
    let node = lower.whole_template(&template, span(file, &(0..text.len())));
    Ok((node, lower.diagnostics, sources))
}
