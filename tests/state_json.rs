//! State as JSON, and the parts of a plan that have its shape, for readers that know Terraform's.
//!
//! The one decision: one life of one configuration is had by both programs. What the real one says is
//! recorded beside this file, and checked where it is on PATH. What differs on purpose is taken away by name
//! in [`theirs`] and [`ours`], each with its reason; all else must be the same, in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::commands::run;
use crate::site::{Folder, terraform};

const SECRET: &str = "canary-1";

/// The answers of one life: a plan that changes nothing, and a state with all that can be in one.
fn life(program: &Path, ending: &str) -> Json {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("main.mesh.hcl")).expect("was written");
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    for (name, text) in [("main", include_str!("state_json/main.hcl")), ("m/main", include_str!("state_json/m.hcl"))] {
        std::fs::write(folder.path().join(format!("{name}.{ending}")), text).expect("writes");
    }
    let ask = |arguments: &[&str]| run(program, folder.path(), arguments, "");
    let show = |arguments: &[&str]| -> Json {
        serde_json::from_str(&ask(&[&["show", "-json"], arguments].concat()).expect(0, "shows").stdout).expect("JSON")
    };
    ask(&["init"]).expect(0, "prepares");
    let empty = show(&[]);
    ask(&["apply", "-auto-approve"]).expect(0, "applies");
    ask(&["plan", "-out=p"]).expect(0, "plans");
    let plan = show(&["p"]);
    ask(&["apply", "-auto-approve", "-var=v=2"]).expect(1, "a postcondition does not hold");
    ask(&["taint", "terraform_data.bad"]).expect(0, "taints");
    let (prior, planned) = (&plan["prior_state"], &plan["planned_values"]);
    json!({ "empty": empty, "state": show(&[]), "prior_state": prior, "planned": { "values": planned } })
}

/// Every object of `json`, innermost first.
fn objects(json: &mut Json, each: &dyn Fn(&mut serde_json::Map<String, Json>)) {
    match json {
        Json::Object(fields) => {
            fields.values_mut().for_each(|v| objects(v, each));
            each(fields);
        }
        Json::Array(items) => items.iter_mut().for_each(|v| objects(v, each)),
        _ => {}
    }
}

/// What is random, by one name.
fn common(json: &mut Json) {
    objects(json, &|fields| {
        for (name, value) in fields.iter_mut() {
            let Json::String(text) = value else { continue };
            if name == "deposed_key" {
                assert_eq!(text.len(), 8, "{text}");
                *text = "KEY".into();
            } else if text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
                *text = "ID".into();
            }
        }
    });
}

/// What the real one says, without what we do not say.
fn theirs(mut json: Json) -> Json {
    common(&mut json);
    objects(&mut json, &|fields| {
        // The versions of two programs.
        fields.remove("terraform_version");
        // State keeps no results of checks: they are evaluated with each plan, and are in it.
        fields.remove("checks");
        // Providers are compiled in and have no registry.
        if let Some(name) = fields.get_mut("provider_name") {
            assert_eq!(name, "terraform.io/builtin/terraform");
            *name = json!("builtin");
        }
        // No secret is in ours.
        for value in fields.values_mut().filter(|v| **v == SECRET) {
            *value = Json::Null;
        }
    });
    json
}

/// What we say, without what only we say; all of it is added under names of our own or where theirs has
/// nothing for this type.
fn ours(mut json: Json) -> Json {
    common(&mut json);
    objects(&mut json, &|fields| {
        for own in ["mesh_version", "lineage", "serial", "withheld"] {
            fields.remove(own);
        }
        if let Some(identity) = fields.remove("identity") {
            assert_eq!((identity, fields.remove("identity_schema_version")), (json!({ "id": "ID" }), Some(json!(0))));
        }
    });
    json
}

/// The resources of a module and of those in it.
fn resources(module: &mut Json) -> Vec<&mut Json> {
    let Json::Object(fields) = module else { return Vec::new() };
    let mut out = Vec::new();
    for (name, list) in fields.iter_mut() {
        match (name.as_str(), list) {
            ("resources", Json::Array(list)) => out.extend(list.iter_mut()),
            ("child_modules", Json::Array(list)) => out.extend(list.iter_mut().flat_map(resources)),
            _ => {}
        }
    }
    out
}

/// Takes `depends_on` and `sensitive_values` out of every resource, by address and whether it is deposed.
fn taken(part: &mut Json) -> BTreeMap<(String, bool), (BTreeSet<String>, Json)> {
    let mut out = BTreeMap::new();
    for resource in resources(&mut part["values"]["root_module"]) {
        let fields = resource.as_object_mut().expect("an object");
        let list = fields.remove("depends_on").unwrap_or_else(|| json!([]));
        let list =
            list.as_array().expect("a list").iter().map(|d| d.as_str().expect("an address").to_owned()).collect();
        let address = fields["address"].as_str().expect("an address").to_owned();
        let deposed = fields.contains_key("deposed_key");
        out.insert((address, deposed), (list, fields.remove("sensitive_values").expect("is always there")));
    }
    out
}

/// An address of the configuration: without keys.
fn block(address: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in address.chars() {
        inside |= c == '[';
        if !inside {
            out.push(c);
        }
        inside &= c != ']';
    }
    out
}

/// All that `from` leads to.
fn reached(from: &BTreeSet<String>, direct: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut open: Vec<&String> = from.iter().collect();
    while let Some(next) = open.pop() {
        if out.insert(next.clone()) {
            open.extend(direct.get(next).into_iter().flatten());
        }
    }
    out
}

/// Whether all that is true in `part` is so in `whole`.
fn includes(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Bool(true), _) | (_, Json::Bool(false)) => true,
        (Json::Object(whole), Json::Object(part)) => {
            part.iter().all(|(k, v)| includes(whole.get(k).unwrap_or(&Json::Bool(false)), v))
        }
        (Json::Array(whole), Json::Array(part)) => {
            part.iter().enumerate().all(|(i, v)| includes(whole.get(i).unwrap_or(&Json::Bool(false)), v))
        }
        (_, Json::Object(part)) => part.is_empty(),
        _ => false,
    }
}

#[test]
fn a_state_is_described_as_terraform_does() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state_json/terraform.json");
    let mut recorded: Json =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
    if let Some(terraform) = terraform() {
        let live = theirs(life(&terraform, "tf"));
        if std::env::var_os("RECORD").is_some() {
            std::fs::write(&file, format!("{live:#}\n")).expect("writes");
            recorded = live;
        } else {
            assert_eq!(live, recorded, "the record is right");
        }
    }
    let said = life(Path::new(env!("CARGO_BIN_EXE_mesh")), "mesh.hcl");
    assert!(!said.to_string().contains(SECRET), "{said:#}");
    let mut own = ours(said);
    for part in ["empty", "state", "prior_state", "planned"] {
        let (own, field) = (&mut own[part], &mut recorded[part]);
        let (more, less) = (taken(own), taken(field));
        assert_eq!(own, field, "{part}");
        // Ours names what is needed directly; what that needs follows from it.
        let direct = more.iter().map(|((address, _), (list, _))| (block(address), list.clone()));
        let direct = direct.collect();
        for (address, (list, sensitive)) in &less {
            let (own_list, own_sensitive) = &more[address];
            assert_eq!(reached(own_list, &direct), *list, "{part} {address:?}");
            assert!(own_list.is_subset(list), "{part} {address:?}");
            // Ours knows that an output made from a secret is one.
            assert!(includes(own_sensitive, sensitive), "{part} {address:?}: {own_sensitive} {sensitive}");
        }
    }
    // The record has what it is for.
    let text = recorded["state"].to_string();
    for word in ["\"tainted\":true", "\"deposed_key\":\"KEY\"", "child_modules", "\"index\":1", "\"sensitive\":true"] {
        assert!(text.contains(word), "{word} is not in the record");
    }
}
