//! Texts that are not a module: an expression typed somewhere, and files of values.
//!
//! The one decision: both go through the parser and the compiler of the configuration, so that a value
//! given on the command line means what it means in a file.

use std::collections::HashMap;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Structure;
use jsonc_parser::ast::{Object, ObjectProp, Value as Json};
use mesh_model::{Diagnostic, Diagnostics, Number, Sources, Span, Value};

use crate::Expr;
use crate::expr::Lower;
use crate::limits::{MAX_ITEM_MARKS, fits, too_much};
use crate::syntax::{a_kind, on_large_stack, parse_items, parse_json, range, scan, span, syntax_error};

/// Parses one expression: for values on the command line. `name` is what messages call it.
///
/// # Errors
/// What is wrong with the text, all of it.
pub fn parse_expression(text: &str, name: &str, sources: &mut Sources) -> Result<Expr, Diagnostics> {
    parsed(text, name, sources, false).map(|(expr, _)| expr)
}

/// Parses what is typed into a console: an expression, and how many calls of `type` stand around it.
/// They are no part of expressions, since what they give is no value
/// ([`crate::functions::types::describe`]).
///
/// # Errors
/// As [`parse_expression`].
pub fn parse_console(text: &str, name: &str, sources: &mut Sources) -> Result<(Expr, usize), Diagnostics> {
    parsed(text, name, sources, true)
}

/// Whether a bracket, a template or a heredoc is open at the end, so that an expression goes on in the
/// next line.
pub fn is_unfinished(text: &str) -> bool {
    scan(text, 0..text.len()).broken.iter().any(|b| matches!(b.summary, "Unclosed bracket" | "Unclosed heredoc"))
}

/// What keeps a text from being read as a file of the language.
pub fn check_syntax(text: &str, name: &str, sources: &mut Sources) -> Diagnostics {
    let file = sources.add(name, text);
    on_large_stack(|| {
        let mut diagnostics = Diagnostics::new();
        parse_items(text, file, &mut diagnostics, |_, _, _| {});
        diagnostics
    })
}

fn parsed(text: &str, name: &str, sources: &mut Sources, console: bool) -> Result<(Expr, usize), Diagnostics> {
    let file = sources.add(name, text);
    on_large_stack(|| {
        let start = content(text);
        let whole = text[start..].trim_end();
        if whole.is_empty() {
            return Err(Diagnostic::error("lang::syntax", "Missing expression", "An expression is expected here.")
                .at(Span { file, start: 0, end: 0 })
                .into());
        }
        // Only what is open or not, and a comment at the end: newlines within are the parser's affair.
        let found = scan(text, start..start + whole.len());
        if let Some(broken) = found.broken.into_iter().next() {
            let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let place = Span { file, start: at(broken.range.start), end: at(broken.range.end) };
            return Err(Diagnostic::error("lang::syntax", broken.summary, broken.detail).at(place).into());
        }
        if found.marks > MAX_ITEM_MARKS {
            return Err(too_much("This expression", MAX_ITEM_MARKS, Span { file, start: 0, end: 0 }).into());
        }
        let whole = found.comment.map_or(whole, |end| text[start..end].trim_end());
        match whole.parse::<Expression>() {
            Ok(tree) => {
                let (tree, types) = if console { without_type(&tree) } else { (&tree, 0) };
                let mut lower = Lower::new(sources, file, start);
                let expr = lower.expr(tree);
                if lower.diagnostics.has_errors() { Err(lower.diagnostics) } else { Ok((expr, types)) }
            }
            Err(error) => Err(syntax_error(text, start, start + whole.len(), &error, file).into()),
        }
    })
}

/// Where a text starts after blanks and comments, which the parser of expressions does not take there.
fn content(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        let end = if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else if rest.starts_with('#') || rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else {
            None
        };
        match end {
            Some(end) => at += end,
            None => return at,
        }
    }
}

/// What is within the calls of `type` that are the whole expression, and how many there are.
fn without_type(tree: &Expression) -> (&Expression, usize) {
    match tree {
        Expression::FuncCall(call) if call.name.namespace.is_empty() && call.name.name.as_str() == "type" => {
            match call.args.iter().collect::<Vec<_>>().as_slice() {
                [argument] if !call.args.expand_final() => {
                    let (tree, types) = without_type(argument);
                    (tree, types + 1)
                }
                _ => (tree, 0),
            }
        }
        Expression::Parenthesis(inner) => match without_type(inner.inner()) {
            (_, 0) => (tree, 0),
            found => found,
        },
        _ => (tree, 0),
    }
}

/// Parses a file of values: attributes whose expressions are constants, or, where the name ends with
/// `.json`, an object, whose texts are no templates.
pub fn parse_values(text: &str, name: &str, sources: &mut Sources) -> Result<Vec<(String, Value, Span)>, Diagnostics> {
    // Values are what secrets are given in, and an unclosed string is one with its line.
    let file = sources.add_private(name, text);
    let parsed = if name.ends_with(".json") {
        on_large_stack(|| json_values(text, file))
    } else {
        native_values(text, file, sources)
    };
    parsed.map_err(|mut diagnostics| {
        diagnostics.0.iter_mut().for_each(|d| without_words(d, sources));
        diagnostics
    })
}

/// A value that lost its quotes is a word that messages would quote; what they quote of arguments' names stays.
fn without_words(diagnostic: &mut Diagnostic, sources: &Sources) {
    let word = diagnostic.span.map(|span| sources.text(span)).unwrap_or_default();
    if !word.is_empty() && matches!(diagnostic.code, "lang::syntax" | "lang::expression" | "lang::json") {
        let quoted = diagnostic.detail.replace(&format!("{word:?}"), "what stands here");
        diagnostic.detail = if word.len() < 3 { quoted } else { quoted.replace(word, "what stands here") };
    }
}

fn native_values(text: &str, file: u32, sources: &Sources) -> Result<Vec<(String, Value, Span)>, Diagnostics> {
    on_large_stack(|| {
        let mut diagnostics = Diagnostics::new();
        let mut values: Vec<(String, Value, Span)> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut lower = Lower::new(sources, file, 0);
        parse_items(text, file, &mut diagnostics, |base, item, diagnostics| {
            lower.base = base;
            match item {
                Structure::Attribute(attribute) => {
                    let span = lower.span(attribute.key.span());
                    let name = attribute.key.as_str();
                    if let Some(first) = seen.get(name) {
                        diagnostics.push(
                            Diagnostic::error(
                                "lang::duplicate",
                                "Duplicate argument",
                                format!("A value for {name:?} is already given in this file."),
                            )
                            .at(span)
                            .with(*first, "first here"),
                        );
                        return;
                    }
                    let expr = lower.expr(&attribute.value);
                    // A broken expression is already reported.
                    let broken = !lower.diagnostics.is_empty();
                    diagnostics.extend(std::mem::take(&mut lower.diagnostics));
                    if broken {
                        return;
                    }
                    if let Some(value) = diagnostics.take(expr.eval_constant()) {
                        seen.insert(name.to_owned(), span);
                        values.push((name.to_owned(), value, span));
                    }
                }
                Structure::Block(block) => diagnostics.push(
                    Diagnostic::error(
                        "lang::unexpected",
                        "Unsupported block type",
                        format!(
                            "A file of values holds arguments only, such as {} = \"...\"; a {:?} block belongs into a \
                             *.mesh.hcl file.",
                            block.labels.first().map_or("name", |l| l.as_str()),
                            block.ident.as_str()
                        ),
                    )
                    .at(lower.span(block.ident.span())),
                ),
            }
        });
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok(values) }
    })
}

fn json_values(text: &str, file: u32) -> Result<Vec<(String, Value, Span)>, Diagnostics> {
    let parsed = parse_json(text, file)?;
    let Json::Object(object) = &parsed else {
        let detail =
            format!("A file of values is an object with the names of variables, but this is {}.", a_kind(&parsed));
        return Err(Diagnostic::error("lang::json", "Wrong kind of JSON value", detail)
            .at(span(file, &range(&parsed)))
            .into());
    };
    let mut diagnostics = Diagnostics::new();
    let mut values = Vec::new();
    for property in properties(object, file, &mut diagnostics) {
        let name = property.name.as_str();
        // A comment.
        if name != "//" {
            let value = json_value(&property.value, file, &mut diagnostics);
            diagnostics.take(fits(&value, span(file, &range(&property.value))));
            values.push((name.to_owned(), value, span(file, &range(&property.name))));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(values) }
}

/// The properties of an object; names that come again are reported.
fn properties<'o>(object: &'o Object<'o>, file: u32, diagnostics: &mut Diagnostics) -> Vec<&'o ObjectProp<'o>> {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let mut fresh = Vec::with_capacity(object.properties.len());
    for property in &object.properties {
        let place = span(file, &range(&property.name));
        match seen.insert(property.name.as_str(), place) {
            None => fresh.push(property),
            Some(first) => {
                let detail = format!("The object has an attribute {:?} already.", property.name.as_str());
                diagnostics.push(
                    Diagnostic::error("lang::duplicate", "Duplicate attribute", detail)
                        .at(place)
                        .with(first, "first here"),
                );
            }
        }
    }
    fresh
}

fn json_value(value: &Json<'_>, file: u32, diagnostics: &mut Diagnostics) -> Value {
    match value {
        Json::NullKeyword(_) => Value::NULL,
        Json::BooleanLit(b) => Value::bool(b.value),
        Json::StringLit(text) => Value::string(&*text.value),
        Json::NumberLit(number) => match number.value.parse::<Number>() {
            Ok(number) => Value::number(number),
            Err(_) => {
                let detail = "This number is too long or too big.";
                let place = span(file, &range(number));
                diagnostics.push(Diagnostic::error("lang::expression", "Invalid number", detail).at(place));
                Value::NULL
            }
        },
        Json::Array(array) => {
            Value::tuple(array.elements.iter().map(|v| json_value(v, file, diagnostics)).collect::<Vec<_>>())
        }
        Json::Object(object) => {
            let properties = properties(object, file, diagnostics);
            Value::object(properties.into_iter().map(|p| (p.name.as_str(), json_value(&p.value, file, diagnostics))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::show;

    fn values(text: &str) -> Result<Vec<String>, Vec<String>> {
        values_of("v", text)
    }

    fn values_of(name: &str, text: &str) -> Result<Vec<String>, Vec<String>> {
        let mut sources = Sources::default();
        match parse_values(text, name, &mut sources) {
            Ok(values) => Ok(values.iter().map(|(n, v, _)| format!("{n}={}", show(v))).collect()),
            Err(errors) => Err(errors
                .iter()
                .map(|d| format!("{} {}", d.span.map_or_else(String::new, |s| sources.position(s)), d.summary))
                .collect()),
        }
    }

    #[test]
    fn the_console_knows_type_as_the_whole_expression_only() {
        let types = |text: &str| parse_console(text, "v", &mut Sources::default()).ok().map(|(_, n)| n);
        assert_eq!(types("type((type( [1] ))) # x"), Some(2));
        assert_eq!(types("/* a */ # b\n 1"), Some(0));
        for wrong in ["[type(1)]", "type(1, 2)", "type([1]...)", "type()", "# only", ""] {
            assert_eq!(types(wrong), None, "{wrong}");
        }
        assert!(parse_expression("type(1)", "v", &mut Sources::default()).is_err());
    }

    #[test]
    fn open_brackets_and_heredocs_ask_for_more() {
        for text in ["{ a = [", "upper(<<EOT\nx", "<<-EOT\nx\n", "\"${[\n"] {
            assert!(is_unfinished(text), "{text}");
        }
        for text in ["[1]", "\"[\\\"[\"", "# [", "\"a", "]", "<<EOT\nx\nEOT\n"] {
            assert!(!is_unfinished(text), "{text}");
        }
    }

    #[test]
    fn files_of_values_hold_constants() {
        assert_eq!(
            values("a = 1 + 1\nb = { x = [\"y\"] }\n"),
            Ok(vec!["a=2".into(), "b={ \"x\" = [ \"y\" ] }".into()])
        );
        assert_eq!(
            values("a = var.x\nb = upper(\"x\")\na = 2\nc {}\nd = \n"),
            Err(vec![
                "v:5:3 Missing value".into(),
                "v:1:5 Reference not allowed".into(),
                "v:2:5 Function call not allowed".into(),
                "v:4:1 Unsupported block type".into(),
            ])
        );
        assert_eq!(values("a = 1\na = 2\n"), Err(vec!["v:2:1 Duplicate argument".into()]));
    }

    #[test]
    fn no_word_and_no_line_of_a_file_of_values_is_shown() {
        for text in [
            "a = s3cret\n",
            "a = \"x\" s3cret\n",
            "a = \"s3cret\n",
            "a = s3cret.x\n",
            "a = [s3cret\n",
            "a = <<EOT\ns3cret\n",
        ] {
            let mut sources = Sources::default();
            let found = parse_values(text, "v", &mut sources).expect_err(text);
            assert!(sources.iter().all(|s| s.private), "its lines may be shown");
            assert!(
                found.iter().all(|d| !format!("{} {}", d.summary, d.detail).contains("s3cret")),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn values_in_json_are_taken_as_they_are() {
        let json = |text| values_of("v.json", text);
        assert_eq!(
            json(r#"{"//": "c", "a": "${1+1} $${x}", "b": {"${k}": "%{if}", "//": 1}, "l": [1e2, -0.5, null, true]}"#),
            Ok(vec![
                "a=\"${1+1} $${x}\"".into(),
                "b={ \"${k}\" = \"%{if}\" \"//\" = 1 }".into(),
                "l=[ 100 -0.5 null true ]".into(),
            ])
        );
        assert_eq!(
            json("{\"a\": 1,\n \"a\": {\"k\": 1, \"k\": 2},\n \"b\": {\"k\": 1, \"k\": 2}}"),
            Err(vec!["v.json:2:2 Duplicate attribute".into(), "v.json:3:16 Duplicate attribute".into()])
        );
        for (text, place) in [
            ("[{\"a\": 1}]", "1:1 Wrong kind of JSON value"),
            ("{\"a\":}", "1:6 Invalid JSON"),
            ("{\"a\": 1,}", "1:8 Invalid JSON"),
            ("", "1:1 Invalid JSON"),
            ("{\"a\": 1} x", "1:10 Invalid JSON"),
            ("{\"a\": \"x\ny\"}", "1:9 Invalid JSON"),
        ] {
            assert_eq!(json(text), Err(vec![format!("v.json:{place}")]), "{text}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(100_000));
        assert_eq!(json(&deep), Err(vec!["v.json:1:517 Too deeply nested".into()]));
    }
}
