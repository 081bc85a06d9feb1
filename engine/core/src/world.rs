//! The world of a walk: module instances and the value of every node so far.
//!
//! The one decision: planning and applying share one world. Planning fills it with planned values
//! (unknown where not known); applying overwrites them, node by node in dependency order, with what
//! became true. A scope looks values up by node number; nothing is copied but `Arc`s.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use mesh_lang::functions::Context;
use mesh_lang::limits::MAX_INSTANCES;
use mesh_lang::{Config, Scope, Subject};
use mesh_model::{Address, Diagnostic, InstanceKey, ModulePath, Span, Type, Value};

use crate::graph::{Graph, Node};

/// What `count.index`, `each.key` and `each.value` are for one instance.
#[derive(Clone, Debug, Default)]
pub struct Repetition {
    /// The key of the address.
    pub key: Option<InstanceKey>,
    /// `each.value`.
    pub value: Option<Value>,
}

/// One instance of a module.
#[derive(Clone, Debug)]
pub struct ModuleInstance {
    /// Its path.
    pub path: ModulePath,
    /// The position of the calling instance among those of the calling module.
    pub parent: usize,
    /// What the call's repetition gives.
    pub repetition: Repetition,
}

/// Values and module instances.
pub struct World<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// Its graph.
    pub graph: &'c Graph,
    /// Instances of each module; `None` before its call is expanded.
    modules: RefCell<Vec<Option<Arc<[ModuleInstance]>>>>,
    /// Values of each node by module instance.
    values: RefCell<Vec<Vec<Value>>>,
    /// What callers see of module calls, while the outputs stay as they are.
    calls: RefCell<HashMap<(u32, usize), Value>>,
    functions: Vec<Context>,
    applying: OnceCell<Vec<Context>>,
}

impl<'c> World<'c> {
    /// An empty world in which only the root module is expanded.
    pub fn new(config: &'c Config, graph: &'c Graph, context: &Context) -> Self {
        let root = ModuleInstance { path: ModulePath::root(), parent: 0, repetition: Repetition::default() };
        let mut modules = vec![None; config.modules.len()];
        modules[0] = Some(Arc::from([root]));
        // Paths of the language are relative to the root module, so that a spec means the same wherever
        // it is started from.
        let relative = |dir: &std::path::Path| match dir.strip_prefix(&context.root) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".into(),
            Ok(rest) => rest.to_path_buf(),
            Err(_) => dir.to_path_buf(),
        };
        let functions =
            config.modules.iter().map(|m| Context { module: relative(&m.dir), ..context.clone() }).collect();
        Self {
            config,
            graph,
            modules: RefCell::new(modules),
            values: RefCell::new(vec![Vec::new(); graph.nodes.len()]),
            calls: RefCell::default(),
            functions,
            applying: OnceCell::new(),
        }
    }

    /// From now on functions know the time: `timestamp()` and its like are no longer unknown.
    pub fn start_applying(&self, timestamp: &str) {
        self.applying.get_or_init(|| {
            self.functions.iter().map(|c| Context { timestamp: Some(timestamp.to_owned()), ..c.clone() }).collect()
        });
    }

    /// The instances of a module; none while its call is not expanded.
    pub fn instances(&self, module: usize) -> Arc<[ModuleInstance]> {
        self.modules.borrow()[module].clone().unwrap_or_else(|| Arc::from([]))
    }

    /// The instances of a module; `None` while its call is not expanded.
    pub fn expanded(&self, module: usize) -> Option<Arc<[ModuleInstance]>> {
        self.modules.borrow()[module].clone()
    }

    /// Sets the instances of a module.
    pub fn expand(&self, module: usize, instances: Vec<ModuleInstance>) {
        self.modules.borrow_mut()[module] = Some(instances.into());
        self.calls.borrow_mut().clear();
    }

    /// Sets the value of a node in one module instance.
    pub fn set(&self, node: u32, ordinal: usize, value: Value) {
        if matches!(self.graph.nodes[node as usize], Node::Output { .. }) {
            self.calls.borrow_mut().clear();
        }
        let mut values = self.values.borrow_mut();
        let row = &mut values[node as usize];
        if row.len() <= ordinal {
            row.resize(ordinal + 1, Value::unknown(Type::Dynamic));
        }
        row[ordinal] = value;
    }

    /// The value of a node in one module instance.
    pub fn get(&self, node: u32, ordinal: usize) -> Option<Value> {
        self.values.borrow()[node as usize].get(ordinal).cloned()
    }

    /// A scope inside one instance of a module.
    pub fn scope(&self, module: usize, ordinal: usize) -> View<'_, 'c> {
        View { world: self, module, ordinal, repetition: None, this: None, any_instance: false }
    }

    /// The object of a module call as its caller sees it.
    fn module_value(&self, call: u32, ordinal: usize) -> Value {
        if let Some(value) = self.calls.borrow().get(&(call, ordinal)) {
            return value.clone();
        }
        let value = self.gathered(call, ordinal);
        self.calls.borrow_mut().insert((call, ordinal), value.clone());
        value
    }

    fn gathered(&self, call: u32, ordinal: usize) -> Value {
        let Node::Call { module, item } = self.graph.nodes[call as usize] else { return Value::NULL };
        let call = &self.config.modules[module].calls[item];
        let Some(instances) = self.modules.borrow()[call.module].clone() else { return Value::unknown(Type::Dynamic) };
        let object = |o: usize| {
            Value::object(self.graph.outputs(call.module).iter().map(|(name, node)| {
                (name.clone(), self.get(*node, o).unwrap_or_else(|| Value::unknown(Type::Dynamic)))
            }))
        };
        let mine = instances.iter().enumerate().filter(|(_, i)| i.parent == ordinal);
        if call.count.is_some() {
            Value::tuple(mine.map(|(o, _)| object(o)).collect::<Vec<_>>())
        } else if call.for_each.is_some() {
            Value::object(mine.filter_map(|(o, i)| match &i.repetition.key {
                Some(InstanceKey::Key(k)) => Some((k.clone(), object(o))),
                _ => None,
            }))
        } else {
            mine.map(|(o, _)| object(o)).next().unwrap_or(Value::NULL)
        }
    }
}

/// What expressions see in one place.
pub struct View<'w, 'c> {
    world: &'w World<'c>,
    module: usize,
    ordinal: usize,
    repetition: Option<&'w Repetition>,
    this: Option<&'w Value>,
    any_instance: bool,
}

impl<'w> View<'w, '_> {
    /// For an instance whose key is not known: `count.index` and `each` are unknown.
    #[must_use]
    pub fn any_instance(mut self) -> Self {
        self.any_instance = true;
        self
    }

    /// With the repetition of an instance.
    #[must_use]
    pub fn repeated(mut self, repetition: &'w Repetition) -> Self {
        self.repetition = Some(repetition);
        self
    }

    /// With `self`.
    #[must_use]
    pub fn this(mut self, value: &'w Value) -> Self {
        self.this = Some(value);
        self
    }
}

impl Scope for View<'_, '_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let key = self.repetition.and_then(|r| r.key.as_ref());
        let missing = |what: &str| {
            Diagnostic::error(
                "lang::reference",
                "Reference has no meaning here",
                format!("{what} can only be used in a block with the matching repetition."),
            )
            .at(span)
        };
        match subject {
            Subject::Count if self.any_instance => Ok(Value::unknown(Type::Number)),
            Subject::EachKey if self.any_instance => Ok(Value::unknown(Type::String)),
            Subject::EachValue if self.any_instance => Ok(Value::unknown(Type::Dynamic)),
            Subject::Count => match key {
                Some(InstanceKey::Index(n)) => Ok(Value::number(*n)),
                _ => Err(missing("count.index")),
            },
            Subject::EachKey => match key {
                Some(InstanceKey::Key(k)) => Ok(Value::string(k.clone())),
                _ => Err(missing("each.key")),
            },
            Subject::EachValue => self.repetition.and_then(|r| r.value.clone()).ok_or_else(|| missing("each.value")),
            Subject::SelfRef => self.this.cloned().ok_or_else(|| missing("self")),
            Subject::PathModule => Ok(Value::string(self.functions().module.to_string_lossy())),
            Subject::PathRoot => Ok(Value::string(".")),
            Subject::PathCwd => Ok(Value::string(self.functions().cwd.to_string_lossy())),
            Subject::Workspace => Ok(Value::string(self.functions().workspace.clone())),
            Subject::Applying => {
                let applying = self.world.applying.get().is_some();
                Ok(Value::bool(applying).mark(mesh_model::Marks::EPHEMERAL.union(mesh_model::Marks::OPENED)))
            }
            Subject::Module(_) => match self.world.graph.find(self.module, subject) {
                Some(node) => Ok(self.world.module_value(node, self.ordinal)),
                None => Err(missing("This module")),
            },
            Subject::Variable(_) | Subject::Local(_) | Subject::Resource { .. } => self
                .world
                .graph
                .find(self.module, subject)
                .and_then(|node| self.world.get(node, self.ordinal))
                // A node that failed or was never reached: its own error was said already.
                .map_or_else(|| Ok(Value::unknown(Type::Dynamic)), Ok),
        }
    }

    fn functions(&self) -> &Context {
        &self.world.applying.get().unwrap_or(&self.world.functions)[self.module]
    }
}

/// The instances that `count` or `for_each` ask for.
#[derive(Clone, Debug)]
pub enum Expansion {
    /// These.
    Known(Vec<Repetition>),
    /// It depends on values that are known only after apply.
    Unknown(&'static str),
}

/// Evaluates `count` and `for_each`. `before`: how many instances the block has already, in other
/// instances of its module.
pub fn expand(
    count: Option<&mesh_lang::Expr>,
    for_each: Option<&mesh_lang::Expr>,
    scope: &dyn Scope,
    before: usize,
) -> Result<Expansion, mesh_model::Diagnostics> {
    if let Some(count) = count {
        return expand_count(count, scope, before);
    }
    let Some(for_each) = for_each else { return Ok(Expansion::Known(vec![Repetition::default()])) };
    let value = for_each.eval(scope)?;
    let bad =
        |detail: &str| Err(Diagnostic::error("lang::for_each", "Invalid for_each", detail).at(for_each.span()).into());
    if value.marks().sensitive() {
        return bad(
            "for_each cannot be sensitive: its keys are shown in every plan. Use nonsensitive() on keys that may be shown.",
        );
    }
    if value.marks().ephemeral() {
        return bad("for_each cannot be ephemeral: instances are remembered in state.");
    }
    let length = value.as_items().map_or(0, |i| i.len()).max(value.as_fields().map_or(0, mesh_model::Fields::len));
    bounded(length, before, for_each)?;
    match value.kind() {
        mesh_model::Kind::Unknown(_) => Ok(Expansion::Unknown("for_each")),
        mesh_model::Kind::Map(_, fields) | mesh_model::Kind::Object(fields) => Ok(Expansion::Known(
            fields
                .iter()
                .map(|(k, v)| Repetition { key: Some(InstanceKey::Key(k.clone())), value: Some(v.clone()) })
                .collect(),
        )),
        mesh_model::Kind::Set(_, items) => {
            let mut out = Vec::with_capacity(items.len());
            for item in items.iter() {
                match item.kind() {
                    mesh_model::Kind::String(s) => {
                        out.push(Repetition { key: Some(InstanceKey::Key(s.clone())), value: Some(item.clone()) });
                    }
                    mesh_model::Kind::Unknown(_) => return Ok(Expansion::Unknown("for_each")),
                    _ => {
                        return bad("A set in for_each must have strings only; they become the keys of the instances.");
                    }
                }
            }
            Ok(Expansion::Known(out))
        }
        mesh_model::Kind::Null(_) => {
            bad("for_each is null. Give a map or a set of strings; an empty one makes no instance.")
        }
        _ => bad(
            "for_each must be a map, or a set of strings. Lists have no stable keys: use toset() on a list of strings.",
        ),
    }
}

/// Whether a block may have so many more instances.
fn bounded(more: usize, before: usize, asked: &mesh_lang::Expr) -> Result<(), mesh_model::Diagnostics> {
    if before.saturating_add(more) <= MAX_INSTANCES {
        return Ok(());
    }
    let detail = format!(
        "This asks for {more} instances{}; a block can have {MAX_INSTANCES} in all. Split it into several \
         configurations.",
        if before > 0 { format!(" beside {before} in other instances of the module") } else { String::new() }
    );
    Err(Diagnostic::error("lang::limit", "Too many instances", detail).at(asked.span()).into())
}

fn expand_count(
    count: &mesh_lang::Expr,
    scope: &dyn Scope,
    before: usize,
) -> Result<Expansion, mesh_model::Diagnostics> {
    let bad = |detail: &str| Err(Diagnostic::error("lang::count", "Invalid count", detail).at(count.span()).into());
    let (value, marks) = count.eval(scope)?.reveal();
    if marks.ephemeral() {
        return bad("count cannot be ephemeral: instances are remembered in state.");
    }
    let Ok(value) = mesh_model::convert::convert(&value, &Type::Number) else {
        return bad("count must be a whole number.");
    };
    if value.is_unknown() {
        return Ok(Expansion::Unknown("count"));
    }
    match value.as_i64() {
        Some(n) if n >= 0 => {
            bounded(usize::try_from(n).unwrap_or(usize::MAX), before, count)?;
            Ok(Expansion::Known(
                (0..n.unsigned_abs()).map(|i| Repetition { key: Some(InstanceKey::Index(i)), value: None }).collect(),
            ))
        }
        _ if value.is_null() => bad("count is null. Give a whole number of 0 or more."),
        _ => bad("count must be a whole number of 0 or more."),
    }
}

/// The address of one instance of a block.
pub fn address(path: &ModulePath, block: &mesh_lang::Resource, key: Option<InstanceKey>) -> Address {
    Address { module: path.clone(), mode: block.mode, ty: block.ty.clone(), name: block.name.clone(), key }
}

/// The value of a block as others see it: an object, or a tuple or map of them.
pub fn aggregate(block: &mesh_lang::Resource, instances: Vec<(Option<InstanceKey>, Value)>) -> Value {
    if block.count.is_some() {
        Value::tuple(instances.into_iter().map(|(_, v)| v).collect::<Vec<_>>())
    } else if block.for_each.is_some() {
        Value::object(instances.into_iter().filter_map(|(k, v)| match k {
            Some(InstanceKey::Key(k)) => Some((k, v)),
            _ => None,
        }))
    } else {
        instances.into_iter().next().map_or(Value::NULL, |(_, v)| v)
    }
}
