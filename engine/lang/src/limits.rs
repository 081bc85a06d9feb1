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
    if value.depth() > MAX_DEPTH {
        let detail = format!(
            "This value has more than {MAX_DEPTH} levels of lists and objects in each other. Take only the parts that \
             are needed, or keep deeper data as text with jsonencode."
        );
        return Err(error("Value nested too deeply", detail, span));
    }
    grown(value.size(), span)
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
