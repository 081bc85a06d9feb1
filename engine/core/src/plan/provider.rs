//! Configuring providers, and looking at everything that state knows of them, in one call each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use mesh_lang::eval_body;
use mesh_model::{Address, Diagnostic, Span};
use mesh_sdk::{Observation, ObserveRequest, Observed, ProviderError, Session};

use super::Planner;
use crate::event::Event;
use crate::graph::{Node, ProviderNode};
use crate::world::{Expansion, Repetition, expand};

/// A provider of this run.
pub struct ProviderState {
    /// `vault`, or `vault.eu`.
    pub key: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The session, once configured.
    pub session: Option<Arc<dyn Session>>,
    /// What was seen of the instances in state.
    pub observed: HashMap<Address, Result<Observation, ProviderError>>,
}

impl ProviderState {
    pub(super) fn new(node: &ProviderNode) -> Self {
        Self { key: node.key.clone(), name: node.name.clone(), session: None, observed: HashMap::new() }
    }
}

impl Planner<'_, '_> {
    pub(super) async fn provider(&self, node: u32, position: usize) {
        let used = &self.graph.providers[position];
        let span = used.block.map(|b| self.config.root().providers[b].span);
        if used.unknown {
            let known = self.engine.provider_names().join(", ");
            self.say(
                node,
                Diagnostic::error(
                    "plan::provider",
                    "Unknown provider",
                    format!("There is no provider {:?}. The providers are: {known}.", used.name),
                )
                .at_default(span),
            );
            return;
        }
        let addresses = self.owned[position].clone();
        let used_by = |(n, p): (&u32, &usize)| *p == position && self.selection.node(*n);
        let made_with = |provider: &str| provider.split('[').next() == Some(&*self.graph.providers[position].key);
        let left = self.snapshot.deposed.iter().any(|((a, _), i)| self.selection.instance(a) && made_with(&i.provider));
        let needed = !addresses.is_empty()
            || left
            || self.graph.provider_of.iter().any(used_by)
            || self.generates_with(position);
        if !needed {
            return;
        }
        if let Some(reason) = self.state(node).deferred {
            self.defer(node, &reason);
            return;
        }
        let block = used.block.map(|b| &self.config.root().providers[b]);
        let Some(for_each) = block.and_then(|b| b.for_each.as_ref()) else {
            return self.configure(node, position, &Repetition::default(), addresses).await;
        };
        let list = match expand(None, Some(for_each), &self.world.scope(0, 0), 0) {
            Ok(Expansion::Known(list)) => list,
            Ok(Expansion::Unknown(_)) => {
                self.defer(
                    node,
                    &format!("provider {:?} repeats over values that are known only after apply", used.key),
                );
                return;
            }
            Err(diagnostics) => return self.say_all(node, diagnostics),
        };
        let mut keys = BTreeMap::new();
        for repetition in list {
            let Some(key) = repetition.key.clone() else { continue };
            let state = ProviderState { key: Arc::from(format!("{}{key}", used.key)), ..ProviderState::new(used) };
            let own = |a: &&Address| self.snapshot.instances[*a].provider == state.key;
            let own: Vec<Address> = addresses.iter().filter(own).cloned().collect();
            let one = self.providers.borrow().len();
            self.providers.borrow_mut().push(state);
            keys.insert(key, one);
            self.keyed.borrow_mut().insert(position, keys.clone());
            self.configure(node, one, &repetition, own).await;
        }
        self.keyed.borrow_mut().insert(position, keys);
    }

    /// Configures one provider, and looks at all that state knows of it.
    async fn configure(&self, node: u32, position: usize, repetition: &Repetition, addresses: Vec<Address>) {
        let (key, name) = {
            let providers = self.providers.borrow();
            (providers[position].key.clone(), providers[position].name.clone())
        };
        let Some(provider) = self.engine.provider(&name) else { return };
        let block = self.provider_block(node);
        let body = block.map(|b| &b.body);
        let span = block.map(|b| b.span);
        let empty = mesh_lang::Body::empty(span.unwrap_or(Span { file: 0, start: 0, end: 0 }));
        let scope = self.world.scope(0, 0).repeated(repetition);
        let config = match eval_body(body.unwrap_or(&empty), &provider.schema().config, &scope) {
            Ok(config) => config,
            Err(diagnostics) => {
                self.say_all(node, diagnostics);
                return;
            }
        };
        if !config.is_wholly_known() {
            self.defer(node, &format!("provider {key:?} is configured from values that are known only after apply"));
            return;
        }
        self.engine.sink.event(Event::Configuring { provider: key.clone() });
        let (config, _) = config.reveal_deep();
        let session = match provider.configure(&config, &self.engine.services).await {
            Ok(session) => session,
            Err(e) => {
                let path_span = e.path.as_ref().and_then(|p| body.and_then(|b| mesh_lang::attribute_span(b, p)));
                let error = ProviderError { detail: format!("provider {key:?}: {}", e.detail), ..e };
                self.say(node, Diagnostic::from(error).at_default(path_span.or(span)));
                return;
            }
        };
        self.engine.live.session(session.clone());
        self.providers.borrow_mut()[position].session = Some(session.clone());
        if self.other_target(node, position, session.as_ref(), &addresses) {
            return;
        }
        self.look(position, session.as_ref(), addresses).await;
    }

    /// The block of a provider node.
    fn provider_block(&self, node: u32) -> Option<&mesh_lang::ProviderConfig> {
        let Node::Provider(position) = self.graph.nodes[node as usize] else { return None };
        self.graph.providers[position].block.map(|b| &self.config.root().providers[b])
    }

    /// An error when state's objects were made on another system.
    fn other_target(&self, node: u32, position: usize, session: &dyn Session, addresses: &[Address]) -> bool {
        let Some(target) = session.target() else { return false };
        let other = addresses.iter().find_map(|a| {
            let made_on = self.snapshot.instances[a].target.clone()?;
            (made_on != target).then_some((a, made_on))
        });
        let Some((address, made_on)) = other else { return false };
        self.say(
            node,
            Diagnostic::error(
                "plan::target",
                "The provider leads to another system than state was made on",
                format!(
                    "{address} was made on {made_on}, but provider {:?} now leads to {target}. Nothing is compared or changed there. Correct \
                     the provider's configuration; if the system was rebuilt on purpose, use another state.",
                    self.providers.borrow()[position].key
                ),
            )
            .at_default(self.provider_block(node).map(|b| b.span)),
        );
        true
    }

    /// Looks at all instances that state knows of a provider.
    async fn look(&self, position: usize, session: &dyn Session, addresses: Vec<Address>) {
        if addresses.is_empty() {
            return;
        }
        if !self.options.refresh {
            return;
        }
        let key = self.providers.borrow()[position].key.clone();
        self.engine.sink.event(Event::Observing { provider: key.clone(), objects: addresses.len() });
        let start = Instant::now();
        let identity = |a: &Address| self.snapshot.instances[a].identity.as_ref().map(|i| i.0.clone());
        let requests = addresses
            .iter()
            .map(|a| {
                self.engine.sink.event(Event::Refreshing { address: a.clone(), identity: identity(a) });
                let saved = &self.snapshot.instances[a];
                ObserveRequest {
                    address: a.clone(),
                    ty: a.ty.clone(),
                    identity: saved.identity.clone(),
                    saved: Some(saved.values.clone()),
                    desired: None,
                    private: saved.private.clone(),
                }
            })
            .collect();
        let seen = session.observe(requests).await;
        for a in &addresses {
            self.engine.sink.event(Event::Refreshed { address: a.clone(), identity: identity(a) });
        }
        self.engine.sink.event(Event::Observed { provider: key, objects: addresses.len(), elapsed: start.elapsed() });
        for recovered in self.recovered.borrow_mut().iter_mut() {
            // An intent about another object at the same address (a deposed one, or one that was to take the place of
            // this one) is not answered by this.
            let Ok(i) = addresses.binary_search(&recovered.at) else { continue };
            if recovered.restored(&self.restored)
                || recovered.intent.identity.is_some()
                    && recovered.intent.identity != self.snapshot.instances[&addresses[i]].identity
            {
                continue;
            }
            match &seen[i] {
                Ok(Observation::Present(o)) => {
                    recovered.looked = true;
                    recovered.found = Some((o.values.clone(), o.identity.clone()));
                }
                Ok(Observation::Absent) => recovered.looked = true,
                Err(_) => {}
            }
        }
        self.providers.borrow_mut()[position].observed = addresses.into_iter().zip(seen).collect();
    }

    /// What was seen of an instance that state knows: `None` when it is not there. Without refresh,
    /// what state says.
    pub(super) fn seen(&self, position: usize, address: &Address) -> Result<Option<Observed>, ProviderError> {
        if let Some(seen) = self.providers.borrow().get(position).and_then(|p| p.observed.get(address)) {
            return match seen {
                Ok(Observation::Present(o)) => Ok(Some(o.clone())),
                Ok(Observation::Absent) => Ok(None),
                Err(e) => Err(e.clone()),
            };
        }
        let Some(saved) = self.snapshot.instances.get(address) else { return Ok(None) };
        Ok(saved.identity.clone().map(|identity| Observed {
            private: saved.private.clone(),
            ..Observed::new(saved.values.clone(), identity)
        }))
    }

    /// Whether state knows an instance only from an operation that was cut off.
    pub(super) fn tentative(&self, address: &Address) -> bool {
        self.tentative.contains(address)
    }
}
