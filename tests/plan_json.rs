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

#[test]
fn a_plan_with_errors_says_what_it_could_plan_and_cannot_be_applied() {
    let folder = Folder::new(
        "variable \"n\" {\n  default = \"two\"\n}\nresource \"terraform_data\" \"bad\" {\n  count = tonumber(var.n)\n}\nresource \
         \"terraform_data\" \"needs\" {\n  input = terraform_data.bad[0].id\n}\nresource \"terraform_data\" \"free\" {}\n",
    );
    let output = folder.run(&["plan", "-format=json", "-out=p"]).expect(1, "an error");
    let json: Json = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((&json["errored"], &json["applyable"], &json["complete"]), (&true.into(), &false.into(), &false.into()));
    assert!(json["plan_digest"].is_null(), "nobody can approve it");
    let planned: Vec<&Json> =
        json["resource_changes"].as_array().expect("a list").iter().map(|c| &c["address"]).collect();
    assert_eq!(planned, ["terraform_data.free"]);
    assert!(!folder.path().join("p").exists(), "it is not saved");
    let text = folder.run(&["plan", "-detailed-exitcode"]).expect(1, "an error");
    assert!(text.stdout.contains("# terraform_data.free will be created"), "{}", text.stdout);
    assert!(
        text.stdout.contains("keeps them from being applied") && !text.stdout.contains("digest"),
        "{}",
        text.stdout
    );
    assert!(text.stderr.contains("Invalid function argument"), "{}", text.stderr);
    let page = folder.run(&["plan", "-format=markdown"]).expect(1, "an error").stdout;
    assert!(page.starts_with("### ❌ Planning failed\n") && page.contains("terraform_data.free"), "{page}");
}
