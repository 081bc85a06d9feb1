//! Data sources: read in the walk as soon as their inputs are known, else planned to be read.

use std::sync::Arc;
use std::time::Instant;

use mesh_lang::{Resource, eval_body};
use mesh_model::{Action, Address, Change, Diagnostic, InstanceKey, Reason, Schema, Type, Value};

use super::candidate::Place;
use super::{Item, Mode, Planner, values};
use crate::ephemeral;
use crate::event::Event;
use crate::graph::Node;
use crate::world::{Expansion, Repetition, address, aggregate, expand};

impl Planner<'_, '_> {
    pub(super) async fn data(&self, node: u32, module: usize, block: &Resource) {
        let Some(schema) = self.engine.schema(block.mode, &block.ty) else { return };
        if let Some(reason) = self.state(node).deferred {
            let code = if reason.starts_with("provider ") { "provider_config_unknown" } else { "deferred_prereq" };
            self.postpone(node, module, block, &reason, code);
            return;
        }
        let position = self.graph.provider_of.get(&node).copied().unwrap_or(0);
        if !self.configured(position) {
            return;
        }
        let pending = self.pending(node);
        let mut seen = 0;
        for (ordinal, instance) in self.world.instances(module).iter().enumerate() {
            let scope = self.world.scope(module, ordinal).repeated(&instance.repetition);
            let list = match expand(block.count.as_ref(), block.for_each.as_ref(), &scope, seen) {
                Ok(Expansion::Known(list)) => list,
                Ok(Expansion::Unknown(what)) => {
                    self.postpone(
                        node,
                        module,
                        block,
                        &format!("{what} is known only after apply"),
                        "instance_count_unknown",
                    );
                    return;
                }
                Err(diagnostics) => {
                    self.say_all(node, diagnostics);
                    return;
                }
            };
            seen += list.len();
            let mut read: Vec<(Option<InstanceKey>, Value)> = Vec::with_capacity(list.len());
            for repetition in list {
                let address = address(&instance.path, block, repetition.key.clone());
                let seen = if repetition.is_single() { instance.repetition.clone() } else { repetition.clone() };
                let position = match self.answers(node, ordinal, &seen) {
                    Ok(Some(position)) => position,
                    Ok(None) => {
                        let reason = "the key of its provider is known only after apply";
                        self.postpone(node, module, block, reason, "provider_config_unknown");
                        return;
                    }
                    Err(diagnostics) => {
                        self.say_all(node, diagnostics);
                        return;
                    }
                };
                let Some(session) = self.providers.borrow()[position].session.clone() else { continue };
                let scope = self.world.scope(module, ordinal).repeated(&seen);
                for condition in &block.lifecycle.preconditions {
                    if let Some(d) =
                        values::check(condition, &scope, "plan::precondition", "A precondition does not hold")
                    {
                        self.say(node, d.on(&address));
                    }
                }
                let config = match eval_body(&block.body, &schema.schema, &scope) {
                    Ok(config) => config,
                    Err(diagnostics) => {
                        for d in diagnostics {
                            self.say(node, d.on(&address));
                        }
                        continue;
                    }
                };
                for d in ephemeral::stored(&schema.schema, &block.body, block.span, &config) {
                    self.say(node, d.on(&address));
                }
                if self.state(node).failed {
                    continue;
                }
                let later = if !config.is_wholly_known() || config.has_withheld() {
                    Some(Reason::ConfigUnknown)
                } else if pending {
                    Some(Reason::DependencyPending)
                } else {
                    None
                };
                let value = match later {
                    Some(reason) => {
                        let after = unread(&schema.schema, &config);
                        self.states.borrow_mut()[node as usize].pending = true;
                        let place = Place { position, ordinal, module: instance };
                        self.plan_read(node, &address, &place, seen.clone(), reason, config, after.clone());
                        after
                    }
                    None => {
                        self.engine.sink.event(Event::Reading { address: address.clone() });
                        let start = Instant::now();
                        let result = session.read(&block.ty, &config).await;
                        if block.check.is_some() && self.options.mode == Mode::Normal {
                            // What a check looks at may come only with this apply.
                            let place = Place { position, ordinal, module: instance };
                            let after = result.as_ref().map_or_else(|_| unread(&schema.schema, &config), Value::clone);
                            let reason = Reason::CheckNested;
                            self.plan_read(node, &address, &place, seen.clone(), reason, config, after);
                        }
                        match result {
                            Ok(value) => {
                                self.engine
                                    .sink
                                    .event(Event::Read { address: address.clone(), elapsed: start.elapsed() });
                                value
                            }
                            Err(e) => {
                                let span = e.path.as_ref().and_then(|p| mesh_lang::attribute_span(&block.body, p));
                                self.say(node, Diagnostic::from(e).at(span.unwrap_or(block.span)).on(&address));
                                continue;
                            }
                        }
                    }
                };
                let scope = self.world.scope(module, ordinal).repeated(&seen).this(&value);
                for condition in &block.lifecycle.postconditions {
                    if let Some(d) =
                        values::check(condition, &scope, "plan::postcondition", "A postcondition does not hold")
                    {
                        self.say(node, d.on(&address));
                    }
                }
                read.push((repetition.key, value));
            }
            self.world.set(node, ordinal, aggregate(block, read));
        }
    }

    /// Files a read that is done while applying.
    #[expect(clippy::too_many_arguments, reason = "all that a read needs")]
    fn plan_read(
        &self,
        node: u32,
        address: &Address,
        place: &Place<'_>,
        repetition: Repetition,
        reason: Reason,
        config: Value,
        after: Value,
    ) {
        let provider = self.providers.borrow()[place.position].key.clone();
        let change = Change { reason, ..Change::new(address.clone(), provider, Action::Read, Value::NULL, after) };
        let item = Item {
            node: Some(node),
            ordinal: place.ordinal,
            repetition,
            provider: place.position,
            desired: Some(config),
            observed: None,
            preview: None,
            makes: None,
            identity: None,
            dependencies: Arc::from([]),
            protected: false,
            create_before_destroy: false,
            adopt: false,
            kept: false,
        };
        self.out.borrow_mut().planned.push((change, item));
    }

    /// Whether something changes first that the block depends on: by `depends_on`, or a managed
    /// resource that it names.
    pub(super) fn pending(&self, node: u32) -> bool {
        let states = self.states.borrow();
        let explicit = self.graph.depends_on.get(&node).map(Vec::as_slice).unwrap_or_default();
        let named = self
            .graph
            .needs
            .after(node)
            .iter()
            .filter(|n| matches!(self.graph.nodes[**n as usize], Node::Resource { .. }));
        let through = explicit.iter().flat_map(|n| {
            if matches!(self.graph.nodes[*n as usize], Node::Resource { .. }) {
                vec![*n]
            } else {
                self.graph.direct_resources(*n)
            }
        });
        named.copied().chain(through).any(|n| states[n as usize].pending)
    }
}

/// A data source that is not read yet: its configuration, and unknown where the provider answers.
fn unread(schema: &Schema, config: &Value) -> Value {
    Value::object(
        schema
            .attributes
            .iter()
            .map(|a| {
                let given = config.get(a.name).cloned().unwrap_or(Value::NULL);
                let open = a.is_computed() && given.is_null();
                let mut value = if open { Value::unknown(a.ty.clone()) } else { given };
                if a.sensitive || a.ty == Type::Dynamic && open && config.all_marks().sensitive() {
                    value = value.sensitive();
                }
                (a.name, value)
            })
            .chain(schema.blocks.iter().map(|b| (b.name, config.get(b.name).cloned().unwrap_or(Value::NULL)))),
    )
}
