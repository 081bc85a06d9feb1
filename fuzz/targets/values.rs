//! A file of variables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{look, show};
use mesh_model::Sources;

fuzz_target!(|text: &str| {
    let mut sources = Sources::default();
    match mesh_lang::parse_values(text, "mesh.meshvars.hcl", &mut sources) {
        Ok(values) => values.iter().for_each(|(_, value, _)| drop(show(value))),
        Err(errors) => look(&errors, &sources),
    }
});
