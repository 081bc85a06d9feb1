//! Lowering whole bodies, `dynamic` blocks included.
//!
//! The one decision: the iterator of a `dynamic` block is a slot of the expressions in its content, as
//! a `for` variable is; expanding is left to evaluation against the schema.

use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute as HclAttribute, Block as HclBlock, Body as HclBody, Structure};
use mesh_model::Span;

use super::args::{Args, header};
use crate::body::{Attribute, Block, Body, Dynamic};
use crate::expr::Lower;

impl Lower {
    /// All of a body.
    pub(super) fn body(&mut self, body: &HclBody, span: Span) -> Body {
        let mut out = Body::empty(span);
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => out.attributes.push(self.attribute(attribute)),
                Structure::Block(block) => out.blocks.extend(self.block(block)),
            }
        }
        out
    }

    /// What is left of a body when the meta-arguments are taken.
    pub(super) fn rest(&mut self, args: Args<'_>) -> Body {
        let mut out = Body::empty(args.span);
        out.attributes = args.attributes.into_iter().map(|a| self.attribute(a)).collect();
        out.blocks = args.blocks.into_iter().filter_map(|b| self.block(b)).collect();
        out
    }

    fn attribute(&mut self, attribute: &HclAttribute) -> Attribute {
        Attribute {
            name: self.name(attribute.key.as_str()),
            name_span: self.span(attribute.key.span()),
            expr: self.expr(&attribute.value),
            json: self.places.is_some(),
        }
    }

    fn block(&mut self, block: &HclBlock) -> Option<Block> {
        let span = header(block, self);
        if block.ident.as_str() == "dynamic" {
            return self.dynamic(block, span);
        }
        Some(Block {
            name: self.name(block.ident.as_str()),
            labels: block.labels.iter().map(|l| self.name(l.as_str())).collect(),
            body: self.body(&block.body, span),
            span,
            json: self.places.is_some(),
            dynamic: None,
        })
    }

    fn dynamic(&mut self, block: &HclBlock, span: Span) -> Option<Block> {
        let [label] = block.labels.as_slice() else {
            let detail = "A dynamic block has one label: the type of the blocks to make.";
            self.error("lang::dynamic", "Invalid dynamic block", detail, span);
            return None;
        };
        let name = self.name(label.as_str());
        let mut args = Args::new(&block.body, span);
        let for_each = args.required("for_each", self);
        let iterator = match args.attribute("iterator").map(|a| &a.value) {
            Some(Expression::Variable(iterator)) => self.name(iterator.as_str()),
            None => name.clone(),
            Some(other) => {
                let place = self.span(other.span());
                let detail = "The iterator must be a bare name.";
                self.error("lang::dynamic", "Invalid dynamic iterator name", detail, place);
                name.clone()
            }
        };
        let labels = args.attribute("labels");
        let content = args.block("content", self);
        args.finish(self, "a dynamic block");
        let (for_each, content) = (
            for_each?,
            content.or_else(|| {
                self.error("lang::dynamic", "Missing content block", "A dynamic block needs a content block.", span);
                None
            })?,
        );
        let for_each = self.expr(&for_each.value);
        self.with_slots([iterator], |lower| {
            let labels = match labels.map(|l| &l.value) {
                Some(Expression::Array(items)) => items.iter().map(|e| lower.expr(e)).collect(),
                None => Vec::new(),
                Some(other) => {
                    let place = lower.span(other.span());
                    lower.error("lang::dynamic", "Invalid dynamic labels", "Labels must be written as [...].", place);
                    Vec::new()
                }
            };
            let body = lower.body(&content.body, span);
            let dynamic = Some(Arc::new(Dynamic { for_each, labels }));
            Some(Block { name, labels: Vec::new(), body, span, json: lower.places.is_some(), dynamic })
        })
    }
}
