//! Where the values of root variables come from.
//!
//! The one decision: Terraform's order, the later wins: environment, `mesh.meshvars.hcl`,
//! `mesh.meshvars.json`, `*.auto.meshvars.hcl` and `*.auto.meshvars.json` by name, then `-var` and `-var-file` as
//! typed. What is still missing is asked for where somebody can answer.

use std::path::{Path, PathBuf};

use mesh_core::{Input, Inputs};
use mesh_lang::{Config, parse_values, read_source, suggestion};
use mesh_model::{Diagnostic, Diagnostics};

use crate::cli::VarSource;
use crate::ui::{Failure, Ui, ask, ask_hidden};

const MAIN: [&str; 2] = ["mesh.meshvars.hcl", "mesh.meshvars.json"];
const AUTO: [&str; 2] = [".auto.meshvars.hcl", ".auto.meshvars.json"];

/// The values of all root variables that were given.
///
/// # Errors
/// Files that cannot be read, names that no variable has; all of them.
pub(crate) fn gather(ui: &mut Ui, config: &Config, given: &[VarSource]) -> Result<Inputs, Failure> {
    let mut inputs = given_values(ui, config, given)?;
    if ui.can_ask() {
        missing(config, &mut inputs)?;
    }
    Ok(inputs)
}

/// The values of the ephemeral variables only, for a plan that has all the others.
///
/// # Errors
/// As [`gather`].
pub(crate) fn ephemeral(ui: &mut Ui, config: &Config, given: &[VarSource], inputs: &mut Inputs) -> Result<(), Failure> {
    let ephemeral = |name: &str| config.root().variable(name).is_some_and(|v| v.ephemeral);
    inputs.extend(given_values(ui, config, given)?.into_iter().filter(|(name, _)| ephemeral(name)));
    if ui.can_ask() { missing(config, inputs) } else { Ok(()) }
}

fn given_values(ui: &mut Ui, config: &Config, given: &[VarSource]) -> Result<Inputs, Failure> {
    let mut found = Diagnostics::new();
    let mut inputs = Inputs::new();
    for variable in &config.root().variables {
        let name = format!("MESH_VAR_{}", variable.name);
        if let Some(text) = ui.env.get(&name) {
            inputs.insert(variable.name.to_string(), Input::Text { text: text.clone(), origin: name });
        }
    }
    for file in automatic() {
        read(ui, config, &file, &mut inputs, &mut found);
    }
    for source in given {
        match source {
            VarSource::File(file) => read(ui, config, file, &mut inputs, &mut found),
            VarSource::Var(text) => match text.split_once('=') {
                Some((name, value)) => {
                    let name = name.trim();
                    if config.root().variable(name).is_none() {
                        found.push(Diagnostic::error(
                            "cli::variable",
                            "No such variable",
                            format!("-var gives a value for {name:?}, but {}", unknown(config, name)),
                        ));
                    }
                    inputs.insert(name.to_owned(), Input::Text { text: value.to_owned(), origin: "-var".to_owned() });
                }
                None => found.push(Diagnostic::error(
                    "cli::variable",
                    "Bad option",
                    "-var needs a name and a value: -var 'name=value'.",
                )),
            },
        }
    }
    if found.has_errors() {
        return Err(found.into());
    }
    ui.report(&found);
    Ok(inputs)
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

fn read(ui: &mut Ui, config: &Config, file: &Path, inputs: &mut Inputs, found: &mut Diagnostics) {
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
        if config.root().variable(&name).is_none() {
            let detail = format!("{name:?} has a value here, but {}", unknown(config, &name));
            found.push(Diagnostic::warning("cli::variable", "Value for no variable", detail).at(span));
            continue;
        }
        inputs.insert(name, Input::Value(value));
    }
}

fn missing(config: &Config, inputs: &mut Inputs) -> Result<(), Failure> {
    for variable in &config.root().variables {
        if variable.default.is_some() || inputs.contains_key(&*variable.name) {
            continue;
        }
        let what =
            variable.description.as_deref().map(|d| format!("  {}\n", d.replace('\n', "\n  "))).unwrap_or_default();
        let hidden = variable.sensitive || variable.ephemeral;
        let note = if hidden { "  (what you type is not shown)\n" } else { "" };
        let question = format!("var.{}\n{what}{note}\n  Enter a value: ", variable.name);
        let text = if hidden { ask_hidden(&question) } else { ask(&question, &|| false) };
        let Some(text) = text else {
            return Err(Diagnostic::error(
                "cli::input",
                "No answer",
                "The input ended before all variables had a value.",
            )
            .into());
        };
        crate::view::style::talk("\n");
        inputs.insert(variable.name.to_string(), Input::Text { text, origin: "the prompt".to_owned() });
    }
    Ok(())
}
