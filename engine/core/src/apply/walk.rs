//! The walk of an apply: which step begins when, what a failure takes along, and what a block's value is afterwards.
//!
//! The one decision: what is skipped is said once, with the reason of the step that it needs, however many steps lie
//! between the two.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mesh_model::{Action, Diagnostic, Diagnostics};

use super::graph::{Operations, Step};
use super::{End, Walk};
use crate::event::Event;
use crate::world::aggregate;

impl Walk<'_, '_> {
    pub(super) async fn run(&self, operations: &Operations) {
        let mut left = operations.steps.len();
        let mut missing = operations.order.incoming().to_vec();
        let mut blocked: Vec<Option<Arc<str>>> = vec![None; operations.steps.len()];
        let mut ready: VecDeque<u32> =
            (0..u32::try_from(missing.len()).unwrap_or(u32::MAX)).filter(|i| missing[*i as usize] == 0).collect();
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(step) = ready.pop_front() {
                let end = match (&blocked[step as usize], operations.steps[step as usize]) {
                    (Some(because), s) => {
                        self.skip(s, because);
                        End::Blocked(because.clone())
                    }
                    (None, Step::Barrier) => End::Ok,
                    (None, Step::Settle(node)) if self.planning.is_left_out(node) => End::Ok,
                    (None, Step::Settle(node)) if !self.is_ephemeral(node) => self.settle(node),
                    (None, s) => {
                        if self.cancel.requested() || self.writer.lost() {
                            let because: Arc<str> = Arc::from(if self.writer.lost() {
                                "the state lock was lost"
                            } else {
                                "the apply was interrupted"
                            });
                            self.report.borrow_mut().interrupted = true;
                            self.skip(s, &because);
                            End::Blocked(because)
                        } else {
                            running.push(async move { (step, self.begin(s).await) });
                            continue;
                        }
                    }
                };
                left -= 1;
                Self::done(operations, step, &end, &mut missing, &mut blocked, &mut ready);
            }
            match running.next().await {
                Some((step, end)) => {
                    left -= 1;
                    Self::done(operations, step, &end, &mut missing, &mut blocked, &mut ready);
                }
                None => break,
            }
        }
        if left > 0 {
            self.in_a_circle(operations, &missing);
        }
    }

    /// Steps that wait for each other are never begun: that must not look like a success.
    fn in_a_circle(&self, operations: &Operations, missing: &[u32]) {
        let because: Arc<str> = Arc::from("it waits for an operation that waits for it");
        for (step, _) in operations.steps.iter().zip(missing).filter(|(_, n)| **n > 0) {
            if let Step::Make(i) | Step::Remove(i) = step {
                self.skipped(*i, self.planning.plan.changes[*i].action, &because);
            }
        }
        self.report.borrow_mut().diagnostics.push(Diagnostic::error(
            "apply::order",
            "Operations wait for each other",
            "The order of deletes that state remembers and the order of changes that the configuration asks for form a circle, so the \
             skipped operations were not begun. Make the change in two steps: first the deletes or replaces, then the rest.",
        ));
    }

    fn done(
        operations: &Operations,
        step: u32,
        end: &End,
        missing: &mut [u32],
        blocked: &mut [Option<Arc<str>>],
        ready: &mut VecDeque<u32>,
    ) {
        for &next in operations.order.after(step) {
            if let End::Blocked(because) = end
                && blocked[next as usize].is_none()
            {
                blocked[next as usize] = Some(because.clone());
            }
            missing[next as usize] -= 1;
            if missing[next as usize] == 0 {
                ready.push_back(next);
            }
        }
    }

    pub(super) fn skip(&self, step: Step, because: &Arc<str>) {
        let (Step::Make(i) | Step::Remove(i)) = step else { return };
        // The second half of a replace that is not said yet: its first half is done.
        let action = match (step, self.planning.plan.changes[i].action) {
            (Step::Make(_), Action::Replace) => Action::Create,
            (Step::Remove(_), Action::ReplaceCreateFirst) => Action::Delete,
            (Step::Remove(_), Action::ReplaceForget) => Action::Forget,
            (_, action) => action,
        };
        self.skipped(i, action, because);
    }

    fn skipped(&self, i: usize, action: Action, because: &Arc<str>) {
        let change = &self.planning.plan.changes[i];
        if self.in_check(i) {
            return;
        }
        // A replace has two steps; it is said once.
        if !self.said.borrow_mut().insert(change.address.clone()) {
            return;
        }
        self.report.borrow_mut().skipped.push((change.address.clone(), action, because.to_string()));
        self.engine.sink.event(Event::Skipped {
            address: change.address.clone(),
            action,
            because: because.to_string(),
        });
    }

    /// Whether a change is the read of a data source inside a check block: it stops nothing.
    pub(super) fn in_check(&self, i: usize) -> bool {
        let (config, graph) = (self.planning.world.config, self.planning.world.graph);
        self.planning.items[i].node.is_some_and(|n| graph.in_check(config, n))
    }

    /// A step that may have to wait for somebody.
    async fn begin(&self, step: Step) -> End {
        match step {
            Step::Barrier => End::Ok,
            Step::Settle(node) => self.open(node).await,
            Step::Make(i) => self.guarded(i, false).await,
            Step::Remove(i) => self.guarded(i, true).await,
        }
    }

    /// Evaluates a node again with what is known now.
    fn settle(&self, node: u32) -> End {
        if self.planning.plan.destroy {
            // Deletes need no values, and what a value needs may be gone.
            return End::Ok;
        }
        let world = &self.planning.world;
        let result = match world.graph.nodes[node as usize] {
            crate::graph::Node::Resource { module, item } => {
                self.gather(node, module, item);
                Ok(())
            }
            crate::graph::Node::Check { module, item } => {
                let (_, warnings) = crate::plan::evaluate_check(world, module, item);
                self.report.borrow_mut().diagnostics.extend(warnings);
                Ok(())
            }
            _ => crate::plan::again(world, self.inputs, node),
        };
        match result {
            Ok(()) => {
                self.settled.borrow_mut().insert(node);
                End::Ok
            }
            Err(diagnostics) => self.blocked(node, diagnostics),
        }
    }

    pub(super) fn blocked(&self, node: u32, diagnostics: Diagnostics) -> End {
        let world = &self.planning.world;
        let name = crate::graph::name(world.config, world.graph, node);
        self.report.borrow_mut().diagnostics.extend(diagnostics);
        End::Blocked(Arc::from(format!("{name} has an error")))
    }

    /// The value of a block after its instances were made.
    fn gather(&self, node: u32, module: usize, item: usize) {
        let positions = self.planning.changes_of(node);
        let values = self.values.borrow();
        // What waits is not known as a whole: it stays as it was planned.
        if self.planning.is_deferred(node) || !positions.iter().any(|i| values[*i].is_some()) {
            return;
        }
        let world = &self.planning.world;
        let block = &world.config.modules[module].resources[item];
        let mut instances: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for &i in positions {
            let change = &self.planning.plan.changes[i];
            if !matches!(change.action, Action::Delete | Action::Forget) && change.deposed.is_none() {
                let value = values[i].clone().unwrap_or_else(|| crate::ephemeral::readable(&change.after));
                instances.entry(self.planning.items[i].ordinal).or_default().push((change.address.key.clone(), value));
            }
        }
        for (ordinal, list) in instances {
            world.set(node, ordinal, aggregate(block, list));
        }
    }
}
