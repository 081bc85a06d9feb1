//! Meta-arguments: `lifecycle`, conditions, `provider`, `depends_on`, `count` and `for_each`.
//!
//! The one decision: places that name something (a provider, an attribute path, an object to wait for)
//! are read from the tree, not evaluated: what they say must be known without values.

use std::ops::Range;
use std::time::Duration;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Attribute, Block};
use mesh_model::convert::convert;
use mesh_model::schema::duration_seconds;
use mesh_model::{Mode, Path, Step, Type};

use super::args::{Args, constant, header};
use crate::expr::{Lower, Subject};
use crate::{Condition, Expr, Ignore, Lifecycle, ProviderRef, Reference, Timeouts};

/// The repetition of a block.
pub(super) struct Repetition {
    pub(super) count: Option<Expr>,
    pub(super) for_each: Option<Expr>,
}

impl Lower {
    pub(super) fn repetition(&mut self, args: &mut Args<'_>) -> Repetition {
        let (count, for_each) = (args.attribute("count"), args.attribute("for_each"));
        if let (Some(count), Some(for_each)) = (count, for_each) {
            let (first, second) = (self.span(count.key.span()), self.span(for_each.key.span()));
            self.diagnostics.push(
                mesh_model::Diagnostic::error(
                    "lang::conflict",
                    "Invalid combination of count and for_each",
                    "A block has either count or for_each: both say how many instances there are.",
                )
                .at(second)
                .with(first, "count is here"),
            );
        }
        let from = self.used.len();
        let repetition =
            Repetition { count: count.map(|a| self.expr(&a.value)), for_each: for_each.map(|a| self.expr(&a.value)) };
        self.check_instance_names(from, &Repetition { count: None, for_each: None });
        repetition
    }

    /// Reports `each`, `count` and `self` in references since `from` where they mean nothing.
    pub(super) fn check_instance_names(&mut self, from: usize, repetition: &Repetition) {
        self.check_instance_names_in(from..self.used.len(), repetition);
    }

    /// The same for a part of all references.
    pub(super) fn check_instance_names_in(&mut self, part: Range<usize>, repetition: &Repetition) {
        let mut wrong = Vec::new();
        for used in &self.used[part] {
            let detail = match &used.subject {
                Subject::Count if repetition.count.is_none() => {
                    "count.index can be used only inside a block with count, and not in count itself."
                }
                Subject::EachKey | Subject::EachValue if repetition.for_each.is_none() => {
                    "each.key and each.value can be used only inside a block with for_each, and not in for_each itself."
                }
                Subject::SelfRef => "self can be used only in postconditions.",
                _ => continue,
            };
            wrong.push((detail, used.span));
        }
        for (detail, span) in wrong {
            self.error("lang::reference", "Reference not possible here", detail, span);
        }
    }

    pub(super) fn depends_on(&mut self, args: &mut Args<'_>) -> Vec<Reference> {
        args.attribute("depends_on").map(|a| self.references(a)).unwrap_or_default()
    }

    /// A list of references.
    pub(super) fn references(&mut self, attribute: &Attribute) -> Vec<Reference> {
        match &attribute.value {
            Expression::Array(items) => items.iter().filter_map(|e| self.reference(e)).collect(),
            other => {
                let span = self.span(other.span());
                let detail = format!("{} must be a list of references, written as [...].", attribute.key.as_str());
                self.error("lang::reference", "Invalid expression", detail, span);
                Vec::new()
            }
        }
    }

    /// References that may have keys of the instance: `a.b[count.index].c`.
    fn triggers(&mut self, attribute: &Attribute) -> Vec<Expr> {
        if let Expression::Array(items) = &attribute.value {
            return items.iter().filter_map(|e| self.trigger(e)).collect();
        }
        self.references(attribute);
        Vec::new()
    }

    fn trigger(&mut self, expr: &Expression) -> Option<Expr> {
        let reference = self.reference(expr)?;
        if !matches!(reference.subject, Subject::Resource { mode: Mode::Managed, .. }) {
            let detail = "Only resources trigger a replace, as a whole, one instance, or one attribute of it. To replace after a \
                          change of any other value, make that value the input of a terraform_data resource and name that.";
            self.error("lang::reference", "Invalid trigger", detail, reference.span);
        }
        Some(self.expr(expr))
    }

    /// `vault` or `vault.alias`.
    pub(super) fn provider_ref(&mut self, expr: &Expression) -> Option<ProviderRef> {
        let span = self.span(expr.span());
        let found = match expr {
            Expression::Variable(name) => Some((name.as_str(), None, None)),
            Expression::Traversal(t) => match (&t.expr, t.operators.as_slice()) {
                (Expression::Variable(name), [alias]) => match alias.value() {
                    TraversalOperator::GetAttr(alias) => Some((name.as_str(), Some(alias.as_str()), None)),
                    _ => None,
                },
                (Expression::Variable(name), [alias, key]) => match (alias.value(), key.value()) {
                    (TraversalOperator::GetAttr(alias), TraversalOperator::Index(key)) => {
                        Some((name.as_str(), Some(alias.as_str()), Some(key)))
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let Some((name, alias, key)) = found else {
            let detail = "A provider is named by its bare name, with the alias after a dot: vault or vault.team; one \
                          with for_each has a key: vault.site[\"a\"].";
            self.error("lang::provider", "Invalid provider reference", detail, span);
            return None;
        };
        Some(ProviderRef {
            name: self.name(name),
            alias: alias.map(|a| self.name(a)),
            key: key.map(|k| self.expr(k)),
            span,
        })
    }

    /// The `timeouts` block of a resource.
    pub(super) fn timeouts(&mut self, block: &Block) -> Timeouts {
        let mut args = Args::new(&block.body, header(block, self));
        let mut time = |name: &'static str| {
            let attribute = args.attribute(name)?;
            let text = constant(attribute, &Type::String, self)?;
            let seconds = text.as_str().and_then(duration_seconds);
            let time = seconds.filter(|s| *s > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
            if time.is_none() {
                let span = self.span(attribute.value.span());
                let detail = format!("{name} is how long the operation may take, such as \"90s\" or \"10m\".");
                self.error("lang::value", "Invalid duration", detail, span);
            }
            time
        };
        let timeouts = Timeouts { create: time("create"), update: time("update"), delete: time("delete") };
        args.finish(self, "a timeouts block");
        timeouts
    }

    /// Conditions of blocks of one kind.
    pub(super) fn conditions(&mut self, blocks: &[&Block]) -> Vec<Condition> {
        blocks
            .iter()
            .filter_map(|block| {
                let span = header(block, self);
                let mut args = Args::new(&block.body, span);
                let condition = args.required("condition", self);
                let message = args.required("error_message", self);
                args.finish(self, "a condition");
                let condition = self.expr(&condition?.value);
                if condition.references().is_empty() {
                    let detail =
                        "The condition refers to nothing, so it is always true or always false and checks nothing.";
                    self.error("lang::reference", "Invalid condition", detail, condition.span());
                }
                Some(Condition { condition, error_message: self.expr(&message?.value), span })
            })
            .collect()
    }

    /// The `lifecycle` block. `managed`: of a resource; others have conditions only.
    pub(super) fn lifecycle(&mut self, block: &Block, managed: bool) -> Lifecycle {
        let span = header(block, self);
        let mut args = Args::new(&block.body, span);
        let mut lifecycle = Lifecycle::default();
        if managed {
            lifecycle.create_before_destroy = args.bool("create_before_destroy", false, self);
            lifecycle.prevent_destroy = args.expr("prevent_destroy", self);
            lifecycle.destroy = args.bool("destroy", true, self);
            lifecycle.on_existing = args.expr("on_existing", self);
            lifecycle.ignore_changes =
                args.attribute("ignore_changes").map_or(Ignore::None, |a| self.ignore_changes(&a.value));
            lifecycle.replace_triggered_by =
                args.attribute("replace_triggered_by").map(|a| self.triggers(a)).unwrap_or_default();
            if let Some(expr) = &lifecycle.prevent_destroy
                && expr.constant().is_some_and(|v| convert(&v, &Type::Bool).map_or(true, |v| v.is_null()))
            {
                self.error("lang::value", "Invalid value", "prevent_destroy is true or false.", expr.span());
            }
            if let Some(value) = lifecycle.on_existing.as_ref().and_then(Expr::constant)
                && !matches!(value.as_str(), Some("fail" | "adopt"))
            {
                let place = lifecycle.on_existing.as_ref().map_or(span, Expr::span);
                let detail = "on_existing is \"fail\" (the default) or \"adopt\".";
                self.error("lang::value", "Invalid value", detail, place);
            }
        }
        lifecycle.preconditions = self.conditions(&args.blocks("precondition"));
        let posts = args.blocks("postcondition");
        let from = self.used.len();
        lifecycle.postconditions = self.conditions(&posts);
        // Here alone `self` means something; the caller's check must not see it.
        let seen = self.used.split_off(from);
        self.used.extend(seen.into_iter().filter(|u| u.subject != Subject::SelfRef));
        args.finish(self, "a lifecycle block");
        lifecycle
    }

    fn ignore_changes(&mut self, expr: &Expression) -> Ignore {
        match expr {
            Expression::Variable(name) if name.as_str() == "all" => Ignore::All,
            Expression::Array(items) => {
                Ignore::Paths(items.iter().filter_map(|e| Some((self.path(e)?, self.span(e.span())))).collect())
            }
            other => {
                let span = self.span(other.span());
                let detail =
                    "ignore_changes is a list of attributes, such as [labels, spec[0].replicas], or the word all.";
                self.error("lang::value", "Invalid value", detail, span);
                Ignore::None
            }
        }
    }

    /// A path of attributes relative to the resource: `labels["x"]`.
    fn path(&mut self, expr: &Expression) -> Option<Path> {
        let path = match expr {
            Expression::Variable(name) => Some(Path::attribute(self.name(name.as_str()))),
            Expression::Traversal(t) => match &t.expr {
                Expression::Variable(name) => {
                    let mut steps = vec![Step::Key(self.name(name.as_str()))];
                    steps.extend(t.operators.iter().map_while(|o| self.step(o.value())));
                    (steps.len() == t.operators.len() + 1).then_some(Path(steps))
                }
                _ => None,
            },
            _ => None,
        };
        if path.is_none() {
            let span = self.span(expr.span());
            let detail = "This must be an attribute of the resource, without quotes, such as labels[\"app\"].";
            self.error("lang::value", "Invalid value", detail, span);
        }
        path
    }

    fn step(&mut self, operator: &TraversalOperator) -> Option<Step> {
        match operator {
            TraversalOperator::GetAttr(name) => Some(Step::Key(self.name(name.as_str()))),
            TraversalOperator::LegacyIndex(n) => usize::try_from(*n.value()).ok().map(Step::Index),
            TraversalOperator::Index(Expression::String(s)) => Some(Step::Key(self.name(s.as_str()))),
            TraversalOperator::Index(Expression::Number(n)) => {
                n.value().as_u64().and_then(|n| usize::try_from(n).ok()).map(Step::Index)
            }
            _ => None,
        }
    }

    /// An optional constant text with its place.
    pub(super) fn placed_string(
        &mut self,
        args: &mut Args<'_>,
        name: &'static str,
    ) -> Option<(String, mesh_model::Span)> {
        let attribute = args.attribute(name)?;
        let span = self.span(attribute.value.span());
        let value = super::args::constant(attribute, &Type::String, self)?;
        value.as_str().map(|s| (s.to_owned(), span))
    }
}
