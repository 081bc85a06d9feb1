//! Bodies against schemas: static checks, and evaluation to an object in the schema's shape.
//!
//! The one decision: [`check_body`] says everything that needs no value (and is called first), so that
//! [`eval_body`] only evaluates and converts, and its result always has every attribute and block of the
//! schema. Types that the schema leaves open (`any`) stay as the value has them.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mesh_model::convert::convert;
use mesh_model::schema::{Attribute as Declared, Block as DeclaredBlock, Given};
use mesh_model::{Diagnostic, Diagnostics, Fields, Kind, Marks, Nesting, Schema, Span, Type, Value};

use crate::expr::{Env, Node, elements_of};
use crate::limits;
use crate::suggest::hint;
use crate::{Body, Expr, Scope};
use view::{Nested, View};

mod view;

/// What can be said about a body without values: unknown arguments and blocks, missing ones, arguments
/// that only the provider sets, constants of a wrong type, too few or too many blocks. `what` names the
/// body in messages: `vault_policy.istiod`.
pub fn check_body(body: &Body, schema: &Schema, what: &str) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    check(View::Body(body), schema, what, &mut diagnostics);
    diagnostics
}

fn check(body: View<'_>, schema: &Schema, what: &str, diagnostics: &mut Diagnostics) {
    let names = || {
        let settable = schema.attributes.iter().filter(|a| a.given != Given::Computed).map(|a| a.name);
        settable.chain(schema.blocks.iter().map(|b| b.name))
    };
    let unexpected = |name: &str, place: Span| {
        let detail = format!("An argument named {name:?} is not expected in {what}.{}", hint(name, names()));
        Diagnostic::error("lang::unexpected", "Unsupported argument", detail).at(place)
    };
    for argument in body.arguments() {
        let Some(name) = argument.name else {
            let detail = "The name of an argument is a fixed text.";
            diagnostics.push(Diagnostic::error("lang::unexpected", "Unsupported argument", detail).at(argument.place));
            continue;
        };
        match schema.attribute(name) {
            Some(declared) if declared.given == Given::Computed => {
                let detail = format!("{name:?} is set by the provider and cannot be configured. Remove this line.");
                diagnostics.push(
                    Diagnostic::error("lang::unexpected", "Value for read-only attribute", detail).at(argument.place),
                );
            }
            Some(declared) => {
                if let Some(value) = argument.value.constant() {
                    let _ = diagnostics.take(fit(&value, declared, argument.value));
                }
            }
            // Looked at below, with the other blocks.
            None if argument.json && schema.blocks.iter().any(|b| b.name == name) => {}
            None if schema.blocks.iter().any(|b| b.name == name) => {
                let detail = format!("{name:?} is a block: write it as {name} {{ ... }}, without \"=\".");
                diagnostics
                    .push(Diagnostic::error("lang::unexpected", "Unsupported argument", detail).at(argument.place));
            }
            None => diagnostics.push(unexpected(name, argument.place)),
        }
    }
    for declared in schema.attributes.iter().filter(|a| a.given == Given::Required) {
        if body.argument(declared.name).is_none() {
            let detail = format!("The argument {:?} is required in {what}. {}", declared.name, declared.doc);
            diagnostics.push(
                Diagnostic::error("lang::missing", "Missing required argument", detail.trim_end()).at(body.place()),
            );
        }
    }
    for block in body.written() {
        let name = &*block.name;
        if schema.blocks.iter().any(|b| b.name == name) {
            continue;
        }
        let is_argument = schema.attribute(name).is_some();
        if block.json && block.dynamic.is_none() && !is_argument {
            diagnostics.push(unexpected(name, block.span));
            continue;
        }
        let detail = if block.json && is_argument && body.argument(name).is_some() {
            format!("{name:?} is an argument, and it is given more than once.")
        } else if is_argument {
            format!("{name:?} is an argument: write it as {name} = ..., with \"=\".")
        } else {
            format!("Blocks of type {name:?} are not expected in {what}.{}", hint(name, names()))
        };
        diagnostics.push(Diagnostic::error("lang::unexpected", "Unsupported block type", detail).at(block.span));
    }
    let found: Vec<_> = schema.blocks.iter().map(|declared| (declared, body.blocks(declared, diagnostics))).collect();
    // In the order of the source.
    let mut blocks: Vec<_> = found.iter().flat_map(|(d, blocks)| blocks.iter().map(move |b| (*d, b))).collect();
    blocks.sort_by_key(|(_, block)| block.place);
    for (declared, block) in blocks {
        let name = declared.name;
        let wanted = usize::from(declared.nesting == Nesting::Map);
        if block.labels != wanted {
            let detail = format!("A {name:?} block in {what} has {wanted} label(s).");
            diagnostics.push(Diagnostic::error("lang::labels", "Wrong number of block labels", detail).at(block.place));
        }
        check(block.content, &declared.schema, &format!("{name} of {what}"), diagnostics);
    }
    for (declared, blocks) in &found {
        counts(body.place(), blocks, declared, what, diagnostics);
    }
}

fn counts(place: Span, written: &[Nested<'_>], declared: &DeclaredBlock, what: &str, diagnostics: &mut Diagnostics) {
    let dynamic = written.iter().any(|b| b.dynamic.is_some());
    let fixed = written.iter().filter(|b| b.dynamic.is_none()).count();
    let most = if declared.nesting == Nesting::Single { 1 } else { declared.max };
    if !dynamic && fixed < declared.min {
        let detail = format!("{what} needs at least {} {:?} block(s). {}", declared.min, declared.name, declared.doc);
        diagnostics.push(Diagnostic::error("lang::missing", "Missing required block", detail.trim_end()).at(place));
    }
    if most > 0
        && fixed > most
        && let Some(block) = written.get(most)
    {
        let detail = format!("{what} takes at most {most} {:?} block(s).", declared.name);
        diagnostics.push(
            Diagnostic::error("lang::duplicate", "Too many blocks", detail)
                .at(block.place)
                .with(written[0].place, "first here"),
        );
    }
}

/// The value of a body as an object in the shape of the schema: every attribute is there, converted to
/// its type (null where nothing gives it, defaults filled in, sensitive ones marked), `dynamic` blocks
/// are expanded, and nested blocks become what their nesting says. All errors come back at once.
/// Call [`check_body`] first: names that the schema does not know are passed over here.
pub fn eval_body(body: &Body, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let value = evaluate(View::Body(body), schema, &mut Env::new(Some(scope)), &mut diagnostics);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(value) }
}

fn evaluate(body: View<'_>, schema: &Schema, env: &mut Env<'_>, diagnostics: &mut Diagnostics) -> Value {
    let mut fields = Vec::with_capacity(schema.attributes.len() + schema.blocks.len());
    for declared in &schema.attributes {
        let value = match body.argument(declared.name) {
            Some((node, whole)) => match env.eval(node).and_then(|v| fit(&v, declared, node)) {
                Ok(value) => value,
                Err(errors) => {
                    diagnostics.extend(whole.explain_all(errors, env.scope()));
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
fn fit(value: &Value, declared: &Declared, node: &Node) -> Result<Value, Diagnostics> {
    if value.is_null() && declared.given == Given::Required {
        let detail = format!("The argument {:?} is required, but its value is null.", declared.name);
        return Err(Diagnostic::error("lang::missing", "Missing required argument", detail).at(node.span).into());
    }
    convert(value, &declared.ty).map_err(|error| {
        let detail = format!("The value of {:?} does not fit: {error}.", declared.name);
        Diagnostic::error("lang::type", "Wrong type of an attribute", detail).at(node.span_at(&error.path.0)).into()
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

fn nested(body: View<'_>, declared: &DeclaredBlock, env: &mut Env<'_>, diagnostics: &mut Diagnostics) -> Value {
    let mut made = Made::default();
    for block in body.blocks(declared, diagnostics) {
        expand(&block, declared, env, &mut made, diagnostics);
    }
    let ty = declared.schema.ty();
    let most = if declared.nesting == Nesting::Single { 1 } else { declared.max };
    if made.items.len() > most && most > 0 || made.items.len() < declared.min && !made.unknown {
        let place = made.items.get(most).map_or(body.place(), |(_, _, span)| *span);
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
            let mut seen = HashSet::new();
            for (label, value, span) in values {
                let label = label.unwrap_or_else(|| Arc::from(""));
                if !seen.insert(label.clone()) {
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

fn expand(
    block: &Nested<'_>,
    declared: &DeclaredBlock,
    env: &mut Env<'_>,
    made: &mut Made,
    diagnostics: &mut Diagnostics,
) {
    let Some(dynamic) = block.dynamic else {
        let value = evaluate(block.content, &declared.schema, env, diagnostics);
        made.items.push((block.label.cloned(), value, block.place));
        return;
    };
    let found = env.eval(dynamic.for_each.node()).and_then(|v| elements_of(v, dynamic.for_each.span()));
    let Some((pairs, marks)) = diagnostics.take(found) else { return };
    made.marks = made.marks.union(marks);
    let Some(pairs) = pairs else {
        made.unknown = true;
        return;
    };
    let mut size = 0;
    for (key, value) in pairs {
        // One step, so that a block without expressions is not free.
        let room = env.count(1, dynamic.for_each.span()).and_then(|()| limits::grown(size, block.place));
        // The same mistake in every element need not be told without end.
        if diagnostics.take(room).is_none() || diagnostics.0.len() > limits::MAX_ERRORS {
            return;
        }
        let iterator = Value::object([("key", key), ("value", value)]);
        env.slots.push(iterator);
        let label =
            dynamic.labels.first().and_then(|l| diagnostics.take(env.eval(l.node()).and_then(|v| label(&v, l))));
        let value = evaluate(block.content, &declared.schema, env, diagnostics);
        env.slots.pop();
        size += value.size();
        made.items.push((label, value, block.place));
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
