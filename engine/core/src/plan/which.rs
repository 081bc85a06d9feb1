//! Which configuration of a provider answers for an instance.
//!
//! The one decision: a provider block with `for_each` is one node of the graph whose configurations are
//! told apart here, instance by instance, when the keys are known; everything else works with positions.

use std::collections::{BTreeMap, HashMap};

use mesh_lang::ProviderRef;
use mesh_model::{Diagnostic, Diagnostics, InstanceKey};

use super::Planner;
use super::imports::key;
use crate::graph::Node;
use crate::world::{Repetition, World};

/// Positions of the configurations of a provider with `for_each`, by the position of its node.
pub(crate) type Keyed = HashMap<usize, BTreeMap<InstanceKey, usize>>;

impl Planner<'_, '_> {
    /// Whether a provider has a session, or one for each of its keys.
    pub(super) fn configured(&self, position: usize) -> bool {
        self.providers.borrow()[position].session.is_some() || self.keyed.borrow().contains_key(&position)
    }

    /// The configuration that made an instance of state, among those of a block with `for_each`; `None` where
    /// its key is gone.
    pub(super) fn maker(&self, position: usize, made_with: &str) -> Option<usize> {
        match self.keyed.borrow().get(&position) {
            None => Some(position),
            Some(keys) => keys.values().copied().find(|p| *self.providers.borrow()[*p].key == *made_with),
        }
    }

    /// The position that answers for an instance of a block; `None` where a key is not known yet.
    pub(super) fn answers(
        &self,
        node: u32,
        ordinal: usize,
        repetition: &Repetition,
    ) -> Result<Option<usize>, Diagnostics> {
        answers(&self.world, &self.keyed.borrow(), node, ordinal, repetition)
    }
}

/// The position that answers for an instance of a block; `None` where a key is not known yet.
pub(crate) fn answers(
    world: &World<'_>,
    keyed: &Keyed,
    node: u32,
    ordinal: usize,
    repetition: &Repetition,
) -> Result<Option<usize>, Diagnostics> {
    let graph = world.graph;
    let position = graph.provider_of.get(&node).copied().unwrap_or(0);
    let Some(keys) = keyed.get(&position) else { return Ok(Some(position)) };
    let Node::Resource { module, item } = graph.nodes[node as usize] else { return Ok(Some(position)) };
    let block = &world.config.modules[module].resources[item];
    let name = graph.providers[position].name.clone();
    let own = ProviderRef { name, alias: None, key: None, span: block.span };
    let reference = block.provider.as_ref().unwrap_or(&own);
    let found = match written_key(world, module, ordinal, repetition, reference)? {
        Written::Key(key) => key,
        Written::Later => return Ok(None),
    };
    let known = keys.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let shown = &graph.providers[position].key;
    let detail = match found.as_ref().map(|k| (k, keys.get(k))) {
        Some((_, Some(position))) => return Ok(Some(*position)),
        Some((key, None)) => format!("The provider {shown} has no configuration {key}. Its keys are: {known}."),
        None => format!(
            "The provider {shown} has one configuration for each of its keys: say which, as in {shown}[each.key]. The keys \
             are: {known}."
        ),
    };
    Err(Diagnostic::error("plan::provider_key", "No such provider configuration", detail).at(reference.span).into())
}

/// The key that is written for a provider: at the block, or where a module is called.
fn written_key(
    world: &World<'_>,
    module: usize,
    ordinal: usize,
    repetition: &Repetition,
    reference: &ProviderRef,
) -> Result<Written, Diagnostics> {
    if reference.key.is_some() {
        let scope = world.scope(module, ordinal).repeated(repetition);
        return Ok(key(reference.key.as_ref(), &scope)?.map_or(Written::Later, Written::Key));
    }
    let m = &world.config.modules[module];
    let Some(parent) = m.parent else { return Ok(Written::Key(None)) };
    let instance = world.instances(module)[ordinal].clone();
    let call = world.config.modules[parent].calls.iter().find(|c| c.module == module);
    let handed = call.and_then(|c| {
        c.providers.iter().find(|(inside, _)| inside.name == reference.name && inside.alias == reference.alias)
    });
    let outside = handed.map_or(reference, |(_, outside)| outside);
    written_key(world, parent, instance.parent, &instance.repetition, outside)
}

enum Written {
    Key(Option<InstanceKey>),
    Later,
}
