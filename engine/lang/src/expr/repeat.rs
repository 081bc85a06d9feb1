//! `for` expressions.
//!
//! The one decision: one walk over the elements of any collection serves tuples, objects, grouping and
//! the `for` of templates; a collection, key or condition that is not known makes the whole result
//! unknown, since its shape is.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_model::convert::convert;
use mesh_model::{Diagnostics, Fields, Kind, Marks, Span, Type, Value};

use super::eval::{Env, Outcome, a_type, fail, forget, number, object_key};
use super::{For, Node};
use crate::limits;

/// The elements of a collection with their keys.
type Pairs = Vec<(Value, Value)>;

/// What a collection holds (`None`: not known yet), and its marks.
pub(crate) fn elements_of(value: Value, span: Span) -> Result<(Option<Pairs>, Marks), Diagnostics> {
    let value = forget(value);
    let pairs = match value.kind() {
        Kind::Null(_) => {
            let detail = "A null value cannot be repeated over.";
            return Err(fail("Null cannot be iterated over", detail, span));
        }
        Kind::Unknown(t) if !t.is_primitive() => return Ok((None, value.marks())),
        Kind::List(_, items) | Kind::Tuple(items) => {
            items.iter().enumerate().map(|(i, v)| (number(i), v.clone())).collect()
        }
        Kind::Set(_, items) => items.iter().map(|v| (v.clone(), v.clone())).collect(),
        Kind::Map(_, fields) | Kind::Object(fields) => {
            fields.iter().map(|(k, v)| (Value::from(Kind::String(k.clone())), v.clone())).collect()
        }
        _ => {
            let detail = format!("This is {}, which cannot be repeated over.", a_type(&value));
            return Err(fail("Value cannot be iterated over", detail, span));
        }
    };
    Ok((Some(pairs), value.marks()))
}

impl Env<'_> {
    /// Calls `body` for each element with its variables in their slots.
    pub(super) fn each(
        &mut self,
        pairs: Pairs,
        with_key: bool,
        mut body: impl FnMut(&mut Self) -> Result<(), Diagnostics>,
    ) -> Result<(), Diagnostics> {
        let depth = self.slots.len();
        let mut errors = Diagnostics::new();
        for (key, value) in pairs {
            if with_key {
                self.slots.push(key);
            }
            self.slots.push(value);
            let result = body(self);
            self.slots.truncate(depth);
            errors.take(result);
            // The same mistake in every element is one mistake.
            if !errors.is_empty() {
                return Err(errors);
            }
        }
        Ok(())
    }

    pub(super) fn for_expr(&mut self, f: &For) -> Outcome {
        let collection = self.eval(&f.collection)?;
        // Without a type it may yet be what has no elements at all.
        let untyped = collection.ty() == Type::Dynamic;
        let (found, mut marks) = elements_of(collection, f.collection.span)?;
        if let Some(condition) = f.condition.as_ref().filter(|_| !untyped) {
            // What fails whatever the element is fails for no elements, too.
            let depth = self.slots.len();
            let any = Value::unknown(Type::Dynamic);
            self.slots.extend(std::iter::repeat_n(any, if f.with_key { 2 } else { 1 }));
            let mut unused = Marks::NONE;
            let checked = self.keep(condition, &mut unused);
            self.slots.truncate(depth);
            checked?;
        }
        let Some(pairs) = found else { return Ok(Value::unknown(Type::Dynamic).mark(marks)) };
        let mut size = 0;
        let mut known = true;
        let mut items: Vec<Value> = Vec::new();
        let mut entries: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
        self.each(pairs, f.with_key, |env| {
            if let Some(condition) = &f.condition {
                match env.keep(condition, &mut marks)? {
                    Some(true) => {}
                    Some(false) => return Ok(()),
                    None => {
                        known = false;
                        return Ok(());
                    }
                }
            }
            let Some(key_node) = &f.key else {
                let value = env.eval(&f.value)?;
                size += value.size();
                items.push(value);
                return limits::grown(size, f.value.span);
            };
            let key = env.eval(key_node).and_then(|k| object_key(k, key_node.span))?;
            marks = marks.union(key.marks());
            let Some(name) = key.as_str() else {
                known = false;
                return Ok(());
            };
            let value = env.eval(&f.value)?;
            size += value.size();
            limits::grown(size, f.value.span)?;
            let group = entries.entry(name.into()).or_default();
            if !f.grouping && !group.is_empty() {
                let which = if marks.is_empty() { format!("the key {name:?}") } else { "one key".to_owned() };
                return Err(fail(
                    "Duplicate object key",
                    format!(
                        "Two elements gave {which} in this for expression. If that is meant, write ... after the \
                         value to get a list of values for each key."
                    ),
                    key_node.span,
                ));
            }
            group.push(value);
            Ok(())
        })?;
        let value = match (&f.key, known) {
            (_, false) => Value::unknown(Type::Dynamic),
            (None, true) => Value::tuple(items),
            (Some(_), true) => {
                let entries = entries.into_iter().filter_map(|(k, mut values)| {
                    let value = if f.grouping { Some(Value::tuple(values)) } else { values.pop() };
                    value.map(|v| (k, v))
                });
                Value::from_fields(Fields::from_sorted(entries.collect()))
            }
        };
        Ok(value.mark(marks))
    }

    /// Whether the `if` of a `for` holds.
    fn keep(&mut self, condition: &Node, marks: &mut Marks) -> Result<Option<bool>, Diagnostics> {
        let value = forget(self.eval(condition)?);
        *marks = marks.union(value.marks());
        match convert(&value, &Type::Bool) {
            Ok(v) if !v.is_null() => Ok(v.as_bool()),
            _ => {
                let detail = format!("The if of a for expression must be true or false, but it is {}.", a_type(&value));
                Err(fail("Invalid 'for' condition", detail, condition.span))
            }
        }
    }
}
