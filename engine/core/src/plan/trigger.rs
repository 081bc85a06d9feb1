//! `replace_triggered_by`.

use mesh_lang::{Expr, Scope};
use mesh_model::{InstanceKey, Path, Reason, Step, Value};

use super::Planner;
use super::candidate::{Candidate, Kind};
use crate::graph::Node;

impl Planner<'_, '_> {
    /// Whether something in `replace_triggered_by` is updated or replaced: the instance, the
    /// attribute, or any instance of the block that is named. Creating it does not count.
    pub(super) fn triggered(&self, kind: &Kind<'_>, c: &Candidate) -> Option<Reason> {
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
}
