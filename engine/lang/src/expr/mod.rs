//! Compiled expressions: what they are, what they refer to, and the door to evaluating them.
//!
//! The one decision: names are resolved when a file is loaded. A reference is a [`Subject`] that the
//! caller's [`Scope`] answers; a `for` variable is a slot; so evaluating looks nothing up by text and
//! shares every value. Lowering is in `lower`, evaluating in `eval`, the operators in `ops`.

mod access;
mod eval;
mod explain;
mod lower;
mod ops;
mod repeat;
mod template;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use hcl_edit::expr::{BinaryOperator, UnaryOperator};
use mesh_model::{Diagnostic, Diagnostics, Mode, Span, Step, Value};

use crate::functions::{self, Function};

pub(crate) use eval::Env;
pub(crate) use lower::{Lower, Used};
pub(crate) use repeat::elements_of;
pub use template::render_template;
#[cfg(test)]
pub(crate) use tests::{TestScope, show};

/// A compiled expression; cloning it is cheap.
#[derive(Clone)]
pub struct Expr(Arc<Node>);

/// Where the values of references come from, and what functions may use.
pub trait Scope {
    /// The value of a subject. `span` is the reference, for the diagnostic.
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic>;
    /// What functions may use.
    fn functions(&self) -> &functions::Context;
    /// Why a function must not be called here, without a final stop; `None` where it may.
    fn refuses(&self, _function: &str) -> Option<&'static str> {
        None
    }
}

/// A reference in an expression.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reference {
    /// What is referred to.
    pub subject: Subject,
    /// The steps after it, as far as they are written out.
    pub rest: Vec<Step>,
    /// Where.
    pub span: Span,
}

/// What can be referred to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// `var.name`
    Variable(Arc<str>),
    /// `local.name`
    Local(Arc<str>),
    /// `type.name`, `data.type.name`, `ephemeral.type.name`: all instances of the block.
    Resource {
        /// Resource, data or ephemeral.
        mode: Mode,
        /// The type.
        ty: Arc<str>,
        /// The name.
        name: Arc<str>,
    },
    /// `module.name`: all instances of the call, each an object of its outputs.
    Module(Arc<str>),
    /// `count.index`
    Count,
    /// `each.key`
    EachKey,
    /// `each.value`
    EachValue,
    /// `self`
    SelfRef,
    /// `path.module`
    PathModule,
    /// `path.root`
    PathRoot,
    /// `path.cwd`
    PathCwd,
    /// `mesh.workspace` and `terraform.workspace`
    Workspace,
    /// `mesh.applying` and `terraform.applying`: ephemeral, since it is false while planning.
    Applying,
}

/// As it is written.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "var.{name}"),
            Self::Local(name) => write!(f, "local.{name}"),
            Self::Resource { mode, ty, name } => write!(f, "{}{ty}.{name}", mode.prefix()),
            Self::Module(name) => write!(f, "module.{name}"),
            Self::Count => f.write_str("count.index"),
            Self::EachKey => f.write_str("each.key"),
            Self::EachValue => f.write_str("each.value"),
            Self::SelfRef => f.write_str("self"),
            Self::PathModule => f.write_str("path.module"),
            Self::PathRoot => f.write_str("path.root"),
            Self::PathCwd => f.write_str("path.cwd"),
            Self::Workspace => f.write_str("mesh.workspace"),
            Self::Applying => f.write_str("mesh.applying"),
        }
    }
}

/// One node of a compiled expression.
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) op: Op,
}

pub(crate) enum Op {
    Const(Value),
    Subject(Subject),
    /// A variable of a `for` expression or a `dynamic` block, by its position on the stack.
    Slot(usize),
    Template(Box<[Part]>),
    Tuple(Box<[Node]>),
    Object(Box<[(Node, Node)]>),
    Unary(UnaryOperator, Box<Node>),
    Binary(BinaryOperator, Box<(Node, Node)>),
    Conditional(Box<[Node; 3]>),
    Call(Box<Call>),
    /// The alternatives, and a sequence of further ones.
    Try(Box<[Node]>, Option<Box<Node>>),
    Can(Box<Node>),
    /// A call that cannot be made, where `try` or `can` looks at it.
    Broken(Box<Diagnostic>),
    Access(Box<Node>, Box<[Access]>),
    For(Box<For>),
}

pub(crate) struct Call {
    pub(crate) name: Arc<str>,
    pub(crate) function: &'static Function,
    pub(crate) args: Box<[Node]>,
    /// The last argument is a sequence of further arguments.
    pub(crate) expand: bool,
}

/// A step after a value.
pub(crate) enum Access {
    Attribute(Arc<str>, Span),
    Index(Node),
    /// The steps that follow (so many) are taken for each element.
    Splat(usize, Span),
}

pub(crate) struct For {
    pub(crate) collection: Node,
    /// Whether the key has a slot, before that of the value.
    pub(crate) with_key: bool,
    /// For an object: the key.
    pub(crate) key: Option<Node>,
    pub(crate) value: Node,
    pub(crate) condition: Option<Node>,
    pub(crate) grouping: bool,
}

/// A piece of a template.
pub(crate) enum Part {
    Text(Arc<str>),
    Value(Node),
    If { condition: Node, then: Box<[Self]>, otherwise: Box<[Self]> },
    For { collection: Node, with_key: bool, body: Box<[Self]> },
}

impl Expr {
    pub(crate) fn new(node: Node) -> Self {
        Self(Arc::new(node))
    }

    /// A constant at a place.
    pub fn value_at(value: Value, span: Span) -> Self {
        Self::new(Node { span, op: Op::Const(value) })
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0
    }

    /// The value in a scope. All errors of independent parts come back at once.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, Diagnostics> {
        Env::new(Some(scope)).eval(&self.0).map_err(|d| self.explain_all(d, Some(scope)))
    }

    /// What a plain reference means, with its keys evaluated: `a.b[count.index].c`. `None` for any
    /// other expression and for keys that are not known.
    ///
    /// # Errors
    /// Those of the keys.
    pub fn traversal(&self, scope: &dyn Scope) -> Result<Option<(Subject, Vec<Step>)>, Diagnostics> {
        let (base, accesses): (&Node, &[Access]) = match &self.0.op {
            Op::Access(base, steps) => (base, steps),
            _ => (&self.0, &[]),
        };
        let Op::Subject(subject) = &base.op else { return Ok(None) };
        let mut steps = Vec::with_capacity(accesses.len());
        for access in accesses {
            let step = match access {
                Access::Attribute(name, _) => Some(Step::Key(name.clone())),
                Access::Index(node) => {
                    let key = Env::new(Some(scope)).eval(node)?;
                    match key.as_str() {
                        Some(text) => Some(Step::Key(text.into())),
                        None => key.as_i64().and_then(|i| usize::try_from(i).ok()).map(Step::Index),
                    }
                }
                Access::Splat(..) => None,
            };
            let Some(step) = step else { return Ok(None) };
            steps.push(step);
        }
        Ok(Some((subject.clone(), steps)))
    }

    /// Every reference, in the order of the source.
    pub fn references(&self) -> Vec<Reference> {
        let mut out = Vec::new();
        self.collect_references(&mut out);
        out
    }

    pub(crate) fn collect_references(&self, out: &mut Vec<Reference>) {
        self.0.references(out);
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.0.span
    }

    /// The value of an expression that refers to nothing and calls no function. `None` for any
    /// other, and for one that fails.
    pub fn constant(&self) -> Option<Value> {
        self.0.constant()
    }

    /// The value of a constant expression, or why it has none.
    pub(crate) fn eval_constant(&self) -> Result<Value, Diagnostics> {
        Env::new(None).eval(&self.0)
    }

    /// Whether an object is written out.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self.0.op, Op::Object(_))
    }

    /// The place of the part at a path, as far as it is written out.
    pub fn span_at(&self, path: &[Step]) -> Span {
        self.0.span_at(path)
    }
}

/// The references only: values may be secret.
impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.references().iter().map(|r| r.subject.to_string()).collect();
        write!(f, "Expr({})", names.join(", "))
    }
}

impl Node {
    /// See [`Expr::constant`].
    pub(crate) fn constant(&self) -> Option<Value> {
        if let Op::Const(value) = &self.op {
            return Some(value.clone());
        }
        Env::new(None).eval(self).ok()
    }

    fn references(&self, out: &mut Vec<Reference>) {
        match &self.op {
            Op::Const(_) | Op::Slot(_) | Op::Broken(_) => {}
            Op::Subject(subject) => {
                out.push(Reference { subject: subject.clone(), rest: Vec::new(), span: self.span });
            }
            Op::Access(base, steps) => {
                if let Op::Subject(subject) = &base.op {
                    let rest = steps.iter().map_while(Access::fixed).collect();
                    out.push(Reference { subject: subject.clone(), rest, span: self.span });
                } else {
                    base.references(out);
                }
                for step in steps {
                    if let Access::Index(key) = step {
                        key.references(out);
                    }
                }
            }
            Op::Template(parts) => parts.iter().for_each(|p| p.references(out)),
            Op::Tuple(items) => items.iter().for_each(|n| n.references(out)),
            Op::Try(items, last) => items.iter().chain(last.as_deref()).for_each(|n| n.references(out)),
            Op::Can(item) => item.references(out),
            Op::Object(items) => items.iter().for_each(|(k, v)| {
                k.references(out);
                v.references(out);
            }),
            Op::Unary(_, node) => node.references(out),
            Op::Binary(_, pair) => {
                pair.0.references(out);
                pair.1.references(out);
            }
            Op::Conditional(parts) => parts.iter().for_each(|n| n.references(out)),
            Op::Call(call) => call.args.iter().for_each(|n| n.references(out)),
            Op::For(f) => {
                f.collection.references(out);
                for node in [&f.key, &f.condition].into_iter().flatten().chain([&f.value]) {
                    node.references(out);
                }
            }
        }
    }

    pub(crate) fn span_at(&self, path: &[Step]) -> Span {
        let Some((first, rest)) = path.split_first() else { return self.span };
        match (&self.op, first) {
            (Op::Tuple(items), Step::Index(i)) => items.get(*i).map_or(self.span, |n| n.span_at(rest)),
            (Op::Object(items), Step::Key(k)) => items
                .iter()
                .rev()
                .find(|(key, _)| matches!(&key.op, Op::Const(v) if v.as_str() == Some(k)))
                .map_or(self.span, |(_, n)| n.span_at(rest)),
            _ => self.span,
        }
    }
}

impl Access {
    /// The step, where it is written out.
    fn fixed(&self) -> Option<Step> {
        match self {
            Self::Attribute(name, _) => Some(Step::Key(name.clone())),
            Self::Index(Node { op: Op::Const(key), .. }) => match key.as_str() {
                Some(text) => Some(Step::Key(text.into())),
                None => key.as_i64().and_then(|i| usize::try_from(i).ok()).map(Step::Index),
            },
            _ => None,
        }
    }
}

impl Part {
    fn references(&self, out: &mut Vec<Reference>) {
        match self {
            Self::Text(_) => {}
            Self::Value(node) => node.references(out),
            Self::If { condition, then, otherwise } => {
                condition.references(out);
                then.iter().chain(otherwise).for_each(|p| p.references(out));
            }
            Self::For { collection, body, .. } => {
                collection.references(out);
                body.iter().for_each(|p| p.references(out));
            }
        }
    }
}
