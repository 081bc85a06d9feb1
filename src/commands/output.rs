//! `mesh output`: values of root outputs from state.

use clap::ArgAction;
use mesh_core::sealed_place;
use mesh_model::snapshot::StoredOutput;
use mesh_model::{Diagnostic, Snapshot, convert};
use mesh_state::seal::Sealer;
use serde_json::Value as Json;

use super::options::StateArgs;
use super::running::runtime;
use super::{saved, state};
use crate::ui::{Outcome, Ui};
use crate::view::style::{out, raw, talk};
use crate::view::{json, values};

/// Show outputs
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Show sensitive values in clear where they are known; of most, state keeps only a fingerprint
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    show_sensitive: bool,
    /// Write JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
    /// Write the bare text of one output
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    raw: bool,
    /// Which one
    name: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    if args.raw && args.json {
        let detail = "-raw and -json are two forms: give one of them.";
        return Err(Diagnostic::error("cli::option", "Bad option", detail).into());
    }
    let backend = saved::backend(ui, &args.state, &[])?;
    let runtime = runtime()?;
    let mut snapshot = runtime.block_on(backend.snapshot())?;
    // A null output is none, as in the field.
    snapshot.outputs.retain(|_, o| !o.value.is_null());
    // Who names one, or says so, asks for the secret itself.
    let asked = |name: &str| args.show_sensitive || args.name.as_deref() == Some(name);
    if snapshot.outputs.iter().any(|(name, o)| o.sealed.is_some() && asked(name)) {
        unseal(&mut snapshot, runtime.block_on(backend.keys())?.sealer.as_ref(), &asked)?;
    }
    let withheld = snapshot.outputs.values().any(|o| o.value.has_withheld());
    let Some(name) = &args.name else {
        if args.raw {
            return Err(Diagnostic::error("cli::option", "Bad option", "-raw needs the name of an output.").into());
        }
        if args.json {
            let members = snapshot.outputs.iter().map(|(n, o)| format!("{}:{}", Json::from(&**n), member(o)));
            let object = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            out(&format!("{}\n", json::indented(&object)))?;
        } else if snapshot.outputs.is_empty() {
            talk(
                "Warning: No outputs found\n\nThe state has no outputs. Declare them with output blocks, then run mesh apply.\n",
            );
        } else {
            let rows = snapshot.outputs.iter().map(|(n, o)| format!("{n} = {}\n", shown(o)));
            out(&rows.collect::<String>())?;
        }
        state::only_fingerprints(ui, args.show_sensitive, withheld);
        return Ok(0);
    };
    let output = snapshot.outputs.get(name.as_str()).ok_or_else(|| {
        let names: Vec<&str> = snapshot.outputs.keys().map(|k| &**k).collect();
        let there = if names.is_empty() {
            "The state has none yet.".to_owned()
        } else {
            format!("The outputs are: {}.", names.join(", "))
        };
        Diagnostic::error(
            "cli::output_missing",
            "No such output",
            format!("There is no output {name:?} in state. {there}"),
        )
    })?;
    if output.value.has_withheld() {
        let detail = format!(
            "{name:?} is a secret, and state keeps only a fingerprint of it. Take it from where it is kept, or use it in the \
             configuration, where it is evaluated again."
        );
        return Err(Diagnostic::error("cli::output_withheld", "The value is not in state", detail).into());
    }
    let (value, _) = output.value.reveal_deep();
    if args.raw {
        let text = convert::convert(&value, &mesh_model::Type::String).ok();
        let Some(text) = text.as_ref().and_then(|v| v.as_str()) else {
            let detail = format!(
                "{name:?} is a {}, and only texts, numbers and bools have a bare form. Use -json.",
                value.ty().friendly()
            );
            return Err(Diagnostic::error("cli::output_raw", "The output has no bare form", detail).into());
        };
        raw(text.as_bytes())?;
    } else if args.json {
        out(&format!("{}\n", mesh_model::json::canonical(&value)))?;
    } else {
        out(&format!("{}\n", values::text(&value)))?;
    }
    Ok(0)
}

/// What is wrong with a sealed value that no key of its state opens.
pub(crate) fn unopened(name: &str) -> Diagnostic {
    let detail = format!("The sealed value of {name:?} is damaged, or belongs to another output or state.");
    Diagnostic::error("cli::output_sealed", "A sealed value cannot be opened", detail)
}

/// Puts the values of sealed outputs in the place of their fingerprints.
fn unseal(snapshot: &mut Snapshot, sealer: Option<&Sealer>, asked: &dyn Fn(&str) -> bool) -> Result<(), Diagnostic> {
    let lineage = snapshot.lineage.clone();
    for (name, output) in snapshot.outputs.iter_mut().filter(|(name, _)| asked(name)) {
        let (Some(sealed), Some(sealer)) = (&output.sealed, sealer) else { continue };
        let value = sealer.open_value(&sealed_place(&lineage, name), sealed, &output.value.ty());
        output.value = value.ok_or_else(|| unopened(name))?;
        output.value = output.value.reveal_deep().0;
    }
    Ok(())
}

/// Sensitivity, type and value. The value is written with every digit: readers of JSON may round, we do
/// not.
fn member(output: &StoredOutput) -> String {
    let (sensitive, ty) = (output.sensitive, output.value.ty().to_json());
    if output.value.has_withheld() {
        return format!("{{\"sensitive\":{sensitive},\"type\":{ty},\"value\":null,\"withheld\":true}}");
    }
    let value = mesh_model::json::canonical(&output.value.reveal_deep().0);
    format!("{{\"sensitive\":{sensitive},\"type\":{ty},\"value\":{value}}}")
}

fn shown(output: &StoredOutput) -> String {
    if output.sensitive && (output.sealed.is_none() || output.value.has_withheld()) {
        "<sensitive>".to_owned()
    } else {
        values::text(&output.value)
    }
}
