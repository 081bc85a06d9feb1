//! A file of a module: loaded, and its locals and outputs evaluated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Small, load, show, spells_the_secret};

fuzz_target!(|text: &str| {
    let (Some(config), diagnostics) = load("main.mesh.hcl", text) else { return };
    if diagnostics.has_errors() || spells_the_secret(text) {
        return;
    }
    let scope = Small::default();
    let root = config.root();
    for expr in root.locals.iter().map(|l| &l.value).chain(root.outputs.iter().map(|o| &o.value)) {
        if let Ok(value) = expr.eval(&scope) {
            show(&value);
        }
    }
});
