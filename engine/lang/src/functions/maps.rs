//! Functions of maps and objects.
//!
//! The one decision: maps stay maps and objects stay objects; only where value types differ does
//! `merge` turn maps into an object.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "keys",
        &[Param::new("inputMap", Ty::Any).parts().marked()],
        Ty::Any,
        keys,
        "The keys of a map or object, in order.",
    ),
    Function::new(
        "lookup",
        &[Param::new("inputMap", Ty::Any).parts(), Param::new("key", Ty::String)],
        Ty::Any,
        lookup_key,
        "The value under a key, or a default where there is none.",
    )
    .variadic(Param::new("default", Ty::Any).nullable().any())
    .sees_marks(),
    Function::new(
        "matchkeys",
        &[Param::new("values", Ty::List), Param::new("keys", Ty::List), Param::new("searchset", Ty::List)],
        Ty::List,
        matchkeys,
        "The values whose keys, at the same index, are in a search set.",
    ),
    Function::new("merge", &[], Ty::Any, merge, "All entries of the maps; of equal keys the last wins.")
        .variadic(Param::new("maps", Ty::Any).nullable().parts().marked()),
    Function::new(
        "transpose",
        &[Param::new("values", Ty::StringsMap)],
        Ty::StringsMap,
        transpose,
        "A map of lists with keys and elements swapped.",
    ),
    Function::new(
        "values",
        &[Param::new("mapping", Ty::Any).parts().marked()],
        Ty::Any,
        values,
        "The values of a map or object, in the order of their keys.",
    ),
    Function::new(
        "zipmap",
        &[Param::new("keys", Ty::Strings), Param::new("values", Ty::Any).parts().marked()],
        Ty::Any,
        zipmap,
        "A map from a list of keys and a list of values.",
    ),
];

const NO_MAP: &str = "a map or object is needed";

fn keys(_: &Context, args: &[Value]) -> Outcome {
    let names = |f: &Fields| f.keys().cloned().map(Value::string).collect::<Vec<_>>();
    match args[0].kind() {
        Kind::Map(_, f) => Ok(Value::list(Type::String, names(f))),
        Kind::Object(f) => Ok(Value::tuple(names(f))),
        _ => Err(CallError::at(0, NO_MAP)),
    }
}

fn values(_: &Context, args: &[Value]) -> Outcome {
    let all = |f: &Fields| f.values().cloned().collect::<Vec<_>>();
    match args[0].kind() {
        Kind::Map(t, f) => Ok(Value::list(t.clone(), all(f))),
        Kind::Object(f) => Ok(Value::tuple(all(f))),
        _ => Err(CallError::at(0, NO_MAP)),
    }
}

fn lookup_key(_: &Context, args: &[Value]) -> Outcome {
    if args.len() > 3 {
        return Err(CallError::new(format!(
            "it takes a map, a key and a default, and {} arguments were given",
            args.len()
        )));
    }
    let key = text(args, 1);
    // Marks of a default that is not used do not matter.
    let marks = args[0].marks().union(args[1].marks());
    let default = args.get(2);
    match (args[0].kind(), default) {
        (Kind::Object(f), default) => match (f.get(key), default) {
            (Some(value), _) => Ok(value.clone().mark(marks)),
            (None, Some(default)) => Ok(default.clone().mark(marks)),
            (None, None) => Err(CallError::at(1, format!("there is no {key:?}; a default can be the third argument"))),
        },
        (Kind::Map(t, f), default) => {
            let default = default
                .map(|d| convert(d, t))
                .transpose()
                .map_err(|_| CallError::at(2, "it cannot become what the values of the map are"))?;
            match f.get(key).cloned().or(default) {
                Some(value) => Ok(value.mark(marks)),
                None => Err(CallError::at(1, format!("there is no {key:?}; a default can be the third argument"))),
            }
        }
        _ => Err(CallError::at(0, NO_MAP)),
    }
}

fn matchkeys(_: &Context, args: &[Value]) -> Outcome {
    let ty = Type::Dynamic;
    let element = if let Kind::List(t, _) = args[0].kind() { t.clone() } else { ty };
    if items(args, 0).len() != items(args, 1).len() {
        return Err(CallError::new(format!(
            "there are {} values, but {} keys",
            items(args, 0).len(),
            items(args, 1).len()
        )));
    }
    let both: Vec<Value> = items(args, 1).iter().chain(items(args, 2)).cloned().collect();
    let both = convert(&Value::tuple(both), &Ty::List.ty())
        .map_err(|_| CallError::new("the keys and the search set have no type in common"))?;
    let both = both.as_items().map_or(&[][..], |i| &**i);
    let (keys, search) = both.split_at(items(args, 1).len().min(both.len()));
    let mut search = search.to_vec();
    search.sort_by(Value::total_cmp);
    let found = items(args, 0)
        .iter()
        .zip(keys)
        .filter(|(_, k)| search.binary_search_by(|s| s.total_cmp(k)).is_ok())
        .map(|(v, _)| v.clone())
        .collect::<Vec<_>>();
    Ok(Value::list(element, found))
}

fn merge(_: &Context, args: &[Value]) -> Outcome {
    let mut out: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut common: Option<Option<Type>> = None;
    let nothing = Fields::from_sorted(Vec::new());
    for (i, arg) in args.iter().enumerate() {
        let (fields, ty) = match arg.kind() {
            // A null has no entries, but its type counts.
            Kind::Null(Type::Map(t)) => (&nothing, Some((**t).clone())),
            Kind::Null(Type::Dynamic | Type::Object(_)) => (&nothing, None),
            Kind::Map(t, f) => (f, Some(t.clone())),
            Kind::Object(f) => (f, None),
            _ => {
                let have = arg.ty().friendly();
                return Err(CallError::at(i, format!("only maps and objects can be merged, not {have}")));
            }
        };
        common = match common {
            None => Some(ty),
            Some(before) if before == ty => Some(before),
            Some(_) => Some(None),
        };
        out.extend(fields.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    let fields = Fields::from_sorted(out.into_iter().collect());
    Ok(match common {
        Some(Some(ty)) => Value::map(ty, fields),
        _ => Value::from_fields(fields),
    })
}

fn transpose(_: &Context, args: &[Value]) -> Outcome {
    let mut out: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for (key, list) in args[0].as_fields().into_iter().flat_map(Fields::iter) {
        let Some(items) = list.as_items() else {
            return Err(CallError::at(0, format!("the list under {key:?} is null")));
        };
        for item in items.iter() {
            let Kind::String(name) = item.kind() else {
                return Err(CallError::at(0, format!("the list under {key:?} has a null")));
            };
            out.entry(name.clone()).or_default().push(Value::string(key.clone()));
        }
    }
    let fields = out.into_iter().map(|(k, v)| (k, Value::list(Type::String, v))).collect();
    Ok(Value::map(Type::list(Type::String), Fields::from_sorted(fields)))
}

fn zipmap(_: &Context, args: &[Value]) -> Outcome {
    let names = items(args, 0);
    let element = match args[1].kind() {
        Kind::List(t, _) => Some(t.clone()),
        Kind::Tuple(_) => None,
        _ => return Err(CallError::at(1, "a list or tuple is needed")),
    };
    let all = items(args, 1);
    if names.len() != all.len() {
        let (k, v) = (names.len(), all.len());
        return Err(CallError::new(format!("there are {k} keys, but {v} values")));
    }
    let mut entries = Vec::with_capacity(all.len());
    for (i, (name, value)) in names.iter().zip(all).enumerate() {
        let Kind::String(name) = name.kind() else {
            return Err(CallError::at(0, format!("the key at index {i} is null")));
        };
        entries.push((name.clone(), value.clone()));
    }
    let fields: Fields = entries.into_iter().collect();
    Ok(element.map_or_else(|| Value::from_fields(fields.clone()), |t| Value::map(t, fields.clone())))
}
