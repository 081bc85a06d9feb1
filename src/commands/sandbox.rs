//! `mesh sandbox`: a disposable real system on loopback.
//!
//! The one decision: named sandboxes live in a folder of the user's cache, so that `status`, `env` and
//! `down` find them from anywhere; `run` makes one that goes away with its command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command as Process;

use clap::ArgAction;
use mesh_model::Diagnostic;
use mesh_sandbox::{Down, Event, Options, Part, Sandbox, Status, Up, default_cache};
use serde_json::json;

use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::{BOLD, out, paint, talk};

/// Bring up a disposable real system: Kubernetes, Vault, an HSM token, a load balancer
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Start a sandbox that stays until `down`
    Up(Choice),
    /// Stop it and remove its folder
    Down(Place),
    /// Show what runs
    Status {
        #[command(flatten)]
        place: Place,
        /// Write one JSON object
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
        json: bool,
    },
    /// Write its environment for a shell: eval "$(mesh sandbox env)"
    Env {
        #[command(flatten)]
        place: Place,
        /// Write one JSON object
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
        json: bool,
    },
    /// Start a temporary sandbox, run a command with its environment, stop it
    Run {
        #[command(flatten)]
        choice: Choice,
        /// The command and its arguments
        #[arg(required = true, last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Runs the servers of `up`
    #[command(hide = true)]
    Supervise(Choice),
}

#[derive(clap::Args, Debug)]
struct Place {
    /// Its name
    #[arg(long, default_value = "default")]
    name: String,
    /// Its folder, instead of one in the user's cache
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct Choice {
    #[command(flatten)]
    place: Place,
    /// Which parts: kubernetes, vault, hsm, gateway
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    parts: Vec<String>,
    /// A folder with server programs that win over PATH and over building
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl From<mesh_sandbox::Error> for Failure {
    fn from(error: mesh_sandbox::Error) -> Self {
        Diagnostic::error("sandbox::failed", "The sandbox could not do it", error.to_string()).into()
    }
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    match &args.command {
        Command::Up(choice) => up(ui, choice),
        Command::Down(place) => {
            let said = match mesh_sandbox::down(&folder(ui, place)?)? {
                Down::Stopped => "The sandbox is stopped and its folder removed.\n",
                Down::NothingToStop => "No sandbox was running.\n",
            };
            out(said)?;
            Ok(0)
        }
        Command::Status { place, json } => status(ui, place, *json),
        Command::Env { place, json } => {
            let env = mesh_sandbox::env(&folder(ui, place)?)?;
            out(&if *json { format!("{:#}\n", json!(env)) } else { exports(&env) })?;
            Ok(0)
        }
        Command::Run { choice, command } => once(ui, choice, command),
        Command::Supervise(choice) => {
            mesh_sandbox::supervise(options(ui, choice)?, &progress)?;
            Ok(0)
        }
    }
}

fn progress(event: &Event) {
    talk(&format!("{event}\n"));
}

/// The folder of a named sandbox, absolute.
fn folder(ui: &Ui, place: &Place) -> Result<PathBuf, Failure> {
    if let Some(folder) = &place.folder {
        return Ok(super::project::root().join(folder));
    }
    let plain =
        !place.name.is_empty() && place.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !plain {
        let detail = format!("{:?} is no name for a sandbox: use letters, digits, - and _.", place.name);
        return Err(Diagnostic::error("cli::option", "Bad option", detail).into());
    }
    Ok(default_cache(&ui.home()).join("sandbox").join(&place.name))
}

fn options(ui: &Ui, choice: &Choice) -> Result<Options, Failure> {
    let parts = parts(choice)?;
    let path = OsString::from(ui.env.get("PATH").cloned().unwrap_or_default());
    let mut options =
        Options::new(&choice.place.name, folder(ui, &choice.place)?, default_cache(&ui.home()), &path, parts);
    options.bin_dir = bin_dir(choice);
    Ok(options)
}

fn bin_dir(choice: &Choice) -> Option<PathBuf> {
    choice.bin_dir.as_ref().map(|d| super::project::root().join(d))
}

fn parts(choice: &Choice) -> Result<Vec<Part>, Failure> {
    if choice.parts.is_empty() {
        return Ok(Part::ALL.to_vec());
    }
    choice.parts.iter().map(|p| p.parse::<Part>().map_err(Failure::from)).collect()
}

fn up(ui: &Ui, choice: &Choice) -> Outcome {
    let options = options(ui, choice)?;
    let program = std::env::current_exe().map_err(|e| {
        Diagnostic::error("cli::program", "This program cannot be found", format!("The system says: {e}."))
    })?;
    let names: Vec<&str> = options.parts.iter().map(|p| p.name()).collect();
    let mut arguments =
        vec!["sandbox".to_owned(), "supervise".to_owned(), "--name".to_owned(), choice.place.name.clone()];
    arguments.extend(["--folder".to_owned(), options.folder.display().to_string()]);
    arguments.extend(["--parts".to_owned(), names.join(",")]);
    if let Some(dir) = &options.bin_dir {
        arguments.extend(["--bin-dir".to_owned(), dir.display().to_string()]);
    }
    let (word, state) = match mesh_sandbox::up(&options, &program, &arguments, &progress)? {
        Up::Started(state) => ("is up", state),
        Up::WasRunning(state) => ("was running already", state),
    };
    let name = if state.name == "default" { String::new() } else { format!(" -name={}", state.name) };
    out(&format!(
        "{}\n\nUse it:   eval \"$(mesh sandbox env{name})\"\nStop it:  mesh sandbox down{name}\n",
        paint(BOLD, format!("The sandbox {word}: {}.", state.parts.join(", ")))
    ))?;
    Ok(0)
}

fn status(ui: &Ui, place: &Place, json: bool) -> Outcome {
    let folder = folder(ui, place)?;
    let status = mesh_sandbox::status(&folder)?;
    let (word, state) = match &status {
        Status::Absent => ("absent", None),
        Status::Dead => ("dead", None),
        Status::Busy => ("busy", None),
        Status::Running(state) => ("running", Some(state)),
    };
    let code = u8::from(state.is_none());
    if json {
        let servers: Vec<_> = state
            .iter()
            .flat_map(|s| &s.servers)
            .map(|s| json!({ "name": s.name, "pid": s.pid, "log": s.log, "alive": s.alive }))
            .collect();
        out(&format!("{:#}\n", json!({ "status": word, "folder": folder, "servers": servers })))?;
        return Ok(code);
    }
    let mut text = match word {
        "absent" => "No sandbox. Start one with mesh sandbox up.\n".to_owned(),
        "dead" => format!("What a killed sandbox left is in {}; the next start removes it.\n", folder.display()),
        "busy" => format!("The sandbox in {} is being started or stopped.\n", folder.display()),
        _ => format!("Running in {}:\n", folder.display()),
    };
    for server in state.iter().flat_map(|s| &s.servers) {
        let alive = if server.alive { "running" } else { "ended" };
        push!(text, "  {:<26} {alive:<8} process {:<8} {}\n", server.name, server.pid, server.log.display());
    }
    out(&text)?;
    Ok(code)
}

fn exports(env: &BTreeMap<String, String>) -> String {
    env.iter().map(|(k, v)| format!("export {k}='{}'\n", v.replace('\'', "'\\''"))).collect()
}

/// Starts, runs, stops; the exit code is the command's, 128 + n when a signal ended it.
fn once(ui: &Ui, choice: &Choice, command: &[OsString]) -> Outcome {
    let path = OsString::from(ui.env.get("PATH").cloned().unwrap_or_default());
    let mut options = Options::temporary(default_cache(&ui.home()), &path, parts(choice)?);
    options.bin_dir = bin_dir(choice);
    if let Some(folder) = &choice.place.folder {
        options.folder = super::project::root().join(folder);
    }
    let sandbox = Sandbox::start(options, &progress)?;
    let Some((program, rest)) = command.split_first() else { return Ok(0) };
    // Ctrl-C is the command's affair; caught here, it does not end us before the sandbox is stopped.
    let runtime = super::running::runtime()?;
    let _interrupts = super::running::interrupts(runtime, false)?;
    let result = Process::new(program).args(rest).envs(sandbox.env()).status();
    sandbox.stop();
    let status = result.map_err(|e| {
        let detail = format!("{}: {e}.", program.display());
        Diagnostic::error("sandbox::command", "The command could not be started", detail)
    })?;
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_survive_a_shell() {
        let env = BTreeMap::from([("A".to_owned(), "it's $x".to_owned())]);
        assert_eq!(exports(&env), "export A='it'\\''s $x'\n");
    }
}
