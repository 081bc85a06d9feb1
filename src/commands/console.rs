//! `mesh console`: evaluates expressions against configuration and state.
//!
//! The one decision: values are those of a plan that does not look outside. At a terminal each line is
//! answered; from a pipe every line is evaluated and the last result printed, as Terraform does.

mod complete;
mod line;

use std::io::{BufRead, IsTerminal, Read as _};
use std::sync::Arc;

use clap::ArgAction;
use mesh_core::{Engine, Options, Planning, Silent};
use mesh_lang::functions::{Context, types};
use mesh_lang::limits::MAX_SOURCE;
use mesh_lang::{Scope, Subject, is_unfinished, parse_console};
use mesh_model::{Diagnostic, Diagnostics, Span, Value};

use super::options::{StateArgs, VarArgs};
use super::project::Project;
use super::running::runtime;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui, timestamp};
use crate::view::sight::clear;
use crate::view::style::out;
use crate::view::{diagnostics, values};

const HELP: &str = "\
Type an expression and Enter to see its value; what is open (a bracket, a heredoc) goes on in the next line.
Tab completes, Up shows what was typed before. type(x) shows the type of a value.
mesh functions lists the functions, mesh explain TYPE what a resource has.
exit, Ctrl-C or Ctrl-D ends.";

/// Evaluate expressions
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Look at what is really there
    #[arg(long, visible_alias = "plan", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    refresh: bool,
    /// Show sensitive values in clear; ephemeral ones and those that state keeps by fingerprint are not shown
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    show_sensitive: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.secrets = args.show_sensitive;
    let project = Project::load(ui, &args.state, vars)?;
    let engine = project.engine(ui, Arc::new(Silent));
    let options = Options { refresh: args.refresh, ..Options::default() };
    let run = project.run(&engine, &options);
    runtime()?.block_on(run.plan(|planning| {
        // What could not be evaluated is unknown; the reasons are worth seeing before.
        ui.report(&planning.diagnostics);
        planning.world.start_applying(&timestamp());
        if std::io::stdin().is_terminal() { converse(ui, &engine, planning) } else { batch(ui, planning) }
    }))?
}

/// Every line of a terminal is answered.
fn converse(ui: &mut Ui, engine: &Engine, planning: &Planning<'_>) -> Outcome {
    let broken = |e: rustyline::error::ReadlineError| {
        let detail = format!("The system says: {e}. From a pipe the console needs no terminal.");
        Diagnostic::error("cli::terminal", "The terminal cannot be used", detail)
    };
    let mut lines = line::Lines::new(ui, complete::Known { planning, engine }).map_err(broken)?;
    while let Some(text) = lines.next().map_err(broken)? {
        match text.trim() {
            "" => {}
            "exit" | "quit" => break,
            "help" => out(&format!("{HELP}\n"))?,
            expression => match evaluate(ui, planning, &text) {
                Ok(answer) => {
                    lines.keep(expression);
                    out(&format!("{answer}\n"))?;
                }
                Err(found) => out(&diagnostics::text(&found, &ui.sources, ui.layout))?,
            },
        }
    }
    Ok(0)
}

/// Bytes and lines of an unfinished expression: each line is looked at with all before it.
const MAX_CONTINUED: usize = 128 << 10;
const MAX_LINES: usize = 4096;

/// Every line of a pipe is evaluated, and the last answer printed.
fn batch(ui: &mut Ui, planning: &Planning<'_>) -> Outcome {
    let (mut text, mut last, mut failed) = (String::new(), String::new(), Diagnostics::new());
    let mut lines = 0;
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = String::new();
        let room = (MAX_SOURCE - text.len().min(MAX_SOURCE)) as u64;
        let read = (&mut input).take(room).read_line(&mut line).map_err(Failure::from)?;
        if read == 0 && text.trim().is_empty() {
            break;
        }
        text.push_str(&line);
        if read > 0 && is_unfinished(&text) {
            lines += 1;
            if text.len() > MAX_CONTINUED || lines > MAX_LINES {
                let detail = format!(
                    "It has more than {MAX_LINES} lines or {} KiB and is not finished. Put it into a local value.",
                    MAX_CONTINUED >> 10
                );
                return Err(
                    Diagnostic::error("cli::console", "An expression goes on for too many lines", detail).into()
                );
            }
            continue;
        }
        let whole = std::mem::take(&mut text);
        lines = 0;
        match whole.trim() {
            "" => {}
            // Nothing is printed then, as in the field.
            "exit" if !failed.has_errors() => return Ok(0),
            "exit" => break,
            "help" => last = HELP.to_owned(),
            _ => match evaluate(ui, planning, &whole) {
                Ok(answer) => last = answer,
                Err(found) => failed.extend(found),
            },
        }
    }
    if failed.has_errors() {
        return Err(failed.into());
    }
    out(&format!("{last}\n"))?;
    Ok(0)
}

fn evaluate(ui: &mut Ui, planning: &Planning<'_>, text: &str) -> Result<String, Diagnostics> {
    let (expr, calls_of_type) = parse_console(text, "<console-input>", &mut ui.sources)?;
    let value = expr.eval(&Declared { inner: &planning.world.scope(0, 0), planning })?;
    Ok(match calls_of_type {
        0 if ui.secrets => values::text(&clear(&value)),
        0 => values::text(&value),
        1 => types::describe(&value),
        _ => "type".to_owned(),
    })
}

/// The root module's scope, in which a name that nothing declares is an error.
struct Declared<'s, 'c> {
    inner: &'s dyn Scope,
    planning: &'s Planning<'c>,
}

impl Scope for Declared<'_, '_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let named =
            matches!(subject, Subject::Variable(_) | Subject::Local(_) | Subject::Resource { .. } | Subject::Module(_));
        if named && self.planning.world.graph.find(0, subject).is_none() {
            let detail = "The root module declares nothing of this name.";
            return Err(Diagnostic::error("lang::reference", "Reference to something undeclared", detail).at(span));
        }
        self.inner.resolve(subject, span)
    }

    fn functions(&self) -> &Context {
        self.inner.functions()
    }
}
