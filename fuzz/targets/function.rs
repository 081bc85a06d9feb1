//! One function by its number, with texts as arguments: `NUMBER ARG \0 ARG \0 ...`. An argument that starts
//! with `[` or `{` is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Small, show, spells_the_secret};
use mesh_lang::{Scope, functions};
use mesh_model::Value;

fuzz_target!(|text: &str| {
    let mut chars = text.chars();
    let Some(number) = chars.next().filter(|_| !spells_the_secret(text)) else { return };
    let usable: Vec<_> = functions::all()
        .filter(|f| f.callable() && !f.name.contains("file") && !["bcrypt", "abspath"].contains(&f.name))
        .collect();
    let function = usable[number as usize % usable.len()];
    let scope = Small::default();
    let decode = functions::lookup("jsondecode").expect("is there");
    let args: Vec<Value> = chars
        .as_str()
        .split('\0')
        .map(|arg| {
            let text = Value::string(arg);
            let json = arg.starts_with(['[', '{']);
            json.then(|| decode.call(scope.functions(), &[text.clone()]).ok()).flatten().unwrap_or(text)
        })
        .collect();
    if let Ok(value) = function.call(scope.functions(), &args) {
        show(&value);
    }
});
