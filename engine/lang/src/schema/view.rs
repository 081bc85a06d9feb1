//! A body as a schema sees it.
//!
//! The one decision: in JSON an object may be a value or a block, so what is written is looked at through
//! the schema's eyes, in place: nothing is copied, and bodies in the native syntax lose no time.

use std::sync::Arc;

use mesh_model::schema::Block as Declared;
use mesh_model::{Diagnostic, Diagnostics, Kind, Nesting, Span};

use crate::expr::{Node, Op};
use crate::{Block, Body, Dynamic, Expr};

/// The content of a block.
#[derive(Clone, Copy)]
pub(super) enum View<'b> {
    /// Written as a block.
    Body(&'b Body),
    /// Written as an object in JSON, with its place and the argument that it is a part of.
    Object(&'b [(Node, Node)], Span, &'b Expr),
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
            Self::Object(_, span, _) => span,
        }
    }

    /// The value of a name, and the whole expression that it is a part of.
    pub(super) fn argument(self, name: &str) -> Option<(&'b Node, &'b Expr)> {
        match self {
            Self::Body(body) => body.attribute(name).map(|a| (a.expr.node(), &a.expr)),
            Self::Object(items, _, whole) => {
                items.iter().find(|(key, _)| fixed(key) == Some(name)).map(|(_, value)| (value, whole))
            }
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
            Self::Object(items, ..) => items
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
        let labels = usize::from(map);
        match self {
            Self::Body(body) => {
                if let Some(a) = body.attribute(declared.name).filter(|a| a.json) {
                    Unfold { out: &mut out, diagnostics, whole: &a.expr }.value(
                        a.expr.node(),
                        a.name_span,
                        None,
                        labels,
                    );
                }
            }
            Self::Object(items, _, whole) => {
                if let Some((key, value)) = items.iter().find(|(key, _)| fixed(key) == Some(declared.name)) {
                    Unfold { out: &mut out, diagnostics, whole }.value(value, key.span, None, labels);
                }
            }
        }
        for block in self.written().iter().filter(|b| *b.name == *declared.name) {
            if map && block.json && block.dynamic.is_none() && block.labels.is_empty() {
                labelled(&block.body, &mut out, diagnostics);
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

/// Blocks whose labels are the names in `labels`.
fn labelled<'b>(labels: &'b Body, out: &mut Vec<Nested<'b>>, diagnostics: &mut Diagnostics) {
    for a in &labels.attributes {
        Unfold { out, diagnostics, whole: &a.expr }.value(a.expr.node(), a.name_span, Some(&a.name), 0);
    }
    for block in labels.blocks.iter().filter(|b| b.dynamic.is_none()) {
        let (label, place) = (Some(&block.name), block.span);
        out.push(Nested { label, labels: 1, content: View::Body(&block.body), place, dynamic: None });
    }
}

/// The blocks that a value of JSON stands for: an object is one, an array several; above them objects whose
/// names are labels.
struct Unfold<'u, 'b> {
    out: &'u mut Vec<Nested<'b>>,
    diagnostics: &'u mut Diagnostics,
    whole: &'b Expr,
}

impl<'b> Unfold<'_, 'b> {
    fn value(&mut self, value: &'b Node, place: Span, label: Option<&'b Arc<str>>, labels: usize) {
        match &value.op {
            Op::Const(v) if v.is_null() => {}
            Op::Tuple(items) => {
                for item in items {
                    self.value(item, Span { end: item.span.start + 1, ..item.span }, label, labels);
                }
            }
            Op::Object(items) if labels > 0 => items.iter().for_each(|(key, value)| self.labelled(key, value)),
            Op::Object(items) => self.out.push(Nested {
                label,
                labels: usize::from(label.is_some()),
                content: View::Object(items, place, self.whole),
                place,
                dynamic: None,
            }),
            _ => {
                let detail = "This is a block: in JSON an object is its content, and an array of objects that of \
                              several. A computed number of blocks is written as a dynamic block.";
                self.error("lang::json", "Wrong kind of JSON value", detail, value.span);
            }
        }
    }

    fn labelled(&mut self, key: &'b Node, value: &'b Node) {
        match &key.op {
            Op::Const(name) if let Kind::String(name) = name.kind() => self.value(value, key.span, Some(name), 0),
            _ => self.error("lang::labels", "Invalid block label", "The label of a block is a fixed text.", key.span),
        }
    }

    fn error(&mut self, code: &'static str, summary: &'static str, detail: &str, place: Span) {
        self.diagnostics.push(Diagnostic::error(code, summary, detail).at(place));
    }
}

fn fixed(key: &Node) -> Option<&str> {
    match &key.op {
        Op::Const(value) => value.as_str(),
        _ => None,
    }
}
