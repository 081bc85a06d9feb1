//! Plans and state in Terraform's machine formats, redacted.
//!
//! The one decision: the shape is Terraform's (`format_version` 1.2 for plans, 1.0 for state), so that
//! tools which read it work; what we have more is added under names of our own. A sensitive value is
//! null here, always: there is no flag that shows it.

use std::collections::BTreeMap;

use mesh_model::change::{CheckResult, Drift, OutputChange, Waiting};
use mesh_model::json::{sensitive_mirror, to_json, unknown_mirror};
use mesh_model::{
    Action, Address, Change, Deferred, Fingerprinter, Instance, InstanceKey, Mode, Path, Plan, Snapshot, Step, Value,
};
use serde_json::{Map, Value as Json, json};

/// `show -json` of a plan. `timestamp` is when it was made, `errored` whether planning had errors.
pub(crate) fn plan(plan: &Plan, fingerprinter: &Fingerprinter, digest: &str, timestamp: &str, errored: bool) -> Json {
    let complete = plan.is_complete() && !plan.partial;
    json!({
        "format_version": "1.2",
        "mesh_version": env!("CARGO_PKG_VERSION"),
        "plan_digest": digest,
        "planned_values": planned_values(plan, fingerprinter),
        "resource_drift": plan.drift.iter().map(|d| drift(d, fingerprinter)).collect::<Vec<_>>(),
        "resource_changes": plan.changes.iter().map(|c| change(c, fingerprinter)).collect::<Vec<_>>(),
        "deferred_changes": plan.deferred.iter().map(|d| deferred(d, fingerprinter)).collect::<Vec<_>>(),
        "output_changes": plan.outputs.iter().map(|(n, o)| (n.to_string(), output(o, fingerprinter))).collect::<Map<_, _>>(),
        "checks": checks(&plan.checks),
        "gates": plan.waiting.iter().map(waiting).collect::<Vec<_>>(),
        "protected": plan.protected.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "prior_state": prior_state(plan, fingerprinter),
        "timestamp": timestamp,
        "applyable": !(errored || plan.is_empty() && plan.is_complete()),
        "complete": complete,
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

fn sides(before: &Value, after: &Value, fingerprinter: &Fingerprinter) -> Map<String, Json> {
    let (before, after) = (fingerprinter.withhold(before), fingerprinter.withhold(after));
    let mut out = Map::new();
    out.insert("before".into(), to_json(&before));
    out.insert("after".into(), to_json(&after));
    out.insert("after_unknown".into(), unknown_mirror(&after));
    out.insert("before_sensitive".into(), sensitive_mirror(&before));
    out.insert("after_sensitive".into(), sensitive_mirror(&after));
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

fn change(c: &Change, fingerprinter: &Fingerprinter) -> Json {
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
    inner.extend(sides(&c.before, &c.after, fingerprinter));
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
pub(crate) fn drift(d: &Drift, fingerprinter: &Fingerprinter) -> Json {
    let mut out = named(&d.address);
    let mut inner = Map::new();
    inner.insert("actions".into(), json!(if d.after.is_null() { ["delete"] } else { ["update"] }));
    inner.extend(sides(&d.before, &d.after, fingerprinter));
    out.insert("change".into(), inner.into());
    out.insert("paths".into(), d.paths.iter().map(ToString::to_string).collect());
    out.into()
}

fn deferred(d: &Deferred, fingerprinter: &Fingerprinter) -> Json {
    let known = fingerprinter.withhold(&d.known);
    let mut change = Map::new();
    change.insert("actions".into(), d.actions.first().map_or(json!([]), |a| json!(a.words())));
    change.extend(sides(&Value::NULL, &known, fingerprinter));
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

fn output(o: &OutputChange, fingerprinter: &Fingerprinter) -> Json {
    let mut out = Map::new();
    out.insert("actions".into(), json!(o.action.words()));
    out.extend(sides(&o.before, &o.after, fingerprinter));
    out.into()
}

/// A tree of modules that resources are put into.
#[derive(Default)]
struct Tree {
    resources: Vec<Json>,
    children: std::collections::BTreeMap<String, Self>,
}

impl Tree {
    fn add(&mut self, address: &Address, resource: Json) {
        let mut at = self;
        let mut path = mesh_model::ModulePath::root();
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

fn resource(address: &Address, provider: &str, values: &Value) -> Map<String, Json> {
    let mut out = named(address);
    out.insert("provider_name".into(), provider.into());
    out.insert("values".into(), to_json(values));
    out.insert("sensitive_values".into(), sensitive_mirror(values));
    out
}

fn planned_values(plan: &Plan, fingerprinter: &Fingerprinter) -> Json {
    let mut tree = Tree::default();
    for c in plan.changes.iter().filter(|c| !matches!(c.action, Action::Delete | Action::Forget) && c.deposed.is_none())
    {
        tree.add(&c.address, resource(&c.address, &c.provider, &fingerprinter.withhold(&c.after)).into());
    }
    let outputs: Map<_, _> = plan
        .outputs
        .iter()
        .filter(|(_, o)| o.action != Action::Delete)
        .map(|(n, o)| (n.to_string(), shown(&fingerprinter.withhold(&o.after))))
        .collect();
    json!({ "outputs": outputs, "root_module": tree.json(None) })
}

/// An output: whether it is sensitive, and its value where it may be seen.
pub(crate) fn shown(value: &Value) -> Json {
    let sensitive = value.all_marks().sensitive();
    let mut out = Map::new();
    out.insert("sensitive".into(), sensitive.into());
    if value.is_wholly_known() {
        out.insert("type".into(), value.ty().to_json());
        out.insert("value".into(), to_json(value));
    }
    out.into()
}

fn prior_state(plan: &Plan, fingerprinter: &Fingerprinter) -> Json {
    let mut tree = Tree::default();
    for c in plan.changes.iter().filter(|c| !c.before.is_null() && c.deposed.is_none()) {
        tree.add(&c.address, resource(&c.address, &c.provider, &fingerprinter.withhold(&c.before)).into());
    }
    json!({ "format_version": "1.0", "mesh_version": env!("CARGO_PKG_VERSION"), "values": { "root_module": tree.json(None) } })
}

/// `show -json` of state.
pub(crate) fn state(snapshot: &Snapshot) -> Json {
    let mut out = json!({ "format_version": "1.0", "mesh_version": env!("CARGO_PKG_VERSION") });
    if snapshot.instances.is_empty() && snapshot.deposed.is_empty() && snapshot.outputs.is_empty() {
        return out;
    }
    let mut tree = Tree::default();
    for (address, instance) in &snapshot.instances {
        tree.add(address, instance_json(address, instance, None).into());
    }
    for ((address, key), instance) in &snapshot.deposed {
        tree.add(address, instance_json(address, instance, Some(key)).into());
    }
    let outputs: Map<_, _> = snapshot.outputs.iter().map(|(n, o)| (n.to_string(), stored(o))).collect();
    out["values"] = json!({ "outputs": outputs, "root_module": tree.json(None) });
    out["lineage"] = json!(&*snapshot.lineage);
    out["serial"] = json!(snapshot.serial);
    out
}

/// An output of state.
pub(crate) fn stored(output: &mesh_model::snapshot::StoredOutput) -> Json {
    let value = if output.sensitive { output.value.clone().sensitive() } else { output.value.clone() };
    let mut out = shown(&value);
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

fn instance_json(address: &Address, instance: &Instance, deposed: Option<&str>) -> Map<String, Json> {
    let mut out = resource(address, &instance.provider, &instance.values);
    out.insert("schema_version".into(), instance.schema_version.into());
    out.insert("depends_on".into(), instance.dependencies.iter().map(|d| Json::from(&**d)).collect());
    if let Some(identity) = &instance.identity {
        out.insert("identity".into(), identity.to_string().into());
    }
    if instance.tainted {
        out.insert("tainted".into(), true.into());
    }
    if instance.protected {
        out.insert("protected".into(), true.into());
    }
    if let Some(key) = deposed {
        out.insert("deposed_key".into(), key.into());
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
