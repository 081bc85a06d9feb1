//! `mesh validate`: everything that can be said without state and without any server.

use clap::ArgAction;
use mesh_core::{Inputs, Options, Run, Silent};
use mesh_lang::{Config, Disk, LoadOptions};
use mesh_model::{Diagnostics, Snapshot};
use mesh_modules::Store;
use mesh_state::{LocalBackend, STATE};

use super::modules;
use super::options::VarArgs;
use super::project::{context, engine, from_root, root};
use super::test;
use super::variables::Given;
use crate::cli::VarSource;
use crate::ui::{Outcome, Ui};
use crate::view::diagnostic_json;
use crate::view::style::{GREEN, out, paint};

/// Check the configuration without looking at state or servers
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    /// Leave test files out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    no_tests: bool,
    /// Where test files are, beside this folder
    #[arg(long, value_name = "DIR", default_value = test::FOLDER)]
    test_directory: std::path::PathBuf,
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

/// The configuration of this folder, and all that is wrong or odd with it.
pub(crate) fn check(ui: &mut Ui, given: &Given, modules: &Store) -> (Option<Config>, Diagnostics) {
    let root = root();
    let options = LoadOptions { variables: Some(given), modules: Some(modules), ..LoadOptions::new(&root) };
    let (mut config, mut found) = mesh_lang::load_from(&Disk, options, &mut ui.sources);
    if let Some(config) = &mut config {
        from_root(config, &root);
        found.0.extend(given.known(config).1.into_iter().filter(mesh_model::Diagnostic::is_error));
        let engine = engine(ui, std::sync::Arc::new(Silent));
        let checked = mesh_core::check::check(&engine, config);
        let sound = !found.has_errors() && !checked.has_errors();
        found.extend(checked);
        let mut tried = mesh_core::check::trial(&engine, config, &context(ui, String::new()));
        // What was said without evaluating is not said again.
        tried.0.retain(|d| found.iter().all(|f| f.span != d.span));
        found.extend(tried);
        if sound {
            // Cycles, and what only the graph sees.
            let (inputs, options, context) = (Inputs::new(), Options::default(), context(ui, String::new()));
            let backend = LocalBackend::new(STATE);
            let run = Run {
                engine: &engine,
                config,
                inputs: &inputs,
                backend: &backend,
                options: &options,
                context: &context,
            };
            let _ = found.take(run.graph(&Snapshot::default()));
        }
    }
    (config, found)
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.input = false;
    let (given, modules) = (Given::read(ui, vars), modules::installed(ui)?);
    let (config, mut found) = check(ui, &given, &modules);
    if let Some(config) = config.filter(|_| !args.no_tests) {
        let engine = engine(ui, std::sync::Arc::new(Silent));
        for loaded in test::load(ui, &args.test_directory, &modules) {
            found.extend(loaded.found);
            // Names are looked for only where it is known what there is.
            let names = mesh_core::testing::check(&engine, &config, &loaded.modules, &loaded.file);
            found.extend(names);
        }
    }
    let bad = found.has_errors();
    if args.json {
        out(&format!("{:#}\n", diagnostic_json::validation(&found, &ui.sources)))?;
        return Ok(u8::from(bad));
    }
    ui.report(&found);
    if !bad {
        let but = if found.is_empty() { "." } else { ", but there were warnings." };
        out(&format!("{} The configuration is valid{but}\n", paint(GREEN.bold(), "Success!")))?;
    }
    Ok(u8::from(bad))
}
