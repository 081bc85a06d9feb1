//! `mesh validate`: everything that can be said without state and without any server.

use clap::ArgAction;
use mesh_core::{Inputs, Options, Run, Silent};
use mesh_lang::{Disk, LoadOptions};
use mesh_model::{Diagnostics, Snapshot};
use mesh_state::LocalBackend;

use super::project::{STATE, context, engine, root};
use crate::ui::{Outcome, Ui};
use crate::view::diagnostic_json;
use crate::view::style::{GREEN, out, paint};

/// Check the configuration without looking at state or servers
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

/// All that is wrong or odd with the configuration of this folder.
pub(crate) fn check(ui: &mut Ui) -> Diagnostics {
    let (config, mut found) = mesh_lang::load_from(&Disk, LoadOptions::new(&root()), &mut ui.sources);
    if let Some(config) = config {
        let engine = engine(ui, std::sync::Arc::new(Silent));
        let checked = mesh_core::check::check(&engine, &config);
        let sound = !found.has_errors() && !checked.has_errors();
        found.extend(checked);
        let mut tried = mesh_core::check::trial(&engine, &config, &context(ui, String::new()));
        // What was said without evaluating is not said again.
        tried.0.retain(|d| found.iter().all(|f| f.span != d.span));
        found.extend(tried);
        if sound {
            // Cycles, and what only the graph sees.
            let (inputs, options, context) = (Inputs::new(), Options::default(), context(ui, String::new()));
            let backend = LocalBackend::new(STATE);
            let run = Run {
                engine: &engine,
                config: &config,
                inputs: &inputs,
                backend: &backend,
                options: &options,
                context: &context,
            };
            let _ = found.take(run.graph(&Snapshot::default()));
        }
    }
    found
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let found = check(ui);
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
