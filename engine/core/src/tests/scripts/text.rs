//! The text form of scripts: lives of configurations, with what is said to each command.
//!
//! The one decision: a script reads from top to bottom. `### TITLE` begins one, prose says which rule it shows,
//! `== NAME` begins a file (it stays until it is written again; `== -NAME` removes it), `$ COMMAND` does something,
//! and the `=> ` lines below are what came of it. What commands mean is in `super`.

use std::path::{Path, PathBuf};

/// The scripts of one file.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) scripts: Vec<Script>,
}

/// One script.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Script {
    pub(super) title: String,
    /// Which rule it shows.
    prose: String,
    pub(super) steps: Vec<Step>,
}

/// Files and a command.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// Names with their new texts; `None` removes the file.
    pub(super) files: Vec<(String, Option<String>)>,
    pub(super) command: String,
    pub(super) answer: Vec<String>,
}

impl File {
    /// Reads all files of scripts in a folder, by name.
    pub(super) fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).expect("the folder of scripts").flatten().map(|e| e.path());
        let mut paths: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).expect("a file of scripts");
            let scripts = parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            Self { path, scripts }
        };
        paths.into_iter().map(read).collect()
    }
}

/// The scripts of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Script>, String> {
    let mut scripts: Vec<Script> = Vec::new();
    let mut next = Step::default();
    for (n, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}: {line}", n + 1);
        if let Some(title) = line.strip_prefix("### ") {
            scripts.push(Script { title: title.to_owned(), ..Script::default() });
            if !next.files.is_empty() {
                return Err(wrong("a script ends with files"));
            }
            continue;
        }
        let script = scripts.last_mut().ok_or_else(|| wrong("before the first title"))?;
        if let Some(file) = line.strip_prefix("== ") {
            next.files.push(match file.strip_prefix('-') {
                Some(gone) => (gone.to_owned(), None),
                None => (file.to_owned(), Some(String::new())),
            });
        } else if let Some(command) = line.strip_prefix("$ ") {
            script.steps.push(Step { command: command.to_owned(), ..std::mem::take(&mut next) });
        } else if let Some(answer) = line.strip_prefix("=> ") {
            let step = script.steps.last_mut().filter(|_| next.files.is_empty());
            step.ok_or_else(|| wrong("an answer to nothing"))?.answer.push(answer.to_owned());
        } else if let Some((_, Some(text))) = next.files.last_mut() {
            text.push_str(line);
            text.push('\n');
        } else if script.steps.is_empty() && next.files.is_empty() {
            script.prose.push_str(line);
            script.prose.push('\n');
        } else if !line.is_empty() {
            return Err(wrong("outside of files"));
        }
    }
    if !next.files.is_empty() {
        return Err("the last script ends with files".to_owned());
    }
    match scripts.iter().find(|s| s.steps.is_empty()) {
        Some(script) => Err(format!("no command in: {}", script.title)),
        None => Ok(scripts),
    }
}

impl Script {
    /// The text that [`parse`] reads.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!("### {}", self.title)];
        let prose = self.prose.trim();
        lines.extend((!prose.is_empty()).then(|| prose.to_owned()));
        for step in &self.steps {
            if !step.files.is_empty() {
                lines.push(String::new());
            }
            for (name, text) in &step.files {
                match text {
                    Some(text) => lines.push(format!("== {name}\n{}", text.trim_end())),
                    None => lines.push(format!("== -{name}")),
                }
            }
            lines.push(format!("$ {}", step.command));
            lines.extend(step.answer.iter().map(|l| format!("=> {l}")));
        }
        lines.join("\n") + "\n"
    }
}

/// The text of a file.
pub(super) fn write(scripts: &[Script]) -> String {
    scripts.iter().map(Script::text).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn scripts_are_written_as_they_are_read_and_have_commands() {
    let text = "### One\nprose\n\n== a\nx {}\n$ plan\n=> + x\n$ apply\n\n== -a\n$ plan\n\n\n### Two\n$ plan\n";
    assert_eq!(write(&parse(text).expect("two scripts")), text);
    for wrong in ["### One\n", "### One\n== a\n", "$ plan\n", "### One\n=> x\n", "### One\n$ plan\nx\n"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
