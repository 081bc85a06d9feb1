//! Managed resources: evaluate, expand, look, decide.

use std::sync::Arc;

use futures::StreamExt as _;
use mesh_lang::{Expr, Resource, Scope, attribute_span, eval_body};
use mesh_model::snapshot::Identity;
use mesh_model::{Action, Address, Diagnostic, Instance, InstanceKey, Path, Reason, ResourceSchema, Step, Type, Value};
use mesh_sdk::{IdentityHint, Observation, ObserveRequest, Observed, PreviewRequest, PreviewResponse, Rules, Session};

use super::provider::{code, is_ephemeral};
use super::{Item, Planner, values};
use crate::decide::{self, Decision, Input, Rule, Seen};
use crate::graph::Node;
use crate::world::{Expansion, ModuleInstance, Repetition, address, aggregate, expand};

/// One instance on its way to a decision.
struct Candidate {
    address: Address,
    ordinal: usize,
    repetition: Repetition,
    desired: Value,
    saved: Option<Arc<Instance>>,
    recovered: bool,
    observed: Option<Observed>,
    /// Whether it is certain what is there.
    looked: bool,
    hint: IdentityHint,
    adopt: bool,
    protected: bool,
}

/// What is the same for all instances of a block.
struct Kind<'p> {
    node: u32,
    module: usize,
    block: &'p Resource,
    schema: &'p ResourceSchema,
    rules: &'p dyn Rules,
    position: usize,
    session: Arc<dyn Session>,
}

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
        let Some(session) = self.providers.borrow()[position].session.clone() else { return };
        let kind = Kind { node, module, block, schema, rules, position, session };
        let mut values: Vec<Vec<(Option<InstanceKey>, Value)>> = Vec::new();
        let mut candidates = Vec::new();
        for (ordinal, instance) in self.world.instances(module).iter().enumerate() {
            values.push(Vec::new());
            let scope = self.world.scope(module, ordinal).repeated(&instance.repetition);
            match expand(block.count.as_ref(), block.for_each.as_ref(), &scope) {
                Ok(Expansion::Known(list)) => {
                    for repetition in list {
                        candidates.extend(self.candidate(&kind, ordinal, instance, repetition));
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
        self.look_for_new(&kind, &mut candidates).await;
        if self.state(node).failed {
            return;
        }
        let previews = self.previews(&kind, &candidates).await;
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

    /// Blocks that a node needs directly, as state keeps them.
    pub(super) fn dependencies(&self, node: u32) -> Arc<[Arc<str>]> {
        self.graph
            .direct_resources(node)
            .into_iter()
            .filter_map(|n| self.graph.address(self.config, n))
            .filter(|a| a.mode == mesh_model::Mode::Managed)
            .map(|a| Arc::from(a.to_string()))
            .collect()
    }

    fn candidate(
        &self,
        kind: &Kind<'_>,
        ordinal: usize,
        module: &ModuleInstance,
        repetition: Repetition,
    ) -> Option<Candidate> {
        let block = kind.block;
        let address = address(&module.path, block, repetition.key.clone());
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
        for a in kind.schema.schema.attributes.iter().filter(|a| !a.write_only) {
            if desired.get(a.name).is_some_and(is_ephemeral) {
                let span = attribute_span(&block.body, &mesh_model::Path::attribute(a.name)).unwrap_or(block.span);
                self.say(
                    kind.node,
                    Diagnostic::error(
                        "plan::ephemeral_stored",
                        "An ephemeral value would be stored",
                        format!(
                            "{} is kept in state, so it cannot be ephemeral. Only write-only attributes can.",
                            a.name
                        ),
                    )
                    .at(span)
                    .on(&address),
                );
            }
        }
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
        let hint = kind.rules.identity(&desired);
        let (observed, looked) = match &saved {
            None => (None, false),
            Some(_) => match self.seen(kind.position, &address) {
                Ok(o) => {
                    let there = o.is_some();
                    (o, there || self.options.refresh)
                }
                Err(e) => {
                    self.say(kind.node, Diagnostic::error(code(&e), e.summary, e.detail).at(block.span).on(&address));
                    return None;
                }
            },
        };
        self.out.borrow_mut().handled.insert(address.clone());
        Some(Candidate {
            address,
            ordinal,
            repetition: seen.clone(),
            desired,
            saved,
            recovered,
            observed,
            looked,
            hint,
            adopt,
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

    /// Looks for objects that are about to be created: one call for the block.
    async fn look_for_new(&self, kind: &Kind<'_>, candidates: &mut [Candidate]) {
        let mut requests = Vec::new();
        let mut which = Vec::new();
        for (i, c) in candidates.iter().enumerate() {
            if let IdentityHint::Known(identity) = &c.hint {
                let mut out = self.out.borrow_mut();
                if let Some(other) = out.identities.insert((kind.position, identity.clone()), c.address.clone()) {
                    let text = format!(
                        "{} and {other} are both {identity}. One object can only be managed at one address.",
                        c.address
                    );
                    drop(out);
                    self.say(
                        kind.node,
                        Diagnostic::error("plan::identity", "Two addresses mean the same object", text)
                            .at(kind.block.span)
                            .on(&c.address),
                    );
                    continue;
                }
                drop(out);
                if c.saved.is_none() {
                    which.push(i);
                    requests.push(ObserveRequest {
                        address: c.address.clone(),
                        ty: c.address.ty.clone(),
                        identity: Some(identity.clone()),
                        saved: None,
                        desired: Some(c.desired.clone()),
                        private: None,
                    });
                }
            }
        }
        if requests.is_empty() {
            return;
        }
        for (i, answer) in which.into_iter().zip(kind.session.observe(requests).await) {
            let c = &mut candidates[i];
            match answer {
                Ok(Observation::Absent) => c.looked = true,
                Ok(Observation::Present(o)) => {
                    c.looked = true;
                    c.observed = Some(o);
                }
                Err(e) => self.say(
                    kind.node,
                    Diagnostic::error(code(&e), e.summary, e.detail).at(kind.block.span).on(&c.address),
                ),
            }
        }
    }

    fn input<'i>(&'i self, kind: &'i Kind<'_>, c: &'i Candidate, preview: Option<&'i PreviewResponse>) -> Input<'i> {
        let requested = self.replace.contains(&c.address).then_some(Reason::Requested);
        Input {
            address: &c.address,
            provider: &self.graph.providers[kind.position].key,
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
                adopt: c.adopt,
                replace: requested.or_else(|| self.triggered(kind, c)),
            },
            preview,
            fingerprinter: &self.fingerprinter,
        }
    }

    /// Whether something in `replace_triggered_by` is updated or replaced: the instance, the
    /// attribute, or any instance of the block that is named. Creating it does not count.
    fn triggered(&self, kind: &Kind<'_>, c: &Candidate) -> Option<Reason> {
        let triggers = &kind.block.lifecycle.replace_triggered_by;
        if triggers.is_empty() {
            return None;
        }
        let scope = self.world.scope(kind.module, c.ordinal).repeated(&c.repetition);
        triggers.iter().any(|t| self.fires(kind.module, c.ordinal, t, &scope)).then_some(Reason::Triggered)
    }

    fn fires(&self, module: usize, ordinal: usize, trigger: &Expr, scope: &dyn Scope) -> bool {
        // A key that cannot be evaluated is an error of the same expression elsewhere.
        let Ok(Some((subject, steps))) = trigger.traversal(scope) else { return false };
        let Some(node) = self.graph.find(module, &subject) else { return false };
        let Node::Resource { module, item } = self.graph.nodes[node as usize] else { return false };
        let block = &self.config.modules[module].resources[item];
        let out = self.out.borrow();
        let Some(changing) = out.changing.get(&(node, ordinal)) else { return false };
        let (key, rest) = match steps.split_first() {
            _ if block.count.is_none() && block.for_each.is_none() => (None, &steps[..]),
            None => return true,
            Some((Step::Index(i), rest)) => (u64::try_from(*i).ok().map(InstanceKey::Index), rest),
            Some((Step::Key(k), rest)) => (Some(InstanceKey::Key(k.clone())), rest),
        };
        changing.get(&key).is_some_and(|i| {
            let (change, path) = (&out.planned[*i].0, Path(rest.to_vec()));
            let (before, after) =
                (path.find(&change.before).unwrap_or(&Value::NULL), path.find(&change.after).unwrap_or(&Value::NULL));
            rest.is_empty() || !self.fingerprinter.same(before, after)
        })
    }

    /// Asks the server about every instance whose decision needs it, several at once.
    async fn previews(&self, kind: &Kind<'_>, candidates: &[Candidate]) -> Vec<Option<PreviewResponse>> {
        let limit = self
            .engine
            .provider(&self.graph.providers[kind.position].name)
            .map_or(1, |p| p.schema().concurrency.max(1));
        let ask = |c: &Candidate| {
            let Decision::NeedsPreview { planned } = decide::decide(&self.input(kind, c, None)) else { return None };
            Some(PreviewRequest {
                address: c.address.clone(),
                ty: c.address.ty.clone(),
                observed: c.observed.as_ref().map(|o| o.values.clone()),
                planned,
            })
        };
        let requests: Vec<Option<PreviewRequest>> = candidates.iter().map(ask).collect();
        if requests.iter().all(Option::is_none) {
            return requests.into_iter().map(|_| None).collect();
        }
        futures::stream::iter(requests)
            .map(|request| async {
                let request = request?;
                let address = request.address.clone();
                match kind.session.preview(request).await {
                    Ok(answer) => Some(answer),
                    Err(e) => {
                        self.say(
                            kind.node,
                            Diagnostic::error(code(&e), e.summary, e.detail).at(kind.block.span).on(&address),
                        );
                        None
                    }
                }
            })
            .buffered(limit)
            .collect()
            .await
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
            Decision::Change { change, drift } => (*change, drift),
            Decision::Refuse(diagnostic) => {
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
        let value = change.after.clone();
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
            .or(known);
        let mut out = self.out.borrow_mut();
        out.drift.extend(drift.map(|d| *d));
        let item = Item {
            node: Some(kind.node),
            ordinal: c.ordinal,
            repetition: c.repetition,
            provider: kind.position,
            desired: Some(c.desired),
            observed: c.observed,
            preview,
            identity,
            dependencies: dependencies.clone(),
            protected: c.protected,
            create_before_destroy: self.create_before_destroy.contains(&kind.node),
            adopt: c.adopt,
        };
        if matches!(change.action, Action::Update | Action::Replace | Action::ReplaceCreateFirst) {
            let position = out.planned.len();
            out.changing.entry((kind.node, c.ordinal)).or_default().insert(change.address.key.clone(), position);
        }
        out.planned.push((change, item));
        Some(value)
    }
}
