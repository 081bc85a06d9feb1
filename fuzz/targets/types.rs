//! A type constraint, and after a line `---` a default that is to fit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{load, show};

fuzz_target!(|text: &str| {
    let (ty, default) = text.split_once("\n---\n").unwrap_or((text, "null"));
    let (Some(config), _) = load("main.mesh.hcl", &format!("variable \"v\" {{\n  type = {ty}\n  default = {default}\n}}\n"))
    else {
        return;
    };
    for variable in &config.root().variables {
        if let Some(Ok(value)) = variable.default.as_ref().map(|d| variable.ty.convert(d)) {
            show(&value);
        }
    }
});
