//! Options that several commands share.
//!
//! The one decision: a flag takes `=true` and `=false` like Terraform's, so each is a bool with an
//! optional value.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use mesh_core::{Mode, Options};
use mesh_model::{Address, Diagnostic};

use crate::ui::{Failure, Ui};

/// How a plan is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For pull requests
    Markdown,
}

/// Where state is.
#[derive(Args, Debug, Default)]
pub(crate) struct StateArgs {
    /// The state file, instead of the configured one
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
}

/// Values for variables. They are read in the order in which they were typed (see `cli`).
#[derive(Args, Debug)]
pub(crate) struct VarArgs {
    /// Set a variable; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// Read variables from a file; may be repeated
    #[arg(long, value_name = "FILE")]
    var_file: Vec<PathBuf>,
}

/// What plan, apply and destroy have in common.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// Plan to destroy everything
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) destroy: bool,
    /// Look at what is really there; without, state is believed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) refresh: bool,
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    refresh_only: bool,
    #[arg(long, hide = true, value_name = "ADDR")]
    target: Vec<String>,
    /// Make a new object for this instance; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) replace: Vec<String>,
    /// How many operations run at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) parallelism: usize,
    /// How long to wait for the state lock (10s, 5m)
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) lock_timeout: String,
    /// Ask for what is missing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) input: bool,
    /// Show warnings by their summary only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) compact_warnings: bool,
    /// Write one JSON object a line
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) json: bool,
}

impl PlanArgs {
    /// Sets up the surroundings as asked for.
    pub(crate) fn prepare(&self, ui: &mut Ui) {
        ui.input &= self.input;
        ui.layout.compact_warnings = self.compact_warnings;
        if self.json {
            ui.start_stream();
        }
    }

    /// The engine's options.
    ///
    /// # Errors
    /// What this version cannot do, and bad addresses, all of them.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let mut found = mesh_model::Diagnostics::new();
        if self.refresh_only {
            found.push(Diagnostic::error(
                "cli::unsupported",
                "Option not supported",
                "-refresh-only is not there yet. mesh drift shows what changed outside without changing anything.",
            ));
        }
        if !self.target.is_empty() {
            found.push(Diagnostic::error(
                "cli::unsupported",
                "Option not supported",
                "-target is not there yet: this version plans the whole configuration.",
            ));
        }
        if self.parallelism == 0 {
            found.push(Diagnostic::error("cli::option", "Bad option", "-parallelism must be at least 1."));
        }
        let mut replace: Vec<Address> = Vec::new();
        for text in &self.replace {
            match text.parse() {
                Ok(address) => replace.push(address),
                Err(e) => {
                    found.push(Diagnostic::error("cli::address", "Bad address", format!("-replace={text}: {e}.")))
                }
            }
        }
        if found.has_errors() {
            return Err(found.into());
        }
        let mode = if self.destroy { Mode::Destroy } else { Mode::Normal };
        Ok(Options { mode, refresh: self.refresh, replace, parallelism: self.parallelism })
    }

    /// How long to wait for the lock.
    ///
    /// # Errors
    /// A text that is no duration.
    pub(crate) fn lock_wait(&self) -> Result<Duration, Failure> {
        let seconds = mesh_model::schema::duration_seconds(&self.lock_timeout);
        match seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
            Some(time) => Ok(time),
            None => Err(Diagnostic::error(
                "cli::option",
                "Bad option",
                format!("-lock-timeout={} is no duration. Write it as 30s or 5m.", self.lock_timeout),
            )
            .into()),
        }
    }
}
