//! What is secret in an object, and text without it.
//!
//! Marks sit at the leaves: a configuration that is marked as a whole still shows which object it
//! is and which keys it has, but no value. A Secret's `data` and `stringData` are always marked.

use std::collections::BTreeSet;

use mesh_model::{Marks, Value};
use serde_json::Value as Json;

use crate::equality::{decode, encode};
use crate::object::{LAST_APPLIED, SERVERS};

/// A manifest with its marks at the leaves, those of a Secret added.
pub(crate) fn mark_manifest(manifest: &Value) -> Value {
    let pushed = push_down(manifest, Marks::NONE, true);
    if pushed.get_str("kind") != Some("Secret") {
        return pushed;
    }
    let mut out = pushed;
    for name in ["data", "stringData"] {
        if let Some(part) = out.get(name).cloned() {
            out = out.with(name, push_down(&part, Marks::SENSITIVE, false));
        }
    }
    let copy = out.get("metadata").and_then(|m| m.get("annotations")).and_then(|a| a.get(LAST_APPLIED)).cloned();
    if let (Some(copy), Some(metadata)) = (copy, out.get("metadata").cloned())
        && let Some(annotations) = metadata.get("annotations").cloned()
    {
        out = out.with("metadata", metadata.with("annotations", annotations.with(LAST_APPLIED, copy.sensitive())));
    }
    out
}

/// Moves marks of containers to their leaves; what says which object it is stays clear.
fn push_down(value: &Value, marks: Marks, top: bool) -> Value {
    let (bare, own) = value.reveal();
    let marks = marks.union(own);
    if marks.is_empty() && value.all_marks().is_empty() {
        return value.clone();
    }
    let Some(fields) = bare.as_fields().filter(|f| !f.is_empty()) else {
        if bare.as_items().is_some_and(|i| !i.is_empty()) {
            return bare.map_children(&|v| push_down(v, marks, false));
        }
        return bare.mark(marks);
    };
    let children = fields.iter().map(|(k, v)| {
        let clear = top && matches!(&**k, "apiVersion" | "kind");
        let child = if top && &**k == "metadata" && v.as_fields().is_some() {
            let named = push_down(v, marks, false);
            let bare_of = |name: &str| v.get(name).map(|x| x.reveal().0);
            ["name", "namespace"]
                .into_iter()
                .fold(named, |m, name| bare_of(name).map_or_else(|| m.clone(), |x| m.with(name, x)))
        } else if clear {
            v.reveal().0
        } else {
            push_down(v, marks, false)
        };
        (k.clone(), child)
    });
    Value::object(children)
}

/// Marks every leaf of a manifest, as for one that comes out of a secret text.
pub(crate) fn mark_all(manifest: &Value) -> Value {
    push_down(manifest, Marks::SENSITIVE, true)
}

/// The live Secret in which `stringData` shows the keys that a configuration wrote there.
pub(crate) fn with_string_data(mut live: Json, bases: &[&Value]) -> Json {
    let keys: BTreeSet<&str> =
        bases.iter().filter_map(|b| b.get("stringData")?.as_fields()).flat_map(|f| f.keys().map(|k| &**k)).collect();
    let mut shown = serde_json::Map::new();
    for key in keys {
        let text = live.get("data").and_then(|d| d.get(key)).and_then(Json::as_str).and_then(decode);
        if let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) {
            shown.insert(key.to_owned(), text.into());
        }
    }
    if !shown.is_empty()
        && let Some(fields) = live.as_object_mut()
    {
        fields.insert("stringData".into(), shown.into());
    }
    live
}

/// What is sent: `stringData` as `data`, since the server keeps only that (and would own the wrong
/// fields); without nulls and without what belongs to the server.
pub(crate) fn body(manifest: &Value) -> Json {
    let mut json = without_nulls(mesh_model::json::reveal_json(manifest));
    if let Some(fields) = json.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Json::as_object_mut) {
            metadata.retain(|key, _| !SERVERS.contains(&key.as_str()));
        }
        if fields.get("kind").and_then(Json::as_str) == Some("Secret")
            && let Some(Json::Object(texts)) = fields.remove("stringData")
        {
            let data = fields.entry("data").or_insert_with(|| Json::Object(serde_json::Map::new()));
            if let Some(data) = data.as_object_mut() {
                for (key, text) in texts {
                    let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
                    data.insert(key, encode(text.as_bytes()).into());
                }
            }
        }
    }
    json
}

fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// `text` in which no marked leaf of `value` shows, plain, in base64 or decoded.
pub(crate) fn scrub(text: &str, value: Option<&Value>) -> String {
    let mut out = text.to_owned();
    // The decoder quotes the bytes around an error.
    if let Some(value) = value.filter(|v| v.all_marks().sensitive()) {
        if let Some(cut) = out.find(", error found in #") {
            out.truncate(cut);
        }
        let mut secrets = BTreeSet::new();
        collect(value, false, &mut secrets);
        // Longest first, so that no tail of a longer one is left.
        let mut secrets: Vec<String> = secrets.into_iter().collect();
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        for secret in secrets {
            out = out.replace(&secret, mesh_model::render::SENSITIVE);
        }
    }
    out
}

fn collect(value: &Value, marked: bool, out: &mut BTreeSet<String>) {
    let marked = marked || value.marks().sensitive();
    if marked && let Some(text) = value.as_str().filter(|t| t.trim().len() > 2) {
        out.insert(text.to_owned());
        out.insert(text.trim().to_owned());
        out.insert(encode(text.as_bytes()));
        // As a server quotes it.
        out.insert(Json::from(text).to_string().trim_matches('"').to_owned());
        if let Some(plain) = decode(text).and_then(|b| String::from_utf8(b).ok()).filter(|t| t.trim().len() > 2) {
            out.insert(plain);
        }
    }
    if marked && let Some(number) = value.as_number().map(ToString::to_string).filter(|n| n.len() > 2) {
        out.insert(number);
    }
    for child in value.children() {
        collect(child, marked, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::json::{from_json, to_json};
    use serde_json::json;

    #[test]
    fn a_secret_shows_its_keys_only() {
        let manifest = from_json(
            &json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"type":"Opaque","stringData":{"pin":"canary"},"data":{"x":"Y2FuYXJ5"}}),
        );
        let marked = mark_manifest(&manifest);
        assert_eq!(
            to_json(&marked),
            json!({"apiVersion":"v1","data":{"x":null},"kind":"Secret","metadata":{"name":"a"},"stringData":{"pin":null},"type":"Opaque"})
        );
        assert_eq!(mark_manifest(&marked), marked);
    }

    #[test]
    fn a_wholly_marked_manifest_still_says_which_object_it_is() {
        let manifest = from_json(
            &json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"l":"canary"}},"data":{"x":"canary"}}),
        );
        for marked in [mark_manifest(&manifest.clone().sensitive()), mark_all(&manifest)] {
            let text = format!("{marked:?}");
            assert!(!text.contains("canary"), "{text}");
            assert_eq!(crate::object::Reference::of(&marked).map(|r| r.text()).as_deref(), Some("ConfigMap a"));
            assert_eq!(to_json(&marked)["metadata"]["name"], "a");
        }
    }

    #[test]
    fn string_data_is_sent_as_data_and_shown_as_it_was_written() {
        let wanted = from_json(&json!({"kind":"Secret","stringData":{"pin":"1234"},"data":null}));
        assert_eq!(body(&wanted), json!({"kind":"Secret","data":{"pin":"MTIzNA=="}}));
        let live = with_string_data(json!({"kind":"Secret","data":{"pin":"MTIzNA==","z":"eg=="}}), &[&wanted]);
        assert_eq!(live["stringData"], json!({"pin":"1234"}));
    }

    #[test]
    fn errors_are_scrubbed_in_every_spelling() {
        let value = Value::object([("pin", Value::string("s3cr\"et").sensitive()), ("user", Value::string("bob"))]);
        let text = format!("bob: bad s3cr\"et, s3cr\\\"et and {}", encode(b"s3cr\"et"));
        let out = scrub(&text, Some(&value));
        assert!(!out.contains("s3cr") && !out.contains("czNj") && out.contains("bob"), "{out}");
        assert_eq!(scrub("a, error found in #10 byte of ...|x|...", Some(&value)), "a");
    }
}
