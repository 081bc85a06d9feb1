//! Texts that are not a module: an expression typed somewhere, and files of values.
//!
//! The one decision: both go through the parser and the compiler of the configuration, so that a value
//! given on the command line means what it means in a file.

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Structure;
use mesh_model::{Diagnostic, Diagnostics, Sources, Span, Value};

use crate::Expr;
use crate::expr::Lower;
use crate::syntax::{on_large_stack, parse_items, scan, syntax_error};

/// Parses one expression: for the console and for values on the command line. `name` is what
/// messages call it.
pub fn parse_expression(text: &str, name: &str, sources: &mut Sources) -> Result<Expr, Diagnostics> {
    let file = sources.add(name, text);
    on_large_stack(|| {
        let whole = text.trim();
        let start = text.len() - text.trim_start().len();
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
        let whole = found.comment.map_or(whole, |end| text[start..end].trim_end());
        match whole.parse::<Expression>() {
            Ok(tree) => {
                let mut lower = Lower::new(sources, file, start);
                let expr = lower.expr(&tree);
                if lower.diagnostics.has_errors() { Err(lower.diagnostics) } else { Ok(expr) }
            }
            Err(error) => Err(syntax_error(text, start, start + whole.len(), &error, file).into()),
        }
    })
}

/// Parses a file of values: attributes whose expressions are constants.
pub fn parse_values(text: &str, name: &str, sources: &mut Sources) -> Result<Vec<(String, Value, Span)>, Diagnostics> {
    let file = sources.add(name, text);
    on_large_stack(|| {
        let mut diagnostics = Diagnostics::new();
        let mut values: Vec<(String, Value, Span)> = Vec::new();
        let mut lower = Lower::new(sources, file, 0);
        parse_items(text, file, &mut diagnostics, |base, item, diagnostics| {
            lower.base = base;
            match item {
                Structure::Attribute(attribute) => {
                    let span = lower.span(attribute.key.span());
                    let name = attribute.key.as_str();
                    if let Some((_, _, first)) = values.iter().find(|(n, ..)| n == name) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::show;

    fn values(text: &str) -> Result<Vec<String>, Vec<String>> {
        let mut sources = Sources::default();
        match parse_values(text, "v", &mut sources) {
            Ok(values) => Ok(values.iter().map(|(n, v, _)| format!("{n}={}", show(v))).collect()),
            Err(errors) => Err(errors
                .iter()
                .map(|d| format!("{} {}", d.span.map_or_else(String::new, |s| sources.position(s)), d.summary))
                .collect()),
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
}
