//! Managed resources: evaluate, expand, look, decide.

use std::sync::Arc;

use mesh_lang::Resource;
use mesh_model::snapshot::Identity;
use mesh_model::{Action, Address, Instance, InstanceKey, Reason, Type, Value};
use mesh_sdk::{IdentityHint, PreviewResponse};

use super::candidate::{Candidate, Kind, Place};
use super::imports::Missing;
use super::{Item, Planner, values};
use crate::decide::{self, Decision, Input, Rule, Seen};
use crate::ephemeral;
use crate::world::{Expansion, aggregate, expand};

impl Planner<'_, '_> {
    pub(super) async fn managed(&self, node: u32, module: usize, block: &Resource) {
        let Some((schema, rules)) =
            self.engine.schema(block.mode, &block.ty).zip(self.engine.rules(block.mode, &block.ty))
        else {
            return;
        };
        if let Some(reason) = self.state(node).deferred {
            let code = if reason.starts_with("provider ") { "provider_config_unknown" } else { "deferred_prereq" };
            self.postpone(node, module, block, &reason, code);
            return;
        }
        let position = self.graph.provider_of.get(&node).copied().unwrap_or(0);
        if !self.configured(position) {
            return;
        }
        let kind = Kind { node, module, block, schema, rules, left: self.moves.left(self.config, module, block) };
        let imports = match self.imports(node, module, block) {
            Ok(imports) => imports,
            Err(Missing::Failed) => return,
            Err(Missing::Later) => {
                let reason = "what is imported into it is known only after apply";
                self.postpone(node, module, block, reason, "import_unknown");
                return;
            }
        };
        let mut values: Vec<Vec<(Option<InstanceKey>, Value)>> = Vec::new();
        let mut candidates = Vec::new();
        for (ordinal, instance) in self.world.instances(module).iter().enumerate() {
            values.push(Vec::new());
            let scope = self.world.scope(module, ordinal).repeated(&instance.repetition);
            match expand(block.count.as_ref(), block.for_each.as_ref(), &scope, candidates.len()) {
                Ok(Expansion::Known(list)) => {
                    for repetition in list {
                        let seen = if repetition.is_single() { &instance.repetition } else { &repetition };
                        match self.answers(node, ordinal, seen) {
                            Ok(Some(position)) => {
                                let place = Place { position, ordinal, module: instance };
                                candidates.extend(self.candidate(&kind, &imports, &place, repetition));
                            }
                            Ok(None) => {
                                let reason = "the key of its provider is known only after apply";
                                self.postpone(node, module, block, reason, "provider_config_unknown");
                                return;
                            }
                            Err(diagnostics) => self.say_all(node, diagnostics),
                        }
                    }
                }
                Ok(Expansion::Unknown(what)) => {
                    let reason = format!("{what} is known only after apply");
                    self.postpone(node, module, block, &reason, "instance_count_unknown");
                    return;
                }
                Err(diagnostics) => self.say_all(node, diagnostics),
            }
        }
        self.imports_left(node, imports);
        self.look_for_new(&kind, &mut candidates).await;
        if self.state(node).failed {
            return;
        }
        self.states.borrow_mut()[node as usize].unused = candidates.is_empty();
        let previews = self.previews(&kind, &candidates).await;
        let later = previews.iter().flatten().find_map(|p| match p {
            PreviewResponse::Later(why) => Some(why.clone()),
            _ => None,
        });
        if let Some(why) = later {
            self.postpone(node, module, block, &why, "kind_unknown");
            return;
        }
        let dependencies = self.dependencies(node);
        for (candidate, preview) in candidates.into_iter().zip(previews) {
            let ordinal = candidate.ordinal;
            let key = candidate.address.key.clone();
            if let Some(value) = self.settle(&kind, candidate, preview, &dependencies) {
                values[ordinal].push((key, value));
            }
        }
        for (ordinal, list) in values.into_iter().enumerate() {
            let gone = self.state(node).deferred.is_some();
            let value = if gone { Value::unknown(Type::Dynamic) } else { aggregate(block, list) };
            self.world.set(node, ordinal, value);
        }
    }

    /// Blocks that a node needs, as state keeps them: directly, or through blocks that have no entry in state
    /// where the rest of the way could be read.
    pub(super) fn dependencies(&self, node: u32) -> Arc<[Arc<str>]> {
        let managed = |n: u32| self.graph.address(self.config, n).is_some_and(|a| a.mode == mesh_model::Mode::Managed);
        self.graph
            .resources_through(node, |n| !managed(n) || self.states.borrow()[n as usize].unused)
            .into_iter()
            .filter_map(|n| self.graph.address(self.config, n))
            .filter(|a| a.mode == mesh_model::Mode::Managed)
            .map(|a| Arc::from(a.to_string()))
            .collect()
    }

    pub(super) fn input<'i>(
        &'i self,
        kind: &'i Kind<'_>,
        c: &'i Candidate,
        preview: Option<&'i PreviewResponse>,
    ) -> Input<'i> {
        let requested = self.replace.contains(&c.address).then_some(Reason::Requested);
        Input {
            address: &c.address,
            provider: &c.provider,
            schema: kind.schema,
            rules: kind.rules,
            saved: c.saved.as_deref(),
            recovered: c.recovered,
            seen: match (&c.observed, c.looked) {
                (Some(o), _) => Seen::Present(o),
                (None, true) => Seen::Absent,
                (None, false) => Seen::Nothing,
            },
            desired: &c.desired,
            rule: Rule {
                create_before_destroy: self.create_before_destroy.contains(&kind.node),
                protected: c.protected
                    || c.saved.as_ref().is_some_and(|s| s.protected && kind.block.lifecycle.prevent_destroy.is_none()),
                ignore: &kind.block.lifecycle.ignore_changes,
                adopt: c.adopt || c.import.is_some(),
                keep: !kind.block.lifecycle.destroy || c.saved.as_ref().is_some_and(|s| s.kept || s.adopted),
                replace: requested.or_else(|| self.triggered(kind, c)),
            },
            preview,
            fingerprinter: &self.fingerprinter,
        }
    }

    /// What to say of an object that is there where state knows it under another address.
    fn elsewhere(&self, c: &Candidate) -> Option<String> {
        let identity = &c.observed.as_ref()?.identity;
        let same = |a: &Address, i: &Instance| {
            a.ty == c.address.ty && i.provider == c.provider && i.identity.as_ref() == Some(identity)
        };
        let (other, _) = self.snapshot.instances.iter().find(|(a, i)| same(a, i))?;
        Some(format!(
            "{} would be created as {:?}, but that is the object of {other} in state. If this is the same block under another name, say so \
             with a moved block or with mesh state mv '{other}' '{}'; if it is another one, give it another name, or take the object of \
             {other} away first.",
            c.address, identity.0, c.address
        ))
    }

    /// Decides, and files the decision; gives the planned value.
    fn settle(
        &self,
        kind: &Kind<'_>,
        c: Candidate,
        preview: Option<PreviewResponse>,
        dependencies: &Arc<[Arc<str>]>,
    ) -> Option<Value> {
        let (change, drift) = match decide::decide(&self.input(kind, &c, preview.as_ref())) {
            Decision::Change { mut change, drift } => {
                if c.import.is_some() && change.reason == Reason::Adopted {
                    change.reason = Reason::None;
                }
                (*change, drift)
            }
            Decision::Refuse(mut diagnostic) => {
                if diagnostic.code == decide::EXISTS
                    && let Some(detail) = self.elsewhere(&c)
                {
                    diagnostic.detail = detail;
                }
                self.say(kind.node, diagnostic.at_default(Some(kind.block.span)));
                return None;
            }
            // The preview failed; that was said.
            Decision::NeedsPreview { planned } => return Some(planned),
        };
        if let Some(gate) = kind.rules.closed_gate(&change.after) {
            self.gate(kind.node, &c.address, gate);
            return Some(change.after);
        }
        let value = ephemeral::readable(&change.after);
        let scope = self.world.scope(kind.module, c.ordinal).repeated(&c.repetition).this(&value);
        for condition in &kind.block.lifecycle.postconditions {
            if let Some(d) = values::check(condition, &scope, "plan::postcondition", "A postcondition does not hold") {
                self.say(kind.node, d.on(&c.address));
            }
        }
        if change.action.is_write() || change.importing.is_some() {
            self.states.borrow_mut()[kind.node as usize].pending = true;
        }
        let known = match &c.hint {
            IdentityHint::Known(i) => Some(i.clone()),
            IdentityHint::Unknown | IdentityHint::Assigned => None,
        };
        let identity: Option<Identity> = c
            .observed
            .as_ref()
            .map(|o| o.identity.clone())
            .or_else(|| c.saved.as_ref().and_then(|s| s.identity.clone()))
            .or_else(|| known.clone());
        let mut out = self.out.borrow_mut();
        out.drift.extend(drift.map(|d| *d));
        let item = Item {
            node: Some(kind.node),
            ordinal: c.ordinal,
            repetition: c.repetition,
            provider: c.position,
            desired: Some(c.desired),
            observed: c.observed,
            preview,
            identity,
            makes: known,
            dependencies: dependencies.clone(),
            protected: c.protected,
            create_before_destroy: self.create_before_destroy.contains(&kind.node),
            adopt: c.adopt,
            kept: !kind.block.lifecycle.destroy,
        };
        if change.action == Action::Update || change.action.is_replace() {
            let position = out.planned.len();
            out.changing.entry((kind.node, c.ordinal)).or_default().insert(change.address.key.clone(), position);
        }
        out.planned.push((change, item));
        Some(value)
    }
}
