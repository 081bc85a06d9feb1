//! A whole run: plan, approve, lock, apply, and stage after stage what could not be decided before.
//!
//! The one decision: an apply never trusts an old plan. Under the lock it compares state with what
//! the plan was made from, and plans anew where they differ; it goes on only when the new plan is
//! equal to the approved one or narrower. So a saved plan, an approved digest, a resumed run and a
//! plain apply are one path.

mod origin;
pub mod takeover;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_lang::Config;
use mesh_lang::functions::Context;
use mesh_model::change::{Counts, Deferred, Poll, Waiting};
use mesh_model::snapshot::StoredOutput;
use mesh_model::{Change, Diagnostic, Diagnostics, Mode, Plan, Snapshot};
use mesh_state::{Backend, LockInfo, Outputs, Record, StateError, Writer};

use crate::apply::{self, Cancel, Report};
use crate::conform::{Reviewed, exceeds, within};
use crate::engine::Engine;
use crate::graph::{self, Graph};
use crate::inputs::Inputs;
use crate::plan::{self, Item, Options, Planning, Request};
use origin::{Mark, OTHER_ORIGIN, Origin, mark, moved, stale};

/// What a plan or an apply works on.
pub struct Run<'r> {
    /// Providers, services, events.
    pub engine: &'r Engine,
    /// The configuration.
    pub config: &'r Config,
    /// Values of root variables.
    pub inputs: &'r Inputs,
    /// Where state is.
    pub backend: &'r dyn Backend,
    /// What was asked for.
    pub options: &'r Options,
    /// What functions know.
    pub context: &'r Context,
}

/// What somebody says about a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Approval {
    /// Do it.
    Yes,
    /// Do not.
    No,
}

/// Sees plans before they are applied.
pub trait Approver {
    /// Shows the plan of a stage (from 1) and says whether to go on. `within` is false for a later
    /// stage that goes beyond the envelopes of the plan that was approved first.
    fn approve(&mut self, stage: usize, planning: &Planning<'_>, within: bool) -> Approval;

    /// Sees what became of a stage: the values of all nodes are those that became true, as far as it came.
    fn applied(&mut self, planning: &Planning<'_>) {
        let _ = planning;
    }
}

/// How an apply ended.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// What was done over all stages.
    pub counts: Counts,
    /// What failed or was skipped in the last stage.
    pub report: Report,
    /// Gates that are closed.
    pub waiting: Vec<Waiting>,
    /// What is still deferred.
    pub deferred: Vec<Deferred>,
    /// Whether somebody said no.
    pub declined: bool,
    /// Whether there was nothing to do at all.
    pub nothing: bool,
    /// Root outputs.
    pub outputs: Outputs,
    /// Warnings of the plans.
    pub warnings: Diagnostics,
}

impl Finished {
    /// Whether everything that was asked for is done.
    pub fn is_complete(&self) -> bool {
        !self.declined && self.report.succeeded() && self.deferred.is_empty()
    }
}

/// Turns a state error into diagnostics.
pub fn state_diagnostics(error: &StateError) -> Diagnostics {
    apply::state_diagnostic(error).into()
}

impl Run<'_> {
    /// Builds the graph for a snapshot.
    ///
    /// # Errors
    /// Cycles, unknown types, bad provider references.
    pub fn graph(&self, snapshot: &Snapshot) -> Result<Graph, Diagnostics> {
        let known = snapshot.instances.values().chain(snapshot.deposed.values()).map(|i| &i.provider);
        let mut used: Vec<Arc<str>> = known.chain(snapshot.open.iter().map(|i| &i.provider)).cloned().collect();
        if self.options.generate {
            used.extend(plan::generating(self.engine, self.config));
        }
        used.sort();
        used.dedup();
        let by_type = |ty: &str| {
            let provider =
                [Mode::Managed, Mode::Data, Mode::Ephemeral].iter().find_map(|m| self.engine.provider_of(*m, ty))?;
            Some(Arc::from(provider.schema().name))
        };
        graph::build(self.config, &by_type, &|name| self.engine.provider(name).is_some(), &used)
    }

    /// Makes a plan from state as it is now, without a lock, and hands it to `then`.
    ///
    /// # Errors
    /// State that cannot be read, errors of the configuration. Errors of the plan itself are in
    /// [`Planning::diagnostics`].
    pub async fn plan<T>(&self, then: impl FnOnce(&Planning<'_>) -> T) -> Result<T, Diagnostics> {
        let keys = self.backend.keys().await.map_err(|e| state_diagnostics(&e))?;
        let fingerprinter = keys.fingerprinter;
        let snapshot = self.backend.snapshot().await.map_err(|e| state_diagnostics(&e))?;
        let graph = self.prepare(&snapshot)?;
        let mut planning = plan::plan(self.engine, self.request(&graph, snapshot, fingerprinter, self.options)).await;
        planning.diagnostics.0.extend(keys.stale.then(rekey_is_due));
        planning.diagnostics.extend(self.engine.close().await);
        Ok(then(&planning))
    }

    fn prepare(&self, snapshot: &Snapshot) -> Result<Graph, Diagnostics> {
        let diagnostics = crate::check::check(self.engine, self.config);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        self.graph(snapshot)
    }

    fn request<'s>(
        &'s self,
        graph: &'s Graph,
        snapshot: Snapshot,
        fingerprinter: mesh_model::Fingerprinter,
        options: &'s Options,
    ) -> Request<'s, 's> {
        Request {
            config: self.config,
            graph,
            inputs: self.inputs,
            snapshot,
            fingerprinter,
            options,
            context: self.context,
        }
    }

    /// Applies: stage after stage, until nothing is left, a gate is closed, or something failed.
    /// `reviewed` is a plan that was approved before (a plan file): the first stage must not exceed
    /// it, and later ones must stay inside its envelopes.
    ///
    /// # Errors
    /// What kept the apply from beginning: state, lock, configuration, a plan with errors.
    pub async fn apply(
        &self,
        approver: &mut dyn Approver,
        reviewed: Option<&Reviewed>,
        lock: LockInfo,
        wait: Duration,
        cancel: Cancel,
    ) -> Result<Finished, Diagnostics> {
        let command = lock.command.clone();
        let keys = self.backend.keys().await.map_err(|e| state_diagnostics(&e))?;
        let (fingerprinter, sealer) = (keys.fingerprinter, keys.sealer);
        let due = keys.stale.then(rekey_is_due);
        let mut writer: Option<Box<dyn Writer>> = None;
        let mut finished = Finished::default();
        let mut first_plan: Option<Plan> = reviewed.map(|r| r.plan.clone());
        let mut lock = Some(lock);
        // A replace that was asked for is kept in state from the first stage on.
        let again = Options { replace: Vec::new(), ..self.options.clone() };
        let mut before: Vec<Deferred> = Vec::new();
        let mut stage = 1;
        let mut since: Option<Instant> = None;
        loop {
            let snapshot = match &writer {
                Some(w) => w.snapshot().await,
                None => self.backend.snapshot().await,
            }
            .map_err(|e| state_diagnostics(&e))?;
            let seen = mark(&snapshot);
            let origin = match reviewed.filter(|_| stage == 1) {
                Some(reviewed) => self.origin(reviewed, &snapshot).await?,
                None => Origin::Same,
            };
            let options =
                if stage > 1 || matches!(origin, Origin::Resumed | Origin::Done) { &again } else { self.options };
            let graph = self.prepare(&snapshot)?;
            let mut planning =
                plan::plan(self.engine, self.request(&graph, snapshot, fingerprinter.clone(), options)).await;
            planning.sealer.clone_from(&sealer);
            if planning.diagnostics.has_errors() {
                let mut diagnostics = planning.diagnostics.clone();
                diagnostics.extend(self.engine.close().await);
                release(writer).await?;
                return Err(diagnostics);
            }
            finished.warnings.extend(planning.diagnostics.clone());
            finished.warnings.0.extend(due.clone());
            finished.waiting = planning.plan.waiting.clone();
            finished.deferred = planning.plan.deferred.clone();
            let updates = apply::state_updates(self.engine, &planning);
            let idle = planning.plan.is_empty() && planning.recovered.is_empty() && planning.restored.is_empty();
            // An earlier run may have done all of it without coming to its end: this one does.
            let unsettled =
                idle && lock.is_some() && self.backend.unsettled().await.map_err(|e| state_diagnostics(&e))?;
            let idle = idle && !(unsettled && planning.snapshot.unfinished.is_some());
            let open = |o: &StoredOutput| o.sensitive && o.sealed.is_none() && !o.value.is_null();
            let to_seal = sealer.is_some() && planning.snapshot.outputs.values().any(open);
            if idle && (stage > 1 || updates.is_empty() && !to_seal) {
                finished.nothing = stage == 1;
                if unsettled {
                    self.begin(&mut lock, &mut writer, wait, &seen).await?;
                }
                if stage == 1 && since.is_none() {
                    approver.approve(stage, &planning, true);
                    approver.applied(&planning);
                    finished.outputs = planning.snapshot.outputs.clone();
                }
                finished.report.diagnostics.extend(self.engine.close().await);
                if self.waits(&planning.plan.waiting, &mut since, &cancel).await {
                    continue;
                }
                break;
            }
            if stage > 1 && !goes_on(&fingerprinter, &before, &planning) {
                finished.report.diagnostics.extend(self.engine.close().await);
                if self.waits(&planning.plan.waiting, &mut since, &cancel).await {
                    continue;
                }
                break;
            }
            finished.nothing = false;
            let beyond = match &first_plan {
                Some(first) if stage == 1 => {
                    let lines = match origin {
                        Origin::Other => vec![OTHER_ORIGIN.to_owned()],
                        _ => exceeds(&fingerprinter, first, &planning, origin == Origin::Resumed),
                    };
                    if !lines.is_empty() {
                        let mut diagnostics = Diagnostics::from(stale(&lines, &planning.digest()));
                        diagnostics.extend(self.engine.close().await);
                        return Err(diagnostics);
                    }
                    false
                }
                Some(first) => {
                    writes(&planning).any(|(c, i)| !within(&fingerprinter, &first.deferred, c, i.desired.as_ref()))
                }
                None => false,
            };
            if approver.approve(stage, &planning, !beyond) == Approval::No {
                finished.declined = true;
                finished.report.diagnostics.extend(self.engine.close().await);
                break;
            }
            if first_plan.is_none() {
                first_plan = Some(planning.plan.clone());
            }
            self.begin(&mut lock, &mut writer, wait, &seen).await?;
            let Some(w) = writer.as_deref() else { break };
            let report = self.stage(stage, &planning, w, reviewed, &command, &cancel).await;
            approver.applied(&planning);
            let closed = self.engine.close().await;
            let mut report = report.map_err(|e| state_diagnostics(&e))?;
            report.diagnostics.extend(closed);
            finished.counts = add(finished.counts, report.counts);
            finished.outputs = report.outputs.clone();
            let succeeded = report.succeeded();
            finished.report = report;
            if !succeeded || planning.plan.is_complete() {
                break;
            }
            before.clone_from(&planning.plan.deferred);
            stage += 1;
        }
        release(writer).await?;
        Ok(finished)
    }

    /// Waits until a closed gate is to be looked at again; false when none is. `since` is when the first wait of
    /// this apply began.
    async fn waits(&self, gates: &[Waiting], since: &mut Option<Instant>, cancel: &Cancel) -> bool {
        let since = *since.get_or_insert_with(Instant::now);
        let left = |poll: &Poll| poll.timeout.checked_sub(since.elapsed()).filter(|left| !left.is_zero());
        let polled = gates.iter().filter_map(|g| Some((g, left(g.poll.as_ref()?)?)));
        let mut pause: Option<Duration> = None;
        for (gate, left) in polled {
            self.engine.sink.event(crate::Event::Waiting {
                address: gate.address.clone(),
                waiting_for: gate.waiting_for.clone(),
                left,
            });
            let next = gate.poll.map_or(left, |p| p.interval.min(left));
            pause = Some(pause.map_or(next, |p| p.min(next)));
        }
        let Some(pause) = pause else { return false };
        let mut cancel = cancel.clone();
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = cancel.more_than(0) => false,
        }
    }

    /// Takes the lock, if that is not done yet.
    async fn begin(
        &self,
        lock: &mut Option<LockInfo>,
        writer: &mut Option<Box<dyn Writer>>,
        wait: Duration,
        seen: &Mark,
    ) -> Result<(), Diagnostics> {
        let Some(info) = lock.take() else { return Ok(()) };
        match self.locked(info, wait, seen).await {
            Ok(taken) => *writer = Some(taken),
            Err(mut diagnostics) => {
                diagnostics.extend(self.engine.close().await);
                return Err(diagnostics);
            }
        }
        Ok(())
    }

    /// Takes the lock; state must be as it was when the plan was made.
    async fn locked(&self, info: LockInfo, wait: Duration, seen: &Mark) -> Result<Box<dyn Writer>, Diagnostics> {
        let writer = self.backend.lock(info, wait).await.map_err(|e| state_diagnostics(&e))?;
        let now = writer.snapshot().await.map_err(|e| state_diagnostics(&e))?;
        if mark(&now) == *seen {
            return Ok(writer);
        }
        release(Some(writer)).await?;
        Err(moved().into())
    }

    /// Applies one stage, and ends it in state when everything was done.
    async fn stage(
        &self,
        stage: usize,
        planning: &Planning<'_>,
        writer: &dyn Writer,
        reviewed: Option<&Reviewed>,
        command: &str,
        cancel: &Cancel,
    ) -> Result<Report, StateError> {
        let operations = planning.plan.writes().count();
        self.engine.sink.event(crate::Event::StageStarted { stage, operations });
        // All that a reviewed plan leads to is recorded under its digest: so it can be resumed.
        let digest = reviewed.map_or_else(|| planning.digest(), |r| r.digest.clone());
        writer.begin(&digest, command).await?;
        let now = jiff::Timestamp::now();
        let timestamp = now.round(jiff::Unit::Second).map(|t| t.to_string()).unwrap_or_default();
        let report = apply::apply(
            self.engine,
            planning,
            self.inputs,
            writer,
            self.options.parallelism,
            &timestamp,
            cancel.clone(),
        )
        .await?;
        if report.succeeded() {
            let summary = apply::summary(&report, planning.plan.is_complete());
            writer.finish(report.outputs.clone(), summary).await?;
        } else if !planning.plan.destroy && !writer.lost() && report.outputs != planning.snapshot.outputs {
            // What did not depend on the failure is as true as the objects that were made.
            writer.record(None, Record::Outputs(report.outputs.clone())).await?;
        }
        Ok(report)
    }
}

fn writes<'p>(planning: &'p Planning<'_>) -> impl Iterator<Item = (&'p Change, &'p Item)> {
    planning.plan.changes.iter().zip(&planning.items).filter(|(c, _)| c.action.is_write())
}

/// Whether a later stage does something that had to wait before. What changes with every plan (a
/// time, for example) is no reason for one stage after the other.
fn goes_on(fingerprinter: &mesh_model::Fingerprinter, before: &[Deferred], planning: &Planning<'_>) -> bool {
    let patterns = |list: &[Deferred]| list.iter().map(|d| d.pattern.clone()).collect::<BTreeSet<_>>();
    patterns(before) != patterns(&planning.plan.deferred)
        || writes(planning).any(|(c, i)| within(fingerprinter, before, c, i.desired.as_ref()))
}

fn rekey_is_due() -> Diagnostic {
    Diagnostic::warning(
        "state::rekey",
        "The keys of the state are not sealed as configured",
        "The encryption block names other recipients than the keys are sealed for (or they are not sealed at all). mesh state rekey seals \
         them for those that are configured, and for nobody else.",
    )
}

fn add(a: Counts, b: Counts) -> Counts {
    Counts {
        add: a.add + b.add,
        change: a.change + b.change,
        destroy: a.destroy + b.destroy,
        import: a.import + b.import,
        forget: a.forget + b.forget,
    }
}

async fn release(writer: Option<Box<dyn Writer>>) -> Result<(), Diagnostics> {
    match writer {
        Some(w) => w.release().await.map_err(|e| state_diagnostics(&e)),
        None => Ok(()),
    }
}
