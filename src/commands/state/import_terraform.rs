//! `mesh state import-terraform`: what a state of Terraform or OpenTofu knows is taken over.
//!
//! The one decision: the file only says which objects there are. Each is looked at before it is recorded, what cannot be
//! taken over is listed with the reason, and all of it is one serial of the history.

mod convert;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;

use clap::ArgAction;
use mesh_core::stage::takeover::{Foreign, Found};
use mesh_core::{Engine, Options, sealed_place};
use mesh_model::snapshot::{Identity, StoredOutput};
use mesh_model::{Address, Diagnostic, Instance, Snapshot};
use mesh_state::{Keys, Outputs, Record};

use super::edit::{Edit, consent, edit_at};
use crate::cli::VarSource;
use crate::commands::options::{EditArgs, VarArgs};
use crate::commands::project::Project;
use crate::commands::running::{self, Reporter, runtime};
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::{BOLD, GREEN, YELLOW, out, paint, plain, visible};

/// Take over the objects of a state of Terraform or OpenTofu, without touching them
#[derive(clap::Args, Debug)]
pub(super) struct Args {
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
    /// Only say what would be taken over
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    auto_approve: bool,
    /// The state file (version 4); - is standard input
    file: String,
}

/// An address, and the key of a deposed object there.
type Place = (Address, Option<Arc<str>>);

/// What is taken over, as far as it does not depend on the state here.
struct Taken {
    objects: BTreeMap<Place, Arc<Instance>>,
    outputs: Outputs,
    /// Current objects without a block.
    strays: BTreeSet<Address>,
    /// What stays where it is, with the reasons.
    left: Vec<(String, String)>,
    /// Attributes that our types do not have, by type.
    passed: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

pub(super) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.input &= args.input;
    let wait = args.edit.lock_wait()?;
    let (name, bytes) = read(&args.file)?;
    let known = file::read(&bytes, &name)?;
    let project = Project::load(ui, &args.edit.state, vars)?;
    let reporter = Reporter::new(ui);
    let engine = project.engine(ui, reporter.sink(ui));
    let options = Options { parallelism: args.parallelism.max(1), ..Options::default() };
    let taken = taken(&project, &engine, &options, known);
    reporter.clear();
    let taken = taken?;
    let work = |now: &Snapshot| {
        free(now, taken.objects.keys())?;
        let (changes, _) = taken.records(now);
        let edited = changes.iter().filter(|c| matches!(c, Record::Put { .. })).count();
        Ok(Edit::new(changes, edited))
    };
    let mut declined = false;
    let command = format!("state import-terraform {}", plain(&args.file));
    let mut count = 0;
    let done = edit_at(ui, &*project.backend, wait, &command, work, |ui, now, edit| {
        count = edit.edited;
        out(&taken.shown(&name, now))?;
        if args.dry_run || edit.changes.is_empty() {
            return Ok(false);
        }
        declined = !consent(ui, args.auto_approve, "Do you want to take this into state?")?;
        Ok(!declined)
    })?;
    match done {
        Some(serial) => out(&format!(
            "\nTook over {count} objects, as serial {serial}. No object was changed; mesh plan shows what the configuration wants different.\n"
        ))?,
        None if declined => {
            out("\nNothing was taken over.\n")?;
            return Ok(1);
        }
        None if args.dry_run => out("\nThis was a dry run: nothing was written.\n")?,
        None => out("\nThere is nothing to take over.\n")?,
    }
    Ok(0)
}

fn read(file: &str) -> Result<(String, Vec<u8>), Failure> {
    let (name, bytes) = if file == "-" {
        let mut bytes = Vec::new();
        ("standard input".to_owned(), std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (file.to_owned(), std::fs::read(file))
    };
    let bytes = bytes
        .map_err(|e| Diagnostic::error("cli::import_terraform", "The file is not readable", format!("{name}: {e}.")))?;
    Ok((name, bytes))
}

/// Refuses addresses that have an object, all of them.
fn free<'a>(snapshot: &Snapshot, places: impl Iterator<Item = &'a Place>) -> Result<(), Diagnostic> {
    let known = |(address, deposed): &&Place| match deposed {
        None => snapshot.instances.contains_key(address),
        Some(key) => snapshot.deposed.contains_key(&(address.clone(), key.clone())),
    };
    let occupied: Vec<String> = places.filter(known).map(|p| format!("\n  - {}", shown(p))).collect();
    if occupied.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "State has objects at these addresses of the file already, so nothing was taken over:{}\nTake them out of state first, with mesh \
         state rm, or give them other addresses, with mesh state mv.",
        occupied.concat()
    );
    Err(Diagnostic::error("cli::import_terraform", "Addresses are taken", detail))
}

fn shown((address, deposed): &Place) -> String {
    deposed.as_ref().map_or_else(|| address.to_string(), |key| format!("{address} (deposed {})", visible(key)))
}

/// Looks at everything that the file knows.
fn taken(project: &Project, engine: &Engine, options: &Options, known: file::Known) -> Result<Taken, Failure> {
    let (keys, snapshot) = runtime()?.block_on(async {
        let keys = project.backend.keys().await?;
        Ok::<_, mesh_state::StateError>((keys, project.backend.snapshot().await?))
    })?;
    let outputs = outputs(&keys, &snapshot, known.outputs)?;
    let mut taken =
        Taken { objects: BTreeMap::new(), outputs, strays: BTreeSet::new(), left: Vec::new(), passed: BTreeMap::new() };
    let mut foreign: BTreeMap<Place, Foreign> = BTreeMap::new();
    for object in known.objects {
        let place = (object.address.clone(), object.deposed.as_deref().map(Arc::from));
        match convert::known(engine, &project.config, &keys.fingerprinter, &object) {
            Ok(known) => {
                taken.passed.entry(object.address.ty.clone()).or_default().extend(known.passed);
                if !known.declared && place.1.is_none() {
                    taken.strays.insert(place.0.clone());
                }
                foreign.insert(place, known.foreign);
            }
            Err(why) => taken.left.push((shown(&place), why)),
        }
    }
    free(&snapshot, foreign.keys())?;
    let current: BTreeMap<Address, Foreign> =
        foreign.iter().filter(|((_, d), _)| d.is_none()).map(|((a, _), f)| (a.clone(), f.clone())).collect();
    let run = project.run(engine, options);
    let seen = running::wait(engine, run.look_at(&current))?;
    taken.found(seen.into_iter().map(|(a, found)| ((a, None), found)));
    // Each in the place of the current object, among the others: what its provider needs may be one of them.
    for (place, object) in foreign.into_iter().filter(|((_, d), _)| d.is_some()) {
        let (address, _) = &place;
        if current.get(address).is_some_and(|c| c.instance.identity == object.instance.identity) {
            taken.left.push((shown(&place), "it cannot be told from the object that took its place".to_owned()));
            continue;
        }
        let mut all = current.clone();
        all.insert(address.clone(), object);
        let found = running::wait(engine, run.look_at(&all))?.remove(address);
        taken.found(found.map(|f| (place.clone(), f)).into_iter());
    }
    Ok(taken)
}

/// Root outputs as state keeps them.
fn outputs(
    keys: &Keys,
    snapshot: &Snapshot,
    outputs: BTreeMap<String, (mesh_model::Value, bool)>,
) -> Result<Outputs, Failure> {
    let mut stored = Outputs::new();
    for (name, (value, sensitive)) in outputs.into_iter().filter(|(_, (value, _))| !value.is_null()) {
        let place = sealed_place(&snapshot.lineage, &name);
        let sealer = keys.sealer.as_ref().filter(|_| sensitive);
        let sealed = sealer.map(|s| s.seal_value(&place, &value)).transpose()?.map(Arc::from);
        let value = keys.fingerprinter.withhold(&if sensitive { value.sensitive() } else { value });
        stored.insert(name.into(), StoredOutput { value, sensitive, sealed });
    }
    Ok(stored)
}

impl Taken {
    fn found(&mut self, found: impl Iterator<Item = (Place, Found)>) {
        for (place, found) in found {
            let why = match found {
                Found::There(instance) => {
                    self.objects.insert(place, instance);
                    continue;
                }
                Found::Gone => "it is not there (any more)".to_owned(),
                Found::Later(why) => why,
            };
            self.left.push((shown(&place), why));
        }
    }

    /// What is written into this state, and what is left out because of what the state has.
    fn records(&self, now: &Snapshot) -> (Vec<Record>, Vec<(String, String)>) {
        type Object<'o> = (&'o str, &'o str, &'o Identity);
        fn object<'o>(address: &'o Address, instance: &'o Instance) -> Option<Object<'o>> {
            Some((&instance.provider, &address.ty, instance.identity.as_ref()?))
        }
        let mut known: BTreeMap<Object<'_>, String> = BTreeMap::new();
        known.extend(now.instances.iter().filter_map(|(a, i)| Some((object(a, i)?, a.to_string()))));
        let (mut records, mut left) = (Vec::new(), Vec::new());
        for (place @ (address, deposed), instance) in &self.objects {
            match object(address, instance).and_then(|o| known.insert(o, shown(place))) {
                Some(other) => left.push((shown(place), format!("it is the object of {other}"))),
                None => records.push(Record::Put {
                    address: address.clone(),
                    deposed: deposed.clone(),
                    instance: instance.clone(),
                }),
            }
        }
        let mut outputs = now.outputs.clone();
        for (name, output) in &self.outputs {
            match outputs.get(name) {
                None => drop(outputs.insert(name.clone(), output.clone())),
                Some(own) if own.value.same(&output.value) => {}
                Some(_) => left.push((format!("output.{name}"), "state has another value of it".to_owned())),
            }
        }
        if outputs != now.outputs {
            records.push(Record::Outputs(outputs));
        }
        (records, left)
    }

    /// What is taken over and what is not.
    fn shown(&self, file: &str, now: &Snapshot) -> String {
        let (records, more) = self.records(now);
        let mut text = format!("From {}:\n\n", paint(BOLD, visible(file)));
        for record in &records {
            match record {
                Record::Put { address, deposed, instance } => {
                    let identity = instance.identity.as_ref().map(|i| format!(": {}", visible(&i.0)));
                    let tainted = if instance.tainted { " (tainted)" } else { "" };
                    let place = shown(&(address.clone(), deposed.clone()));
                    push!(text, "  {} {place}{}{tainted}\n", paint(GREEN, "+"), identity.unwrap_or_default());
                }
                Record::Outputs(outputs) => {
                    for name in outputs.keys().filter(|n| !now.outputs.contains_key(*n)) {
                        push!(text, "  {} output.{name}\n", paint(GREEN, "+"));
                    }
                }
                _ => {}
            }
        }
        let taken: BTreeSet<&Address> = records
            .iter()
            .filter_map(|r| match r {
                Record::Put { address, deposed: None, .. } => Some(address),
                _ => None,
            })
            .collect();
        let strays: Vec<&Address> = self.strays.iter().filter(|a| taken.contains(a)).collect();
        if !strays.is_empty() {
            push!(text, "\n{}\n", paint(YELLOW, "No block declares these, so the next plan deletes them:"));
        }
        for address in strays {
            push!(text, "  {} {address}\n", paint(YELLOW, "!"));
        }
        let left: Vec<_> = self.left.iter().chain(&more).collect();
        if !left.is_empty() {
            push!(text, "\n{}\n", paint(YELLOW, "Not taken over:"));
        }
        for (place, why) in left {
            push!(text, "  {} {place}: {}\n", paint(YELLOW, "."), visible(why));
        }
        let passed: Vec<_> = self.passed.iter().filter(|(_, names)| !names.is_empty()).collect();
        if !passed.is_empty() {
            text.push_str(
                "\nAttributes of the file that these types do not have in mesh, so what they say is not taken over:\n",
            );
        }
        for (ty, names) in passed {
            push!(text, "  {ty}: {}\n", names.iter().map(|n| visible(n)).collect::<Vec<_>>().join(", "));
        }
        if !records.is_empty() {
            text.push_str("\nOnly state changes: no object is made, changed or deleted.\n");
        }
        text
    }
}
