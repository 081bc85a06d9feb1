//! Plans and state in Terraform's machine formats.
//!
//! The one decision: the shape is Terraform's (`format_version` 1.2 for plans, 1.0 for state), so that
//! tools which read it work; what we have more is added under names of our own. A sensitive value is
//! null here, unless the view was asked to show it ([`Sight`]); what it is beside (`sensitive_values`,
//! `after_sensitive`) says so either way.

use std::collections::{BTreeMap, BTreeSet};

use mesh_model::change::{CheckResult, Drift, OutputChange, Waiting};
use mesh_model::json::{sensitive_mirror, to_json, unknown_mirror};
use mesh_model::{
    Action, Address, Change, Deferred, Instance, InstanceKey, Mode, ModulePath, Path, Plan, Snapshot, Step, Value,
};
use serde_json::{Map, Value as Json, json};

use super::sight::Sight;

/// What is said of a plan.
pub(crate) struct Planned<'p> {
    /// The plan.
    pub(crate) plan: &'p Plan,
    /// The state it was made from.
    pub(crate) snapshot: &'p Snapshot,
    /// The version of the schema of a type.
    pub(crate) version: &'p dyn Fn(Mode, &str) -> u32,
    /// What people approve.
    pub(crate) digest: &'p str,
    /// When it was made.
    pub(crate) timestamp: &'p str,
}

/// `show -json` of a plan.
pub(crate) fn plan(planned: &Planned<'_>, sight: Sight<'_>) -> Json {
    let plan = planned.plan;
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
        "applyable": !(plan.is_empty() && plan.is_complete()),
        "complete": plan.is_complete() && !plan.partial,
        "errored": false,
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
fn named(address: &Address) -> Map<String, Json> {
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

/// A tree of modules that resources are put into.
#[derive(Default)]
struct Tree {
    resources: Vec<Json>,
    children: BTreeMap<String, Self>,
}

impl Tree {
    fn add(&mut self, address: &Address, resource: Json) {
        let mut at = self;
        let mut path = ModulePath::root();
        for (name, key) in address.module.0.iter() {
            path = path.child(name, key.clone());
            at = at.children.entry(path.to_string()).or_default();
        }
        at.resources.push(resource);
    }

    fn json(self, address: Option<String>) -> Json {
        let mut out = Map::new();
        if let Some(address) = address {
            out.insert("address".into(), address.into());
        }
        if !self.resources.is_empty() {
            out.insert("resources".into(), self.resources.into());
        }
        if !self.children.is_empty() {
            out.insert("child_modules".into(), self.children.into_iter().map(|(a, t)| t.json(Some(a))).collect());
        }
        out.into()
    }
}

/// One object of `values`: of a state, or of what a plan will make of it.
struct Object<'o> {
    address: &'o Address,
    provider: &'o str,
    schema_version: u32,
    /// What it holds, and where that is sensitive.
    values: (Json, Json),
    /// What state knows of it besides.
    known: Option<&'o Instance>,
    deposed: Option<&'o str>,
}

impl Object<'_> {
    fn json(self) -> Json {
        let mut out = named(self.address);
        // The tree says it.
        out.shift_remove("module_address");
        out.insert("provider_name".into(), self.provider.into());
        out.insert("schema_version".into(), self.schema_version.into());
        out.insert("values".into(), self.values.0);
        out.insert("sensitive_values".into(), self.values.1);
        if let Some(known) = self.known {
            if !known.dependencies.is_empty() {
                out.insert("depends_on".into(), known.dependencies.iter().map(|d| Json::from(&**d)).collect());
            }
            if let Some(identity) = &known.identity {
                out.insert("identity_schema_version".into(), 0.into());
                out.insert("identity".into(), json!({ "id": identity.to_string() }));
            }
            for (name, yes) in [("tainted", known.tainted), ("protected", known.protected)] {
                if yes {
                    out.insert(name.into(), true.into());
                }
            }
        }
        if let Some(key) = self.deposed {
            out.insert("deposed_key".into(), key.into());
        }
        out.into()
    }
}

/// `values` of a state, `prior_state` and `planned_values`: outputs, and objects in their modules.
fn values<'o>(outputs: Map<String, Json>, objects: impl IntoIterator<Item = Object<'o>>) -> Json {
    let mut tree = Tree::default();
    for object in objects {
        tree.add(object.address, object.json());
    }
    json!({ "outputs": outputs, "root_module": tree.json(None) })
}

fn planned_values(planned: &Planned<'_>, sight: Sight<'_>) -> Json {
    let plan = planned.plan;
    let outputs = plan.outputs.iter().filter(|(_, o)| o.action != Action::Delete);
    let outputs = outputs.map(|(n, o)| {
        let (_, seen) = sight.both(&o.before, &o.after);
        (n.to_string(), shown(&seen, o.after.all_marks().sensitive()))
    });
    let stay = |c: &&Change| !matches!(c.action, Action::Delete | Action::Forget) && c.deposed.is_none();
    let objects = plan.changes.iter().filter(stay).map(|c| Object {
        address: &c.address,
        provider: &c.provider,
        schema_version: (planned.version)(c.address.mode, &c.address.ty),
        values: (to_json(&sight.both(&c.before, &c.after).1), sight.json(&c.after).1),
        known: None,
        deposed: None,
    });
    values(outputs.collect(), objects)
}

/// An output: whether it is sensitive, and its value where it may be seen.
fn shown(value: &Value, sensitive: bool) -> Json {
    let mut out = Map::new();
    out.insert("sensitive".into(), sensitive.into());
    if value.is_wholly_known() {
        out.insert("type".into(), value.ty().to_json());
        out.insert("value".into(), to_json(value));
    }
    out.into()
}

/// State as it was looked at: what changes start from.
fn prior_state(planned: &Planned<'_>, sight: Sight<'_>) -> Json {
    let (plan, snapshot) = (planned.plan, planned.snapshot);
    let known = known(snapshot);
    let seen: BTreeMap<_, _> = plan.changes.iter().map(|c| ((&c.address, c.deposed.as_deref()), c)).collect();
    // Imported objects are no part of the snapshot; what is left out of the plan is only there.
    let all: BTreeSet<_> = seen.keys().chain(known.keys()).copied().collect();
    let objects = all.into_iter().filter_map(|place @ (address, deposed)| {
        let (change, instance) = (seen.get(&place), known.get(&place).copied());
        let before = change.map(|c| &c.before).or_else(|| instance.map(|i| &i.values)).filter(|v| !v.is_null())?;
        let held = change.map_or_else(|| sight.one(before), |c| sight.both(&c.before, &c.after).0);
        Some(Object {
            address,
            provider: change.map(|c| &*c.provider).or_else(|| instance.map(|i| &*i.provider))?,
            schema_version: instance.map_or_else(|| (planned.version)(address.mode, &address.ty), |i| i.schema_version),
            values: (to_json(&held), sight.json(before).1),
            known: instance,
            deposed,
        })
    });
    let outputs = snapshot.outputs.iter().map(|(n, o)| (n.to_string(), stored(o))).collect();
    json!({ "format_version": "1.0", "mesh_version": env!("CARGO_PKG_VERSION"), "values": values(outputs, objects) })
}

/// Objects of state, each with its deposed ones behind it.
fn known(snapshot: &Snapshot) -> BTreeMap<(&Address, Option<&str>), &Instance> {
    let current = snapshot.instances.iter().map(|(a, i)| ((a, None), &**i));
    current.chain(snapshot.deposed.iter().map(|((a, key), i)| ((a, Some(&**key)), &**i))).collect()
}

/// `show -json` of state.
pub(crate) fn state(snapshot: &Snapshot) -> Json {
    let mut out = json!({ "format_version": "1.0", "mesh_version": env!("CARGO_PKG_VERSION") });
    if snapshot.instances.is_empty() && snapshot.deposed.is_empty() && snapshot.outputs.is_empty() {
        return out;
    }
    let objects = known(snapshot).into_iter().map(|((address, deposed), instance)| Object {
        address,
        provider: &instance.provider,
        schema_version: instance.schema_version,
        values: (to_json(&instance.values), sensitive_mirror(&instance.values)),
        known: Some(instance),
        deposed,
    });
    let outputs = snapshot.outputs.iter().map(|(n, o)| (n.to_string(), stored(o))).collect();
    out["values"] = values(outputs, objects);
    out["lineage"] = json!(&*snapshot.lineage);
    out["serial"] = json!(snapshot.serial);
    out
}

/// An output of state.
pub(crate) fn stored(output: &mesh_model::snapshot::StoredOutput) -> Json {
    let sensitive = output.sensitive || output.value.all_marks().sensitive();
    let value = if output.sensitive { output.value.clone().sensitive() } else { output.value.clone() };
    let mut out = shown(&value, sensitive);
    if output.value.has_withheld() {
        // Else its null would read as a value.
        out["withheld"] = json!(true);
    }
    out
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
