//! Attributes that Vault takes and gives as plain JSON fields: one row each.
//!
//! The one decision: an attribute that is not configured is sent as its zero value, since Vault's merging endpoints
//! keep what is left out; and a zero value that comes back is null. Spellings that mean the same (TTLs, sorted and
//! lower-cased policies, host CIDRs) are compared here and nowhere else.

use mesh_model::schema::duration_seconds;
use mesh_model::{Type, Value};
use mesh_sdk::Problem;
use serde_json::{Value as Json, json};

/// How a value travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Text; null is "".
    Text,
    /// PEM text; white space at the end does not count.
    Pem,
    /// A truth value; null is false.
    Flag,
    /// A duration in any spelling, whole seconds on the wire; null is 0.
    Seconds,
    /// A number; null is 0.
    Count,
    /// A set of texts; null is empty.
    Names,
    /// Policy names, which Vault sorts and lower-cases.
    Policies,
    /// Networks; Vault drops the `/32` of a host.
    Networks,
    /// Texts in an order that counts; null is empty.
    Texts,
}

/// One attribute and its field of the same name.
pub(crate) type Field = (&'static str, Wire);

/// The JSON of an attribute.
pub(crate) fn to_wire(wire: Wire, value: Option<&Value>) -> Json {
    let value = value.filter(|v| !v.is_null());
    match wire {
        Wire::Text | Wire::Pem => json!(value.and_then(Value::as_str).unwrap_or_default()),
        Wire::Flag => json!(value.and_then(Value::as_bool).unwrap_or(false)),
        Wire::Seconds => json!(value.and_then(seconds).unwrap_or(0)),
        Wire::Count => json!(value.and_then(Value::as_i64).unwrap_or(0)),
        Wire::Names | Wire::Policies | Wire::Networks | Wire::Texts => json!(texts(value)),
    }
}

/// The value of a field, null for its zero value.
pub(crate) fn from_wire(wire: Wire, json: &Json) -> Value {
    match wire {
        Wire::Text | Wire::Pem => match json.as_str() {
            Some(text) if !text.is_empty() => Value::string(text),
            _ => Value::null(Type::String),
        },
        Wire::Flag => Value::bool(json.as_bool().unwrap_or(false)),
        // Some endpoints give durations as text.
        Wire::Seconds => match json.as_i64().or_else(|| whole(duration_seconds(json.as_str()?)?)) {
            Some(n) if n != 0 => Value::string(n.to_string()),
            _ => Value::null(Type::String),
        },
        Wire::Count => match json.as_i64() {
            Some(n) if n != 0 => Value::number(n),
            _ => Value::null(Type::Number),
        },
        Wire::Names | Wire::Policies | Wire::Networks | Wire::Texts => {
            let items: Vec<Value> =
                json.as_array().into_iter().flatten().filter_map(|t| t.as_str().map(Value::string)).collect();
            match (items.is_empty(), wire) {
                (true, Wire::Texts) => Value::null(Type::list(Type::String)),
                (true, _) => Value::null(Type::set(Type::String)),
                (false, Wire::Texts) => Value::list(Type::String, items),
                (false, _) => Value::set(Type::String, items),
            }
        }
    }
}

/// Whether two values of a field mean the same.
pub(crate) fn same(wire: Wire, a: &Value, b: &Value) -> bool {
    if !a.is_wholly_known() || !b.is_wholly_known() || a.has_withheld() || b.has_withheld() {
        return false;
    }
    match wire {
        Wire::Policies => normalised(a, |t| t.trim().to_lowercase()) == normalised(b, |t| t.trim().to_lowercase()),
        Wire::Networks => normalised(a, |t| host(&t)) == normalised(b, |t| host(&t)),
        Wire::Pem => a.as_str().unwrap_or_default().trim() == b.as_str().unwrap_or_default().trim(),
        _ => to_wire(wire, Some(a)) == to_wire(wire, Some(b)),
    }
}

/// Checks the durations of a configuration as far as they are known.
pub(crate) fn check_durations(config: &Value, fields: &[Field]) -> Vec<Problem> {
    let bad = |name: &str| {
        let value = config.get(name).filter(|v| v.is_wholly_known() && !v.is_null() && !v.is_withheld())?;
        seconds(value).is_none().then(|| {
            Problem::at(name, format!("{name} is a duration of whole seconds: a number of seconds (3600) or text like \"768h\", \"32d\" or \"1h30m\"."))
        })
    };
    fields.iter().filter(|(_, wire)| *wire == Wire::Seconds).filter_map(|(name, _)| bad(name)).collect()
}

fn seconds(value: &Value) -> Option<i64> {
    whole(duration_seconds(value.as_str()?)?)
}

fn whole(seconds: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and far inside the range")]
    (seconds.fract() == 0.0 && seconds.abs() < 1e15).then_some(seconds as i64)
}

pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_items)
        .into_iter()
        .flat_map(|i| i.iter())
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

fn normalised(value: &Value, each: impl Fn(String) -> String) -> Vec<String> {
    let mut items: Vec<String> = texts(Some(value)).into_iter().map(each).collect();
    items.sort();
    items.dedup();
    items
}

fn host(network: &str) -> String {
    let v6 = network.contains(':');
    network.strip_suffix(if v6 { "/128" } else { "/32" }).unwrap_or(network).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(items: &[&str]) -> Value {
        Value::set(Type::String, items.iter().map(|t| Value::string(*t)))
    }

    #[test]
    fn spellings_that_mean_the_same() {
        let text = |t: &str| Value::string(t);
        let null = Value::null(Type::String);
        for (wire, a, b, expected) in [
            (Wire::Seconds, text("768h"), text("2764800"), true),
            (Wire::Seconds, text("32d"), text("2764800"), true),
            (Wire::Seconds, text("0s"), null.clone(), true),
            (Wire::Seconds, text("1h"), null.clone(), false),
            (Wire::Text, text(""), null.clone(), true),
            (Wire::Text, text("a "), text("a"), false),
            (Wire::Pem, text("a\n"), text("a"), true),
            (Wire::Policies, set(&["B", "a"]), set(&["a", "b"]), true),
            (Wire::Names, set(&["B", "a"]), set(&["a", "b"]), false),
            (Wire::Names, set(&[]), Value::null(Type::set(Type::String)), true),
            (Wire::Networks, set(&["1.2.3.4/32", "::1/128"]), set(&["1.2.3.4", "::1"]), true),
            (Wire::Networks, set(&["1.2.3.0/24"]), set(&["1.2.3.0"]), false),
            (Wire::Flag, Value::bool(false), Value::null(Type::Bool), true),
            (Wire::Seconds, text("1h"), Value::unknown(Type::String), false),
        ] {
            assert_eq!(same(wire, &a, &b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn durations_must_be_whole_seconds() {
        let config = |t: &str| Value::object([("ttl", Value::string(t))]);
        for bad in ["500ms", "1 hour", "", "-5s"] {
            assert_eq!(check_durations(&config(bad), &[("ttl", Wire::Seconds)]).len(), 1, "{bad}");
        }
        assert!(check_durations(&config("1h30m"), &[("ttl", Wire::Seconds)]).is_empty());
    }

    #[test]
    fn what_is_not_configured_is_sent_as_zero() {
        assert_eq!(to_wire(Wire::Seconds, None), json!(0));
        assert_eq!(to_wire(Wire::Names, Some(&Value::NULL)), json!([]));
        assert_eq!(to_wire(Wire::Text, None), json!(""));
        assert_eq!(from_wire(Wire::Seconds, &json!("1h")).as_str(), Some("3600"));
        assert!(from_wire(Wire::Names, &json!([])).is_null());
    }
}
