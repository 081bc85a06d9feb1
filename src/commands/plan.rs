//! `mesh plan`: shows what apply would do.

use std::io;
use std::path::PathBuf;

use clap::ArgAction;
use mesh_core::planfile;
use mesh_core::{Planning, Run};
use mesh_model::change::Counts;
use mesh_model::{Diagnostic, Diagnostics};

use super::generate;
use super::options::{Format, PlanArgs};
use super::project::Project;
use super::running::{Reporter, wait};
use super::{plans, saved};
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::sight::Sight;
use crate::view::style::{out, plain};
use crate::view::{configuration, json, markdown, plan as text};

/// Show what apply would do, without changing anything
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Save the plan to a file, for `mesh apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write blocks for imports that have none to a new file of this folder, from what is there
    #[arg(long, value_name = "FILE")]
    generate_config_out: Option<PathBuf>,
    /// Exit with 2 when there is something to do
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    detailed_exitcode: bool,
    /// How the plan is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The most bytes that -format=markdown writes
    #[arg(long, value_name = "N", default_value_t = markdown::BUDGET)]
    markdown_bytes: usize,
}

/// What is kept of a plan when the engine is done with it.
struct Made {
    text: String,
    json: Option<serde_json::Value>,
    file: Option<Vec<u8>>,
    empty: bool,
    counts: Counts,
    diagnostics: Diagnostics,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    args.plan.prepare(ui);
    let options = args.plan.options(false)?;
    let project = match &args.generate_config_out {
        Some(file) => generate::project(ui, file, &args.plan.state, vars)?,
        None => Project::load(ui, &args.plan.state, vars)?,
    };
    let reporter = Reporter::on(ui, args.format != Format::Text);
    let engine = project.engine(ui, reporter.sink(ui));
    let run = project.run(&engine, &options);
    let made = wait(&engine, run.plan(|planning| make(ui, args, &project, &run, planning)));
    reporter.clear();
    let made = made??;
    if made.diagnostics.has_errors() {
        return failed(ui, args, &made);
    }
    ui.report(&made.diagnostics);
    if let (Some(bytes), Some(file)) = (&made.file, &args.out) {
        saved::write(file, bytes).map_err(|e| {
            Diagnostic::error("cli::plan_file", "The plan could not be saved", format!("{}: {e}.", file.display()))
        })?;
    }
    made.show(args)?;
    if args.format == Format::Text && !args.plan.json {
        out(&next(ui, args, made.empty))?;
    }
    Ok(if args.detailed_exitcode && !made.empty { 2 } else { 0 })
}

impl Made {
    /// Writes it where there is no stream.
    fn show(&self, args: &Args) -> io::Result<()> {
        match (args.format, &self.json) {
            _ if args.plan.json => Ok(()),
            (Format::Json, Some(json)) => out(&format!("{json}\n")),
            _ => out(&self.text),
        }
    }
}

/// Shows what could be planned, then why it is not all; such a plan is not saved.
fn failed(ui: &Ui, args: &Args, made: &Made) -> Outcome {
    made.show(args)?;
    ui.report(&made.diagnostics);
    if let Some(stream) = &ui.stream {
        stream.failed(made.counts, "plan", made.diagnostics.iter().filter(|d| d.is_error()).count());
    }
    Ok(1)
}

fn make(ui: &Ui, args: &Args, project: &Project, run: &Run<'_>, planning: &Planning<'_>) -> Result<Made, Failure> {
    let (plan, fingerprinter, sight) = (&planning.plan, &planning.fingerprinter, ui.sight(&planning.fingerprinter));
    let sound = !planning.diagnostics.has_errors();
    let digest = sound.then(|| planning.digest());
    let digest = digest.as_deref();
    let timestamp = &project.context.plan_timestamp;
    let mut made = Made {
        text: String::new(),
        json: None,
        file: None,
        empty: plan.is_empty() && plan.is_complete(),
        counts: plan.counts(),
        diagnostics: planning.diagnostics.clone(),
    };
    let nothing = plan.changes.is_empty() && plan.outputs.is_empty() && plan.deferred.is_empty();
    if !sound && nothing {
        // Errors are all there is to say.
    } else if let Some(stream) = &ui.stream {
        stream.plan(plan, digest);
    } else if args.format == Format::Markdown {
        made.text = markdown::render(plan, sight, digest, args.markdown_bytes);
    } else if args.format == Format::Text {
        made.text = text::text(plan, sight, digest);
    }
    let json = |sight: Sight<'_>| {
        let version = |mode, ty: &str| run.engine.schema(mode, ty).map_or(0, |s| s.version);
        let snapshot = &planning.snapshot;
        let mut json = json::plan(&json::Planned { plan, snapshot, version: &version, digest, timestamp }, sight);
        if let Some(fields) = json.as_object_mut() {
            fields.extend(configuration::describe(run.engine, planning, sight));
        }
        json
    };
    if args.format == Format::Json {
        made.json = Some(json(sight));
    }
    if let Some(digest) = digest.filter(|_| args.out.is_some() || !made.empty) {
        // What is kept is kept without secrets, whatever is shown.
        let shown = text::text(plan, sight.redacted(), Some(digest));
        let json = if args.out.is_some() { json(sight.redacted()).to_string() } else { "null".to_owned() };
        let content = saved::content(ui, project, run.options, planning, json, shown);
        let header = planfile::Header::new(digest.to_owned(), &planning.snapshot.lineage, planning.snapshot.serial);
        let bytes = planfile::seal(fingerprinter, &header, &content)?;
        plans::keep(&header.digest, &bytes);
        made.file = Some(bytes);
    }
    Ok(made)
}

/// What to do next; nothing where a script reads.
fn next(ui: &Ui, args: &Args, empty: bool) -> String {
    if empty || ui.var("MESH_IN_AUTOMATION").is_some() {
        return String::new();
    }
    let rule = "─".repeat(77);
    match &args.out {
        Some(file) => {
            let file = plain(&file.display().to_string());
            format!(
                "\n{rule}\n\nSaved the plan to: {file}\n\nTo perform exactly these actions, run:\n    mesh apply {file:?}\n"
            )
        }
        None => format!(
            "\n{rule}\n\nNote: You didn't use the -out option to save this plan, so mesh plans again\nwhen you run \"mesh apply\" and asks about that plan. With -approve=DIGEST it\ndoes not ask, and does what this plan says or less.\n"
        ),
    }
}
