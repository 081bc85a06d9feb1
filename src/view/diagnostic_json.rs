//! Diagnostics for programs: Terraform's object, with our code and related places added.

use mesh_core::testing::{LEFT, RIGHT};
use mesh_model::{Diagnostic, Diagnostics, Severity, Sources, Span};
use serde_json::{Map, Value as Json, json};
use unicode_segmentation::UnicodeSegmentation;

/// The most bytes of source in a snippet.
const MAX_CODE: usize = 4000;

/// The object of one diagnostic.
pub(crate) fn one(d: &Diagnostic, sources: &Sources) -> Json {
    let mut out = Map::new();
    out.insert("severity".into(), word(d.severity).into());
    out.insert("summary".into(), d.summary.into());
    out.insert("detail".into(), super::diagnostics::clipped(&d.detail).into());
    out.insert("code".into(), d.code.into());
    if let Some(address) = &d.address {
        out.insert("address".into(), address.to_string().into());
    }
    if let Some(span) = d.span {
        if let Some(range) = range(span, sources) {
            out.insert("range".into(), range);
        }
        if let Some(mut snippet) = snippet(span, sources) {
            snippet["values"] = named(d).map(|(what, is)| json!({ "traversal": what, "statement": is })).collect();
            let side = |name: &str| {
                let is = &d.values.iter().find(|(what, _)| what == name)?.1;
                Some(is.strip_prefix("is ").unwrap_or(is).to_owned())
            };
            if let (Some(left), Some(right)) = (side(LEFT), side(RIGHT)) {
                snippet["test_assertion_expr"] = json!({ "lhs": left, "rhs": right });
            }
            out.insert("snippet".into(), snippet);
        }
    }
    let related: Vec<Json> = d
        .related
        .iter()
        .filter_map(|(span, what)| Some(json!({ "message": what, "range": range(*span, sources)? })))
        .collect();
    if !related.is_empty() {
        out.insert("related".into(), related.into());
    }
    out.into()
}

/// What was referred to: of an assertion without the sides, which stand apart.
fn named(d: &Diagnostic) -> impl Iterator<Item = &(String, String)> {
    d.values.iter().filter(|(what, _)| what != LEFT && what != RIGHT)
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// What `validate -json` gives.
pub(crate) fn validation(diagnostics: &Diagnostics, sources: &Sources) -> Json {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    json!({
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": diagnostics.iter().count() - errors,
        "diagnostics": diagnostics.iter().map(|d| one(d, sources)).collect::<Vec<_>>(),
    })
}

fn range(span: Span, sources: &Sources) -> Option<Json> {
    let source = sources.get(span.file)?;
    // Columns count what people see as one character.
    let position = |byte: u32| {
        let byte = (byte as usize).min(source.text.len());
        let (line, _) = source.line_column(byte);
        let start = source.line_starts()[line - 1];
        let column = source.text.get(start..byte).map_or(byte - start, |t| t.graphemes(true).count());
        json!({ "line": line, "column": column + 1, "byte": byte })
    };
    let end = widened(span, &source.text);
    Some(json!({ "filename": source.name, "start": position(span.start), "end": position(end) }))
}

/// The end of a span, behind one character where it is empty, so that there is something to mark.
fn widened(span: Span, text: &str) -> u32 {
    let next = || text.get(span.start as usize..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    if span.end > span.start { span.end } else { span.start + u32::try_from(next()).unwrap_or(0) }
}

/// The header of the top-level block around a byte, as `resource "type" "name"`. Such a block starts
/// at the margin, and what stands first in it is not inside.
fn context(text: &str, at: usize) -> Option<String> {
    let (before, rest) = text.split_at_checked(at)?;
    let inside = !before.is_empty() && !before.ends_with('\n');
    let end = if inside { rest.find('\n').unwrap_or(rest.len()) } else { 0 };
    for (i, line) in text[..at + end].lines().rev().enumerate() {
        if line.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            // A block that ends on its own line is around what stands in that line only.
            let open = !line.trim_end().ends_with('}') || (inside && i == 0);
            let header = line.split_once('{')?.0.trim();
            return (open && !header.contains('=')).then(|| header.to_owned());
        }
        if line.starts_with('}') {
            return None;
        }
    }
    None
}

fn snippet(span: Span, sources: &Sources) -> Option<Json> {
    let source = sources.get(span.file).filter(|source| !source.private)?;
    let start = (span.start as usize).min(source.text.len());
    let (line, _) = source.line_column(start);
    let from = source.line_starts()[line - 1];
    let last = source.line_column((span.end as usize).saturating_sub(1).max(start)).0;
    let to = source.line_starts().get(last).copied().unwrap_or(source.text.len());
    let code = source.text.get(from..to)?.trim_end_matches(['\n', '\r']);
    // A line that is no line, or a place that is half a file.
    let from =
        if code.len() > MAX_CODE { source.text.floor_char_boundary(start.saturating_sub(100).max(from)) } else { from };
    let to = source.text.floor_char_boundary((from + MAX_CODE).min(to));
    let code = source.text.get(from..to)?.trim_end_matches(['\n', '\r']);
    Some(json!({
        "context": context(&source.text, start),
        "code": code,
        "start_line": line,
        "highlight_start_offset": start - from,
        "highlight_end_offset": (widened(span, &source.text) as usize).saturating_sub(from).min(code.len()),
        "values": [],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_what_people_see() {
        let mut sources = Sources::default();
        let file = sources.add("a.mesh.hcl", "x = 1\ny = \"e\u{301}\" + b\n");
        let d = Diagnostic::error("a::b", "S", "D").at(Span { file, start: 18, end: 19 });
        let json = one(&d, &sources);
        assert_eq!(json["range"]["start"], json!({ "line": 2, "column": 11, "byte": 18 }));
        assert_eq!(json["snippet"]["code"], json!("y = \"e\u{301}\" + b"));
        assert_eq!(json["snippet"]["highlight_start_offset"], json!(12));
        assert_eq!(json["snippet"]["context"], Json::Null);
        let all = validation(&d.into(), &sources);
        assert_eq!((&all["valid"], &all["error_count"]), (&json!(false), &json!(1)));
    }

    #[test]
    fn the_block_around_is_named() {
        let text = "variable \"a\" {}\n\nresource \"x\" \"y\" {\n  b {\n    c = 1\n  }\n}\nz = 1\n";
        let at = |part: &str| context(text, text.find(part).expect("is there"));
        assert_eq!(at("c = 1").as_deref(), Some("resource \"x\" \"y\""));
        assert_eq!(at("\"y\"").as_deref(), Some("resource \"x\" \"y\""));
        for outside in ["variable", "resource", "z = 1"] {
            assert_eq!(at(outside), None, "{outside}");
        }
    }

    #[test]
    fn an_empty_place_is_made_visible() {
        let mut sources = Sources::default();
        let file = sources.add("a.mesh.hcl", "a = é\n");
        let at = |start| one(&Diagnostic::error("a::b", "S", "D").at(Span { file, start, end: start }), &sources);
        assert_eq!(at(4)["range"]["end"], json!({ "line": 1, "column": 6, "byte": 6 }));
        assert_eq!(at(4)["snippet"]["highlight_end_offset"], json!(6));
        assert_eq!(at(7)["range"]["end"]["byte"], json!(7), "there is nothing behind the end");
    }
}
