//! A configuration with its variables and its state, ready for the engine.
//!
//! The one decision: the root folder is where the command stands; everything that the configuration
//! sees of paths is relative to it, so that two machines make the same plan.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mesh_core::{Engine, Inputs, Run, Sink};
use mesh_lang::functions::{Context, Reader, Seen};
use mesh_lang::{Config, Disk, Files, LoadOptions, Scope, Subject};
use mesh_model::{Diagnostic, Span, Value};
use mesh_sdk::Services;
use mesh_state::{LocalBackend, LockInfo};

use super::encryption::encryption;
use super::modules;
use super::options::StateArgs;
use super::variables::Given;
use crate::cli::VarSource;
use crate::ui::{Failure, Ui, timestamp};

/// The state file where the configuration names none.
pub(crate) const STATE: &str = "mesh.state";

/// What a command works on.
pub(crate) struct Project {
    /// The configuration.
    pub(crate) config: Config,
    /// Values of root variables.
    pub(crate) inputs: Inputs,
    /// Where state is.
    pub(crate) backend: LocalBackend,
    /// What functions know.
    pub(crate) context: Context,
    /// The root folder, absolute.
    pub(crate) root: PathBuf,
}

/// Loads a configuration; warnings are shown.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn configuration(ui: &mut Ui, files: &dyn Files, options: LoadOptions<'_>) -> Result<Config, Failure> {
    let (config, mut found) = mesh_lang::load_from(files, options, &mut ui.sources);
    if found.has_errors() {
        // What the providers' schemas say about the rest belongs to the same list.
        if let Some(config) = &config {
            found.extend(mesh_core::check::check(&engine(ui, Arc::new(mesh_core::Silent)), config));
        }
        return Err(found.into());
    }
    // What is loaded to be generated is loaded again.
    if !options.generate {
        ui.report(&found);
    }
    let mut config = config.ok_or_else(|| {
        Failure::from(Diagnostic::error(
            "cli::configuration",
            "No configuration",
            "The configuration could not be read.",
        ))
    })?;
    from_root(&mut config, options.root);
    Ok(config)
}

/// Folders of modules as seen from the root folder.
pub(crate) fn from_root(config: &mut Config, root: &Path) {
    for module in &mut config.modules {
        module.dir = relative(root, &module.dir);
    }
}

/// The root folder.
pub(crate) fn root() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// `path` as seen from `root`; both absolute.
pub(crate) fn relative(root: &Path, path: &Path) -> PathBuf {
    let (root, path): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (root.components().collect(), path.components().collect());
    let common = root.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let mut out: PathBuf = root[common..].iter().map(|_| Component::ParentDir).collect();
    out.extend(&path[common..]);
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

impl Project {
    /// Configuration, variables and backend. `files` is the disk or a saved plan.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load(ui: &mut Ui, state: &StateArgs, vars: &[VarSource]) -> Result<Self, Failure> {
        Self::load_from(ui, &Disk, false, state, vars)
    }

    /// The same from other files than those of the disk. `generate`: imports may name blocks that are not there.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load_from(
        ui: &mut Ui,
        files: &dyn Files,
        generate: bool,
        state: &StateArgs,
        vars: &[VarSource],
    ) -> Result<Self, Failure> {
        let (root, given, modules) = (root(), Given::read(ui, vars), modules::installed(ui)?);
        let options =
            LoadOptions { variables: Some(&given), modules: Some(&modules), generate, ..LoadOptions::new(&root) };
        let config = configuration(ui, files, options)?;
        let inputs = given.gather(ui, &config)?;
        let backend = backend(ui, &config, &inputs, state)?;
        let context = Context { files: Reader::remembering(Seen::default()), ..context(ui, timestamp()) };
        Ok(Self { context, config, inputs, backend, root })
    }

    /// The same with the configuration as it is on the disk now.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn again(self, ui: &mut Ui) -> Result<Self, Failure> {
        let (known, modules) = (Given::known_already(self.inputs.clone()), modules::installed(ui)?);
        let options = LoadOptions { variables: Some(&known), modules: Some(&modules), ..LoadOptions::new(&self.root) };
        Ok(Self { config: configuration(ui, &Disk, options)?, ..self })
    }

    /// The engine with all providers.
    pub(crate) fn engine(&self, ui: &Ui, sink: Arc<dyn Sink>) -> Engine {
        engine(ui, sink)
    }

    /// What the engine works on.
    pub(crate) fn run<'r>(&'r self, engine: &'r Engine, options: &'r mesh_core::Options) -> Run<'r> {
        Run {
            engine,
            config: &self.config,
            inputs: &self.inputs,
            backend: &self.backend,
            options,
            context: &self.context,
        }
    }
}

/// The engine with all providers.
pub(crate) fn engine(ui: &Ui, sink: Arc<dyn Sink>) -> Engine {
    Engine::new(mesh_providers::all(), services(ui), sink)
}

/// What providers may use of the surroundings.
fn services(ui: &Ui) -> Services {
    Services { root: root(), cache: mesh_sandbox::default_cache(&ui.home()), env: ui.env.clone() }
}

/// What functions may know, for a plan made at `plan_timestamp`.
pub(crate) fn context(ui: &Ui, plan_timestamp: String) -> Context {
    Context {
        cwd: ui.cwd.clone(),
        home: ui.var("HOME").map(PathBuf::from),
        plan_timestamp,
        template: Some(mesh_lang::render_template),
        ..Context::new(".")
    }
}

/// The backend of a configuration: `-state`, the `mesh` block, or the file in the root folder.
///
/// # Errors
/// A backend that this version does not have, a path that is not a text.
pub(crate) fn backend(ui: &Ui, config: &Config, inputs: &Inputs, state: &StateArgs) -> Result<LocalBackend, Failure> {
    let encryption = encryption(config, &Variables { config, inputs }, &services(ui))?;
    let place = place(config, inputs, state)?;
    Ok(match encryption {
        Some(encryption) => place.encrypted(encryption),
        None => place,
    })
}

fn place(config: &Config, inputs: &Inputs, state: &StateArgs) -> Result<LocalBackend, Failure> {
    if let Some(file) = &state.state {
        return Ok(LocalBackend::new(file));
    }
    let settings = &config.root().settings;
    let Some((kind, body)) = &settings.backend else { return Ok(LocalBackend::new(STATE)) };
    let bad = |detail: String, span: Option<Span>| {
        Failure::from(
            Diagnostic::error("cli::backend", "Bad state backend", detail).at_default(span).at_default(settings.span),
        )
    };
    if kind != "local" {
        return Err(bad(
            format!("There is no backend {kind:?}. This version has \"local\": a file on this machine."),
            None,
        ));
    }
    if let Some(other) = body.attributes.iter().find(|a| &*a.name != "path") {
        return Err(bad(
            format!("The backend \"local\" takes only path, not {:?}.", &*other.name),
            Some(other.name_span),
        ));
    }
    let Some(path) = body.attribute("path") else { return Ok(LocalBackend::new(STATE)) };
    let value = path.expr.eval(&Variables { config, inputs })?;
    match value.as_str() {
        Some(text) if value.marks().is_empty() && !text.is_empty() => Ok(LocalBackend::new(text)),
        _ => Err(bad("path must be a text that is not secret.".to_owned(), Some(path.expr.span()))),
    }
}

/// What settings may refer to: variables only.
struct Variables<'v> {
    config: &'v Config,
    inputs: &'v Inputs,
}

impl Scope for Variables<'_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        if let Subject::Variable(name) = subject
            && let Some(variable) = self.config.root().variable(name)
        {
            return mesh_core::inputs::value(variable, self.inputs.get(&**name)).map_err(|found| {
                found.into_iter().next().unwrap_or_else(|| {
                    Diagnostic::error("cli::backend", "Bad state backend", "A variable has no value.")
                })
            });
        }
        let detail = "Settings of the backend are needed before anything else, so they may refer to variables only.";
        Err(Diagnostic::error("cli::backend", "Bad state backend", detail).at(span))
    }

    fn functions(&self) -> &Context {
        static NONE: std::sync::OnceLock<Context> = std::sync::OnceLock::new();
        NONE.get_or_init(|| Context::new("."))
    }
}

/// Who locks.
pub(crate) fn lock_info(ui: &Ui, command: &str) -> LockInfo {
    let user = ui.var("USER").or_else(|| ui.var("LOGNAME")).unwrap_or("unknown");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = ui.var("HOSTNAME").unwrap_or(host.trim());
    LockInfo::new(format!("mesh {command}"), user, if host.is_empty() { "unknown" } else { host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_root_folder() {
        for (path, want) in [("/a/b", "."), ("/a/b/m", "m"), ("/a/c", "../c"), ("/x", "../../x")] {
            assert_eq!(relative(Path::new("/a/b"), Path::new(path)), Path::new(want));
        }
    }
}
