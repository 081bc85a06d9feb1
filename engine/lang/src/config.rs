//! The configuration: what a folder of files declares, as data.
//!
//! The one decision: modules lie in one arena, one entry for each call path, and everything that a
//! block's meta-arguments say is decoded here once; only what a provider's schema must explain stays
//! a [`Body`]. Nothing is evaluated and nothing expanded.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh_model::{Address, Mode, ModulePath, Path, Span, Value};

use crate::{Body, Expr, Reference, TypeConstraint};

/// A loaded configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The modules; 0 is the root module. A module that is called twice stands here twice.
    pub modules: Vec<Module>,
}

impl Config {
    /// The root module.
    pub fn root(&self) -> &Module {
        &self.modules[0]
    }
}

/// One module on one call path.
#[derive(Clone, Debug)]
pub struct Module {
    /// Names of the calls from the root inwards; empty for the root module.
    pub path: Vec<Arc<str>>,
    /// The calling module; `None` for the root module.
    pub parent: Option<usize>,
    /// The folder.
    pub dir: PathBuf,
    /// The `mesh` block. Backend and encryption count in the root module only.
    pub settings: Settings,
    /// `provider` blocks.
    pub providers: Vec<ProviderConfig>,
    /// `variable` blocks.
    pub variables: Vec<Variable>,
    /// Entries of `locals` blocks.
    pub locals: Vec<Local>,
    /// `output` blocks.
    pub outputs: Vec<Output>,
    /// `resource`, `data` and `ephemeral` blocks.
    pub resources: Vec<Resource>,
    /// `module` blocks.
    pub calls: Vec<ModuleCall>,
    /// `check` blocks.
    pub checks: Vec<Check>,
    /// `moved` blocks.
    pub moved: Vec<Moved>,
    /// `removed` blocks.
    pub removed: Vec<Removed>,
    /// `import` blocks; root module only.
    pub imports: Vec<Import>,
    pub(crate) index: Index,
}

/// Names to positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) variables: HashMap<Arc<str>, usize>,
    pub(crate) locals: HashMap<Arc<str>, usize>,
    pub(crate) outputs: HashMap<Arc<str>, usize>,
    pub(crate) calls: HashMap<Arc<str>, usize>,
    pub(crate) resources: HashMap<(Mode, Arc<str>, Arc<str>), usize>,
}

impl Module {
    /// The variable of a name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.index.variables.get(name).map(|&i| &self.variables[i])
    }

    /// The local value of a name.
    pub fn local(&self, name: &str) -> Option<&Local> {
        self.index.locals.get(name).map(|&i| &self.locals[i])
    }

    /// The output of a name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.index.outputs.get(name).map(|&i| &self.outputs[i])
    }

    /// The module call of a name.
    pub fn call(&self, name: &str) -> Option<&ModuleCall> {
        self.index.calls.get(name).map(|&i| &self.calls[i])
    }

    /// The resource of a mode, type and name.
    pub fn resource(&self, mode: Mode, ty: &Arc<str>, name: &Arc<str>) -> Option<&Resource> {
        self.index.resources.get(&(mode, ty.clone(), name.clone())).map(|&i| &self.resources[i])
    }
}

/// The `mesh` block.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `required_version` as it is written, with its place.
    pub required_version: Option<(String, Span)>,
    /// The type of the state backend and its configuration.
    pub backend: Option<(String, Body)>,
    /// How state is sealed.
    pub encryption: Option<Body>,
    /// How much of its history is kept.
    pub history: Option<Body>,
    /// The header of the block; `None` where there is none.
    pub span: Option<Span>,
}

/// A `provider` block.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The provider.
    pub name: Arc<str>,
    /// The name of this further configuration.
    pub alias: Option<Arc<str>>,
    /// One configuration for each key; what it needs must be known before anything is planned.
    pub for_each: Option<Expr>,
    /// The configuration without the meta-arguments.
    pub body: Body,
    /// The header.
    pub span: Span,
}

/// Which configuration of which provider.
#[derive(Clone, Debug)]
pub struct ProviderRef {
    /// The provider.
    pub name: Arc<str>,
    /// The alias; `None` for the default configuration.
    pub alias: Option<Arc<str>>,
    /// Which one of a configuration with `for_each`: `vault.site[each.key]`.
    pub key: Option<Expr>,
    /// Where it is written.
    pub span: Span,
}

/// A `variable` block.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name.
    pub name: Arc<str>,
    /// What values are taken; `any` where the block says nothing.
    pub ty: TypeConstraint,
    /// Whether text from outside is the value as it stands (no type, or a primitive one); else it is read
    /// as an expression.
    pub literal: bool,
    /// The value where none is given, already of the type.
    pub default: Option<Value>,
    /// What it is for.
    pub description: Option<String>,
    /// Values are marked sensitive.
    pub sensitive: bool,
    /// Whether null is a value; `false`: null means the default.
    pub nullable: bool,
    /// Values are marked ephemeral.
    pub ephemeral: bool,
    /// Who gives a value is warned with this text.
    pub deprecated: Option<String>,
    /// What values must fulfil.
    pub validations: Vec<Condition>,
    /// The header.
    pub span: Span,
}

/// A condition with what to say when it does not hold.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Must be true.
    pub condition: Expr,
    /// The message for people.
    pub error_message: Expr,
    /// The header of the block.
    pub span: Span,
}

/// One entry of a `locals` block.
#[derive(Clone, Debug)]
pub struct Local {
    /// The name.
    pub name: Arc<str>,
    /// The value.
    pub value: Expr,
    /// Where the name stands.
    pub span: Span,
}

/// An `output` block.
#[derive(Clone, Debug)]
pub struct Output {
    /// The name.
    pub name: Arc<str>,
    /// The value.
    pub value: Expr,
    /// What it is.
    pub description: Option<String>,
    /// The value is marked sensitive.
    pub sensitive: bool,
    /// The value is marked ephemeral (not in the root module).
    pub ephemeral: bool,
    /// What must be done before the output is taken.
    pub depends_on: Vec<Reference>,
    /// What must hold before the output is taken.
    pub preconditions: Vec<Condition>,
    /// The header.
    pub span: Span,
}

/// A `resource`, `data` or `ephemeral` block.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Which kind of block.
    pub mode: Mode,
    /// The type, such as `vault_policy`.
    pub ty: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// `provider = ...`; `None`: the default configuration of the type's provider.
    pub provider: Option<ProviderRef>,
    /// How many instances.
    pub count: Option<Expr>,
    /// One instance for each.
    pub for_each: Option<Expr>,
    /// What must be done first, without being referred to.
    pub depends_on: Vec<Reference>,
    /// The `lifecycle` block.
    pub lifecycle: Lifecycle,
    /// How long operations may take.
    pub timeouts: Timeouts,
    /// The configuration without the meta-arguments.
    pub body: Body,
    /// For a data source inside a `check` block: the position of the check in [`Module::checks`].
    pub check: Option<usize>,
    /// The header.
    pub span: Span,
}

/// The `timeouts` block of a resource: how long one operation may take, waiting in it included.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Making the object.
    pub create: Option<Duration>,
    /// Changing it in place.
    pub update: Option<Duration>,
    /// Deleting it.
    pub delete: Option<Duration>,
}

/// A `check` block. A data source in it stands among the module's resources, see [`Resource::check`].
#[derive(Clone, Debug)]
pub struct Check {
    /// The name.
    pub name: Arc<str>,
    /// What should hold; what does not is a warning.
    pub asserts: Vec<Condition>,
    /// The header.
    pub span: Span,
}

/// What a `moved` or `removed` block names, relative to its module. An address without a key means the
/// block with all its instances, or its only one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// `module.a`, `module.a["x"]`
    Module(ModulePath),
    /// `vault_policy.a[0]`, also in a module.
    Resource(Address),
}

/// A `moved` block.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The old name.
    pub from: Target,
    /// The new one.
    pub to: Target,
    /// The header.
    pub span: Span,
}

/// A `removed` block.
#[derive(Clone, Debug)]
pub struct Removed {
    /// What is no longer configured; without keys.
    pub from: Target,
    /// `false`: state forgets the objects and they stay.
    pub destroy: bool,
    /// The header.
    pub span: Span,
}

/// An `import` block.
#[derive(Clone, Debug)]
pub struct Import {
    /// The module calls with the expressions of their keys, from the root inwards.
    pub module: Vec<(Arc<str>, Option<Expr>)>,
    /// The type of the resource.
    pub ty: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The expression of its key.
    pub key: Option<Expr>,
    /// What the object is called outside.
    pub id: Expr,
    /// One import for each.
    pub for_each: Option<Expr>,
    /// `provider = ...`.
    pub provider: Option<ProviderRef>,
    /// The header.
    pub span: Span,
    /// Where the address stands.
    pub to: Span,
}

/// A `lifecycle` block.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    /// Replace by making the new object first.
    pub create_before_destroy: bool,
    /// Refuse to delete.
    pub prevent_destroy: Option<Expr>,
    /// `false`: when the block goes, state forgets the object and it stays.
    pub destroy: bool,
    /// What is not compared.
    pub ignore_changes: Ignore,
    /// Replace when one of these changes.
    pub replace_triggered_by: Vec<Expr>,
    /// Checked before the instance is evaluated.
    pub preconditions: Vec<Condition>,
    /// Checked after the instance is planned and after it is applied.
    pub postconditions: Vec<Condition>,
    /// `"fail"` or `"adopt"`: what to do when the object exists already.
    pub on_existing: Option<Expr>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            create_before_destroy: false,
            prevent_destroy: None,
            destroy: true,
            ignore_changes: Ignore::None,
            replace_triggered_by: Vec::new(),
            preconditions: Vec::new(),
            postconditions: Vec::new(),
            on_existing: None,
        }
    }
}

/// `ignore_changes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignore {
    /// Everything is compared.
    None,
    /// Nothing is compared.
    All,
    /// All but these, each with its place.
    Paths(Vec<(Path, Span)>),
}

/// A `module` block.
#[derive(Clone, Debug)]
pub struct ModuleCall {
    /// The name of the call.
    pub name: Arc<str>,
    /// The called module in [`Config::modules`].
    pub module: usize,
    /// How many instances.
    pub count: Option<Expr>,
    /// One instance for each.
    pub for_each: Option<Expr>,
    /// Values for the variables of the called module.
    pub inputs: Vec<(Arc<str>, Expr)>,
    /// Configurations handed on: the name inside, and the one outside.
    pub providers: Vec<(ProviderRef, ProviderRef)>,
    /// What must be done before anything in the module.
    pub depends_on: Vec<Reference>,
    /// The header.
    pub span: Span,
}

impl Config {
    /// The config without what is in a module and below: calls of it give these outputs; others are null.
    /// `path`: names of the calls from the root inwards. `false` where there is no such module.
    pub fn replace_module(&mut self, path: &[Arc<str>], outputs: &[(Arc<str>, Value)]) -> bool {
        let mut found = false;
        for module in self.modules.iter_mut().filter(|m| m.path.starts_with(path)) {
            let mut hollow = Module::empty(&module.dir);
            (hollow.path, hollow.parent) = (module.path.clone(), module.parent);
            if module.path.len() == path.len() {
                found = true;
                hollow.outputs = std::mem::take(&mut module.outputs);
                hollow.index.outputs = std::mem::take(&mut module.index.outputs);
                for output in &mut hollow.outputs {
                    let given = outputs.iter().find(|(name, _)| *name == output.name).map(|(_, v)| v.clone());
                    output.value = Expr::value_at(given.unwrap_or(Value::NULL), output.span);
                    output.depends_on.clear();
                    output.preconditions.clear();
                }
            }
            *module = hollow;
        }
        found
    }
}
