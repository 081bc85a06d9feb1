//! How much a configuration may ask for.
//!
//! The one decision: limits stand where something is made, and in this one place. A value knows its size
//! with all shared parts counted as often as they occur ([`Value::size`]) and its depth, so the evaluator
//! looks at each result once, and whoever walks, prints or stores a value later needs no limit of its own.
//! Time is counted in steps, not seconds: the same input is refused on every machine. The numbers are far
//! above what is written on purpose, and low enough that a gigabyte of memory suffices.

use mesh_model::{Diagnostic, Diagnostics, Span, Value};

/// The most bytes of one text.
pub const MAX_TEXT: usize = 64 << 20;
/// The most elements that one function call may produce.
pub const MAX_ITEMS: usize = 1 << 20;
/// The largest [`Value::size`]: about two million parts without text.
pub const MAX_SIZE: usize = 128 << 20;
/// The most levels of a value: JSON readers stop at 128, and what is stored must be readable.
pub const MAX_DEPTH: usize = 100;
/// The most steps of evaluating one expression or one block: some seconds. A part of an expression is a
/// step each time it is evaluated; functions and comparisons count by what they are given.
pub const MAX_STEPS: u64 = 50_000_000;
/// The most instances of one block, and of one module.
pub const MAX_INSTANCES: usize = 100_000;
/// The most modules of a configuration, counting each call.
pub(crate) const MAX_MODULES: usize = 10_000;
/// The most variables, locals, blocks and outputs of a configuration, counting a module with each call.
pub(crate) const MAX_BLOCKS: usize = 1_000_000;
/// The most places in one file where something is left open; after each the rest is scanned again.
pub(crate) const MAX_BROKEN: usize = 20;
/// The most errors of one file that are kept.
pub(crate) const MAX_ERRORS: usize = 1000;
/// The most errors of one expression: each is explained by a look at all of it.
pub(crate) const MAX_FAILURES: usize = 100;
/// The most bytes of one source file.
pub const MAX_SOURCE: usize = 256 << 20;
/// The most brackets, commas, equals signs and interpolations in one file: each is something to keep.
pub(crate) const MAX_MARKS: usize = 2_000_000;
/// The same within one attribute or block, which is parsed as a whole: a tree takes some 700 bytes for each.
pub(crate) const MAX_ITEM_MARKS: usize = 500_000;

/// What has more [`MAX_MARKS`] or [`MAX_ITEM_MARKS`] than are read.
pub(crate) fn too_much(what: &str, most: usize, span: Span) -> Diagnostic {
    let detail = format!(
        "{what} has more than {most} brackets, commas, equals signs and interpolations. Split it, or keep large data in \
         a file of its own that is read with jsondecode(file(...))."
    );
    Diagnostic::error("lang::limit", "Too much in one place", detail).at(span)
}

fn error(summary: &'static str, detail: String, span: Span) -> Diagnostics {
    Diagnostic::error("lang::limit", summary, detail).at(span).into()
}

/// Whether a value that was made here may be handed on.
pub(crate) fn fits(value: &Value, span: Span) -> Result<(), Diagnostics> {
    grown(value.size(), span)?;
    if value.depth() > MAX_DEPTH {
        let detail = format!(
            "This value has more than {MAX_DEPTH} levels of lists and objects in each other. Take only the parts that \
             are needed, or keep deeper data as text with jsonencode."
        );
        return Err(error("Value nested too deeply", detail, span));
    }
    Ok(())
}

/// Whether what is being put together may grow on.
pub(crate) fn grown(size: usize, span: Span) -> Result<(), Diagnostics> {
    if size <= MAX_SIZE {
        return Ok(());
    }
    let detail = format!(
        "Written out, with every part as often as it occurs, this value would have more than {} MiB or {} parts. Take \
         only the parts that are needed, or split it.",
        MAX_SIZE >> 20,
        MAX_SIZE / 64
    );
    Err(error("Value too large", detail, span))
}

/// A text that would be longer than [`MAX_TEXT`].
pub(crate) fn text_too_long(span: Span) -> Diagnostics {
    let detail = format!("This text would have more than {} MiB. Split it.", MAX_TEXT >> 20);
    error("Value too large", detail, span)
}

/// [`MAX_STEPS`] are used up.
pub(crate) fn too_long(span: Span) -> Diagnostics {
    let detail = format!(
        "Evaluating was given up here after {} million steps. Repeat over smaller collections, or look things up in \
         a map instead of searching a list for each element.",
        MAX_STEPS / 1_000_000
    );
    error("Evaluation takes too long", detail, span)
}

/// What walking a value costs in steps.
pub(crate) fn cost(value: &Value) -> u64 {
    value.size() as u64 / 1024
}

/// What a function that gave this value has done for it: its parts may be shared, they themselves are not.
pub(crate) fn cost_of_making(value: &Value) -> u64 {
    let text = value.as_str().map_or(0, str::len) / 64;
    let parts = value.as_items().map_or(0, |i| i.len()) + value.as_fields().map_or(0, mesh_model::Fields::len);
    (text + parts / 4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Env, TestScope, show};
    use mesh_model::Sources;

    /// The answer of an expression that has so many steps.
    fn answer(text: &str, steps: u64) -> String {
        let mut sources = Sources::default();
        let expr = crate::parse_expression(text, "test", &mut sources).expect(text);
        let scope = TestScope::new();
        let mut env = Env::new(Some(&scope));
        env.left = steps;
        match env.eval(expr.node()) {
            Ok(value) => show(&value).chars().take(40).collect(),
            Err(errors) => errors.iter().map(|d| d.summary).collect::<Vec<_>>().join(", "),
        }
    }

    /// Each ends within the steps that it is given, and not within fewer.
    #[test]
    fn steps_are_counted_wherever_time_goes() {
        let range = "range(1000)";
        for (text, steps, expected) in [
            (format!("length([for a in {range}: length([for b in {range}: a])])"), 1_500_000, "1000"),
            (format!("length([for a in {range}: a if false])"), 3_000, "0"),
            (format!("length(\"%{{ for a in {range} }}%{{ endfor }}\")"), 1_400, "0"),
            (format!("alltrue([for a in {range}: contains({range}, a)])"), 400_000, "true"),
            ("length([for a in range(100): jsonencode(local.big)])".to_owned(), 150_000, "100"),
            ("alltrue([for a in range(100): local.big == local.big])".to_owned(), 150_000, "true"),
            ("length([for a in range(100): true ? local.big : null])".to_owned(), 140_000, "100"),
            ("length([for a in range(10): [for b in local.big: { x = b }][*].x])".to_owned(), 600_000, "10"),
            (
                format!("length([for a in {range}: templatestring(local.template, {{ l = {range} }})])"),
                2_000_000,
                "1000",
            ),
        ] {
            assert_eq!(answer(&text, steps), expected, "{text}");
            let few = answer(&text, steps / 10);
            assert!(few == "Evaluation takes too long" || few == "Function call failed", "{text}: {few}");
        }
    }

    #[test]
    fn out_of_steps_is_no_error_to_try_around() {
        let slow = "length([for a in range(1000): [for b in range(1000): b]])";
        assert_eq!(answer(&format!("try({slow}, 1)"), 10_000), "Evaluation takes too long");
        assert_eq!(answer(&format!("[{slow}, {slow}, {slow}]"), 10_000), "Evaluation takes too long");
    }

    #[test]
    fn sizes_are_looked_at_where_values_are_made() {
        for expression in [
            "[for a in range(1000): local.big]",
            "{ for a in range(1000): a => local.big }",
            "{ for a in range(1000): \"k\" => local.big... }",
            "[for l in [[for a in range(100): local.big]]: [l, l, l]]",
            "[for l in [[for a in range(100): local.big]]: { a = l, b = l, c = l }]",
            "[for l in [[for a in range(100): local.big]]: concat(l, l, l)]",
            "[for t in [jsonencode(local.big)]: \"%{ for a in range(1000) }${t}${t}%{ endfor }\"]",
            "[for t in [jsonencode(local.big)]: [for a in range(1000): \"${t}${t}${t}\"]]",
        ] {
            assert_eq!(answer(expression, MAX_STEPS), "Value too large", "{expression}");
        }
    }
}
