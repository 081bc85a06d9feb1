//! `mesh apply`: makes reality as configured, stage after stage.
//!
//! The one decision: asking, a saved plan and `-auto-approve` differ in one function (the approver);
//! everything else is one path. The summary is written whatever happens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ArgAction;
use mesh_core::conform::Reviewed;
use mesh_core::{Approval, Approver, Finished, Options, Planning, planfile};
use mesh_model::{Address, Diagnostic, Diagnostics, Fingerprinter, Value};
use serde_json::json;
use tokio::sync::watch;

use super::backend::weaker;
use super::options::PlanArgs;
use super::project::{Project, lock_info};
use super::running::{Reporter, interrupts, runtime};
use super::{plans, saved};
use crate::cli::VarSource;
use crate::ui::{Outcome, Ui, ask};
use crate::view::sight::clear;
use crate::view::style::{BOLD, out, paint, plain, talk};
use crate::view::{plan as text, summary, values};

/// The exit code of an apply that has to go on later.
const WAITING: u8 = 3;

/// Make reality as configured, after showing the plan
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    auto_approve: bool,
    /// Do not ask about a plan of this digest, or one that does less
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["file", "auto_approve"])]
    approve: Option<String>,
    /// A plan that was saved with `mesh plan -out=FILE`
    #[arg(value_name = "PLAN")]
    file: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    args.plan.prepare(ui);
    let mut options = args.plan.options(false)?;
    if let Some(digest) = &args.approve {
        plans::check(digest)?;
        let reviewed = plans::find(ui, digest, &args.plan.state);
        let project = Project::load(ui, &args.plan.state, vars)?;
        return apply(ui, &args.plan, &project, &options, Consent::Digest(digest), reviewed.as_ref());
    }
    let Some(file) = &args.file else {
        let consent = consent(ui, args.auto_approve)?;
        let project = Project::load(ui, &args.plan.state, vars)?;
        return apply(ui, &args.plan, &project, &options, consent, None);
    };
    if args.plan.shapes_the_plan() {
        let detail = "A saved plan is applied as it is: give -destroy, -replace, -target and their like to mesh plan.";
        return Err(Diagnostic::error("cli::option", "Option has no meaning here", detail).into());
    }
    let opened = saved::open(ui, file, &args.plan.state, vars)?;
    saved::same_version(&opened.content)?;
    options = opened.content.options(options.parallelism)?;
    let reviewed = planfile::reviewed(&opened.header, &opened.content)?;
    let project = saved::project(ui, &opened, vars)?;
    let consent = if args.auto_approve { Consent::Given } else { Consent::Reviewed };
    apply(ui, &args.plan, &project, &options, consent, Some(&reviewed))
}

/// Who says yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Consent<'a> {
    /// `-auto-approve`.
    Given,
    /// A saved plan: later stages only inside its bounds.
    Reviewed,
    /// A digest: that plan or a narrower one, later stages only inside its bounds.
    Digest(&'a str),
    /// Somebody at the terminal.
    Asked,
}

/// How consent is found.
///
/// # Errors
/// Nobody can be asked.
pub(crate) fn consent(ui: &Ui, auto_approve: bool) -> Result<Consent<'static>, Diagnostic> {
    if auto_approve {
        return Ok(Consent::Given);
    }
    if ui.can_ask() {
        return Ok(Consent::Asked);
    }
    Err(Diagnostic::error(
        "cli::no_terminal",
        "Nobody can be asked for approval",
        "There is no terminal to ask at (or -input=false or -json was given). Save a plan with mesh plan -out=FILE and apply \
         that file, or give -auto-approve.",
    ))
}

/// Applies a project.
pub(crate) fn apply(
    ui: &Ui,
    args: &PlanArgs,
    project: &Project,
    options: &Options,
    consent: Consent<'_>,
    reviewed: Option<&Reviewed>,
) -> Outcome {
    let wait = args.lock_wait()?;
    if let Some(note) = weaker(&*project.backend).filter(|_| ui.stream.is_none()) {
        talk(&note);
    }
    let destroy = options.mode == mesh_core::Mode::Destroy;
    let reporter = Reporter::new(ui);
    let engine = project.engine(ui, reporter.sink(ui));
    let run = project.run(&engine, options);
    let runtime = runtime()?;
    let (cancel, interrupted) = interrupts(runtime, true)?;
    let mut approver = Person {
        ui,
        reporter: reporter.clone(),
        consent,
        destroy,
        compared: reviewed.is_some(),
        interrupted,
        beyond: false,
        other: None,
        lost: None,
        protected: Vec::new(),
        known: None,
    };
    let lock = lock_info(ui, if destroy { "destroy" } else { "apply" });
    let finished = runtime.block_on(run.apply(&mut approver, reviewed, lock, wait, cancel));
    reporter.clear();
    let (beyond, lost, protected) = (approver.beyond, approver.lost.take(), std::mem::take(&mut approver.protected));
    let mut finished = finished?;
    if let Some((fingerprinter, known)) = &approver.known {
        let sight = ui.sight(fingerprinter);
        for (name, output) in &mut finished.outputs {
            if let Some(value) = known.get(name) {
                output.value = clear(&sight.filled(&output.value, value));
            }
        }
    }
    // From here on the report says what was done.
    ui.take_done();
    if let Some(other) = approver.other {
        return Err(other.into());
    }
    if let Some(error) = lost {
        return Err(error.into());
    }
    report(ui, &finished, destroy, beyond, &protected)
}

/// Says what came of it.
fn report(ui: &Ui, finished: &Finished, destroy: bool, beyond: bool, protected: &[Address]) -> Outcome {
    let mut found: Diagnostics = finished.warnings.clone();
    for (address, diagnostic) in &finished.report.failed {
        found.push(if diagnostic.address.is_some() { diagnostic.clone() } else { diagnostic.clone().on(address) });
    }
    found.extend(finished.report.diagnostics.clone());
    let mut seen: Vec<Diagnostic> = Vec::new();
    found.0.retain(|d| {
        let new = !seen.contains(d);
        if new {
            seen.push(d.clone());
        }
        new
    });
    if beyond {
        found.push(Diagnostic::error(
            "apply::beyond",
            "A later stage goes beyond the approved plan",
            "It was not applied; what came before it was. Its plan and digest are shown above: review it and approve it with \
             mesh plan -out=FILE and mesh apply FILE.",
        ));
    }
    ui.report(&found);
    let succeeded = finished.report.succeeded() && !found.has_errors();
    let code = match (finished.declined || !succeeded, finished.waiting.is_empty() && finished.deferred.is_empty()) {
        (true, _) => 1,
        (false, false) => WAITING,
        (false, true) => 0,
    };
    let line = summary::finished(finished, destroy);
    if let Some(stream) = &ui.stream {
        let rest = json!({
            "complete": code == 0,
            "protected": protected.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "failed": finished.report.failed.len(),
            "skipped": finished.report.skipped.len(),
            "gates": finished.waiting.iter().map(crate::view::json::waiting).collect::<Vec<_>>(),
            "deferred": finished.deferred.iter().map(|d| &*d.pattern).collect::<Vec<_>>(),
        });
        stream.summary(finished.counts, if destroy { "destroy" } else { "apply" }, &plain(&line), rest);
        if !destroy {
            stream.outputs(&finished.outputs, ui.secrets);
        }
        return Ok(code);
    }
    let mut end = String::new();
    if !finished.nothing {
        text::waiting(&mut end, &finished.waiting);
    }
    if finished.declined && !beyond {
        let word = if destroy { "Destroy" } else { "Apply" };
        push!(end, "\n{word} cancelled.\n");
    }
    if !(finished.declined && finished.counts == mesh_model::change::Counts::default()) {
        push!(end, "\n{line}\n");
    }
    if !protected.is_empty() && !finished.declined {
        end.push_str("\nLeft in place, because they are protected or needed by what is:\n");
        for address in protected {
            push!(end, "  {address}\n");
        }
    }
    if code == WAITING {
        end.push_str(if finished.waiting.is_empty() {
            "\nWhat is deferred is not decided yet, see above. Once what it waits for is there, run the same command again.\n"
        } else {
            "\nDo what the gates ask for, then run the same command again: it goes on from here.\n"
        });
    }
    if !finished.outputs.is_empty() && !finished.declined {
        push!(end, "\n{}\n\n{}", paint(BOLD, "Outputs:"), outputs(finished, ui.secrets));
    }
    out(&end)?;
    Ok(code)
}

fn outputs(finished: &Finished, secrets: bool) -> String {
    let rows = finished.outputs.iter().map(|(name, output)| {
        let text = if output.sensitive && !secrets { "<sensitive>".to_owned() } else { values::text(&output.value) };
        format!("{name} = {text}\n")
    });
    rows.collect()
}

struct Person<'u> {
    ui: &'u Ui,
    reporter: Reporter,
    consent: Consent<'u>,
    destroy: bool,
    /// The engine has the plan that was approved, and compares.
    compared: bool,
    /// The plan is not the approved one.
    other: Option<Diagnostic>,
    interrupted: watch::Receiver<u8>,
    /// A later stage was refused because it goes beyond what was approved.
    beyond: bool,
    /// The plan could not be shown.
    lost: Option<std::io::Error>,
    /// What a destroy leaves.
    protected: Vec<Address>,
    /// What became true of root outputs, where it is to be shown; state has fingerprints of secrets only.
    known: Option<(Fingerprinter, BTreeMap<Arc<str>, Value>)>,
}

impl Approver for Person<'_> {
    fn applied(&mut self, planning: &Planning<'_>) {
        if self.ui.secrets {
            let nodes = planning.world.graph.outputs(0).iter();
            let values = nodes.filter_map(|(name, node)| Some((name.clone(), planning.world.get(*node, 0)?)));
            self.known = Some((planning.fingerprinter.clone(), values.collect()));
        }
    }

    fn approve(&mut self, stage: usize, planning: &Planning<'_>, within: bool) -> Approval {
        self.reporter.clear();
        let plan = &planning.plan;
        self.protected.clone_from(&plan.protected);
        let digest = planning.digest();
        let refused = matches!(self.consent, Consent::Reviewed | Consent::Digest(_)) && !within;
        if let Some(stream) = &self.ui.stream {
            stream.plan(plan, Some(&digest));
        } else if self.consent != Consent::Reviewed || stage > 1 || plan.is_empty() {
            let mut shown = text::text(plan, self.ui.sight(&planning.fingerprinter), Some(&digest));
            if stage > 1 {
                shown.insert_str(
                    0,
                    &format!("\n{}\n", paint(BOLD, format!("Stage {stage}: what could not be decided before"))),
                );
            }
            if let Err(error) = out(&shown) {
                self.lost = Some(error);
                return Approval::No;
            }
        }
        if refused {
            self.beyond = true;
            return Approval::No;
        }
        if let Consent::Digest(approved) = self.consent
            && stage == 1
            && !self.compared
            && digest != approved
            && !plan.is_empty()
        {
            let detail = format!(
                "The digest of the plan is {digest}, not {approved}, and the approved plan was not made in this folder, so whether this \
                 one does less cannot be told. Nothing was changed. Review the plan above and approve its digest."
            );
            self.other = Some(Diagnostic::error("apply::digest", "Not the approved plan", detail));
            return Approval::No;
        }
        if *self.interrupted.borrow() > 0 {
            return Approval::No;
        }
        if self.consent != Consent::Asked || plan.is_empty() {
            return Approval::Yes;
        }
        let (interrupted, question) = (self.interrupted.clone(), question(self.destroy, stage));
        match ask(&question, &|| *interrupted.borrow() > 0) {
            Some(answer) if answer == "yes" => {
                let _ = out("\n");
                Approval::Yes
            }
            _ => Approval::No,
        }
    }
}

fn question(destroy: bool, stage: usize) -> String {
    let (title, what) = if destroy {
        (
            "Do you really want to destroy all resources?",
            "mesh will destroy all your managed infrastructure, as shown above.\n  There is no undo. Only 'yes' will be accepted to confirm.",
        )
    } else if stage > 1 {
        (
            "Do you want to go on with this stage?",
            "mesh will perform the actions described above.\n  Only 'yes' will be accepted to approve.",
        )
    } else {
        (
            "Do you want to perform these actions?",
            "mesh will perform the actions described above.\n  Only 'yes' will be accepted to approve.",
        )
    };
    format!("\n{}\n  {what}\n\n  {} ", paint(BOLD, title), paint(BOLD, "Enter a value:"))
}
