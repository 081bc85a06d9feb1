//! Planning with `-refresh-only`: what is really there is taken into state, and nothing is changed.
//!
//! The one decision: an object that differs is a change without an action whose values are those that
//! were seen, so that bringing state up to date is what an apply does for every unchanged object.

use mesh_lang::Resource;
use mesh_model::{Action, Address, Change, Diagnostic, Reason, Type, Value};

use super::{Item, Planner};
use crate::world::{Expansion, address, aggregate, expand};
use crate::{decide, ephemeral};

impl Planner<'_, '_> {
    /// The instances of a block, with the values that were seen. What state knows beyond them is left to
    /// the orphans.
    pub(super) fn refreshed(&self, node: u32, module: usize, block: &Resource) {
        let position = self.graph.provider_of.get(&node).copied().unwrap_or(0);
        if !self.configured(position) {
            return;
        }
        for (ordinal, instance) in self.world.instances(module).iter().enumerate() {
            let scope = self.world.scope(module, ordinal).repeated(&instance.repetition);
            let list = match expand(block.count.as_ref(), block.for_each.as_ref(), &scope, 0) {
                Ok(Expansion::Known(list)) => list,
                Ok(Expansion::Unknown(_)) => {
                    self.world.set(node, ordinal, Value::unknown(Type::Dynamic));
                    continue;
                }
                Err(diagnostics) => {
                    self.say_all(node, diagnostics);
                    continue;
                }
            };
            let values = list.into_iter().map(|repetition| {
                let address = address(&instance.path, block, repetition.key.clone());
                let saved = self.snapshot.instances.get(&address);
                let position = saved.and_then(|s| self.maker(position, &s.provider));
                let value = position.and_then(|p| self.seen_again(node, Some(node), ordinal, p, &address));
                // What is not there has no values, and nothing is made now.
                (repetition.key, value.unwrap_or_else(|| Value::unknown(Type::Dynamic)))
            });
            self.world.set(node, ordinal, aggregate(block, values.collect()));
        }
    }

    /// Files what was seen of an instance, and gives its value; `None` when it is not there any more.
    pub(super) fn seen_again(
        &self,
        at: u32,
        node: Option<u32>,
        ordinal: usize,
        position: usize,
        address: &Address,
    ) -> Option<Value> {
        let saved = self.snapshot.instances.get(address)?.clone();
        self.out.borrow_mut().handled.insert(address.clone());
        if !self.selection.instance(address) {
            return Some(saved.values.clone());
        }
        let observed = match self.seen(position, address) {
            Ok(observed) => observed,
            Err(e) => {
                self.say(at, Diagnostic::from(e).on(address));
                return None;
            }
        };
        let (schema, rules) =
            self.engine.schema(address.mode, &address.ty).zip(self.engine.rules(address.mode, &address.ty))?;
        let gone = observed.is_none();
        if !self.tentative(address) {
            let drift = decide::drifted(address, schema, rules, &saved, observed.as_ref(), &self.fingerprinter);
            self.out.borrow_mut().drift.extend(drift);
        }
        let after = observed.as_ref().map_or(Value::NULL, |o| o.values.clone());
        let change = Change {
            reason: if gone { Reason::Vanished } else { Reason::None },
            notes: gone.then(|| "it is gone already".to_owned()).into_iter().collect(),
            ..Change::new(
                address.clone(),
                saved.provider.clone(),
                if gone { Action::Forget } else { Action::NoOp },
                saved.values.clone(),
                after.clone(),
            )
        };
        let item = Item {
            protected: saved.protected,
            kept: saved.kept,
            ..Item::of_saved(node, ordinal, position, &saved, observed)
        };
        self.out.borrow_mut().planned.push((change, item));
        (!gone).then(|| ephemeral::readable(&after))
    }
}
