//! The graph of the configuration: blocks, and which need which.
//!
//! The one decision: nodes are blocks on call paths, not instances, so that the graph is as small as
//! the configuration; expansion happens in the walk. An edge means "runs after". Cycles are found
//! with petgraph, walks use a [`Csr`].

mod build;
mod csr;
mod cycle;

use std::collections::HashMap;
use std::sync::Arc;

use mesh_lang::{Config, Subject};
use mesh_model::{ResourceAddress, Span};

pub use build::build;
pub use csr::Csr;
pub(crate) use cycle::{components, name};

/// A node; `module` and `item` are positions in [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Node {
    /// A configured provider, by its position in [`Graph::providers`].
    Provider(usize),
    /// A variable.
    Variable {
        /// Which module.
        module: usize,
        /// Which variable.
        item: usize,
    },
    /// A local value.
    Local {
        /// Which module.
        module: usize,
        /// Which local.
        item: usize,
    },
    /// An output.
    Output {
        /// Which module.
        module: usize,
        /// Which output.
        item: usize,
    },
    /// A resource, data source or ephemeral resource.
    Resource {
        /// Which module.
        module: usize,
        /// Which resource.
        item: usize,
    },
    /// A check.
    Check {
        /// Which module.
        module: usize,
        /// Which check.
        item: usize,
    },
    /// The expansion of a module call.
    Call {
        /// The calling module.
        module: usize,
        /// Which call.
        item: usize,
    },
}

/// A provider configuration that something uses.
#[derive(Clone, Debug)]
pub struct ProviderNode {
    /// `vault`, or `vault.eu` with an alias.
    pub key: Arc<str>,
    /// The provider's name.
    pub name: Arc<str>,
    /// Its block in the root module; `None` for one that needs none.
    pub block: Option<usize>,
    /// Whether the block's name is known to no provider.
    pub unknown: bool,
}

/// The graph of a configuration.
#[derive(Debug)]
pub struct Graph {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Which providers are used.
    pub providers: Vec<ProviderNode>,
    /// For each resource node the position of its provider.
    pub provider_of: HashMap<u32, usize>,
    /// `(needed, needs, where)`.
    pub edges: Vec<(u32, u32, Option<Span>)>,
    /// What runs after what.
    pub after: Csr,
    /// What each node needs.
    pub needs: Csr,
    /// What resource nodes need by `depends_on`.
    pub depends_on: HashMap<u32, Vec<u32>>,
    subjects: Vec<HashMap<Subject, u32>>,
    outputs: Vec<HashMap<Arc<str>, u32>>,
    by_address: HashMap<ResourceAddress, u32>,
}

impl Graph {
    /// Whether a node is a data source inside a check block.
    pub fn in_check(&self, config: &Config, node: u32) -> bool {
        matches!(self.nodes[node as usize], Node::Resource { module, item } if config.modules[module].resources[item].check.is_some())
    }

    /// The node that a subject means in a module.
    pub fn find(&self, module: usize, subject: &Subject) -> Option<u32> {
        self.subjects[module].get(subject).copied()
    }

    /// The node of an output of a module.
    pub fn output(&self, module: usize, name: &str) -> Option<u32> {
        self.outputs[module].get(name).copied()
    }

    /// Outputs of a module by name.
    pub fn outputs(&self, module: usize) -> &HashMap<Arc<str>, u32> {
        &self.outputs[module]
    }

    /// The node of a resource block.
    pub fn resource(&self, address: &ResourceAddress) -> Option<u32> {
        self.by_address.get(address).copied()
    }

    /// The node of a provider, by its position.
    pub fn provider_node(&self, position: usize) -> Option<u32> {
        let at = self.nodes.iter().position(|n| *n == Node::Provider(position))?;
        u32::try_from(at).ok()
    }

    /// The block address of a resource node.
    pub fn address(&self, config: &Config, node: u32) -> Option<ResourceAddress> {
        let Node::Resource { module, item } = self.nodes[node as usize] else { return None };
        let module = &config.modules[module];
        let block = &module.resources[item];
        Some(ResourceAddress {
            module: module.path.clone(),
            mode: block.mode,
            ty: block.ty.clone(),
            name: block.name.clone(),
        })
    }

    /// The resource blocks that a node needs directly: through variables, locals, outputs, calls and
    /// providers, but not through other resources.
    pub fn direct_resources(&self, node: u32) -> Vec<u32> {
        self.resources_through(node, |_| false)
    }

    /// The same, and also what is needed through those resource blocks that are `open`.
    pub fn resources_through(&self, node: u32, open: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut seen = std::collections::HashSet::new();
        let mut stack: Vec<u32> = self.needs.after(node).to_vec();
        let mut out = Vec::new();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if matches!(self.nodes[n as usize], Node::Resource { .. }) {
                out.push(n);
                if !open(n) {
                    continue;
                }
            }
            stack.extend(self.needs.after(n));
        }
        out.sort_unstable();
        out
    }
}
