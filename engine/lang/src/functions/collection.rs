//! Functions of any collection: questions about it, and choices between values.
//!
//! The one decision: these take unknown elements and answer as soon as the known ones decide.

use mesh_model::convert::unify;
use unicode_segmentation::UnicodeSegmentation;

use super::*;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "alltrue",
        &[Param::new("list", Ty::Bools).parts()],
        Ty::Bool,
        |_, a| Ok(decide(a, true)),
        "Whether all elements are true.",
    ),
    Function::new(
        "anytrue",
        &[Param::new("list", Ty::Bools).parts()],
        Ty::Bool,
        |_, a| Ok(decide(a, false)),
        "Whether at least one element is true.",
    ),
    Function::new("coalesce", &[], Ty::Any, coalesce, "The first value that is neither null nor an empty text.")
        .variadic(Param::new("vals", Ty::Any).nullable().any()),
    Function::new(
        "contains",
        &[Param::new("list", Ty::Any).parts(), Param::new("value", Ty::Any)],
        Ty::Bool,
        contains,
        "Whether a list, set or tuple has an element.",
    ),
    Function::new(
        "length",
        &[Param::new("value", Ty::Any).any().marked()],
        Ty::Number,
        length,
        "The number of elements, attributes or characters.",
    ),
    Function::new(
        "one",
        &[Param::new("list", Ty::Any).parts().marked()],
        Ty::Any,
        one,
        "The only element of a list, or null where it is empty.",
    ),
];

/// `all`: whether all are true; else whether any is.
fn decide(args: &[Value], all: bool) -> Value {
    let mut open = false;
    for item in items(args, 0) {
        if item.is_unknown() {
            open = true;
        } else if (item.as_bool() == Some(true)) != all {
            return Value::bool(!all);
        }
    }
    if open { Value::unknown(Type::Bool) } else { Value::bool(all) }
}

fn coalesce(_: &Context, args: &[Value]) -> Outcome {
    let types: Vec<Type> = args.iter().map(Value::ty).collect();
    if args.is_empty() {
        return Err(CallError::new("there is nothing to choose from; give at least one value"));
    }
    let apart = || CallError::new("the values have no type in common; convert them first, for instance with tostring");
    let ty = unify(&types).ok_or_else(apart)?;
    for arg in args {
        let value = convert(arg, &ty).map_err(|_| apart())?;
        if value.is_unknown() {
            return Ok(Value::unknown(ty));
        }
        if !value.is_null() && value.as_str() != Some("") {
            return Ok(value);
        }
    }
    Err(CallError::new("every value is null or an empty text; add a default as the last one"))
}

fn contains(_: &Context, args: &[Value]) -> Outcome {
    let Some(all) = args[0].as_items() else {
        return Err(CallError::at(0, "a list, set or tuple is needed; of a map, take keys or values"));
    };
    if all.iter().any(|v| v.same(&args[1])) {
        return Ok(Value::bool(true));
    }
    Ok(if all.iter().all(Value::is_wholly_known) { Value::bool(false) } else { Value::unknown(Type::Bool) })
}

fn length(_: &Context, args: &[Value]) -> Outcome {
    let count = match args[0].kind() {
        Kind::String(s) => s.graphemes(true).count(),
        Kind::Set(_, i) if !i.iter().all(Value::is_wholly_known) => return Ok(Value::unknown(Type::Number)),
        Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => i.len(),
        Kind::Map(_, f) | Kind::Object(f) => f.len(),
        Kind::Unknown(Type::Tuple(t)) => t.len(),
        Kind::Unknown(Type::Object(o)) => o.attributes.len(),
        Kind::Unknown(Type::Dynamic | Type::String | Type::List(_) | Type::Set(_) | Type::Map(_)) => {
            return Ok(Value::unknown(Type::Number));
        }
        _ => return Err(CallError::at(0, "only texts, collections, tuples and objects have a length")),
    };
    Ok(Value::number(count))
}

fn one(_: &Context, args: &[Value]) -> Outcome {
    match args[0].as_items().map(|i| &**i) {
        Some([]) => Ok(Value::null(match args[0].kind() {
            Kind::List(t, _) | Kind::Set(t, _) => t.clone(),
            _ => Type::Dynamic,
        })),
        Some([only]) => Ok(only.clone()),
        Some(more) => Err(CallError::at(0, format!("it has {} elements, and at most one is allowed", more.len()))),
        None => Err(CallError::at(0, "a list, set or tuple is needed")),
    }
}
