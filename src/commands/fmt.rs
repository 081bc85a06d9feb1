//! `mesh fmt`: source files in canonical style.
//!
//! The one decision: exit codes are Terraform's: 3 with `-check` when something would change, 2 when a
//! file cannot be parsed. A file is replaced whole, or not touched.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use mesh_lang::{Disk, Files as _, read_source};
use mesh_model::{Diagnostic, Diagnostics, Span};
use similar::TextDiff;

use crate::ui::{Outcome, Ui};
use crate::view::style::{GREEN, RED, out, paint, raw};

/// Rewrite source files in canonical style
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Change nothing; exit with 3 when a file would change
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    check: bool,
    /// Show the differences
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    diff: bool,
    /// Also in folders below
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    recursive: bool,
    /// Name the files that change
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    list: bool,
    /// Write the files
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    write: bool,
    /// Files or folders; - is standard input
    target: Vec<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let mut found = Diagnostics::new();
    // Whatever stands behind it, as in the field.
    if args.target.first().is_some_and(|t| t == Path::new("-")) {
        let text = read_source(std::io::stdin().lock())
            .map_err(|e| Diagnostic::error("cli::fmt", "Input not readable", format!("Standard input: {e}.")))?;
        let Some(new) = formatted(ui, "<stdin>", &text, &mut found) else {
            ui.report(&found);
            return Ok(2);
        };
        if args.diff {
            out(&diff("<stdin>", &text, &new))?;
        } else if !args.check {
            raw(new.as_bytes())?;
        }
        return Ok(if args.check && new != text { 3 } else { 0 });
    }
    let mut files = Vec::new();
    let here = [PathBuf::from(".")];
    for target in if args.target.is_empty() { &here[..] } else { &args.target } {
        if target.is_dir() {
            walk(target, args.recursive, &mut files);
        } else if is_source(target) || !target.exists() {
            files.push(target.clone());
        } else {
            let detail = format!(
                "{} is no source file: those are called *.mesh.hcl, *.meshtest.hcl for tests, or *.meshvars.hcl for values. JSON has no canonical style.",
                target.display()
            );
            found.push(Diagnostic::error("cli::fmt", "Not a source file", detail));
        }
    }
    files.sort();
    let mut changed = false;
    for file in &files {
        let shown = file.strip_prefix(".").unwrap_or(file).display().to_string();
        let text = match Disk.read(file) {
            Ok(text) => text,
            Err(e) => {
                found.push(Diagnostic::error("cli::fmt", "File not readable", format!("{shown}: {e}.")));
                continue;
            }
        };
        let Some(new) = formatted(ui, &shown, &text, &mut found) else { continue };
        if new == text {
            continue;
        }
        changed = true;
        if args.list {
            out(&format!("{shown}\n"))?;
        }
        if args.diff {
            out(&diff(&shown, &text, &new))?;
        }
        if args.write && !args.check {
            replace(file, &new)
                .map_err(|e| Diagnostic::error("cli::fmt", "File not writable", format!("{shown}: {e}.")))?;
        }
    }
    ui.report(&found);
    Ok(if found.has_errors() {
        2
    } else if args.check && changed {
        3
    } else {
        0
    })
}

fn formatted(ui: &mut Ui, name: &str, text: &str, found: &mut Diagnostics) -> Option<String> {
    match mesh_lang::fmt::format(text) {
        Ok(new) => Some(new),
        Err(error) => {
            // The loader says better what is wrong, and all of it.
            let problems = mesh_lang::check_syntax(text, name, &mut ui.sources);
            if problems.has_errors() {
                found.extend(problems);
                return None;
            }
            let file = ui.sources.add(name, text);
            let at = u32::try_from(error.offset).unwrap_or(u32::MAX);
            let detail = format!("{}. It was not changed.", error.message.trim_end_matches('.'));
            let problem = Diagnostic::error("lang::syntax", "File cannot be parsed", detail);
            found.push(problem.at(Span { file, start: at, end: at }));
            None
        }
    }
}

fn is_source(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| {
        !n.starts_with('.')
            && ([".mesh.hcl", ".meshvars.hcl", ".meshtest.hcl"].iter().any(|e| n.ends_with(e)) || n == "mesh.lock.hcl")
    })
}

fn walk(folder: &Path, recursive: bool, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // A link could lead in a circle.
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if is_folder && recursive && !hidden {
            walk(&path, recursive, files);
        } else if !is_folder && is_source(&path) {
            files.push(path);
        }
    }
}

/// Writes beside the file and renames, so that it is never half written; keeps its permissions.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let file = std::fs::canonicalize(file)?;
    let permissions = std::fs::metadata(&file)?.permissions();
    let beside = file.with_extension(format!("hcl.{}", std::process::id()));
    let result = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, permissions))
        .and_then(|()| std::fs::rename(&beside, &file));
    if result.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    result
}

fn diff(name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(3).header(&format!("old/{name}"), &format!("new/{name}")).to_string();
    text.split_inclusive('\n')
        .map(|line| match line.as_bytes().first() {
            Some(b'+') => paint(GREEN, line),
            Some(b'-') => paint(RED, line),
            _ => line.to_owned(),
        })
        .collect()
}
