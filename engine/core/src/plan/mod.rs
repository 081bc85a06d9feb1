//! Planning: one async walk of the configuration's graph, in dependency order.
//!
//! The one decision: every node is visited once, as soon as what it needs was visited; providers
//! are configured and asked in bulk on the way, so that a later part of the configuration may
//! depend on what an earlier part observed. Reads only; takes no lock.

mod candidate;
mod checks;
mod data;
mod defer;
mod ephemeral;
mod generate;
mod imports;
mod keepers;
mod look;
mod moves;
mod options;
mod orphan;
mod provider;
mod recover;
mod refresh;
mod removal;
mod resource;
mod select;
mod trigger;
mod values;
mod walk;
mod which;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use mesh_lang::Config;
use mesh_lang::functions::Context;
use mesh_model::change::{CheckResult, Deferred, Drift, OutputChange, Waiting};
use mesh_model::snapshot::Identity;
use mesh_model::{Action, Address, Change, Diagnostics, Fingerprinter, InstanceKey, Plan, Snapshot, Value};
use mesh_sdk::{Observed, PreviewResponse};
use mesh_state::seal::Sealer;

pub(crate) use checks::evaluate as evaluate_check;
pub use generate::Generated;
pub(crate) use generate::providers as generating;
pub use options::{Mode, Options};
pub use provider::ProviderState;
pub(crate) use recover::either;
pub(crate) use values::{again, check};
pub(crate) use which::{Keyed, answers};

use crate::engine::Engine;
use crate::graph::{Graph, Node};
use crate::inputs::Inputs;
use crate::world::{Repetition, World};

/// What a planned change needs for its operation, beside the change itself.
#[derive(Clone, Debug)]
pub struct Item {
    /// The block's node; `None` for one that is no longer configured.
    pub node: Option<u32>,
    /// The module instance.
    pub ordinal: usize,
    /// What `count` or `for_each` gave.
    pub repetition: Repetition,
    /// The provider's position.
    pub provider: usize,
    /// The configuration, where it was evaluated.
    pub desired: Option<Value>,
    /// What is there.
    pub observed: Option<Observed>,
    /// The server's answer.
    pub preview: Option<PreviewResponse>,
    /// The identity, as far as it is known.
    pub identity: Option<Identity>,
    /// That of the object that is made, where it is known before.
    pub makes: Option<Identity>,
    /// Blocks that it needs directly.
    pub dependencies: Arc<[Arc<str>]>,
    /// Must not be deleted later.
    pub protected: bool,
    /// Is replaced by making the new one first.
    pub create_before_destroy: bool,
    /// Take over what exists.
    pub adopt: bool,
    /// The object stays when state forgets it.
    pub kept: bool,
}

/// A plan with all that applying it needs.
pub struct Planning<'c> {
    /// What people review.
    pub plan: Plan,
    /// One for each of the plan's changes, in the same order.
    pub items: Vec<Item>,
    /// Values of all nodes.
    pub world: World<'c>,
    /// Providers with their sessions.
    pub providers: Vec<ProviderState>,
    /// Which of them answer for the keys of one with `for_each`.
    pub(crate) keyed: Keyed,
    /// The state it was made from.
    pub snapshot: Snapshot,
    /// Open intents, each with what was found of its object.
    pub recovered: Vec<recover::Recovered>,
    /// Deposed objects that are the current ones again, since nothing new is there: addresses and keys.
    pub restored: Vec<(Address, Arc<str>)>,
    /// What is renamed in state before anything else is done, in this order.
    pub moves: Vec<(Address, Address)>,
    /// Where the changes of each block stand: apart, since the instances of two blocks of a repeated
    /// module take turns in the order of addresses.
    of_node: HashMap<u32, Vec<usize>>,
    /// Blocks that wait for a later stage, at least in part.
    deferred: HashSet<u32>,
    /// Nodes that were not asked for.
    left: HashSet<u32>,
    /// Objects that import blocks name without a block of their own, where that was asked for.
    pub generated: Vec<Generated>,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
    /// Compares secrets.
    pub fingerprinter: Fingerprinter,
    /// Seals what may be known again from state alone; set for an apply.
    pub(crate) sealer: Option<Sealer>,
}

impl Planning<'_> {
    /// The digest that people approve.
    pub fn digest(&self) -> String {
        self.plan.digest(&self.fingerprinter)
    }

    /// Positions of the changes of a block, in the order of addresses.
    pub fn changes_of(&self, node: u32) -> &[usize] {
        self.of_node.get(&node).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a block waits for a later stage, at least in part.
    pub fn is_deferred(&self, node: u32) -> bool {
        self.deferred.contains(&node)
    }

    /// Whether `-target` or `-exclude` leave a node out.
    pub fn is_left_out(&self, node: u32) -> bool {
        self.left.contains(&node)
    }
}

/// What a visit left behind.
#[derive(Clone, Default)]
struct NodeState {
    failed: bool,
    deferred: Option<Arc<str>>,
    pending: bool,
    /// A managed block without instances.
    unused: bool,
}

struct Planner<'p, 'c> {
    engine: &'p Engine,
    config: &'c Config,
    graph: &'c Graph,
    inputs: &'p Inputs,
    options: &'p Options,
    world: World<'c>,
    snapshot: Snapshot,
    /// Addresses of state by block, so that a visit finds its instances without a scan.
    saved: HashMap<mesh_model::ResourceAddress, Vec<Address>>,
    recovered: RefCell<Vec<recover::Recovered>>,
    /// See [`Planning::restored`].
    restored: Vec<(Address, Arc<str>)>,
    moves: moves::Moves,
    selection: select::Selection,
    /// Instances that are in state, or thought to be, because of an open create.
    tentative: HashSet<Address>,
    fingerprinter: Fingerprinter,
    /// Those of the graph, then one for each key of a block with `for_each`.
    providers: RefCell<Vec<ProviderState>>,
    /// The positions of those keys, by the position of the block.
    keyed: RefCell<Keyed>,
    states: RefCell<Vec<NodeState>>,
    out: RefCell<Out>,
    create_before_destroy: HashSet<u32>,
    /// Instances of state by the provider that answers for them.
    owned: Vec<Vec<Address>>,
    /// Instances that get a new object.
    replace: HashSet<&'p Address>,
    /// In a destroy: what the providers need. Nothing else is evaluated, since what it needs may be
    /// gone already.
    wanted: Option<HashSet<u32>>,
}

#[derive(Default)]
struct Out {
    planned: Vec<(Change, Item)>,
    /// Updates and replaces by block and module instance, then by key: positions in `planned`.
    changing: HashMap<(u32, usize), HashMap<Option<InstanceKey>, usize>>,
    deferred: Vec<Deferred>,
    waiting: Vec<Waiting>,
    drift: Vec<Drift>,
    outputs: BTreeMap<Arc<str>, OutputChange>,
    checks: Vec<CheckResult>,
    protected: Vec<Address>,
    diagnostics: Diagnostics,
    generated: Vec<Generated>,
    identities: HashMap<(usize, Identity), Address>,
    handled: HashSet<Address>,
}

/// What a plan is made from.
pub struct Request<'p, 'c> {
    /// The configuration.
    pub config: &'c Config,
    /// Its graph.
    pub graph: &'c Graph,
    /// Values of root variables.
    pub inputs: &'p Inputs,
    /// State as it is.
    pub snapshot: Snapshot,
    /// The lineage's fingerprinter.
    pub fingerprinter: Fingerprinter,
    /// What was asked for.
    pub options: &'p Options,
    /// What functions know.
    pub context: &'p Context,
}

/// Makes a plan. Errors are in its diagnostics; a plan with errors must not be applied.
pub async fn plan<'c>(engine: &Engine, request: Request<'_, 'c>) -> Planning<'c> {
    let Request { config, graph, inputs, mut snapshot, fingerprinter, options, context } = request;
    let mut recovered = recover::tentative(&mut snapshot);
    let restored = recover::restored(&mut snapshot);
    let moves = moves::execute(config, &mut snapshot);
    recover::moved(&mut recovered, &moves.done);
    let mut saved: HashMap<_, Vec<Address>> = HashMap::new();
    for address in snapshot.instances.keys() {
        saved.entry(address.resource()).or_default().push(address.clone());
    }
    let selection = select::Selection::new(options, config, graph, &snapshot);
    let mut owned = vec![Vec::new(); graph.providers.len()];
    // A destroy takes values that others need from all objects, selected or not.
    let looked_at = |a: &Address| options.mode == Mode::Destroy || selection.instance(a);
    for (address, instance) in snapshot.instances.iter().filter(|(a, _)| looked_at(a)) {
        if let Some(position) = owner(graph, address, &instance.provider) {
            owned[position].push(address.clone());
        }
    }
    let mut diagnostics = moves.diagnostics.clone();
    diagnostics.extend(selection.diagnostics(options, &moves.done));
    let planner = Planner {
        engine,
        config,
        graph,
        inputs,
        options,
        world: World::new(config, graph, context),
        snapshot,
        saved,
        tentative: recover::created(&recovered, &restored),
        recovered: RefCell::new(recovered),
        restored,
        fingerprinter,
        providers: RefCell::new(graph.providers.iter().map(ProviderState::new).collect()),
        keyed: RefCell::default(),
        states: RefCell::new(vec![NodeState::default(); graph.nodes.len()]),
        out: RefCell::new(Out { diagnostics, ..Out::default() }),
        moves,
        selection,
        create_before_destroy: spread(config, graph),
        owned,
        replace: options.replace.iter().collect(),
        wanted: (options.mode == Mode::Destroy).then(|| wanted(graph)),
    };
    planner.not_there();
    planner.walk().await;
    planner.orphans().await;
    planner.keep_needed();
    if options.generate {
        planner.generate().await;
    }
    let mut planning = planner.finish();
    planning.diagnostics.extend(engine.live.failures());
    planning.diagnostics.extend(keepers::check(&engine.keepers, &planning));
    planning
}

/// What the configuration renames in state before anything is planned: from where to where.
pub(crate) fn moved(config: &Config, mut snapshot: Snapshot) -> Vec<(Address, Address)> {
    moves::execute(config, &mut snapshot).done
}

/// The provider that answers for an instance of state: the one that its block has now, else the one
/// that it was made with. So an object whose block moved to another alias is looked for there.
fn owner(graph: &Graph, address: &Address, made_with: &str) -> Option<usize> {
    let configured = graph.resource(&address.resource()).and_then(|n| graph.provider_of.get(&n).copied());
    let block = made_with.split('[').next().unwrap_or(made_with);
    configured.or_else(|| graph.providers.iter().position(|p| &*p.key == block && !p.unknown))
}

/// Everything that the configurations of providers need.
fn wanted(graph: &Graph) -> HashSet<u32> {
    let all = 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
    let mut stack: Vec<u32> = all.filter(|n| matches!(graph.nodes[*n as usize], Node::Provider(_))).collect();
    let mut out = HashSet::new();
    while let Some(n) = stack.pop() {
        if out.insert(n) {
            stack.extend(graph.needs.after(n));
        }
    }
    out
}

/// Blocks that are replaced by making the new object first: those that say so, and all that they
/// need (else the order would be a circle).
fn spread(config: &Config, graph: &Graph) -> HashSet<u32> {
    let says = |n: u32| match graph.nodes[n as usize] {
        Node::Resource { module, item } => config.modules[module].resources[item].lifecycle.create_before_destroy,
        _ => false,
    };
    let all = 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
    let mut stack: Vec<u32> = all.filter(|n| says(*n)).collect();
    let mut out = HashSet::new();
    while let Some(n) = stack.pop() {
        if out.insert(n) {
            stack.extend(graph.needs.after(n));
        }
    }
    out
}

impl<'c> Planner<'_, 'c> {
    fn finish(self) -> Planning<'c> {
        let mut out = self.out.into_inner();
        // Root outputs that are no longer there; a destroy takes all of them away.
        for (name, old) in &self.snapshot.outputs {
            let stays =
                self.options.mode != Mode::Destroy && self.config.root().outputs.iter().any(|o| o.name == *name);
            if !stays && !self.selection.is_partial() {
                let gone = OutputChange { before: old.value.clone(), after: Value::NULL, action: Action::Delete };
                out.outputs.insert(name.clone(), gone);
            }
        }
        let moved = &self.moves.previous;
        for (change, _) in &mut out.planned {
            change.previous_address = moved.get(&change.address).cloned();
        }
        out.planned.sort_by(|(a, _), (b, _)| a.address.cmp(&b.address).then_with(|| a.deposed.cmp(&b.deposed)));
        out.deferred.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        out.drift.sort_by(|a, b| a.address.cmp(&b.address));
        out.waiting.sort_by(|a, b| a.address.cmp(&b.address));
        out.protected.sort();
        out.checks.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
        let mut diagnostics = out.diagnostics;
        diagnostics.0.sort_by_key(|d| (d.severity, d.span));
        diagnostics.0.dedup();
        let mut of_node: HashMap<u32, Vec<usize>> = HashMap::new();
        for (i, (_, item)) in out.planned.iter().enumerate() {
            if let Some(node) = item.node {
                of_node.entry(node).or_default().push(i);
            }
        }
        let states = self.states.into_inner();
        let deferred = (0..).zip(&states).filter(|(_, s)| s.deferred.is_some()).map(|(n, _)| n).collect();
        let (changes, items) = out.planned.into_iter().unzip();
        Planning {
            plan: Plan {
                changes,
                deferred: out.deferred,
                waiting: out.waiting,
                drift: out.drift,
                outputs: out.outputs,
                checks: out.checks,
                destroy: self.options.mode == Mode::Destroy,
                refresh_only: self.options.mode == Mode::RefreshOnly,
                partial: self.selection.is_partial(),
                protected: out.protected,
            },
            items,
            world: self.world,
            providers: self.providers.into_inner(),
            keyed: self.keyed.into_inner(),
            snapshot: self.snapshot,
            recovered: self.recovered.into_inner(),
            restored: self.restored,
            moves: self.moves.done,
            of_node,
            deferred,
            left: self.selection.into_left(),
            generated: out.generated,
            diagnostics,
            fingerprinter: self.fingerprinter,
            sealer: None,
        }
    }
}
