//! One instance of a managed block on its way to a decision: its configuration evaluated, what state
//! knows of it and what was seen.
//!
//! The one decision: everything that may be wrong with the configuration of an instance is said here,
//! before anybody is asked about new objects.

use std::sync::Arc;

use mesh_lang::{Resource, attribute_span, eval_body};
use mesh_model::{Address, Diagnostic, Instance, ResourceSchema, Span, Value};
use mesh_sdk::{IdentityHint, Imported, Observed, Rules};

use super::imports::Imports;
use super::moves::Left;
use super::{Planner, values};
use crate::ephemeral;
use crate::world::{ModuleInstance, Repetition, address};

/// One instance on its way to a decision.
pub(super) struct Candidate {
    pub(super) address: Address,
    /// The provider that answers for it.
    pub(super) position: usize,
    /// That one's key.
    pub(super) provider: Arc<str>,
    pub(super) ordinal: usize,
    pub(super) repetition: Repetition,
    pub(super) desired: Value,
    pub(super) saved: Option<Arc<Instance>>,
    pub(super) recovered: bool,
    pub(super) observed: Option<Observed>,
    /// Whether it is certain what is there.
    pub(super) looked: bool,
    pub(super) hint: IdentityHint,
    pub(super) adopt: bool,
    /// What an import block calls the object, and where.
    pub(super) import: Option<(String, Span)>,
    pub(super) protected: bool,
}

/// Where an instance stands.
pub(super) struct Place<'p> {
    /// The provider that answers for it.
    pub(super) position: usize,
    /// The module instance.
    pub(super) ordinal: usize,
    pub(super) module: &'p ModuleInstance,
}

/// What is the same for all instances of a block.
pub(super) struct Kind<'p> {
    pub(super) node: u32,
    pub(super) module: usize,
    pub(super) block: &'p Resource,
    pub(super) schema: &'p ResourceSchema,
    pub(super) rules: &'p dyn Rules,
    /// What moved away from instances of the block.
    pub(super) left: Vec<&'p Left>,
}

impl Planner<'_, '_> {
    pub(super) fn candidate(
        &self,
        kind: &Kind<'_>,
        imports: &Imports,
        place: &Place<'_>,
        repetition: Repetition,
    ) -> Option<Candidate> {
        let block = kind.block;
        let &Place { position, ordinal, module } = place;
        let provider = self.providers.borrow()[position].key.clone();
        let address = address(&module.path, block, repetition.key.clone());
        // Also where something is wrong with it: that is said once.
        self.out.borrow_mut().handled.insert(address.clone());
        if !self.selection.instance(&address) {
            return None;
        }
        if let Some(error) = kind.left.iter().find_map(|l| l.error(&address)) {
            self.say(kind.node, error);
            return None;
        }
        // `each` of the block hides that of the module.
        let seen = if repetition.is_single() { &module.repetition } else { &repetition };
        let scope = self.world.scope(kind.module, ordinal).repeated(seen);
        for condition in &block.lifecycle.preconditions {
            if let Some(d) = values::check(condition, &scope, "plan::precondition", "A precondition does not hold") {
                self.say(kind.node, d.on(&address));
                return None;
            }
        }
        let desired = match eval_body(&block.body, &kind.schema.schema, &scope) {
            Ok(v) => kind.rules.mark(v),
            Err(diagnostics) => {
                for d in diagnostics {
                    self.say(kind.node, d.on(&address));
                }
                return None;
            }
        };
        for problem in kind.rules.validate(&desired) {
            let span = attribute_span(&block.body, &problem.path).unwrap_or(block.span);
            let detail = format!("{}: {}", problem.path, problem.reason);
            self.say(
                kind.node,
                Diagnostic::error("plan::invalid", "Invalid configuration of a resource", detail).at(span).on(&address),
            );
        }
        for d in ephemeral::stored(&kind.schema.schema, &block.body, block.span, &desired) {
            self.say(kind.node, d.on(&address));
        }
        let desired = ephemeral::planned(&kind.schema.schema, &desired, None);
        let protected = match &block.lifecycle.prevent_destroy {
            None => kind.schema.protected,
            Some(expr) => match expr.eval(&scope) {
                Ok(v) => v.as_bool().unwrap_or(true),
                Err(diagnostics) => {
                    self.say_all(kind.node, diagnostics);
                    return None;
                }
            },
        };
        let adopt = self.adopts(kind, &scope)?;
        let saved = self.snapshot.instances.get(&address).cloned();
        let recovered = self.tentative(&address);
        // What state knows already need not be imported.
        let import = imports.get(&address).filter(|_| saved.is_none()).cloned();
        let mut only = None;
        let hint = match import.as_ref().map(|(id, span)| (kind.rules.import(id, &desired), *span)) {
            None => kind.rules.identity(&desired),
            Some((Ok(Imported::At(identity)), _)) => IdentityHint::Known(identity),
            Some((Ok(Imported::Only(observed)), _)) => {
                only = Some(observed);
                IdentityHint::Assigned
            }
            Some((Err(reason), span)) => {
                let detail = format!("{address}: {reason}");
                self.say(
                    kind.node,
                    Diagnostic::error("plan::import", "Not the object to import", detail).at(span).on(&address),
                );
                return None;
            }
        };
        let (observed, looked) = match &saved {
            None => (only, false),
            // Another configuration of the provider answers now: what that one sees is asked for below.
            Some(s) if self.options.refresh && s.provider != provider && !self.keyed.borrow().is_empty() => {
                (None, false)
            }
            Some(_) => match self.seen(position, &address) {
                Ok(o) => {
                    let there = o.is_some();
                    (o, there || self.options.refresh)
                }
                Err(e) => {
                    self.say(kind.node, Diagnostic::from(e).at(block.span).on(&address));
                    return None;
                }
            },
        };
        Some(Candidate {
            address,
            position,
            provider,
            ordinal,
            repetition: seen.clone(),
            desired,
            saved,
            recovered,
            observed,
            looked,
            hint,
            adopt,
            import,
            protected,
        })
    }

    fn adopts(&self, kind: &Kind<'_>, scope: &dyn mesh_lang::Scope) -> Option<bool> {
        let Some(expr) = &kind.block.lifecycle.on_existing else { return Some(false) };
        match expr.eval(scope) {
            Ok(v) => match v.as_str() {
                Some("adopt") => Some(true),
                Some("fail") => Some(false),
                _ => {
                    self.say(
                        kind.node,
                        Diagnostic::error(
                            "plan::on_existing",
                            "Invalid on_existing",
                            "on_existing is \"fail\" or \"adopt\".",
                        )
                        .at(expr.span()),
                    );
                    None
                }
            },
            Err(diagnostics) => {
                self.say_all(kind.node, diagnostics);
                None
            }
        }
    }
}
