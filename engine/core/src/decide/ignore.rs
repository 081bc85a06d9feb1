//! `ignore_changes`: the configuration with some parts as they are.
//!
//! The one decision: what is ignored is put into the configuration before anything is decided, so that nothing behind
//! it knows of ignoring.

use mesh_lang::Ignore;
use mesh_model::{Step, Value};

/// The configuration in which ignored parts are what is there.
pub fn ignoring(ignore: &Ignore, desired: &Value, base: Option<&Value>) -> Value {
    let Some(base) = base else { return desired.clone() };
    match ignore {
        Ignore::None => desired.clone(),
        Ignore::All => base.clone(),
        Ignore::Paths(paths) => paths.iter().fold(desired.clone(), |v, (path, _)| put(&v, &path.0, path.find(base))),
    }
}

/// A copy of `value` in which the part at `steps` is `part` (null where there is none).
fn put(value: &Value, steps: &[Step], part: Option<&Value>) -> Value {
    let Some((first, rest)) = steps.split_first() else { return part.cloned().unwrap_or(Value::NULL) };
    match first {
        Step::Key(key) => match value.get(key) {
            None if part.is_none() || value.as_fields().is_none() => value.clone(),
            None => value.with(key, put(&Value::NULL, rest, part)),
            Some(inner) => value.with(key, put(inner, rest, part)),
        },
        Step::Index(index) => {
            let Some(items) = value.as_items() else { return value.clone() };
            let mut items = items.to_vec();
            if let Some(item) = items.get_mut(*index) {
                *item = put(item, rest, part);
            }
            match value.kind() {
                mesh_model::Kind::List(t, _) => Value::list(t.clone(), items),
                _ => Value::tuple(items),
            }
            .mark(value.marks())
        }
    }
}
