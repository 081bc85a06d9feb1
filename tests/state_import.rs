//! Taking over a state of Terraform.
//!
//! The one decision: what `terraform` itself can do without a download is its own recorded file, made anew and compared
//! where it is there; files of other providers are written here as these write them, and their objects are made on the
//! real servers by their own APIs. Afterwards the same configuration must want no change, and no secret be in any file.

mod servers;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use crate::site::{Folder, Output, command, terraform};

const MAIN: &str = include_str!("state_import/terraform_data/main.tf");
const MODULE: &str = include_str!("state_import/terraform_data/m/main.tf");
const RECORDED: &str = include_str!("state_import/terraform_data/terraform.tfstate");
const SECRET: &str = "canary-4711";

/// A file of version 4 with these resources.
fn file(resources: &[Json]) -> Json {
    json!({ "version": 4, "terraform_version": "1.11.4", "serial": 3, "lineage": "c1", "outputs": {}, "resources": resources, "check_results": null })
}

/// A block with one instance.
fn resource(provider: &str, ty: &str, name: &str, attributes: Json) -> Json {
    json!({
        "mode": "managed", "type": ty, "name": name, "provider": format!("provider[\"registry.terraform.io/hashicorp/{provider}\"]"),
        "instances": [{ "schema_version": 0, "attributes": attributes, "sensitive_attributes": [], "private": "bnVsbA==" }],
    })
}

fn write(folder: &Folder, name: &str, text: impl ToString) {
    std::fs::write(folder.path().join(name), text.to_string()).expect("writes");
}

fn words(output: &Output) -> String {
    output.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn import(folder: &Folder) -> Output {
    folder.run(&["state", "import-terraform", "-auto-approve", "terraform.tfstate"])
}

/// No file of ours holds a secret.
fn clean(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            clean(&path);
        } else if !name.to_string_lossy().ends_with(".tfstate") && !name.to_string_lossy().contains(".hcl") {
            let bytes = std::fs::read(&path).expect("reads");
            assert!(!bytes.windows(6).any(|w| w == b"canary"), "a secret is in {}", path.display());
        }
    }
}

/// The folder of the recorded file, with the configuration that it was made from.
fn recorded(state: &str) -> Folder {
    let folder = Folder::new(MAIN);
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    write(&folder, "m/main.mesh.hcl", MODULE);
    write(&folder, "terraform.tfstate", state);
    folder
}

/// Identifiers of objects by address.
fn ids(folder: &Folder) -> BTreeMap<String, String> {
    let shown = folder.run(&["show", "-json"]).expect(0, "show").stdout;
    let json: Json = serde_json::from_str(&shown).expect("JSON");
    fn collect(module: &Json, out: &mut BTreeMap<String, String>) {
        for r in module["resources"].as_array().into_iter().flatten() {
            out.insert(r["address"].to_string(), r["values"]["id"].to_string());
        }
        module["child_modules"].as_array().into_iter().flatten().for_each(|m| collect(m, out));
    }
    let mut out = BTreeMap::new();
    collect(&json["values"]["root_module"], &mut out);
    out
}

/// The whole life of a file that Terraform made of the configuration here.
fn taken_over(state: &str) {
    let folder = recorded(state);
    let dry = folder.run(&["state", "import-terraform", "-dry-run", "terraform.tfstate"]).expect(0, "a dry run");
    assert!(dry.stdout.ends_with("This was a dry run: nothing was written.\n"), "{}", dry.text());
    let asked = folder.run(&["state", "import-terraform", "terraform.tfstate"]).expect(1, "nobody to ask");
    assert!(asked.stderr.contains("give -auto-approve"), "{}", asked.text());
    assert!(!folder.path().join("mesh.state").exists(), "something was written");
    let done = import(&folder).expect(0, "taken over");
    assert!(done.stdout.contains("\nTook over 12 objects, as serial 1."), "{}", done.text());
    assert!(!done.stdout.contains("Not taken over"), "{}", done.text());
    assert!(done.stdout.contains("module.m[\"q.r\"].terraform_data.j: "), "{}", done.text());
    let before = ids(&folder);
    assert!(before.values().all(|id| state.contains(&**id)), "an object is not of the file: {before:?}");
    // All is as configured, except what Terraform remembers to replace.
    let plan: Json =
        serde_json::from_str(&folder.run(&["plan", "-format=json"]).expect(0, "plan").stdout).expect("JSON");
    let wanted: Vec<_> = plan["resource_changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter(|c| c["change"]["actions"] != json!(["no-op"]))
        .collect();
    assert_eq!(wanted.len(), 1, "{wanted:#?}");
    assert_eq!(
        (&wanted[0]["address"], &wanted[0]["action_reason"]),
        (&"terraform_data.none".into(), &"replace_because_tainted".into())
    );
    let outputs = plan["output_changes"].as_object().expect("outputs");
    assert!(outputs.values().all(|o| o["actions"] == json!(["no-op"])), "{outputs:#?}");
    clean(folder.path());
    let pulled = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    assert!(pulled.contains("module.m.terraform_data.i"), "dependencies are carried over: {pulled}");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder.run(&["plan", "-detailed-exitcode"]).expect(0, "nothing more");
    let after = ids(&folder);
    let other: Vec<_> = before.iter().filter(|(a, id)| after.get(*a) != Some(id)).map(|(a, _)| a.clone()).collect();
    assert_eq!(other, ["\"terraform_data.none\""], "objects were replaced");
    assert_eq!(folder.run(&["output", "big"]).stdout, "123456789012345678901234567890\n");
    clean(folder.path());
    let again = import(&folder).expect(1, "everything is there");
    let said = words(&again);
    assert!(said.contains("- terraform_data.a ") && said.contains("- module.m[\"p\"].terraform_data.i "), "{said}");
    let history = folder.run(&["state", "history"]).expect(0, "history").stdout;
    assert!(history.contains("mesh state import-terraform terraform.tfstate: 12 edited in state"), "{history}");
}

#[test]
fn a_recorded_state_is_taken_over_and_nothing_changes() {
    taken_over(RECORDED);
}

#[test]
fn terraform_still_writes_what_was_recorded() {
    let Some(program) = terraform() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    std::fs::write(folder.path().join("main.tf"), MAIN).expect("writes");
    std::fs::write(folder.path().join("m/main.tf"), MODULE).expect("writes");
    for arguments in [&["init"][..], &["apply", "-auto-approve"], &["taint", "terraform_data.none"]] {
        let mut run = Command::new(&program);
        run.args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("CHECKPOINT_DISABLE", "1");
        assert!(run.stdin(Stdio::null()).output().expect("runs").status.success(), "{arguments:?}");
    }
    let live = std::fs::read_to_string(folder.path().join("terraform.tfstate")).expect("a state");
    assert!(nameless(&live) == nameless(RECORDED), "it writes another form now: record it anew\n{live}");
    taken_over(&live);
}

/// A state without what is random, and without what says which program wrote it.
fn nameless(state: &str) -> Json {
    fn walk(json: &mut Json) {
        match json {
            Json::String(text) if text.len() == 36 && text.matches('-').count() == 4 => *text = "id".into(),
            Json::Array(items) => items.iter_mut().for_each(walk),
            Json::Object(fields) => {
                // The one key that is an identifier.
                let entries = std::mem::take(fields).into_iter();
                *fields = entries.map(|(k, v)| (if k.len() == 36 { "id".into() } else { k }, v)).collect();
                fields.values_mut().for_each(walk);
                // In no order of their own.
                if let Some(Json::Array(paths)) = fields.get_mut("sensitive_attributes") {
                    paths.sort_by_key(ToString::to_string);
                }
            }
            _ => {}
        }
    }
    let mut json: Json = serde_json::from_str(state).expect("JSON");
    walk(&mut json);
    for name in ["lineage", "serial", "terraform_version"] {
        json[name].take();
    }
    json
}

#[test]
fn what_cannot_be_read_or_is_there_already_changes_nothing() {
    let folder = recorded(RECORDED);
    let cases: [(String, &str); 8] = [
        (RECORDED[..RECORDED.len() / 2].to_owned(), "no state of Terraform, or damaged"),
        (RECORDED.replacen("\"version\": 4", "\"version\": 3", 1), "has version 3"),
        (RECORDED.replacen("\"version\": 4", "\"version\": 5", 1), "has version 5"),
        (RECORDED.replacen("\"managed\"", "\"other\"", 1), "neither managed nor data"),
        (RECORDED.replacen("\"type\": \"terraform_data\"", "\"type\": \"terraform data\"", 1), "is no address"),
        (
            json!({ "serial": 1, "lineage": "l", "meta": {}, "encrypted_data": SECRET, "encryption_version": "v0" })
                .to_string(),
            "encrypted by OpenTofu",
        ),
        (SECRET.to_owned(), "damaged"),
        (String::new(), "damaged"),
    ];
    for (text, word) in cases {
        write(&folder, "terraform.tfstate", &text);
        let refused = import(&folder).expect(1, word);
        assert!(words(&refused).contains(word) && !refused.text().contains("canary"), "{}", refused.text());
        assert!(!folder.path().join("mesh.state").exists(), "{word}: something was written");
    }
    folder.run(&["state", "import-terraform", "-auto-approve", "nowhere"]).expect(1, "no file");
    folder.run(&["state", "import-terraform"]).expect(1, "no argument");
    // One address of two is taken: then nothing is.
    let data = |name: &str| {
        resource(
            "terraform",
            "terraform_data",
            name,
            json!({ "id": name, "input": null, "output": null, "triggers_replace": null }),
        )
    };
    let folder = Folder::new("resource \"terraform_data\" \"a\" {}\n");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    write(&folder, "terraform.tfstate", file(&[data("a"), data("b")]));
    let before = folder.text("mesh.state");
    let refused = words(&import(&folder).expect(1, "taken"));
    assert!(refused.contains("- terraform_data.a Take") && !refused.contains("- terraform_data.b"), "{refused}");
    assert_eq!(folder.text("mesh.state"), before);
    // Without a configuration of the provider's there is nobody to ask.
    write(&folder, "main.mesh.hcl", "resource \"terraform_data\" \"a\" {\n");
    import(&folder).expect(1, "the configuration is broken");
}

/// As the provider writes it.
fn local(name: &str, more: Json) -> Json {
    let mut attributes = json!({
        "content": null, "content_base64": null, "content_base64sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "content_md5": "098f6bcd4621d373cade4e832627b4f6", "content_sha1": "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
        "content_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "directory_permission": "0777",
        "file_permission": "0777", "id": "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", "sensitive_content": null, "source": null,
    });
    for (key, value) in more.as_object().expect("attributes") {
        attributes[key] = value.clone();
    }
    let mut resource = resource("local", "local_file", name, attributes);
    resource["instances"][0]["sensitive_attributes"] = json!([[{ "type": "get_attr", "value": "sensitive_content" }]]);
    resource
}

const FILES: &str = r#"
resource "local_file" "open" {
  filename             = "./open.txt"
  content              = "test"
  file_permission      = "0600"
  directory_permission = "0777"
}
resource "local_file" "secret" {
  filename             = "secret.hcl"
  sensitive_content    = "canary-4711"
  file_permission      = "0600"
  directory_permission = "0777"
}
resource "local_file" "changed" {
  filename             = "changed.txt"
  content              = "test"
  file_permission      = "0600"
  directory_permission = "0777"
}
resource "terraform_data" "deposed" {}
"#;

#[test]
fn what_is_recorded_is_what_is_there_and_the_rest_is_listed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new(FILES);
    for (name, text) in [("open.txt", "test"), ("secret.hcl", SECRET), ("changed.txt", "by hand")] {
        write(&folder, name, text);
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.path().join(name), mode).expect("permits");
    }
    let mut deposed = resource(
        "terraform",
        "terraform_data",
        "deposed",
        json!({ "id": "new", "input": null, "output": null, "triggers_replace": null }),
    );
    let mut old = deposed["instances"][0].clone();
    old["attributes"]["id"] = "old".into();
    old["deposed"] = "0badcafe".into();
    deposed["instances"].as_array_mut().expect("instances").push(old);
    let mut replaced = local("open", json!({ "filename": "./open.txt", "content": "test" }));
    let mut old = replaced["instances"][0].clone();
    old["deposed"] = "0badbeef".into();
    replaced["instances"].as_array_mut().expect("instances").push(old);
    let password = json!({ "bcrypt_hash": "$2a$10$canary", "id": "none", "keepers": null, "length": 11, "lower": true, "min_lower": 0,
        "min_numeric": 0, "min_special": 0, "min_upper": 0, "number": true, "numeric": true, "override_special": null,
        "result": SECRET, "special": true, "upper": true });
    let mut data = resource("local", "local_file", "read", json!({ "filename": "open.txt", "content": "test" }));
    data["mode"] = "data".into();
    let mut aliased = local("aliased", json!({ "filename": "open.txt", "content": "test" }));
    aliased["provider"] = "module.m.provider[\"registry.terraform.io/hashicorp/local\"].eu".into();
    let mut ancient = local("ancient", json!({ "filename": "x" }));
    ancient["instances"][0]["attributes"].take();
    ancient["instances"][0]["attributes_flat"] = json!({ "filename": "x" });
    write(
        &folder,
        "terraform.tfstate",
        file(&[
            replaced,
            local("secret", json!({ "filename": "secret.hcl", "sensitive_content": SECRET, "source": "from-here" })),
            local("changed", json!({ "filename": "changed.txt", "content": "test" })),
            local("gone", json!({ "filename": "gone.txt", "content": "test" })),
            local("twin", json!({ "filename": "open.txt", "content": "test" })),
            local("nameless", json!({})),
            resource("random", "random_password", "p", password),
            resource(
                "terraform",
                "terraform_data",
                "stray",
                json!({ "id": "stray", "input": null, "output": null, "triggers_replace": null }),
            ),
            resource("aws", "aws_instance", "i", json!({ "id": "i-1" })),
            data,
            deposed,
            aliased,
            ancient,
        ]),
    );
    let done = import(&folder).expect(0, "taken over");
    let said = words(&done);
    for line in [
        "+ terraform_data.deposed: new",
        "+ terraform_data.deposed (deposed 0badcafe): old",
        "+ local_file.open: open.txt",
        ". local_file.open (deposed 0badbeef): it cannot be told from the object that took its place",
        ". local_file.gone: it is not there (any more)",
        ". local_file.twin: it is the object of local_file.open",
        ". local_file.nameless: its attributes do not say which object it is",
        ". random_password.p: mesh has no type random_password",
        ". aws_instance.i: mesh has no type aws_instance",
        "No block declares these, so the next plan deletes them: ! terraform_data.stray Not taken over:",
        ". data.local_file.read: data sources are read anew by every run",
        ". local_file.aliased: there is no provider builtin.eu in the configuration",
        ". local_file.ancient: its attributes stand there in the form of Terraform 0.11",
        "so what they say is not taken over: local_file: content_base64sha256, content_md5, content_sha1, source",
        "Took over 6 objects, as serial 1.",
    ] {
        assert!(said.contains(line), "{line} is not in\n{}", done.stdout);
    }
    assert!(!done.text().contains("canary"), "{}", done.text());
    clean(folder.path());
    let plan = folder.run(&["plan"]).expect(0, "plan").stdout;
    // What was changed by hand is what state knows: the configuration wants it back. The deposed object goes.
    assert!(plan.contains("0 to add, 1 to change, 2 to destroy"), "{plan}");
    assert!(plan.contains("\"by hand\" -> \"test\"") && plan.contains("(deposed object 0badcafe)"), "{plan}");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder.run(&["plan", "-detailed-exitcode"]).expect(0, "nothing more");
    clean(folder.path());
}

/// What its provider needs is not there yet: nobody is asked, and nothing is guessed.
#[test]
fn an_object_whose_provider_waits_is_listed() {
    let text = r#"
resource "terraform_data" "later" { input = "https://127.0.0.1:1" }
provider "vault" {
  address = terraform_data.later.output
}
resource "vault_policy" "declared" {
  name   = "declared"
  policy = ""
}
"#;
    let folder = Folder::new(text);
    let policy = |name: &str| {
        let attributes = json!({ "id": name, "name": name, "namespace": null, "policy": "" });
        resource("vault", "vault_policy", name, attributes)
    };
    write(&folder, "terraform.tfstate", file(&[policy("declared"), policy("stray")]));
    let said = words(&import(&folder).expect(0, "nothing to do"));
    for line in [
        ". vault_policy.declared: what it needs is known only after other changes",
        ". vault_policy.stray: provider \"vault\" is configured from values that are known only after apply",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert!(said.ends_with("There is nothing to take over."), "{said}");
    assert!(!folder.path().join("mesh.state").exists(), "something was written");
}

#[test]
fn moved_blocks_and_standard_input_and_sealed_outputs() {
    let text = r#"
variable "phrase" {
  ephemeral = true
  default   = "a phrase of many words"
}
mesh {
  encryption {
    recipient "passphrase" "glass" {
      passphrase = var.phrase
    }
  }
}
moved {
  from = terraform_data.old
  to   = terraform_data.new
}
resource "terraform_data" "new" { input = 1 }
resource "terraform_data" "counted" { count = 1 }
output "secret" {
  value     = "canary-4711"
  sensitive = true
}
"#;
    let folder = Folder::new(text);
    let data = |name: &str, input: Json| {
        resource(
            "terraform",
            "terraform_data",
            name,
            json!({ "id": name, "input": input, "output": input, "triggers_replace": null }),
        )
    };
    let mut state = file(&[data("old", json!({ "value": 1, "type": "number" })), data("counted", Json::Null)]);
    state["outputs"] = json!({ "secret": { "value": SECRET, "type": "string", "sensitive": true } });
    let mut run = command(
        folder.path(),
        &["state", "import-terraform", "-auto-approve", "-var", "phrase=a phrase of many words", "-"],
        &BTreeMap::new(),
    );
    let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("a pipe").write_all(state.to_string().as_bytes()).expect("writes");
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("From standard input:") && said.contains("Took over 2 objects"),
        "{said}"
    );
    clean(folder.path());
    let plan = folder.run(&["plan"]).expect(0, "plan").stdout;
    assert!(plan.contains("terraform_data.old has moved to terraform_data.new"), "{plan}");
    assert!(plan.contains("0 to add, 0 to change, 0 to destroy") && !plan.contains("Changes to Outputs"), "{plan}");
    assert_eq!(folder.run(&["output", "-raw", "secret"]).expect(0, "it was sealed").stdout, SECRET);
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder.run(&["plan", "-detailed-exitcode"]).expect(0, "nothing more");
}
