//! Attributes, indexes and splats.
//!
//! The one decision: a step hands the marks of the container and of the key on to what it finds, and
//! a failing step says what there is instead.

use mesh_model::convert::convert;
use mesh_model::{Diagnostics, Kind, Marks, Number, Span, Type, Value};

use super::Access;
use super::eval::{Env, Outcome, a_type, fail, forget};
use crate::limits;
use crate::suggest::hint;

impl Env<'_> {
    /// `value` followed by `steps`; `place` is what stands before them.
    pub(super) fn access(&mut self, value: Value, steps: &[Access], place: Span) -> Outcome {
        let mut value = forget(value);
        let mut i = 0;
        while let Some(step) = steps.get(i) {
            i += 1;
            value = forget(match step {
                Access::Attribute(name, span) => attribute(&value, name, *span)?,
                Access::Index(key) => {
                    let span = key.span;
                    let key = self.eval(key)?;
                    index(&value, key, span)?
                }
                Access::Splat(taken, span) => {
                    let inner = steps.get(i..i + taken).unwrap_or_default();
                    i += taken;
                    self.splat(&value, inner, *span, place)?
                }
            });
        }
        Ok(value)
    }

    /// What a splat gives whose steps fail, where it is the last step: as many elements, of types not known.
    pub(super) fn splat_after_failure(&mut self, value: Value, steps: &[Access]) -> Type {
        let Some(at) = steps.iter().position(|s| matches!(s, Access::Splat(..))) else { return Type::Dynamic };
        let place = Span { file: 0, start: 0, end: 0 };
        let whole = matches!(&steps[at], Access::Splat(taken, _) if at + 1 + taken == steps.len());
        match self.access(value, &steps[..at], place) {
            Ok(value) if whole && !value.is_null() && !value.is_unknown() => match value.kind() {
                Kind::List(..) | Kind::Set(..) => Type::list(Type::Dynamic),
                Kind::Tuple(items) => Type::tuple(vec![Type::Dynamic; items.len()]),
                _ => Type::tuple([Type::Dynamic]),
            },
            _ => Type::Dynamic,
        }
    }

    fn splat(&mut self, value: &Value, steps: &[Access], span: Span, place: Span) -> Outcome {
        let marks = value.marks();
        let done = |v: Value| Ok(v.mark(marks));
        match value.kind() {
            Kind::Null(Type::List(_) | Type::Set(_) | Type::Tuple(_)) => {
                Err(fail("Splat of null value", "A splat (*) cannot be applied to a null list, set or tuple.", place))
            }
            Kind::Null(_) => done(Value::tuple(Vec::new())),
            Kind::Unknown(Type::List(element) | Type::Set(element)) => {
                let sample = self.access(Value::unknown((**element).clone()), steps, span)?;
                done(Value::unknown(Type::list(sample.ty())))
            }
            Kind::Unknown(Type::Tuple(elements)) => {
                let samples = elements
                    .iter()
                    .map(|t| self.access(Value::unknown(t.clone()), steps, span))
                    .collect::<Result<Vec<_>, _>>()?;
                done(Value::unknown(Type::tuple(samples.iter().map(Value::ty))))
            }
            // Whether it will be null, and so nothing, is not known; what follows must fit all the same.
            Kind::Unknown(ty) => {
                if !matches!(ty, Type::Dynamic) {
                    self.access(value.clone(), steps, span)?;
                }
                done(Value::unknown(Type::Dynamic))
            }
            Kind::List(element, items) | Kind::Set(element, items) => {
                let found = self.splat_items(items, steps, span)?;
                let mut types = found.iter().map(Value::ty);
                let ty = match types.next() {
                    Some(first) => types.all(|t| t == first).then_some(first),
                    None => Some(self.access(Value::unknown(element.clone()), steps, span)?.ty()),
                };
                done(match ty {
                    Some(ty) => Value::list(ty, found),
                    None => Value::tuple(found),
                })
            }
            Kind::Tuple(items) => done(Value::tuple(self.splat_items(items, steps, span)?)),
            // Anything else is taken as a sequence of itself.
            _ => {
                let bare = value.reveal().0;
                done(Value::tuple(self.splat_items(&[bare], steps, span)?))
            }
        }
    }

    fn splat_items(&mut self, items: &[Value], steps: &[Access], span: Span) -> Result<Vec<Value>, Diagnostics> {
        let mut size = 0;
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            self.count(1 + limits::cost(item), span)?;
            let value = self.access(item.clone(), steps, span)?;
            size += value.size();
            limits::grown(size, span)?;
            found.push(value);
        }
        Ok(found)
    }
}

/// `value.name`
fn attribute(value: &Value, name: &str, span: Span) -> Outcome {
    let unsupported = |detail: String| Err(fail("Unsupported attribute", detail, span));
    match value.kind() {
        Kind::Object(fields) => match fields.get(name) {
            Some(found) => Ok(found.clone().mark(value.marks())),
            None => unsupported(format!(
                "This object does not have an attribute named {name:?}.{}",
                hint(name, fields.keys().map(|k| &**k))
            )),
        },
        Kind::Map(_, fields) => match fields.get(name) {
            Some(found) => Ok(found.clone().mark(value.marks())),
            None => Err(fail(
                "Missing map element",
                format!("This map does not have an element with the key {name:?}.{}", map_hint(value, name)),
                span,
            )),
        },
        Kind::Null(_) => {
            Err(fail("Attribute of a null value", "This value is null, so it does not have any attributes.", span))
        }
        Kind::Unknown(Type::Dynamic) => Ok(value.clone()),
        Kind::Unknown(Type::Map(element)) => Ok(Value::unknown((**element).clone()).mark(value.marks())),
        Kind::Unknown(Type::Object(object)) => match object.attributes.get(name) {
            Some(ty) => Ok(Value::unknown(ty.clone()).mark(value.marks())),
            None => unsupported(format!(
                "This object does not have an attribute named {name:?}.{}",
                hint(name, object.attributes.keys().map(|k| &**k))
            )),
        },
        Kind::List(..) | Kind::Tuple(_) | Kind::Unknown(Type::List(_) | Type::Tuple(_)) => unsupported(format!(
            "This is {}, which has no attributes. For one element write [0].{name}, for all elements [*].{name}.",
            a_type(value)
        )),
        Kind::Set(..) | Kind::Unknown(Type::Set(_)) => unsupported(format!(
            "This is {}, whose elements have no keys. For all elements write [*].{name}.",
            a_type(value)
        )),
        _ => unsupported(format!("This is {}, which has no attributes.", a_type(value))),
    }
}

/// A map with marks keeps its keys to itself.
fn map_hint(value: &Value, name: &str) -> String {
    match value.as_fields() {
        Some(fields) if value.marks().is_empty() => hint(name, fields.keys().map(|k| &**k)),
        _ => String::new(),
    }
}

/// `value[key]`
fn index(value: &Value, key: Value, span: Span) -> Outcome {
    let key = forget(key);
    let marks = value.marks().union(key.marks());
    let invalid = |detail: &str| Err(fail("Invalid index", detail, span));
    if value.is_null() {
        let detail = "This value is null, so it does not have any elements.";
        return Err(fail("Index into a null value", detail, span));
    }
    if key.is_null() {
        return invalid("A null value cannot be a key.");
    }
    if [value, &key].into_iter().any(|v| matches!(v.kind(), Kind::Unknown(Type::Dynamic))) {
        return Ok(Value::unknown(Type::Dynamic).mark(marks));
    }
    // The whole type of a large tuple or object takes as long as a look at all elements.
    let ty = match value.kind() {
        Kind::Tuple(_) => Type::tuple([]),
        Kind::Object(_) => Type::object::<&str>([]),
        _ => value.ty(),
    };
    let wanted = match ty {
        Type::List(_) | Type::Tuple(_) => Type::Number,
        Type::Map(_) | Type::Object(_) => Type::String,
        Type::Set(_) => {
            return invalid(
                "Elements of a set have no keys and no order. Use tolist() if the order does not matter, or [*] for \
                 all elements.",
            );
        }
        _ => return invalid(&format!("This is {}, which has no elements.", a_type(value))),
    };
    let Ok(key) = convert(&key, &wanted) else {
        return invalid(&format!("The key must be a {}, but it is {}.", wanted.friendly(), a_type(&key)));
    };
    match key.kind() {
        Kind::Number(n) => sequence_index(value, &ty, n, marks, span),
        Kind::String(k) => match (value.as_fields(), &ty) {
            (Some(fields), _) => match fields.get(k) {
                Some(found) => Ok(found.clone().mark(marks)),
                None if marks.is_empty() => {
                    let near = hint(k, fields.keys().map(|k| &**k));
                    invalid(&format!("There is no element with the key {k:?}.{near}"))
                }
                None => invalid("There is no element with this key."),
            },
            (None, Type::Map(element)) => Ok(Value::unknown((**element).clone()).mark(marks)),
            (None, Type::Object(object)) => match object.attributes.get(k) {
                Some(ty) => Ok(Value::unknown(ty.clone()).mark(marks)),
                None => invalid("There is no attribute of this name."),
            },
            _ => Ok(Value::unknown(Type::Dynamic).mark(marks)),
        },
        _ => Ok(Value::unknown(element_type(&value.ty())).mark(marks)),
    }
}

fn sequence_index(value: &Value, ty: &Type, n: &Number, marks: Marks, span: Span) -> Outcome {
    let invalid = |detail: &str| Err(fail("Invalid index", detail, span));
    if n.is_negative() {
        return invalid("A negative number is not an index. For the last element write x[length(x) - 1].");
    }
    if !n.is_integer() {
        return invalid("An index must be a whole number.");
    }
    let position = n.to_i64().and_then(|n| usize::try_from(n).ok());
    match (value.as_items(), ty) {
        (Some(items), _) => match position.and_then(|i| items.get(i)) {
            Some(found) => Ok(found.clone().mark(marks)),
            None if items.is_empty() => invalid("There is no such element: the collection is empty."),
            None if marks.is_empty() => {
                invalid(&format!("There is no element {n}: the last one is {}.", items.len() - 1))
            }
            None => invalid("There is no such element."),
        },
        (None, Type::Tuple(types)) => match position.and_then(|i| types.get(i)) {
            Some(ty) => Ok(Value::unknown(ty.clone()).mark(marks)),
            None => invalid("There is no such element."),
        },
        _ => Ok(Value::unknown(element_type(ty)).mark(marks)),
    }
}

fn element_type(ty: &Type) -> Type {
    match ty {
        Type::List(t) | Type::Set(t) | Type::Map(t) => (**t).clone(),
        _ => Type::Dynamic,
    }
}
