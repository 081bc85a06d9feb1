//! `mesh import`: an object that exists becomes an instance of state.
//!
//! The one decision: it is an `import` block that stands on the command line, planned like any other; only
//! what is there is recorded. What the configuration wants different is the next plan's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgAction;
use mesh_core::apply::imported;
use mesh_core::{Options, Planning};
use mesh_lang::{Disk, Files};
use mesh_model::{Address, Diagnostic, Diagnostics, Instance, Mode, Selector, Snapshot, render};
use mesh_state::Record;

use super::options::{EditArgs, VarArgs};
use super::project::{self, Project};
use super::running::{self, Reporter, runtime};
use super::state::edit::{Edit, edit_at, named};
use super::state::select;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;

/// Take an object that exists into state, for a block that is configured
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    edit: EditArgs,
    /// How many operations run at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    parallelism: usize,
    /// Ask for what is missing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    input: bool,
    /// The instance that it becomes
    address: String,
    /// What the object is called outside
    id: String,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.input &= args.input;
    let wait = args.edit.lock_wait()?;
    let address = select::one(&args.address)?;
    if address.mode != Mode::Managed {
        let detail = format!("{address} is read anew by every run; only what is managed can be imported.");
        return Err(Diagnostic::error("cli::import", "Not a managed instance", detail).into());
    }
    let files = CommandLine::new(&address, &args.id);
    let project = Project::load_from(ui, &files, false, &args.edit.state, vars)?;
    free(&runtime()?.block_on(project.backend.snapshot())?, &address)?;
    let instance = observe(ui, &project, args, &address)?;
    let work = |snapshot: &Snapshot| {
        free(snapshot, &address)?;
        let instance = instance.clone();
        Ok(Edit::new(vec![Record::Put { address: address.clone(), deposed: None, instance }], 1))
    };
    edit_at(ui, &*project.backend, wait, &named("import", &[&args.address]), work, |_, _, _| Ok(true))?;
    let object = instance.identity.as_ref().map_or_else(|| args.id.clone(), ToString::to_string);
    out(&format!(
        "Imported {object} as {address}. The object was not changed; mesh plan shows what the configuration wants different.\n"
    ))?;
    Ok(0)
}

/// Refuses an address that has an object.
fn free(snapshot: &Snapshot, address: &Address) -> Result<(), Diagnostic> {
    if !snapshot.instances.contains_key(address) {
        return Ok(());
    }
    let detail = format!(
        "State has an object at {address} already. To import another one there, take that one out of state first, with \
         mesh state rm, or give it another address, with mesh state mv."
    );
    Err(Diagnostic::error("cli::import", "The address is taken", detail))
}

/// What state is to remember of the object.
fn observe(ui: &Ui, project: &Project, args: &Args, address: &Address) -> Result<Arc<Instance>, Failure> {
    let reporter = Reporter::new(ui);
    let engine = project.engine(ui, reporter.sink(ui));
    let targets = vec![Selector::Resource(address.clone())];
    let options = Options { targets, parallelism: args.parallelism.max(1), ..Options::default() };
    let found = |planning: &Planning<'_>| {
        if planning.diagnostics.has_errors() {
            let errors = planning.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
            return Err(Diagnostics(errors));
        }
        imported(&engine, planning, address).map(Arc::new).ok_or_else(|| {
            let why = planning
                .plan
                .deferred
                .iter()
                .map(|d| format!(" {} waits: {}.", d.pattern, d.reason))
                .collect::<String>();
            let detail = format!(
                "{address} cannot be planned yet, so nothing was imported.{why} Apply what it waits for first."
            );
            Diagnostic::error("cli::import", "It cannot be imported yet", detail).into()
        })
    };
    let made = running::wait(&engine, project.run(&engine, &options).plan(found));
    reporter.clear();
    Ok(made??)
}

/// The files of the disk, and one that holds the import of the command line.
struct CommandLine {
    file: PathBuf,
    text: String,
}

impl CommandLine {
    fn new(address: &Address, id: &str) -> Self {
        let text = format!("import {{\n  to = {address}\n  id = {}\n}}\n", render::quote(id));
        Self { file: project::root().join("(command line).mesh.hcl"), text }
    }
}

impl Files for CommandLine {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Disk.read_dir(dir)?;
        if self.file.parent() == Some(dir) {
            files.push(self.file.clone());
        }
        Ok(files)
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        if file == self.file { Ok(self.text.clone()) } else { Disk.read(file) }
    }
}
