//! Blocks about objects that exist already: `moved`, `removed`, `import`; and `check`.
//!
//! The one decision: addresses in them are read from the tree, since what they name need not be declared
//! (any more), and only keys of imports are expressions.

use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Attribute, Block};
use mesh_model::{Address, InstanceKey, Mode, ModulePath, Span};

use super::args::{Args, header};
use super::decode::Decoder;
use super::meta::Repetition;
use crate::config::{Check, Import, Moved, Removed, Target};
use crate::expr::Lower;

const NO_REPETITION: Repetition = Repetition { count: None, for_each: None };

/// An address as it is written: names, some with a key after them.
struct Written<'e> {
    parts: Vec<(&'e str, Option<&'e Expression>)>,
}

/// The parts of an address: module calls, then the resource.
struct Split<'e> {
    module: Vec<(&'e str, Option<&'e Expression>)>,
    resource: Option<(Mode, &'e str, &'e str, Option<&'e Expression>)>,
}

fn written(expr: &Expression) -> Option<Written<'_>> {
    let Expression::Traversal(traversal) = expr else { return None };
    let Expression::Variable(root) = &traversal.expr else { return None };
    let mut parts = vec![(root.as_str(), None)];
    for operator in &traversal.operators {
        match operator.value() {
            TraversalOperator::GetAttr(name) => parts.push((name.as_str(), None)),
            TraversalOperator::Index(key) => match parts.last_mut() {
                Some((_, slot @ None)) => *slot = Some(key),
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(Written { parts })
}

fn split(expr: &Expression) -> Option<Split<'_>> {
    let Written { parts } = written(expr)?;
    let mut rest = &parts[..];
    let mut module = Vec::new();
    while let [("module", None), (name, key), after @ ..] = rest {
        module.push((*name, *key));
        rest = after;
    }
    let mode = match rest.first() {
        Some(("data", None)) => Mode::Data,
        Some(("ephemeral", None)) => Mode::Ephemeral,
        _ => Mode::Managed,
    };
    let rest = if mode == Mode::Managed { rest } else { &rest[1..] };
    let resource = match rest {
        [] if !module.is_empty() && mode == Mode::Managed => None,
        // `var.a` is a value, never an object.
        [("var" | "local" | "each" | "count" | "path" | "self" | "mesh" | "terraform", _), ..] => return None,
        [(ty, None), (name, key)] => Some((mode, *ty, *name, *key)),
        _ => return None,
    };
    Some(Split { module, resource })
}

fn literal(expr: &Expression) -> Option<InstanceKey> {
    match expr {
        Expression::String(s) => Some(InstanceKey::Key(s.as_str().into())),
        Expression::Number(n) => n.value().as_u64().map(InstanceKey::Index),
        Expression::Parenthesis(inner) => literal(inner.inner()),
        _ => None,
    }
}

impl Lower {
    /// The address in `from` and `to`; `None` after an error.
    fn target(&mut self, attribute: &Attribute) -> Option<Target> {
        let span = self.span(attribute.value.span());
        let found = address(self, &attribute.value)?;
        if let Target::Resource(address) = &found
            && address.mode != Mode::Managed
        {
            let detail =
                "Only resources are kept in state; data sources and ephemeral resources are read anew each time.";
            self.error("lang::address", "Invalid address", detail, span);
            return None;
        }
        Some(found)
    }

    fn fixed(&mut self, split: Split<'_>) -> Option<Target> {
        let mut module = Vec::new();
        for (name, key) in split.module {
            let key = match key {
                Some(key) => Some(literal(key)?),
                None => None,
            };
            module.push((self.name(name), key));
        }
        let module = ModulePath(module.into());
        let Some((mode, ty, name, key)) = split.resource else { return Some(Target::Module(module)) };
        let key = match key {
            Some(key) => Some(literal(key)?),
            None => None,
        };
        Some(Target::Resource(Address { module, mode, ty: self.name(ty), name: self.name(name), key }))
    }
}

/// An address as it is written, of any mode; `None` after an error.
pub(super) fn address(lower: &mut Lower, expr: &Expression) -> Option<Target> {
    let span = lower.span(expr.span());
    let found = split(expr).and_then(|s| lower.fixed(s));
    if found.is_none() {
        let detail = "This must be an address without quotes, such as vault_policy.istiod, vault_policy.team[\"a\"] \
                      or module.mesh; keys in it are plain texts or numbers.";
        lower.error("lang::address", "Invalid address", detail, span);
    }
    found
}

/// Whether an address names single instances.
pub(super) fn has_key(target: &Target) -> bool {
    match target {
        Target::Module(path) => path.0.iter().any(|(_, k)| k.is_some()),
        Target::Resource(a) => a.key.is_some() || a.module.0.iter().any(|(_, k)| k.is_some()),
    }
}

impl Decoder {
    pub(super) fn moved(&mut self, block: &Block, span: Span) {
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let from = args.required("from", lower).and_then(|a| lower.target(a));
        let to = args.required("to", lower).and_then(|a| lower.target(a));
        args.finish(lower, "a moved block");
        let (Some(from), Some(to)) = (from, to) else { return };
        let alike = matches!((&from, &to), (Target::Module(_), Target::Module(_)))
            || matches!((&from, &to), (Target::Resource(_), Target::Resource(_)));
        if !alike {
            let detail = "A resource moves to a resource address, and a module to a module address.";
            return lower.error("lang::moved", "Invalid move", detail, span);
        }
        if from == to {
            let detail = "This moves an address to itself, which does nothing. Remove the block.";
            return lower.error("lang::moved", "Invalid move", detail, span);
        }
        if let (Target::Resource(a), Target::Resource(b)) = (&from, &to)
            && a.ty != b.ty
        {
            let detail = format!("A {} cannot become a {}: an object keeps its type.", a.ty, b.ty);
            return lower.error("lang::moved", "Invalid move", detail, span);
        }
        self.module.moved.push(Moved { from, to, span });
    }

    pub(super) fn removed(&mut self, block: &Block, span: Span) {
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let from = args.required("from", lower).and_then(|a| {
            let target = lower.target(a)?;
            if has_key(&target) {
                let place = lower.span(a.value.span());
                let detail = "A block is removed with all its instances: write the address without keys.";
                lower.error("lang::address", "Invalid address", detail, place);
                return None;
            }
            Some(target)
        });
        let mut destroy = true;
        if let Some(lifecycle) = args.block("lifecycle", lower) {
            let place = header(lifecycle, lower);
            let mut inner = Args::new(&lifecycle.body, place);
            destroy = inner.bool("destroy", true, lower);
            inner.finish(lower, "the lifecycle block of a removed block");
        }
        args.finish(lower, "a removed block");
        if let Some(from) = from {
            self.module.removed.push(Removed { from, destroy, span });
        }
    }

    pub(super) fn import(&mut self, block: &Block, span: Span) {
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let repetition = Repetition { count: None, for_each: args.expr("for_each", lower) };
        let from = lower.used.len();
        let id = args.required("id", lower).map(|a| lower.expr(&a.value));
        let to = args.required("to", lower);
        let provider = args.attribute("provider").and_then(|a| lower.provider_ref(&a.value));
        args.finish(lower, "an import block");
        let place = to.map_or(span, |a| lower.span(a.value.span()));
        let found = to.and_then(|a| split(&a.value));
        let Some(Split { module, resource: Some((Mode::Managed, ty, name, key)) }) = found else {
            if to.is_some() {
                let detail = "This must be the address of a resource, such as vault_policy.istiod or \
                              vault_policy.team[each.key].";
                lower.error("lang::address", "Invalid address", detail, place);
            }
            return;
        };
        let Some(id) = id else { return };
        let module = module.into_iter().map(|(n, k)| (lower.name(n), k.map(|k| lower.expr(k)))).collect();
        let key = key.map(|k| lower.expr(k));
        lower.check_instance_names(from, &repetition);
        let import = Import {
            module,
            ty: lower.name(ty),
            name: lower.name(name),
            key,
            id,
            for_each: repetition.for_each,
            provider,
            span,
            to: place,
        };
        self.module.imports.push(import);
    }

    pub(super) fn check(&mut self, block: &Block, span: Span, labels: &[Arc<str>]) {
        let [name] = labels else { return };
        let mut args = Args::new(&block.body, span);
        let from = self.lower.used.len();
        let asserts = args.blocks("assert");
        if asserts.is_empty() {
            let detail = "A check needs at least one assert block.";
            self.lower.error("lang::missing", "Missing required block", detail, span);
        }
        let asserts = self.lower.conditions(&asserts);
        self.lower.check_instance_names(from, &NO_REPETITION);
        if let Some(data) = args.block("data", &mut self.lower) {
            let place = header(data, &self.lower);
            for meta in ["count", "for_each"] {
                if let Some(attribute) = data.body.get_attribute(meta) {
                    let place = self.lower.span(attribute.key.span());
                    let detail = format!("A data source inside a check block has no {meta}: it is read once.");
                    self.lower.error("lang::unexpected", "Unsupported argument", detail, place);
                }
            }
            if let Some(lifecycle) = data.body.get_blocks("lifecycle").next() {
                let place = header(lifecycle, &self.lower);
                let detail = "A data source inside a check block has no lifecycle: its conditions are the check's.";
                self.lower.error("lang::unexpected", "Unsupported block type", detail, place);
            }
            if let Some(labels) = self.labels(data, place) {
                let before = self.module.resources.len();
                self.resource(data, place, Mode::Data, &labels);
                if let Some(resource) = self.module.resources.get_mut(before) {
                    resource.check = Some(self.module.checks.len());
                }
            }
        }
        args.finish(&mut self.lower, "a check block");
        if let Some(first) = self.module.checks.iter().find(|c| c.name == *name) {
            let first = first.span;
            self.duplicate(&format!("The check {name:?}"), first, span);
        }
        self.module.checks.push(Check { name: name.clone(), asserts, span });
    }
}
