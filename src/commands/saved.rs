//! Plan files, between this program and the engine's sealed format.
//!
//! The one decision: sources and inputs are in the file, so applying it reads no configuration from
//! the disk except where state is; what is ephemeral is not in it and is given again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_core::planfile::{self, Content, Header, SavedReads};
use mesh_core::{Input, Inputs, Mode, Options, Planning};
use mesh_lang::functions::{Context, Reader};
use mesh_lang::{Config, Files, LoadOptions, Subject, body_references};
use mesh_model::{Diagnostic, Diagnostics, json};
use mesh_state::Home;
use serde_json::{Value as Json, json};

use super::backend::Places;
use super::encryption::Configured;
use super::modules::{self, LOCK};
use super::options::StateArgs;
use super::project::{self, Project};
use super::running::runtime;
use super::variables::Given;
use crate::cli::VarSource;
use crate::ui::{Failure, Ui};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes a plan file: only its owner may read it; an old plan under this name is replaced whole.
///
/// # Errors
/// What the system says.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.{}", file.display(), std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut f| f.write_all(bytes))
        .and_then(|()| std::fs::rename(&beside, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// What a plan file holds of a plan.
pub(crate) fn content(
    ui: &Ui,
    project: &Project,
    options: &Options,
    planning: &Planning<'_>,
    json: String,
    text: String,
) -> Content {
    let (plan, fingerprinter) = (&planning.plan, &planning.fingerprinter);
    let sources = ui.sources.iter().filter(|s| is_configuration(&s.name) || s.name == LOCK);
    let ephemeral = |name: &str| project.config.root().variable(name).is_some_and(|v| v.ephemeral);
    Content {
        files: sources.map(|s| (s.name.clone(), s.text.clone())).collect(),
        read: SavedReads::new(project.context.files.seen()),
        version: VERSION.to_owned(),
        root: project.root.clone(),
        unfinished: planning.snapshot.unfinished.as_ref().map(|u| u.digest.to_string()),
        inputs: project.inputs.iter().filter(|(n, _)| !ephemeral(n)).map(|(n, i)| (n.clone(), encode(i))).collect(),
        destroy: options.mode == Mode::Destroy,
        refresh_only: options.mode == Mode::RefreshOnly,
        refresh: options.refresh,
        replace: options.replace.iter().map(ToString::to_string).collect(),
        targets: options.targets.iter().map(ToString::to_string).collect(),
        excludes: options.excludes.iter().map(ToString::to_string).collect(),
        timestamp: project.context.plan_timestamp.clone(),
        changes: planfile::changes_of(plan, fingerprinter),
        deferred: planfile::envelopes_of(plan, fingerprinter),
        outputs: planfile::outputs_of(plan, fingerprinter),
        json,
        text,
    }
}

fn encode(input: &Input) -> String {
    match input {
        Input::Text { text, origin } => json!({ "text": text, "origin": origin }),
        Input::Value(value) => json!({ "value": json::reveal_json(value) }),
    }
    .to_string()
}

fn decode(text: &str) -> Option<Input> {
    let json: Json = serde_json::from_str(text).ok()?;
    Some(match (json.get("text"), json.get("value")) {
        (Some(text), _) => {
            Input::Text { text: text.as_str()?.to_owned(), origin: json.get("origin")?.as_str()?.to_owned() }
        }
        (None, Some(value)) => Input::Value(json::from_json(value)),
        (None, None) => return None,
    })
}

/// A plan file that was opened, and its state.
pub(crate) struct Opened {
    pub(crate) header: Header,
    pub(crate) content: Content,
    pub(crate) backend: Arc<dyn Home>,
    pub(crate) encryption: Option<Configured>,
}

/// Opens a plan file with the key of its state.
///
/// # Errors
/// No plan file, damaged, another state's.
pub(crate) fn open(ui: &mut Ui, file: &Path, state: &StateArgs, vars: &[VarSource]) -> Result<Opened, Failure> {
    let bytes = std::fs::read(file).map_err(|e| {
        Diagnostic::error("cli::plan_file", "Plan file not readable", format!("{}: {e}.", file.display()))
    })?;
    let (header, _) = planfile::header(&bytes)?;
    let places = places(ui, state, vars)?;
    let backend = places.state()?;
    // Asking for keys where there is no state would make some.
    let lineage = runtime()?.block_on(backend.snapshot())?.lineage;
    if *lineage != header.lineage {
        let there = if lineage.is_empty() {
            "there is no state and no key".to_owned()
        } else {
            format!("the lineage is {lineage}")
        };
        let detail = format!(
            "It was made for the state of lineage {}; in the {} {there}. Apply it where its state is, and bring the state's key file along.",
            header.lineage,
            backend.describe()
        );
        return Err(Diagnostic::error("cli::plan_state", "The plan belongs to another state", detail).into());
    }
    let fingerprinter = runtime()?.block_on(backend.fingerprinter())?;
    let (header, content) = planfile::open(&fingerprinter, &bytes)?;
    Ok(Opened { header, content, backend, encryption: places.encryption })
}

/// The backend before the plan's own configuration can be read: `-state`, or what the configuration
/// in this folder says, or the default.
pub(crate) fn backend(ui: &mut Ui, state: &StateArgs, vars: &[VarSource]) -> Result<Arc<dyn Home>, Failure> {
    places(ui, state, vars)?.state()
}

/// The same whatever this machine has seen before: for those who look what is there, and who put a state back.
///
/// # Errors
/// As [`backend`].
pub(crate) fn as_it_is(ui: &mut Ui, state: &StateArgs) -> Result<Arc<dyn Home>, Failure> {
    let places = places(ui, state, &[])?;
    places.open(places.selected.as_deref())
}

/// The same for all workspaces.
///
/// # Errors
/// As [`backend`].
pub(crate) fn places(ui: &mut Ui, state: &StateArgs, vars: &[VarSource]) -> Result<Places, Failure> {
    if !has_configuration() {
        return Places::file(ui, state);
    }
    let (root, given) = (project::root(), Given::read(ui, vars));
    // Settings stand in the root module; the others may need values that nobody gives here.
    let options = LoadOptions { calls: false, ..LoadOptions::new(&root) };
    let config = project::configuration(ui, &mesh_lang::Disk, options)?;
    let settings = &config.root().settings;
    let bodies = settings.backend.iter().map(|(_, body)| body).chain(&settings.encryption).chain(&settings.history);
    let needed: BTreeSet<Arc<str>> = bodies
        .flat_map(body_references)
        .filter_map(|reference| match reference.subject {
            Subject::Variable(name) => Some(name),
            _ => None,
        })
        .collect();
    let inputs = match needed.is_empty() {
        true => Inputs::new(),
        false => given.gather_some(ui, &config, |name| needed.contains(name))?,
    };
    Places::of(ui, &config, &inputs, state)
}

/// Whether this folder has a configuration at all.
pub(crate) fn has_configuration() -> bool {
    let files = std::fs::read_dir(".").into_iter().flatten().flatten();
    files.into_iter().any(|e| e.file_name().to_str().is_some_and(|n| is_configuration(n) && !n.starts_with('.')))
}

fn is_configuration(name: &str) -> bool {
    name.ends_with(".mesh.hcl") || name.ends_with(".mesh.json")
}

/// A project as the plan file has it, with ephemeral variables from the command line.
///
/// # Errors
/// Content that cannot be used, missing ephemeral values, values that were given although the file has them.
pub(crate) fn project(
    ui: &mut Ui,
    Opened { content, backend, encryption, .. }: &Opened,
    vars: &[VarSource],
) -> Result<Project, Failure> {
    let mut inputs = Inputs::new();
    for (name, text) in &content.inputs {
        let input = decode(text).ok_or_else(|| {
            Diagnostic::error(
                "planfile::damaged",
                "The plan file cannot be used",
                "A variable in it cannot be read. Make the plan again.",
            )
        })?;
        inputs.insert(name.clone(), input);
    }
    let (root, known) = (project::root(), Given::known_already(inputs.clone()));
    let modules = modules::recorded(&content.files)?;
    let files = Saved { root: root.clone(), files: &content.files };
    let options = LoadOptions { variables: Some(&known), modules: Some(&modules), ..LoadOptions::new(&root) };
    let config = project::configuration(ui, &files, options)?;
    given_again(&config, vars)?;
    Given::read(ui, vars).ephemeral(ui, &config, &mut inputs)?;
    let files = Reader::remembering(content.read.seen()?);
    let context = Context { files, ..project::context(ui, content.timestamp.clone()) };
    let (backend, encryption) = (backend.clone(), encryption.clone());
    Ok(Project { config, inputs, backend, encryption, context, root })
}

/// Whether this program, with its providers, is the one that made the plan.
///
/// # Errors
/// It is another one.
pub(crate) fn same_version(content: &Content) -> Result<(), Failure> {
    if content.version == VERSION {
        return Ok(());
    }
    let detail = format!(
        "It was made by mesh {}, and this is mesh {VERSION}, whose providers may decide otherwise. Nothing was changed. Make the plan again \
         with this version, or apply it with the other one.",
        content.version
    );
    Err(Diagnostic::error("planfile::version", "The plan was made by another version", detail).into())
}

/// Values on the command line that the file has: they would be ignored, so they are refused.
fn given_again(config: &Config, vars: &[VarSource]) -> Result<(), Failure> {
    let mut found = Diagnostics::new();
    for source in vars {
        let VarSource::Var(text) = source else { continue };
        let name = text.split('=').next().unwrap_or_default().trim();
        if config.root().variable(name).is_some_and(|v| !v.ephemeral) {
            let detail = format!(
                "{name:?} is given with -var, but a saved plan is applied with the values that it was made with. Make a new plan for other \
                 values; only ephemeral variables are given again."
            );
            found.push(Diagnostic::error("cli::variable", "A saved plan has its variables already", detail));
        }
    }
    if found.has_errors() { Err(found.into()) } else { Ok(()) }
}

/// The sources of a plan file in the place of the disk.
struct Saved<'c> {
    root: PathBuf,
    files: &'c BTreeMap<String, String>,
}

impl Saved<'_> {
    fn name(&self, path: &Path) -> String {
        project::relative(&self.root, path).display().to_string()
    }
}

impl Files for Saved<'_> {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = project::relative(&self.root, dir);
        let here = |file: &Path| match file.parent() {
            Some(p) if p.as_os_str().is_empty() => dir == Path::new("."),
            Some(p) => dir == p,
            None => false,
        };
        Ok(self.files.keys().filter(|n| here(Path::new(n))).map(|n| self.root.join(n)).collect())
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        // The names are those of the messages, which know no `..` that could be taken away.
        self.files.get(&self.name(&normal(file))).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use mesh_model::Value;

    use super::*;

    #[test]
    fn inputs_come_back_as_they_were() {
        let value = Input::Value(Value::object([("a", Value::tuple(vec![Value::string("${x}"), Value::number(1)]))]));
        let text = Input::Text { text: "[\"a\"]".into(), origin: "-var".into() };
        for input in [value, text] {
            match (decode(&encode(&input)), input) {
                (Some(Input::Value(a)), Input::Value(b)) => assert!(a.same(&b)),
                (Some(Input::Text { text: a, origin: o }), Input::Text { text: b, origin: p }) => {
                    assert_eq!((a, o), (b, p))
                }
                _ => panic!("another kind came back"),
            }
        }
        assert!(decode("{}").is_none());
    }

    #[test]
    fn a_plan_of_another_version_is_refused() {
        let content = |version: &str| {
            let json = json!({ "files": {}, "version": version, "root": "/", "inputs": {}, "destroy": false, "refresh_only": false,
                "refresh": true, "replace": [], "targets": [], "excludes": [], "timestamp": "", "changes": [], "deferred": [],
                "json": "", "text": "" });
            serde_json::from_value(json).expect("a content")
        };
        assert!(same_version(&content(VERSION)).is_ok());
        assert!(same_version(&content("0.0.0")).is_err());
    }

    #[test]
    fn files_are_found_by_folder() {
        let files = BTreeMap::from([
            ("main.mesh.hcl".to_owned(), "a".to_owned()),
            ("m/x.mesh.hcl".to_owned(), "b".to_owned()),
            ("../n/y.mesh.hcl".to_owned(), "c".to_owned()),
        ]);
        let saved = Saved { root: "/r/s".into(), files: &files };
        for (dir, text) in [("/r/s", "a"), ("/r/s/m", "b"), ("/r/n", "c")] {
            let found = saved.read_dir(Path::new(dir)).expect("a folder");
            assert_eq!(found.len(), 1, "{dir}");
            assert_eq!(saved.read(&found[0]).expect("a file"), text);
        }
    }
}
