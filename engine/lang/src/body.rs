//! Bodies: attributes and nested blocks with compiled expressions.
//!
//! The one decision: a body keeps the order and the spans of the source but none of its text, so
//! that one form serves evaluation against a schema, static checks and error places. What a name
//! means is said by a schema later; only `dynamic` is understood here, since its iterator is a
//! variable of the language.

use std::sync::Arc;

use mesh_model::{Path, Span, Step};

use crate::{Expr, Reference};

/// The content of a block.
#[derive(Clone, Debug)]
pub struct Body {
    /// Attributes in the order of the source.
    pub attributes: Vec<Attribute>,
    /// Nested blocks in the order of the source.
    pub blocks: Vec<Block>,
    /// The block or file that holds it, for what is missing in it.
    pub span: Span,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name.
    pub name: Arc<str>,
    /// The value.
    pub expr: Expr,
    /// Where the name stands.
    pub name_span: Span,
    /// Written in JSON: an object or an array of objects may be blocks, which only a schema knows.
    pub json: bool,
}

/// A nested block, or a `dynamic` block that stands for any number of them.
#[derive(Clone, Debug)]
pub struct Block {
    /// The type of the block; for a `dynamic` block its label.
    pub name: Arc<str>,
    /// The labels.
    pub labels: Vec<Arc<str>>,
    /// The content.
    pub body: Body,
    /// The header: type and labels.
    pub span: Span,
    /// Written in JSON: what a schema has as labels may stand in it as names.
    pub json: bool,
    /// For a `dynamic` block: what it repeats over.
    pub dynamic: Option<Arc<Dynamic>>,
}

/// What a `dynamic` block repeats over. Its iterator is a variable of the expressions in the content.
#[derive(Clone, Debug)]
pub struct Dynamic {
    /// The collection.
    pub for_each: Expr,
    /// The labels of the blocks, one expression for each.
    pub labels: Vec<Expr>,
}

impl Body {
    /// An empty body.
    pub const fn empty(span: Span) -> Self {
        Self { attributes: Vec::new(), blocks: Vec::new(), span }
    }

    /// The attribute of a name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| &*a.name == name)
    }

    /// The nested blocks of a type.
    pub fn blocks_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |b| &*b.name == name)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.blocks.is_empty()
    }
}

/// Every reference in a body, nested and `dynamic` blocks included, in the order of the source.
pub fn body_references(body: &Body) -> Vec<Reference> {
    let mut out = Vec::new();
    collect(body, &mut out);
    out
}

fn collect(body: &Body, out: &mut Vec<Reference>) {
    for attribute in &body.attributes {
        attribute.expr.collect_references(out);
    }
    for block in &body.blocks {
        if let Some(dynamic) = &block.dynamic {
            dynamic.for_each.collect_references(out);
            dynamic.labels.iter().for_each(|l| l.collect_references(out));
        }
        collect(&block.body, out);
    }
}

/// The most precise place for a path of attributes: the element of an object or tuple that is
/// written out, else the attribute's value, else the nearest block around it. `None` where nothing
/// of the path is written.
pub fn attribute_span(body: &Body, path: &Path) -> Option<Span> {
    let (first, rest) = path.0.split_first()?;
    let Step::Key(name) = first else { return None };
    if let Some(attribute) = body.attribute(name) {
        // One block need not stand in an array in JSON.
        let rest = match rest {
            [Step::Index(0), rest @ ..] if attribute.json && attribute.expr.is_object() => rest,
            rest => rest,
        };
        return Some(attribute.expr.span_at(rest));
    }
    let blocks: Vec<&Block> = body.blocks_of(name).collect();
    let (block, rest) = match rest.split_first() {
        Some((Step::Index(i), rest)) => (blocks.get(*i).or_else(|| blocks.last())?, rest),
        Some((Step::Key(k), inner)) => match blocks.iter().find(|b| b.labels.first() == Some(k)) {
            Some(block) => (block, inner),
            None => (blocks.first()?, rest),
        },
        None => (blocks.first()?, rest),
    };
    attribute_span(&block.body, &Path(rest.to_vec())).or(Some(block.span))
}
