//! Bodies against schemas: static checks, and evaluation to an object in the schema's shape.
//!
//! The one decision: [`check_body`] says everything that needs no value (and is called first), so that
//! [`eval_body`] only evaluates and converts, and its result always has every attribute and block of the
//! schema. Types that the schema leaves open (`any`) stay as the value has them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use mesh_model::convert::convert;
use mesh_model::schema::{Attribute as Declared, Block as DeclaredBlock, Given};
use mesh_model::{Diagnostic, Diagnostics, Fields, Kind, Marks, Nesting, Schema, Span, Type, Value};

use crate::expr::{Env, elements_of};
use crate::suggest::hint;
use crate::{Block, Body, Expr, Scope};

/// What can be said about a body without values: unknown arguments and blocks, missing ones, arguments
/// that only the provider sets, constants of a wrong type, too few or too many blocks. `what` names the
/// body in messages: `vault_policy.istiod`.
pub fn check_body(body: &Body, schema: &Schema, what: &str) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    check(body, schema, what, &mut diagnostics);
    diagnostics
}

fn check(body: &Body, schema: &Schema, what: &str, diagnostics: &mut Diagnostics) {
    let names = || {
        let settable = schema.attributes.iter().filter(|a| a.given != Given::Computed).map(|a| a.name);
        settable.chain(schema.blocks.iter().map(|b| b.name))
    };
    for attribute in &body.attributes {
        let name = &*attribute.name;
        match schema.attribute(name) {
            Some(declared) if declared.given == Given::Computed => {
                let detail = format!("{name:?} is set by the provider and cannot be configured. Remove this line.");
                diagnostics.push(
                    Diagnostic::error("lang::unexpected", "Value for read-only attribute", detail)
                        .at(attribute.name_span),
                );
            }
            Some(declared) => {
                if let Some(value) = attribute.expr.constant() {
                    let _ = diagnostics.take(fit(&value, declared, &attribute.expr));
                }
            }
            None if schema.blocks.iter().any(|b| b.name == name) => {
                let detail = format!("{name:?} is a block: write it as {name} {{ ... }}, without \"=\".");
                diagnostics.push(
                    Diagnostic::error("lang::unexpected", "Unsupported argument", detail).at(attribute.name_span),
                );
            }
            None => {
                let detail = format!("An argument named {name:?} is not expected in {what}.{}", hint(name, names()));
                diagnostics.push(
                    Diagnostic::error("lang::unexpected", "Unsupported argument", detail).at(attribute.name_span),
                );
            }
        }
    }
    for declared in schema.attributes.iter().filter(|a| a.given == Given::Required) {
        if body.attribute(declared.name).is_none() {
            let detail = format!("The argument {:?} is required in {what}. {}", declared.name, declared.doc);
            diagnostics
                .push(Diagnostic::error("lang::missing", "Missing required argument", detail.trim_end()).at(body.span));
        }
    }
    for block in &body.blocks {
        let name = &*block.name;
        let Some(declared) = schema.blocks.iter().find(|b| b.name == name) else {
            let detail = if schema.attribute(name).is_some() {
                format!("{name:?} is an argument: write it as {name} = ..., with \"=\".")
            } else {
                format!("Blocks of type {name:?} are not expected in {what}.{}", hint(name, names()))
            };
            diagnostics.push(Diagnostic::error("lang::unexpected", "Unsupported block type", detail).at(block.span));
            continue;
        };
        let given = block.dynamic.as_ref().map_or(block.labels.len(), |d| d.labels.len());
        let wanted = usize::from(declared.nesting == Nesting::Map);
        if given != wanted {
            let detail = format!("A {name:?} block in {what} has {wanted} label(s).");
            diagnostics.push(Diagnostic::error("lang::labels", "Wrong number of block labels", detail).at(block.span));
        }
        check(&block.body, &declared.schema, &format!("{name} of {what}"), diagnostics);
    }
    for declared in &schema.blocks {
        counts(body, declared, what, diagnostics);
    }
}

fn counts(body: &Body, declared: &DeclaredBlock, what: &str, diagnostics: &mut Diagnostics) {
    let written: Vec<&Block> = body.blocks_of(declared.name).collect();
    let dynamic = written.iter().any(|b| b.dynamic.is_some());
    let fixed = written.iter().filter(|b| b.dynamic.is_none()).count();
    let most = if declared.nesting == Nesting::Single { 1 } else { declared.max };
    if !dynamic && fixed < declared.min {
        let detail = format!("{what} needs at least {} {:?} block(s). {}", declared.min, declared.name, declared.doc);
        diagnostics.push(Diagnostic::error("lang::missing", "Missing required block", detail.trim_end()).at(body.span));
    }
    if most > 0
        && fixed > most
        && let Some(block) = written.get(most)
    {
        let detail = format!("{what} takes at most {most} {:?} block(s).", declared.name);
        diagnostics.push(
            Diagnostic::error("lang::duplicate", "Too many blocks", detail)
                .at(block.span)
                .with(written[0].span, "first here"),
        );
    }
}

/// The value of a body as an object in the shape of the schema: every attribute is there, converted to
/// its type (null where nothing gives it, defaults filled in, sensitive ones marked), `dynamic` blocks
/// are expanded, and nested blocks become what their nesting says. All errors come back at once.
/// Call [`check_body`] first: names that the schema does not know are passed over here.
pub fn eval_body(body: &Body, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let value = evaluate(body, schema, &mut Env::new(Some(scope)), &mut diagnostics);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(value) }
}

fn evaluate(body: &Body, schema: &Schema, env: &mut Env<'_>, diagnostics: &mut Diagnostics) -> Value {
    let mut fields = Vec::with_capacity(schema.attributes.len() + schema.blocks.len());
    for declared in &schema.attributes {
        let value = match body.attribute(declared.name) {
            Some(attribute) => match env.eval(attribute.expr.node()).and_then(|v| fit(&v, declared, &attribute.expr)) {
                Ok(value) => value,
                Err(errors) => {
                    diagnostics.extend(attribute.expr.explain_all(errors, env.scope()));
                    Value::unknown(declared.ty.clone())
                }
            },
            None => Value::null(declared.ty.clone()),
        };
        let value = match &declared.default {
            Some(default) if value.is_null() => default.clone().mark(value.marks()),
            _ => value,
        };
        let value = if declared.sensitive && !value.is_null() { value.sensitive() } else { value };
        fields.push((interned(declared.name), value));
    }
    for declared in &schema.blocks {
        fields.push((interned(declared.name), nested(body, declared, env, diagnostics)));
    }
    fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Value::from_fields(Fields::from_sorted(fields))
}

/// A value as one of the declared type.
fn fit(value: &Value, declared: &Declared, expr: &Expr) -> Result<Value, Diagnostics> {
    if value.is_null() && declared.given == Given::Required {
        let detail = format!("The argument {:?} is required, but its value is null.", declared.name);
        return Err(Diagnostic::error("lang::missing", "Missing required argument", detail).at(expr.span()).into());
    }
    convert(value, &declared.ty).map_err(|error| {
        let detail = format!("The value of {:?} does not fit: {error}.", declared.name);
        Diagnostic::error("lang::type", "Wrong type of an attribute", detail).at(expr.span_at(&error.path.0)).into()
    })
}

/// What the blocks of one type in a body come to.
#[derive(Default)]
struct Made {
    items: Vec<(Option<Arc<str>>, Value, Span)>,
    marks: Marks,
    /// Some `dynamic` block does not know yet what it repeats over.
    unknown: bool,
}

fn nested(body: &Body, declared: &DeclaredBlock, env: &mut Env<'_>, diagnostics: &mut Diagnostics) -> Value {
    let mut made = Made::default();
    for block in body.blocks_of(declared.name) {
        expand(block, declared, env, &mut made, diagnostics);
    }
    let ty = declared.schema.ty();
    let most = if declared.nesting == Nesting::Single { 1 } else { declared.max };
    if made.items.len() > most && most > 0 || made.items.len() < declared.min && !made.unknown {
        let place = made.items.get(most).map_or(body.span, |(_, _, span)| *span);
        let detail = format!(
            "There are {} {:?} blocks; {} are needed{}.",
            made.items.len(),
            declared.name,
            declared.min,
            if most > 0 { format!(" and {most} are taken") } else { String::new() }
        );
        diagnostics.push(Diagnostic::error("lang::blocks", "Wrong number of blocks", detail).at(place));
    }
    let collection = match declared.nesting {
        Nesting::Single => ty.clone(),
        Nesting::List => Type::list(ty.clone()),
        Nesting::Set => Type::set(ty.clone()),
        Nesting::Map => Type::map(ty.clone()),
    };
    if made.unknown {
        return Value::unknown(collection).mark(made.marks);
    }
    let mut values = made.items.into_iter();
    let value = match declared.nesting {
        Nesting::Single => values.next().map_or_else(|| Value::null(ty), |(_, v, _)| v),
        Nesting::List => Value::list(ty, values.map(|(_, v, _)| v).collect::<Vec<_>>()),
        Nesting::Set => Value::set(ty, values.map(|(_, v, _)| v)),
        Nesting::Map => {
            let mut keyed: Vec<(Arc<str>, Value)> = Vec::new();
            for (label, value, span) in values {
                let label = label.unwrap_or_else(|| Arc::from(""));
                if keyed.iter().any(|(k, _)| *k == label) {
                    let detail = format!("There is already a {:?} block with the label {label:?}.", declared.name);
                    diagnostics.push(Diagnostic::error("lang::duplicate", "Duplicate block", detail).at(span));
                }
                keyed.push((label, value));
            }
            Value::map(ty, keyed.into_iter().collect())
        }
    };
    value.mark(made.marks)
}

fn expand(block: &Block, declared: &DeclaredBlock, env: &mut Env<'_>, made: &mut Made, diagnostics: &mut Diagnostics) {
    let Some(dynamic) = &block.dynamic else {
        let value = evaluate(&block.body, &declared.schema, env, diagnostics);
        made.items.push((block.labels.first().cloned(), value, block.span));
        return;
    };
    let found = env.eval(dynamic.for_each.node()).and_then(|v| elements_of(v, dynamic.for_each.span()));
    let Some((pairs, marks)) = diagnostics.take(found) else { return };
    made.marks = made.marks.union(marks);
    let Some(pairs) = pairs else {
        made.unknown = true;
        return;
    };
    for (key, value) in pairs {
        let iterator = Value::object([("key", key), ("value", value)]);
        env.slots.push(iterator);
        let label =
            dynamic.labels.first().and_then(|l| diagnostics.take(env.eval(l.node()).and_then(|v| label(&v, l))));
        let value = evaluate(&block.body, &declared.schema, env, diagnostics);
        env.slots.pop();
        made.items.push((label, value, block.span));
    }
}

fn label(value: &Value, expr: &Expr) -> Result<Arc<str>, Diagnostics> {
    match convert(value, &Type::String).as_ref().map(Value::kind) {
        Ok(Kind::String(text)) if value.marks().is_empty() => Ok(text.clone()),
        _ => {
            let detail = "A label of a dynamic block must be a known text that is not sensitive.";
            Err(Diagnostic::error("lang::dynamic", "Invalid dynamic labels", detail).at(expr.span()).into())
        }
    }
}

thread_local! {
    static NAMES: RefCell<HashMap<&'static str, Arc<str>>> = RefCell::new(HashMap::new());
}

/// One shared text for each name of a schema: ten thousand instances share their attribute names.
fn interned(name: &'static str) -> Arc<str> {
    NAMES.with_borrow_mut(|names| names.entry(name).or_insert_with(|| name.into()).clone())
}

#[cfg(test)]
mod tests;
