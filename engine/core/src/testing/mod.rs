//! Testing a configuration: the runs of a test file, one after the other, each over the real engine.
//!
//! The one decision: a run is a plan or an apply like any other, over a rewritten configuration and a
//! state of its own folder; what it made is looked at where the apply left it, and destroyed at the end of
//! the file, whatever happened. Nothing here touches the configured state.

mod assess;
mod file;
mod leftover;
mod mock;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_lang::functions::Context;
use mesh_lang::{Config, Target, TestFile, TestRun};
use mesh_model::{Diagnostic, Diagnostics, Mode, Snapshot};

pub use assess::{LEFT, RIGHT};
pub use file::run_file;

use crate::engine::Engine;
use crate::inputs::Inputs;
use crate::plan::Planning;

/// How a run or a file ended, from good to bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Status {
    /// As it should.
    Pass,
    /// It was not run, since another one before it had an error.
    Skip,
    /// An assertion does not hold.
    Fail,
    /// It could not be done, or something failed that was not expected to, or did not that was.
    Error,
}

/// What tests work with.
pub struct Bench<'b> {
    /// The real providers, their services, and where events go.
    pub engine: &'b Engine,
    /// The configuration under test.
    pub config: &'b Config,
    /// Modules that runs name in `module { source = ... }`, by that text.
    pub modules: &'b BTreeMap<String, Config>,
    /// Values given from outside the test files.
    pub inputs: &'b Inputs,
    /// What functions know.
    pub context: &'b Context,
    /// An empty folder for the states of one file.
    pub folder: &'b Path,
    /// How many operations run at once.
    pub parallelism: usize,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Its name.
    pub name: Arc<str>,
    /// How.
    pub status: Status,
    /// What there is to say.
    pub diagnostics: Diagnostics,
    /// How long it took; `None` for one that was skipped.
    pub elapsed: Option<Duration>,
}

/// How a file ended.
#[derive(Clone, Debug)]
pub struct FileOutcome {
    /// Its name.
    pub name: String,
    /// The worst of its runs and its end.
    pub status: Status,
    /// Its runs.
    pub runs: Vec<RunOutcome>,
    /// What belongs to no run: what could not be destroyed, above all.
    pub diagnostics: Diagnostics,
    /// Whether it was told to stop.
    pub interrupted: bool,
}

/// Hears how it goes.
pub trait Listener {
    /// A run begins.
    fn run_begins(&mut self, file: &TestFile, run: &TestRun);
    /// What a run planned, or what is in state after its apply.
    fn made(&mut self, file: &TestFile, run: &TestRun, made: Made<'_>);
    /// A run is over.
    fn run_ends(&mut self, file: &TestFile, outcome: &RunOutcome);
    /// All runs are over, and what they made is destroyed.
    fn ends(&mut self, file: &TestFile);
    /// What a run made is destroyed.
    fn run_destroys(&mut self, file: &TestFile, run: &str);
}

/// What a run made.
pub enum Made<'m> {
    /// A plan.
    Plan(&'m Planning<'m>),
    /// Objects.
    State(&'m Snapshot),
}

/// What is wrong with a test file, without running it: names that nothing declares, types and providers
/// that there are not.
pub fn check(engine: &Engine, config: &Config, modules: &BTreeMap<String, Config>, file: &TestFile) -> Diagnostics {
    let mut found = Diagnostics::new();
    let mut before = Vec::new();
    for run in &file.runs {
        let under = match &run.module {
            Some((source, _)) => modules.get(source),
            None => Some(config),
        };
        // A module that cannot be loaded has errors of its own.
        if let Some(under) = under {
            let own: BTreeSet<&str> = run.variables.iter().chain(&file.variables).map(|(n, _)| &**n).collect();
            found.extend(assess::names(run, under, &before, &|n| {
                own.contains(n) || config.root().variable(n).is_some()
            }));
        }
        before.push(run.name.clone());
    }
    for mock in &file.mocks {
        if engine.provider(&mock.name).is_none() {
            let detail = format!("There is no provider {:?} to mock.", &*mock.name);
            found.push(Diagnostic::error("test::mock", "Unknown provider", detail).at(mock.span));
        }
        for ty in &mock.types {
            let mode = if ty.data { Mode::Data } else { Mode::Managed };
            if engine.schema(mode, &ty.ty).is_none() {
                let detail = format!("No provider has a type {:?} to mock.", &*ty.ty);
                found.push(Diagnostic::error("test::mock", "Unknown type in a mock", detail).at(ty.span));
            }
        }
    }
    let of_runs = file.runs.iter().flat_map(|r| &r.overrides);
    for one in file.overrides.iter().chain(file.mocks.iter().flat_map(|m| &m.overrides)).chain(of_runs) {
        let used = file.runs.iter().filter_map(|r| modules.get(&r.module.as_ref()?.0));
        if !std::iter::once(config).chain(used).any(|c| has(c, &one.target)) {
            let detail = "No module that is tested here has what this block names, so it changes nothing.";
            found.push(Diagnostic::warning("test::override", "Override without effect", detail).at(one.span));
        }
    }
    found
}

fn has(config: &Config, target: &Target) -> bool {
    let at = |path: &[Arc<str>]| config.modules.iter().find(|m| m.path == path);
    match target {
        Target::Module(path) => at(&path.names()).is_some(),
        Target::Resource(a) => at(&a.module.names()).is_some_and(|m| m.resource(a.mode, &a.ty, &a.name).is_some()),
    }
}
