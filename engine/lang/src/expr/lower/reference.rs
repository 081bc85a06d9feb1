//! Names with the steps after them: what they refer to.
//!
//! The one decision: how many steps belong to the name is known from its first word alone, so a name is resolved
//! without a schema; the steps behind it go into the value.

use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};
use mesh_model::{Mode, Span, Value};

use super::{Lower, Used};
use crate::expr::{Access, Node, Op, Subject};
use crate::suggest::hint;

/// More steps than anybody writes; every step costs a step at each evaluation.
const MAX_STEPS: usize = 256;
const ROOTS: [&str; 8] = ["var", "local", "module", "data", "each", "count", "path", "self"];

impl Lower {
    pub(super) fn traversal(&mut self, traversal: &Traversal, span: Span) -> Node {
        if traversal.operators.len() > MAX_STEPS {
            let detail = format!("This reference has more than {MAX_STEPS} steps. Split it with local values.");
            return self.broken("Too many steps", detail, span);
        }
        let operators: Vec<&TraversalOperator> = traversal.operators.iter().map(|o| o.value()).collect();
        let (base, taken) = match &traversal.expr {
            Expression::Variable(name) if !self.slots.iter().any(|s| **s == *name.as_str()) => {
                match self.subject_node(name.as_str(), name.span(), &operators, span) {
                    Ok(found) => found,
                    Err(broken) => return broken,
                }
            }
            base => (self.node(base), 0),
        };
        let steps = self.steps(&operators[taken..]);
        if steps.is_empty() {
            Node { span, ..base }
        } else {
            Node { span, op: Op::Access(Box::new(base), steps.into()) }
        }
    }

    /// The subject that a name starts, as a node without the steps into its value, and how many
    /// steps belong to it.
    fn subject_node(
        &mut self,
        root: &str,
        root_span: Option<Range<usize>>,
        operators: &[&TraversalOperator],
        whole: Span,
    ) -> Result<(Node, usize), Node> {
        let (subject, taken) = self.subject(root, operators, whole)?;
        let last = taken.checked_sub(1).and_then(|i| operators[i].span()).or(root_span);
        let span = Span { end: self.span(last).end, ..whole };
        let first = operators[taken..]
            .iter()
            .find(|o| !matches!(o, TraversalOperator::Index(_) | TraversalOperator::LegacyIndex(_)));
        let attribute = match first {
            Some(TraversalOperator::GetAttr(name)) => Some((self.name(name.as_str()), self.span(name.span()))),
            _ => None,
        };
        let keyed = !matches!(operators.get(taken), Some(TraversalOperator::GetAttr(_)));
        self.used.push(Used { subject: subject.clone(), span, attribute, keyed });
        Ok((Node { span, op: Op::Subject(subject) }, taken))
    }

    fn steps(&mut self, operators: &[&TraversalOperator]) -> Vec<Access> {
        let mut steps = Vec::with_capacity(operators.len());
        for (i, operator) in operators.iter().enumerate() {
            let span = self.span(operator.span());
            steps.push(match operator {
                TraversalOperator::GetAttr(name) => Access::Attribute(self.name(name.as_str()), span),
                TraversalOperator::Index(key) => Access::Index(self.node(key)),
                TraversalOperator::LegacyIndex(n) => {
                    if i > 0 && matches!(operators[i - 1], TraversalOperator::LegacyIndex(_)) {
                        self.error(
                            "lang::syntax",
                            "Invalid legacy index syntax",
                            "Two numbers with a dot between them are one number with a fraction. Write [0][1].",
                            span,
                        );
                    }
                    Access::Index(Node { span, op: Op::Const(Value::number(*n.value())) })
                }
                TraversalOperator::FullSplat(_) => Access::Splat(operators.len() - i - 1, span),
                TraversalOperator::AttrSplat(_) => {
                    let steps = &operators[i + 1..];
                    let taken = steps
                        .iter()
                        .take_while(|o| matches!(o, TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_)))
                        .count();
                    if let Some(TraversalOperator::AttrSplat(_)) = steps.get(taken) {
                        let detail = "A second .* cannot follow in the attributes of the first one. Write [*].";
                        self.error("lang::syntax", "Invalid splat", detail, span);
                    }
                    Access::Splat(taken, span)
                }
            });
        }
        steps
    }

    pub(super) fn variable(&mut self, name: &str, span: Span) -> Node {
        if let Some(slot) = self.slots.iter().rposition(|s| **s == *name) {
            return Node { span, op: Op::Slot(slot) };
        }
        self.subject_node(name, None, &[], span).map_or_else(|broken| broken, |(node, _)| Node { span, ..node })
    }

    /// What a name with the steps after it refers to, and how many steps that takes.
    fn subject(&mut self, root: &str, operators: &[&TraversalOperator], span: Span) -> Result<(Subject, usize), Node> {
        let attribute = |i: usize| match operators.get(i) {
            Some(TraversalOperator::GetAttr(name)) => Some(name.as_str()),
            _ => None,
        };
        let named = |lower: &mut Self, what: &str| match attribute(0) {
            Some(name) => Ok(lower.name(name)),
            None => {
                let detail =
                    format!("{root:?} must be followed by a dot and the name of {what}, such as {root}.example.");
                Err(lower.broken("Invalid reference", detail, span))
            }
        };
        let subject = match root {
            "var" => (Subject::Variable(named(self, "a variable")?), 1),
            "local" => (Subject::Local(named(self, "a local value")?), 1),
            "module" => (Subject::Module(named(self, "a module call")?), 1),
            "self" => (Subject::SelfRef, 0),
            "each" | "count" | "path" | "mesh" | "terraform" => {
                let known: &[(&str, Subject)] = match root {
                    "each" => &[("key", Subject::EachKey), ("value", Subject::EachValue)],
                    "count" => &[("index", Subject::Count)],
                    "path" => {
                        &[("module", Subject::PathModule), ("root", Subject::PathRoot), ("cwd", Subject::PathCwd)]
                    }
                    _ => &[("workspace", Subject::Workspace), ("applying", Subject::Applying)],
                };
                match known.iter().find(|(name, _)| attribute(0) == Some(name)) {
                    Some((_, subject)) => (subject.clone(), 1),
                    None => {
                        let names: Vec<String> = known.iter().map(|(n, _)| format!("{root}.{n}")).collect();
                        let detail = format!("The {root:?} object has these attributes only: {}.", names.join(", "));
                        return Err(self.broken("Invalid reference", detail, span));
                    }
                }
            }
            _ => {
                let (mode, first) = match root {
                    "data" => (Mode::Data, 0),
                    "ephemeral" => (Mode::Ephemeral, 0),
                    _ => (Mode::Managed, usize::MAX),
                };
                let (ty, name, taken) =
                    if first == 0 { (attribute(0), attribute(1), 2) } else { (Some(root), attribute(0), 1) };
                let (Some(ty), Some(name)) = (ty, name) else {
                    let detail = if mode == Mode::Managed {
                        let near = hint(root, ROOTS.into_iter().chain(self.slots.iter().map(|s| &**s)));
                        format!(
                            "{root:?} alone refers to nothing. A reference is a resource type with the name of a \
                             resource after a dot, or starts with var, local, module, data, each, count, path or self. \
                             A text must be in quotes.{near}"
                        )
                    } else {
                        format!("{root:?} must be followed by a type and a name, such as {root}.example_type.name.")
                    };
                    return Err(self.broken("Invalid reference", detail, span));
                };
                (Subject::Resource { mode, ty: self.name(ty), name: self.name(name) }, taken)
            }
        };
        Ok(subject)
    }
}

/// Whether an expression is a name with attributes and indexes, and nothing else.
pub(super) fn is_reference(expr: &Expression) -> bool {
    match expr {
        Expression::Variable(_) => true,
        Expression::Traversal(t) => {
            let splat =
                |o: &TraversalOperator| matches!(o, TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_));
            matches!(t.expr, Expression::Variable(_)) && !t.operators.iter().any(|o| splat(o.value()))
        }
        _ => false,
    }
}
