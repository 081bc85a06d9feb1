//! `check` blocks: assertions that warn.
//!
//! The one decision: a check never stops anything. What fails in it (its data source included) is a
//! warning and a word in the plan's results; what is not known yet is looked at again while applying.

use mesh_model::change::{CheckResult, CheckStatus};
use mesh_model::{Diagnostic, Diagnostics, ModulePath};

use super::{Planner, values};
use crate::world::World;

impl Planner<'_, '_> {
    pub(super) fn check(&self, node: u32, module: usize, item: usize) {
        let block = &self.config.modules[module].checks[item];
        let state = self.state(node);
        if state.failed || state.deferred.is_some() {
            // Its data source could not be read (that was said), or it has to wait.
            let status = if state.failed { CheckStatus::Error } else { CheckStatus::Unknown };
            let paths = self.world.instances(module).iter().map(|m| m.path.clone()).collect::<Vec<_>>();
            let results = paths.into_iter().map(|p| result(&p, &block.name, status, Vec::new()));
            self.out.borrow_mut().checks.extend(results);
            self.states.borrow_mut()[node as usize] = super::NodeState::default();
            return;
        }
        let (results, warnings) = evaluate(&self.world, module, item);
        let mut out = self.out.borrow_mut();
        out.checks.extend(results);
        out.diagnostics.extend(warnings);
    }

    /// Whether a node is a data source inside a check block: its errors are warnings.
    pub(super) fn in_check(&self, node: u32) -> bool {
        self.graph.in_check(self.config, node)
    }
}

fn result(module: &ModulePath, name: &str, status: CheckStatus, problems: Vec<String>) -> CheckResult {
    CheckResult { module: module.clone(), name: name.into(), status, problems }
}

/// The results of a check in every instance of its module, with a warning for each that does not hold.
pub(crate) fn evaluate(world: &World<'_>, module: usize, item: usize) -> (Vec<CheckResult>, Diagnostics) {
    let block = &world.config.modules[module].checks[item];
    let (mut results, mut warnings) = (Vec::new(), Diagnostics::new());
    for (ordinal, instance) in world.instances(module).iter().enumerate() {
        let scope = world.scope(module, ordinal).repeated(&instance.repetition);
        let (mut status, mut problems) = (CheckStatus::Pass, Vec::new());
        for assert in &block.asserts {
            match values::check(assert, &scope, "check::assert", "A check does not hold") {
                Some(found) => {
                    let failed = found.code == "check::assert";
                    status = status.max(if failed { CheckStatus::Fail } else { CheckStatus::Error });
                    problems.push(found.detail.clone());
                    warnings.push(Diagnostic { severity: mesh_model::Severity::Warning, ..found });
                }
                None => {
                    let known = assert.condition.eval(&scope).is_ok_and(|v| !v.is_unknown());
                    status = status.max(if known { CheckStatus::Pass } else { CheckStatus::Unknown });
                }
            }
        }
        results.push(result(&instance.path, &block.name, status, problems));
    }
    (results, warnings)
}
