//! The operations of a plan, and which waits for which.
//!
//! The one decision: barriers instead of edges between instances. For each block there is a point
//! where its instances may be made (`Ready`), one where they all are (`Settled`), one where they may
//! be deleted (`Removable`), and where all deletes are done (`Gone`), so that the graph grows with
//! instances plus edges between blocks, never with their product. The rules of order are Terraform's:
//! needed first when making, needed last when deleting, a dependent is deleted before what it needs
//! changes, and with create_before_destroy the old object goes after the dependents moved over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mesh_model::{Action, ResourceAddress};

use crate::graph::{Csr, Node};
use crate::plan::Planning;

/// One step of an apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A barrier without work.
    Barrier,
    /// Evaluate a node again, or gather the instances of a block.
    Settle(u32),
    /// Create, update, read or adopt, by the position of the change.
    Make(usize),
    /// Delete or forget, by the position of the change.
    Remove(usize),
}

/// The steps and their order.
#[derive(Debug)]
pub struct Operations {
    /// All steps.
    pub steps: Vec<Step>,
    /// What runs after what.
    pub order: Csr,
}

#[derive(Clone, Copy)]
struct Block {
    ready: u32,
    settled: u32,
    /// All that needs this block is settled.
    dependents_settled: u32,
    removable: u32,
    /// Deletes that come before anything else is changed.
    gone_first: u32,
    gone: u32,
}

struct Builder {
    steps: Vec<Step>,
    edges: Vec<(u32, u32)>,
}

impl Builder {
    fn step(&mut self, step: Step) -> u32 {
        self.steps.push(step);
        u32::try_from(self.steps.len() - 1).unwrap_or(u32::MAX)
    }

    fn block(&mut self, settle: Step) -> Block {
        let b = Block {
            ready: self.step(Step::Barrier),
            settled: self.step(settle),
            dependents_settled: self.step(Step::Barrier),
            removable: self.step(Step::Barrier),
            gone_first: self.step(Step::Barrier),
            gone: self.step(Step::Barrier),
        };
        self.edges.extend([(b.ready, b.settled), (b.removable, b.gone)]);
        b
    }

    /// `needed` is needed by `by`.
    fn connect(&mut self, needed: Block, by: Block, before_change: bool) {
        self.edges.extend([
            (needed.settled, by.ready),
            (by.settled, needed.dependents_settled),
            (by.dependents_settled, needed.dependents_settled),
            (by.gone, needed.removable),
            (by.gone_first, needed.gone_first),
        ]);
        if before_change {
            self.edges.push((by.gone_first, needed.ready));
        }
    }
}

/// Builds the operations of a plan.
pub fn build(planning: &Planning<'_>) -> Operations {
    let graph = planning.world.graph;
    let mut b = Builder { steps: Vec::new(), edges: Vec::new() };
    let mut blocks: Vec<Block> = Vec::with_capacity(graph.nodes.len());
    for node in 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX) {
        blocks.push(b.block(Step::Settle(node)));
    }
    for (needed, by, _) in &graph.edges {
        let is_resource = matches!(graph.nodes[*needed as usize], Node::Resource { .. });
        b.connect(blocks[*needed as usize], blocks[*by as usize], is_resource);
    }
    // Blocks that only state knows.
    let mut by_name: HashMap<Arc<str>, Block> = HashMap::new();
    let mut orphans: BTreeMap<ResourceAddress, Block> = BTreeMap::new();
    for (change, item) in planning.plan.changes.iter().zip(&planning.items) {
        if item.node.is_none() {
            let resource = change.address.resource();
            let block = *orphans.entry(resource.clone()).or_insert_with(|| b.block(Step::Barrier));
            by_name.insert(Arc::from(resource.to_string()), block);
        }
    }
    let of_name = |name: &Arc<str>, by_name: &HashMap<Arc<str>, Block>| {
        by_name.get(name).copied().or_else(|| {
            let address: mesh_model::Address = name.parse().ok()?;
            graph.resource(&address.resource()).map(|n| blocks[n as usize])
        })
    };
    for (i, (change, item)) in planning.plan.changes.iter().zip(&planning.items).enumerate() {
        let block = match item.node {
            Some(node) => blocks[node as usize],
            None => orphans[&change.address.resource()],
        };
        let makes = matches!(
            change.action,
            Action::Read | Action::Create | Action::Update | Action::Replace | Action::ReplaceCreateFirst
        ) || change.importing.is_some();
        let removes =
            matches!(change.action, Action::Delete | Action::Forget | Action::Replace | Action::ReplaceCreateFirst);
        let made = makes.then(|| b.step(Step::Make(i)));
        let removed = removes.then(|| b.step(Step::Remove(i)));
        if let Some(made) = made {
            b.edges.extend([(block.ready, made), (made, block.settled)]);
        }
        if let Some(removed) = removed {
            b.edges.extend([(block.removable, removed), (removed, block.gone)]);
            match (made, change.action == Action::ReplaceCreateFirst) {
                (Some(made), true) => b.edges.extend([(made, removed), (block.dependents_settled, removed)]),
                (Some(made), false) => b.edges.extend([(removed, made), (removed, block.gone_first)]),
                (None, _) if item.create_before_destroy || change.deposed.is_some() => {}
                (None, _) => b.edges.push((removed, block.gone_first)),
            }
        }
        // What state remembers of needs: deletes in reverse, and what no longer needs a deleted
        // object changes before that goes.
        let saved = planning.snapshot.instances.get(&change.address);
        for name in saved.map(|s| &*s.dependencies).unwrap_or_default() {
            let Some(needed) = of_name(name, &by_name) else { continue };
            if item.node.is_none() {
                b.edges.extend([(block.gone, needed.removable), (block.gone_first, needed.gone_first)]);
            } else if by_name.contains_key(name)
                && let Some(made) = made
            {
                b.edges.push((made, needed.removable));
            }
        }
    }
    Operations { order: Csr::new(b.steps.len(), &b.edges), steps: b.steps }
}
