//! Objects and outputs in modules: `values` of a state, and what of a plan has that shape.
//!
//! The one decision: state, `prior_state` and `planned_values` are one function over [`Object`]s; they differ
//! only in where the objects come from.

use std::collections::{BTreeMap, BTreeSet};

use mesh_model::json::{sensitive_mirror, to_json};
use mesh_model::snapshot::StoredOutput;
use mesh_model::{Action, Address, Change, Instance, ModulePath, Snapshot, Value};
use serde_json::{Map, Value as Json, json};

use super::{Planned, named};
use crate::view::sight::Sight;

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
            for (name, yes) in [("tainted", known.tainted), ("protected", known.protected), ("kept", known.kept)] {
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

pub(super) fn planned_values(planned: &Planned<'_>, sight: Sight<'_>) -> Json {
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
pub(super) fn prior_state(planned: &Planned<'_>, sight: Sight<'_>) -> Json {
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
pub(crate) fn known(snapshot: &Snapshot) -> BTreeMap<(&Address, Option<&str>), &Instance> {
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
fn stored(output: &StoredOutput) -> Json {
    let sensitive = output.sensitive || output.value.all_marks().sensitive();
    let value = if output.sensitive { output.value.clone().sensitive() } else { output.value.clone() };
    let mut out = shown(&value, sensitive);
    if output.value.has_withheld() {
        // Else its null would read as a value.
        out["withheld"] = json!(true);
    }
    out
}
