//! `mesh version`.

use clap::ArgAction;
use serde_json::json;

use crate::ui::Outcome;
use crate::view::style::out;

/// Show the version
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    // Go's names, as in Terraform's answer.
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let platform = format!("{}_{machine}", std::env::consts::OS);
    if args.json {
        out(&format!("{:#}\n", json!({ "mesh_version": version, "platform": platform })))?;
    } else {
        out(&format!("mesh v{version}\non {platform}\n"))?;
    }
    Ok(0)
}
