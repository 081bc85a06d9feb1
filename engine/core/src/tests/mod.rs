//! Whole runs over a world in memory and a real local state: configuration in, text out.

mod ephemeral;
mod fake;
mod memory;
mod model;
mod order;
mod scripts;
mod testing;
mod usage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mesh_lang::functions::Context;
use mesh_lang::{Files, LoadOptions, load_from};
use mesh_model::{Diagnostics, Sources};
use mesh_sdk::Services;
use mesh_state::{Backend, LocalBackend, LockInfo};

use crate::conform::Reviewed;
use crate::stage::{Approval, Approver, Finished, Run};
use crate::{Cancel, Engine, Event, Input, Inputs, Options, Planning, Sink};

struct Memory(BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read_dir(&self, dir: &Path) -> std::io::Result<Vec<PathBuf>> {
        Ok(self.0.keys().filter(|p| p.parent() == Some(dir)).cloned().collect())
    }

    fn read(&self, file: &Path) -> std::io::Result<String> {
        self.0.get(file).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Keeps the debug texts of events.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{event:?}"));
    }
}

/// A world with a state in a temporary folder.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    pub(crate) world: fake::World,
    pub(crate) heard: Heard,
    runtime: tokio::runtime::Runtime,
    pub(crate) inputs: Inputs,
    pub(crate) options: Options,
    /// Files beside the main one, by path.
    pub(crate) files: BTreeMap<String, String>,
}

/// One line for each change that does something, and what waits.
pub(crate) fn summary(planning: &Planning<'_>) -> Vec<String> {
    let mut out: Vec<String> = planning
        .plan
        .changes
        .iter()
        .filter(|c| c.action.is_write() || c.importing.is_some())
        .map(|c| format!("{} {}", c.action.symbol(), c.address))
        .collect();
    let moved = planning.plan.changes.iter().filter_map(|c| Some((c.previous_address.as_ref()?, &c.address)));
    out.extend(moved.map(|(from, to)| format!("> {from} {to}")));
    out.extend(planning.plan.deferred.iter().map(|d| format!("? {}", d.pattern)));
    out.extend(planning.plan.waiting.iter().map(|w| format!("| {}", w.address)));
    out.extend(planning.plan.drift.iter().map(|d| format!("! {}", d.address)));
    out
}

struct Always(Vec<Vec<String>>);

impl Approver for Always {
    fn approve(&mut self, _: usize, planning: &Planning<'_>, _: bool) -> Approval {
        self.0.push(summary(planning));
        Approval::Yes
    }
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            world: fake::World::default(),
            heard: Heard::default(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            inputs: Inputs::new(),
            options: Options::default(),
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, text: &str) {
        self.inputs.insert(name.into(), Input::Text { text: text.into(), origin: "a test".into() });
    }

    /// A file beside the main one.
    pub(crate) fn file(&mut self, name: &str, text: &str) {
        self.files.insert(name.to_owned(), text.to_owned());
    }

    fn with<T>(&self, hcl: &str, work: impl AsyncFnOnce(Run<'_>) -> Result<T, Diagnostics>) -> Result<T, String> {
        self.over(&self.local(), hcl, work)
    }

    fn local(&self) -> LocalBackend {
        LocalBackend::new(self.folder.path().join("mesh.state"))
    }

    /// The same with state at another place.
    pub(crate) fn over<T>(
        &self,
        backend: &dyn Backend,
        hcl: &str,
        work: impl AsyncFnOnce(Run<'_>) -> Result<T, Diagnostics>,
    ) -> Result<T, String> {
        let done = self.run(backend, hcl, async |run, sources| work(run).await.map_err(|d| text(sources, &d)));
        done.map_err(|(sources, d)| text(&sources, &d))?
    }

    /// Loads the configuration and does something with it; what is wrong with it is the error.
    fn run<T>(
        &self,
        backend: &dyn Backend,
        hcl: &str,
        work: impl AsyncFnOnce(Run<'_>, &Sources) -> T,
    ) -> Result<T, (Sources, Diagnostics)> {
        let mut sources = Sources::default();
        let main = ("main.mesh.hcl", hcl);
        let all = self.files.iter().map(|(p, t)| (p.as_str(), t.as_str())).chain([main]);
        let files = Memory(all.map(|(p, t)| (self.folder.path().join(p), t.to_owned())).collect());
        let options = LoadOptions::new(self.folder.path());
        let (config, diagnostics) = load_from(&files, options, &mut sources);
        let Some(config) = config.filter(|_| !diagnostics.has_errors()) else { return Err((sources, diagnostics)) };
        let services = Services {
            root: self.folder.path().into(),
            cache: self.folder.path().join("cache"),
            ..Services::default()
        };
        let providers = vec![mesh_provider_builtin::provider(), fake::provider(&self.world)];
        let engine = Engine::new(providers, services, Arc::new(self.heard.clone()));
        let context = Context { plan_timestamp: "2026-01-01T00:00:00Z".into(), ..Context::new(self.folder.path()) };
        let run = Run {
            engine: &engine,
            config: &config,
            inputs: &self.inputs,
            backend,
            options: &self.options,
            context: &context,
        };
        Ok(self.runtime.block_on(work(run, &sources)))
    }

    /// Plans; the lines of the plan, or the diagnostics as the error.
    pub(crate) fn plan(&self, hcl: &str) -> Result<Vec<String>, String> {
        self.with(hcl, async |run| {
            run.plan(|p| if p.diagnostics.has_errors() { Err(p.diagnostics.clone()) } else { Ok(summary(p)) }).await?
        })
    }

    /// Applies; what each stage showed, and how it ended.
    pub(crate) fn apply(&self, hcl: &str) -> Result<(Vec<Vec<String>>, Finished), String> {
        self.with(hcl, async |run| {
            let mut approver = Always(Vec::new());
            let lock = LockInfo::new("mesh apply", "tester", "host");
            let finished = run.apply(&mut approver, None, lock, Duration::ZERO, Cancel::new().1).await?;
            Ok((approver.0, finished))
        })
    }

    /// A plan that somebody approves for later.
    pub(crate) fn review(&self, hcl: &str) -> Reviewed {
        self.with(hcl, async |run| {
            run.plan(|p| Reviewed {
                plan: p.plan.clone(),
                digest: p.digest(),
                serial: p.snapshot.serial,
                anywhere: false,
                unfinished: p.snapshot.unfinished.as_ref().map(|u| u.digest.to_string()),
            })
            .await
        })
        .expect("a plan")
    }

    /// Applies what was approved.
    pub(crate) fn apply_reviewed(
        &self,
        hcl: &str,
        reviewed: &Reviewed,
    ) -> Result<(Vec<Vec<String>>, Finished), String> {
        self.with(hcl, async |run| {
            let mut approver = Always(Vec::new());
            let lock = LockInfo::new("mesh apply", "tester", "host");
            let finished = run.apply(&mut approver, Some(reviewed), lock, Duration::ZERO, Cancel::new().1).await?;
            Ok((approver.0, finished))
        })
    }

    /// Applies and expects that everything is done and that planning again finds nothing to do.
    pub(crate) fn applies(&self, hcl: &str) -> Vec<String> {
        let (_, finished) = self.apply(hcl).expect("the apply begins");
        assert!(finished.is_complete(), "{:?}", finished.report);
        assert_eq!(self.plan(hcl).expect("the second plan"), Vec::<String>::new(), "the second plan must be empty");
        std::mem::take(&mut self.world.state().log)
    }
}

fn text(sources: &Sources, diagnostics: &Diagnostics) -> String {
    diagnostics
        .iter()
        .map(|d| {
            format!(
                "{} {} {}: {}",
                d.span.map(|s| sources.position(s)).unwrap_or_default(),
                d.code,
                d.summary,
                d.detail
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}
