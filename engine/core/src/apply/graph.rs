//! The operations of a plan, and which waits for which.
//!
//! The one decision: barriers instead of edges between instances. For each block there is a point
//! where its instances may be made (`Ready`), one where they all are (`Settled`), one where they may
//! be deleted (`Removable`), and where all deletes are done (`Gone`), so that the graph grows with
//! instances plus edges between blocks, never with their product. The rules of order are Terraform's:
//! needed first when making, needed last when deleting, a dependent is deleted before what it needs
//! changes, and with create_before_destroy the old object goes after the dependents moved over. One
//! rule is ours: what goes for good does so after what used it was changed, too, where that is possible.
//! What state remembers of needs counts like what is configured; where the two form a circle (a need
//! that was turned round), the configuration is followed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use mesh_lang::Config;
use mesh_model::snapshot::Identity;
use mesh_model::{Action, Address, Change, ResourceAddress};

use crate::graph::{Csr, Graph, Node, components};
use crate::plan::{Item, Planning};

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
    /// What it needs or needed, and what has to go before anything is changed, is gone.
    left: u32,
    ready: u32,
    settled: u32,
    /// All that needs this block is settled.
    dependents_settled: u32,
    removable: u32,
    /// Deletes that come before anything else is changed.
    gone_first: u32,
    gone: u32,
}

#[derive(Default)]
struct Builder {
    steps: Vec<Step>,
    edges: Vec<(u32, u32)>,
    blocks: Vec<Block>,
    /// Edges that come from state alone.
    remembered: Vec<(u32, u32)>,
    /// Edges that are only the field's habit: deletes before changes of what used it.
    usual: Vec<(u32, u32)>,
}

impl Builder {
    fn step(&mut self, step: Step) -> u32 {
        self.steps.push(step);
        u32::try_from(self.steps.len() - 1).unwrap_or(u32::MAX)
    }

    /// A new block; its number.
    fn block(&mut self, settle: Step) -> u32 {
        let b = Block {
            left: self.step(Step::Barrier),
            ready: self.step(Step::Barrier),
            settled: self.step(settle),
            dependents_settled: self.step(Step::Barrier),
            removable: self.step(Step::Barrier),
            gone_first: self.step(Step::Barrier),
            gone: self.step(Step::Barrier),
        };
        self.edges.extend([(b.left, b.ready), (b.ready, b.settled), (b.removable, b.gone)]);
        self.blocks.push(b);
        u32::try_from(self.blocks.len() - 1).unwrap_or(u32::MAX)
    }

    /// `needed` is needed by `by`.
    fn connect(&mut self, needed: u32, by: u32, before_change: bool) {
        let (needed, by) = (self.blocks[needed as usize], self.blocks[by as usize]);
        self.edges.push((needed.settled, by.ready));
        self.edges.extend(going(needed, by));
        self.usual.extend([(needed.gone_first, by.left), (needed.left, by.left)]);
        if before_change {
            self.edges.push((by.gone_first, needed.ready));
        }
    }

    /// `by` needed `needed` when it was made.
    fn remember(&mut self, needed: u32, by: u32) {
        let (needed, by) = (self.blocks[needed as usize], self.blocks[by as usize]);
        self.remembered.extend(going(needed, by));
        self.remembered.push((by.gone_first, needed.ready));
        self.usual.extend([(needed.gone_first, by.left), (needed.left, by.left)]);
    }

    /// The point where everything is made that no check is needed for.
    fn everything(&mut self, graph: &Graph, config: &Config) -> u32 {
        let all = self.step(Step::Barrier);
        for node in 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX) {
            let is_check = matches!(graph.nodes[node as usize], Node::Check { .. }) || graph.in_check(config, node);
            if !is_check {
                self.usual.push((self.blocks[node as usize].settled, all));
            }
        }
        all
    }

    /// Where all edges together form circles, the weaker ones in them are left out.
    fn finish(self) -> Operations {
        let Self { steps, edges, mut remembered, mut usual, .. } = self;
        let mut all = [&edges[..], &remembered, &usual].concat();
        let mut order = Csr::new(steps.len(), &all);
        for weakest in 0..2 {
            if order.is_ordered() {
                break;
            }
            let circle = components(steps.len(), &all);
            [&mut usual, &mut remembered][weakest].retain(|(a, b)| circle[*a as usize] != circle[*b as usize]);
            all = [&edges[..], &remembered, &usual].concat();
            order = Csr::new(steps.len(), &all);
        }
        Operations { order, steps }
    }
}

/// The edges between two blocks that are about deletes.
fn going(needed: Block, by: Block) -> [(u32, u32); 4] {
    [
        (by.settled, needed.dependents_settled),
        (by.dependents_settled, needed.dependents_settled),
        (by.gone, needed.removable),
        (by.gone_first, needed.gone_first),
    ]
}

fn makes(change: &Change) -> bool {
    matches!(change.action, Action::Read | Action::Create | Action::Update)
        || change.action.is_replace()
        || change.importing.is_some()
}

/// Whether half an object makes room for the whole one of the same identity, against
/// `create_before_destroy`: what needs it may be replaced the other way round, so it waits for nobody.
fn half(change: &Change, item: &Item) -> bool {
    change.action == Action::Replace && item.create_before_destroy
}

/// Builds the operations of a plan.
pub fn build(planning: &Planning<'_>) -> Operations {
    let graph = planning.world.graph;
    let changes = || planning.plan.changes.iter().zip(&planning.items);
    let mut b = Builder::default();
    for node in 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX) {
        b.block(Step::Settle(node));
    }
    let mut needs: HashSet<(u32, u32)> = HashSet::with_capacity(graph.edges.len());
    for (needed, by, _) in &graph.edges {
        let is_resource = matches!(graph.nodes[*needed as usize], Node::Resource { .. });
        b.connect(*needed, *by, is_resource);
        needs.insert((*needed, *by));
    }
    // Blocks that only state knows.
    let mut orphans: BTreeMap<ResourceAddress, u32> = BTreeMap::new();
    for (change, _) in changes().filter(|(_, item)| item.node.is_none()) {
        orphans.entry(change.address.resource()).or_insert_with(|| b.block(Step::Barrier));
    }
    let of = |address: &ResourceAddress| orphans.get(address).copied().or_else(|| graph.resource(address));
    // What state remembers of needs.
    let mut named: HashMap<&Arc<str>, Option<u32>> = HashMap::new();
    for (change, item) in changes() {
        let Some(by) = item.node.or_else(|| of(&change.address.resource())) else { continue };
        let saved = match &change.deposed {
            None => planning.snapshot.instances.get(&change.address),
            Some(key) => planning.snapshot.deposed.get(&(change.address.clone(), key.clone())),
        };
        for name in saved.map(|s| &*s.dependencies).unwrap_or_default() {
            let parsed = || of(&name.parse::<mesh_model::Address>().ok()?.resource());
            let needed = *named.entry(name).or_insert_with(parsed);
            if let Some(needed) = needed.filter(|n| *n != by)
                && needs.insert((needed, by))
            {
                b.remember(needed, by);
            }
        }
    }
    let after_users = after_users(planning, &b, &needs, of);
    let everything = b.everything(graph, planning.world.config);
    // What is made, by address and identity: deposed objects come after the current one in a plan.
    let mut making: HashMap<(&Address, &Identity), u32> = HashMap::new();
    for (i, (change, item)) in changes().enumerate() {
        let Some(number) = item.node.or_else(|| of(&change.address.resource())) else { continue };
        let block = b.blocks[number as usize];
        let removes =
            matches!(change.action, Action::Delete | Action::Forget | Action::Replace | Action::ReplaceCreateFirst);
        let made = makes(change).then(|| b.step(Step::Make(i)));
        let removed = removes.then(|| b.step(Step::Remove(i)));
        if let Some(made) = made {
            b.edges.extend([(block.ready, made), (made, block.settled)]);
            if item.node.is_some_and(|n| graph.in_check(planning.world.config, n)) {
                // A check looks at what is there when all is made.
                b.usual.push((everything, made));
            }
            making.extend(item.makes.as_ref().map(|identity| ((&change.address, identity), made)));
        }
        if let Some(removed) = removed {
            b.edges.push((removed, block.gone));
            let there = item.identity.as_ref().filter(|_| change.deposed.is_some());
            if let Some(made) = there.and_then(|identity| making.get(&(&change.address, identity))) {
                // A deposed object stands where the new one has to be: it makes room, and waits for nobody.
                b.edges.push((removed, *made));
                continue;
            }
            if !half(change, item) {
                b.edges.push((block.removable, removed));
            }
            let (used, free) = after_users[number as usize];
            match (made, change.action == Action::ReplaceCreateFirst) {
                (Some(made), true) => b.edges.extend([(made, removed), (block.dependents_settled, removed)]),
                (Some(made), false) => b.edges.extend([(removed, made), (removed, block.gone_first)]),
                (None, _) if free && change.deposed.is_some() => {
                    b.edges.extend([(block.settled, removed), (block.dependents_settled, removed)]);
                }
                (None, _) if free && used => b.edges.push((block.dependents_settled, removed)),
                (None, _) if item.create_before_destroy || change.deposed.is_some() => {}
                (None, _) => b.edges.push((removed, block.gone_first)),
            }
        }
    }
    b.finish()
}

/// For each block whether something that is made, or is left of what was, uses it, and whether it is free to go after that: what
/// needs something that is itself deleted before it is made again has to go first.
fn after_users(
    planning: &Planning<'_>,
    b: &Builder,
    needs: &HashSet<(u32, u32)>,
    of: impl Fn(&ResourceAddress) -> Option<u32>,
) -> Vec<(bool, bool)> {
    let pairs: Vec<(u32, u32)> = needs.iter().copied().collect();
    let turned: Vec<(u32, u32)> = pairs.iter().map(|(needed, by)| (*by, *needed)).collect();
    let reached = |edges: &[(u32, u32)], from: &dyn Fn(&Change, &Item) -> bool| {
        let order = Csr::new(b.blocks.len(), edges);
        let mut out = vec![false; b.blocks.len()];
        let changes = planning.plan.changes.iter().zip(&planning.items).filter(|(c, i)| from(c, i));
        let mut stack: Vec<u32> = changes.filter_map(|(c, i)| i.node.or_else(|| of(&c.address.resource()))).collect();
        stack.sort_unstable();
        stack.dedup();
        while let Some(n) = stack.pop() {
            for next in order.after(n) {
                if !std::mem::replace(&mut out[*next as usize], true) {
                    stack.push(*next);
                }
            }
        }
        out
    };
    let used = reached(&turned, &|c, _| makes(c) || c.deposed.is_some());
    let bound = reached(&pairs, &|c, i| c.action == Action::Replace && !half(c, i));
    used.into_iter().zip(bound).map(|(used, bound)| (used, !bound)).collect()
}
