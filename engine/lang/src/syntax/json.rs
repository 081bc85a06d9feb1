//! JSON texts with the places of everything in them.
//!
//! The one decision: strict JSON only; duplicate names are kept, since what they mean depends on where
//! they stand.

use std::ops::Range;

use jsonc_parser::ast::{StringLit, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use mesh_model::{Diagnostic, Diagnostics};

use super::{sentence, span, too_big};
use crate::limits::{MAX_MARKS, MAX_SOURCE, too_much};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The only value of a text.
pub(crate) fn parse_json(text: &str, file: u32) -> Result<Value<'_>, Diagnostics> {
    if text.len() > MAX_SOURCE {
        return Err(too_big(text, file).into());
    }
    if marks(text) > MAX_MARKS {
        return Err(too_much("This file", MAX_MARKS, span(file, &(0..0))).into());
    }
    let error = |summary: &'static str, detail: String, at: Range<usize>| {
        Diagnostics::from(Diagnostic::error("lang::syntax", summary, detail).at(span(file, &at)))
    };
    const INVALID: &str = "Invalid JSON";
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|e| {
        let at = e.range().start..e.range().end;
        if matches!(e.kind(), ParseErrorKind::NestingDepthExceeded) {
            return error("Too deeply nested", "More than 512 levels of nesting are not read.".to_owned(), at);
        }
        error(INVALID, format!("{}.", sentence(&e.kind().to_string())), at)
    })?;
    let value = parsed.value.ok_or_else(|| error(INVALID, "The text holds no value.".to_owned(), 0..0))?;
    match control(&value, text) {
        Some(at) => {
            let detail = "In a text, a control character is written with an escape, such as \\n.";
            Err(error(INVALID, detail.to_owned(), at))
        }
        None => Ok(value),
    }
}

/// Brackets, commas and colons outside of texts: how much there is to parse.
fn marks(text: &str) -> usize {
    let (mut count, mut quoted, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' | b',' | b':' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

/// The first control character within a text: the parser lets them pass.
fn control(value: &Value<'_>, text: &str) -> Option<Range<usize>> {
    let literal = |at: Range<usize>| {
        let found = text.as_bytes().get(at.clone())?.iter().position(|b| *b < 0x20)?;
        Some(at.start + found..at.start + found + 1)
    };
    match value {
        Value::StringLit(string) => literal(range(string)),
        Value::Array(array) => array.elements.iter().find_map(|v| control(v, text)),
        Value::Object(object) => {
            object.properties.iter().find_map(|p| literal(range(&p.name)).or_else(|| control(&p.value, text)))
        }
        _ => None,
    }
}

/// The bytes of a value.
pub(crate) fn range(value: &impl Ranged) -> Range<usize> {
    value.start()..value.end()
}

/// What a value is, for messages.
pub(crate) fn a_kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "a text",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "true or false",
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::NullKeyword(_) => "null",
    }
}

/// For each byte of a decoded text, and for its end, where it stands in the file.
pub(crate) fn origins(literal: &StringLit<'_>, text: &str) -> Vec<usize> {
    let inner = literal.range.start + 1..literal.range.end.saturating_sub(1);
    let raw = text.get(inner.clone()).unwrap_or_default();
    let mut out = Vec::with_capacity(literal.value.len() + 1);
    let mut at = 0;
    for c in literal.value.chars() {
        let rest = raw.get(at..).unwrap_or_default();
        out.extend((0..c.len_utf8()).map(|i| inner.start + at + if rest.starts_with('\\') { 0 } else { i }));
        at += match rest.strip_prefix('\\') {
            // A pair of surrogates is one character.
            Some(escape) if escape.starts_with('u') => 6 * c.len_utf16(),
            Some(_) => 2,
            None => c.len_utf8(),
        };
    }
    out.push(inner.end);
    out
}
