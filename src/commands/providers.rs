//! `mesh providers schema`: what all providers take and give, for editors and other programs.
//!
//! The one decision: the JSON is that of Terraform's command of this name; people read `mesh explain`,
//! which says the same in words.

use std::sync::Arc;

use clap::ArgAction;
use mesh_core::Silent;
use mesh_model::schema::ProviderSchema;
use mesh_model::{Diagnostic, Mode, Schema};
use serde_json::{Map, Value as Json, json};

use super::project::engine;
use crate::ui::{Outcome, Ui};
use crate::view::explain::schema_json;
use crate::view::style::out;

/// Show the schemas of the providers, for programs
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Schema(SchemaArgs),
}

/// Show the schemas of all providers and types
#[derive(clap::Args, Debug)]
struct SchemaArgs {
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let Command::Schema(SchemaArgs { json }) = args.command;
    if !json {
        let detail = "Schemas are written for programs only: give -json. For people there is mesh explain.";
        return Err(Diagnostic::error("cli::option", "Bad option", detail).into());
    }
    let engine = engine(ui, Arc::new(Silent));
    let all: Map<_, _> = engine.providers().iter().map(|p| (p.schema().name.to_owned(), one(p.schema()))).collect();
    out(&format!("{}\n", json!({ "format_version": "1.0", "provider_schemas": all })))?;
    Ok(0)
}

fn one(provider: &ProviderSchema) -> Json {
    let mut out = Map::new();
    out.insert("provider".into(), entry(0, &provider.config));
    for (name, mode) in [
        ("resource_schemas", Mode::Managed),
        ("data_source_schemas", Mode::Data),
        ("ephemeral_resource_schemas", Mode::Ephemeral),
    ] {
        let types = provider.types(mode).values();
        let types: Map<_, _> = types.map(|t| (t.name.to_owned(), entry(t.version, &t.schema))).collect();
        if !types.is_empty() {
            out.insert(name.into(), types.into());
        }
    }
    out.into()
}

fn entry(version: u32, schema: &Schema) -> Json {
    json!({ "version": version, "block": schema_json(schema) })
}
