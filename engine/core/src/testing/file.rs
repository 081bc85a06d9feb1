//! Running one test file.
//!
//! The one decision: a run whose plan or apply did not end as expected is an error, and what comes after
//! it in the file is skipped, since it would stand on something unknown; an assertion that does not hold
//! skips nothing. What was made is destroyed in the reverse order of its last use.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_lang::{Config, Target, TestFile, TestRun};
use mesh_model::{Diagnostic, Diagnostics, Mode as BlockMode, Selector, Snapshot, Value};
use mesh_state::{Backend as _, LocalBackend, LockInfo};

use super::assess::{Around, assertions, expectations, is_expected, names};
use super::leftover::{Unprotected, unprotected};
use super::rewrite::{UNDECLARED, Values, rewrite};
use super::{Bench, FileOutcome, Listener, Made, RunOutcome, Status};
use crate::apply::Cancel;
use crate::engine::Engine;
use crate::inputs::{self, Input, Inputs};
use crate::plan::{Mode, Options, Planning};
use crate::stage::{Approval, Approver, Run, state_diagnostics};

/// A state of the file, with how it was used last.
struct Kept {
    key: String,
    backend: LocalBackend,
    last: Option<Last>,
}

struct Last {
    run: Arc<str>,
    order: usize,
    engine: Engine,
    config: Config,
    inputs: Inputs,
}

struct Runner<'r, 'b> {
    bench: &'r Bench<'b>,
    file: &'r TestFile,
    listener: &'r mut dyn Listener,
    cancel: Cancel,
    kept: Vec<Kept>,
    /// Outputs of the runs so far.
    outputs: Values,
}

/// Runs a test file, and destroys what it made.
pub async fn run_file(bench: &Bench<'_>, file: &TestFile, listener: &mut dyn Listener, cancel: &Cancel) -> FileOutcome {
    let mut runner = Runner { bench, file, listener, cancel: cancel.clone(), kept: Vec::new(), outputs: Values::new() };
    let mut out = FileOutcome {
        name: file.name.clone(),
        status: Status::Pass,
        runs: Vec::new(),
        diagnostics: Diagnostics::new(),
        interrupted: false,
    };
    for (order, run) in file.runs.iter().enumerate() {
        let skip = out.status == Status::Error || runner.cancel.requests() > 0;
        let outcome = if skip {
            RunOutcome { name: run.name.clone(), status: Status::Skip, diagnostics: Diagnostics::new(), elapsed: None }
        } else {
            runner.listener.run_begins(file, run);
            let start = Instant::now();
            let (status, diagnostics) = match runner.run(order, run).await {
                Ok(done) => done,
                Err(found) => (Status::Error, found),
            };
            RunOutcome { name: run.name.clone(), status, diagnostics, elapsed: Some(start.elapsed()) }
        };
        runner.listener.run_ends(file, &outcome);
        if outcome.status != Status::Skip {
            out.status = out.status.max(outcome.status);
        }
        out.runs.push(outcome);
    }
    runner.listener.ends(file);
    out.interrupted = runner.cancel.requests() > 0;
    out.diagnostics = runner.destroy().await;
    if out.diagnostics.has_errors() || out.interrupted {
        out.status = Status::Error;
    }
    out
}

/// What was judged after a plan or an apply.
struct Judged {
    status: Status,
    found: Diagnostics,
    outputs: Value,
}

/// Says yes, and looks at what became of it.
struct Judge<'j> {
    look: &'j dyn Fn(&Planning<'_>) -> Judged,
    judged: Option<Judged>,
    begun: &'j Cell<bool>,
}

impl Approver for Judge<'_> {
    fn approve(&mut self, _: usize, _: &Planning<'_>, _: bool) -> Approval {
        self.begun.set(true);
        Approval::Yes
    }

    fn applied(&mut self, planning: &Planning<'_>) {
        self.judged = Some((self.look)(planning));
    }
}

fn lock() -> LockInfo {
    LockInfo::new("mesh test", "mesh", "test")
}

fn interrupted() -> Diagnostics {
    Diagnostic::error("test::interrupted", "Interrupted", "The run was stopped.").into()
}

impl Runner<'_, '_> {
    async fn run(&mut self, order: usize, run: &TestRun) -> Result<(Status, Diagnostics), Diagnostics> {
        let bench = self.bench;
        let (config, key) = match &run.module {
            None => (bench.config, String::new()),
            Some((source, span)) => {
                let missing = || {
                    let detail = format!("The module {source:?} could not be loaded.");
                    Diagnostics::from(Diagnostic::error("test::module", "No such module", detail).at(*span))
                };
                (bench.modules.get(source).ok_or_else(missing)?, source.clone())
            }
        };
        let key = run.state_key.as_ref().map_or(key, |k| format!("key {k}"));
        let (variables, values, mut warnings) = self.variables(run, config)?;
        let before: Vec<Arc<str>> = self.outputs.keys().cloned().collect();
        let wrong = names(run, config, &before, &|n| variables.contains_key(n));
        if wrong.has_errors() {
            return Err(wrong);
        }
        let rewritten = {
            let scope = Around { variables: &variables, runs: &self.outputs, context: bench.context, world: None };
            rewrite(bench.engine, self.file, run, config, &scope)?
        };
        let engine = Engine::new(rewritten.providers, bench.engine.services.clone(), bench.engine.sink.clone());
        let options = Options {
            mode: if run.options.refresh_only { Mode::RefreshOnly } else { Mode::Normal },
            refresh: !run.options.no_refresh,
            replace: run.options.replace.clone(),
            targets: run.options.targets.iter().map(selector).collect(),
            parallelism: bench.parallelism,
            ..Options::default()
        };
        let state = self.state(&key);
        let backend = self.kept[state].backend.clone();
        let outputs = self.outputs.clone();
        let judge = |planning: &Planning<'_>| judge(bench, run, planning, &variables, &outputs);
        let work = Run {
            engine: &engine,
            config: &rewritten.config,
            inputs: &values,
            backend: &backend,
            options: &options,
            context: bench.context,
        };
        let mut cancel = self.cancel.clone();
        if !run.apply {
            let (listener, file) = (&mut *self.listener, self.file);
            let planned = tokio::select! {
                planned = work.plan(|planning| {
                    if !planning.diagnostics.has_errors() {
                        listener.made(file, run, Made::Plan(planning));
                    }
                    (judge(planning), planning.diagnostics.clone())
                }) => planned,
                () = cancel.more_than(0) => {
                    engine.close().await;
                    return Err(interrupted());
                }
            };
            let (judged, found) = planned?;
            let found = expectations(run, &rewritten.config, found);
            return Ok(self.settle(run, found, Some(judged), &mut warnings));
        }
        let begun = Cell::new(false);
        let mut approver = Judge { look: &judge, judged: None, begun: &begun };
        let finished = {
            let stopped = async {
                cancel.more_than(0).await;
                if begun.get() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                finished = work.apply(&mut approver, None, lock(), Duration::ZERO, self.cancel.clone()) => finished,
                () = stopped => {
                    engine.close().await;
                    return Err(interrupted());
                }
            }
        };
        let judged = approver.judged.take();
        let finished = match finished {
            Ok(finished) => finished,
            Err(found) => return Err(prevented(run, &rewritten.config, found)),
        };
        let mut found = finished.warnings.clone();
        found.extend(finished.report.diagnostics.clone());
        found.0.extend(finished.report.failed.iter().map(|(address, d)| match d.address {
            Some(_) => d.clone(),
            None => d.clone().on(address),
        }));
        if finished.report.interrupted {
            found.extend(interrupted());
        }
        for gate in &finished.waiting {
            let detail = format!(
                "{} waits for {}. In a test nobody opens it: give it what opens it, or an override_resource block with \
                 values = {{ opened = true }}.",
                gate.address, gate.waiting_for
            );
            found.push(Diagnostic::error("test::gate", "A gate is closed", detail).on(&gate.address));
        }
        if finished.waiting.is_empty() && !finished.deferred.is_empty() {
            let rest: Vec<&str> = finished.deferred.iter().map(|d| &*d.pattern).collect();
            let detail = format!("These could not be decided: {}.", rest.join(", "));
            found.push(Diagnostic::error("test::deferred", "The apply is not complete", detail).at(run.span));
        }
        let mut seen = Vec::new();
        found.0.retain(|d| {
            let new = !seen.contains(d);
            seen.push(d.clone());
            new
        });
        let found = expectations(run, &rewritten.config, found);
        let snapshot = backend.snapshot().await.map_err(|e| state_diagnostics(&e))?;
        self.listener.made(self.file, run, Made::State(&snapshot));
        let config = rewritten.config;
        self.kept[state].last = Some(Last { run: run.name.clone(), order, engine, config, inputs: values });
        Ok(self.settle(run, found, judged, &mut warnings))
    }

    /// The end of a run, from what was said and what was judged.
    fn settle(
        &mut self,
        run: &TestRun,
        found: Diagnostics,
        judged: Option<Judged>,
        warnings: &mut Diagnostics,
    ) -> (Status, Diagnostics) {
        let mut all = std::mem::take(warnings);
        let failed = found.has_errors();
        all.extend(found);
        let Some(judged) = judged else { return (Status::Error, all) };
        self.outputs.insert(run.name.clone(), judged.outputs);
        if failed {
            return (Status::Error, all);
        }
        all.extend(judged.found);
        (judged.status, all)
    }

    /// What variables are: for expressions of the file, for the module, and what is odd about them.
    fn variables(&self, run: &TestRun, config: &Config) -> Result<(Values, Inputs, Diagnostics), Diagnostics> {
        let (mut values, mut given, mut found) = (Values::new(), Inputs::new(), Diagnostics::new());
        for (name, input) in self.bench.inputs {
            let declared = config.root().variable(name).or_else(|| self.bench.config.root().variable(name));
            let value = match (declared, input) {
                (Some(variable), _) => inputs::value(variable, Some(input))?,
                (None, Input::Value(value)) => value.clone(),
                (None, Input::Text { text, .. }) => {
                    mesh_model::convert::convert(&Value::string(text.as_str()), &UNDECLARED).unwrap_or(Value::NULL)
                }
            };
            values.insert(name.as_str().into(), value);
            if config.root().variable(name).is_some() {
                given.insert(name.clone(), input.clone());
            }
        }
        for (list, own) in [(&self.file.variables, false), (&run.variables, true)] {
            let mut new = Vec::new();
            for (name, expr) in list {
                let scope =
                    Around { variables: &values, runs: &self.outputs, context: self.bench.context, world: None };
                let Some(value) = found.take(expr.eval(&scope)) else { continue };
                if !value.is_wholly_known() {
                    let detail = format!(
                        "The value for {:?} is made from an output that an earlier run only planned. Write command = \
                         apply there.",
                        &**name
                    );
                    found.push(Diagnostic::error("test::unknown", "A value is not known", detail).at(expr.span()));
                    continue;
                }
                if config.root().variable(name).is_some() {
                    given.insert(name.to_string(), Input::Value(value.clone()));
                } else if own {
                    let detail = format!("The module under test declares no variable {:?}.", &**name);
                    found.push(Diagnostic::warning("test::variable", "Value for no variable", detail).at(expr.span()));
                }
                new.push((name.clone(), value));
            }
            values.extend(new);
        }
        if found.has_errors() { Err(found) } else { Ok((values, given, found)) }
    }

    /// The position of the state of a key.
    fn state(&mut self, key: &str) -> usize {
        if let Some(i) = self.kept.iter().position(|k| k.key == key) {
            return i;
        }
        let file = self.bench.folder.join(format!("{}.state", self.kept.len()));
        self.kept.push(Kept { key: key.to_owned(), backend: LocalBackend::new(file), last: None });
        self.kept.len() - 1
    }

    /// Destroys everything, the last one used first; what stays is named.
    async fn destroy(&mut self) -> Diagnostics {
        let mut kept: Vec<Kept> = std::mem::take(&mut self.kept).into_iter().filter(|k| k.last.is_some()).collect();
        kept.sort_by_key(|k| std::cmp::Reverse(k.last.as_ref().map(|l| l.order)));
        let mut out = Diagnostics::new();
        for Kept { backend, last, .. } in kept {
            let Some(last) = last else { continue };
            let empty = |s: &Snapshot| s.instances.is_empty() && s.deposed.is_empty() && s.open.is_empty();
            match backend.snapshot().await {
                Ok(snapshot) if empty(&snapshot) => continue,
                Ok(_) => {}
                Err(e) => {
                    out.extend(state_diagnostics(&e));
                    continue;
                }
            }
            self.listener.run_destroys(self.file, &last.run);
            if self.cancel.requests() < 2 {
                out.extend(self.destroyed(&backend, &last).await);
            }
            match backend.snapshot().await {
                Ok(snapshot) => out.0.extend(left(&last.run, &snapshot)),
                Err(e) => out.extend(state_diagnostics(&e)),
            }
        }
        out
    }

    /// Destroys what is in one state; what was said about it.
    async fn destroyed(&self, backend: &LocalBackend, last: &Last) -> Diagnostics {
        let options = Options { mode: Mode::Destroy, parallelism: self.bench.parallelism, ..Options::default() };
        let (backend, config) = (Unprotected(backend), unprotected(&last.config));
        let work = Run {
            engine: &last.engine,
            config: &config,
            inputs: &last.inputs,
            backend: &backend,
            options: &options,
            context: self.bench.context,
        };
        let begun = Cell::new(false);
        let look = |_: &Planning<'_>| Judged { status: Status::Pass, found: Diagnostics::new(), outputs: Value::NULL };
        let mut approver = Judge { look: &look, judged: None, begun: &begun };
        // What stopped the runs does not stop this; being asked again does.
        let (sender, own) = Cancel::new();
        let (mut outer, asked) = (self.cancel.clone(), self.cancel.requests());
        let stopped = async {
            outer.more_than(asked).await;
            // Without a receiver there is nothing left to stop.
            let _ = sender.send(2);
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = work.apply(&mut approver, None, lock(), Duration::ZERO, own) => result,
            () = stopped => return interrupted(),
        };
        match result {
            Ok(finished) => {
                let mut found = finished.report.diagnostics;
                found.0.extend(finished.report.failed.into_iter().map(|(a, d)| match d.address {
                    Some(_) => d,
                    None => d.on(&a),
                }));
                found
            }
            Err(found) => found,
        }
    }
}

fn selector(target: &Target) -> Selector {
    match target {
        Target::Module(path) => Selector::Module(path.clone()),
        Target::Resource(address) => Selector::Resource(address.clone()),
    }
}

/// Looks at what was planned or applied.
fn judge(bench: &Bench<'_>, run: &TestRun, planning: &Planning<'_>, variables: &Values, runs: &Values) -> Judged {
    let world = &planning.world;
    let value = |node: u32| world.get(node, 0).unwrap_or(Value::NULL);
    let outputs = Value::object(world.graph.outputs(0).iter().map(|(name, node)| (name.clone(), value(*node))));
    let (status, found) =
        assertions(&run.asserts, &Around { variables, runs, context: bench.context, world: Some(world) });
    Judged { status, found, outputs }
}

/// What could not be destroyed.
fn left(run: &str, snapshot: &Snapshot) -> Option<Diagnostic> {
    let current = snapshot.instances.iter().filter(|(a, _)| a.mode == BlockMode::Managed);
    let deposed = snapshot.deposed.iter().map(|((a, k), i)| (format!("{a} (deposed {k})"), i));
    let mut lines: Vec<String> = current
        .map(|(a, i)| (a.to_string(), i))
        .chain(deposed)
        .map(|(name, i)| match &i.identity {
            Some(identity) => format!("  - {name}: {identity}"),
            None => format!("  - {name}"),
        })
        .collect();
    lines.extend(snapshot.open.iter().map(|i| {
        let identity = i.identity.as_ref().map(|id| format!(": {id}")).unwrap_or_default();
        format!("  - {}{identity} (it is not known whether its {} happened)", i.address, i.operation.word())
    }));
    if lines.is_empty() {
        return None;
    }
    let detail = format!(
        "The run {run:?} made these objects, and they are still there:\n{}\nNo state remembers them: remove them by hand.",
        lines.join("\n")
    );
    Some(Diagnostic::error("test::left", "Objects of a test are left", detail))
}

/// What kept an apply from beginning. An expected failure does, too: it is said that it was one.
fn prevented(run: &TestRun, config: &Config, found: Diagnostics) -> Diagnostics {
    let mut out = Diagnostics::new();
    if found.iter().any(|d| d.is_error() && is_expected(run, config, d)) {
        let detail = "A condition failed as expected, but while planning, so that nothing could be applied. Write \
                      command = plan in a run that expects this.";
        out.push(
            Diagnostic::warning("test::planning", "An expected failure kept the run from applying", detail)
                .at(run.span),
        );
    }
    out.extend(found);
    out
}
