//! Where the values of root variables come from.
//!
//! The one decision: Terraform's order, the later wins: environment, `mesh.meshvars.hcl`,
//! `mesh.meshvars.json`, `*.auto.meshvars.hcl` and `*.auto.meshvars.json` by name, then `-var` and `-var-file` as
//! typed. What is still missing is asked for where somebody can answer.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mesh_core::{Input, Inputs};
use mesh_lang::{Config, RootValues, Variable, parse_values, read_source, suggestion};
use mesh_model::{Diagnostic, Diagnostics, Span, Value};

use crate::cli::VarSource;
use crate::ui::{Failure, Ui, ask, ask_hidden};

const MAIN: [&str; 2] = ["mesh.meshvars.hcl", "mesh.meshvars.json"];
const AUTO: [&str; 2] = [".auto.meshvars.hcl", ".auto.meshvars.json"];

/// Values as they were given, which may be before it is known what variables there are.
pub(crate) struct Given {
    /// Those that were asked for come later.
    inputs: Mutex<Inputs>,
    /// Names, and where: in a file, or with `-var`.
    named: Vec<(String, Option<Span>)>,
    /// What could not be read; said where values are needed, after what is wrong with the configuration.
    broken: Diagnostics,
    ask: bool,
}

impl Given {
    /// Reads the environment, files and options.
    pub(crate) fn read(ui: &mut Ui, given: &[VarSource]) -> Self {
        let (mut found, mut inputs, mut named) = (Diagnostics::new(), Inputs::new(), Vec::new());
        for (origin, text) in ui.env.iter() {
            if let Some(name) = origin.strip_prefix("MESH_VAR_") {
                inputs.insert(name.to_owned(), Input::Text { text: text.clone(), origin: origin.clone() });
            }
        }
        for file in automatic() {
            read(ui, &file, &mut inputs, &mut named, &mut found);
        }
        for source in given {
            match source {
                VarSource::File(file) => read(ui, file, &mut inputs, &mut named, &mut found),
                VarSource::Var(text) => match text.split_once('=') {
                    Some((name, value)) => {
                        let name = name.to_owned();
                        named.push((name.clone(), None));
                        inputs.insert(name, Input::Text { text: value.to_owned(), origin: "-var".to_owned() });
                    }
                    None => found.push(Diagnostic::error(
                        "cli::variable",
                        "Bad option",
                        "-var needs a name and a value: -var 'name=value'.",
                    )),
                },
            }
        }
        Self { inputs: Mutex::new(inputs), named, broken: found, ask: ui.can_ask() }
    }

    /// Values that a saved plan has.
    pub(crate) fn known_already(inputs: Inputs) -> Self {
        Self { inputs: Mutex::new(inputs), named: Vec::new(), broken: Diagnostics::new(), ask: false }
    }

    /// The values of variables that there are, and what is to be said about the others.
    pub(crate) fn known(&self, config: &Config) -> (Inputs, Diagnostics) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        inputs.retain(|name, _| config.root().variable(name).is_some());
        let mut found = self.broken.clone();
        for (name, place) in self.named.iter().filter(|(name, _)| config.root().variable(name).is_none()) {
            found.push(match place {
                Some(span) => {
                    let detail = format!("{name:?} has a value here, but {}", unknown(config, name));
                    Diagnostic::warning("cli::variable", "Value for no variable", detail).at(*span)
                }
                None => {
                    let detail = format!("-var gives a value for {name:?}, but {}", unknown(config, name));
                    Diagnostic::error("cli::variable", "No such variable", detail)
                }
            });
        }
        (inputs, found)
    }

    /// The values of all root variables; what is missing is asked for where somebody can answer.
    ///
    /// # Errors
    /// Files that cannot be read, options that are no values, names that no variable has; all of them.
    pub(crate) fn gather(&self, ui: &Ui, config: &Config) -> Result<Inputs, Failure> {
        self.gather_some(ui, config, |_| true)
    }

    /// The same for a command that needs some of them.
    ///
    /// # Errors
    /// As [`Given::gather`].
    pub(crate) fn gather_some(
        &self,
        ui: &Ui,
        config: &Config,
        needed: impl Fn(&str) -> bool,
    ) -> Result<Inputs, Failure> {
        let mut inputs = self.reported(ui, config)?;
        if ui.can_ask() {
            missing(config, &mut inputs, needed)?;
        }
        Ok(inputs)
    }

    /// The values of the ephemeral variables only, for a plan that has all the others.
    ///
    /// # Errors
    /// As [`Given::gather`].
    pub(crate) fn ephemeral(&self, ui: &Ui, config: &Config, inputs: &mut Inputs) -> Result<(), Failure> {
        let ephemeral = |name: &str| config.root().variable(name).is_some_and(|v| v.ephemeral);
        inputs.extend(self.reported(ui, config)?.into_iter().filter(|(name, _)| ephemeral(name)));
        if ui.can_ask() { missing(config, inputs, |_| true) } else { Ok(()) }
    }

    fn reported(&self, ui: &Ui, config: &Config) -> Result<Inputs, Failure> {
        let (inputs, found) = self.known(config);
        if found.has_errors() {
            return Err(found.into());
        }
        ui.report(&found);
        Ok(inputs)
    }
}

impl RootValues for Given {
    fn value(&self, variable: &Variable) -> Result<Value, Diagnostics> {
        if self.broken.has_errors() {
            return Err(self.broken.clone());
        }
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ask && variable.default.is_none() && !inputs.contains_key(&*variable.name) {
            inputs.insert(variable.name.to_string(), answer(variable)?);
        }
        mesh_core::inputs::value(variable, inputs.get(&*variable.name))
    }
}

fn unknown(config: &Config, name: &str) -> String {
    let hint = suggestion(name, config.root().variables.iter().map(|v| &*v.name));
    let hint = hint.map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
    format!("the root module declares no such variable.{hint}")
}

fn automatic() -> Vec<PathBuf> {
    let mut auto: Vec<PathBuf> = std::fs::read_dir(".")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| PathBuf::from(e.file_name()))
        .filter(|p| p.to_str().is_some_and(|n| AUTO.iter().any(|a| n.ends_with(a)) && !n.starts_with('.')))
        .collect();
    auto.sort();
    MAIN.iter().map(PathBuf::from).filter(|main| main.is_file()).chain(auto).collect()
}

fn read(
    ui: &mut Ui,
    file: &Path,
    inputs: &mut Inputs,
    named: &mut Vec<(String, Option<Span>)>,
    found: &mut Diagnostics,
) {
    let shown = file.display().to_string();
    // A pipe is good here: what decrypts a file may write into one.
    let text = match std::fs::File::open(file).and_then(read_source) {
        Ok(text) => text,
        Err(e) => {
            found.push(Diagnostic::error(
                "cli::variable_file",
                "File of variables not readable",
                format!("{shown}: {e}."),
            ));
            return;
        }
    };
    let Some(values) = found.take(parse_values(&text, &shown, &mut ui.sources)) else { return };
    for (name, value, span) in values {
        named.push((name.clone(), Some(span)));
        inputs.insert(name, Input::Value(value));
    }
}

fn missing(config: &Config, inputs: &mut Inputs, needed: impl Fn(&str) -> bool) -> Result<(), Failure> {
    for variable in config.root().variables.iter().filter(|v| needed(&v.name)) {
        if variable.default.is_some() || inputs.contains_key(&*variable.name) {
            continue;
        }
        inputs.insert(variable.name.to_string(), answer(variable)?);
    }
    Ok(())
}

/// Asks for the value of a variable.
fn answer(variable: &Variable) -> Result<Input, Diagnostic> {
    let what = variable.description.as_deref().map(|d| format!("  {}\n", d.replace('\n', "\n  "))).unwrap_or_default();
    let hidden = variable.sensitive || variable.ephemeral;
    let note = if hidden { "  (what you type is not shown)\n" } else { "" };
    let question = format!("var.{}\n{what}{note}\n  Enter a value: ", variable.name);
    let text = if hidden { ask_hidden(&question) } else { ask(&question, &|| false) };
    let text = text.ok_or_else(|| {
        Diagnostic::error("cli::input", "No answer", "The input ended before all variables had a value.")
    })?;
    crate::view::style::talk("\n");
    Ok(Input::Text { text, origin: "the prompt".to_owned() })
}
