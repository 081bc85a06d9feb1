//! Evaluating compiled expressions.
//!
//! The one decision: a value and its marks come back together from every node, and independent parts
//! (elements, arguments) are all evaluated even when one fails, so that one run reports all errors.
//! Depth is bounded by what the parser accepts, size and time by [`limits`].

use hcl_edit::expr::{BinaryOperator, UnaryOperator};
use mesh_model::convert::{convert, unify};
use mesh_model::{Diagnostic, Diagnostics, Fields, Kind, Marks, Number, Span, Type, Value};

use super::{Call, Node, Op, Scope, ops};
use crate::functions::{Context, Steps};
use crate::limits::{self, MAX_FAILURES, MAX_STEPS};

/// What evaluating one expression needs.
pub(crate) struct Env<'s> {
    /// `None`: constants only.
    pub(super) scope: Option<&'s dyn Scope>,
    /// Values of `for` variables and `dynamic` iterators.
    pub(crate) slots: Vec<Value>,
    /// Steps until evaluating is given up.
    pub(crate) left: u64,
}

pub(super) type Outcome = Result<Value, Diagnostics>;

pub(super) fn fail(summary: &'static str, detail: impl Into<String>, span: Span) -> Diagnostics {
    Diagnostic::error("lang::expression", summary, detail).at(span).into()
}

/// A withheld value as operations see it: sensitive and not known.
pub(super) fn forget(value: Value) -> Value {
    match value.kind() {
        Kind::Withheld(ty, _) => Value::unknown(ty.clone()).mark(value.marks()).sensitive(),
        _ => value,
    }
}

impl<'s> Env<'s> {
    pub(crate) fn new(scope: Option<&'s dyn Scope>) -> Self {
        Self { scope, slots: Vec::new(), left: MAX_STEPS }
    }

    /// Counts steps that are about to be done at a place.
    pub(crate) fn count(&mut self, steps: u64, span: Span) -> Result<(), Diagnostics> {
        self.left = self.left.saturating_sub(steps);
        if self.left == 0 { Err(limits::too_long(span)) } else { Ok(()) }
    }

    /// Where references are answered.
    pub(crate) fn scope(&self) -> Option<&'s dyn Scope> {
        self.scope
    }

    /// The value of a node.
    pub(crate) fn eval(&mut self, node: &Node) -> Outcome {
        self.count(1, node.span)?;
        let value = self.compute(node)?;
        match node.op {
            // Made, and looked at, elsewhere.
            Op::Const(_) | Op::Subject(_) | Op::Slot(_) => {}
            _ => limits::fits(&value, node.span)?,
        }
        Ok(value)
    }

    fn compute(&mut self, node: &Node) -> Outcome {
        match &node.op {
            Op::Const(value) => Ok(value.clone()),
            Op::Subject(subject) => match self.scope {
                Some(scope) => scope.resolve(subject, node.span).map_err(|d| d.at_default(Some(node.span)).into()),
                None => Err(fail(
                    "Reference not allowed",
                    format!("{subject} cannot be used here: this value must be a constant."),
                    node.span,
                )),
            },
            Op::Slot(slot) => Ok(self.slots.get(*slot).cloned().unwrap_or(Value::NULL)),
            Op::Template(parts) => self.template(parts, node.span),
            Op::Tuple(items) => self.all(items).map(Value::tuple),
            Op::Object(items) => self.object(items),
            Op::Unary(operator, operand) => {
                let value = self.eval(operand)?;
                ops::unary(*operator, value, node.span)
            }
            Op::Binary(operator, pair) => {
                let left = self.eval(&pair.0);
                let (left, right) = both(left, self.eval(&pair.1))?;
                self.count(limits::cost(&left) + limits::cost(&right), node.span)?;
                ops::binary(*operator, left, right, (pair.0.span, pair.1.span, node.span))
            }
            Op::Conditional(parts) => self.conditional(parts, node.span),
            Op::Call(call) => self.call(call, node.span),
            Op::Try(items, None) => self.attempt(items, Vec::new(), node.span),
            Op::Try(items, Some(last)) => match self.expanded(last)? {
                Err(unknown) => Ok(unknown),
                Ok((values, marks)) => self.attempt(items, values, node.span).map(|v| v.mark(marks)),
            },
            Op::Can(item) => match self.attempt(std::slice::from_ref(item), Vec::new(), node.span) {
                Ok(value) if value.is_wholly_known() => Ok(Value::bool(true)),
                Ok(_) => Ok(Value::unknown(Type::Bool)),
                Err(_) => Ok(Value::bool(false)),
            },
            Op::Broken(diagnostic) => Err((**diagnostic).clone().into()),
            Op::Access(base, steps) => {
                let value = self.eval(base)?;
                self.access(value, steps, base.span)
            }
            Op::For(f) => self.for_expr(f),
        }
    }

    /// The values of independent nodes, or all their errors.
    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Value>, Diagnostics> {
        let mut values = Vec::with_capacity(nodes.len());
        let mut errors = Diagnostics::new();
        let mut size = 0;
        for node in nodes {
            if let Some(value) = errors.take(self.eval(node)) {
                size += value.size();
                limits::grown(size, node.span)?;
                values.push(value);
            } else if self.left == 0 || errors.0.len() >= MAX_FAILURES {
                break;
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }

    fn object(&mut self, items: &[(Node, Node)]) -> Outcome {
        let mut entries = Vec::with_capacity(items.len());
        let mut errors = Diagnostics::new();
        let mut marks = Marks::NONE;
        let mut known = true;
        let mut size = 0;
        for (key_node, value_node) in items {
            if self.left == 0 || errors.0.len() >= MAX_FAILURES {
                break;
            }
            let key = match &key_node.op {
                Op::Const(value) => Ok(value.clone()),
                _ => self.eval(key_node),
            }
            .and_then(|key| object_key(key, key_node.span));
            let value = errors.take(self.eval(value_node));
            size += value.as_ref().map_or(0, Value::size);
            limits::grown(size, value_node.span)?;
            let Some(key) = errors.take(key) else { continue };
            marks = marks.union(key.marks());
            match (key.kind(), value) {
                (Kind::String(key), Some(value)) => entries.push((key.clone(), value)),
                (Kind::Unknown(_), _) => known = false,
                _ => {}
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let value = if known { Value::from_fields(fields(entries)) } else { Value::unknown(Type::Dynamic) };
        Ok(value.mark(marks))
    }

    fn conditional(&mut self, [condition, then, otherwise]: &[Node; 3], span: Span) -> Outcome {
        let condition_value = self.eval(condition);
        let (then_value, other_value) = (self.eval(then), self.eval(otherwise));
        for value in [&then_value, &other_value].into_iter().flatten() {
            self.count(limits::cost(value), span)?;
        }
        let a = then_value.as_ref().map_or_else(|_| self.type_after_failure(then), Value::ty);
        let b = other_value.as_ref().map_or_else(|_| self.type_after_failure(otherwise), Value::ty);
        let bare_null =
            |v: &Outcome| matches!(v, Ok(v) if v.is_null() && v.marks().is_empty() && v.ty() == Type::Dynamic);
        // A bare null becomes what the other result is; any other type that is not known leaves both as they are.
        let ty = match (&a, &b) {
            (Type::Dynamic, other) if bare_null(&then_value) => Some(other.clone()),
            (other, Type::Dynamic) if bare_null(&other_value) => Some(other.clone()),
            (Type::Dynamic, _) | (_, Type::Dynamic) => Some(Type::Dynamic),
            _ => unify(&[a.clone(), b.clone()]),
        };
        let Some(ty) = ty else {
            return Err(fail(
                "No common type of both results",
                format!(
                    "Both results of a condition must have one type. The first is {}, the second is {}.",
                    a.friendly(),
                    b.friendly()
                ),
                span,
            ));
        };
        let condition_value = forget(condition_value?);
        // As in the field, the marks of both branches count: which one was taken tells something.
        let marks = [&then_value, &other_value]
            .into_iter()
            .flatten()
            .fold(condition_value.marks(), |marks, value| marks.union(value.marks()));
        let Some(truth) = condition_truth(&condition_value, condition.span)? else {
            let null = |v: &Outcome| v.as_ref().is_ok_and(Value::is_null);
            let value = if null(&then_value) && null(&other_value) { Value::null(ty) } else { Value::unknown(ty) };
            return Ok(value.mark(marks));
        };
        let (value, place) = if truth { (then_value?, then.span) } else { (other_value?, otherwise.span) };
        let value = if value.ty() == ty { Ok(value) } else { convert(&value, &ty) };
        value.map(|v| v.mark(marks)).map_err(|e| {
            fail("No common type of both results", format!("This result does not fit the other one: {e}."), place)
        })
    }

    /// What the result of a failing node would have been, as far as the field says: the other result of a
    /// condition must fit it all the same.
    fn type_after_failure(&mut self, node: &Node) -> Type {
        use BinaryOperator as B;
        let mut of = |node: &Node| match self.eval(node) {
            Ok(value) => value.ty(),
            Err(_) => self.type_after_failure(node),
        };
        match &node.op {
            Op::Unary(UnaryOperator::Neg, _) => Type::Number,
            Op::Unary(UnaryOperator::Not, _) => Type::Bool,
            Op::Binary(B::Plus | B::Minus | B::Mul | B::Div | B::Mod, _) => Type::Number,
            Op::Binary(..) => Type::Bool,
            Op::Template(_) => Type::String,
            Op::Tuple(items) => Type::tuple(items.iter().map(of).collect::<Vec<_>>()),
            Op::Object(items) if items.iter().all(|(key, _)| matches!(key.op, Op::Const(_))) => {
                let name = |key: &Node| match &key.op {
                    Op::Const(value) => value.as_str().unwrap_or_default().to_owned(),
                    _ => String::new(),
                };
                Type::object(items.iter().map(|(key, value)| (name(key), of(value))).collect::<Vec<_>>())
            }
            Op::Conditional(parts) => {
                let types = [of(&parts[1]), of(&parts[2])];
                if types.contains(&Type::Dynamic) { Type::Dynamic } else { unify(&types).unwrap_or(Type::Dynamic) }
            }
            // What fails in the condition leaves elements out.
            Op::For(f) if f.condition.is_some() => Type::Dynamic,
            Op::For(f) => match self.eval(&f.collection) {
                Ok(value) if f.key.is_none() && value.children().next().is_some() => Type::tuple([Type::Dynamic]),
                _ => Type::Dynamic,
            },
            Op::Access(base, steps) => self.eval(base).map_or(Type::Dynamic, |v| self.splat_after_failure(v, steps)),
            _ => Type::Dynamic,
        }
    }

    fn call(&mut self, call: &Call, span: Span) -> Outcome {
        let mut args = self.all(&call.args)?;
        let mut marks = Marks::NONE;
        if call.expand
            && let Some(last) = args.pop()
        {
            match expand(last, call.args.last().map_or(span, |n| n.span))? {
                Err(unknown) => return Ok(unknown),
                Ok((values, own)) => {
                    args.extend(values);
                    marks = own;
                }
            }
        }
        let Some(scope) = self.scope else {
            return Err(fail(
                "Function call not allowed",
                format!("{} cannot be called here: this value must be a constant.", call.name),
                span,
            ));
        };
        if let Some(why) = scope.refuses(&call.name) {
            return Err(fail(
                "Function call not allowed",
                format!("{} cannot be called here: {why}.", call.name),
                span,
            ));
        }
        self.count(args.iter().map(limits::cost).sum(), span)?;
        let result = if call.function.renders() {
            let context = Context { steps: Steps::new(self.left), ..scope.functions().clone() };
            let result = call.function.call(&context, &args);
            self.left = context.steps.left();
            result
        } else {
            call.function.call(scope.functions(), &args)
        };
        self.count(result.as_ref().map_or(0, limits::cost_of_making), span)?;
        result.map(|v| v.mark(marks)).map_err(|error| {
            let argument = error.argument.filter(|i| *i < call.args.len());
            let secret = args.iter().any(|a| a.all_marks().sensitive() || a.all_marks().ephemeral());
            let reason =
                if secret { "an argument is sensitive, so the reason is not shown".to_owned() } else { error.message };
            let parameter = error.argument.and_then(|i| call.function.param(i));
            match (argument, parameter) {
                (Some(i), Some(parameter)) => fail(
                    "Invalid function argument",
                    format!("Function {:?} does not take this value for {:?}: {reason}.", &*call.name, parameter.name),
                    call.args[i].span,
                ),
                _ => fail("Function call failed", format!("Function {:?} failed: {reason}.", &*call.name), span),
            }
        })
    }

    /// What the argument before `...` stands for.
    fn expanded(&mut self, node: &Node) -> Result<Expanded, Diagnostics> {
        expand(self.eval(node)?, node.span)
    }

    /// The first that does not fail.
    fn attempt(&mut self, nodes: &[Node], values: Vec<Value>, span: Span) -> Outcome {
        let mut reasons = Vec::new();
        for result in nodes.iter().map(Err).chain(values.into_iter().map(Ok)) {
            match result.or_else(|node| self.eval(node)) {
                // What is unknown now may fail or change its type later.
                Ok(value) if !value.is_wholly_known() => {
                    return Ok(Value::unknown(Type::Dynamic).mark(value.all_marks()));
                }
                Ok(value) => return Ok(value),
                Err(errors) if self.left == 0 => return Err(errors),
                Err(errors) => reasons.extend(errors.0.into_iter().map(|d| d.detail)),
            }
        }
        Err(fail(
            "No expression succeeded",
            format!("try found no expression without an error: {}", reasons.join(" ")),
            span,
        ))
    }
}

/// The values that stand in the place of an expanded argument, with its marks; or what the call gives as long
/// as they are not known.
type Expanded = Result<(Vec<Value>, Marks), Value>;

fn expand(value: Value, place: Span) -> Result<Expanded, Diagnostics> {
    let value = forget(value);
    let marks = value.marks();
    let detail = match (value.kind(), value.as_items()) {
        (Kind::Unknown(Type::Dynamic | Type::List(_) | Type::Set(_) | Type::Tuple(_)), _) => {
            return Ok(Err(Value::unknown(Type::Dynamic).mark(marks)));
        }
        (_, Some(items)) => return Ok(Ok((items.to_vec(), marks))),
        (Kind::Null(_), _) => "The argument before ... must not be null.",
        _ => "The argument before ... must be a tuple, list or set.",
    };
    Err(fail("Expanded argument is no list", detail, place))
}

/// Both values, or the errors of both.
pub(super) fn both(left: Outcome, right: Outcome) -> Result<(Value, Value), Diagnostics> {
    match (left, right) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(mut left), Err(right)) => {
            left.extend(right);
            Err(left)
        }
        (Err(errors), _) | (_, Err(errors)) => Err(errors),
    }
}

/// `None`: not known yet.
pub(super) fn condition_truth(value: &Value, span: Span) -> Result<Option<bool>, Diagnostics> {
    if value.is_null() {
        let detail = "The condition is null. It must be true or false.";
        return Err(fail("Null condition", detail, span));
    }
    if value.is_unknown() {
        return Ok(None);
    }
    match convert(value, &Type::Bool) {
        Ok(value) => Ok(value.as_bool()),
        Err(_) => {
            let detail = format!("The condition must be true or false, but it is {}.", a_type(value));
            Err(fail("Condition is not true or false", detail, span))
        }
    }
}

/// The type with an article, for messages.
pub(super) fn a_type(value: &Value) -> String {
    if value.is_null() {
        return "null".into();
    }
    let name = value.ty().friendly();
    if name.starts_with(['a', 'o']) { format!("an {name}") } else { format!("a {name}") }
}

/// A key of an object as text, or unknown.
pub(super) fn object_key(key: Value, span: Span) -> Outcome {
    let key = forget(key);
    if key.is_null() {
        return Err(fail("Null value as key", "A null value cannot be a key.", span));
    }
    if key.as_str().is_some() {
        return Ok(key);
    }
    if key.is_unknown() {
        return Ok(Value::unknown(Type::String).mark(key.marks()));
    }
    convert(&key, &Type::String)
        .map_err(|_| fail("Invalid object key", format!("A key must be a string, but this is {}.", a_type(&key)), span))
}

/// Fields of entries in any order; of equal keys the last wins.
pub(super) fn fields(entries: Vec<(std::sync::Arc<str>, Value)>) -> Fields {
    if entries.windows(2).all(|w| w[0].0 < w[1].0) {
        Fields::from_sorted(entries)
    } else {
        entries.into_iter().collect()
    }
}

/// A number as a value.
pub(super) fn number(n: impl Into<Number>) -> Value {
    Value::number(n)
}
