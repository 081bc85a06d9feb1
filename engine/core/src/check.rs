//! What can be said about a configuration without state and without any server.
//!
//! The one decision: types and bodies are checked against the providers' schemas here, once, for
//! `validate` and before every plan; values are only evaluated by planning, and by [`trial()`].

mod trial;

use mesh_lang::{Config, Ignore, check_body, suggestion};
use mesh_model::{Diagnostic, Diagnostics, Mode, Path, ResourceSchema, Span, Step};

use crate::engine::Engine;
pub use trial::trial;

/// Unknown types, unknown attributes, missing required ones, unknown providers.
pub fn check(engine: &Engine, config: &Config) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for module in &config.modules {
        for block in &module.resources {
            let Some(schema) = engine.schema(block.mode, &block.ty) else {
                diagnostics.push(unknown_type(engine, block));
                continue;
            };
            diagnostics.extend(check_body(&block.body, &schema.schema, schema.name));
            if let Ignore::Paths(paths) = &block.lifecycle.ignore_changes {
                diagnostics.0.extend(paths.iter().filter_map(|(path, span)| ignored(schema, path, *span)));
            }
        }
    }
    for block in &config.root().providers {
        match engine.provider(&block.name) {
            Some(provider) => {
                diagnostics.extend(check_body(&block.body, &provider.schema().config, provider.schema().name))
            }
            None => {
                let names = engine.provider_names();
                let hint = suggestion(&block.name, names.iter().copied())
                    .map(|s| format!(" Did you mean {s:?}?"))
                    .unwrap_or_default();
                diagnostics.push(
                    Diagnostic::error(
                        "plan::provider",
                        "Unknown provider",
                        format!(
                            "There is no provider {:?}.{hint} The providers are: {}.",
                            block.name,
                            names.join(", ")
                        ),
                    )
                    .at(block.span),
                );
            }
        }
    }
    diagnostics
}

/// An entry of `ignore_changes` that names nothing.
fn ignored(schema: &ResourceSchema, path: &Path, span: Span) -> Option<Diagnostic> {
    let Some(Step::Key(name)) = path.0.first() else { return None };
    let names = || schema.schema.attributes.iter().map(|a| a.name).chain(schema.schema.blocks.iter().map(|b| b.name));
    if names().any(|n| n == &**name) {
        return None;
    }
    let hint = suggestion(name, names()).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
    let detail = format!("{} has no {name:?} whose changes could be ignored.{hint}", schema.name);
    Some(Diagnostic::error("plan::ignore_changes", "Unsupported attribute", detail).at(span))
}

fn unknown_type(engine: &Engine, block: &mesh_lang::Resource) -> Diagnostic {
    let what = match block.mode {
        Mode::Managed => "resource type",
        Mode::Data => "data source",
        Mode::Ephemeral => "ephemeral type",
    };
    let kinds = [(Mode::Managed, "a resource"), (Mode::Data, "a data"), (Mode::Ephemeral, "an ephemeral")];
    let hint = match kinds.iter().find(|(mode, _)| engine.schema(*mode, &block.ty).is_some()) {
        Some((_, word)) => format!(" There is {word} block of this type."),
        None => suggestion(&block.ty, engine.type_names(block.mode))
            .map(|s| format!(" Did you mean {s:?}?"))
            .unwrap_or_default(),
    };
    Diagnostic::error(
        "plan::unknown_type",
        "Unknown resource type",
        format!("No provider has a {what} {:?}.{hint}", block.ty),
    )
    .at(block.span)
}
