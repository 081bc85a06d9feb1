//! Ephemeral blocks in the plan's walk.

use mesh_lang::Resource;

use super::Planner;
use crate::ephemeral::{Opening, postpone};
use crate::world::Repetition;

impl Planner<'_, '_> {
    /// Opens a block as far as it can be opened now. What waits is no part of the plan: what needs it waits
    /// by itself, or takes an unknown value.
    pub(super) async fn ephemeral(&self, node: u32, module: usize, block: &Resource) {
        if self.state(node).deferred.is_some() {
            postpone(&self.world, node, module);
            return;
        }
        let session = |ordinal: usize, repetition: &Repetition| {
            let position = self.answers(node, ordinal, repetition)?;
            Ok(position.and_then(|p| self.providers.borrow()[p].session.clone()))
        };
        let opening = Opening {
            engine: self.engine,
            world: &self.world,
            node,
            module,
            block,
            session: &session,
            applying: false,
            wait: self.pending(node),
        };
        match opening.open().await {
            Ok(all) => self.states.borrow_mut()[node as usize].pending |= !all,
            Err(diagnostics) => self.say_all(node, diagnostics),
        }
    }
}
