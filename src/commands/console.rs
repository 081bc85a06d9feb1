//! `mesh console`: evaluates expressions against configuration and state.
//!
//! The one decision: values are those of a plan that does not look outside. At a terminal each line is
//! answered; from a pipe every line is evaluated and the last result printed, as Terraform does.

use std::io::{BufRead, IsTerminal, Read as _, Write};
use std::sync::Arc;

use clap::ArgAction;
use mesh_core::{Options, Planning, Silent};
use mesh_lang::functions::Context;
use mesh_lang::limits::MAX_SOURCE;
use mesh_lang::{Scope, Subject, parse_expression};
use mesh_model::{Diagnostic, Diagnostics, Span, Value};

use super::options::{StateArgs, VarArgs};
use super::project::Project;
use super::running::runtime;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;
use crate::view::{diagnostics, values};

/// Evaluate expressions
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Look at what is really there
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    refresh: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    let project = Project::load(ui, &args.state, vars)?;
    let engine = project.engine(ui, Arc::new(Silent));
    let options = Options { refresh: args.refresh, ..Options::default() };
    let run = project.run(&engine, &options);
    runtime()?.block_on(run.plan(|planning| answer(ui, planning)))?
}

fn answer(ui: &mut Ui, planning: &Planning<'_>) -> Outcome {
    // What could not be evaluated is unknown; the reasons are worth seeing before.
    ui.report(&planning.diagnostics);
    let terminal = std::io::stdin().is_terminal();
    let (mut text, mut last, mut failed) = (String::new(), None, Diagnostics::new());
    let mut brackets = Brackets::default();
    let mut input = std::io::stdin().lock();
    loop {
        if terminal {
            let mut screen = anstream::stdout().lock();
            let _ = screen.write_all(if text.is_empty() { b"> " } else { b": " }).and_then(|()| screen.flush());
        }
        let mut line = String::new();
        let room = (MAX_SOURCE - text.len().min(MAX_SOURCE)) as u64;
        let read = (&mut input).take(room).read_line(&mut line).map_err(Failure::from)?;
        if read == 0 && text.trim().is_empty() {
            break;
        }
        text.push_str(&line);
        if read > 0 && brackets.open(&line) {
            continue;
        }
        brackets = Brackets::default();
        let whole = std::mem::take(&mut text);
        match whole.trim() {
            "" => continue,
            "exit" | "quit" if terminal => break,
            expression => match evaluate(ui, planning, expression) {
                Ok(value) if terminal => out(&format!("{}\n", values::text(&value)))?,
                Ok(value) => last = Some(value),
                Err(found) if terminal => out(&diagnostics::text(&found, &ui.sources, ui.layout))?,
                Err(found) => failed.extend(found),
            },
        }
    }
    if failed.has_errors() {
        return Err(failed.into());
    }
    if let Some(value) = last {
        out(&format!("{}\n", values::text(&value)))?;
    }
    Ok(0)
}

fn evaluate(ui: &mut Ui, planning: &Planning<'_>, text: &str) -> Result<Value, Diagnostics> {
    let expr = parse_expression(text, "<console-input>", &mut ui.sources)?;
    expr.eval(&Declared { inner: &planning.world.scope(0, 0), planning })
}

/// What is open in the lines of an expression so far.
#[derive(Default)]
struct Brackets {
    depth: i64,
    quoted: bool,
}

impl Brackets {
    /// Whether brackets are still open after a further line, so that the expression goes on in the next.
    fn open(&mut self, line: &str) -> bool {
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if self.quoted => drop(chars.next()),
                '"' => self.quoted = !self.quoted,
                '(' | '[' | '{' if !self.quoted => self.depth += 1,
                ')' | ']' | '}' if !self.quoted => self.depth -= 1,
                _ => {}
            }
        }
        self.depth > 0
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_brackets_ask_for_more() {
        let open = |lines: &[&str]| {
            let mut brackets = Brackets::default();
            lines.iter().map(|line| brackets.open(line)).last()
        };
        assert_eq!(open(&["{ a = ["]), Some(true));
        assert_eq!(open(&["[1]"]), Some(false));
        assert_eq!(open(&["\"[\\\"\""]), Some(false));
        assert_eq!(open(&["[\n", "1,\n", "2]\n"]), Some(false));
    }
}
