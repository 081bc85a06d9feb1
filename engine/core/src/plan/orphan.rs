//! Objects that state knows and the configuration does not name (any more).

use mesh_lang::Target;
use mesh_model::change::Deferred;
use mesh_model::{Action, Address, Change, Diagnostic, Instance, InstanceKey, Reason, Value};
use mesh_sdk::{Observation, ObserveRequest, ProviderError, Session};

use super::{Item, Mode, Planner};

impl Planner<'_, '_> {
    pub(super) async fn orphans(&self) {
        let left: Vec<Address> = {
            let out = self.out.borrow();
            self.snapshot
                .instances
                .keys()
                .filter(|a| !out.handled.contains(*a) && self.selection.instance(a))
                .cloned()
                .collect()
        };
        for address in left {
            let node = self.graph.resource(&address.resource());
            // A block that failed says nothing about its instances.
            if node.is_some_and(|n| self.state(n).failed) {
                continue;
            }
            // A tentative instance that turned out not to be there was never created.
            let Some(position) = self.position(&address) else {
                self.no_provider(&address);
                continue;
            };
            if self.providers.borrow()[position].session.is_none() {
                self.unreachable(&address, position);
                continue;
            }
            if self.tentative(&address) && matches!(self.seen(position, &address), Ok(None)) {
                continue;
            }
            if self.options.mode == Mode::RefreshOnly {
                self.seen_again(0, node, 0, position, &address);
                continue;
            }
            let reason = if self.options.mode == Mode::Destroy { Reason::Destroy } else { self.why(&address, node) };
            self.removal(0, node, 0, position, &address, reason);
        }
        if self.options.mode == Mode::RefreshOnly {
            return;
        }
        let selected = |((address, _), _): &(&(Address, _), _)| self.selection.instance(address);
        let deposed = self.snapshot.deposed.iter().filter(selected);
        let deposed: Vec<_> = deposed.map(|(k, v)| (k.clone(), v.clone())).collect();
        for ((address, key), saved) in deposed {
            let block = saved.provider.split('[').next().unwrap_or_default();
            let position = self.graph.providers.iter().position(|p| *p.key == *block);
            let Some(position) = position.and_then(|p| self.maker(p, &saved.provider)) else {
                self.no_provider(&address);
                continue;
            };
            let session = self.providers.borrow()[position].session.clone();
            let Some(session) = session else {
                self.unreachable(&address, position);
                continue;
            };
            let gone = match self.is_gone(&*session, &address, &saved).await {
                Ok(gone) => gone,
                Err(e) => {
                    let error = Diagnostic::from(e).on(&address);
                    self.out.borrow_mut().diagnostics.push(error);
                    continue;
                }
            };
            let action = if gone || saved.kept || saved.adopted { Action::Forget } else { Action::Delete };
            let (provider, values) = (saved.provider.clone(), saved.values.clone());
            let note = if gone { "it is gone already" } else { "left over from a replacement that did not finish" };
            let change = Change {
                deposed: Some(key),
                notes: vec![note.to_owned()],
                ..Change::new(address.clone(), provider, action, values, Value::NULL)
            };
            let item = Item::of_saved(self.graph.resource(&address.resource()), 0, position, &saved, None);
            self.out.borrow_mut().planned.push((change, item));
        }
    }

    /// Whether a deposed object is certainly not there any more.
    async fn is_gone(&self, session: &dyn Session, at: &Address, saved: &Instance) -> Result<bool, ProviderError> {
        if !self.options.refresh || saved.identity.is_none() {
            return Ok(false);
        }
        let request = ObserveRequest {
            address: at.clone(),
            ty: at.ty.clone(),
            identity: saved.identity.clone(),
            saved: Some(saved.values.clone()),
            desired: None,
            private: saved.private.clone(),
        };
        match session.observe(vec![request]).await.pop() {
            Some(found) => Ok(matches!(found?, Observation::Absent)),
            None => Ok(false),
        }
    }

    /// What a `removed` block says: whether the object stays.
    pub(super) fn removed(&self, address: &Address) -> Option<bool> {
        let names = address.module.names();
        let mut blocks = self.config.modules.iter().filter(|m| names.starts_with(&m.path)).flat_map(|m| {
            let inside = &names[m.path.len()..];
            m.removed.iter().filter(move |r| match &r.from {
                Target::Module(path) => inside.starts_with(&path.names()),
                Target::Resource(a) => a.module.names() == inside && a.ty == address.ty && a.name == address.name,
            })
        });
        let first = !blocks.next()?.destroy;
        Some(first || blocks.any(|r| !r.destroy))
    }

    fn position(&self, address: &Address) -> Option<usize> {
        let made_with = &self.snapshot.instances.get(address)?.provider;
        self.maker(super::owner(self.graph, address, made_with)?, made_with)
    }

    /// An object that is to go, but whose provider has no session: a failure of the provider was said;
    /// one that waits for a later stage takes the object with it.
    fn unreachable(&self, address: &Address, position: usize) {
        let node = self.graph.provider_node(position);
        let reason = node.and_then(|n| self.states.borrow()[n as usize].deferred.clone());
        let Some(reason) = reason else { return };
        let mut out = self.out.borrow_mut();
        if self.options.mode == Mode::Destroy {
            out.diagnostics.push(
                Diagnostic::error(
                    "plan::destroy_provider",
                    "An object cannot be destroyed, since its provider cannot be configured",
                    format!(
                        "{address} is in state, but {reason}, and a destroy makes no such values. Give the provider block values that are                          known (those that it had when the object was made) and destroy again."
                    ),
                )
                .on(address),
            );
        } else if self
            .graph
            .resource(&address.resource())
            .is_none_or(|n| self.states.borrow()[n as usize].deferred.is_none())
        {
            out.deferred.push(Deferred {
                resource: address.resource(),
                pattern: address.to_string(),
                actions: vec![Action::Delete, Action::Forget],
                reason: reason.to_string(),
                reason_code: "provider_config_unknown",
                known: Value::NULL,
            });
        }
    }

    fn no_provider(&self, address: &Address) {
        self.out.borrow_mut().diagnostics.push(
            Diagnostic::error(
                "plan::orphan_provider",
                "The provider of an object in state is not configured",
                format!("{address} is in state, but its provider has no block any more, so it can neither be compared nor deleted. Put the provider block back, at least until the object is deleted."),
            )
            .on(address),
        );
    }

    fn why(&self, address: &Address, node: Option<u32>) -> Reason {
        if self.moves.previous.contains_key(address) {
            return Reason::NoMoveTarget;
        }
        let Some(node) = node else { return Reason::NoConfig };
        let crate::graph::Node::Resource { module, item } = self.graph.nodes[node as usize] else {
            return Reason::NoConfig;
        };
        if !self.world.instances(module).iter().any(|i| i.path == address.module) {
            return Reason::NoModule;
        }
        let block = &self.config.modules[module].resources[item];
        match (&address.key, block.count.is_some(), block.for_each.is_some()) {
            (Some(InstanceKey::Index(_)), true, _) => Reason::CountIndex,
            (Some(InstanceKey::Key(_)), _, true) => Reason::EachKey,
            _ => Reason::WrongRepetition,
        }
    }
}
