//! Conversion and unification of types.
//!
//! The one decision: conversion is a pure function from a value and a constraint to a value or a
//! reason that names the path, shared by variables, attributes, functions and `for_each`, so that
//! the same text is accepted everywhere. Marks and unknowns pass through.

use std::cmp::Ordering;
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
        (Kind::Null(from), t) if convertible(from, t) => done(Kind::Null(filled(from, t))),
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
            let (items, element) = elements(items, element, true)?;
            done(Kind::List(element, items.into()))
        }
        (Kind::List(_, items) | Kind::Tuple(items) | Kind::Set(_, items), Type::Set(element)) => {
            let (items, element) = elements(items, element, false)?;
            Ok(Value::set(element, items).mark(marks))
        }
        (Kind::Tuple(items), Type::Tuple(types)) => {
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
            let element = element_type(&items, element, true)?;
            let items = items
                .iter()
                .zip(&keys)
                .map(|(v, k)| convert(v, &element).map_err(|e| e.under(Step::Key(k.clone()))))
                .collect::<Result<Vec<_>, _>>()?;
            let (items, element) = alike(items, element, true)?;
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

fn elements(items: &[Value], element: &Type, unified: bool) -> Result<(Vec<Value>, Type), ConvertError> {
    let element = element_type(items, element, false)?;
    let items = items
        .iter()
        .enumerate()
        .map(|(i, v)| convert(v, &element).map_err(|e| e.under(Step::Index(i))))
        .collect::<Result<Vec<_>, _>>()?;
    alike(items, element, unified)
}

/// Elements whose type leaves something open must have become of one type all the same; `unified`: they are
/// brought to one first.
fn alike(items: Vec<Value>, element: Type, unified: bool) -> Result<(Vec<Value>, Type), ConvertError> {
    if !element.has_dynamic() || matches!(element, Type::Dynamic) {
        return Ok((items, element));
    }
    let apart = || ConvertError::at("all elements must have the same type");
    let types: Vec<Type> = items.iter().map(Value::ty).collect();
    let Some(first) = types.first() else { return Ok((items, element)) };
    if types.iter().all(|t| t == first) {
        return Ok((items, first.clone()));
    }
    let common = unify(&types).filter(|_| unified).ok_or_else(apart)?;
    let items = items.iter().map(|v| convert(v, &common)).collect::<Result<Vec<_>, _>>()?;
    if items.iter().all(|v| v.ty() == common) { Ok((items, common)) } else { Err(apart()) }
}

/// The element type asked for, or the one that all elements share where any is allowed.
fn element_type(items: &[Value], element: &Type, open: bool) -> Result<Type, ConvertError> {
    if !matches!(element, Type::Dynamic) {
        return Ok(element.clone());
    }
    let types: Vec<Type> = items.iter().map(Value::ty).collect();
    common(&types, open).ok_or_else(|| ConvertError::at("all elements must have the same type"))
}

/// The type that all of these can become, where it is known; `open`: or else the one that all have whose type
/// is known.
fn common(types: &[Type], open: bool) -> Option<Type> {
    let known = || types.iter().filter(|t| !matches!(t, Type::Dynamic));
    match unify(types)? {
        Type::Dynamic => match known().next() {
            None => Some(Type::Dynamic),
            Some(first) => (open && known().all(|t| t == first)).then(|| first.clone()),
        },
        found => Some(found),
    }
}

/// The type asked for, with the element type of the value's own where any is allowed.
fn filled(from: &Type, to: &Type) -> Type {
    let elements: Vec<Type> = match from {
        Type::List(e) | Type::Set(e) | Type::Map(e) => vec![(**e).clone()],
        Type::Tuple(types) => types.to_vec(),
        Type::Object(object) => object.attributes.values().cloned().collect(),
        _ => Vec::new(),
    };
    let collection: fn(Type) -> Type = match to {
        Type::List(e) if matches!(**e, Type::Dynamic) => Type::list,
        Type::Set(e) if matches!(**e, Type::Dynamic) => Type::set,
        Type::Map(e) if matches!(**e, Type::Dynamic) => Type::map,
        _ => return to.clone(),
    };
    common(&elements, true).map_or_else(|| to.clone(), collection)
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
        (Type::Tuple(a), Type::List(b) | Type::Set(b)) if matches!(**b, Type::Dynamic) => common(a, false).is_some(),
        (Type::Object(a), Type::Map(b)) if matches!(**b, Type::Dynamic) => {
            common(&a.attributes.values().cloned().collect::<Vec<_>>(), true).is_some()
        }
        (Type::Tuple(a), Type::List(b) | Type::Set(b)) => a.iter().all(|t| convertible(t, b)),
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| convertible(x, y))
        }
        (Type::Object(a), Type::Map(b)) => a.attributes.values().all(|t| convertible(t, b)),
        (Type::Map(a), Type::Object(b)) => b.attributes.values().all(|t| convertible(a, t)),
        (Type::Object(a), Type::Object(b)) => b
            .attributes
            .iter()
            .all(|(name, t)| a.attributes.get(name).map_or_else(|| b.optional.contains(name), |f| convertible(f, t))),
        _ => false,
    }
}

/// The one type that values of all these types can become, as for the branches of a conditional or the
/// elements of a list. Equal kinds unify part by part (tuples of unlike length to a list, objects of unlike
/// attributes to a map); beside that, it is one of the given types: the preferred one that all others can
/// become. A type that is not known yet stands back behind primitives, and leaves collections open.
pub fn unify(types: &[Type]) -> Option<Type> {
    let Some(first) = types.first() else { return Some(Type::Dynamic) };
    if types.iter().all(|t| t == first) {
        return Some(first.clone());
    }
    let count = |of: fn(&Type) -> bool| types.iter().filter(|t| of(t)).count();
    let unknown = count(|t| matches!(t, Type::Dynamic));
    let (maps, objects) = (count(|t| matches!(t, Type::Map(_))), count(|t| matches!(t, Type::Object(_))));
    let (lists, tuples) = (count(|t| matches!(t, Type::List(_))), count(|t| matches!(t, Type::Tuple(_))));
    let sets = count(|t| matches!(t, Type::Set(_)));
    let all = |n: usize| n > 0 && n + unknown == types.len();
    if [maps, lists, sets, objects, tuples].into_iter().any(all) {
        if unknown > 0 {
            return Some(Type::Dynamic);
        }
        return match first {
            Type::Map(_) => unify(&parts(types)).map(Type::map),
            Type::List(_) => unify(&parts(types)).map(Type::list),
            Type::Set(_) => unify(&parts(types)).map(Type::set),
            Type::Object(_) => unify_objects(types),
            _ => unify_tuples(types),
        };
    }
    let mixed = if maps > 0 && all(maps + objects) {
        replaced(types, |t| matches!(t, Type::Object(_)), Type::map).and_then(|t| unify(&t))
    } else if lists > 0 && all(lists + tuples) {
        replaced(types, |t| matches!(t, Type::Tuple(_)), Type::list).and_then(|t| unify(&t))
    } else if objects > 0 && tuples > 0 {
        return None;
    } else {
        None
    };
    if let Some(found @ (Type::Map(_) | Type::List(_))) = mixed {
        return Some(found);
    }
    preferred(types).into_iter().find(|want| types.iter().all(|t| t == *want || convertible(t, want))).cloned()
}

/// The types of all elements and attributes.
fn parts(types: &[Type]) -> Vec<Type> {
    let parts = types.iter().map(|t| match t {
        Type::Map(e) | Type::List(e) | Type::Set(e) => vec![(**e).clone()],
        Type::Object(o) => o.attributes.values().cloned().collect(),
        Type::Tuple(ts) => ts.to_vec(),
        _ => Vec::new(),
    });
    parts.flatten().collect()
}

/// The types with those of one kind replaced by the collection that all of these can become.
fn replaced(types: &[Type], of: fn(&Type) -> bool, collection: fn(Type) -> Type) -> Option<Vec<Type>> {
    let these: Vec<Type> = types.iter().filter(|t| of(t)).cloned().collect();
    let common = collection(unify(&parts(&these))?);
    Some(types.iter().map(|t| if of(t) { common.clone() } else { t.clone() }).collect())
}

fn unify_objects(types: &[Type]) -> Option<Type> {
    let objects: Vec<_> = types.iter().filter_map(|t| if let Type::Object(o) = t { Some(o) } else { None }).collect();
    let first = objects.first()?;
    if objects.iter().all(|o| o.attributes.keys().eq(first.attributes.keys())) {
        let of = |k| objects.iter().filter_map(|o| o.attributes.get(k).cloned()).collect::<Vec<Type>>();
        let attributes: Option<Vec<(Arc<str>, Type)>> =
            first.attributes.keys().map(|k| Some((k.clone(), unify(&of(k))?))).collect();
        return attributes.map(Type::object);
    }
    let common = Type::map(unify(&parts(types))?);
    types.iter().all(|t| convertible(t, &common)).then_some(common)
}

fn unify_tuples(types: &[Type]) -> Option<Type> {
    let tuples: Vec<_> = types.iter().filter_map(|t| if let Type::Tuple(t) = t { Some(t) } else { None }).collect();
    let length = tuples.first()?.len();
    if tuples.iter().all(|t| t.len() == length) {
        let of = |i: usize| tuples.iter().map(|t| t[i].clone()).collect::<Vec<Type>>();
        let elements: Option<Vec<Type>> = (0..length).map(|i| unify(&of(i))).collect();
        return elements.map(Type::tuple);
    }
    let common = Type::list(unify(&parts(types))?);
    types.iter().all(|t| convertible(t, &common)).then_some(common)
}

/// The types, those that others should become first; of equal rank in their order.
fn preferred(types: &[Type]) -> Vec<&Type> {
    let mut left: Vec<&Type> = types.iter().collect();
    let mut out = Vec::with_capacity(left.len());
    while !left.is_empty() {
        // What nothing else precedes; the relation has circles in odd cases, which end here.
        let free: Vec<usize> =
            (0..left.len()).filter(|i| !left.iter().any(|other| rank(other, left[*i]).is_lt())).collect();
        if free.is_empty() {
            out.append(&mut left);
            break;
        }
        out.extend(free.iter().map(|i| left[*i]));
        left = (0..left.len()).filter(|i| !free.contains(i)).map(|i| left[i]).collect();
    }
    out
}

/// Whether `a` (less) or `b` (greater) is the better type for values of both.
fn rank(a: &Type, b: &Type) -> Ordering {
    let parts = |pairs: &mut dyn Iterator<Item = Ordering>| {
        let found: Vec<Ordering> = pairs.collect();
        match (found.contains(&Ordering::Less), found.contains(&Ordering::Greater)) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => Ordering::Equal,
        }
    };
    match (a, b) {
        (Type::Dynamic, Type::Dynamic) => Ordering::Equal,
        (_, Type::Dynamic) => Ordering::Less,
        (Type::Dynamic, _) => Ordering::Greater,
        (Type::String, Type::Bool | Type::Number) => Ordering::Less,
        (Type::Bool | Type::Number, Type::String) => Ordering::Greater,
        (Type::List(x), Type::List(y)) | (Type::Set(x), Type::Set(y)) | (Type::Map(x), Type::Map(y)) => rank(x, y),
        (Type::List(_) | Type::Tuple(_), Type::Set(_))
        | (Type::List(_), Type::Tuple(_))
        | (Type::Map(_), Type::Object(_)) => Ordering::Less,
        (Type::Set(_), Type::List(_) | Type::Tuple(_))
        | (Type::Tuple(_), Type::List(_))
        | (Type::Object(_), Type::Map(_)) => Ordering::Greater,
        (Type::Object(x), Type::Object(y)) if x.attributes.keys().eq(y.attributes.keys()) => {
            parts(&mut x.attributes.values().zip(y.attributes.values()).map(|(x, y)| rank(x, y)))
        }
        (Type::Tuple(x), Type::Tuple(y)) if x.len() == y.len() => {
            parts(&mut x.iter().zip(y.iter()).map(|(x, y)| rank(x, y)))
        }
        _ => Ordering::Equal,
    }
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
