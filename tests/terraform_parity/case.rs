//! The text form of one case: a life of a configuration, with what was answered to each command.
//!
//! The one decision: a case is one file that reads from top to bottom. `== NAME` begins a file (named as
//! Terraform names it; it stays for later commands), `== -NAME` removes one, `$ COMMAND` runs, and `=> `
//! lines below are the recorded answer. Words `NAME=VALUE` before a command give a variable through the
//! environment.

use std::path::Path;

/// One case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Case {
    /// The name of its file.
    pub(crate) name: String,
    /// What it is about: the comment lines at the top.
    head: String,
    /// The steps in their order.
    pub(crate) steps: Vec<Step>,
}

/// Files and a command.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// Names with their new texts; `None` removes the file.
    pub(crate) files: Vec<(String, Option<String>)>,
    /// The line after `$ `.
    pub(crate) command: String,
    /// The lines after `=> `.
    pub(crate) answer: Vec<String>,
}

impl Case {
    /// Reads all cases of a folder, by name.
    pub(crate) fn all(folder: &Path) -> Vec<Self> {
        let mut paths: Vec<_> = std::fs::read_dir(folder).expect("the folder of cases").flatten().collect();
        paths.sort_by_key(std::fs::DirEntry::file_name);
        let read = |e: &std::fs::DirEntry| {
            let name = e.file_name().to_string_lossy().into_owned();
            Self::parse(&name, &std::fs::read_to_string(e.path()).expect("reads"))
        };
        paths.iter().map(read).collect()
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut case = Self { name: name.to_owned(), head: String::new(), steps: Vec::new() };
        let mut next = Step::default();
        let mut commanded = true;
        for line in text.lines() {
            if let Some(file) = line.strip_prefix("== ") {
                commanded = false;
                next.files.push(match file.strip_prefix('-') {
                    Some(gone) => (gone.to_owned(), None),
                    None => (file.to_owned(), Some(String::new())),
                });
            } else if let Some(command) = line.strip_prefix("$ ") {
                commanded = true;
                case.steps.push(Step { command: command.to_owned(), ..std::mem::take(&mut next) });
            } else if let Some(answer) = line.strip_prefix("=> ") {
                case.steps
                    .last_mut()
                    .unwrap_or_else(|| panic!("{name}: an answer to nothing"))
                    .answer
                    .push(answer.into());
            } else if !commanded {
                let text = next.files.last_mut().and_then(|(_, text)| text.as_mut());
                let text = text.unwrap_or_else(|| panic!("{name}: a line outside of files: {line}"));
                text.push_str(line);
                text.push('\n');
            } else if case.steps.is_empty() {
                case.head.push_str(line);
                case.head.push('\n');
            } else {
                assert!(line.is_empty(), "{name}: a line outside of files: {line}");
            }
        }
        assert!(commanded && !case.steps.is_empty(), "{name}: ends with a command");
        case
    }

    /// The text that [`Self::parse`] reads.
    pub(crate) fn text(&self) -> String {
        let mut lines: Vec<String> = vec![self.head.trim_end().to_owned()];
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

#[test]
fn a_case_is_written_as_it_is_read() {
    let text =
        "# What.\n\n== a.tf\nlocals {}\n$ plan\n=> plan 0\n$ x=1 apply\n\n== -a.tf\n== b.tf\n\n$ validate\n=> valid\n";
    let case = Case::parse("a.txt", text);
    assert_eq!(case.steps[2].files, [("a.tf".to_owned(), None), ("b.tf".to_owned(), Some("\n".to_owned()))]);
    assert_eq!(case.text().replace("b.tf\n$", "b.tf\n\n$"), text);
}
