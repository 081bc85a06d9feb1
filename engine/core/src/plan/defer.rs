//! Putting blocks off to a later stage, with what is known of them, and closed gates.

use mesh_lang::{Config, Resource, eval_body};
use mesh_model::change::{Deferred, Waiting};
use mesh_model::{Action, Address, ResourceAddress, Type, Value};

use super::Planner;
use crate::world::address;
use crate::{decide, ephemeral};

/// The path of a module whose instances are not known: `module.a.module.b[*].`.
fn pattern(config: &Config, module: usize) -> String {
    let Some(parent) = config.modules[module].parent else { return String::new() };
    let Some(call) = config.modules[parent].calls.iter().find(|c| c.module == module) else { return String::new() };
    let any = if call.count.is_some() || call.for_each.is_some() { "[*]" } else { "" };
    format!("{}module.{}{any}.", pattern(config, parent), call.name)
}

impl Planner<'_, '_> {
    /// Puts a whole block off to a later stage.
    pub(super) fn postpone(&self, node: u32, module: usize, block: &Resource, reason: &str, reason_code: &'static str) {
        let resource = ResourceAddress {
            module: self.config.modules[module].path.clone(),
            mode: block.mode,
            ty: block.ty.clone(),
            name: block.name.clone(),
        };
        let any = if block.count.is_some() || block.for_each.is_some() { "[*]" } else { "" };
        let patterns: Vec<(usize, String)> = match self.world.expanded(module) {
            None => {
                let inside = ResourceAddress { module: Vec::new(), ..resource.clone() };
                vec![(0, format!("{}{inside}{any}", pattern(self.config, module)))]
            }
            Some(list) => {
                list.iter().enumerate().map(|(o, m)| (o, format!("{}{any}", address(&m.path, block, None)))).collect()
            }
        };
        if patterns.is_empty() {
            // A module without instances: there is nothing that could wait.
            self.states.borrow_mut()[node as usize].deferred = None;
            return;
        }
        let actions = if block.mode == mesh_model::Mode::Data {
            vec![Action::Read]
        } else {
            vec![Action::Create, Action::Update]
        };
        let schema = self.engine.schema(block.mode, &block.ty);
        for (ordinal, pattern) in patterns {
            let scope = self.world.scope(module, ordinal).any_instance();
            // What cannot be evaluated yet is simply not known; a real error shows when its turn comes.
            let known = schema.and_then(|s| {
                Some(ephemeral::planned(&s.schema, &eval_body(&block.body, &s.schema, &scope).ok()?, None))
            });
            self.out.borrow_mut().deferred.push(Deferred {
                resource: resource.clone(),
                pattern,
                actions: actions.clone(),
                reason: reason.to_owned(),
                reason_code,
                known: known.unwrap_or(Value::NULL),
            });
            self.world.set(node, ordinal, Value::unknown(Type::Dynamic));
        }
        self.leave(node, block, &resource);
        self.defer(node, &format!("{resource} waits: {reason}"));
    }

    /// What state knows of a block that waits stays as it is until then; drift is said nevertheless.
    fn leave(&self, node: u32, block: &Resource, resource: &ResourceAddress) {
        let Some(addresses) = self.saved.get(resource) else { return };
        self.out.borrow_mut().handled.extend(addresses.iter().cloned());
        let rules = self.engine.rules(block.mode, &block.ty);
        let position = self.graph.provider_of.get(&node).copied();
        let (Some(rules), Some(schema), Some(position)) = (rules, self.engine.schema(block.mode, &block.ty), position)
        else {
            return;
        };
        if !self.options.refresh || !self.configured(position) {
            return;
        }
        for address in addresses.iter().filter(|a| !self.tentative(a)) {
            // An error of the look was said where the provider was asked.
            let saved = &self.snapshot.instances[address];
            let Some(position) = self.maker(position, &saved.provider) else { continue };
            let Ok(found) = self.seen(position, address) else { continue };
            let drift = decide::drifted(address, schema, rules, saved, found.as_ref(), &self.fingerprinter);
            self.out.borrow_mut().drift.extend(drift);
        }
    }

    /// A gate that is closed: it and all that needs it wait.
    pub(super) fn gate(&self, node: u32, address: &Address, gate: mesh_sdk::ClosedGate) {
        let reason = if gate.certain {
            format!("the gate {address} is closed: {}", gate.waiting_for)
        } else {
            format!("whether the gate {address} opens is known only after apply")
        };
        let mut out = self.out.borrow_mut();
        out.deferred.push(Deferred {
            resource: address.resource(),
            pattern: address.to_string(),
            actions: vec![Action::Create, Action::Update],
            reason: reason.clone(),
            reason_code: "gate_closed",
            known: Value::NULL,
        });
        if gate.certain {
            out.waiting.push(Waiting {
                address: address.clone(),
                waiting_for: gate.waiting_for,
                instructions: gate.instructions,
                problems: gate.problems,
                poll: gate.poll,
            });
        }
        drop(out);
        self.defer(node, &reason);
    }
}
