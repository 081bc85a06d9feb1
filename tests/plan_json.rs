//! Plans as JSON, for readers that know Terraform's.
//!
//! The one decision: what the real program says of one configuration is recorded beside this file and
//! compared with what we say, apart from names that must differ; where the program is on PATH the record
//! itself is checked.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;

use crate::commands::run;
use crate::site::{Folder, terraform};

const CONFIGURATION: [(&str, &str); 2] =
    [("main", include_str!("plan_json/main.hcl")), ("m/main", include_str!("plan_json/m.hcl"))];
const RECORDED: &str = include_str!("plan_json/terraform.json");

/// Parts that are the same in both, without the names of providers and what only a registry knows.
fn parts(plan: &Json) -> Json {
    let mut out = serde_json::Map::new();
    out.insert("variables".into(), plan["variables"].clone());
    // Which instance of a module is meant is said by the real one alone.
    let text = |r: &Json| format!("{} {}", r["resource"].as_str().unwrap_or_default(), r["attribute"]);
    let relevant = plan["relevant_attributes"].as_array().expect("a list").iter();
    let relevant: BTreeSet<String> = relevant.map(|r| text(r).replace("n[0]", "n").replace("n[1]", "n")).collect();
    out.insert("relevant_attributes".into(), relevant.into_iter().collect());
    let mut module = plan["configuration"]["root_module"].clone();
    strip(&mut module);
    out.insert("configuration".into(), module);
    out.into()
}

fn strip(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            for name in ["schema_version", "provider_config_key", "source"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(strip);
            // The real one says some twice.
            if let Some(Json::Array(references)) = fields.get_mut("references") {
                references.dedup();
            }
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn written(ending: &str) -> Folder {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("main.mesh.hcl")).expect("was written");
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    for (name, text) in CONFIGURATION {
        std::fs::write(folder.path().join(format!("{name}.{ending}")), text).expect("writes");
    }
    folder
}

fn plan(program: &Path, ending: &str) -> Json {
    let folder = written(ending);
    let ask = |arguments: &[&str]| run(program, folder.path(), arguments, "");
    ask(&["init"]).expect(0, "prepares");
    ask(&["plan", "-out=p"]).expect(0, "plans");
    serde_json::from_str(&ask(&["show", "-json", "p"]).expect(0, "shows").stdout).expect("JSON")
}

#[test]
fn the_configuration_is_described_as_terraform_does() {
    let mut recorded: Json = serde_json::from_str(RECORDED).expect("JSON");
    if let Some(terraform) = terraform() {
        let theirs = parts(&plan(&terraform, "tf"));
        if std::env::var_os("RECORD").is_some() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan_json/terraform.json");
            std::fs::write(file, format!("{theirs:#}\n")).expect("writes");
            recorded = theirs;
        } else {
            assert_eq!(theirs, recorded, "the record is right");
        }
    }
    let ours = parts(&plan(Path::new(env!("CARGO_BIN_EXE_mesh")), "mesh.hcl"));
    for name in ["variables", "relevant_attributes", "configuration"] {
        assert_eq!(ours[name], recorded[name], "{name}");
    }
}

/// What one life of a configuration is: made as it stands, then planned with this changed.
const CHANGES: [(&str, &str); 4] = [
    ("default     = \"x\"", "default     = \"y\""),
    ("count            = 2", "count            = 1"),
    ("module.n[1].out.name", "module.n[0].out.name"),
    ("terraform_data.b[0].output", "terraform_data.b[0].id"),
];

/// What conftest says about the second plan.
fn judged(conftest: &Path, program: &Path, ending: &str) -> (Json, i32) {
    let folder = written(ending);
    let ask = |arguments: &[&str]| run(program, folder.path(), arguments, "");
    ask(&["init"]).expect(0, "prepares");
    ask(&["apply", "-auto-approve"]).expect(0, "applies");
    let file = folder.path().join(format!("main.{ending}"));
    let text = CHANGES.iter().fold(CONFIGURATION[0].1.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    std::fs::write(file, text).expect("writes");
    ask(&["plan", "-out=p"]).expect(0, "plans");
    std::fs::write(folder.path().join("plan.json"), ask(&["show", "-json", "p"]).expect(0, "shows").stdout)
        .expect("writes");
    std::fs::write(folder.path().join("policy.rego"), include_str!("plan_json/policy.rego")).expect("writes");
    let output = run(conftest, folder.path(), &["test", "-o", "json", "-p", "policy.rego", "plan.json"], "");
    let said: Json = serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.text()));
    let messages = |kind: &str| -> BTreeSet<String> {
        let list = said[0][kind].as_array().into_iter().flatten();
        list.filter_map(|m| m["msg"].as_str().map(str::to_owned)).collect()
    };
    (serde_json::json!({ "failures": messages("failures"), "warnings": messages("warnings") }), output.code)
}

#[test]
fn policies_of_conftest_judge_both_alike() {
    let conftest = mesh_sandbox::conftest(crate::site::options(&[]), &|_: &mesh_sandbox::Event| {}).expect("conftest");
    let ours = judged(&conftest, Path::new(env!("CARGO_BIN_EXE_mesh")), "mesh.hcl");
    assert_eq!(ours.1, 1, "what is denied is a failure: {:#}", ours.0);
    if let Some(terraform) = terraform() {
        let theirs = judged(&conftest, &terraform, "tf");
        assert_eq!(format!("{:#}", ours.0), format!("{:#}", theirs.0));
    }
    assert_eq!(format!("{:#}\n", ours.0), include_str!("plan_json/judged.json"));
}

/// One line of a stream without what differs by nature: times, ids, and what only one of the two says.
fn event(line: &str) -> Option<String> {
    let json: Json = serde_json::from_str(line).expect("each line is JSON");
    let kind = json["type"].as_str().expect("a type");
    let part = match kind {
        "planned_change" | "resource_drift" => &json["change"],
        kind if kind.starts_with("apply_") => &json["hook"],
        "change_summary" => {
            let changes =
                ["add", "change", "import", "remove", "operation"].map(|name| json["changes"][name].to_string());
            return Some(format!("{kind} {}", changes.join(" ")));
        }
        "outputs" => return Some(format!("{kind} {}", json["outputs"])),
        _ => return None,
    };
    let words = ["action", "reason", "id_key", "resource", "previous_resource"].map(|name| part[name].to_string());
    Some(format!("{kind} {}", words.join(" ")))
}

/// What a stream says: the plan in any order, the operations in any order, and what stands between.
fn told(program: &Path, folder: &Folder, arguments: &[&str]) -> (Vec<String>, Vec<String>) {
    let output = run(program, folder.path(), arguments, "");
    let all: Vec<String> = output.stdout.lines().filter_map(event).collect();
    let mut lines: Vec<String> = all.iter().filter(|l| !l.starts_with("change_summary")).cloned().collect();
    lines.sort();
    // Where the summaries stand among the rest.
    let place = |l: &String| {
        if l.starts_with("change_summary") { l.clone() } else { l.split(' ').next().unwrap_or_default().to_owned() }
    };
    let mut order: Vec<String> =
        all.iter().map(place).map(|l| if l.starts_with("apply_") { "apply".into() } else { l }).collect();
    order.dedup();
    (lines, order)
}

/// Without outputs of `terraform_data`, which are known earlier here.
#[test]
fn the_stream_tells_what_terraforms_tells() {
    let Some(terraform) = terraform() else { return };
    const LIFE: [&[&str]; 5] = [
        &["plan", "-json"],
        &["apply", "-json", "-auto-approve"],
        &["apply", "-json", "-auto-approve", "-var=v=2"],
        &["apply", "-json", "-auto-approve", "-var=v=2", "-replace=terraform_data.a"],
        &["destroy", "-json", "-auto-approve"],
    ];
    const HCL: &str = "variable \"v\" {\n  default = \"1\"\n}\n\nresource \"terraform_data\" \"a\" {\n  input = var.v\n}\n\nresource \
                       \"terraform_data\" \"b\" {\n  triggers_replace = var.v\n  input            = terraform_data.a.input\n}\n\nresource \
                       \"terraform_data\" \"c\" {\n  count = var.v == \"1\" ? 1 : 0\n}\n\nresource \"terraform_data\" \"d\" {\n  input = 1\n  \
                       lifecycle {\n    replace_triggered_by = [terraform_data.a]\n  }\n}\n\noutput \"o\" {\n  value = \
                       terraform_data.b.input\n}\n";
    let (ours, theirs) = (Folder::new(HCL), Folder::new(""));
    std::fs::write(theirs.path().join("main.tf"), HCL).expect("writes");
    run(&terraform, theirs.path(), &["init"], "").expect(0, "prepares");
    for arguments in LIFE {
        let field = told(&terraform, &theirs, arguments);
        let own = told(Path::new(env!("CARGO_BIN_EXE_mesh")), &ours, arguments);
        assert_eq!(format!("{own:#?}"), format!("{field:#?}"), "{arguments:?}");
    }
}

#[test]
fn no_secret_stands_in_the_configuration() {
    let folder = Folder::new(
        "variable \"pw\" {\n  default   = \"canary-1\"\n  sensitive = true\n}\n\nprovider \"vault\" {\n  address = \
         \"https://127.0.0.1:1\"\n  token   = \"canary-2\"\n}\n\nresource \"terraform_data\" \"a\" {\n  input = [var.pw, \
         \"public\"]\n}\n\nresource \"terraform_data\" \"b\" {\n  input = sensitive(\"canary-4\")\n}\n\nresource \
         \"terraform_data\" \"open\" {\n  input = \"seen\"\n}\n\nmodule \"m\" {\n  source = \"./m\"\n  v      = \
         \"canary-5\"\n}\n\noutput \"o\" {\n  value     = \"canary-6\"\n  sensitive = true\n}\n\nresource \"terraform_data\" \"none\" {\n  count = 0\n  input = \"canary-7\"\n}\n",
    );
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    let module = "variable \"v\" {\n  sensitive = true\n  default   = \"canary-8\"\n}\n";
    std::fs::write(folder.path().join("m/main.mesh.hcl"), module).expect("writes");
    folder.run(&["plan", "-out=p"]).expect(0, "plans");
    let json = folder.run(&["show", "-json", "p"]).expect(0, "shows").stdout;
    assert!(json.contains("\"constant_value\":\"seen\""), "{json}");
    assert!(!json.contains("canary"), "{json}");
}
