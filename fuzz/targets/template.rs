//! A template text with variables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Small, show, spells_the_secret};
use mesh_lang::{Scope, render_template};
use mesh_model::{Fields, Value};

fuzz_target!(|text: &str| {
    if ["file", "bcrypt", "abspath"].iter().any(|name| text.contains(name)) || spells_the_secret(text) {
        return;
    }
    let vars: Fields = [
        ("a", Value::string("x")),
        ("l", Value::strings(["1", "2"])),
        ("o", Value::object([("k", Value::number(1))])),
        ("z", Value::string("canary").sensitive()),
    ]
    .into_iter()
    .collect();
    if let Ok(value) = render_template(Small::default().functions(), text, "t.tpl", &vars) {
        show(&value);
    }
});
