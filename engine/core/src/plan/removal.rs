//! Planned deletes: in a destroy, and of what is no longer configured.

use std::collections::{HashMap, HashSet};

use mesh_lang::Resource;
use mesh_model::{Action, Address, Change, Diagnostic, Instance, InstanceKey, Reason, ResourceAddress, Type, Value};
use mesh_sdk::Observed;

use super::{Item, Planner};
use crate::decide;
use crate::graph::Node;
use crate::world::{Repetition, aggregate};

impl Item {
    /// Of an object as state knows it, which is not protected or kept any more.
    pub(super) fn of_saved(
        node: Option<u32>,
        ordinal: usize,
        provider: usize,
        saved: &Instance,
        observed: Option<Observed>,
    ) -> Self {
        Self {
            node,
            ordinal,
            repetition: Repetition::default(),
            provider,
            desired: None,
            identity: observed.as_ref().map(|o| o.identity.clone()).or_else(|| saved.identity.clone()),
            observed,
            preview: None,
            makes: None,
            dependencies: saved.dependencies.clone(),
            protected: false,
            create_before_destroy: saved.create_before_destroy,
            adopt: false,
            kept: false,
        }
    }
}

impl Planner<'_, '_> {
    /// In a destroy: the objects that state knows, with their values for what needs them.
    pub(super) fn remembered(&self, node: u32, module: usize, block: &Resource) {
        let resource = self.graph.address(self.config, node);
        let position = self.graph.provider_of.get(&node).copied().unwrap_or(0);
        if !self.configured(position) {
            return;
        }
        let addresses = resource.and_then(|r| self.saved.get(&r).cloned()).unwrap_or_default();
        let instances = self.world.instances(module);
        let mut values: Vec<Vec<(Option<InstanceKey>, Value)>> = instances.iter().map(|_| Vec::new()).collect();
        let ordinals: HashMap<_, usize> = instances.iter().enumerate().map(|(o, i)| (&i.path, o)).collect();
        for address in addresses {
            let ordinal = ordinals.get(&address.module).copied().unwrap_or(0);
            // One whose provider key is gone is said with the orphans.
            let Some(position) = self.snapshot.instances.get(&address).and_then(|s| self.maker(position, &s.provider))
            else {
                continue;
            };
            let value = self.removal(node, Some(node), ordinal, position, &address, Reason::Destroy);
            if let Some(list) = values.get_mut(ordinal) {
                list.push((address.key.clone(), value));
            }
        }
        for (ordinal, list) in values.into_iter().enumerate() {
            let value = if list.is_empty() { Value::unknown(Type::Dynamic) } else { aggregate(block, list) };
            self.world.set(node, ordinal, value);
        }
    }

    /// Whether a block says that its objects are protected, as far as that is known without an instance.
    fn protects(&self, module: usize, ordinal: usize, block: &Resource) -> bool {
        let scope = self.world.scope(module, ordinal).any_instance();
        let says = block.lifecycle.prevent_destroy.as_ref().and_then(|e| e.eval(&scope).ok());
        says.and_then(|v| v.as_bool()).unwrap_or(false)
    }

    /// In a destroy: what a protected object needs stays with it (the namespace or the mount that it is in).
    pub(super) fn keep_needed(&self) {
        let mut out = self.out.borrow_mut();
        let mut kept: HashSet<ResourceAddress> = HashSet::new();
        let mut todo: Vec<ResourceAddress> = out.protected.iter().map(Address::resource).collect();
        while let Some(block) = todo.pop() {
            let instances = self.saved.get(&block).into_iter().flatten().filter_map(|a| self.snapshot.instances.get(a));
            for needed in instances.flat_map(|i| i.dependencies.iter()) {
                let Some(needed) = needed.parse::<Address>().ok().map(|a| a.resource()) else { continue };
                if kept.insert(needed.clone()) {
                    todo.push(needed);
                }
            }
        }
        let stays =
            |c: &Change| c.action == Action::Delete && c.deposed.is_none() && kept.contains(&c.address.resource());
        let out = &mut *out;
        out.protected.extend(out.planned.iter().filter(|(c, _)| stays(c)).map(|(c, _)| c.address.clone()));
        out.planned.retain(|(c, _)| !stays(c));
    }

    /// The planned delete of an object; `change` is filed. Gives what is there.
    pub(super) fn removal(
        &self,
        at: u32,
        node: Option<u32>,
        ordinal: usize,
        position: usize,
        address: &Address,
        reason: Reason,
    ) -> Value {
        let Some(saved) = self.snapshot.instances.get(address).cloned() else { return Value::NULL };
        self.out.borrow_mut().handled.insert(address.clone());
        let observed = match self.seen(position, address) {
            Ok(o) => o,
            Err(e) => {
                self.say(at, Diagnostic::from(e).on(address));
                return saved.values.clone();
            }
        };
        let before = observed.as_ref().map_or_else(|| saved.values.clone(), |o| o.values.clone());
        if !self.selection.instance(address) {
            return before;
        }
        let block = node.and_then(|n| match self.graph.nodes[n as usize] {
            Node::Resource { module, item } => Some((module, &self.config.modules[module].resources[item])),
            _ => None,
        });
        // What is configured counts before it was ever applied, too.
        let keeps = saved.kept || block.is_some_and(|(_, b)| !b.lifecycle.destroy);
        let stays = self.removed(address).unwrap_or(keeps);
        let protected = saved.protected || block.is_some_and(|(module, b)| self.protects(module, ordinal, b));
        if protected && !stays {
            if reason == Reason::Destroy {
                self.out.borrow_mut().protected.push(address.clone());
            } else {
                let refused = decide::protected(address, "deleted", &mesh_sdk::Verdict::NoOp)
                    .at_default(block.map(|(_, b)| b.span));
                self.out.borrow_mut().diagnostics.push(refused);
            }
            return before;
        }
        let gone = observed.is_none() && self.options.refresh;
        let (action, note) = match (gone, saved.adopted) {
            (true, _) => (Action::Forget, Some("it is gone already")),
            (false, _) if stays => {
                (Action::Forget, keeps.then_some("destroy = false: the object stays, only state forgets it"))
            }
            (false, true) => {
                (Action::Forget, Some("it was adopted, not created: the object stays, only state forgets it"))
            }
            (false, false) => (Action::Delete, None),
        };
        let change = Change {
            reason,
            notes: note.into_iter().map(str::to_owned).collect(),
            version: observed.as_ref().and_then(|o| o.version.clone()),
            ..Change::new(address.clone(), saved.provider.clone(), action, before.clone(), Value::NULL)
        };
        let item = Item::of_saved(node, ordinal, position, &saved, observed);
        self.out.borrow_mut().planned.push((change, item));
        before
    }
}
