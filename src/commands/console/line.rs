//! Lines from a terminal: editing, completion, and a history that outlives the program.
//!
//! The one decision: everything typed is in the history of this run, so that a mistake can be
//! corrected; the file gets only what was evaluated without an error and holds no secret. It belongs to
//! its user alone and keeps the last [`KEPT`] entries.

use std::path::PathBuf;

use mesh_core::Planning;
use mesh_model::Value;
use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History as _, MemHistory, SearchDirection};
use rustyline::{CompletionType, Config, Editor};

use super::complete::Known;
use crate::ui::Ui;

/// Entries in the file.
const KEPT: usize = 1000;

pub(super) struct Lines<'p> {
    editor: Editor<Known<'p>, MemHistory>,
    kept: FileHistory,
    file: PathBuf,
    secrets: Vec<String>,
}

impl<'p> Lines<'p> {
    /// # Errors
    /// A terminal that cannot be used.
    pub(super) fn new(ui: &Ui, known: Known<'p>) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(KEPT)?
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .build();
        let state = ui.var("XDG_STATE_HOME").map_or_else(|| ui.home().join(".local/state"), PathBuf::from);
        let file = state.join("mesh/console_history");
        let mut kept = FileHistory::with_config(&config);
        // The first time there is none.
        let _ = kept.load(&file);
        let mut before = MemHistory::with_config(&config);
        for i in 0..kept.len() {
            if let Ok(Some(entry)) = kept.get(i, SearchDirection::Forward) {
                before.add(&entry.entry)?;
            }
        }
        let secrets = secrets(known.planning);
        let mut editor = Editor::with_history(config, before)?;
        editor.set_helper(Some(known));
        Ok(Self { editor, kept, file, secrets })
    }

    /// What is typed next, over several lines where brackets are open; `None` at the end.
    ///
    /// # Errors
    /// What the terminal says.
    pub(super) fn next(&mut self) -> Result<Option<String>, ReadlineError> {
        match self.editor.readline("> ") {
            Ok(text) => {
                if !text.trim().is_empty() {
                    self.editor.add_history_entry(text.as_str())?;
                }
                Ok(Some(text))
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers what was evaluated, unless a secret is in it.
    pub(super) fn keep(&mut self, text: &str) {
        if is_harmless(text, &self.secrets) {
            let _ = self.kept.add(text);
        }
    }
}

/// A history that cannot be written is no reason to fail at the end.
impl Drop for Lines<'_> {
    fn drop(&mut self) {
        use std::os::unix::fs::DirBuilderExt as _;
        if let Some(folder) = self.file.parent() {
            let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        let _ = self.kept.append(&self.file);
    }
}

fn is_harmless(text: &str, secrets: &[String]) -> bool {
    // What is declared secret where it stands has its value there too.
    !text.contains("sensitive(") && !secrets.iter().any(|s| text.contains(s.as_str()))
}

/// The texts and numbers in secret variables of the root module.
fn secrets(planning: &Planning<'_>) -> Vec<String> {
    fn collect(value: &Value, out: &mut Vec<String>) {
        match (value.as_str(), value.as_number()) {
            (Some(text), _) if !text.is_empty() => out.push(text.to_owned()),
            (_, Some(number)) => out.push(number.to_string()),
            _ => value.children().for_each(|v| collect(v, out)),
        }
    }
    let mut out = Vec::new();
    for variable in &planning.world.config.root().variables {
        let subject = mesh_lang::Subject::Variable(variable.name.clone());
        let node = planning.world.graph.find(0, &subject);
        if let Some(value) = node.and_then(|n| planning.world.get(n, 0))
            && (variable.sensitive || variable.ephemeral)
        {
            collect(&value.reveal_deep().0, &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_kept() {
        let secrets = ["canary".to_owned(), "4711".to_owned()];
        for text in ["upper(\"canary\")", "4711 + 1", "sensitive(\"x\")"] {
            assert!(!is_harmless(text, &secrets), "{text}");
        }
        assert!(is_harmless("upper(var.pin)", &secrets));
    }
}
