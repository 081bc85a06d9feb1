//! Formatting settles, and what loaded before loads to the same values after.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Small, load, show};
use mesh_lang::Config;

fuzz_target!(|text: &str| {
    let Ok(once) = mesh_lang::fmt::format(text) else { return };
    let again = |text: &str| {
        mesh_lang::fmt::format(text).unwrap_or_else(|e| panic!("what was formatted cannot be formatted: {e:?}\n{text}"))
    };
    // A comment behind a closing bracket can move once more; the field does the same.
    let twice = again(&once);
    assert_eq!(again(&twice), twice, "formatting does not settle");
    let (Some(before), errors) = load("main.mesh.hcl", text) else { return };
    if errors.has_errors() {
        return;
    }
    let (after, errors) = load("main.mesh.hcl", &once);
    assert!(!errors.has_errors(), "{errors:?}\n{once}");
    assert_eq!(values(&before), after.as_ref().map_or_else(Vec::new, values), "the values changed:\n{once}");
});

fn values(config: &Config) -> Vec<Option<String>> {
    let scope = Small::default();
    let root = config.root();
    let locals = root.locals.iter().map(|l| &l.value);
    locals.chain(root.outputs.iter().map(|o| &o.value)).map(|e| e.eval(&scope).ok().map(|v| show(&v))).collect()
}
