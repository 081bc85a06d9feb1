//! Applying one stage: a bounded walk over the operations of a plan.
//!
//! The one decision: each operation's intent is durable before its call and its result before
//! anything that needs it begins, so that nothing is lost whenever the process dies. A failure skips
//! what needs the failed step and nothing else.

mod batch;
mod call;
mod cancel;
mod ephemeral;
mod finalize;
pub mod graph;
mod operation;
mod walk;

pub use cancel::Cancel;
pub(crate) use operation::state_error as state_diagnostic;

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use mesh_model::change::Counts;
use mesh_model::snapshot::{Operation, StoredOutput};
use mesh_model::{Action, Address, Diagnostic, Diagnostics, Instance, Reason, Value};
use mesh_sdk::marks::mark_sensitive;
use mesh_state::{Outputs, Record, StateError, Summary, Writer};
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::inputs::Inputs;
use crate::plan::Planning;
use graph::Step;

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
