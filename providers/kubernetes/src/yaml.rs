//! Multi-document YAML as manifests.
//!
//! Scalars are read as `kubectl` reads them (`0644` is octal, `on` is true), since the text is
//! written for it. Errors name the line but never quote the text, which may hold secrets.

use mesh_model::Value;
use mesh_model::json::from_json;
use serde_json::Value as Json;

/// The objects of a text, those inside a `kind: List` one by one; empty documents are left out.
///
/// # Errors
/// What is wrong and where, without the text around it.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = 20_000_000;
    budget.max_nodes = 10_000_000;
    budget.max_documents = 100_000;
    budget.max_depth = 200;
    let mut options = serde_saphyr::Options::default();
    options.legacy_octal_numbers = true;
    options.with_snippet = false;
    options.budget = Some(budget);
    let parsed: Vec<Json> = serde_saphyr::from_multiple_with_options(text, options).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for document in parsed {
        flatten(document, &mut out)?;
    }
    Ok(out)
}

fn flatten(document: Json, out: &mut Vec<Value>) -> Result<(), String> {
    let Json::Object(mut fields) = document else {
        return if document.is_null() { Ok(()) } else { Err("a document is not an object".to_owned()) };
    };
    let is_list = fields.get("kind").and_then(Json::as_str).is_some_and(|k| k == "List");
    match fields.get_mut("items").filter(|_| is_list).map(Json::take) {
        Some(Json::Array(items)) => items.into_iter().try_for_each(|item| flatten(item, out)),
        _ => {
            out.push(from_json(&Json::Object(fields)));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::json::to_json;

    #[test]
    fn reads_as_kubectl_does() {
        let docs = documents(
            "# a comment\n---\nkind: ConfigMap\nmode: 0644\non: 'on'\nflag: yes\nn: 10\nport: \"80\"\n---\n---\nkind: List\nitems:\n- {kind: A}\n- {kind: B}\n",
        )
        .expect("parses");
        assert_eq!(
            docs.iter().map(to_json).collect::<Vec<_>>(),
            [
                serde_json::json!({"kind":"ConfigMap","mode":420,"on":"on","flag":true,"n":10,"port":"80"}),
                serde_json::json!({"kind":"A"}),
                serde_json::json!({"kind":"B"}),
            ]
            .map(|j| to_json(&from_json(&j)))
        );
    }

    #[test]
    fn errors_say_where_and_quote_nothing() {
        let error = documents("kind: Secret\nstringData:\n  a: canary\n b: {\n").expect_err("is broken");
        assert!(!error.contains("canary"), "{error}");
        assert!(error.contains("line"), "{error}");
        assert!(documents("just text").is_err());
    }
}
