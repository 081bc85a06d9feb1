//! From a configuration to its graph.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mesh_lang::{Condition, Config, ModuleCall, ProviderRef, Reference, Subject, body_references};
use mesh_model::{Diagnostic, Diagnostics, ResourceAddress, Span, Step};

use super::{Csr, Graph, Node, ProviderNode, cycle};

struct Builder<'c> {
    config: &'c Config,
    nodes: Vec<Node>,
    subjects: Vec<HashMap<Subject, u32>>,
    outputs: Vec<HashMap<Arc<str>, u32>>,
    by_address: HashMap<ResourceAddress, u32>,
    providers: Vec<ProviderNode>,
    provider_nodes: BTreeMap<Arc<str>, usize>,
    provider_of: HashMap<u32, usize>,
    edges: Vec<(u32, u32, Option<Span>)>,
    depends_on: HashMap<u32, Vec<u32>>,
    diagnostics: Diagnostics,
}

/// Builds the graph. `provider_of_type` gives the name of the provider of a resource type or data
/// source; `needs_block` tells whether a provider cannot do without a block. State's instances add
/// the provider keys in `used`.
pub fn build(
    config: &Config,
    provider_of_type: &dyn Fn(&str) -> Option<Arc<str>>,
    is_provider: &dyn Fn(&str) -> bool,
    used: &[Arc<str>],
) -> Result<Graph, Diagnostics> {
    let mut b = Builder {
        config,
        nodes: Vec::new(),
        subjects: Vec::new(),
        outputs: Vec::new(),
        by_address: HashMap::new(),
        providers: Vec::new(),
        provider_nodes: BTreeMap::new(),
        provider_of: HashMap::new(),
        edges: Vec::new(),
        depends_on: HashMap::new(),
        diagnostics: Diagnostics::new(),
    };
    b.declare();
    for (item, block) in config.root().providers.iter().enumerate() {
        let key = key(&block.name, block.alias.as_ref());
        b.provider(key, block.name.clone(), Some(item), !is_provider(&block.name));
    }
    for key in used {
        // One of a block with `for_each` belongs to its block.
        let key = key.split('[').next().unwrap_or(key);
        // Only a provider without an alias can do without a block: another one led somewhere that is not said any more.
        let (name, alias) = key.split_once('.').map_or((key, None), |(name, alias)| (name, Some(alias)));
        if alias.is_some() {
            continue;
        }
        b.provider(Arc::from(key), Arc::from(name), None, !is_provider(name));
    }
    b.resource_providers(provider_of_type, is_provider);
    b.connect();
    if b.diagnostics.has_errors() {
        return Err(b.diagnostics);
    }
    let pairs: Vec<(u32, u32)> = b.edges.iter().map(|(a, z, _)| (*a, *z)).collect();
    let reversed: Vec<(u32, u32)> = pairs.iter().map(|(a, z)| (*z, *a)).collect();
    let graph = Graph {
        after: Csr::new(b.nodes.len(), &pairs),
        needs: Csr::new(b.nodes.len(), &reversed),
        nodes: b.nodes,
        providers: b.providers,
        provider_of: b.provider_of,
        edges: b.edges,
        depends_on: b.depends_on,
        subjects: b.subjects,
        outputs: b.outputs,
        by_address: b.by_address,
    };
    cycle::check(config, &graph)?;
    Ok(graph)
}

fn key(name: &Arc<str>, alias: Option<&Arc<str>>) -> Arc<str> {
    alias.map_or_else(|| name.clone(), |a| Arc::from(format!("{name}.{a}")))
}

impl Builder<'_> {
    fn node(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// One node for each block of each module.
    fn declare(&mut self) {
        for (module, m) in self.config.modules.iter().enumerate() {
            let mut subjects = HashMap::new();
            let mut outputs = HashMap::new();
            for (item, v) in m.variables.iter().enumerate() {
                subjects.insert(Subject::Variable(v.name.clone()), self.node(Node::Variable { module, item }));
            }
            for (item, l) in m.locals.iter().enumerate() {
                subjects.insert(Subject::Local(l.name.clone()), self.node(Node::Local { module, item }));
            }
            for (item, o) in m.outputs.iter().enumerate() {
                outputs.insert(o.name.clone(), self.node(Node::Output { module, item }));
            }
            for (item, r) in m.resources.iter().enumerate() {
                let node = self.node(Node::Resource { module, item });
                let subject = Subject::Resource { mode: r.mode, ty: r.ty.clone(), name: r.name.clone() };
                subjects.insert(subject, node);
                let address =
                    ResourceAddress { module: m.path.clone(), mode: r.mode, ty: r.ty.clone(), name: r.name.clone() };
                self.by_address.insert(address, node);
            }
            for (item, c) in m.calls.iter().enumerate() {
                subjects.insert(Subject::Module(c.name.clone()), self.node(Node::Call { module, item }));
            }
            for item in 0..m.checks.len() {
                self.node(Node::Check { module, item });
            }
            self.subjects.push(subjects);
            self.outputs.push(outputs);
        }
    }

    fn provider(&mut self, key: Arc<str>, name: Arc<str>, block: Option<usize>, unknown: bool) -> usize {
        if let Some(&position) = self.provider_nodes.get(&key) {
            return position;
        }
        let position = self.providers.len();
        self.providers.push(ProviderNode { key: key.clone(), name, block, unknown });
        self.provider_nodes.insert(key, position);
        self.node(Node::Provider(position));
        position
    }

    fn provider_node(&self, position: usize) -> u32 {
        let found = self.nodes.iter().rposition(|n| *n == Node::Provider(position));
        u32::try_from(found.unwrap_or(0)).unwrap_or(0)
    }

    fn resource_providers(
        &mut self,
        provider_of_type: &dyn Fn(&str) -> Option<Arc<str>>,
        is_provider: &dyn Fn(&str) -> bool,
    ) {
        for (module, m) in self.config.modules.iter().enumerate() {
            for r in &m.resources {
                let reference = match (&r.provider, provider_of_type(&r.ty)) {
                    (Some(p), _) => p.clone(),
                    (None, Some(name)) => ProviderRef { name, alias: None, key: None, span: r.span },
                    // The type is unknown; said when the block is checked against its schema.
                    (None, None) => continue,
                };
                let Some((name, alias)) = self.resolve_provider(module, &reference) else { continue };
                let position = self.provider(key(&name, alias.as_ref()), name.clone(), None, !is_provider(&name));
                if alias.is_some() && self.providers[position].block.is_none() {
                    self.diagnostics.push(
                        Diagnostic::error(
                            "lang::provider",
                            "No such provider configuration",
                            format!(
                                "There is no block provider {name:?} with alias = {:?} in the root module.",
                                alias.as_deref().unwrap_or("")
                            ),
                        )
                        .at(reference.span),
                    );
                }
                let subject = Subject::Resource { mode: r.mode, ty: r.ty.clone(), name: r.name.clone() };
                if let Some(&node) = self.subjects[module].get(&subject) {
                    self.provider_of.insert(node, position);
                }
            }
        }
    }

    /// The configuration of the root module that a name means inside a module.
    fn resolve_provider(&mut self, module: usize, reference: &ProviderRef) -> Option<(Arc<str>, Option<Arc<str>>)> {
        let Some(parent) = self.config.modules[module].parent else {
            return Some((reference.name.clone(), reference.alias.clone()));
        };
        let call = self.call_of(parent, module)?;
        let handed =
            call.providers.iter().find(|(inside, _)| inside.name == reference.name && inside.alias == reference.alias);
        match handed {
            Some((_, outside)) => {
                let outside = outside.clone();
                self.resolve_provider(parent, &outside)
            }
            None if reference.alias.is_none() => self.resolve_provider(parent, reference),
            None => {
                self.diagnostics.push(
                    Diagnostic::error(
                        "lang::provider",
                        "Provider configuration is not handed to the module",
                        format!(
                            "The module uses {}.{}, but the call module {:?} does not hand it on. Add it to the call's `providers`.",
                            reference.name,
                            reference.alias.as_deref().unwrap_or(""),
                            call.name
                        ),
                    )
                    .at(reference.span),
                );
                None
            }
        }
    }

    fn call_of(&self, parent: usize, module: usize) -> Option<&ModuleCall> {
        self.config.modules[parent].calls.iter().find(|c| c.module == module)
    }

    fn connect(&mut self) {
        for position in 0..self.providers.len() {
            if let Some(block) = self.providers[position].block {
                let block = &self.config.root().providers[block];
                let mut references = body_references(&block.body);
                references.extend(block.for_each.iter().flat_map(mesh_lang::Expr::references));
                let to = self.provider_node(position);
                self.refer(0, &references, to);
            }
        }
        let provider_nodes: Vec<u32> = (0..self.providers.len()).map(|p| self.provider_node(p)).collect();
        for id in 0..self.nodes.len() {
            let to = u32::try_from(id).unwrap_or(u32::MAX);
            match self.nodes[id] {
                Node::Provider(_) => {}
                Node::Variable { module, item } => self.connect_variable(module, item, to),
                Node::Local { module, item } => {
                    let references = self.config.modules[module].locals[item].value.references();
                    self.refer(module, &references, to);
                }
                Node::Output { module, item } => {
                    let output = &self.config.modules[module].outputs[item];
                    let mut references = output.value.references();
                    references.extend(output.depends_on.iter().cloned());
                    references.extend(of_conditions(&output.preconditions));
                    self.refer(module, &references, to);
                    self.after_call(module, to);
                }
                Node::Check { module, item } => {
                    let references = of_conditions(&self.config.modules[module].checks[item].asserts);
                    self.refer(module, &references, to);
                    self.after_call(module, to);
                }
                Node::Call { module, item } => {
                    let call = &self.config.modules[module].calls[item];
                    let mut references = Vec::new();
                    for e in call.count.iter().chain(&call.for_each) {
                        references.extend(e.references());
                    }
                    references.extend(call.depends_on.iter().cloned());
                    let keys = call.providers.iter().filter_map(|(_, outside)| outside.key.as_ref());
                    references.extend(keys.flat_map(mesh_lang::Expr::references));
                    self.refer(module, &references, to);
                    self.after_call(module, to);
                }
                Node::Resource { module, item } => {
                    self.connect_resource(module, item, to);
                    if let Some(&p) = self.provider_of.get(&to) {
                        self.edges.push((provider_nodes[p], to, None));
                    }
                    self.after_call(module, to);
                }
            }
        }
    }

    /// Everything in a module comes after the expansion of its call.
    fn after_call(&mut self, module: usize, to: u32) {
        if let Some(parent) = self.config.modules[module].parent
            && let Some(call) = self.call_of(parent, module)
            && let Some(&node) = self.subjects[parent].get(&Subject::Module(call.name.clone()))
        {
            self.edges.push((node, to, None));
        }
    }

    fn connect_variable(&mut self, module: usize, item: usize, to: u32) {
        let variable = &self.config.modules[module].variables[item];
        let validations: Vec<Reference> = of_conditions(&variable.validations)
            .into_iter()
            .filter(|r| r.subject != Subject::Variable(variable.name.clone()))
            .collect();
        self.refer(module, &validations, to);
        if let Some(parent) = self.config.modules[module].parent {
            let references = self
                .call_of(parent, module)
                .and_then(|c| c.inputs.iter().find(|(n, _)| *n == variable.name))
                .map(|(_, e)| e.references())
                .unwrap_or_default();
            self.refer(parent, &references, to);
            self.after_call(module, to);
        }
    }

    fn connect_resource(&mut self, module: usize, item: usize, to: u32) {
        let r = &self.config.modules[module].resources[item];
        let mut references = body_references(&r.body);
        for e in r.count.iter().chain(&r.for_each).chain(&r.lifecycle.prevent_destroy).chain(&r.lifecycle.on_existing) {
            references.extend(e.references());
        }
        references.extend(r.provider.iter().filter_map(|p| p.key.as_ref()).flat_map(mesh_lang::Expr::references));
        references.extend(of_conditions(&r.lifecycle.preconditions));
        references.extend(of_conditions(&r.lifecycle.postconditions));
        references.extend(r.lifecycle.replace_triggered_by.iter().flat_map(mesh_lang::Expr::references));
        let mut imported = Vec::new();
        for i in self.config.root().imports.iter().filter(|i| i.ty == r.ty && i.name == r.name) {
            if i.module.iter().map(|(n, _)| n).eq(&self.config.modules[module].path) {
                let keys = i.module.iter().filter_map(|(_, k)| k.as_ref()).chain(&i.key);
                imported.extend(keys.chain([&i.id]).chain(&i.for_each).flat_map(mesh_lang::Expr::references));
            }
        }
        self.refer(0, &imported, to);
        let explicit = r.depends_on.clone();
        self.refer(module, &references, to);
        let first = self.edges.len();
        self.refer(module, &explicit, to);
        let needed = self.edges[first..].iter().map(|(a, _, _)| *a).collect();
        self.depends_on.insert(to, needed);
    }

    fn refer(&mut self, module: usize, references: &[Reference], to: u32) {
        for reference in references {
            let Some(&from) = self.subjects[module].get(&reference.subject) else { continue };
            let span = Some(reference.span);
            let Subject::Module(_) = &reference.subject else {
                if from != to {
                    self.edges.push((from, to, span));
                } else if let Subject::Local(_) = reference.subject {
                    let detail =
                        format!("The value of {} is made from itself. Take the reference out.", reference.subject);
                    self.diagnostics.push(
                        Diagnostic::error("plan::cycle", "A local value refers to itself", detail).at(reference.span),
                    );
                }
                continue;
            };
            self.edges.push((from, to, span));
            let Node::Call { module: parent, item } = self.nodes[from as usize] else { continue };
            let child = self.config.modules[parent].calls[item].module;
            let output = reference
                .rest
                .iter()
                .find_map(|s| if let Step::Key(k) = s { self.outputs[child].get(k).copied() } else { None });
            match output {
                Some(output) => self.edges.push((output, to, span)),
                // The module as a whole (also by `depends_on`): everything in it and below.
                None => self.whole_module(child, to, span),
            }
        }
    }

    fn whole_module(&mut self, module: usize, to: u32, span: Option<Span>) {
        let outputs: Vec<u32> = self.outputs[module].values().copied().collect();
        let subjects: Vec<(u32, bool)> =
            self.subjects[module].iter().map(|(s, n)| (*n, matches!(s, Subject::Resource { .. }))).collect();
        for from in outputs {
            self.edges.push((from, to, span));
        }
        for (from, _) in subjects.iter().filter(|(_, resource)| *resource) {
            self.edges.push((*from, to, span));
        }
        for call in 0..self.config.modules[module].calls.len() {
            self.whole_module(self.config.modules[module].calls[call].module, to, span);
        }
    }
}

fn of_conditions(conditions: &[Condition]) -> Vec<Reference> {
    conditions.iter().flat_map(|c| c.condition.references().into_iter().chain(c.error_message.references())).collect()
}
