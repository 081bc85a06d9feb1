//! Options that several commands share.
//!
//! The one decision: a flag takes `=true` and `=false` like Terraform's, so each is a bool with an
//! optional value.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use mesh_core::{Mode, Options};
use mesh_model::address::AddressError;
use mesh_model::{Address, Diagnostic, Diagnostics, Selector};

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
    /// Only take what is really there into state
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) refresh_only: bool,
    /// Plan only this and what it needs: an instance, a block or a module; may be repeated
    #[arg(long, value_name = "ADDR")]
    target: Vec<String>,
    /// Plan neither this nor what needs it; may be repeated
    #[arg(long, value_name = "ADDR")]
    exclude: Vec<String>,
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
    /// Show sensitive values in clear where they are known: what state keeps by fingerprint and what is
    /// ephemeral is not shown
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) show_sensitive: bool,
    /// Write one JSON object a line
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) json: bool,
}

impl PlanArgs {
    /// Sets up the surroundings as asked for.
    pub(crate) fn prepare(&self, ui: &mut Ui) {
        ui.input &= self.input;
        ui.secrets = self.show_sensitive;
        ui.destroys |= self.destroy;
        ui.layout.compact_warnings = self.compact_warnings;
        if self.json {
            ui.start_stream();
        }
    }

    /// Whether an option is given that says what a plan is made of.
    pub(crate) fn shapes_the_plan(&self) -> bool {
        self.destroy
            || self.refresh_only
            || !self.refresh
            || [&self.replace, &self.target, &self.exclude].iter().any(|l| !l.is_empty())
    }

    /// The engine's options; `destroy`: in any case.
    ///
    /// # Errors
    /// Options that do not go together, and bad addresses, all of them.
    pub(crate) fn options(&self, destroy: bool) -> Result<Options, Failure> {
        let mut found = Diagnostics::new();
        let mut wrong = |detail: &str| found.push(Diagnostic::error("cli::option", "Bad option", detail));
        if self.parallelism == 0 {
            wrong("-parallelism must be at least 1.");
        }
        if !self.target.is_empty() && !self.exclude.is_empty() {
            wrong("-target and -exclude cannot be given together: say what is planned, or what is not.");
        }
        let destroy = destroy || self.destroy;
        if self.refresh_only && (destroy || !self.replace.is_empty()) {
            wrong("-refresh-only changes nothing, so it cannot be given with -destroy or -replace.");
        }
        if self.refresh_only && !self.refresh {
            wrong("-refresh-only looks at what is really there, and -refresh=false says not to.");
        }
        if destroy && !self.replace.is_empty() {
            wrong("A destroy removes all objects, so -replace has no meaning.");
        }
        let replace = addresses::<Address>("replace", &self.replace, &mut found);
        let targets = addresses::<Selector>("target", &self.target, &mut found);
        let excludes = addresses::<Selector>("exclude", &self.exclude, &mut found);
        if found.has_errors() {
            return Err(found.into());
        }
        let mode = match (destroy, self.refresh_only) {
            (true, _) => Mode::Destroy,
            (false, true) => Mode::RefreshOnly,
            (false, false) => Mode::Normal,
        };
        Ok(Options {
            mode,
            refresh: self.refresh,
            replace,
            targets,
            excludes,
            generate: false,
            parallelism: self.parallelism,
        })
    }

    /// How long to wait for the lock.
    ///
    /// # Errors
    /// A text that is no duration.
    pub(crate) fn lock_wait(&self) -> Result<Duration, Failure> {
        lock_wait(&self.lock_timeout)
    }
}

/// Where state is that a command edits, and how long it waits for its lock.
#[derive(Args, Debug)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// How long to wait for the state lock (10s, 5m)
    #[arg(long, value_name = "TIME", default_value = "0s")]
    lock_timeout: String,
}

impl EditArgs {
    /// How long to wait for the lock.
    ///
    /// # Errors
    /// A text that is no duration.
    pub(crate) fn lock_wait(&self) -> Result<Duration, Failure> {
        lock_wait(&self.lock_timeout)
    }
}

fn lock_wait(text: &str) -> Result<Duration, Failure> {
    let seconds = mesh_model::schema::duration_seconds(text);
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(|| {
        let detail = format!("-lock-timeout={text} is no duration. Write it as 30s or 5m.");
        Diagnostic::error("cli::option", "Bad option", detail).into()
    })
}

fn addresses<T: FromStr<Err = AddressError>>(option: &str, texts: &[String], found: &mut Diagnostics) -> Vec<T> {
    let parsed = texts.iter().map(|text| (text, text.parse()));
    parsed
        .filter_map(|(text, parsed)| match parsed {
            Ok(address) => Some(address),
            Err(e) => {
                found.push(Diagnostic::error("cli::address", "Bad address", format!("-{option}={text}: {e}.")));
                None
            }
        })
        .collect()
}
