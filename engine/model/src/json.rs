//! Values to and from JSON.
//!
//! The one decision: [`to_json`] redacts marked values; only [`reveal_json`], the JSON twin of
//! [`Value::reveal`], gives them in clear, for providers and files that are themselves secret.
//! Numbers that JSON readers would round are written as they are (arbitrary precision is the
//! reader's affair), through their shortest decimal text.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::{Kind, Number, Value};

/// JSON in which a sensitive or ephemeral value is null and an unknown one is left out (null where
/// it is an element of a sequence).
pub fn to_json(value: &Value) -> Json {
    if !value.marks().is_empty() {
        return Json::Null;
    }
    convert(value, &to_json)
}

/// JSON of everything, marked or not. Unknown and withheld parts become null: check before, where
/// that matters.
pub fn reveal_json(value: &Value) -> Json {
    convert(value, &reveal_json)
}

fn convert(value: &Value, each: &dyn Fn(&Value) -> Json) -> Json {
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(_) | Kind::Withheld(..) => Json::Null,
        Kind::Bool(b) => Json::Bool(*b),
        Kind::Number(n) => number_to_json(n),
        Kind::String(s) => Json::String(s.to_string()),
        Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => Json::Array(i.iter().map(each).collect()),
        Kind::Map(_, f) | Kind::Object(f) => {
            Json::Object(f.iter().filter(|(_, v)| !v.is_unknown()).map(|(k, v)| (k.to_string(), each(v))).collect())
        }
    }
}

/// A JSON number: an integer where it is one, else the nearest float.
pub fn number_to_json(number: &Number) -> Json {
    match number {
        Number::Int(n) => Json::from(*n),
        big => big
            .to_string()
            .parse::<u64>()
            .map(Json::from)
            .unwrap_or_else(|_| serde_json::Number::from_f64(big.to_f64()).map_or(Json::Null, Json::Number)),
    }
}

/// The value that JSON text implies: objects and tuples, no lists or maps.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::NULL,
        Json::Bool(b) => Value::bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Value::number(i),
            None => n.to_string().parse::<Number>().map_or(Value::NULL, Value::number),
        },
        Json::String(s) => Value::string(s.as_str()),
        Json::Array(items) => Value::tuple(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(fields) => Value::object(fields.iter().map(|(k, v)| (Arc::<str>::from(k.as_str()), from_json(v)))),
    }
}

/// One text for each value, whatever its marks and whether a sequence is list or tuple: sorted
/// keys, no spaces, numbers by their shortest decimal text. For fingerprints and digests.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value.kind() {
        Kind::Null(_) => out.push_str("null"),
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(s) => push_string(s, out),
        Kind::Unknown(t) => {
            out.push_str("unknown:");
            out.push_str(&t.to_string());
        }
        Kind::Withheld(_, f) => {
            out.push_str("withheld:");
            for b in f.bytes() {
                out.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
                out.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
            }
        }
        Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => {
            out.push('[');
            for (n, v) in i.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_canonical(v, out);
            }
            out.push(']');
        }
        Kind::Map(_, f) | Kind::Object(f) => {
            out.push('{');
            for (n, (k, v)) in f.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                push_string(k, out);
                out.push(':');
                write_canonical(v, out);
            }
            out.push('}');
        }
    }
}

fn push_string(text: &str, out: &mut String) {
    out.push_str(&Json::from(text).to_string());
}

/// The mirror of a value that tells which leaves are sensitive: `true` at marked parts, `{}`/`[]`
/// around them, `false` for a value without any.
pub fn sensitive_mirror(value: &Value) -> Json {
    mirror(value, &|v| v.marks().sensitive())
}

/// The mirror of a value that tells which leaves are unknown.
pub fn unknown_mirror(value: &Value) -> Json {
    mirror(value, &Value::is_unknown)
}

fn mirror(value: &Value, hit: &dyn Fn(&Value) -> bool) -> Json {
    if hit(value) {
        return Json::Bool(true);
    }
    match value.kind() {
        Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => Json::Array(i.iter().map(|v| mirror(v, hit)).collect()),
        Kind::Map(_, f) | Kind::Object(f) => {
            let fields: Map<String, Json> = f
                .iter()
                .map(|(k, v)| (k.to_string(), mirror(v, hit)))
                .filter(|(_, j)| *j != Json::Bool(false))
                .collect();
            Json::Object(fields)
        }
        _ => Json::Bool(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Type;

    #[test]
    fn to_json_redacts_and_reveal_json_does_not() {
        let v = Value::object([("a", Value::string("canary").sensitive()), ("b", Value::number(1))]);
        assert_eq!(to_json(&v).to_string(), r#"{"a":null,"b":1}"#);
        assert_eq!(reveal_json(&v).to_string(), r#"{"a":"canary","b":1}"#);
        assert_eq!(sensitive_mirror(&v).to_string(), r#"{"a":true}"#);
    }

    #[test]
    fn canonical_ignores_marks_and_sequence_kinds() {
        let a = Value::list(Type::Number, vec![Value::number(1)]);
        let b = Value::tuple(vec![Value::number(1).sensitive()]);
        assert_eq!(canonical(&a), canonical(&b));
    }
}
