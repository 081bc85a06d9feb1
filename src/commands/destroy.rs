//! `mesh destroy`: removes what the configuration manages, except what is protected.

use clap::ArgAction;

use super::apply::{apply, consent};
use super::options::PlanArgs;
use super::project::Project;
use crate::cli::VarSource;
use crate::ui::{Outcome, Ui};

/// Destroy everything that this configuration manages
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Do not ask
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    auto_approve: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.destroys = true;
    args.plan.prepare(ui);
    let options = args.plan.options(true)?;
    let consent = consent(ui, args.auto_approve)?;
    let project = Project::load(ui, &args.plan.state, vars)?;
    apply(ui, &args.plan, &project, &options, consent, None)
}
