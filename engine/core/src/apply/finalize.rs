//! Final values: what was planned, with what became known since.
//!
//! The one decision: the configuration is evaluated again right before the call, and what comes out must be
//! what the plan said wherever that was known.

use std::collections::hash_map::Entry;

use mesh_lang::eval_body;
use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Change, Diagnostic, Span, Value};
use mesh_sdk::{PlanRequest, PreviewResponse};

use super::Walk;
use crate::conform::conforms;
use crate::decide::{differences, ignoring};
use crate::ephemeral;
use crate::graph::Node;
use crate::plan::{Item, check};
use crate::world::Repetition;

impl Walk<'_, '_> {
    pub(super) fn block(&self, item: &Item) -> Option<(usize, &mesh_lang::Resource)> {
        let Node::Resource { module, item: i } = self.planning.world.graph.nodes[item.node? as usize] else {
            return None;
        };
        Some((module, &self.planning.world.config.modules[module].resources[i]))
    }

    pub(super) fn block_span(&self, item: &Item) -> Option<Span> {
        self.block(item).map(|(_, b)| b.span)
    }

    /// What `each` and `count` are, with what is known now.
    pub(super) fn repetition(
        &self,
        item: &Item,
        module: usize,
        block: &mesh_lang::Resource,
    ) -> Result<Repetition, Diagnostic> {
        let (world, Some(node)) = (&self.planning.world, item.node) else { return Ok(item.repetition.clone()) };
        if item.repetition.is_known() {
            return Ok(item.repetition.clone());
        }
        let instances = world.instances(module);
        let around = instances.get(item.ordinal).map(|i| &i.repetition).unwrap_or(&item.repetition);
        let Some(for_each) = &block.for_each else { return Ok(around.clone()) };
        let mut repeated = self.repeated.borrow_mut();
        let all = match repeated.entry((node, item.ordinal)) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => {
                let scope = world.scope(module, item.ordinal).repeated(around);
                place.insert(for_each.eval(&scope).map_err(|d| first(d, block.span))?)
            }
        };
        Ok(item.repetition.among(all))
    }

    /// The configuration with what is known now.
    pub(super) fn evaluate(&self, item: &Item) -> Result<Value, Diagnostic> {
        let Some((module, block)) = self.block(item) else { return Ok(Value::NULL) };
        let repetition = self.repetition(item, module, block)?;
        let scope = self.planning.world.scope(module, item.ordinal).repeated(&repetition);
        // Also where the configuration was known: a condition may have waited for other values.
        for condition in &block.lifecycle.preconditions {
            if let Some(d) = check(condition, &scope, "apply::precondition", "A precondition does not hold") {
                return Err(d);
            }
        }
        // What is ephemeral is in no plan.
        if let Some(desired) = item.desired.as_ref().filter(|d| d.is_wholly_known() && !d.all_marks().ephemeral()) {
            return Ok(desired.clone());
        }
        let schema = self.engine.schema(block.mode, &block.ty).map(|s| &s.schema);
        let Some(schema) = schema else { return Ok(Value::NULL) };
        let value = eval_body(&block.body, schema, &scope).map_err(|d| first(d, block.span))?;
        if !value.is_wholly_known() {
            return Err(Diagnostic::error(
                "apply::unknown",
                "A value is still unknown",
                format!("{} needs a value that nothing in this apply gave. Run the same command again: it plans anew with what is known by then.", block.name),
            )
            .at(block.span));
        }
        Ok(value)
    }

    pub(super) fn postconditions(&self, item: &Item, value: &Value) -> Result<(), Diagnostic> {
        let Some((module, block)) = self.block(item) else { return Ok(()) };
        let repetition = self.repetition(item, module, block)?;
        let scope = self.planning.world.scope(module, item.ordinal).repeated(&repetition).this(value);
        let failed = block
            .lifecycle
            .postconditions
            .iter()
            .find_map(|c| check(c, &scope, "apply::postcondition", "A postcondition does not hold"));
        failed.map_or(Ok(()), Err)
    }

    /// The values to send: the planned ones with nothing unknown left but what the provider gives.
    pub(super) fn finalize(&self, change: &Change, item: &Item) -> Result<Value, Diagnostic> {
        let desired = self.evaluate(item)?;
        let rules = self.engine.rules(change.address.mode, &change.address.ty);
        let schema = self.engine.schema(change.address.mode, &change.address.ty);
        let (Some(rules), Some(schema)) = (rules, schema) else { return Ok(change.after.clone()) };
        let desired = rules.mark(desired);
        if desired.has_withheld() {
            return Err(Diagnostic::error(
                "apply::withheld",
                "A secret is needed that state does not hold",
                "State keeps a fingerprint of this secret only, and what could give it again was not read. Run the same command without -refresh=false.",
            ));
        }
        if let Some(error) = self
            .block(item)
            .and_then(|(_, b)| ephemeral::stored(&schema.schema, &b.body, b.span, &desired).into_iter().next())
        {
            return Err(error);
        }
        let (sent, desired) = (&desired, ephemeral::planned(&schema.schema, &desired, Some(&change.after)));
        if item.desired.as_ref().is_some_and(Value::is_wholly_known) {
            return Ok(ephemeral::filled(&schema.schema, change.after.clone(), sent));
        }
        let renewed = change.action.is_replace();
        let observed = item.observed.as_ref().filter(|_| !renewed).map(|o| &o.values);
        let desired = match self.block(item) {
            Some((_, block)) => ignoring(&block.lifecycle.ignore_changes, &desired, observed),
            None => desired,
        };
        let preview = match &item.preview {
            Some(PreviewResponse::Values(v)) if change.after.is_wholly_known() => Some(v),
            _ => None,
        };
        let saved = self.planning.snapshot.instances.get(&change.address).filter(|_| !renewed);
        let response = rules.plan(&PlanRequest {
            schema,
            saved: saved.map(|s| &s.values),
            observed,
            desired: &desired,
            preview,
            fingerprinter: &self.planning.fingerprinter,
        });
        if !conforms(&self.planning.fingerprinter, &change.after, &response.after) {
            let paths: Vec<String> =
                differences(&change.after, &response.after).iter().map(ToString::to_string).collect();
            return Err(Diagnostic::error(
                "apply::inconsistent",
                "The values are not what the plan said",
                format!(
                    "Differences at {}. Nothing was sent. Run the same command again: it plans anew with what is known by then.",
                    paths.join(", ")
                ),
            ));
        }
        Ok(ephemeral::filled(&schema.schema, response.after, sent))
    }

    /// What the provider gave back, without ephemeral values that it was sent.
    pub(super) fn kept(&self, change: &Change, values: Value, sent: &Value) -> Value {
        match self.engine.schema(change.address.mode, &change.address.ty) {
            Some(schema) => ephemeral::forget(&schema.schema, &values, sent),
            None => values,
        }
    }

    pub(super) fn identity(
        &self,
        change: &Change,
        item: &Item,
        after: &Value,
        operation: Operation,
    ) -> Option<Identity> {
        if operation == Operation::Update || change.importing.is_some() {
            return item.identity.clone();
        }
        let rules = self.engine.rules(change.address.mode, &change.address.ty)?;
        match rules.identity(after) {
            mesh_sdk::IdentityHint::Known(identity) => Some(identity),
            mesh_sdk::IdentityHint::Unknown | mesh_sdk::IdentityHint::Assigned => None,
        }
    }
}

fn first(diagnostics: mesh_model::Diagnostics, span: Span) -> Diagnostic {
    diagnostics
        .into_iter()
        .next()
        .unwrap_or_else(|| {
            Diagnostic::error("apply::evaluate", "The configuration cannot be evaluated", "No reason was given.")
        })
        .at_default(Some(span))
}
