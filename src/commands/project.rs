//! A configuration with its variables and its state, ready for the engine.
//!
//! The one decision: the root folder is where the command stands; everything that the configuration
//! sees of paths is relative to it, so that two machines make the same plan.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mesh_core::{Engine, Inputs, Run, Sink};
use mesh_lang::functions::{Context, DEFAULT_WORKSPACE, Reader, Seen};
use mesh_lang::{Config, Disk, Files, LoadOptions};
use mesh_model::Diagnostic;
use mesh_sdk::Services;
use mesh_state::{Home, LockInfo};

use super::backend::Places;
use super::encryption::Configured;
use super::modules;
use super::options::StateArgs;
use super::other_states::States;
use super::variables::Given;
use super::workspace;
use crate::cli::VarSource;
use crate::ui::{Failure, Ui, timestamp};

/// What a command works on.
pub(crate) struct Project {
    /// The configuration.
    pub(crate) config: Config,
    /// Values of root variables.
    pub(crate) inputs: Inputs,
    /// Where state is.
    pub(crate) backend: Arc<dyn Home>,
    /// For whom its keys are sealed.
    pub(crate) encryption: Option<Configured>,
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
        let places = Places::of(ui, &config, &inputs, state)?;
        let (backend, encryption) = (places.state()?, places.encryption);
        let context = Context { files: Reader::remembering(Seen::default()), ..context(ui, timestamp()) };
        Ok(Self { context, config, inputs, backend, encryption, root })
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

    /// The engine with all providers, which may read other states.
    pub(crate) fn engine(&self, ui: &Ui, sink: Arc<dyn Sink>) -> Engine {
        let (encryption, keepers) = self.encryption.clone().map(|c| (c.encryption, c.keepers)).unzip();
        let states = States { env: ui.env.clone(), encryption };
        let services = Services { states: Some(Arc::new(states)), ..services(ui) };
        let mut engine = Engine::new(mesh_providers::all(), services, sink);
        engine.keepers = keepers.unwrap_or_default();
        engine
    }

    /// What the engine works on.
    pub(crate) fn run<'r>(&'r self, engine: &'r Engine, options: &'r mesh_core::Options) -> Run<'r> {
        Run {
            engine,
            config: &self.config,
            inputs: &self.inputs,
            backend: &*self.backend,
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
pub(crate) fn services(ui: &Ui) -> Services {
    Services { root: root(), cache: mesh_sandbox::default_cache(&ui.home()), env: ui.env.clone(), states: None }
}

/// What functions may know, for a plan made at `plan_timestamp`.
pub(crate) fn context(ui: &Ui, plan_timestamp: String) -> Context {
    Context {
        cwd: ui.cwd.clone(),
        home: ui.var("HOME").map(PathBuf::from),
        // A name that is none is refused where state is opened.
        workspace: workspace::selected(ui).ok().flatten().as_deref().unwrap_or(DEFAULT_WORKSPACE).into(),
        plan_timestamp,
        template: Some(mesh_lang::render_template),
        ..Context::new(".")
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
