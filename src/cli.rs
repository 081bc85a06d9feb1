//! The command line: global options, and one flat table of commands.
//!
//! The one decision: usage errors end with 1, not with the parser's 2, since 2 means "there are
//! changes" to scripts that know Terraform.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use mesh_model::Diagnostic;

use crate::argv;
use crate::commands::{
    apply, completion, console, destroy, drift, explain, fmt, functions, graph, import, init, lock, output, plan,
    providers, refresh, sandbox, show, state, taint, test, unlock, validate, version, workspace,
};
use crate::ui::{Outcome, Ui};
use crate::view::{style, summary};

/// Plan and apply for service meshes, from the HSM key to the gateway.
///
/// Options may be written with one dash or two.
#[derive(Parser, Debug)]
#[command(name = "mesh", disable_version_flag = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Switch to another folder before anything else
    #[arg(long, global = true, value_name = "DIR")]
    chdir: Option<PathBuf>,
    /// Write without colours
    #[arg(long, global = true)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::Args),
    Validate(validate::Args),
    Fmt(fmt::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Destroy(destroy::Args),
    Refresh(refresh::Args),
    Drift(drift::Args),
    Show(show::Args),
    Output(output::Args),
    Graph(graph::Args),
    Import(import::Args),
    State(state::Args),
    Taint(taint::Args),
    Untaint(taint::UntaintArgs),
    Test(test::Args),
    Workspace(workspace::Args),
    Lock(lock::Args),
    Unlock(unlock::Args),
    Console(console::Args),
    Explain(explain::Args),
    Functions(functions::Args),
    Providers(providers::Args),
    Sandbox(sandbox::Args),
    Version(version::Args),
    Completion(completion::Args),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> u8 {
    let env: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    let args = argv::double_dashes(std::env::args_os());
    if env.contains_key("NO_COLOR") || args.iter().take_while(|a| *a != "--").any(|a| a == "--no-color") {
        anstream::ColorChoice::Never.write_global();
    }
    let mut ui = Ui::new(env, cwd);
    match parsed(&ui, args) {
        Ok(cli) => finish(start(&mut ui, cli), &ui),
        Err(code) => code,
    }
}

/// The arguments as a command; else the exit code after what had to be said.
fn parsed(ui: &Ui, args: Vec<OsString>) -> Result<(Cli, Vec<VarSource>), u8> {
    let mut command = Cli::command();
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let args = match argv::with_environment(args, &ui.env, &names) {
        Ok(args) => args,
        Err(name) => {
            let detail = format!("The quotes in {name} do not match.");
            return Err(finish(
                Err(Diagnostic::error("cli::environment", "Bad arguments in the environment", detail).into()),
                ui,
            ));
        }
    };
    // `mesh -version`, as a habit from Terraform.
    let args: Vec<OsString> = args
        .into_iter()
        .enumerate()
        .map(|(i, a)| if i == 1 && (a == "--version" || a == "-v") { "version".into() } else { a })
        .collect();
    let result = command.try_get_matches_from_mut(args).and_then(|m| {
        let sources = var_sources(&m);
        Cli::from_arg_matches(&m).map(|cli| (cli, sources))
    });
    result.map_err(|error| {
        let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        let text = error.render().ansi().to_string();
        if help {
            let _ = style::out(&text);
        } else {
            style::talk(&text);
        }
        u8::from(error.kind() != ErrorKind::DisplayHelp)
    })
}

/// One `-var` or `-var-file`.
#[derive(Clone, Debug)]
pub(crate) enum VarSource {
    /// `-var name=value`.
    Var(String),
    /// `-var-file FILE`.
    File(PathBuf),
}

/// Both kinds in the order in which they were typed: the last one wins.
fn var_sources(matches: &clap::ArgMatches) -> Vec<VarSource> {
    let Some((_, mut sub)) = matches.subcommand() else { return Vec::new() };
    while let Some((_, inner)) = sub.subcommand() {
        sub = inner;
    }
    let mut out: Vec<(usize, VarSource)> = Vec::new();
    if let Ok(Some(values)) = sub.try_get_many::<String>("var") {
        let at = sub.indices_of("var").into_iter().flatten();
        out.extend(at.zip(values.map(|v| VarSource::Var(v.clone()))));
    }
    if let Ok(Some(values)) = sub.try_get_many::<PathBuf>("var_file") {
        let at = sub.indices_of("var_file").into_iter().flatten();
        out.extend(at.zip(values.map(|v| VarSource::File(v.clone()))));
    }
    out.sort_by_key(|(at, _)| *at);
    out.into_iter().map(|(_, source)| source).collect()
}

fn start(ui: &mut Ui, (cli, vars): (Cli, Vec<VarSource>)) -> Outcome {
    if let Some(dir) = &cli.chdir {
        std::env::set_current_dir(dir).map_err(|e| {
            Diagnostic::error("cli::chdir", "Folder not usable", format!("-chdir={}: {e}.", dir.display()))
        })?;
    }
    match cli.command {
        Command::Init(args) => init::run(ui, &args, &vars),
        Command::Validate(args) => validate::run(ui, &args, &vars),
        Command::Fmt(args) => fmt::run(ui, &args),
        Command::Plan(args) => plan::run(ui, &args, &vars),
        Command::Apply(args) => apply::run(ui, &args, &vars),
        Command::Destroy(args) => destroy::run(ui, &args, &vars),
        Command::Refresh(args) => refresh::run(ui, args, &vars),
        Command::Drift(args) => drift::run(ui, &args, &vars),
        Command::Show(args) => show::run(ui, &args),
        Command::Output(args) => output::run(ui, &args),
        Command::Graph(args) => graph::run(ui, &args, &vars),
        Command::Import(args) => import::run(ui, &args, &vars),
        Command::State(args) => state::run(ui, &args, &vars),
        Command::Taint(args) => taint::taint(ui, &args),
        Command::Untaint(args) => taint::untaint(ui, &args),
        Command::Test(args) => test::run(ui, &args, &vars),
        Command::Workspace(args) => workspace::run(ui, &args, &vars),
        Command::Lock(args) => lock::run(ui, &args),
        Command::Unlock(args) => unlock::run(ui, &args),
        Command::Console(args) => console::run(ui, &args, &vars),
        Command::Explain(args) => explain::run(ui, &args),
        Command::Functions(args) => functions::run(&args),
        Command::Providers(args) => providers::run(ui, &args),
        Command::Sandbox(args) => sandbox::run(ui, &args),
        Command::Version(args) => version::run(&args),
        Command::Completion(args) => completion::run(&args),
    }
}

/// Says what went wrong and gives the exit code.
fn finish(outcome: Outcome, ui: &Ui) -> u8 {
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            ui.report(&failure.0);
            let done = ui.take_done();
            let errors = failure.0.iter().filter(|d| d.is_error()).count();
            if let Some(stream) = &ui.stream {
                let operation = match (&done, ui.destroys) {
                    (None, _) => "plan",
                    (Some(_), false) => "apply",
                    (Some(_), true) => "destroy",
                };
                stream.failed(done.unwrap_or_default(), operation, errors);
            } else if let Some(done) = done {
                let _ = style::out(&format!("\nStopped by an error. Resources: {}.\n", summary::done(done)));
            }
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_commands_is_sound() {
        Cli::command().debug_assert();
    }
}
