//! Ephemeral blocks while applying: what the plan's walk could not open yet.

use std::collections::HashSet;

use super::{End, Walk};
use crate::ephemeral::Opening;
use crate::graph::Node;
use crate::plan::answers;
use crate::world::Repetition;

impl Walk<'_, '_> {
    /// Whether a node is an ephemeral block that this stage works with.
    pub(super) fn is_ephemeral(&self, node: u32) -> bool {
        // Deletes need no values; what the providers need is open already.
        !self.planning.plan.destroy && !self.planning.is_deferred(node) && self.ephemeral(node).is_some()
    }

    fn ephemeral(&self, node: u32) -> Option<(usize, &mesh_lang::Resource)> {
        let world = &self.planning.world;
        let Node::Resource { module, item } = world.graph.nodes[node as usize] else { return None };
        let block = &world.config.modules[module].resources[item];
        (block.mode == mesh_model::Mode::Ephemeral).then_some((module, block))
    }

    /// Whether all that needs a block waits for a later stage; then so does the block.
    fn is_for_later(&self, node: u32) -> bool {
        let graph = self.planning.world.graph;
        let (mut seen, mut stack, mut later) = (HashSet::new(), graph.after.after(node).to_vec(), false);
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            stack.extend(graph.after.after(n));
            if matches!(graph.nodes[n as usize], Node::Resource { .. }) && self.ephemeral(n).is_none() {
                if !self.planning.is_deferred(n) {
                    return false;
                }
                later = true;
            }
        }
        later
    }

    /// Opens what is not open, and checks the conditions that had to wait.
    pub(super) async fn open(&self, node: u32) -> End {
        let Some((module, block)) = self.ephemeral(node) else { return End::Ok };
        let session = |ordinal: usize, repetition: &Repetition| {
            let position = answers(&self.planning.world, &self.planning.keyed, node, ordinal, repetition)?;
            Ok(position.and_then(|p| self.planning.providers[p].session.clone()))
        };
        if self.is_for_later(node) {
            return End::Ok;
        }
        let (engine, world) = (self.engine, &self.planning.world);
        let opening = Opening { engine, world, node, module, block, session: &session, applying: true, wait: false };
        match opening.open().await {
            Ok(_) => End::Ok,
            Err(diagnostics) => self.blocked(node, diagnostics),
        }
    }
}
