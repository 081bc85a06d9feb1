//! What scripts show: short lines for plans, reports, state and the world.
//!
//! The one decision: one line for each thing that a rule is about, and of its values only those that say something.
//! Deposed keys differ from run to run and are left out.

use mesh_model::change::{Deferred, Drift};
use mesh_model::{Action, Change, Diagnostic, Diagnostics, Plan, Reason, Snapshot, Sources, Value, json};
use mesh_state::Outputs;

/// The attributes that scripts are about.
const SHOWN: [&str; 7] = ["name", "value", "secret", "password", "password_version", "input", "triggers_replace"];

pub(super) fn value(value: &Value) -> String {
    match value {
        v if v.is_unknown() => "?".to_owned(),
        v if v.has_withheld() || v.all_marks().sensitive() => "(secret)".to_owned(),
        v if v.is_wholly_known() => json::to_json(v).to_string(),
        v => match v.as_items() {
            Some(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(",")),
            None => "(partly known)".to_owned(),
        },
    }
}

/// ` name=value` for what `after` has and `before` does not have so.
fn values(before: &Value, after: &Value) -> String {
    let null = Value::NULL;
    let of = |v: &Value, name| v.get(name).unwrap_or(&null).clone();
    let known = SHOWN.iter().map(|name| (*name, of(before, name), of(after, name)));
    // An address nearly says the name of a new object.
    let said = known.filter(|(name, b, a)| !(b.same(a) || *name == "name" && before.is_null()));
    said.map(|(name, _, after)| format!(" {name}={}", value(&after))).collect()
}

fn change(change: &Change) -> Option<String> {
    let said = change.action != Action::NoOp || change.previous_address.is_some() || change.importing.is_some();
    if !said {
        return None;
    }
    let symbol = if change.action == Action::NoOp { "=" } else { change.action.symbol() };
    let deposed = if change.deposed.is_some() { " (deposed)" } else { "" };
    let reason = change.reason.word().or_else(|| (change.reason == Reason::Vanished).then_some("vanished"));
    let paths: Vec<String> = change.replace_paths.iter().map(ToString::to_string).collect();
    let reason =
        reason.map(|r| if paths.is_empty() { format!(" ({r})") } else { format!(" ({r}: {})", paths.join(", ")) });
    let from = change.previous_address.as_ref().map(|from| format!(" <- {from}"));
    let import = change.importing.as_ref().map(|identity| format!(" import {identity:?}"));
    let said: String = [reason, from, import].into_iter().flatten().collect();
    let removes = matches!(change.action, Action::Delete | Action::Forget);
    let values = if removes { String::new() } else { values(&change.before, &change.after) };
    Some(format!("{symbol} {}{deposed}{said}{values}", change.address))
}

fn drift(drift: &Drift) -> String {
    let what = if drift.after.is_null() { " gone".to_owned() } else { values(&drift.before, &drift.after) };
    format!("! {}{what}", drift.address)
}

fn deferred(deferred: &Deferred) -> String {
    let actions: Vec<&str> = deferred.actions.iter().flat_map(|a| a.words()).copied().collect();
    let known = values(&Value::NULL, &deferred.known);
    let name = deferred.known.get("name").filter(|n| !n.is_null()).map(|n| format!(" name={}", value(n)));
    format!(
        "? {} ({}) may {}{}{known}",
        deferred.pattern,
        deferred.reason_code,
        actions.join("/"),
        name.unwrap_or_default()
    )
}

/// What a plan says.
pub(super) fn plan(plan: &Plan) -> Vec<String> {
    let mut changes: Vec<_> =
        plan.changes.iter().filter_map(|c| Some(((c.address.clone(), c.deposed.is_some()), change(c)?))).collect();
    changes.sort();
    let mut out: Vec<String> = changes.into_iter().map(|(_, line)| line).collect();
    out.extend(plan.deferred.iter().map(deferred));
    for gate in &plan.waiting {
        out.push(format!("| {} waits for {}: {}", gate.address, gate.waiting_for, gate.instructions));
        out.extend(gate.problems.iter().map(|p| format!("|   {p}")));
    }
    out.extend(plan.drift.iter().map(drift));
    out.extend(plan.protected.iter().map(|a| format!("stays: {a}")));
    let outputs = plan.outputs.iter().filter(|(_, o)| o.action != Action::NoOp);
    out.extend(outputs.map(|(n, o)| match o.action {
        Action::Delete => format!("- output.{n}"),
        action => format!("{} output.{n}={}", action.symbol(), value(&o.after)),
    }));
    out.extend(plan.checks.iter().map(|c| {
        let module = if c.module.0.is_empty() { String::new() } else { format!("{}.", c.module) };
        let problems: String = c.problems.iter().map(|p| format!(": {p}")).collect();
        format!("{module}check.{} {}{problems}", c.name, c.status.word())
    }));
    if plan.is_empty() {
        out.push("nothing to do".to_owned());
    }
    out
}

/// Place, code, summary, instance; the message where the configuration gives it.
pub(super) fn diagnostic(sources: &Sources, d: &Diagnostic) -> String {
    let place = d.span.map(|s| format!(" {}", sources.position(s))).unwrap_or_default();
    let on = d.address.as_ref().map(|a| format!(" [{a}]")).unwrap_or_default();
    let own = ["condition", "assert", "validation", "cycle", "selection"].iter().any(|w| d.code.ends_with(w));
    let listed = |l: &&str| own || d.code == "apply::stale" && l.trim_start().starts_with("- ");
    let detail: String = d.detail.lines().filter(listed).map(|l| format!(" | {}", l.trim())).collect();
    let word = if d.is_error() { "error" } else { "warning" };
    format!("{word}{place} {} {}{on}{detail}", d.code, d.summary)
}

pub(super) fn diagnostics(sources: &Sources, list: &Diagnostics) -> Vec<String> {
    let mut out: Vec<String> = list.iter().map(|d| diagnostic(sources, d)).collect();
    out.dedup();
    out
}

pub(super) fn outputs(outputs: &Outputs) -> Vec<String> {
    outputs
        .iter()
        .map(|(n, o)| format!("output.{n}={}", if o.sensitive { "(secret)".to_owned() } else { value(&o.value) }))
        .collect()
}

/// What state knows.
pub(super) fn state(snapshot: &Snapshot) -> Vec<String> {
    let current = snapshot.instances.iter().map(|(a, i)| (a, false, i));
    let deposed = snapshot.deposed.iter().map(|((a, _), i)| (a, true, i));
    let mut lines: Vec<_> = current
        .chain(deposed)
        .map(|(address, deposed, i)| {
            let words: String = [
                (deposed, " deposed"),
                (i.tainted, " tainted"),
                (i.protected, " protected"),
                (i.adopted, " adopted"),
                (i.kept, " kept"),
                (i.create_before_destroy, " create_before_destroy"),
            ]
            .iter()
            .filter_map(|(is, word)| is.then_some(*word))
            .collect();
            // Those of other types are random.
            let identity = i.identity.as_ref().filter(|_| address.ty.starts_with("world_"));
            let identity = identity.map(|i| format!(" {:?}", i.0)).unwrap_or_default();
            (address.clone(), deposed, format!("has {address}{words}{identity}{}", values(&Value::NULL, &i.values)))
        })
        .collect();
    lines.sort();
    let open = snapshot.open.iter().map(|i| format!("in doubt: {} {}", i.operation.word(), i.address));
    lines.into_iter().map(|(_, _, line)| line).chain(outputs(&snapshot.outputs)).chain(open).collect()
}
