//! A body as a schema sees it.
//!
//! The one decision: in JSON an object may be a value or a block, so what is written is looked at through
//! the schema's eyes, in place: nothing is copied, and bodies in the native syntax lose no time.

use std::sync::Arc;

use mesh_model::schema::Block as Declared;
use mesh_model::{Diagnostic, Diagnostics, Nesting, Span};

use crate::expr::{Node, Op};
use crate::{Block, Body, Dynamic};

/// The content of a block.
#[derive(Clone, Copy)]
pub(super) enum View<'b> {
    /// Written as a block.
    Body(&'b Body),
    /// Written as an object in JSON.
    Object(&'b [(Node, Node)], Span),
}

/// A name with a value.
pub(super) struct Argument<'b> {
    /// `None`: not a fixed text.
    pub(super) name: Option<&'b str>,
    pub(super) place: Span,
    pub(super) value: &'b Node,
    pub(super) json: bool,
}

/// One nested block.
pub(super) struct Nested<'b> {
    pub(super) label: Option<&'b Arc<str>>,
    /// How many labels it has.
    pub(super) labels: usize,
    pub(super) content: View<'b>,
    pub(super) place: Span,
    pub(super) dynamic: Option<&'b Dynamic>,
}

impl<'b> View<'b> {
    /// The place for what is missing.
    pub(super) fn place(self) -> Span {
        match self {
            Self::Body(body) => body.span,
            Self::Object(_, span) => span,
        }
    }

    /// The value of a name.
    pub(super) fn argument(self, name: &str) -> Option<&'b Node> {
        match self {
            Self::Body(body) => body.attribute(name).map(|a| a.expr.node()),
            Self::Object(items, _) => items.iter().find(|(key, _)| fixed(key) == Some(name)).map(|(_, value)| value),
        }
    }

    /// All names with values; comments are none.
    pub(super) fn arguments(self) -> Vec<Argument<'b>> {
        match self {
            Self::Body(body) => body
                .attributes
                .iter()
                .map(|a| Argument { name: Some(&a.name), place: a.name_span, value: a.expr.node(), json: a.json })
                .collect(),
            Self::Object(items, _) => items
                .iter()
                .map(|(key, value)| Argument { name: fixed(key), place: key.span, value, json: true })
                .filter(|a| a.name != Some("//"))
                .collect(),
        }
    }

    /// What is written as blocks, whatever their type.
    pub(super) fn written(self) -> &'b [Block] {
        match self {
            Self::Body(body) => &body.blocks,
            Self::Object(..) => &[],
        }
    }

    /// All blocks of a type. What is in JSON and cannot be one is reported.
    pub(super) fn blocks(self, declared: &Declared, diagnostics: &mut Diagnostics) -> Vec<Nested<'b>> {
        let mut out = Vec::new();
        let map = declared.nesting == Nesting::Map;
        let (value, place, json) = match self {
            Self::Body(body) => match body.attribute(declared.name) {
                Some(a) => (Some(a.expr.node()), a.name_span, a.json),
                None => (None, body.span, false),
            },
            Self::Object(items, span) => match items.iter().find(|(key, _)| fixed(key) == Some(declared.name)) {
                Some((key, value)) => (Some(value), key.span, true),
                None => (None, span, true),
            },
        };
        if let Some(value) = value.filter(|_| json) {
            unfold(value, place, None, usize::from(map), &mut out, diagnostics);
        }
        for block in self.written().iter().filter(|b| *b.name == *declared.name) {
            if map && block.json && block.dynamic.is_none() && block.labels.is_empty() {
                labelled(View::Body(&block.body), &mut out, diagnostics);
                continue;
            }
            out.push(Nested {
                label: block.labels.first(),
                labels: block.dynamic.as_ref().map_or(block.labels.len(), |d| d.labels.len()),
                content: View::Body(&block.body),
                place: block.span,
                dynamic: block.dynamic.as_deref(),
            });
        }
        out
    }
}

/// The blocks that a value of JSON stands for: an object is one, an array several; above them objects whose
/// names are labels.
fn unfold<'b>(
    value: &'b Node,
    place: Span,
    label: Option<&'b Arc<str>>,
    labels: usize,
    out: &mut Vec<Nested<'b>>,
    diagnostics: &mut Diagnostics,
) {
    match &value.op {
        Op::Const(v) if v.is_null() => {}
        Op::Tuple(items) => {
            for item in items {
                let place = Span { end: item.span.start + 1, ..item.span };
                unfold(item, place, label, labels, out, diagnostics);
            }
        }
        Op::Object(items) if labels > 0 => labelled(View::Object(items, place), out, diagnostics),
        Op::Object(items) => out.push(Nested {
            label,
            labels: usize::from(label.is_some()),
            content: View::Object(items, place),
            place,
            dynamic: None,
        }),
        _ => {
            let detail = "This is a block: in JSON an object is its content, and an array of objects that of several. A \
                          computed number of blocks is written as a dynamic block.";
            diagnostics.push(Diagnostic::error("lang::json", "Wrong kind of JSON value", detail).at(value.span));
        }
    }
}

/// Blocks whose labels are the names in `labels`.
fn labelled<'b>(labels: View<'b>, out: &mut Vec<Nested<'b>>, diagnostics: &mut Diagnostics) {
    let names: &[(Node, Node)] = match labels {
        View::Object(items, _) => items,
        View::Body(body) => {
            for attribute in &body.attributes {
                unfold(attribute.expr.node(), attribute.name_span, Some(&attribute.name), 0, out, diagnostics);
            }
            for block in body.blocks.iter().filter(|b| b.dynamic.is_none()) {
                let (label, place) = (Some(&block.name), block.span);
                out.push(Nested { label, labels: 1, content: View::Body(&block.body), place, dynamic: None });
            }
            return;
        }
    };
    for (key, value) in names {
        match &key.op {
            Op::Const(v) if let mesh_model::Kind::String(name) = v.kind() => {
                unfold(value, key.span, Some(name), 0, out, diagnostics);
            }
            _ => diagnostics.push(
                Diagnostic::error("lang::labels", "Invalid block label", "The label of a block is a fixed text.")
                    .at(key.span),
            ),
        }
    }
}

fn fixed(key: &Node) -> Option<&str> {
    match &key.op {
        Op::Const(value) => value.as_str(),
        _ => None,
    }
}
