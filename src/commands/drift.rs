//! `mesh drift`: what was changed outside, without changing anything.
//!
//! The one decision: exit codes for a cron job: 0 none, 2 drift, 1 an error.

use clap::ArgAction;
use mesh_core::Options;
use serde_json::json;

use super::options::{StateArgs, VarArgs};
use super::project::Project;
use super::running::{Reporter, wait};
use crate::cli::VarSource;
use crate::ui::{Outcome, Ui};
use crate::view::style::out;
use crate::view::{json, plan as text};

/// Show what was changed outside of mesh; exits with 2 when there is something
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
    /// Ask for what is missing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    input: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.input &= args.input;
    let project = Project::load(ui, &args.state, vars)?;
    let reporter = Reporter::on(ui, args.json);
    let engine = project.engine(ui, reporter.sink(ui));
    let options = Options::default();
    let run = project.run(&engine, &options);
    let seen = wait(
        &engine,
        run.plan(|planning| {
            let (plan, sight) = (&planning.plan, ui.sight(&planning.fingerprinter));
            let objects: Vec<_> = plan.drift.iter().map(|d| json::drift(d, &planning.snapshot, sight)).collect();
            (text::drift_text(plan, sight), objects, planning.diagnostics.clone())
        }),
    );
    reporter.clear();
    let (text, objects, diagnostics) = seen?;
    let count = objects.len();
    if args.json {
        out(&format!("{}\n", json!({ "format_version": "1.0", "drifted": count > 0, "resource_drift": objects })))?;
    } else if count > 0 {
        let s = if count == 1 { "" } else { "s" };
        out(&format!("{text}\nDrift: {count} object{s} changed outside of mesh.\n"))?;
    } else if !diagnostics.has_errors() {
        out("No drift. Everything that state knows is as it was left.\n")?;
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.into());
    }
    ui.report(&diagnostics);
    Ok(if count > 0 { 2 } else { 0 })
}
