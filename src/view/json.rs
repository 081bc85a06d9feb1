//! Plans and state in Terraform's machine formats.
//!
//! The one decision: the shape is Terraform's (`format_version` 1.2 for plans, 1.0 for state), so that
//! tools which read it work; what we have more is added under names of our own. A sensitive value is
//! null here, unless the view was asked to show it ([`Sight`]); what it is beside (`sensitive_values`,
//! `after_sensitive`) says so either way.

mod objects;

use std::collections::BTreeMap;

use mesh_model::change::{CheckResult, Drift, OutputChange, Waiting};
use mesh_model::json::{to_json, unknown_mirror};
use mesh_model::{Address, Change, Deferred, InstanceKey, Mode, Path, Plan, Snapshot, Step, Value};
use serde_json::{Map, Value as Json, json};

pub(crate) use self::objects::{known, state};
use self::objects::{planned_values, prior_state};
use super::sight::Sight;

/// What is said of a plan.
pub(crate) struct Planned<'p> {
    /// The plan.
    pub(crate) plan: &'p Plan,
    /// The state it was made from.
    pub(crate) snapshot: &'p Snapshot,
    /// The version of the schema of a type.
    pub(crate) version: &'p dyn Fn(Mode, &str) -> u32,
    /// What people approve; a plan with errors has none.
    pub(crate) digest: Option<&'p str>,
    /// When it was made.
    pub(crate) timestamp: &'p str,
}

/// `show -json` of a plan.
pub(crate) fn plan(planned: &Planned<'_>, sight: Sight<'_>) -> Json {
    let (plan, errored) = (planned.plan, planned.digest.is_none());
    json!({
        "format_version": "1.2",
        "mesh_version": env!("CARGO_PKG_VERSION"),
        "plan_digest": planned.digest,
        "planned_values": planned_values(planned, sight),
        "resource_drift": plan.drift.iter().map(|d| drift(d, planned.snapshot, sight)).collect::<Vec<_>>(),
        "resource_changes": plan.changes.iter().map(|c| change(c, sight)).collect::<Vec<_>>(),
        "deferred_changes": plan.deferred.iter().map(|d| deferred(d, sight)).collect::<Vec<_>>(),
        "output_changes": plan.outputs.iter().map(|(n, o)| (n.to_string(), output(o, sight))).collect::<Map<_, _>>(),
        "checks": checks(&plan.checks),
        "gates": plan.waiting.iter().map(waiting).collect::<Vec<_>>(),
        "protected": plan.protected.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "prior_state": prior_state(planned, sight),
        "timestamp": planned.timestamp,
        "applyable": !(errored || plan.is_empty() && plan.is_complete()),
        "complete": !errored && plan.is_complete() && !plan.partial,
        "errored": errored,
    })
}

/// Results of `check` blocks: one entry for each block, with its instances.
fn checks(results: &[CheckResult]) -> Json {
    let display = |module: &str, name: &str| {
        if module.is_empty() { format!("check.{name}") } else { format!("{module}.check.{name}") }
    };
    let mut blocks: BTreeMap<(String, &str), Vec<&CheckResult>> = BTreeMap::new();
    for result in results {
        let names: Vec<String> = result.module.names().iter().map(|n| format!("module.{n}")).collect();
        blocks.entry((names.join("."), &result.name)).or_default().push(result);
    }
    let instance = |r: &CheckResult| {
        let module = r.module.to_string();
        let mut out = json!({ "address": { "to_display": display(&module, &r.name) }, "status": r.status.word() });
        if !module.is_empty() {
            out["address"]["module"] = module.into();
        }
        if !r.problems.is_empty() {
            out["problems"] = r.problems.iter().map(|p| json!({ "message": p })).collect();
        }
        out
    };
    let block = |((module, name), list): ((String, &str), Vec<&CheckResult>)| {
        let worst = list.iter().map(|r| r.status).max().map_or("unknown", |s| s.word());
        let mut address = json!({ "kind": "check", "name": name, "to_display": display(&module, name) });
        if !module.is_empty() {
            address["module"] = module.into();
        }
        json!({ "address": address, "status": worst, "instances": list.into_iter().map(instance).collect::<Vec<_>>() })
    };
    blocks.into_iter().map(block).collect()
}

fn sides(before: &Value, after: &Value, sight: Sight<'_>) -> Map<String, Json> {
    let (seen_before, seen_after) = sight.both(before, after);
    let mut out = Map::new();
    out.insert("before".into(), to_json(&seen_before));
    out.insert("after".into(), to_json(&seen_after));
    out.insert("after_unknown".into(), unknown_mirror(&sight.redacted().one(after)));
    out.insert("before_sensitive".into(), sight.json(before).1);
    out.insert("after_sensitive".into(), sight.json(after).1);
    out
}

/// What names an instance in every format.
pub(crate) fn named(address: &Address) -> Map<String, Json> {
    let mut out = Map::new();
    out.insert("address".into(), address.to_string().into());
    if !address.module.is_root() {
        out.insert("module_address".into(), address.module.to_string().into());
    }
    out.insert("mode".into(), mode(address.mode).into());
    out.insert("type".into(), address.ty.to_string().into());
    out.insert("name".into(), address.name.to_string().into());
    if let Some(key) = &address.key {
        out.insert("index".into(), index(key));
    }
    out
}

pub(crate) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Managed => "managed",
        Mode::Data => "data",
        Mode::Ephemeral => "ephemeral",
    }
}

/// The key of an instance.
pub(crate) fn index(key: &InstanceKey) -> Json {
    match key {
        InstanceKey::Index(n) => json!(n),
        InstanceKey::Key(k) => json!(&**k),
    }
}

fn steps(path: &Path) -> Json {
    path.0
        .iter()
        .map(|s| match s {
            Step::Key(k) => json!(&**k),
            Step::Index(i) => json!(i),
        })
        .collect()
}

fn change(c: &Change, sight: Sight<'_>) -> Json {
    let mut out = named(&c.address);
    if let Some(from) = &c.previous_address {
        out.insert("previous_address".into(), from.to_string().into());
    }
    if let Some(deposed) = &c.deposed {
        out.insert("deposed".into(), deposed.to_string().into());
    }
    out.insert("provider_name".into(), c.provider.to_string().into());
    let mut inner = Map::new();
    inner.insert("actions".into(), json!(c.action.words()));
    inner.extend(sides(&c.before, &c.after, sight));
    if !c.replace_paths.is_empty() {
        inner.insert("replace_paths".into(), c.replace_paths.iter().map(steps).collect());
    }
    if let Some(id) = &c.importing {
        inner.insert("importing".into(), json!({ "id": id }));
    }
    out.insert("change".into(), inner.into());
    if let Some(word) = c.reason.word() {
        out.insert("action_reason".into(), word.into());
    }
    if let mesh_model::change::Previewed::Skipped(why) = c.previewed {
        out.insert("not_previewed".into(), why.into());
    }
    if !c.notes.is_empty() {
        out.insert("notes".into(), json!(c.notes));
    }
    out.into()
}

/// A drifted object, as Terraform's `resource_drift`; also what `mesh drift -json` lists.
pub(crate) fn drift(d: &Drift, snapshot: &Snapshot, sight: Sight<'_>) -> Json {
    let mut out = named(&d.address);
    if let Some(instance) = snapshot.instances.get(&d.address) {
        out.insert("provider_name".into(), instance.provider.to_string().into());
    }
    let mut inner = Map::new();
    inner.insert("actions".into(), json!(if d.after.is_null() { ["delete"] } else { ["update"] }));
    inner.extend(sides(&d.before, &d.after, sight));
    out.insert("change".into(), inner.into());
    out.insert("paths".into(), d.paths.iter().map(ToString::to_string).collect());
    out.into()
}

fn deferred(d: &Deferred, sight: Sight<'_>) -> Json {
    let mut change = Map::new();
    change.insert("actions".into(), d.actions.first().map_or(json!([]), |a| json!(a.words())));
    change.extend(sides(&Value::NULL, &d.known, sight));
    json!({
        "reason": d.reason_code,
        "detail": d.reason,
        "allowed_actions": d.actions.iter().map(|a| a.words()).collect::<Vec<_>>(),
        "resource_change": {
            "address": d.pattern,
            "mode": mode(d.resource.mode),
            "type": &*d.resource.ty,
            "name": &*d.resource.name,
            "index_unknown": d.pattern.contains("[*]"),
            "change": change,
        },
    })
}

/// A closed gate.
pub(crate) fn waiting(w: &Waiting) -> Json {
    json!({
        "address": w.address.to_string(),
        "waiting_for": w.waiting_for,
        "instructions": w.instructions,
        "problems": w.problems,
    })
}

fn output(o: &OutputChange, sight: Sight<'_>) -> Json {
    let mut out = Map::new();
    out.insert("actions".into(), json!(o.action.words()));
    out.extend(sides(&o.before, &o.after, sight));
    // An output is sensitive as a whole.
    for (side, value) in [("before_sensitive", &o.before), ("after_sensitive", &o.after)] {
        out.insert(side.into(), value.all_marks().sensitive().into());
    }
    out.into()
}

/// JSON without spaces, laid out over lines as `serde_json` does; for numbers that it would round.
pub(crate) fn indented(compact: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| push!(out, "\n{}", "  ".repeat(depth));
    let mut chars = compact.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_that_of_the_library() {
        let json = json!({ "a": [], "b": {}, "c": [1, { "d\\\"{,": "x:[y]\\" }], "e": null });
        assert_eq!(indented(&json.to_string()), format!("{json:#}"));
    }
}
