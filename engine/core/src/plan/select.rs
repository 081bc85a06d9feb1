//! What `-target` and `-exclude` leave of a plan.
//!
//! The one decision: selecting is done on blocks before the walk begins. A target brings all that it
//! needs (when destroying: all that needs it), an exclusion takes away all that needs it (when
//! destroying: all that it needs), so that what is visited never refers to what is not. Only blocks that
//! are named themselves may be selected in part; what is made from such a part is not evaluated.

use std::collections::{BTreeSet, HashMap, HashSet};

use mesh_lang::Config;
use mesh_model::{Address, Diagnostic, Diagnostics, ResourceAddress, Selector, Snapshot};

use super::{Mode, Options};
use crate::graph::{Graph, Node};

/// How much of a block is planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Share {
    All,
    Some,
    None,
}

/// What is planned. Without options it is everything.
#[derive(Debug, Default)]
pub(super) struct Selection {
    targets: Selectors,
    excludes: Selectors,
    /// Blocks of the configuration and of state; `None`: everything is planned.
    blocks: Option<HashMap<ResourceAddress, Share>>,
    /// Nodes that are not visited.
    left: HashSet<u32>,
}

impl Selection {
    /// What the options leave.
    pub(super) fn new(options: &Options, config: &Config, graph: &Graph, snapshot: &Snapshot) -> Self {
        let (targets, excludes) = (Selectors::new(&options.targets), Selectors::new(&options.excludes));
        let mut new = Self { targets, excludes, ..Self::default() };
        if options.is_partial() {
            let needs = Needs::new(config, graph, snapshot, options.mode == Mode::Destroy);
            let blocks = new.shares(options.mode, &needs);
            if options.mode != Mode::Destroy {
                new.left = new.unvisited(config, graph, &blocks);
            }
            new.blocks = Some(blocks);
        }
        new
    }

    /// Whether something is left out.
    pub(super) const fn is_partial(&self) -> bool {
        self.blocks.is_some()
    }

    /// Whether a node is visited.
    pub(super) fn node(&self, node: u32) -> bool {
        !self.left.contains(&node)
    }

    /// Nodes that are not visited.
    pub(super) fn into_left(self) -> HashSet<u32> {
        self.left
    }

    /// Whether an instance is planned.
    pub(super) fn instance(&self, address: &Address) -> bool {
        let Some(blocks) = &self.blocks else { return true };
        match blocks.get(&address.resource()) {
            None | Some(Share::None) => false,
            Some(Share::All) => true,
            Some(Share::Some) => self.named(address),
        }
    }

    fn named(&self, address: &Address) -> bool {
        let block = address.resource();
        let any = |list: &Selectors| list.of(&block).any(|s| s.covers(address));
        (self.targets.is_empty() || any(&self.targets)) && !any(&self.excludes)
    }

    fn shares(&self, mode: Mode, needs: &Needs) -> HashMap<ResourceAddress, Share> {
        let by_target = !self.targets.is_empty();
        let list = if by_target { &self.targets } else { &self.excludes };
        let named = |b: &ResourceAddress| list.of(b).next().is_some();
        let whole = |b: &ResourceAddress| list.of(b).any(Selector::is_whole);
        let begin: Vec<ResourceAddress> = needs.blocks.iter().filter(|b| named(b)).cloned().collect();
        let follow = if by_target == (mode == Mode::Destroy) { &needs.dependents } else { &needs.needs };
        let reached = reach(&begin, follow);
        let (of_reached, of_others) = if by_target { (Share::All, Share::None) } else { (Share::None, Share::All) };
        needs
            .blocks
            .iter()
            .map(|b| {
                let share = match (reached.contains(b) || whole(b), named(b)) {
                    (true, _) => of_reached,
                    (false, true) => Share::Some,
                    (false, false) => of_others,
                };
                (b.clone(), share)
            })
            .collect()
    }

    /// Nodes that must not be visited: blocks that are not planned, and what is made from a part of one
    /// or from something that is not visited.
    fn unvisited(&self, config: &Config, graph: &Graph, blocks: &HashMap<ResourceAddress, Share>) -> HashSet<u32> {
        let share = |n: u32| graph.address(config, n).and_then(|a| blocks.get(&a).copied());
        let mut missing = graph.after.incoming().to_vec();
        let all = 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
        let mut ready: Vec<u32> = all.filter(|n| missing[*n as usize] == 0).collect();
        let mut left = HashSet::new();
        while let Some(n) = ready.pop() {
            let out = match graph.nodes[n as usize] {
                Node::Resource { .. } => share(n) == Some(Share::None),
                _ => graph.needs.after(n).iter().any(|m| left.contains(m) || share(*m) == Some(Share::Some)),
            };
            if out {
                left.insert(n);
            }
            for &next in graph.after.after(n) {
                missing[next as usize] -= 1;
                if missing[next as usize] == 0 {
                    ready.push(next);
                }
            }
        }
        left
    }

    /// What is said about the options: selectors that mean nothing, and that the plan is a part.
    pub(super) fn diagnostics(&self, options: &Options, moves: &[(Address, Address)]) -> Diagnostics {
        let mut found = Diagnostics::new();
        let Some(blocks) = &self.blocks else { return found };
        let all = [("target", &options.targets), ("exclude", &options.excludes)];
        for (option, selector) in all.iter().flat_map(|(o, list)| list.iter().map(move |s| (o, s))) {
            let means_something = match selector {
                Selector::Resource(address) => blocks.contains_key(&address.resource()),
                Selector::Module(_) => blocks.keys().any(|b| selector.names(b)),
            };
            if means_something {
                continue;
            }
            let known: BTreeSet<String> = blocks.keys().map(ToString::to_string).collect();
            let near = mesh_lang::suggestion(&selector.to_string(), known.iter().map(String::as_str));
            let near = near.map(|s| format!(" Did you mean {s}?")).unwrap_or_default();
            let detail = format!("-{option}={selector} means nothing in the configuration or in state.{near}");
            found.push(Diagnostic::error("plan::selection", "No such address", detail));
        }
        let outside: Vec<String> = moves
            .iter()
            .filter(|(_, to)| !self.instance(to))
            .map(|(from, to)| format!("\n  - {from} to {to}"))
            .collect();
        if !outside.is_empty() {
            let detail = format!(
                "Objects get another address before anything is planned, also these, which are not selected:{}\nSelect the new \
                 addresses, too, or apply without -target and -exclude.",
                outside.concat()
            );
            found.push(Diagnostic::error("plan::selection", "A move is not selected", detail));
        }
        for address in options.replace.iter().filter(|a| !self.instance(a)) {
            let detail = format!("-replace={address} does nothing, since -target or -exclude leave this instance out.");
            found.push(Diagnostic::warning("plan::replace", "Nothing to replace", detail));
        }
        if !found.has_errors() {
            let detail = "-target or -exclude leave out a part of the configuration, so what is there afterwards may not be \
                          what is configured as a whole. They are for exceptions and for recovering from mistakes. Plan once \
                          more without them to see what is left.";
            found.push(Diagnostic::warning("plan::partial", "Only a part is planned", detail));
        }
        found
    }
}

/// Selectors by the block that they name, so that one of thousands is found at once.
#[derive(Debug, Default)]
struct Selectors {
    blocks: HashMap<ResourceAddress, Vec<Selector>>,
    modules: Vec<Selector>,
}

impl Selectors {
    fn new(list: &[Selector]) -> Self {
        let mut new = Self::default();
        for selector in list {
            match selector {
                Selector::Resource(address) => new.blocks.entry(address.resource()).or_default(),
                Selector::Module(_) => &mut new.modules,
            }
            .push(selector.clone());
        }
        new
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.modules.is_empty()
    }

    /// Those that name a block or a module around it.
    fn of<'a>(&'a self, block: &'a ResourceAddress) -> impl Iterator<Item = &'a Selector> {
        let modules = self.modules.iter().filter(|s| s.names(block));
        self.blocks.get(block).into_iter().flatten().chain(modules)
    }
}

/// Which blocks need which, of the configuration and of state.
struct Needs {
    blocks: BTreeSet<ResourceAddress>,
    needs: HashMap<ResourceAddress, Vec<ResourceAddress>>,
    dependents: HashMap<ResourceAddress, Vec<ResourceAddress>>,
}

impl Needs {
    /// `destroying`: what state remembers counts for configured blocks, too.
    fn new(config: &Config, graph: &Graph, snapshot: &Snapshot, destroying: bool) -> Self {
        let mut new = Self { blocks: BTreeSet::new(), needs: HashMap::new(), dependents: HashMap::new() };
        for node in 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX) {
            let Some(by) = graph.address(config, node) else { continue };
            for needed in graph.direct_resources(node) {
                new.add(&by, graph.address(config, needed));
            }
            new.blocks.insert(by);
        }
        let instances = snapshot.instances.iter();
        for (address, instance) in instances.chain(snapshot.deposed.iter().map(|((a, _), i)| (a, i))) {
            let by = address.resource();
            if destroying || graph.resource(&by).is_none() {
                // Its provider must be there as it is now.
                let provider = super::owner(graph, address, &instance.provider).and_then(|p| graph.provider_node(p));
                for needed in provider.into_iter().flat_map(|n| graph.direct_resources(n)) {
                    new.add(&by, graph.address(config, needed));
                }
                for needed in instance.dependencies.iter().filter_map(|n| Some(n.parse::<Address>().ok()?.resource())) {
                    if destroying {
                        new.add(&by, Some(needed));
                    } else if graph.resource(&needed).is_none() {
                        // Both are deleted: what was needed goes after what needed it.
                        new.add(&needed, Some(by.clone()));
                    }
                }
            }
            new.blocks.insert(by);
        }
        new
    }

    fn add(&mut self, by: &ResourceAddress, needed: Option<ResourceAddress>) {
        let Some(needed) = needed else { return };
        self.dependents.entry(needed.clone()).or_default().push(by.clone());
        self.needs.entry(by.clone()).or_default().push(needed);
    }
}

/// All that edges lead to, without where they begin unless something leads back.
fn reach(from: &[ResourceAddress], edges: &HashMap<ResourceAddress, Vec<ResourceAddress>>) -> HashSet<ResourceAddress> {
    let mut out = HashSet::new();
    let mut stack: Vec<&ResourceAddress> = from.iter().collect();
    while let Some(block) = stack.pop() {
        for next in edges.get(block).into_iter().flatten() {
            if out.insert(next.clone()) {
                stack.push(next);
            }
        }
    }
    out
}
