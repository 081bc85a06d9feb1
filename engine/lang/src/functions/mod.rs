//! The functions of the language: one file a group, one row a function.
//!
//! The one decision: what all functions share is done once, in [`Function::call`]: argument count,
//! conversion to the parameter's type, nulls, unknown and withheld arguments, marks. A row says where a
//! function differs ([`Param::nullable`], [`Param::parts`], [`Param::any`], [`Param::marked`]), and its
//! body computes with plain values. `try`, `can` and `type` are rows without a body: the first two need
//! unevaluated arguments and belong to the evaluator, the last is for the console only
//! ([`types::describe`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mesh_model::convert::{ConvertError, convert, convertible};
use mesh_model::path::Step;
use mesh_model::{Fields, Kind, Marks, Type, Value};

use crate::limits::{MAX_DEPTH, MAX_ITEMS, MAX_STEPS, MAX_TEXT};

mod certificate;
mod charset;
mod cidr;
mod collection;
mod csv;
mod date;
mod encoding;
mod filesystem;
mod float;
mod format;
mod glob;
mod hash;
mod json;
mod maps;
mod numeric;
mod quantity;
mod reader;
mod regex;
mod secret;
mod sequence;
mod sets;
mod string;
mod tfvars;
pub mod types;
mod yaml;

#[cfg(test)]
mod tests;

pub use reader::{Reader, Seen};

/// The workspace where none was selected.
pub const DEFAULT_WORKSPACE: &str = "default";

/// What a function may know beside its arguments.
#[derive(Clone, Debug)]
pub struct Context {
    /// Folder of the root module: relative paths start here.
    pub root: PathBuf,
    /// Where the user started the command.
    pub cwd: PathBuf,
    /// Folder of the module that is being evaluated.
    pub module: PathBuf,
    /// Home folder of the user, for `pathexpand`.
    pub home: Option<PathBuf>,
    /// The selected workspace, [`DEFAULT_WORKSPACE`] where none is: `mesh.workspace`.
    pub workspace: Arc<str>,
    /// The time of apply as RFC 3339 in UTC; `None` while planning: then `timestamp`, `uuid` and `bcrypt` are unknown.
    pub timestamp: Option<String>,
    /// The time of the plan as RFC 3339 in UTC.
    pub plan_timestamp: String,
    /// Renders a template with variables; `templatefile` and `templatestring` are errors without it.
    pub template: Option<TemplateHook>,
    /// How many templates are being rendered around this call.
    pub template_depth: u32,
    /// The way to files.
    pub files: Reader,
    /// Steps of evaluation that are left to templates; see [`crate::limits::MAX_STEPS`].
    pub steps: Steps,
}

/// Steps that an expression and the templates that it renders share.
#[derive(Clone, Debug)]
pub struct Steps(Arc<AtomicU64>);

impl Default for Steps {
    fn default() -> Self {
        Self::new(MAX_STEPS)
    }
}

impl Steps {
    pub(crate) fn new(left: u64) -> Self {
        Self(Arc::new(left.into()))
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, left: u64) {
        self.0.store(left, Ordering::Relaxed);
    }
}

/// Renders the template `text`; `name` is what messages call it. The context has
/// [`Context::template_depth`] already raised.
pub type TemplateHook = fn(context: &Context, text: &str, name: &str, vars: &Fields) -> Result<Value, CallError>;

impl Context {
    /// For the module in a folder, while planning at no particular time and without templates; callers
    /// change what they know better.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            cwd: root.clone(),
            module: root.clone(),
            root,
            home: None,
            workspace: DEFAULT_WORKSPACE.into(),
            timestamp: None,
            plan_timestamp: String::new(),
            template: None,
            template_depth: 0,
            files: Reader::default(),
            steps: Steps::default(),
        }
    }

    /// A path as functions with file access understand it: relative to the root module.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.root.join(self.expand(path))
    }

    /// With a leading `~` replaced by the home folder.
    pub fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                PathBuf::from(format!("{}{rest}", home.display()))
            }
            _ => Path::new(path).to_path_buf(),
        }
    }
}

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallError {
    /// The argument at fault, where it is one.
    pub argument: Option<usize>,
    /// What is wrong; without a final stop.
    pub message: String,
}

impl CallError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { argument: None, message: message.into() }
    }

    pub(crate) fn at(argument: usize, message: impl Into<String>) -> Self {
        Self { argument: Some(argument), message: message.into() }
    }
}

type Outcome = Result<Value, CallError>;

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
enum Body {
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
    body: Body,
    unknown: Option<fn(&[Value]) -> Type>,
}

impl Function {
    const fn new(
        name: &'static str,
        params: &'static [Param],
        result: Ty,
        body: fn(&Context, &[Value]) -> Outcome,
        doc: &'static str,
    ) -> Self {
        Self { name, params, variadic: None, result, doc, body: Body::Plain(body), unknown: None }
    }

    const fn variadic(self, param: Param) -> Self {
        Self { variadic: Some(param), ..self }
    }

    /// The type of the result while an argument is unknown.
    const fn typed(self, of: fn(&[Value]) -> Type) -> Self {
        Self { unknown: Some(of), ..self }
    }

    /// The body gets arguments with their marks and answers for those of the result.
    const fn sees_marks(self) -> Self {
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
fn adapt(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
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

/// A group as users know it from the field's documentation.
pub struct Group {
    /// What stands above it.
    pub title: &'static str,
    files: &'static [&'static [Function]],
}

impl Group {
    /// Its functions, file by file.
    pub fn functions(&self) -> impl Iterator<Item = &'static Function> {
        self.files.iter().copied().flatten()
    }
}

/// All groups; a function is in exactly one.
pub const GROUPS: [Group; 10] = [
    Group { title: "Numeric functions", files: &[numeric::FUNCTIONS] },
    Group { title: "String functions", files: &[string::FUNCTIONS, format::FUNCTIONS, regex::FUNCTIONS] },
    Group {
        title: "Collection functions",
        files: &[collection::FUNCTIONS, sequence::FUNCTIONS, maps::FUNCTIONS, sets::FUNCTIONS],
    },
    Group { title: "Encoding functions", files: &[encoding::FUNCTIONS] },
    Group { title: "Filesystem functions", files: &[filesystem::FUNCTIONS] },
    Group { title: "Date and time functions", files: &[date::FUNCTIONS] },
    Group { title: "Hash and crypto functions", files: &[hash::FUNCTIONS, secret::FUNCTIONS] },
    Group { title: "IP network functions", files: &[cidr::FUNCTIONS] },
    Group { title: "Type conversion functions", files: &[types::FUNCTIONS] },
    Group { title: "Mesh functions", files: &[certificate::FUNCTIONS, quantity::FUNCTIONS] },
];

/// The function of this name; `core::` may stand before it.
pub fn lookup(name: &str) -> Option<&'static Function> {
    let name = name.strip_prefix("core::").unwrap_or(name);
    all().find(|f| f.name == name)
}

/// Names of the namespaces that functions can be called in, beside none.
pub const NAMESPACES: [&str; 3] = ["core", "provider::mesh", "provider::terraform"];

/// The functions of a namespace, such as `provider::mesh`; empty for one that does not exist.
pub fn provided(namespace: &str) -> &'static [Function] {
    match namespace {
        "provider::mesh" | "provider::terraform" => tfvars::FUNCTIONS,
        _ => &[],
    }
}

/// All names, for suggestions and completion.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|f| f.name)
}

/// All functions, group by group.
pub fn all() -> impl Iterator<Item = &'static Function> {
    GROUPS.iter().flat_map(Group::functions)
}

/// A call of a function and what it gives, from a table in which expressions stand at the margin and
/// their answers are indented.
pub fn example(name: &str) -> Option<(&'static str, String)> {
    let mut lines = include_str!("examples.txt").lines().filter(|l| !l.starts_with("//"));
    let expression = lines.find(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))?;
    let answer: Vec<&str> = lines.map_while(|l| l.strip_prefix("    ")).collect();
    Some((expression, answer.join("\n")))
}

/// The text of an argument that [`Function::call`] made a string.
fn text(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of an argument that is a list, set or tuple.
fn items(args: &[Value], index: usize) -> &[Value] {
    args.get(index).and_then(Value::as_items).map_or(&[], |i| &**i)
}

/// A whole number within the bounds of `i64`.
fn whole(args: &[Value], index: usize) -> Result<i64, CallError> {
    match args.get(index).and_then(Value::as_number) {
        Some(n) if n.to_i64().is_some() => Ok(n.to_i64().unwrap_or_default()),
        _ => Err(CallError::at(
            index,
            "a whole number of at most 64 bits is needed; floor and ceil make one of a fraction",
        )),
    }
}

fn bounded(text: String) -> Outcome {
    if text.len() > MAX_TEXT { Err(too_long()) } else { Ok(Value::string(text)) }
}

fn too_long() -> CallError {
    CallError::new(format!("the result would be longer than {} MiB", MAX_TEXT >> 20))
}
