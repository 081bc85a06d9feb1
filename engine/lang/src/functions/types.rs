//! Conversions, marks, and the type of a value.
//!
//! The one decision: these are the functions that look at a value's type and marks instead of its
//! content, so they take everything: null, unknown, marked.

use std::fmt::Write as _;

use super::*;

const V: &[Param] = &[Param::new("v", Ty::Any).nullable().any().marked()];
const VALUE: &[Param] = &[Param::new("value", Ty::Any).nullable().any()];

const fn to(name: &'static str, result: Ty, body: fn(&Context, &[Value]) -> Outcome, doc: &'static str) -> Function {
    Function::new(name, V, result, body, doc)
}

const fn marks(name: &'static str, result: Ty, body: fn(&Context, &[Value]) -> Outcome, doc: &'static str) -> Function {
    Function::new(name, VALUE, result, body, doc).sees_marks()
}

const fn elsewhere(name: &'static str, params: &'static [Param], doc: &'static str) -> Function {
    Function { body: Body::Elsewhere, ..Function::new(name, params, Ty::Any, |_, _| Ok(Value::NULL), doc) }
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        result: Ty::Bool,
        ..elsewhere("can", &[Param::new("expression", Ty::Any)], "Whether an expression evaluates without an error.")
    },
    marks(
        "ephemeralasnull",
        Ty::Any,
        |_, a| Ok(without_ephemeral(&a[0])),
        "The value with its ephemeral parts replaced by null.",
    ),
    marks(
        "issensitive",
        Ty::Bool,
        |_, a| {
            let v = &a[0];
            Ok(match (v.marks().sensitive(), v.is_unknown()) {
                (true, _) => Value::bool(true),
                (false, true) => Value::unknown(Type::Bool),
                (false, false) => Value::bool(false),
            })
        },
        "Whether a value is sensitive.",
    ),
    marks(
        "nonsensitive",
        Ty::Any,
        |_, a| {
            let (bare, marks) = a[0].reveal();
            Ok(bare.mark(marks.without(Marks::SENSITIVE)))
        },
        "The value, no longer sensitive: the author vouches that it may be shown.",
    ),
    marks("sensitive", Ty::Any, |_, a| Ok(a[0].clone().sensitive()), "The value, marked sensitive."),
    to("tobool", Ty::Bool, |_, a| conversion(a, &Type::Bool), "A value as bool."),
    to("tolist", Ty::List, |_, a| conversion(a, &Ty::List.ty()), "A sequence as a list of one element type."),
    to("tomap", Ty::Map, |_, a| conversion(a, &Ty::Map.ty()), "An object as a map of one element type."),
    to("tonumber", Ty::Number, |_, a| conversion(a, &Type::Number), "A value as number."),
    to("toset", Ty::Set, |_, a| conversion(a, &Ty::Set.ty()), "A sequence as a set of one element type."),
    to("tostring", Ty::String, |_, a| conversion(a, &Type::String), "A value as text."),
    Function {
        variadic: Some(Param::new("expressions", Ty::Any)),
        ..elsewhere("try", &[], "The first of the expressions that evaluates without an error.")
    },
    elsewhere("type", &[Param::new("value", Ty::Any)], "The type of a value; in the console only."),
];

fn conversion(args: &[Value], ty: &Type) -> Outcome {
    let value = &args[0];
    adapt(value, ty).map_err(|_| {
        let message = match (value.as_str(), ty) {
            (Some(text), Type::Bool) => {
                format!("{text:?} is neither \"true\" nor \"false\"")
            }
            (Some(text), Type::Number) => {
                format!("{text:?} is no decimal number")
            }
            _ => format!("{} cannot become {}", value.ty().friendly(), ty.friendly()),
        };
        CallError::at(0, message)
    })
}

fn without_ephemeral(value: &Value) -> Value {
    if value.marks().ephemeral() {
        return Value::null(value.ty());
    }
    value.map_children(&without_ephemeral)
}

/// A type as the console's `type` function shows it, over several lines.
pub fn describe(value: &Value) -> String {
    let mut out = String::new();
    write_type(&value.ty(), 0, &mut out);
    out
}

fn write_type(ty: &Type, depth: usize, out: &mut String) {
    let pad = |n: usize| "    ".repeat(n);
    let close = pad(depth);
    match ty {
        Type::Dynamic => out.push_str("dynamic"),
        Type::List(t) | Type::Set(t) | Type::Map(t) => {
            out.push_str(match ty {
                Type::List(_) => "list(",
                Type::Set(_) => "set(",
                _ => "map(",
            });
            if t.is_primitive() || matches!(**t, Type::Dynamic) {
                write_type(t, depth, out);
                out.push(')');
            } else {
                let _ = write!(out, "\n{}", pad(depth + 1));
                write_type(t, depth + 1, out);
                let _ = write!(out, ",\n{close})");
            }
        }
        Type::Tuple(types) if types.is_empty() => out.push_str("tuple([])"),
        Type::Tuple(types) => {
            out.push_str("tuple([\n");
            for t in types.iter() {
                out.push_str(&pad(depth + 1));
                write_type(t, depth + 1, out);
                out.push_str(",\n");
            }
            let _ = write!(out, "{close}])");
        }
        Type::Object(object) if object.attributes.is_empty() => out.push_str("object({})"),
        Type::Object(object) => {
            out.push_str("object({\n");
            for (name, t) in &object.attributes {
                let _ = write!(out, "{}{name}: ", pad(depth + 1));
                write_type(t, depth + 1, out);
                out.push_str(",\n");
            }
            let _ = write!(out, "{close}}})");
        }
        primitive => {
            let _ = write!(out, "{primitive}");
        }
    }
}
