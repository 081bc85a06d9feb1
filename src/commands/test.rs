//! `mesh test`: runs the test files of this folder.
//!
//! The one decision: a test file that cannot be read is a failed one, and the others are run; the
//! configured backend is never opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgAction;
use mesh_core::testing::{self, Bench, FileOutcome, Listener, Made, RunOutcome, Status};
use mesh_core::{Engine, Inputs, Silent};
use mesh_lang::{Config, Disk, Files as _, LoadOptions, Modules as _, TestFile, TestRun};
use mesh_model::{Diagnostic, Diagnostics};
use mesh_modules::Store;

use super::modules;
use super::options::VarArgs;
use super::project::{configuration, context, engine, from_root, root};
use super::running::{interrupts, runtime};
use super::show;
use super::variables::Given;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui, timestamp};
use crate::view::style::{DIM, out, paint};
use crate::view::testing::{Tally, junit, painted};
use crate::view::{json, plan as text};

/// Where test files are, beside the folder itself.
pub(crate) const FOLDER: &str = "tests";
const ENDINGS: [&str; 2] = [".meshtest.hcl", ".meshtest.json"];

/// Run the tests of the configuration
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    /// Run this test file only; may be repeated
    #[arg(long, value_name = "FILE")]
    filter: Vec<PathBuf>,
    /// Where test files are, beside this folder
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    test_directory: PathBuf,
    /// Write the results in JUnit's format
    #[arg(long, value_name = "FILE")]
    junit_xml: Option<PathBuf>,
    /// Show the plan or the state of each run
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    verbose: bool,
    /// How many operations run at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    parallelism: usize,
    /// Write one JSON object a line
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

/// A test file with what was wrong with it, and the modules that its runs test.
pub(crate) struct Loaded {
    pub(crate) file: TestFile,
    pub(crate) found: Diagnostics,
    pub(crate) modules: BTreeMap<String, Config>,
}

/// The test files of this folder and of `directory`, by name.
pub(crate) fn load(ui: &mut Ui, directory: &Path, store: &Store) -> Vec<Loaded> {
    let mut paths = Vec::new();
    let own = Path::new(".");
    for folder in [own, directory] {
        let entries = Disk.read_dir(folder).unwrap_or_default();
        let is_test = |p: &PathBuf| {
            let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            !name.starts_with('.') && ENDINGS.iter().any(|e| name.ends_with(e))
        };
        paths
            .extend(entries.into_iter().filter(is_test).map(|p| p.strip_prefix(own).map_or(p.clone(), Path::to_owned)));
    }
    paths.sort();
    paths.dedup();
    paths.iter().map(|path| read(ui, path, store)).collect()
}

fn read(ui: &mut Ui, path: &Path, store: &Store) -> Loaded {
    let name = path.display().to_string();
    let (text, unreadable) = match Disk.read(path) {
        Ok(text) => (text, None),
        Err(e) => {
            let detail = format!("{name} cannot be read: {e}.");
            (String::new(), Some(Diagnostic::error("lang::file", "File not readable", detail)))
        }
    };
    let (file, mut found) = mesh_lang::parse_test(&text, &name, &mut ui.sources);
    found.0.extend(unreadable);
    let mut modules = BTreeMap::new();
    for (source, span) in file.runs.iter().filter_map(|r| r.module.as_ref()) {
        if modules.contains_key(source) {
            continue;
        }
        let top = root();
        let local = source.starts_with("./") || source.starts_with("../");
        let dir = if local {
            top.join(source)
        } else {
            match store.find(source) {
                Ok(fetched) => fetched.dir,
                Err(error) => {
                    found.push(error.at_default(Some(*span)));
                    continue;
                }
            }
        };
        let options = LoadOptions { display: source, modules: Some(store), ..LoadOptions::new(&dir) };
        let (config, said) = mesh_lang::load_from(&Disk, options, &mut ui.sources);
        let good = !said.has_errors();
        found.0.extend(said.into_iter().map(|d| d.at_default(Some(*span))));
        if let Some(mut config) = config.filter(|_| good) {
            from_root(&mut config, &top);
            modules.insert(source.clone(), config);
        }
    }
    Loaded { file, found, modules }
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.input = false;
    if args.json {
        ui.start_stream();
    }
    let (given, store) = (Given::read(ui, vars), modules::installed(ui)?);
    let top = root();
    let options = LoadOptions { variables: Some(&given), modules: Some(&store), ..LoadOptions::new(&top) };
    let config = configuration(ui, &Disk, options)?;
    let inputs = given.gather(ui, &config)?;
    let mut all = load(ui, &args.test_directory, &store);
    filter(ui, args, &mut all);
    let engine = engine(ui, Arc::new(Silent));
    let (outcomes, started) = run_all(ui, args, &engine, &config, &inputs, &all)?;
    let tally = Tally::of(&outcomes);
    if let Some(file) = &args.junit_xml {
        std::fs::write(file, junit(&outcomes, &started, &ui.sources)).map_err(|e| {
            let detail = format!("{}: {e}.", file.display());
            Diagnostic::error("cli::junit", "The results could not be written", detail)
        })?;
    }
    match &ui.stream {
        Some(stream) => stream.test_summary(tally),
        None => out(&format!("{}{}", if all.is_empty() { "" } else { "\n" }, tally.text()))?,
    }
    Ok(u8::from(!tally.is_good()))
}

/// Leaves the files that were asked for.
fn filter(ui: &Ui, args: &Args, all: &mut Vec<Loaded>) {
    if args.filter.is_empty() {
        return;
    }
    let plain = |p: &Path| p.components().filter(|c| *c != std::path::Component::CurDir).collect::<PathBuf>();
    let mut found = Diagnostics::new();
    for wanted in &args.filter {
        if !all.iter().any(|l| Path::new(&l.file.name) == plain(wanted)) {
            let detail =
                format!("-filter={}: there is no such test file, so the option does nothing.", wanted.display());
            found.push(Diagnostic::warning("cli::filter", "No such test file", detail));
        }
    }
    ui.report(&found);
    all.retain(|l| args.filter.iter().any(|f| plain(f) == Path::new(&l.file.name)));
}

/// Runs the files, one after the other; with each when it began.
fn run_all(
    ui: &Ui,
    args: &Args,
    engine: &Engine,
    config: &Config,
    inputs: &Inputs,
    all: &[Loaded],
) -> Result<(Vec<FileOutcome>, Vec<String>), Failure> {
    if let Some(stream) = &ui.stream {
        stream.tests_found(&all.iter().map(|l| l.file.clone()).collect::<Vec<_>>());
    }
    let runtime = runtime()?;
    let (cancel, _interrupted) = interrupts(runtime, false)?;
    let (mut outcomes, mut started) = (Vec::new(), Vec::new());
    for Loaded { file, found, modules } in all {
        started.push(timestamp());
        let mut teller = Teller { ui, engine, verbose: args.verbose };
        teller.begins(file);
        let outcome = if found.has_errors() || cancel.requests() > 0 {
            broken(&mut teller, file, found)
        } else {
            ui.report(found);
            let folder = tempfile::Builder::new().prefix("mesh-test-").tempdir().map_err(|e| {
                let detail = format!("A folder for the states of a test could not be made: {e}.");
                Diagnostic::error("cli::folder", "No temporary folder", detail)
            })?;
            let context = context(ui, timestamp());
            let bench = Bench {
                engine,
                config,
                modules,
                inputs,
                context: &context,
                folder: folder.path(),
                parallelism: args.parallelism.max(1),
            };
            runtime.block_on(testing::run_file(&bench, file, &mut teller, &cancel))
        };
        teller.over(&outcome);
        outcomes.push(outcome);
    }
    Ok((outcomes, started))
}

/// A file that cannot be run.
fn broken(teller: &mut Teller<'_>, file: &TestFile, found: &Diagnostics) -> FileOutcome {
    let skipped = |run: &TestRun| RunOutcome {
        name: run.name.clone(),
        status: Status::Skip,
        diagnostics: Diagnostics::new(),
        elapsed: None,
    };
    let runs: Vec<RunOutcome> = file.runs.iter().map(skipped).collect();
    runs.iter().for_each(|r| teller.run_ends(file, r));
    FileOutcome {
        name: file.name.clone(),
        status: Status::Error,
        runs,
        diagnostics: found.clone(),
        interrupted: !found.has_errors(),
    }
}

/// Tells how it goes while it goes.
struct Teller<'t> {
    ui: &'t Ui,
    engine: &'t Engine,
    verbose: bool,
}

impl Teller<'_> {
    fn say(&self, text: &str) {
        // Nobody reading is no reason to leave objects behind.
        let _ = out(text);
    }

    fn begins(&mut self, file: &TestFile) {
        match &self.ui.stream {
            Some(stream) => stream.test_file(&file.name, "starting", None),
            None => self.say(&format!("{}... {}\n", file.name, paint(DIM, "in progress"))),
        }
    }

    fn over(&mut self, outcome: &FileOutcome) {
        match &self.ui.stream {
            Some(stream) => {
                stream.test_diagnostics(&outcome.diagnostics, &self.ui.sources, &outcome.name, None);
                stream.test_file(&outcome.name, "complete", Some(outcome.status));
            }
            None => {
                self.ui.report(&outcome.diagnostics);
                self.say(&format!("{}... {}\n", outcome.name, painted(outcome.status)));
            }
        }
    }
}

impl Listener for Teller<'_> {
    fn run_begins(&mut self, file: &TestFile, run: &TestRun) {
        if let Some(stream) = &self.ui.stream {
            stream.test_run(&file.name, &run.name, "starting", None);
        }
    }

    fn made(&mut self, file: &TestFile, run: &TestRun, made: Made<'_>) {
        if !self.verbose {
            return;
        }
        let (kind, object, shown) = match made {
            Made::Plan(planning) => {
                let digest = planning.digest();
                let now = timestamp();
                let (plan, snapshot) = (&planning.plan, &planning.snapshot);
                let version = |mode, ty: &str| self.engine.schema(mode, ty).map_or(0, |s| s.version);
                let planned =
                    json::Planned { plan, snapshot, version: &version, digest: Some(&digest), timestamp: &now };
                let sight = self.ui.sight(&planning.fingerprinter);
                ("test_plan", json::plan(&planned, sight), text::text(plan, sight, Some(&digest)))
            }
            Made::State(snapshot) => ("test_state", json::state(snapshot), show::state_text(snapshot)),
        };
        match &self.ui.stream {
            Some(stream) => stream.test_made(&file.name, &run.name, kind, &object),
            None => self.say(&format!("  run {:?} made:\n\n{shown}\n", &*run.name)),
        }
    }

    fn run_ends(&mut self, file: &TestFile, outcome: &RunOutcome) {
        match &self.ui.stream {
            Some(stream) => {
                stream.test_run(&file.name, &outcome.name, "complete", Some(outcome.status));
                stream.test_diagnostics(&outcome.diagnostics, &self.ui.sources, &file.name, Some(&outcome.name));
            }
            None => {
                self.say(&format!("  run {:?}... {}\n", &*outcome.name, painted(outcome.status)));
                self.ui.report(&outcome.diagnostics);
            }
        }
    }

    fn ends(&mut self, file: &TestFile) {
        match &self.ui.stream {
            Some(stream) => stream.test_file(&file.name, "teardown", None),
            None => self.say(&format!("{}... {}\n", file.name, paint(DIM, "tearing down"))),
        }
    }

    fn run_destroys(&mut self, file: &TestFile, run: &str) {
        if let Some(stream) = &self.ui.stream {
            stream.test_run(&file.name, run, "teardown", None);
        }
    }
}
