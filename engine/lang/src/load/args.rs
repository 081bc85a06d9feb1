//! Reading the arguments and nested blocks of a block whose names the language itself knows.
//!
//! The one decision: what was not taken when a block is done is unknown, and is reported with the names
//! that there are, so that no decoder can forget a name.

use hcl_edit::Span as _;
use hcl_edit::structure::{Attribute, Block, Body, Structure};
use mesh_model::convert::convert;
use mesh_model::{Diagnostic, Span, Type, Value};

use crate::Expr;
use crate::expr::Lower;
use crate::suggest::hint;

/// The content of a block, of which decoders take what they know.
pub(super) struct Args<'b> {
    pub(super) attributes: Vec<&'b Attribute>,
    pub(super) blocks: Vec<&'b Block>,
    known: Vec<&'static str>,
    /// The block, for what is missing in it.
    pub(super) span: Span,
}

impl<'b> Args<'b> {
    pub(super) fn new(body: &'b Body, span: Span) -> Self {
        let mut args = Self { attributes: Vec::new(), blocks: Vec::new(), known: Vec::new(), span };
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => args.attributes.push(attribute),
                Structure::Block(block) => args.blocks.push(block),
            }
        }
        args
    }

    /// The attribute of a name.
    pub(super) fn attribute(&mut self, name: &'static str) -> Option<&'b Attribute> {
        self.known.push(name);
        let i = self.attributes.iter().position(|a| a.key.as_str() == name)?;
        Some(self.attributes.remove(i))
    }

    /// The attribute of a name, which must be there.
    pub(super) fn required(&mut self, name: &'static str, lower: &mut Lower) -> Option<&'b Attribute> {
        let found = self.attribute(name);
        if found.is_none() {
            let detail = format!("The argument {name:?} is required here.");
            lower.error("lang::missing", "Missing required argument", detail, self.span);
        }
        found
    }

    /// The attribute of a name, which must be there, except in an override file.
    pub(super) fn required_once(&mut self, name: &'static str, lower: &mut Lower) -> Option<&'b Attribute> {
        if lower.overriding { self.attribute(name) } else { self.required(name, lower) }
    }

    /// All blocks of a type.
    pub(super) fn blocks(&mut self, name: &'static str) -> Vec<&'b Block> {
        self.known.push(name);
        let (found, rest) = std::mem::take(&mut self.blocks).into_iter().partition(|b| b.ident.as_str() == name);
        self.blocks = rest;
        found
    }

    /// The block of a type, of which there may be one.
    pub(super) fn block(&mut self, name: &'static str, lower: &mut Lower) -> Option<&'b Block> {
        let found = self.blocks(name);
        if let [first, second, ..] = found.as_slice() {
            let (first, second) = (header(first, lower), header(second, lower));
            let detail = format!("There may be only one {name:?} block here.");
            lower.diagnostics.push(
                Diagnostic::error("lang::duplicate", "Duplicate block", detail).at(second).with(first, "first here"),
            );
        }
        found.first().copied()
    }

    /// Reports everything that nobody took.
    pub(super) fn finish(self, lower: &mut Lower, what: &str) {
        for attribute in &self.attributes {
            let name = attribute.key.as_str();
            let detail = format!(
                "An argument named {name:?} is not expected in {what}.{}",
                hint(name, self.known.iter().copied())
            );
            let span = lower.span(attribute.key.span());
            lower.error("lang::unexpected", "Unsupported argument", detail, span);
        }
        for block in &self.blocks {
            let name = block.ident.as_str();
            let detail = format!(
                "Blocks of type {name:?} are not expected in {what}.{}",
                hint(name, self.known.iter().copied())
            );
            let span = header(block, lower);
            lower.error("lang::unexpected", "Unsupported block type", detail, span);
        }
    }

    /// An optional expression.
    pub(super) fn expr(&mut self, name: &'static str, lower: &mut Lower) -> Option<Expr> {
        self.attribute(name).map(|a| lower.expr(&a.value))
    }

    /// An optional constant of a type.
    pub(super) fn constant(&mut self, name: &'static str, ty: &Type, lower: &mut Lower) -> Option<Value> {
        let attribute = self.attribute(name)?;
        constant(attribute, ty, lower)
    }

    /// An optional constant truth value.
    pub(super) fn bool(&mut self, name: &'static str, default: bool, lower: &mut Lower) -> bool {
        self.constant(name, &Type::Bool, lower).and_then(|v| v.as_bool()).unwrap_or(default)
    }

    /// An optional constant text.
    pub(super) fn string(&mut self, name: &'static str, lower: &mut Lower) -> Option<String> {
        self.constant(name, &Type::String, lower).and_then(|v| v.as_str().map(str::to_owned))
    }
}

/// The value of an attribute that must be a constant of a type.
pub(super) fn constant(attribute: &Attribute, ty: &Type, lower: &mut Lower) -> Option<Value> {
    let expr = lower.quietly(|lower| lower.expr(&attribute.value))?;
    let value = lower.diagnostics.take(expr.eval_constant())?;
    match convert(&value, ty) {
        Ok(value) => Some(value),
        Err(error) => {
            let detail = format!("The value of {:?} does not fit: {error}.", attribute.key.as_str());
            lower.error("lang::type", "Wrong type of an attribute", detail, expr.span());
            None
        }
    }
}

/// The place of type and labels of a block.
pub(super) fn header(block: &Block, lower: &Lower) -> Span {
    let start = lower.span(block.ident.span());
    block.labels.last().map_or(start, |l| start.to(lower.span(l.span())))
}

impl Lower {
    /// The result, unless it came with errors. References in it are not noted: constants have none.
    pub(super) fn quietly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let (used, errors) = (self.used.len(), self.diagnostics.0.len());
        let result = work(self);
        self.used.truncate(used);
        (self.diagnostics.0.len() == errors).then_some(result)
    }
}
