//! Applying one stage: a bounded walk over the operations of a plan.
//!
//! The one decision: each operation's intent is durable before its call and its result before
//! anything that needs it begins, so that nothing is lost whenever the process dies. A failure skips
//! what needs the failed step and nothing else.

mod batch;
mod call;
mod ephemeral;
mod finalize;
pub mod graph;
mod operation;

pub(crate) use operation::state_error as state_diagnostic;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mesh_model::change::Counts;
use mesh_model::snapshot::{Operation, StoredOutput};
use mesh_model::{Action, Address, Diagnostic, Diagnostics, Instance, Reason, Value};
use mesh_sdk::marks::mark_sensitive;
use mesh_state::{Outputs, Record, StateError, Summary, Writer};
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::event::Event;
use crate::inputs::Inputs;
use crate::plan::Planning;
use crate::world::aggregate;
use graph::{Operations, Step};

/// Tells a running apply to stop: the first time nothing new is begun, the second time what runs is
/// abandoned (its outcome is looked up by the next run).
#[derive(Clone, Debug)]
pub struct Cancel(tokio::sync::watch::Receiver<u8>);

impl Cancel {
    /// With the sender that counts the requests.
    pub fn new() -> (tokio::sync::watch::Sender<u8>, Self) {
        let (sender, receiver) = tokio::sync::watch::channel(0);
        (sender, Self(receiver))
    }

    fn requested(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// How often it was asked for.
    pub fn requests(&self) -> u8 {
        *self.0.borrow()
    }

    /// Waits until it was asked for more than `n` times.
    pub async fn more_than(&mut self, n: u8) {
        if self.0.wait_for(|now| *now > n).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn at_once(&mut self) {
        self.more_than(1).await;
    }
}

/// What became of a stage.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done.
    pub counts: Counts,
    /// What failed.
    pub failed: Vec<(Address, Diagnostic)>,
    /// What was not begun, each with the reason.
    pub skipped: Vec<(Address, Action, String)>,
    /// Problems that belong to no operation.
    pub diagnostics: Diagnostics,
    /// Whether it was told to stop.
    pub interrupted: bool,
    /// Root outputs as they are now.
    pub outputs: Outputs,
}

impl Report {
    /// Whether everything was done.
    pub fn succeeded(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && !self.diagnostics.has_errors() && !self.interrupted
    }
}

struct Walk<'w, 'c> {
    engine: &'w Engine,
    planning: &'w Planning<'c>,
    inputs: &'w Inputs,
    writer: &'w dyn Writer,
    limits: Vec<Semaphore>,
    all: Semaphore,
    report: RefCell<Report>,
    /// What each change gave.
    values: RefCell<Vec<Option<Value>>>,
    cancel: Cancel,
    /// What is in the report as failed or skipped.
    said: RefCell<HashSet<Address>>,
    /// See [`Walk::deposed_key`].
    deposed_key: OnceCell<Arc<str>>,
    batches: RefCell<HashMap<batch::Key, Rc<batch::Batch>>>,
    /// What `for_each` of a block gives now, by node and module instance, where its values were unknown.
    repeated: RefCell<HashMap<(u32, usize), Value>>,
    /// Nodes that were evaluated again: the values of the others are only planned.
    settled: RefCell<HashSet<u32>>,
}

/// How a step ended.
enum End {
    Ok,
    /// Failed or was skipped, because of this.
    Blocked(Arc<str>),
}

/// Applies a plan under the lock that `writer` stands for. `timestamp` is the time of the apply.
///
/// # Errors
/// When state cannot be written: nothing more is begun then.
pub async fn apply(
    engine: &Engine,
    planning: &Planning<'_>,
    inputs: &Inputs,
    writer: &dyn Writer,
    parallelism: usize,
    timestamp: &str,
    cancel: Cancel,
) -> Result<Report, StateError> {
    settle_open(planning, writer).await?;
    for (address, key) in &planning.restored {
        writer.record(None, Record::Restore { address: address.clone(), key: key.clone() }).await?;
    }
    for (from, to) in &planning.moves {
        writer.record(None, Record::Move { from: from.clone(), to: to.clone() }).await?;
    }
    refresh_state(engine, planning, writer).await?;
    remember_replaces(planning, writer).await?;
    planning.world.start_applying(timestamp);
    let limits = planning
        .providers
        .iter()
        .map(|p| Semaphore::new(engine.provider(&p.name).map_or(1, |p| p.schema().concurrency.max(1))))
        .collect();
    let walk = Walk {
        engine,
        planning,
        inputs,
        writer,
        limits,
        all: Semaphore::new(parallelism.max(1)),
        report: RefCell::default(),
        values: RefCell::new(vec![None; planning.plan.changes.len()]),
        cancel: cancel.clone(),
        said: RefCell::default(),
        deposed_key: OnceCell::new(),
        batches: RefCell::default(),
        repeated: RefCell::default(),
        settled: RefCell::default(),
    };
    let operations = graph::build(planning);
    let mut hard = cancel;
    tokio::select! {
        () = walk.run(&operations) => {}
        () = hard.at_once() => walk.report.borrow_mut().interrupted = true,
    }
    let outputs = walk.outputs()?;
    let mut report = walk.report.into_inner();
    report.outputs = outputs;
    report.diagnostics.extend(engine.live.failures());
    if writer.lost() {
        report.diagnostics.push(Diagnostic::error(
            "state::lock_lost",
            "The state lock was lost",
            "Another process took the lock over, so nothing more was begun. What was in flight is looked up by the next run.",
        ));
    }
    Ok(report)
}

/// Records what was found of operations that an earlier run left open.
async fn settle_open(planning: &Planning<'_>, writer: &dyn Writer) -> Result<(), StateError> {
    for (seq, intent) in writer.open().await? {
        let found = planning
            .recovered
            .iter()
            .find(|r| r.intent.address == intent.address && r.intent.operation == intent.operation);
        let Some(recovered) = found else { continue };
        let record = match (intent.operation, &recovered.found, recovered.looked) {
            (Operation::Create, Some((values, identity)), _) => {
                // The object is there: known to state from now on, and completed by this run.
                let known = planning.snapshot.instances.get(&recovered.at);
                let target = planning
                    .providers
                    .iter()
                    .find(|p| p.key == intent.provider)
                    .and_then(|p| p.session.as_ref())
                    .and_then(|s| s.target());
                Record::Put {
                    address: intent.address.clone(),
                    deposed: None,
                    instance: Arc::new(Instance {
                        provider: intent.provider.clone(),
                        schema_version: 0,
                        values: planning.fingerprinter.withhold(values),
                        identity: Some(identity.clone()),
                        target,
                        dependencies: intent.dependencies.clone(),
                        protected: intent.protected || known.is_some_and(|k| k.protected),
                        create_before_destroy: false,
                        tainted: false,
                        adopted: false,
                        kept: intent.kept || known.is_some_and(|k| k.kept),
                        private: None,
                    }),
                }
            }
            (Operation::Delete, None, true) => Record::Remove { address: intent.address.clone(), deposed: None },
            // Whether it was made or not: until it is known again, the object needs what both say.
            (Operation::Update, _, _) => match planning.snapshot.instances.get(&recovered.at) {
                Some(instance) => {
                    Record::Put { address: intent.address.clone(), deposed: None, instance: instance.clone() }
                }
                None => Record::Nothing,
            },
            (Operation::Create, None, true) | (Operation::Delete, _, _) => Record::Nothing,
            // Its identity was never known: the type declares nothing outside that could be left.
            (Operation::Create, None, false) if intent.identity.is_none() => Record::Nothing,
            (Operation::Create, None, false) => continue,
        };
        writer.record(Some(seq), record).await?;
    }
    Ok(())
}

/// Brings what state remembers of unchanged objects up to date: protection, dependencies, spelling.
async fn refresh_state(engine: &Engine, planning: &Planning<'_>, writer: &dyn Writer) -> Result<(), StateError> {
    for (address, instance) in state_updates(engine, planning) {
        writer.record(None, Record::Put { address, deposed: None, instance }).await?;
    }
    Ok(())
}

/// Replaces that nothing in configuration or reality asks for a second time are kept as taints, so
/// that a run that is cut off is finished by the next one.
async fn remember_replaces(planning: &Planning<'_>, writer: &dyn Writer) -> Result<(), StateError> {
    for change in planning.plan.changes.iter().filter(|c| matches!(c.reason, Reason::Requested | Reason::Triggered)) {
        if let Some(saved) = planning.snapshot.instances.get(&change.address).filter(|s| !s.tainted) {
            let instance = Arc::new(Instance { tainted: true, ..Instance::clone(saved) });
            writer.record(None, Record::Put { address: change.address.clone(), deposed: None, instance }).await?;
        }
    }
    Ok(())
}

/// Instances without a change whose entry in state is not up to date.
pub fn state_updates(engine: &Engine, planning: &Planning<'_>) -> Vec<(Address, Arc<Instance>)> {
    let changes = planning.plan.changes.iter().zip(&planning.items);
    changes
        .filter(|(c, _)| c.action == Action::NoOp && c.importing.is_none())
        .filter_map(|(c, item)| {
            let saved = planning.snapshot.instances.get(&c.address)?;
            let schema = engine.schema(c.address.mode, &c.address.ty)?;
            let now = Instance {
                provider: c.provider.clone(),
                schema_version: schema.version,
                values: planning.fingerprinter.withhold(&c.after),
                identity: item.identity.clone(),
                target: planning.providers[item.provider].session.as_ref().and_then(|s| s.target()),
                dependencies: item.dependencies.clone(),
                protected: item.protected,
                create_before_destroy: item.create_before_destroy,
                tainted: saved.tainted,
                adopted: saved.adopted,
                kept: item.kept,
                private: item.observed.as_ref().and_then(|o| o.private.clone()).or_else(|| saved.private.clone()),
            };
            let same =
                now.values.same(&saved.values) && Instance { values: saved.values.clone(), ..now.clone() } == **saved;
            (!same).then(|| (c.address.clone(), Arc::new(now)))
        })
        .collect()
}

/// What state remembers of an object that a plan imports, as it is there; `None` where the plan imports nothing
/// at this address.
pub fn imported(engine: &Engine, planning: &Planning<'_>, address: &Address) -> Option<Instance> {
    let mut changes = planning.plan.changes.iter().zip(&planning.items);
    let (change, item) = changes.find(|(c, _)| c.address == *address && c.importing.is_some())?;
    let schema = engine.schema(address.mode, &address.ty)?;
    let observed = item.observed.as_ref()?;
    let values = mark_sensitive(&schema.schema, &observed.values);
    let values = engine.rules(address.mode, &address.ty).map_or(values.clone(), |r| r.mark(values));
    Some(Instance {
        provider: change.provider.clone(),
        schema_version: schema.version,
        values: planning.fingerprinter.withhold(&values),
        identity: item.identity.clone(),
        target: planning.providers[item.provider].session.as_ref().and_then(|s| s.target()),
        dependencies: item.dependencies.clone(),
        protected: item.protected,
        create_before_destroy: item.create_before_destroy,
        tainted: false,
        adopted: false,
        kept: item.kept,
        private: observed.private.clone(),
    })
}

impl Walk<'_, '_> {
    async fn run(&self, operations: &Operations) {
        let mut left = operations.steps.len();
        let mut missing = operations.order.incoming().to_vec();
        let mut blocked: Vec<Option<Arc<str>>> = vec![None; operations.steps.len()];
        let mut ready: VecDeque<u32> =
            (0..u32::try_from(missing.len()).unwrap_or(u32::MAX)).filter(|i| missing[*i as usize] == 0).collect();
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(step) = ready.pop_front() {
                let end = match (&blocked[step as usize], operations.steps[step as usize]) {
                    (Some(because), s) => {
                        self.skip(s, because);
                        End::Blocked(because.clone())
                    }
                    (None, Step::Barrier) => End::Ok,
                    (None, Step::Settle(node)) if self.planning.is_left_out(node) => End::Ok,
                    (None, Step::Settle(node)) if !self.is_ephemeral(node) => self.settle(node),
                    (None, s) => {
                        if self.cancel.requested() || self.writer.lost() {
                            let because: Arc<str> = Arc::from(if self.writer.lost() {
                                "the state lock was lost"
                            } else {
                                "the apply was interrupted"
                            });
                            self.report.borrow_mut().interrupted = true;
                            self.skip(s, &because);
                            End::Blocked(because)
                        } else {
                            running.push(async move { (step, self.begin(s).await) });
                            continue;
                        }
                    }
                };
                left -= 1;
                Self::done(operations, step, &end, &mut missing, &mut blocked, &mut ready);
            }
            match running.next().await {
                Some((step, end)) => {
                    left -= 1;
                    Self::done(operations, step, &end, &mut missing, &mut blocked, &mut ready);
                }
                None => break,
            }
        }
        if left > 0 {
            self.in_a_circle(operations, &missing);
        }
    }

    /// Steps that wait for each other are never begun: that must not look like a success.
    fn in_a_circle(&self, operations: &Operations, missing: &[u32]) {
        let because: Arc<str> = Arc::from("it waits for an operation that waits for it");
        for (step, _) in operations.steps.iter().zip(missing).filter(|(_, n)| **n > 0) {
            if let Step::Make(i) | Step::Remove(i) = step {
                self.skipped(*i, self.planning.plan.changes[*i].action, &because);
            }
        }
        self.report.borrow_mut().diagnostics.push(Diagnostic::error(
            "apply::order",
            "Operations wait for each other",
            "The order of deletes that state remembers and the order of changes that the configuration asks for form a circle, so the \
             skipped operations were not begun. Make the change in two steps: first the deletes or replaces, then the rest.",
        ));
    }

    fn done(
        operations: &Operations,
        step: u32,
        end: &End,
        missing: &mut [u32],
        blocked: &mut [Option<Arc<str>>],
        ready: &mut VecDeque<u32>,
    ) {
        for &next in operations.order.after(step) {
            if let End::Blocked(because) = end
                && blocked[next as usize].is_none()
            {
                blocked[next as usize] = Some(because.clone());
            }
            missing[next as usize] -= 1;
            if missing[next as usize] == 0 {
                ready.push_back(next);
            }
        }
    }

    fn skip(&self, step: Step, because: &Arc<str>) {
        let (Step::Make(i) | Step::Remove(i)) = step else { return };
        // The second half of a replace that is not said yet: its first half is done.
        let action = match (step, self.planning.plan.changes[i].action) {
            (Step::Make(_), Action::Replace) => Action::Create,
            (Step::Remove(_), Action::ReplaceCreateFirst) => Action::Delete,
            (Step::Remove(_), Action::ReplaceForget) => Action::Forget,
            (_, action) => action,
        };
        self.skipped(i, action, because);
    }

    fn skipped(&self, i: usize, action: Action, because: &Arc<str>) {
        let change = &self.planning.plan.changes[i];
        if self.in_check(i) {
            return;
        }
        // A replace has two steps; it is said once.
        if !self.said.borrow_mut().insert(change.address.clone()) {
            return;
        }
        self.report.borrow_mut().skipped.push((change.address.clone(), action, because.to_string()));
        self.engine.sink.event(Event::Skipped {
            address: change.address.clone(),
            action,
            because: because.to_string(),
        });
    }

    /// Whether a change is the read of a data source inside a check block: it stops nothing.
    fn in_check(&self, i: usize) -> bool {
        let (config, graph) = (self.planning.world.config, self.planning.world.graph);
        self.planning.items[i].node.is_some_and(|n| graph.in_check(config, n))
    }

    /// A step that may have to wait for somebody.
    async fn begin(&self, step: Step) -> End {
        match step {
            Step::Barrier => End::Ok,
            Step::Settle(node) => self.open(node).await,
            Step::Make(i) => self.guarded(i, false).await,
            Step::Remove(i) => self.guarded(i, true).await,
        }
    }

    /// Evaluates a node again with what is known now.
    fn settle(&self, node: u32) -> End {
        if self.planning.plan.destroy {
            // Deletes need no values, and what a value needs may be gone.
            return End::Ok;
        }
        let world = &self.planning.world;
        let result = match world.graph.nodes[node as usize] {
            crate::graph::Node::Resource { module, item } => {
                self.gather(node, module, item);
                Ok(())
            }
            crate::graph::Node::Check { module, item } => {
                let (_, warnings) = crate::plan::evaluate_check(world, module, item);
                self.report.borrow_mut().diagnostics.extend(warnings);
                Ok(())
            }
            _ => crate::plan::again(world, self.inputs, node),
        };
        match result {
            Ok(()) => {
                self.settled.borrow_mut().insert(node);
                End::Ok
            }
            Err(diagnostics) => self.blocked(node, diagnostics),
        }
    }

    fn blocked(&self, node: u32, diagnostics: Diagnostics) -> End {
        let world = &self.planning.world;
        let name = crate::graph::name(world.config, world.graph, node);
        self.report.borrow_mut().diagnostics.extend(diagnostics);
        End::Blocked(Arc::from(format!("{name} has an error")))
    }

    /// The value of a block after its instances were made.
    fn gather(&self, node: u32, module: usize, item: usize) {
        let positions = self.planning.changes_of(node);
        let values = self.values.borrow();
        // What waits is not known as a whole: it stays as it was planned.
        if self.planning.is_deferred(node) || !positions.iter().any(|i| values[*i].is_some()) {
            return;
        }
        let world = &self.planning.world;
        let block = &world.config.modules[module].resources[item];
        let mut instances: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for &i in positions {
            let change = &self.planning.plan.changes[i];
            if !matches!(change.action, Action::Delete | Action::Forget) && change.deposed.is_none() {
                let value = values[i].clone().unwrap_or_else(|| crate::ephemeral::readable(&change.after));
                instances.entry(self.planning.items[i].ordinal).or_default().push((change.address.key.clone(), value));
            }
        }
        for (ordinal, list) in instances {
            world.set(node, ordinal, aggregate(block, list));
        }
    }

    /// Root outputs: what could be evaluated, else what state has.
    fn outputs(&self) -> Result<Outputs, StateError> {
        let snapshot = &self.planning.snapshot;
        if self.planning.plan.destroy {
            let partial = self.planning.plan.partial;
            return Ok(if partial { snapshot.outputs.clone() } else { Outputs::new() });
        }
        let world = &self.planning.world;
        let mut out = Outputs::new();
        for output in &world.config.root().outputs {
            let node = world.graph.output(0, &output.name).filter(|n| self.settled.borrow().contains(n));
            match node.and_then(|n| world.get(n, 0)) {
                Some(v) if v.is_null() => {}
                Some(v) if v.is_wholly_known() => {
                    let (value, sensitive) = (self.planning.fingerprinter.withhold(&v), output.sensitive);
                    let same = snapshot.outputs.get(&output.name).filter(|old| old.value.same(&value));
                    let sealed = match (same.and_then(|old| old.sealed.clone()), &self.planning.sealer) {
                        (Some(sealed), _) => Some(sealed),
                        (None, Some(sealer)) if sensitive && !v.has_withheld() => {
                            let place = sealed_place(&snapshot.lineage, &output.name);
                            Some(Arc::from(sealer.seal_value(&place, &v)?))
                        }
                        (None, _) => None,
                    };
                    out.insert(output.name.clone(), StoredOutput { value, sensitive, sealed });
                }
                _ => {
                    if let Some(old) = snapshot.outputs.get(&output.name) {
                        out.insert(output.name.clone(), old.clone());
                    }
                }
            }
        }
        Ok(out)
    }
}

/// What the sealed value of a root output is bound to.
pub fn sealed_place(lineage: &str, output: &str) -> String {
    format!("{lineage} output.{output}")
}

/// The summary that the history keeps.
pub fn summary(report: &Report, complete: bool) -> Summary {
    Summary { counts: report.counts, complete, ..Summary::default() }
}
