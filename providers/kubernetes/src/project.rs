//! Live objects seen through the eyes of a configuration.
//!
//! The one decision: nothing is compared but the leaf paths that somebody here asked for. A
//! projection keeps the live values at the paths of the given configurations, in their spelling
//! where it means the same, with their marks; so foreign fields, defaults and sidecars do not show,
//! and before and after read well side by side.

use mesh_model::json::from_json;
use mesh_model::{Kind, Marks, Value};
use serde_json::Value as Json;

use crate::equality;
use crate::place::{ListKind, Place, false_when_absent, harmless_when_empty, key_of, key_of_json};

/// The live value at the paths of `bases`. The first base gives order and spelling.
pub(crate) fn project(bases: &[&Value], live: &Json, at: &Place<'_>) -> Value {
    let marks = bases.iter().fold(Marks::NONE, |m, b| m.union(b.marks()));
    let bare = match live {
        Json::Object(fields) => {
            let objects: Vec<_> = bases.iter().filter_map(|b| b.as_fields()).collect();
            if objects.is_empty() {
                return whole(bases, live);
            }
            let mut out: Vec<(std::sync::Arc<str>, Value)> = Vec::new();
            for (key, value) in objects.iter().flat_map(|o| o.iter()) {
                if value.is_null() || at.is_servers(key) || out.iter().any(|(k, _)| k == key) {
                    continue;
                }
                if let Some(child) = fields.get(&**key).filter(|c| !c.is_null()) {
                    let wanted: Vec<&Value> =
                        objects.iter().filter_map(|o| o.get(key)).filter(|v| !v.is_null()).collect();
                    out.push((key.clone(), project(&wanted, child, &at.down(key))));
                }
            }
            Value::object(out)
        }
        Json::Array(items) => {
            let lists: Vec<_> = bases.iter().filter_map(|b| b.as_items()).collect();
            if lists.is_empty() {
                return whole(bases, live);
            }
            Value::tuple(elements(&lists, items, at))
        }
        scalar => {
            let seen = from_json(scalar);
            let known = bases.iter().find(|b| {
                !matches!(b.kind(), Kind::Withheld(..) | Kind::Unknown(_))
                    && equality::scalar(&b.reveal().0, &seen, at.parent(), at.key(), at.is_base64())
            });
            known.map_or(seen, |b| b.reveal().0)
        }
    };
    bare.mark(marks)
}

fn elements(lists: &[&std::sync::Arc<[Value]>], items: &[Json], at: &Place<'_>) -> Vec<Value> {
    match at.list() {
        ListKind::Atomic => items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let wanted: Vec<&Value> = lists.iter().filter_map(|l| l.get(i)).collect();
                if wanted.is_empty() { from_json(item) } else { project(&wanted, item, at) }
            })
            .collect(),
        ListKind::Keyed(fields) => {
            let mut done = Vec::new();
            let mut out = Vec::new();
            for key in lists.iter().flat_map(|l| l.iter()).map(|e| key_of(e, fields)) {
                if done.contains(&key) {
                    continue;
                }
                if let Some(item) = items.iter().find(|i| key_of_json(i, fields) == key) {
                    let wanted: Vec<&Value> =
                        lists.iter().flat_map(|l| l.iter()).filter(|e| key_of(e, fields) == key).collect();
                    out.push(project(&wanted, item, at));
                }
                done.push(key);
            }
            out
        }
        ListKind::Set => {
            let mut out: Vec<Value> = Vec::new();
            for wanted in lists.iter().flat_map(|l| l.iter()) {
                if items.iter().any(|i| from_json(i).same(wanted)) && !out.iter().any(|o| o.same(wanted)) {
                    out.push(wanted.clone());
                }
            }
            out
        }
    }
}

/// A part that no configuration has the shape of: all of it, as secret as anything around it.
fn whole(bases: &[&Value], live: &Json) -> Value {
    from_json(live).mark(bases.iter().fold(Marks::NONE, |m, b| m.union(b.all_marks())))
}

/// Whether what is there is what is wanted: every wanted path has its value, and nothing is there
/// that only an older configuration wanted.
pub(crate) fn same(wanted: &Value, seen: &Value, at: &Place<'_>) -> bool {
    if let (Some(a), Some(b)) = (wanted.as_fields(), seen.as_fields()) {
        return a.iter().filter(|(k, v)| !v.is_null() && !at.is_servers(k)).all(|(key, value)| match b.get(key) {
            Some(there) => same(value, there, &at.down(key)),
            None => {
                is_empty(value) && harmless_when_empty(key) || value.as_bool() == Some(false) && false_when_absent(key)
            }
        }) && b.iter().all(|(key, value)| is_empty(value) || a.get(key).is_some_and(|v| !v.is_null()));
    }
    if let (Some(a), Some(b)) = (wanted.as_items(), seen.as_items()) {
        return match at.list() {
            ListKind::Atomic => a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| same(x, y, at)),
            ListKind::Keyed(fields) => {
                let find = |list: &[Value], key: &[String]| list.iter().find(|e| key_of(e, fields) == key).cloned();
                a.iter().all(|x| find(b, &key_of(x, fields)).is_some_and(|y| same(x, &y, at)))
                    && b.iter().all(|y| find(a, &key_of(y, fields)).is_some())
            }
            ListKind::Set => a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| x.same(y))),
        };
    }
    if wanted.is_unknown() || wanted.as_fields().is_some() || wanted.as_items().is_some() {
        return false;
    }
    equality::scalar(&wanted.reveal().0, &seen.reveal().0, at.parent(), at.key(), at.is_base64())
}

fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_fields().is_some_and(mesh_model::Fields::is_empty)
        || value.as_items().is_some_and(|i| i.is_empty())
}

/// The paths that a configuration claims, containers included, spelled as the server spells them in
/// conflicts (`.spec.template.spec.containers[name="x"].image`).
pub(crate) fn claimed_paths(value: &Value, at: &Place<'_>) -> Vec<String> {
    let mut out = Vec::new();
    claim(value, at, String::new(), &mut out);
    out
}

fn claim(value: &Value, at: &Place<'_>, path: String, out: &mut Vec<String>) {
    if let Some(fields) = value.as_fields() {
        for (key, child) in fields.iter().filter(|(_, v)| !v.is_null()) {
            claim(child, &at.down(key), format!("{path}.{key}"), out);
        }
    } else if let (Some(items), ListKind::Keyed(keys)) = (value.as_items(), at.list()) {
        for item in items.iter() {
            let key: Vec<String> = keys
                .iter()
                .zip(key_of(item, keys))
                .map(
                    |(k, v)| {
                        if v.bytes().all(|b| b.is_ascii_digit()) { format!("{k}={v}") } else { format!("{k}={v:?}") }
                    },
                )
                .collect();
            claim(item, at, format!("{path}[{}]", key.join(",")), out);
        }
    } else if value.as_items().is_some() {
        // All elements, by whatever keys the server tells them apart.
        out.push(format!("{path}["));
    }
    if !path.is_empty() {
        out.push(path);
    }
}

/// Whether a field of a conflict is one of the claimed paths.
pub(crate) fn is_claimed(field: &str, claimed: &[String]) -> bool {
    claimed.iter().any(|c| c == field || c.ends_with('[') && field.starts_with(c.as_str()))
}

#[cfg(test)]
mod tests;
