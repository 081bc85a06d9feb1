//! `mesh init`: fetches modules, checks the configuration and writes the lock file.
//!
//! The one decision: providers are part of this program, so only modules are fetched; the lock file says
//! which versions and which modules a configuration was last checked with. Running it again changes
//! nothing and asks nobody.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ArgAction;
use hcl::{Block, Body};
use mesh_lang::Config;
use mesh_model::Diagnostic;
use mesh_modules::{Lock, Used};
use sha2::{Digest, Sha256};

use super::backend::Places;
use super::migrate::{self, Wanted};
use super::modules::{self, LOCK};
use super::options::{StateArgs, VarArgs};
use super::project::engine;
use super::validate;
use super::variables::Given;
use crate::cli::VarSource;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::{GREEN, out, paint};

/// Fetch modules, check the configuration and write the lock file
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    /// Look branches and tags of modules up again, whatever the lock file says
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    upgrade: bool,
    /// Ask for variables that sources of modules need
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    input: bool,
    /// Bring the state along from the backend where it was
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, conflicts_with = "reconfigure")]
    migrate_state: bool,
    /// Copy state without a question
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    force_copy: bool,
    /// Use what is in the configured backend, whatever was seen before
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    reconfigure: bool,
    /// Fail when the lock file would change
    #[arg(long, value_name = "MODE", value_parser = ["readonly"])]
    lockfile: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    ui.input &= args.input;
    out("Initializing the configuration...\n")?;
    let (given, store) = (Given::read(ui, vars), modules::fetching(ui, args.upgrade)?);
    let (config, found) = validate::check(ui, &given, &store);
    let Some(config) = config.filter(|_| !found.has_errors()) else { return Err(found.into()) };
    ui.report(&found);
    let providers = used(ui, &config);
    let (local, fetched) = (local(ui, &config), store.used());
    let text = lock_text(&providers, &local, &store.locked())?;
    let mut said = String::new();
    for name in local.keys() {
        push!(said, "- module in {name}\n");
    }
    for Used { source, entry, fetched } in &fetched {
        let how = if *fetched { "fetched" } else { "already here" };
        push!(said, "- module {source} ({how}: {})\n", entry.resolved);
    }
    said.push_str("\nInitializing providers...\n");
    for name in &providers {
        push!(said, "- {name} v{} (built in)\n", env!("CARGO_PKG_VERSION"));
    }
    let before = std::fs::read_to_string(LOCK).ok();
    let changed = before.as_deref() != Some(text.as_str());
    if changed && args.lockfile.is_some() {
        let detail = format!(
            "{LOCK} does not fit this configuration and this version, and -lockfile=readonly forbids to write it. Run mesh init without it and keep the file with the configuration."
        );
        return Err(Diagnostic::error("cli::lock_file", "The lock file would change", detail).into());
    }
    if changed {
        std::fs::write(LOCK, &text).map_err(|e| {
            Diagnostic::error("cli::lock_file", "The lock file could not be written", format!("{LOCK}: {e}."))
        })?;
    }
    said.push_str(match (&before, changed) {
        (None, _) => "\nmesh has written the lock file mesh.lock.hcl. Keep it with the configuration.\n",
        (Some(_), true) => "\nmesh has brought the lock file mesh.lock.hcl up to date.\n",
        (Some(_), false) => "\nThe lock file mesh.lock.hcl is up to date.\n",
    });
    let wanted = match (args.migrate_state || args.force_copy, args.reconfigure) {
        (true, _) => Wanted::Migrate { sure: args.force_copy },
        (false, true) => Wanted::Reconfigure,
        (false, false) => Wanted::Look,
    };
    if migrate::is_due(wanted)? {
        let inputs = given.gather(ui, &config)?;
        let places = Places::of(ui, &config, &inputs, &StateArgs::default())?;
        said.push_str(&migrate::at_init(ui, &places, wanted)?);
    }
    push!(said, "\n{}\n", paint(GREEN.bold(), "mesh has been successfully initialized!"));
    if ui.var("MESH_IN_AUTOMATION").is_none() {
        said.push_str("\nTry \"mesh plan\" to see what would be changed.\n");
    }
    out(&said)?;
    Ok(0)
}

/// Names of the providers that the configuration uses.
fn used(ui: &Ui, config: &Config) -> Vec<String> {
    let engine = engine(ui, std::sync::Arc::new(mesh_core::Silent));
    let by_type = config
        .modules
        .iter()
        .flat_map(|m| &m.resources)
        .filter_map(|r| Some(engine.provider_of(r.mode, &r.ty)?.schema().name.to_owned()));
    let declared = config.root().providers.iter().map(|p| p.name.to_string());
    let mut names: Vec<String> = by_type.chain(declared).collect();
    names.sort();
    names.dedup();
    names
}

/// Folders of called local modules with the digest of their sources.
fn local(ui: &Ui, config: &Config) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let cache = Path::new(mesh_modules::FOLDER);
    for module in config.modules.iter().filter(|m| m.parent.is_some() && !m.dir.starts_with(cache)) {
        let folder = module.dir.display().to_string();
        out.entry(folder).or_insert_with(|| {
            let mut hash = Sha256::new();
            let mut files: Vec<_> =
                ui.sources.iter().filter(|s| Path::new(&s.name).parent() == Some(module.dir.as_path())).collect();
            files.sort_by(|a, b| a.name.cmp(&b.name));
            files.dedup_by(|a, b| a.name == b.name);
            for file in files {
                // Lengths keep two files apart from one.
                hash.update(format!("{} {}\n", file.name, file.text.len()));
                hash.update(&file.text);
            }
            format!("sha256:{}", hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>())
        });
    }
    out
}

fn lock_text(providers: &[String], local: &BTreeMap<String, String>, fetched: &Lock) -> Result<String, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let mut body = Body::builder().add_block(Block::builder("mesh").add_attribute(("version", version)).build());
    for name in providers {
        body = body
            .add_block(Block::builder("provider").add_label(name.as_str()).add_attribute(("version", version)).build());
    }
    for (folder, digest) in local {
        body = body.add_block(
            Block::builder("module").add_label(folder.as_str()).add_attribute(("digest", digest.as_str())).build(),
        );
    }
    for block in fetched.blocks() {
        body = body.add_block(block);
    }
    let broken = |e: String| Diagnostic::error("cli::lock_file", "The lock file could not be written", format!("{e}."));
    let text = hcl::to_string(&body.build()).map_err(|e| broken(e.to_string()))?;
    let text = mesh_lang::fmt::format(&text).map_err(|e| broken(e.message))?;
    Ok(format!("# This file is kept by \"mesh init\". Keep it with the configuration.\n\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_is_hcl() {
        let modules = BTreeMap::from([("./m".to_owned(), "sha256:00".to_owned())]);
        let fetched =
            format!("module \"git::x\" {{\n  resolved = \"git:ab\"\n  digest = \"tree1:{}\"\n}}\n", "0".repeat(64));
        let fetched = Lock::parse(&fetched).expect("is read");
        let text = lock_text(&["vault".to_owned()], &modules, &fetched).map_err(|f| f.0).expect("is written");
        let body: Body = hcl::from_str(&text).expect("is read");
        let names: Vec<&str> = body.blocks().map(Block::identifier).collect();
        assert_eq!(names, ["mesh", "provider", "module", "module"]);
        assert_eq!(mesh_lang::fmt::format(&text).expect("is formatted"), text);
    }
}
