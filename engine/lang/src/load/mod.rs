//! Loading a folder of files, and the modules it calls, into a [`Config`].
//!
//! The one decision: everything that can be known without values is checked here, over all files and
//! modules, before anything is evaluated: one run reports all of it. A folder is read once however often
//! it is called. Where modules from elsewhere are is the affair of whoever implements [`Modules`].

mod args;
mod blocks;
mod bodies;
mod check;
mod decode;
mod json;
mod kinds;
mod meta;
mod overrides;
mod refactor;
mod source;
mod testfile;
#[cfg(test)]
mod tests;
mod version;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mesh_model::{Diagnostic, Diagnostics, Sources, Span};

use crate::limits::{MAX_BLOCKS, MAX_MODULES, MAX_SOURCE};
use crate::syntax::on_large_stack;
use crate::{Config, Module};
use decode::Draft;
pub use testfile::parse_test;

/// What names of files of the language end with.
const HCL: &str = ".mesh.hcl";
const JSON: &str = ".mesh.json";
/// What names of test files in JSON end with.
const JSON_ENDING: &str = ".json";
/// Deeper calls are a mistake.
const MAX_DEPTH: usize = 32;

/// What to load.
#[derive(Clone, Copy)]
pub struct LoadOptions<'o> {
    /// The folder of the root module.
    pub root: &'o Path,
    /// What stands before file names in messages; empty for the current folder.
    pub display: &'o str,
    /// Values of root variables, for sources of modules; without, only defaults are known.
    pub variables: Option<&'o dyn RootValues>,
    /// Where modules are that do not lie beside the configuration; without, there are none.
    pub modules: Option<&'o dyn Modules>,
    /// Whether called modules are loaded. Without, only the root module can be used of the result.
    pub calls: bool,
    /// Whether imports may name blocks of the root module that are not there, since they are to be generated.
    pub generate: bool,
}

impl<'o> LoadOptions<'o> {
    /// The folder `root`, with files shown by their bare names.
    pub const fn new(root: &'o Path) -> Self {
        Self { root, display: "", variables: None, modules: None, calls: true, generate: false }
    }
}

/// Values of root variables before anything is planned.
pub trait RootValues: Sync {
    /// The value of a variable of the root module.
    ///
    /// # Errors
    /// None was given, or one that does not fit.
    fn value(&self, variable: &crate::Variable) -> Result<mesh_model::Value, Diagnostics>;
}

/// Modules from elsewhere.
pub trait Modules: Sync {
    /// The folder that a source such as `git::https://example.com/a.git//sub?ref=v1` was fetched to.
    ///
    /// # Errors
    /// Why there is none, with the way out; without a place.
    fn find(&self, source: &str) -> Result<Fetched, Diagnostic>;
}

/// A module that was fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// Its folder.
    pub dir: PathBuf,
    /// The folder of all that was fetched with it, which its own relative sources must not leave.
    pub package: PathBuf,
    /// What stands before its file names in messages.
    pub display: String,
}

/// Where files come from: the disk, a saved plan, a test.
pub trait Files: Sync {
    /// Paths of the files in a folder.
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// The text of a file.
    fn read(&self, file: &Path) -> io::Result<String>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect()
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        if !std::fs::metadata(file)?.is_file() {
            return Err(io::Error::other("it is a folder, pipe or device"));
        }
        read_source(std::fs::File::open(file)?)
    }
}

/// The text of a source file or another input of the language.
///
/// # Errors
/// What reading says, text that is not UTF-8, and more than [`MAX_SOURCE`] bytes.
pub fn read_source(input: impl io::Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(MAX_SOURCE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SOURCE {
        return Err(io::Error::other(format!("it has more than {} MiB", MAX_SOURCE >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not valid UTF-8 text"))
    })
}

/// Loads a configuration from the disk. With errors the configuration is what could be read of it;
/// `None` where a folder could not be read at all.
pub fn load(options: LoadOptions<'_>, sources: &mut Sources) -> (Option<Config>, Diagnostics) {
    load_from(&Disk, options, sources)
}

/// Like [`load`], from other files.
pub fn load_from(files: &dyn Files, options: LoadOptions<'_>, sources: &mut Sources) -> (Option<Config>, Diagnostics) {
    on_large_stack(|| {
        let mut loader = Loader {
            files,
            options,
            sources,
            drafts: HashMap::new(),
            modules: Vec::new(),
            diagnostics: Diagnostics::new(),
            complete: true,
            broken: false,
            blocks: 0,
            full: false,
        };
        let root = Folder { dir: normal(options.root), display: normal(Path::new(options.display)), package: None };
        loader.add(&root, None, Vec::new(), &mut Vec::new());
        let mut seen = HashSet::new();
        loader.diagnostics.0.retain(|d| seen.insert((d.span, d.summary, d.detail.clone())));
        let config = (loader.complete && !loader.modules.is_empty()).then_some(Config { modules: loader.modules });
        (config, loader.diagnostics)
    })
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Folder {
    dir: PathBuf,
    /// As users know it.
    display: PathBuf,
    /// What was fetched together with it.
    package: Option<PathBuf>,
}

struct Loader<'l> {
    files: &'l dyn Files,
    options: LoadOptions<'l>,
    sources: &'l mut Sources,
    drafts: HashMap<PathBuf, Option<Arc<Draft>>>,
    modules: Vec<Module>,
    diagnostics: Diagnostics,
    complete: bool,
    /// Some text could not be read.
    broken: bool,
    /// What counts for [`MAX_BLOCKS`].
    blocks: usize,
    /// There is no room for more.
    full: bool,
}

impl Loader<'_> {
    /// Adds the module of a folder and all it calls. `call`: the calling module and the place.
    fn add(
        &mut self,
        folder: &Folder,
        call: Option<(usize, Span)>,
        path: Vec<Arc<str>>,
        around: &mut Vec<PathBuf>,
    ) -> Option<usize> {
        let refuse = |loader: &mut Self, summary, detail: String| {
            let span = call.map(|(_, span)| span);
            loader.diagnostics.push(Diagnostic::error("lang::module", summary, detail).at_default(span));
            loader.complete = false;
            None
        };
        if around.contains(&folder.dir) {
            let detail = format!("The folder {} calls itself, directly or through others.", folder.display.display());
            return refuse(self, "Module calls itself", detail);
        }
        if self.modules.len() >= MAX_MODULES || self.blocks > MAX_BLOCKS {
            // Said once; every further call would say it again.
            return if std::mem::replace(&mut self.full, true) {
                None
            } else {
                let detail = format!(
                    "With this call the configuration has more than {MAX_MODULES} modules or {MAX_BLOCKS} blocks and \
                     local values, counting a module with each call. Use count or for_each instead of many calls."
                );
                refuse(self, "Configuration too large", detail)
            };
        }
        if around.len() >= MAX_DEPTH {
            return refuse(self, "Modules too deep", format!("Modules are nested more than {MAX_DEPTH} deep."));
        }
        let draft = match self.draft(folder) {
            Ok(draft) => draft,
            Err(reason) => return refuse(self, "Module not readable", reason),
        };
        let Some(draft) = draft else {
            self.complete = false;
            return None;
        };
        let index = self.modules.len();
        let mut module = draft.module.clone();
        self.blocks += module.locals.len() + module.variables.len() + module.outputs.len() + module.resources.len();
        module.path.clone_from(&path);
        module.parent = call.map(|(parent, _)| parent);
        self.modules.push(module);
        around.push(folder.dir.clone());
        let calls = if self.options.calls { draft.sources.as_slice() } else { &[] };
        for (i, source) in calls.iter().enumerate() {
            let Some(child) = self.place(folder, index, source) else {
                self.complete = false;
                continue;
            };
            let name = draft.module.calls[i].name.clone();
            let path = path.iter().cloned().chain([name]).collect();
            if let Some(child) = self.add(&child, Some((index, source.span())), path, around) {
                self.modules[index].calls[i].module = child;
            }
        }
        around.pop();
        // Without all modules and their whole text nothing can be said about what leads into them.
        self.broken |= draft.broken;
        if self.complete && !self.broken && self.options.calls {
            check::module(&self.modules, index, &draft.used, self.options.generate, &mut self.diagnostics);
        }
        Some(index)
    }

    /// The module of a folder without what it calls; `Ok(None)`: not readable, and already reported.
    fn draft(&mut self, folder: &Folder) -> Result<Option<Arc<Draft>>, String> {
        if let Some(draft) = self.drafts.get(&folder.dir) {
            return Ok(draft.clone());
        }
        let shown = if folder.display.as_os_str().is_empty() { Path::new(".") } else { &folder.display };
        let mut names = self
            .files
            .read_dir(&folder.dir)
            .map_err(|e| format!("The folder {} cannot be read: {e}.", shown.display()))?;
        names.sort();
        let mut texts = Vec::new();
        let mut broken = false;
        for path in names {
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
            let shown = folder.display.join(name).display().to_string();
            if name.starts_with('.') || !(name.ends_with(HCL) || name.ends_with(JSON)) {
                continue;
            }
            match self.files.read(&path) {
                Ok(text) => texts.push((self.sources.add(shown, text), name.to_owned())),
                Err(error) => {
                    broken = true;
                    let detail = format!("{shown} cannot be read: {error}.");
                    self.diagnostics.push(Diagnostic::error("lang::file", "File not readable", detail));
                }
            }
        }
        if texts.is_empty() && !broken {
            return Err(format!("The folder {} holds no *.mesh.hcl or *.mesh.json file.", shown.display()));
        }
        let draft = if broken {
            None
        } else {
            let sources = &self.sources;
            let file = |(index, name)| Some(decode::File { index, source: sources.get(index)?.clone(), name });
            let files: Vec<_> = texts.into_iter().filter_map(file).collect();
            let draft = decode::module(&folder.dir, &files, &mut self.diagnostics);
            Some(Arc::new(draft))
        };
        self.drafts.insert(folder.dir.clone(), draft.clone());
        Ok(draft)
    }
}

/// The path without `.` and without `..` where that is possible by name alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}
