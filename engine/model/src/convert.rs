//! Conversion and unification of types.
//!
//! The one decision: conversion is a pure function from a value and a constraint to a value or a
//! reason that names the path, shared by variables, attributes, functions and `for_each`, so that
//! the same text is accepted everywhere. Marks and unknowns pass through.

use std::fmt;
use std::sync::Arc;

use crate::{Fields, Kind, Path, Step, Type, Value};

/// Why a value cannot become what is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvertError {
    /// Where in the value.
    pub path: Path,
    /// What is wrong there: `string required, but have object`.
    pub reason: String,
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.path, self.reason) }
    }
}

impl std::error::Error for ConvertError {}

impl ConvertError {
    fn at(reason: impl Into<String>) -> Self {
        Self { path: Path::default(), reason: reason.into() }
    }

    fn under(mut self, step: Step) -> Self {
        self.path.0.insert(0, step);
        self
    }
}

/// `value` as a value of type `ty`.
pub fn convert(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    let marks = value.marks();
    let done = |kind: Kind| Ok(Value::from(kind).mark(marks));
    match (value.kind(), ty) {
        (_, Type::Dynamic) => Ok(value.clone()),
        (Kind::Null(from), t) if convertible(from, t) => done(Kind::Null(t.clone())),
        (Kind::Unknown(from), t) => {
            if convertible(from, t) {
                let kept = if matches!(from, Type::Dynamic) || !t.has_dynamic() { t.clone() } else { from.clone() };
                done(Kind::Unknown(kept))
            } else {
                Err(mismatch(value, t))
            }
        }
        (Kind::Withheld(from, fp), t) => {
            if convertible(from, t) {
                done(Kind::Withheld(t.clone(), *fp))
            } else {
                Err(mismatch(value, t))
            }
        }
        (Kind::Bool(_), Type::Bool) | (Kind::Number(_), Type::Number) | (Kind::String(_), Type::String) => {
            Ok(value.clone())
        }
        (Kind::Bool(b), Type::String) => done(Kind::String(Arc::from(if *b { "true" } else { "false" }))),
        (Kind::Number(n), Type::String) => done(Kind::String(n.to_string().into())),
        (Kind::String(s), Type::Bool) => match &**s {
            "true" | "1" => done(Kind::Bool(true)),
            "false" | "0" => done(Kind::Bool(false)),
            _ => Err(ConvertError::at("a bool is required")),
        },
        (Kind::String(s), Type::Number) => match s.parse() {
            Ok(n) => done(Kind::Number(n)),
            Err(_) => Err(ConvertError::at("a number is required")),
        },
        (Kind::List(_, items) | Kind::Tuple(items) | Kind::Set(_, items), Type::List(element)) => {
            let (items, element) = elements(items, element)?;
            done(Kind::List(element, items.into()))
        }
        (Kind::List(_, items) | Kind::Tuple(items) | Kind::Set(_, items), Type::Set(element)) => {
            let (items, element) = elements(items, element)?;
            Ok(Value::set(element, items).mark(marks))
        }
        (Kind::List(_, items) | Kind::Tuple(items), Type::Tuple(types)) => {
            if items.len() != types.len() {
                return Err(ConvertError::at(format!(
                    "a tuple of {} elements is required, but have {}",
                    types.len(),
                    items.len()
                )));
            }
            let items = items
                .iter()
                .zip(types.iter())
                .enumerate()
                .map(|(i, (v, t))| convert(v, t).map_err(|e| e.under(Step::Index(i))))
                .collect::<Result<Vec<_>, _>>()?;
            done(Kind::Tuple(items.into()))
        }
        (Kind::Map(_, fields) | Kind::Object(fields), Type::Map(element)) => {
            let keys: Vec<Arc<str>> = fields.keys().cloned().collect();
            let items: Vec<Value> = fields.values().cloned().collect();
            let element = element_type(&items, element)?;
            let items = items
                .iter()
                .zip(&keys)
                .map(|(v, k)| convert(v, &element).map_err(|e| e.under(Step::Key(k.clone()))))
                .collect::<Result<Vec<_>, _>>()?;
            done(Kind::Map(element, Fields::from_sorted(keys.into_iter().zip(items).collect())))
        }
        (Kind::Map(_, fields) | Kind::Object(fields), Type::Object(object)) => {
            let mut out = Vec::with_capacity(object.attributes.len());
            for (name, t) in &object.attributes {
                match fields.get(name) {
                    Some(v) => out.push((name.clone(), convert(v, t).map_err(|e| e.under(Step::Key(name.clone())))?)),
                    None if object.optional.contains(name) => out.push((name.clone(), Value::null(t.clone()))),
                    None => return Err(ConvertError::at(format!("attribute {name:?} is required"))),
                }
            }
            done(Kind::Object(Fields::from_sorted(out)))
        }
        _ => Err(mismatch(value, ty)),
    }
}

fn mismatch(value: &Value, ty: &Type) -> ConvertError {
    ConvertError::at(format!("{} required, but have {}", ty.friendly(), value.ty().friendly()))
}

fn elements(items: &[Value], element: &Type) -> Result<(Vec<Value>, Type), ConvertError> {
    let element = element_type(items, element)?;
    let items = items
        .iter()
        .enumerate()
        .map(|(i, v)| convert(v, &element).map_err(|e| e.under(Step::Index(i))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((items, element))
}

/// The element type asked for, or the one that all elements share where any is allowed.
fn element_type(items: &[Value], element: &Type) -> Result<Type, ConvertError> {
    if !matches!(element, Type::Dynamic) {
        return Ok(element.clone());
    }
    let types: Vec<Type> = items.iter().map(Value::ty).collect();
    unify(&types).ok_or_else(|| ConvertError::at("all elements must have the same type"))
}

/// Whether some value of type `from` can become a `to`.
pub fn convertible(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Dynamic, _) | (_, Type::Dynamic) => true,
        (a, b) if a == b => true,
        (Type::Bool | Type::Number, Type::String) | (Type::String, Type::Bool | Type::Number) => true,
        (Type::List(a) | Type::Set(a), Type::List(b) | Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            convertible(a, b)
        }
        (Type::Tuple(a), Type::List(b) | Type::Set(b)) => a.iter().all(|t| convertible(t, b)),
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| convertible(x, y))
        }
        (Type::List(a), Type::Tuple(b)) => b.iter().all(|t| convertible(a, t)),
        (Type::Object(a), Type::Map(b)) => a.attributes.values().all(|t| convertible(t, b)),
        (Type::Map(a), Type::Object(b)) => b.attributes.values().all(|t| convertible(a, t)),
        (Type::Object(a), Type::Object(b)) => b
            .attributes
            .iter()
            .all(|(name, t)| a.attributes.get(name).map_or_else(|| b.optional.contains(name), |f| convertible(f, t))),
        _ => false,
    }
}

/// The one type that values of all these types can become, as for the branches of a conditional or
/// the elements of a list: equal types stay; primitives of different types become strings; tuples
/// of the same length unify element by element, else to a list; objects with the same attributes
/// unify attribute by attribute, else to a map.
pub fn unify(types: &[Type]) -> Option<Type> {
    let known: Vec<&Type> = types.iter().filter(|t| !matches!(t, Type::Dynamic)).collect();
    let Some(first) = known.first() else { return Some(Type::Dynamic) };
    if known.iter().all(|t| t == first) {
        return Some((*first).clone());
    }
    if known.iter().all(|t| t.is_primitive()) {
        // Bool and number have no conversion to each other, but both have one to string.
        return known.iter().any(|t| matches!(t, Type::String)).then_some(Type::String);
    }
    if known.iter().all(|t| matches!(t, Type::Object(_) | Type::Map(_))) {
        return unify_named(&known);
    }
    if known.iter().all(|t| matches!(t, Type::Tuple(_) | Type::List(_) | Type::Set(_))) {
        return unify_sequences(&known);
    }
    None
}

fn unify_named(types: &[&Type]) -> Option<Type> {
    let objects: Vec<_> = types.iter().filter_map(|t| if let Type::Object(o) = t { Some(o) } else { None }).collect();
    if objects.len() == types.len()
        && let Some(first) = objects.first()
        && objects.iter().all(|o| o.attributes.keys().eq(first.attributes.keys()))
    {
        let attributes: Option<Vec<(Arc<str>, Type)>> = first
            .attributes
            .keys()
            .map(|k| {
                let types: Vec<Type> = objects.iter().filter_map(|o| o.attributes.get(k).cloned()).collect();
                Some((k.clone(), unify(&types)?))
            })
            .collect();
        return attributes.map(Type::object);
    }
    let elements: Vec<Type> = types
        .iter()
        .flat_map(|t| match t {
            Type::Object(o) => o.attributes.values().cloned().collect(),
            Type::Map(e) => vec![(**e).clone()],
            _ => Vec::new(),
        })
        .collect();
    unify(&elements).map(Type::map)
}

fn unify_sequences(types: &[&Type]) -> Option<Type> {
    let tuples: Vec<_> = types.iter().filter_map(|t| if let Type::Tuple(t) = t { Some(t) } else { None }).collect();
    if tuples.len() == types.len()
        && let Some(first) = tuples.first()
        && tuples.iter().all(|t| t.len() == first.len())
    {
        let elements: Option<Vec<Type>> =
            (0..first.len()).map(|i| unify(&tuples.iter().map(|t| t[i].clone()).collect::<Vec<_>>())).collect();
        return elements.map(Type::tuple);
    }
    let elements: Vec<Type> = types
        .iter()
        .flat_map(|t| match t {
            Type::Tuple(ts) => ts.to_vec(),
            Type::List(e) | Type::Set(e) => vec![(**e).clone()],
            _ => Vec::new(),
        })
        .collect();
    let element = unify(&elements)?;
    Some(if types.iter().any(|t| matches!(t, Type::Set(_))) && !types.iter().any(|t| matches!(t, Type::List(_))) {
        Type::set(element)
    } else {
        Type::list(element)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_with_a_path_in_the_reason() {
        let ty = Type::object([("ports", Type::list(Type::Number))]);
        let bad = Value::object([("ports", Value::tuple(vec![Value::number(1), Value::string("x")]))]);
        assert_eq!(convert(&bad, &ty).map_err(|e| e.to_string()), Err("ports[1]: a number is required".into()));
        let good = Value::object([("ports", Value::tuple(vec![Value::string("80")])), ("extra", Value::NULL)]);
        let v = convert(&good, &ty).expect("converts");
        assert_eq!(v.ty(), ty);
    }

    #[test]
    fn marks_and_unknowns_pass() {
        let v = convert(&Value::string("1").sensitive(), &Type::Number).expect("converts");
        assert!(v.marks().sensitive());
        assert!(convert(&Value::unknown(Type::Dynamic), &Type::Bool).expect("converts").is_unknown());
        assert!(convert(&Value::unknown(Type::list(Type::String)), &Type::Bool).is_err());
    }

    #[test]
    fn unifies_as_the_field_does() {
        assert_eq!(unify(&[Type::Number, Type::String]), Some(Type::String));
        assert_eq!(unify(&[Type::Number, Type::Bool]), None);
        assert_eq!(
            unify(&[Type::tuple([Type::Number]), Type::tuple([Type::String, Type::String])]),
            Some(Type::list(Type::String))
        );
        assert_eq!(unify(&[Type::Dynamic, Type::Bool]), Some(Type::Bool));
    }
}
