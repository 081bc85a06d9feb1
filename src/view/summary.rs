//! Summary lines: the one place where counts become words.

use mesh_core::Finished;
use mesh_model::Plan;
use mesh_model::change::Counts;

use super::style::{BOLD, GREEN, RED, YELLOW, paint};

/// `Plan: 1 to import, 2 to add, 1 to change, 0 to destroy.`
pub(crate) fn plan_line(plan: &Plan) -> String {
    format!("{} {}", paint(BOLD, "Plan:"), plan_counts(plan))
}

/// The same without its first word.
pub(crate) fn plan_counts(plan: &Plan) -> String {
    let c = plan.counts();
    let mut parts = Vec::new();
    if c.import > 0 {
        parts.push(format!("{} to import", c.import));
    }
    parts.push(format!("{} to add", c.add));
    parts.push(format!("{} to change", c.change));
    parts.push(format!("{} to destroy", c.destroy));
    if c.forget > 0 {
        parts.push(format!("{} to forget", c.forget));
    }
    if !plan.deferred.is_empty() {
        parts.push(format!("{} deferred", plan.deferred.len()));
    }
    format!("{}.", parts.join(", "))
}

/// What was done: `2 added, 1 changed, 0 destroyed`.
pub(crate) fn done(c: Counts) -> String {
    let mut parts = Vec::new();
    if c.import > 0 {
        parts.push(format!("{} imported", c.import));
    }
    parts.push(format!("{} added", c.add));
    parts.push(format!("{} changed", c.change));
    parts.push(format!("{} destroyed", c.destroy));
    if c.forget > 0 {
        parts.push(format!("{} forgotten", c.forget));
    }
    parts.join(", ")
}

/// The last line of an apply or destroy, whatever came of it.
pub(crate) fn finished(finished: &Finished, destroy: bool) -> String {
    let command = if destroy { "Destroy" } else { "Apply" };
    let resources = if destroy && finished.is_complete() {
        let forgotten = Some(finished.counts.forget).filter(|n| *n > 0).map(|n| format!(", {n} forgotten"));
        format!("{} destroyed{}", finished.counts.destroy, forgotten.unwrap_or_default())
    } else {
        done(finished.counts)
    };
    let report = &finished.report;
    let mut rest = Vec::new();
    if !report.failed.is_empty() {
        rest.push(format!("{} failed", report.failed.len()));
    }
    if !report.skipped.is_empty() {
        rest.push(format!("{} skipped", report.skipped.len()));
    }
    if !finished.deferred.is_empty() {
        rest.push(format!("{} deferred", finished.deferred.len()));
    }
    let rest = if rest.is_empty() { String::new() } else { format!("; {}", rest.join(", ")) };
    let (style, head) = if finished.is_complete() {
        (GREEN.bold(), format!("{command} complete!"))
    } else if report.interrupted {
        (RED.bold(), format!("{command} interrupted!"))
    } else if !report.succeeded() {
        (RED.bold(), format!("{command} failed!"))
    } else if !finished.waiting.is_empty() {
        let s = if finished.waiting.len() == 1 { "" } else { "s" };
        (YELLOW.bold(), format!("{command} is waiting for {} gate{s}.", finished.waiting.len()))
    } else {
        (YELLOW.bold(), format!("{command} is not complete."))
    };
    format!("{} Resources: {resources}{rest}.", paint(style, head))
}
