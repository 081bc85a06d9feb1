//! The functions of the language: one file a group, one row a function.
//!
//! The one decision: what all functions share is done once, in [`Function::call`], and a row says where a
//! function differs; its body computes with plain values. `try`, `can` and `type` are rows without a body:
//! the first two need unevaluated arguments and belong to the evaluator, the last is for the console only
//! ([`types::describe`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mesh_model::convert::convert;
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
mod function;
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

pub use function::{Function, Param, Ty};
pub use reader::{Reader, Seen};

use function::{Body, adapt};

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
