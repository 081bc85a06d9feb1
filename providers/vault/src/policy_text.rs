//! When two policy texts mean the same.
//!
//! The one decision: both are parsed and compared as a set of blocks, so that layout, comments, the order of paths and
//! of capabilities, and JSON instead of HCL are no change. Vault keeps the text as it was written; so do we.

use std::collections::BTreeMap;

use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Body, Structure};
use serde_json::{Map, Value as Json, json};

/// Deeper nesting is refused before the parser recurses into it.
const DEEPEST: usize = 64;

/// What a policy says, in an order of its own.
pub(crate) type Statements = Vec<String>;

/// The statements of a text, or why it is no policy.
pub(crate) fn parse(text: &str) -> Result<Statements, String> {
    if too_deep(text) {
        return Err(format!("it is nested deeper than {DEEPEST} levels"));
    }
    let mut statements = match (hcl_edit::parser::parse_body(text), serde_json::from_str::<Json>(text)) {
        (Ok(body), _) => from_body(&body),
        (Err(_), Ok(Json::Object(fields))) => from_json(&fields),
        (Err(error), _) => {
            let at = error.location();
            return Err(format!("line {}, column {}: {}", at.line(), at.column(), error.message()));
        }
    };
    statements.sort();
    Ok(statements)
}

/// Whether two texts mean the same; texts that do not parse are compared as they are.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.trim() == b.trim() || matches!((parse(a), parse(b)), (Ok(a), Ok(b)) if a == b)
}

fn too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|b| {
        match b {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

fn from_body(body: &Body) -> Statements {
    body.iter()
        .map(|structure| match structure {
            Structure::Attribute(a) => format!("{} = {}", a.key.as_str(), expression(&a.value)),
            Structure::Block(block) => {
                let labels: Vec<&str> = block.labels.iter().map(|l| l.as_str()).collect();
                statement(block.ident.as_str(), &labels.join(" "), fields(&block.body))
            }
        })
        .collect()
}

fn fields(body: &Body) -> Map<String, Json> {
    let mut out = Map::new();
    for structure in body.iter() {
        match structure {
            Structure::Attribute(a) => out.insert(a.key.as_str().to_owned(), expression(&a.value)),
            Structure::Block(b) => out.insert(b.ident.as_str().to_owned(), Json::Object(fields(&b.body))),
        };
    }
    out
}

fn from_json(policy: &Map<String, Json>) -> Statements {
    let mut out = Vec::new();
    for (kind, entries) in policy {
        match entries {
            Json::Object(entries) => {
                for (label, body) in entries {
                    out.push(statement(kind, label, sorted(body).as_object().cloned().unwrap_or_default()));
                }
            }
            other => out.push(format!("{kind} = {other}")),
        }
    }
    out
}

/// JSON as [`expression`] gives it: keys in order, numbers as text.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Number(n) => json!(n.to_string()),
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(fields) => {
            let fields: BTreeMap<&String, Json> = fields.iter().map(|(k, v)| (k, sorted(v))).collect();
            Json::Object(fields.into_iter().map(|(k, v)| (k.clone(), v)).collect())
        }
        other => other.clone(),
    }
}

fn statement(kind: &str, label: &str, mut body: Map<String, Json>) -> String {
    let mut capabilities: Vec<String> = body
        .remove("capabilities")
        .iter()
        .filter_map(Json::as_array)
        .flatten()
        .filter_map(|c| c.as_str().map(str::to_owned))
        .collect();
    // The form of Vault before 0.5, which it still takes.
    let legacy: &[&str] = match body.get("policy").and_then(Json::as_str) {
        Some("deny") => &["deny"],
        Some("read") => &["read", "list"],
        Some("write") => &["create", "read", "update", "delete", "list"],
        Some("sudo") => &["create", "read", "update", "delete", "list", "sudo"],
        _ => &[],
    };
    if !legacy.is_empty() {
        body.remove("policy");
        capabilities.extend(legacy.iter().map(|c| (*c).to_owned()));
    }
    capabilities.sort();
    capabilities.dedup();
    format!("{kind} {label:?} {capabilities:?} {}", sorted(&Json::Object(body)))
}

/// The content of an expression; what is no plain value is kept as its text.
fn expression(expression: &Expression) -> Json {
    match expression {
        Expression::Null(_) => Json::Null,
        Expression::Bool(b) => json!(*b.value()),
        Expression::Number(n) => json!(n.value().to_string()),
        Expression::String(s) => json!(s.value()),
        Expression::Array(items) => items.iter().map(self::expression).collect(),
        Expression::Object(object) => {
            let key = |k: &ObjectKey| match k {
                ObjectKey::Ident(i) => i.as_str().to_owned(),
                ObjectKey::Expression(e) => e.as_str().map_or_else(|| e.to_string().trim().to_owned(), str::to_owned),
            };
            let mut fields: Vec<(String, Json)> =
                object.iter().map(|(k, v)| (key(k), self::expression(v.expr()))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(fields.into_iter().collect())
        }
        other => json!(other.to_string().trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "path \"asm-c1/hsm\" {\n  capabilities = [\"read\"]\n}\n";

    #[test]
    fn layout_and_order_do_not_count() {
        for (a, b, expected) in [
            (READ, "path \"asm-c1/hsm\" { capabilities = [\"read\"] } # comment", true),
            (READ, r#"{"path": {"asm-c1/hsm": {"capabilities": ["read"]}}}"#, true),
            (
                "path \"a\" { capabilities = [\"read\",\"list\"] }",
                "path \"a\" { capabilities = [\"list\", \"read\", \"read\"] }",
                true,
            ),
            ("path \"a\" { policy = \"read\" }", "path \"a\" { capabilities = [\"read\", \"list\"] }", true),
            (
                r#"{"path": {"a": {"min_wrapping_ttl": 5, "allowed_parameters": {"y": [], "x": ["1"]}}}}"#,
                "path \"a\" {\n allowed_parameters = { x = [\"1\"], y = [] }\n min_wrapping_ttl = 5\n}",
                true,
            ),
            ("path \"a\" {}\npath \"b\" {}", "path \"b\" {}\npath \"a\" {}", true),
            (
                "path \"a\" {\n allowed_parameters = { x = [\"1\"], y = [] }\n}",
                "path \"a\" {\n allowed_parameters = { \"y\" = [], \"x\" = [\"1\"] }\n}",
                true,
            ),
            (READ, "path \"asm-c1/hsm\" { capabilities = [\"update\"] }", false),
            (READ, "path \"asm-c1/HSM\" { capabilities = [\"read\"] }", false),
            ("path \"a\" {\n min_wrapping_ttl = \"1s\"\n}", "path \"a\" {}", false),
            ("path \"a\" {", "path \"a\" {\n", true),
            ("path \"a\" {", "path \"b\" {", false),
        ] {
            assert_eq!(same(a, b), expected, "{a} | {b}");
        }
    }

    #[test]
    fn broken_and_hostile_texts_are_errors() {
        assert!(parse("path \"a\" {").is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"path \"a\" {".repeat(10_000)).is_err());
    }
}
