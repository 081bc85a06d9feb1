//! From the parser's tree to the compiled form.
//!
//! The one decision: names are resolved here, with errors at the name: `for` variables and `dynamic`
//! iterators become slots, everything else a subject that is also noted in `used`, so that the module's
//! static checks need no second walk. What is wrong becomes an unknown value, so that the rest of the
//! file is still checked.

mod reference;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ForExpr, FuncCall, Object, ObjectKey};
use mesh_model::diagnostic::Source;
use mesh_model::{Diagnostic, Diagnostics, Number, Sources, Span, Type, Value};

use reference::is_reference;

use super::template::{Style, elements};
use super::{Call, Expr, For, Node, Op, Reference, Subject};
use crate::functions;
use crate::limits::MAX_ERRORS;
use crate::suggest::hint;
use crate::syntax::Places;

/// A reference that was seen while lowering.
pub(crate) struct Used {
    pub(crate) subject: Subject,
    pub(crate) span: Span,
    /// The first attribute after the subject and its index: for a module the output.
    pub(crate) attribute: Option<(Arc<str>, Span)>,
    /// Whether a key stands between the two.
    pub(crate) keyed: bool,
}

/// What lowering one file needs and collects.
#[derive(Default)]
pub(crate) struct Lower {
    /// The file in `Sources`.
    pub(crate) file: u32,
    /// The text that was parsed.
    pub(crate) source: Option<Arc<Source>>,
    /// Where the parsed item starts in the text.
    pub(crate) base: usize,
    /// For a text that was made from the file: where it comes from.
    pub(crate) places: Option<Places>,
    /// Whether the file overrides others, so that what a block needs may stand there.
    pub(crate) overriding: bool,
    /// Variables in scope, innermost last; their positions are the slots.
    pub(crate) slots: Vec<Arc<str>>,
    pub(crate) used: Vec<Used>,
    pub(crate) diagnostics: Diagnostics,
    names: HashSet<Arc<str>>,
    /// How many `try` and `can` are around.
    attempts: usize,
}

impl Lower {
    /// For one file of `sources`.
    pub(crate) fn new(sources: &Sources, file: u32, base: usize) -> Self {
        Self { file, source: sources.get(file).cloned(), base, ..Self::default() }
    }

    /// What stands at a span of the parser.
    pub(super) fn text(&self, range: Option<Range<usize>>) -> Option<&str> {
        let range = range?;
        self.source.as_ref()?.text.get(self.base + range.start..self.base + range.end)
    }

    /// One shared text for equal names.
    pub(crate) fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        let name: Arc<str> = text.into();
        self.names.insert(name.clone());
        name
    }

    /// A span of the parser as one of the file.
    pub(crate) fn span(&self, range: Option<Range<usize>>) -> Span {
        let range = range.unwrap_or(0..0);
        let written = self.base + range.start..self.base + range.end;
        crate::syntax::span(self.file, &self.places.as_ref().map_or(written.clone(), |p| p.origin(written)))
    }

    pub(crate) fn error(&mut self, code: &'static str, summary: &'static str, detail: impl Into<String>, span: Span) {
        if self.diagnostics.0.len() <= MAX_ERRORS {
            self.diagnostics.push(Diagnostic::error(code, summary, detail).at(span));
        }
    }

    /// A node in the place of something that was reported.
    fn broken(&mut self, summary: &'static str, detail: impl Into<String>, span: Span) -> Node {
        self.error("lang::expression", summary, detail, span);
        Node { span, op: Op::Const(Value::unknown(Type::Dynamic)) }
    }

    pub(crate) fn expr(&mut self, expr: &Expression) -> Expr {
        Expr::new(self.node(expr))
    }

    /// An expression that must be one reference with written-out steps: an element of `depends_on`.
    pub(crate) fn reference(&mut self, expr: &Expression) -> Option<Reference> {
        let errors = self.diagnostics.0.len();
        let lowered = self.expr(expr);
        let whole = match &lowered.node().op {
            Op::Subject(_) => true,
            Op::Access(base, _) => matches!(base.op, Op::Subject(_)),
            _ => false,
        };
        let reference = lowered.references().into_iter().next().filter(|_| whole);
        if reference.is_none() && self.diagnostics.0.len() == errors {
            self.error(
                "lang::reference",
                "Invalid expression",
                "A reference to a resource, data source or module is required here, such as \
                 vault_policy.istiod or module.network.",
                lowered.span(),
            );
        }
        reference
    }

    pub(super) fn node(&mut self, expr: &Expression) -> Node {
        let span = self.span(expr.span());
        let op = match expr {
            Expression::Null(_) => Op::Const(Value::NULL),
            Expression::Bool(b) => Op::Const(Value::bool(*b.value())),
            Expression::Number(n) => {
                // The text, not the parser's float: a minus may be followed by spaces.
                let text: String = n.as_repr().map_or("", |r| r).split_whitespace().collect();
                match text.parse::<Number>() {
                    Ok(n) => Op::Const(Value::number(n)),
                    Err(_) => return self.broken("Invalid number", "This number is too long or too big.", span),
                }
            }
            Expression::String(s) => Op::Const(Value::string(s.value().as_str())),
            Expression::Array(items) => Op::Tuple(items.iter().map(|e| self.node(e)).collect()),
            Expression::Object(object) => self.object(object),
            Expression::StringTemplate(template) => {
                let start = self.base + expr.span().map_or(0, |r| r.start);
                let file = self.places.as_ref().is_some_and(|p| p.is_template(start));
                let style = if file { Style::Json } else { Style::Quoted };
                return self.template(&elements(template), style, span);
            }
            Expression::HeredocTemplate(heredoc) => {
                let indented = self.text(heredoc.span()).is_some_and(|t| t.starts_with("<<-"));
                let style = if indented { Style::Indented } else { Style::Heredoc };
                return self.template(&elements(&heredoc.template), style, span);
            }
            Expression::Parenthesis(inner) => return self.node(inner.inner()),
            Expression::Variable(name) => return self.variable(name.as_str(), span),
            Expression::Conditional(c) => {
                Op::Conditional(Box::new([self.node(&c.cond_expr), self.node(&c.true_expr), self.node(&c.false_expr)]))
            }
            Expression::FuncCall(call) => return self.call(call, span),
            Expression::Traversal(traversal) => return self.traversal(traversal, span),
            Expression::UnaryOp(unary) => Op::Unary(*unary.operator.value(), Box::new(self.node(&unary.expr))),
            Expression::BinaryOp(binary) => Op::Binary(
                *binary.operator.value(),
                Box::new((self.node(&binary.lhs_expr), self.node(&binary.rhs_expr))),
            ),
            Expression::ForExpr(f) => self.for_expr(f),
        };
        Node { span, op }
    }

    fn object(&mut self, object: &Object) -> Op {
        let mut items = Vec::with_capacity(object.len());
        for (key, value) in object.iter() {
            let key_span = self.span(key.span());
            let key = match key {
                ObjectKey::Ident(name) => self.constant_key(name.as_str(), key_span),
                ObjectKey::Expression(Expression::Variable(name)) => self.constant_key(name.as_str(), key_span),
                ObjectKey::Expression(Expression::Null(_)) => self.constant_key("null", key_span),
                ObjectKey::Expression(Expression::Traversal(_)) => self.broken(
                    "Ambiguous attribute key",
                    "If this expression is to give the key, write it in parentheses. If the key is this very text, \
                     write it in quotes.",
                    key_span,
                ),
                ObjectKey::Expression(expr) => self.node(expr),
            };
            items.push((key, self.node(value.expr())));
        }
        Op::Object(items.into())
    }

    fn constant_key(&mut self, name: &str, span: Span) -> Node {
        let name = self.name(name);
        Node { span, op: Op::Const(Value::string(name)) }
    }

    /// Runs `body` with further variables in scope.
    pub(crate) fn with_slots<T>(
        &mut self,
        names: impl IntoIterator<Item = Arc<str>>,
        body: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let depth = self.slots.len();
        self.slots.extend(names);
        let result = body(self);
        self.slots.truncate(depth);
        result
    }

    fn for_expr(&mut self, f: &ForExpr) -> Op {
        let collection = self.node(&f.intro.collection_expr);
        let key = f.intro.key_var.as_ref().map(|k| self.name(k.as_str()));
        let value = self.name(f.intro.value_var.as_str());
        let with_key = key.is_some();
        self.with_slots(key.into_iter().chain([value]), |lower| {
            Op::For(Box::new(For {
                collection,
                with_key,
                key: f.key_expr.as_ref().map(|e| lower.node(e)),
                value: lower.node(&f.value_expr),
                condition: f.cond.as_ref().map(|c| lower.node(&c.expr)),
                grouping: f.grouping,
            }))
        })
    }

    fn call(&mut self, call: &FuncCall, span: Span) -> Node {
        let name = call.name.name.as_str();
        let name_span = self.span(call.name.name.span());
        let namespace = call.name.namespace.iter().map(|n| n.as_str()).collect::<Vec<_>>().join("::");
        let own = matches!(namespace.as_str(), "" | "core");
        let tolerant = own && matches!(name, "try" | "can");
        self.attempts += usize::from(tolerant);
        let mut args: Vec<Node> = call.args.iter().map(|e| self.node(e)).collect();
        self.attempts -= usize::from(tolerant);
        let expand = call.args.expand_final();
        if tolerant {
            match (name, args.len()) {
                ("try", 1..) => {
                    let last = if expand { args.pop().map(Box::new) } else { None };
                    return Node { span, op: Op::Try(args.into(), last) };
                }
                ("can", 1) if !expand => return Node { span, op: Op::Can(Box::new(args.remove(0))) },
                _ => {}
            }
        }
        let unknown = |detail: String| ("Call to unknown function", detail);
        let count = |detail: String| ("Wrong number of function arguments", detail);
        let found = match (own, functions::provided(&namespace)) {
            _ if tolerant => {
                Err(count("try takes at least one argument, can takes exactly one, which is written out.".to_owned()))
            }
            (true, _) if name == "templatestring" && !call.args.iter().next().is_none_or(is_reference) => {
                let detail = "templatestring takes its template by a reference such as local.greeting. A template \
                              that is written out needs no function: it is a text in quotes.";
                Err(("Invalid function argument", detail.to_owned()))
            }
            (true, _) => match functions::lookup(name) {
                Some(function) if function.callable() => Ok(function),
                Some(_) => Err(unknown(
                    "type can only be called in the console, with one argument and as the whole expression.".into(),
                )),
                None => Err(unknown(format!("There is no function named {name:?}.{}", hint(name, functions::names())))),
            },
            (false, []) => {
                let near = hint(&namespace, functions::NAMESPACES);
                Err(unknown(format!("There is no function namespace {namespace:?}.{near}")))
            }
            (false, all) => all.iter().find(|f| f.name == name).ok_or_else(|| {
                let near = hint(name, all.iter().map(|f| f.name));
                unknown(format!("{namespace} has no function named {name:?}.{near}"))
            }),
        };
        let checked = found.and_then(|f| match wrong_count(name, f, args.len(), expand) {
            Some(detail) => Err(count(detail)),
            None => Ok(f),
        });
        let function = match checked {
            Ok(function) => function,
            Err((summary, detail)) => return self.refused(summary, detail, name_span, span),
        };
        let name = self.name(name);
        Node { span, op: Op::Call(Box::new(Call { name, function, args: args.into(), expand })) }
    }

    /// A call that cannot be made: an error of the text, but within `try` and `can` one of the value, as in the
    /// field.
    fn refused(&mut self, summary: &'static str, detail: String, name: Span, span: Span) -> Node {
        if self.attempts == 0 {
            return self.broken(summary, detail, name);
        }
        let diagnostic = Diagnostic::error("lang::expression", summary, detail).at(name);
        Node { span, op: Op::Broken(Box::new(diagnostic)) }
    }
}

fn wrong_count(name: &str, function: &functions::Function, given: usize, expand: bool) -> Option<String> {
    let number = |n: usize| if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") };
    let least = function.params.len();
    if function.variadic.is_none() && given > least + usize::from(expand) {
        return Some(format!("Function {name:?} takes only {}, but {given} are given.", number(least)));
    }
    match function.params.get(given) {
        Some(missing) if !expand => {
            Some(format!("Function {name:?} takes {}. A value for {:?} is missing.", number(least), missing.name))
        }
        _ => None,
    }
}
