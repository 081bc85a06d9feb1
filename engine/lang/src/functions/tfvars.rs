//! `provider::mesh::...`: values to text of the language and back. `provider::terraform::...` is the same.
//!
//! The one decision: the text is laid out while it is written, as the formatter would lay it out: one entry
//! of an object a line, the signs of neighbouring lines below each other. What it does not do: say of what type
//! a value was; a map comes back as an object.

use std::fmt::Write as _;

use mesh_model::path::is_identifier;
use mesh_model::{Sources, render};

use super::*;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "decode_tfvars",
        &[Param::new("src", Ty::String)],
        Ty::Any,
        |_, a| decode(text(a, 0)),
        "The object that a file of values means.",
    ),
    Function::new(
        "encode_expr",
        &[Param::new("value", Ty::Any)],
        Ty::String,
        |_, a| {
            let mut out = String::new();
            expression(&a[0], 0, &mut out)?;
            Ok(Value::string(out))
        },
        "A value as an expression.",
    ),
    Function::new(
        "encode_tfvars",
        &[Param::new("value", Ty::Any)],
        Ty::String,
        |_, a| encode(&a[0]),
        "An object as a file of values.",
    ),
];

/// What the argument is called in messages.
const NAME: &str = "the argument";

fn decode(text: &str) -> Outcome {
    let mut sources = Sources::default();
    match crate::parse_values(text, NAME, &mut sources) {
        Ok(values) => Ok(Value::object(values.into_iter().map(|(name, value, _)| (name, value)))),
        Err(errors) => {
            let first = errors.0.first().map_or_else(String::new, |d| {
                let place = d.span.map_or_else(|| NAME.to_owned(), |s| sources.position(s));
                format!("{place}: {}: {}", d.summary, d.detail.trim_end_matches('.'))
            });
            Err(CallError::at(0, first))
        }
    }
}

fn encode(value: &Value) -> Outcome {
    let Some(fields) = value.as_fields() else {
        return Err(CallError::at(0, "an object is needed, whose attributes are the values by name"));
    };
    if let Some(name) = fields.keys().find(|name| !is_identifier(name)) {
        return Err(CallError::at(0, format!("{name:?} cannot name a variable")));
    }
    let mut out = String::new();
    entries(fields, 0, &mut out)?;
    Ok(Value::string(out))
}

fn expression(value: &Value, indent: usize, out: &mut String) -> Result<(), CallError> {
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(_) | Kind::Withheld(..) => out.push_str("null"),
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(s) => out.push_str(&render::quote(s)),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                expression(item, indent, out)?;
            }
            out.push(']');
        }
        Kind::Map(_, fields) | Kind::Object(fields) if fields.is_empty() => out.push_str("{}"),
        Kind::Map(_, fields) | Kind::Object(fields) => {
            out.push_str("{\n");
            entries(fields, indent + 2, out)?;
            out.extend(std::iter::repeat_n(' ', indent));
            out.push('}');
        }
    }
    if out.len() > MAX_TEXT { Err(too_long()) } else { Ok(()) }
}

/// One entry a line; an entry of several lines stands apart from its neighbours' alignment.
fn entries(fields: &Fields, indent: usize, out: &mut String) -> Result<(), CallError> {
    let mut lines: Vec<(String, String)> = Vec::with_capacity(fields.len());
    for (name, value) in fields.iter() {
        let mut text = String::new();
        expression(value, indent, &mut text)?;
        lines.push((render::key(name), text));
    }
    for group in lines.chunk_by(|a, b| !a.1.contains('\n') && !b.1.contains('\n')) {
        let width = group.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, value) in group {
            out.extend(std::iter::repeat_n(' ', indent));
            let _ = writeln!(out, "{name:width$} = {value}");
        }
    }
    if out.len() > MAX_TEXT { Err(too_long()) } else { Ok(()) }
}
