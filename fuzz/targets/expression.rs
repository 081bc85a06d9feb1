//! An expression: parsed, and evaluated against a small scope.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Small, look, show, spells_the_secret};
use mesh_model::Sources;

fuzz_target!(|text: &str| {
    // Functions that look at the disk or take long on purpose.
    if ["file", "bcrypt", "abspath"].iter().any(|name| text.contains(name)) || spells_the_secret(text) {
        return;
    }
    let mut sources = Sources::default();
    match mesh_lang::parse_expression(text, "expression", &mut sources).and_then(|e| e.eval(&Small::default())) {
        Ok(value) => drop(show(&value)),
        Err(errors) => {
            look(&errors, &sources);
            assert!(!format!("{errors:?}").contains("canary"), "a secret is told");
        }
    }
});
