//! `mesh refresh`: takes what is really there into state, without asking.
//!
//! The one decision: it is `mesh apply -refresh-only -auto-approve`, the habit that it stands for; who wants
//! to see the difference first says that.

use super::apply::{Consent, apply};
use super::options::PlanArgs;
use super::project::Project;
use crate::cli::VarSource;
use crate::ui::{Outcome, Ui};

/// Take what is really there into state, as apply -refresh-only -auto-approve
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
}

pub(crate) fn run(ui: &mut Ui, mut args: Args, vars: &[VarSource]) -> Outcome {
    args.plan.prepare(ui);
    args.plan.refresh_only = true;
    let options = args.plan.options(false)?;
    let project = Project::load(ui, &args.plan.state, vars)?;
    apply(ui, &args.plan, &project, &options, Consent::Given, None)
}
