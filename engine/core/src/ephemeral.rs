//! Ephemeral blocks: opened where they are first needed, in the plan's walk or in the apply.
//!
//! The one decision: one opening serves a plan and the apply that follows in the same process, so the walk
//! opens what it can, and the apply goes over the same blocks again and opens what had to wait. What an
//! ephemeral value may not reach is said here too: plans hold [`planned`] configurations, in which it is
//! null, and only a write-only attribute gets it back right before its call. Closing is `live`'s work.

use std::sync::Arc;

use mesh_lang::{Body, Resource, attribute_span, eval_body};
use mesh_model::{Address, Diagnostic, Diagnostics, Marks, ResourceSchema, Schema, Span, Type, Value};
use mesh_sdk::Session;

use crate::engine::Engine;
use crate::live::Subject;
use crate::plan::check;
use crate::world::{Expansion, Repetition, World, address, aggregate, expand};

/// What is opened is another thing with every run.
const OPENED: Marks = Marks::EPHEMERAL.union(Marks::OPENED);

/// A session, if there is one yet.
pub(crate) type Found = Result<Option<Arc<dyn Session>>, Diagnostics>;

/// A block that is to be opened.
pub(crate) struct Opening<'o, 'c> {
    /// The engine.
    pub(crate) engine: &'o Engine,
    /// Values so far.
    pub(crate) world: &'o World<'c>,
    /// Its node.
    pub(crate) node: u32,
    /// Its module.
    pub(crate) module: usize,
    /// The block.
    pub(crate) block: &'o Resource,
    /// The provider's session for an instance, by the module instance; `None` while its key is unknown.
    pub(crate) session: &'o dyn Fn(usize, &Repetition) -> Found,
    /// Whether this is an apply: everything that is needed is known then.
    pub(crate) applying: bool,
    /// Whether something that it depends on changes first.
    pub(crate) wait: bool,
}

/// Sets the block's value to unknown: it can be opened in a later stage only.
pub(crate) fn postpone(world: &World<'_>, node: u32, module: usize) {
    for ordinal in 0..world.instances(module).len() {
        world.set(node, ordinal, unknown(Type::Dynamic));
    }
}

fn unknown(ty: Type) -> Value {
    Value::unknown(ty).mark(OPENED)
}

impl Opening<'_, '_> {
    /// Opens the instances that are not open and sets the block's value; gives whether all are open.
    pub(crate) async fn open(&self) -> Result<bool, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let Some(schema) = self.engine.schema(self.block.mode, &self.block.ty) else { return Ok(true) };
        let (mut all, mut opened) = (true, 0);
        for (ordinal, instance) in self.world.instances(self.module).iter().enumerate() {
            let scope = self.world.scope(self.module, ordinal).repeated(&instance.repetition);
            let expansion = expand(self.block.count.as_ref(), self.block.for_each.as_ref(), &scope, opened);
            let list = match diagnostics.take(expansion) {
                Some(Expansion::Known(list)) => list,
                Some(Expansion::Unknown(what)) if self.applying => {
                    diagnostics.push(still_unknown(what, self.block.span));
                    continue;
                }
                Some(Expansion::Unknown(_)) => {
                    all = false;
                    self.world.set(self.node, ordinal, unknown(Type::Dynamic));
                    continue;
                }
                None => continue,
            };
            opened += list.len();
            let mut values = Vec::with_capacity(list.len());
            for repetition in list {
                let address = address(&instance.path, self.block, repetition.key.clone());
                let seen = if repetition.is_single() { &instance.repetition } else { &repetition };
                match self.instance(schema, ordinal, &address, seen).await {
                    Ok(value) => {
                        all &= !value.is_unknown();
                        values.push((repetition.key, value));
                    }
                    Err(found) => diagnostics.0.extend(found.into_iter().map(|d| d.on(&address))),
                }
            }
            self.world.set(self.node, ordinal, aggregate(self.block, values));
        }
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok(all) }
    }

    /// The value of one instance: opened now, or before, or unknown because it has to wait.
    async fn instance(
        &self,
        schema: &ResourceSchema,
        ordinal: usize,
        address: &Address,
        repetition: &Repetition,
    ) -> Result<Value, Diagnostics> {
        let (before, after) = if self.applying {
            ("apply::precondition", "apply::postcondition")
        } else {
            ("plan::precondition", "plan::postcondition")
        };
        let (block, lifecycle) = (self.block, &self.block.lifecycle);
        let scope = self.world.scope(self.module, ordinal).repeated(repetition);
        let failed = lifecycle.preconditions.iter();
        let failed: Diagnostics =
            Diagnostics(failed.filter_map(|c| check(c, &scope, before, "A precondition does not hold")).collect());
        if failed.has_errors() {
            return Err(failed);
        }
        let value = match self.engine.live.value(address) {
            Some(value) => value,
            None => {
                let config = eval_body(&block.body, &schema.schema, &scope)?;
                let session = (self.session)(ordinal, repetition)?;
                let session = match (session, config.is_wholly_known(), config.has_withheld()) {
                    (Some(session), true, false) if !self.wait => session,
                    _ if !self.applying => return Ok(unknown(schema.schema.ty())),
                    (_, _, true) => return Err(withheld(block.span).into()),
                    _ => return Err(still_unknown(&block.name, block.span).into()),
                };
                let subject = Subject { address: address.clone(), session, span: block.span };
                let open = self.engine.live.open(subject, &config, |value| value.mark(OPENED));
                open.await.map_err(|e| {
                    let place = e.path.as_ref().and_then(|p| attribute_span(&block.body, p)).unwrap_or(block.span);
                    Diagnostic::from(e).at(place)
                })?
            }
        };
        let scope = self.world.scope(self.module, ordinal).repeated(repetition).this(&value);
        let failed = lifecycle.postconditions.iter();
        let failed: Vec<_> = failed.filter_map(|c| check(c, &scope, after, "A postcondition does not hold")).collect();
        if failed.is_empty() { Ok(value) } else { Err(Diagnostics(failed)) }
    }
}

fn still_unknown(what: &str, span: Span) -> Diagnostic {
    let detail = format!(
        "{what} needs a value that nothing in this apply gave. Run the same command again: it plans anew with what is known by then."
    );
    Diagnostic::error("apply::unknown", "A value is still unknown", detail).at(span)
}

fn withheld(span: Span) -> Diagnostic {
    Diagnostic::error(
        "apply::withheld",
        "A secret is needed that state does not hold",
        "State keeps a fingerprint of this secret only, and what could give it again was not read. Run the same command without -refresh=false.",
    )
    .at(span)
}

/// One error for each part of a configuration that would store an ephemeral value.
pub(crate) fn stored(schema: &Schema, body: &Body, block: Span, config: &Value) -> Vec<Diagnostic> {
    let attributes = schema.attributes.iter().filter(|a| !a.write_only).map(|a| a.name);
    attributes
        .chain(schema.blocks.iter().map(|b| b.name))
        .filter(|name| config.get(name).is_some_and(|v| v.all_marks().ephemeral()))
        .map(|name| {
            let span = attribute_span(body, &mesh_model::Path::attribute(name)).unwrap_or(block);
            let detail = format!(
                "{name} is kept in state or in the plan, so it cannot be ephemeral. Only write-only attributes, provider \
                 configurations and ephemeral blocks can."
            );
            Diagnostic::error("plan::ephemeral_stored", "An ephemeral value would be stored", detail).at(span)
        })
        .collect()
}

/// The secret that a write-only attribute was given from ephemeral variables; `None` where it is another one with
/// every run, or not known.
fn secret(value: &Value) -> Option<Value> {
    let same = !value.is_null() && value.is_wholly_known() && !value.all_marks().contains(Marks::OPENED);
    same.then(|| value.reveal_deep().0.mark(Marks::SENSITIVE.union(Marks::GIVEN)))
}

/// The form of a configuration that a plan may hold. What a write-only attribute is given from ephemeral
/// variables is a secret there, so that another value is seen by its fingerprint, unless it could not be known
/// in `before`, an earlier form. Any other attribute with an ephemeral part is null, marked ephemeral where it
/// stands for something, so that a type's rules can tell that it will be given.
pub(crate) fn planned(schema: &Schema, config: &Value, before: Option<&Value>) -> Value {
    let late = |name| before.and_then(|b| b.get(name)).is_some_and(|b| b.marks().ephemeral());
    let secrets = given(schema, config).filter(|(name, _)| !late(name)).filter_map(|(n, v)| Some((n, secret(v)?)));
    secrets.fold(config.clone(), |config, (name, value)| config.with(name, value)).map_children(&|v| {
        if !v.all_marks().ephemeral() {
            return v.clone();
        }
        let nothing = Value::null(v.ty());
        if v.is_null() { nothing } else { nothing.mark(Marks::EPHEMERAL) }
    })
}

/// What others see of planned values: what was given to a write-only attribute cannot be read back.
pub(crate) fn readable(values: &Value) -> Value {
    let hidden = |v: &Value| v.marks().ephemeral() || v.marks().contains(Marks::GIVEN);
    values.map_children(&|v| if hidden(v) { Value::null(v.ty()) } else { v.clone() })
}

/// Planned values as they are sent: write-only attributes get the ephemeral values of `config`.
pub(crate) fn filled(schema: &Schema, after: Value, config: &Value) -> Value {
    given(schema, config).fold(after, |after, (name, value)| after.with(name, value.clone()))
}

/// What a provider gave back, with what it was given in confidence only as a secret, or not at all.
pub(crate) fn forget(schema: &Schema, values: &Value, sent: &Value) -> Value {
    given(schema, sent).fold(values.clone(), |values, (name, value)| {
        values.with(name, secret(value).unwrap_or_else(|| Value::null(value.ty())))
    })
}

/// The write-only attributes that have ephemeral parts.
fn given<'v>(schema: &'v Schema, values: &'v Value) -> impl Iterator<Item = (&'static str, &'v Value)> {
    let attributes = schema.attributes.iter().filter(|a| a.write_only);
    attributes.filter_map(|a| Some((a.name, values.get(a.name).filter(|v| v.all_marks().ephemeral())?)))
}
