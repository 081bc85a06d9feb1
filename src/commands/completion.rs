//! `mesh completion`: what makes a shell complete commands and options.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::ui::Outcome;
use crate::view::style::raw;

/// Write a completion script for a shell
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mesh", &mut script);
    raw(&script)?;
    Ok(0)
}
