//! One row of the tables: a function with its parameters, and the call that all of them share.
//!
//! The one decision: argument count, conversion to the parameter's type, nulls, unknown and withheld arguments and
//! marks are handled here, so that a body computes with plain values. A row says where its function differs
//! ([`Param::nullable`], [`Param::parts`], [`Param::any`], [`Param::marked`]).

use mesh_model::convert::{ConvertError, convert, convertible};
use mesh_model::path::Step;
use mesh_model::{Kind, Marks, Type, Value};

use super::{CallError, Context, Outcome, too_long};
use crate::limits::MAX_TEXT;

/// The type that arguments are converted to, in a form that can stand in a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ty {
    /// Anything, unconverted.
    Any,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(any)`
    List,
    /// `list(bool)`
    Bools,
    /// `list(number)`
    Numbers,
    /// `list(string)`
    Strings,
    /// `list(list(any))`
    Lists,
    /// `set(any)`
    Set,
    /// `set(string)`
    StringSet,
    /// `map(any)`
    Map,
    /// `map(list(string))`
    StringsMap,
}

impl Ty {
    /// As a type of the model.
    pub fn ty(self) -> Type {
        match self {
            Self::Any => Type::Dynamic,
            Self::Bool => Type::Bool,
            Self::Number => Type::Number,
            Self::String => Type::String,
            Self::List => Type::list(Type::Dynamic),
            Self::Bools => Type::list(Type::Bool),
            Self::Numbers => Type::list(Type::Number),
            Self::Strings => Type::list(Type::String),
            Self::Lists => Type::list(Type::list(Type::Dynamic)),
            Self::Set => Type::set(Type::Dynamic),
            Self::StringSet => Type::set(Type::String),
            Self::Map => Type::map(Type::Dynamic),
            Self::StringsMap => Type::map(Type::list(Type::String)),
        }
    }
}

/// What a parameter does with arguments that are not wholly known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unknowns {
    /// Anything unknown inside makes the result unknown.
    Refuse,
    /// The argument itself must be known, its parts need not be.
    Parts,
    /// The body sees unknown arguments.
    Take,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name in messages and docs.
    pub name: &'static str,
    /// What arguments are converted to.
    pub ty: Ty,
    null: bool,
    unknowns: Unknowns,
    marked: bool,
}

impl Param {
    /// A parameter that refuses null, lets the result be unknown where it is, and loses its marks to the result.
    pub const fn new(name: &'static str, ty: Ty) -> Self {
        Self { name, ty, null: false, unknowns: Unknowns::Refuse, marked: false }
    }

    /// Whether an argument may be null.
    pub const fn takes_null(&self) -> bool {
        self.null
    }

    /// Takes null.
    pub const fn nullable(self) -> Self {
        Self { null: true, ..self }
    }

    /// Takes known containers with unknown parts.
    pub const fn parts(self) -> Self {
        Self { unknowns: Unknowns::Parts, ..self }
    }

    /// Takes unknown arguments.
    pub const fn any(self) -> Self {
        Self { unknowns: Unknowns::Take, ..self }
    }

    /// Takes parts with their marks, which stay on them; marks of the argument itself go to the result.
    pub const fn marked(self) -> Self {
        Self { marked: true, ..self }
    }
}

/// Who may call a function, and how.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Everybody, through [`Function::call`].
    Plain(fn(&Context, &[Value]) -> Outcome),
    /// Everybody; the body sees arguments with all their marks and returns the marks itself.
    Marks(fn(&Context, &[Value]) -> Outcome),
    /// The evaluator (`try`, `can`) or the console (`type`).
    Elsewhere,
}

/// One function of the language.
pub struct Function {
    /// The name it is called by.
    pub name: &'static str,
    /// Parameters that every call gives.
    pub params: &'static [Param],
    /// The parameter that takes all further arguments.
    pub variadic: Option<Param>,
    /// What the result is; [`Ty::Any`] where it depends on the arguments.
    pub result: Ty,
    /// One sentence for users.
    pub doc: &'static str,
    pub(super) body: Body,
    pub(super) unknown: Option<fn(&[Value]) -> Type>,
}

impl Function {
    pub(super) const fn new(
        name: &'static str,
        params: &'static [Param],
        result: Ty,
        body: fn(&Context, &[Value]) -> Outcome,
        doc: &'static str,
    ) -> Self {
        Self { name, params, variadic: None, result, doc, body: Body::Plain(body), unknown: None }
    }

    pub(super) const fn variadic(self, param: Param) -> Self {
        Self { variadic: Some(param), ..self }
    }

    /// The type of the result while an argument is unknown.
    pub(super) const fn typed(self, of: fn(&[Value]) -> Type) -> Self {
        Self { unknown: Some(of), ..self }
    }

    /// The body gets arguments with their marks and answers for those of the result.
    pub(super) const fn sees_marks(self) -> Self {
        match self.body {
            Body::Plain(body) => Self { body: Body::Marks(body), ..self },
            _ => self,
        }
    }

    /// Whether a call evaluates further expressions, those of a template.
    pub(crate) fn renders(&self) -> bool {
        matches!(self.name, "templatefile" | "templatestring")
    }

    /// Whether [`Function::call`] works; `try`, `can` and `type` are done elsewhere.
    pub const fn callable(&self) -> bool {
        !matches!(self.body, Body::Elsewhere)
    }

    /// The parameter that takes argument `index`.
    pub fn param(&self, index: usize) -> Option<&Param> {
        self.params.get(index).or(self.variadic.as_ref())
    }

    /// Calls the function.
    ///
    /// # Errors
    /// Wrong number of arguments, an argument of a wrong type or null, or what the function itself refuses.
    pub fn call(&self, context: &Context, args: &[Value]) -> Result<Value, CallError> {
        if let Some(missing) = self.params.get(args.len()) {
            return Err(CallError::new(format!(
                "the argument {:?} is missing; {}{} must be given",
                missing.name,
                if self.variadic.is_some() { "at least " } else { "" },
                self.params.len(),
            )));
        }
        let mut marks = Marks::NONE;
        let mut unknown = false;
        let mut ready = Vec::with_capacity(args.len());
        for (i, arg) in args.iter().enumerate() {
            let Some(param) = self.param(i) else {
                return Err(CallError::new(format!(
                    "it takes {} arguments, and {} were given",
                    self.params.len(),
                    args.len()
                )));
            };
            let value = adapt(&forget_withheld(arg), &param.ty.ty()).map_err(|e| CallError::at(i, reason(&e)))?;
            if value.is_null() && !param.null {
                return Err(CallError::at(i, "it is null; put a value in its place, for instance with coalesce"));
            }
            unknown |= match param.unknowns {
                Unknowns::Take => false,
                Unknowns::Parts => value.is_unknown(),
                Unknowns::Refuse => !value.is_wholly_known(),
            };
            let (value, own) = match (&self.body, param.marked) {
                (Body::Marks(_), _) => (value, Marks::NONE),
                (_, true) => value.reveal(),
                (_, false) => value.reveal_deep(),
            };
            marks = marks.union(own);
            ready.push(value);
        }
        if unknown {
            let ty = self.unknown.map_or_else(|| self.result.ty(), |of| of(&ready));
            let deep = ready.iter().fold(marks, |m, v| m.union(v.all_marks()));
            return Ok(Value::unknown(ty).mark(deep));
        }
        match self.body {
            Body::Plain(body) | Body::Marks(body) => match body(context, &ready) {
                Ok(value) if value.as_str().is_some_and(|text| text.len() > MAX_TEXT) => Err(too_long()),
                Ok(value) => Ok(value.mark(marks)),
                // A message may quote its argument.
                Err(e) if args.iter().any(|a| !a.all_marks().is_empty()) => Err(CallError {
                    message: "the call failed; the reason is not shown, because an argument is sensitive".into(),
                    ..e
                }),
                Err(e) => Err(e),
            },
            Body::Elsewhere => Err(CallError::new("it cannot be called here")),
        }
    }
}

/// Converts; where there are no elements that could fail to, the type must fit all the same.
pub(super) fn adapt(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    let empty = value.is_null()
        || value.as_items().is_some_and(|i| i.is_empty())
        || value.as_fields().is_some_and(|f| f.is_empty());
    if empty && !convertible(&value.ty(), ty) {
        let reason = format!("{} required, but have {}", ty.friendly(), value.ty().friendly());
        return Err(ConvertError { path: mesh_model::Path::default(), reason });
    }
    convert(value, ty)
}

/// What does not fit, with the way to it in words.
fn reason(error: &ConvertError) -> String {
    let steps = error.path.0.iter().map(|step| match step {
        Step::Key(key) => format!("element {key:?}: "),
        Step::Index(index) => format!("element {index}: "),
    });
    steps.chain([error.reason.clone()]).collect()
}

/// Withheld parts become what every operation on them gives: an unknown, sensitive value.
fn forget_withheld(value: &Value) -> Value {
    if !value.has_withheld() {
        return value.clone();
    }
    match value.kind() {
        Kind::Withheld(ty, _) => Value::unknown(ty.clone()).mark(value.marks()).sensitive(),
        _ => value.map_children(&forget_withheld),
    }
}
