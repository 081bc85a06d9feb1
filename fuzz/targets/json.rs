//! A file of a module in JSON syntax.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    mesh_fuzz::load("main.mesh.json", text);
});
