//! Encryption of state: passphrase, a real Vault's transit, a real PKCS#11 token; whoever is left opens it.
//!
//! The one decision: the secret is a canary, and it is in no file, whatever was done.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mesh_sandbox::Part;
use serde_json::json;

use crate::site::{Folder, Output, certificate, mesh, sandbox};

const SPEC: &str = r#"
variable "secret" {
  sensitive = true
}
variable "phrase" {
  ephemeral = true
  default   = null
}
variable "pin" {
  sensitive = true
  default   = null
}
resource "terraform_data" "a" { input = "plain" }
output "secret" {
  value     = { key = var.secret, n = 7 }
  sensitive = true
}
output "open" { value = "open" }
"#;

struct Bed {
    folder: Folder,
    env: BTreeMap<String, String>,
}

fn words(output: &Output) -> String {
    output.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Bed {
    fn new() -> Self {
        let variables = [("secret", "canary-4711"), ("phrase", "a phrase of many words"), ("pin", "12345678")];
        let env = variables.map(|(name, value)| (format!("MESH_VAR_{name}"), value.to_owned()));
        Self { folder: Folder::new(SPEC), env: env.into() }
    }

    fn recipients(&self, recipients: &[&str]) {
        let text = match recipients {
            [] => SPEC.to_owned(),
            list => format!("mesh {{\n  encryption {{\n{}\n  }}\n}}\n{SPEC}", list.join("\n")),
        };
        std::fs::write(self.folder.path().join("main.mesh.hcl"), text).expect("writes");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = mesh(self.folder.path(), arguments, &self.env);
        for file in files(self.folder.path()) {
            let bytes = std::fs::read(&file).expect("reads");
            assert!(!bytes.windows(6).any(|w| w == b"canary"), "{arguments:?}: the secret is in {}", file.display());
        }
        output
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let of = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|e| of(e.path())).collect()
}

const PHRASE: &str = "    recipient \"passphrase\" \"glass\" {\n      passphrase = var.phrase\n    }";

#[test]
fn a_passphrase_seals_keys_outputs_and_plans() {
    let mut bed = Bed::new();
    bed.recipients(&[PHRASE]);
    bed.run(&["plan", "-out", "p"]).expect(0, "plan");
    bed.run(&["apply", "p"]).expect(0, "apply");
    assert_eq!(
        bed.run(&["output", "-json", "secret"]).expect(0, "it was asked for").stdout,
        "{\"key\":\"canary-4711\",\"n\":7}\n"
    );
    let all = bed.run(&["output", "-json"]).expect(0, "outputs").stdout;
    assert!(all.contains("\"withheld\": true") && !all.contains("canary"), "{all}");
    assert!(bed.run(&["output", "-show-sensitive"]).expect(0, "outputs").stdout.contains("canary-4711"));
    bed.run(&["plan", "-detailed-exitcode"]).expect(0, "the second plan is empty");
    // A new data key: what is sealed is sealed again, and the history opens as before.
    let (state, key) = (bed.folder.text("mesh.state"), bed.folder.text("mesh.state.key"));
    let rekeyed = bed.run(&["state", "rekey"]).expect(0, "rekey");
    assert!(words(&rekeyed).contains("sealed again with it: 1"), "{}", rekeyed.text());
    let sealed = |text: &str| text.split("\"sealed\":\"").nth(1).map(|rest| rest.split('"').next().map(str::to_owned));
    assert_ne!(sealed(&state), sealed(&bed.folder.text("mesh.state")), "it is sealed with another key");
    assert_ne!(key, bed.folder.text("mesh.state.key"));
    assert!(bed.run(&["output", "secret"]).expect(0, "opens").stdout.contains("canary-4711"));
    bed.run(&["state", "rollback", "-auto-approve", "1"]).expect(0, "what was sealed with the old key comes back");
    assert!(bed.run(&["output", "secret"]).expect(0, "opens").stdout.contains("canary-4711"));
    // Without the phrase nothing opens, and nothing is changed.
    let state = bed.folder.text("mesh.state");
    bed.env.insert("MESH_VAR_phrase".into(), "another phrase of words".into());
    for command in [&["plan"][..], &["apply", "-auto-approve"], &["output", "secret"], &["show", "p"]] {
        let refused = bed.run(command).expect(1, "another phrase");
        assert!(words(&refused).contains("the passphrase is not the right one"), "{command:?}: {}", refused.text());
    }
    bed.run(&["state", "list"]).expect(0, "what is no secret can be read");
    bed.recipients(&[]);
    let without = bed.run(&["plan"]).expect(1, "sealed");
    assert!(words(&without).contains("it is sealed for passphrase \"glass\""), "{}", without.text());
    assert_eq!(bed.folder.text("mesh.state"), state);
}

#[test]
fn wrong_settings_are_said_with_their_line() {
    let bed = Bed::new();
    for (recipient, part) in [
        ("    recipient \"passphrse\" \"a\" {}", "Did you mean \"passphrase\"?"),
        ("    recipient \"passphrase\" \"a\" {}", "\"passphrase\" is required"),
        ("    recipient \"passphrase\" \"a\" { passphrase = \"short\" }", "at least 16 characters"),
        ("    recipient \"passphrase\" { passphrase = var.phrase }", "recipient \"kind\" \"name\""),
        ("    key = 1", "no setting \"key\""),
        ("    recipient \"vault\" \"a\" { kee = \"x\" }", "\"kee\" is not expected"),
        ("    recipient \"passphrase\" \"a\" { passphrase = terraform_data.a.id }", "variables only"),
        ("", "at least one recipient"),
    ] {
        bed.recipients(&[recipient]);
        let refused = bed.run(&["plan"]).expect(1, recipient);
        assert!(
            words(&refused).contains(part) && refused.text().contains("main.mesh.hcl:"),
            "{recipient}: {}",
            refused.text()
        );
        assert!(!bed.folder.path().join("mesh.state.key").exists());
    }
}

/// Makes the key `mesh` in the transit engine of a Vault; a token that may do with it what README names, and no more.
fn transit_key(vault: &mesh_sandbox::Vault) -> String {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::blocking::Client::builder()
        .tls_certs_only([certificate(&vault.ca_file)])
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client");
    let policy =
        ["encrypt", "decrypt"].map(|what| format!("path \"transit/{what}/mesh\" {{ capabilities = [\"update\"] }}\n"));
    let mut answer = String::new();
    for (path, body) in [
        ("sys/mounts/transit", json!({ "type": "transit" })),
        ("transit/keys/mesh", json!({})),
        ("sys/policies/acl/mesh-state", json!({ "policy": policy.concat() })),
        ("auth/token/create", json!({ "policies": ["mesh-state"], "no_default_policy": true })),
    ] {
        let request = http.post(format!("{}/v1/{path}", vault.address)).header("X-Vault-Token", vault.root_token());
        let done = request.body(body.to_string()).send().and_then(|r| r.error_for_status()).expect("Vault does it");
        answer = done.text().expect("an answer");
    }
    let made: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    made["auth"]["client_token"].as_str().expect("a token").to_owned()
}

/// Vault's transit as a recipient.
fn transit(vault: &mesh_sandbox::Vault) -> String {
    format!(
        "    recipient \"vault\" \"transit\" {{\n      key = \"mesh\"\n      connection {{\n        address      = {:?}\n        ca_cert_file = {:?}\n      }}\n    }}",
        vault.address, vault.ca_file
    )
}

#[test]
fn a_vault_that_is_lost_in_the_middle_of_an_apply_loses_no_result() {
    let sandbox = sandbox(&[Part::Vault]);
    let vault = sandbox.vault().expect("vault");
    let mut bed = Bed::new();
    bed.env.insert("VAULT_TOKEN".into(), transit_key(vault));
    let spec = "resource \"local_file\" \"first\" {\n  filename = \"first.txt\"\n  content  = \"x\"\n}\nresource \"mesh_gate\" \"g\" {\n  waiting_for = \"signed.txt\"\n  \
                open_when   = fileexists(\"signed.txt\")\n  depends_on  = [local_file.first]\n  poll {\n    timeout  = \"60s\"\n    interval = \"1s\"\n  }\n}\nresource \"local_file\" \"last\" {\n  \
                filename   = \"last.txt\"\n  content    = \"x\"\n  depends_on = [mesh_gate.g]\n}\n";
    let text = format!("mesh {{\n  encryption {{\n{}\n  }}\n}}\n{SPEC}{spec}", transit(vault));
    std::fs::write(bed.folder.path().join("main.mesh.hcl"), text).expect("writes");
    let log = std::fs::File::create(bed.folder.path().join("said")).expect("a file");
    let mut run = crate::site::command(bed.folder.path(), &["apply", "-auto-approve"], &bed.env)
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()
        .expect("starts");
    while !bed.folder.path().join("first.txt").exists() {
        let ended = run.try_wait().expect("runs");
        assert!(ended.is_none(), "it ends early: {}", bed.folder.text("said"));
        std::thread::sleep(Duration::from_millis(20));
    }
    vault.seal().expect("seals");
    std::fs::write(bed.folder.path().join("signed.txt"), "x").expect("writes");
    let ended = run.wait().expect("ends");
    assert!(ended.success() && bed.folder.path().join("last.txt").exists(), "the apply goes on without Vault");
    let known = bed.run(&["state", "list"]).expect(0, "what is no secret can be read").stdout;
    assert_eq!(known.lines().count(), 4, "{known}");
    bed.run(&["plan"]).expect(1, "the next run needs it");
    vault.unseal().expect("unseals");
    bed.run(&["plan", "-detailed-exitcode"]).expect(0, "nothing was lost");
    assert!(bed.run(&["output", "secret"]).expect(0, "sealed without Vault").stdout.contains("canary-4711"));
}

#[test]
fn vault_and_a_token_seal_and_recipients_change() {
    let sandbox = sandbox(&[Part::Vault]);
    let vault = sandbox.vault().expect("vault");
    let mut bed = Bed::new();
    bed.env.insert("VAULT_TOKEN".into(), transit_key(vault));
    let place = tempfile::tempdir().expect("a folder");
    let token = sandbox.soft_token(place.path(), "state", "87654321", "12345678").expect("a token");
    let hsm = format!(
        "      library     = \"{}\"\n      token_label = \"state\"\n      pin         = var.pin\n      environment = {{ SOFTHSM2_CONF = \"{}\" }}\n",
        token.module_path.display(),
        token.conf_path.display()
    );
    let kek = Folder::new(&format!(
        "variable \"pin\" {{ sensitive = true }}\nprovider \"hsm\" {{\n{hsm}\n}}\nresource \"hsm_secret_key\" \"kek\" {{\n  id = \"state-kek\"\n}}\n"
    ));
    mesh(kek.path(), &["apply", "-auto-approve"], &bed.env).expect(0, "the key is made");
    let transit = transit(vault);
    let hsm = format!(
        "    recipient \"hsm\" \"kek\" {{\n      key_id = \"state-kek\"\n      connection {{\n{hsm}      }}\n    }}"
    );

    // State that was open before is sealed when it is asked for.
    bed.recipients(&[]);
    bed.run(&["apply", "-auto-approve"]).expect(0, "open");
    bed.recipients(&[&transit, &hsm]);
    let due = bed.run(&["plan", "-detailed-exitcode"]).expect(0, "nothing to do");
    assert!(words(&due).contains("mesh state rekey"), "{}", due.text());
    bed.run(&["state", "rekey"]).expect(0, "sealed");
    assert!(!bed.folder.text("mesh.state.key").contains("mesh-state-key"), "it is no open key any more");
    let apply = bed.run(&["apply", "-auto-approve"]).expect(0, "seals the secret output");
    assert!(!words(&apply).contains("rekey"), "{}", apply.text());
    assert_eq!(
        bed.run(&["output", "-json", "secret"]).expect(0, "through Vault").stdout,
        "{\"key\":\"canary-4711\",\"n\":7}\n"
    );

    // Vault is away: the token opens it. The token is away, too: nothing opens, nothing is lost.
    let address = format!("address      = {:?}", vault.address);
    let away = transit.replace(&address, "address = \"https://127.0.0.1:9\"\n        max_retries = 0");
    bed.recipients(&[&away, &hsm]);
    assert!(bed.run(&["output", "secret"]).expect(0, "through the token").stdout.contains("canary-4711"));
    let no_token = hsm.replace("\"state\"", "\"gone\"");
    bed.recipients(&[&away, &no_token]);
    let none = bed.run(&["apply", "-auto-approve"]).expect(1, "nobody opens it");
    assert!(words(&none).contains("vault \"transit\":") && words(&none).contains("hsm \"kek\":"), "{}", none.text());

    // The token goes, a passphrase comes.
    bed.recipients(&[&transit, PHRASE]);
    bed.run(&["state", "rekey"]).expect(0, "sealed for others");
    bed.recipients(&[&hsm]);
    let gone = bed.run(&["plan"]).expect(1, "no longer");
    assert!(words(&gone).contains("passphrase \"glass\""), "{}", gone.text());
    bed.recipients(&[PHRASE]);
    assert!(bed.run(&["output", "secret"]).expect(0, "through the passphrase").stdout.contains("canary-4711"));
    bed.run(&["plan", "-detailed-exitcode"]).expect(0, "the plan is empty: fingerprints are what they were");
}

#[test]
fn a_stack_does_not_manage_the_only_thing_that_opens_its_state() {
    let sandbox = sandbox(&[]);
    let place = tempfile::tempdir().expect("a folder");
    let token = sandbox.soft_token(place.path(), "state", "87654321", "12345678").expect("a token");
    let connection = format!(
        "  library     = \"{}\"\n  token_label = \"state\"\n  pin         = var.pin\n  environment = {{ SOFTHSM2_CONF = \"{}\" }}\n",
        token.module_path.display(),
        token.conf_path.display()
    );
    let stack = |encryption: &str| {
        format!(
            "{encryption}\n{SPEC}provider \"hsm\" {{\n{connection}}}\nresource \"hsm_secret_key\" \"kek\" {{\n  id = \"state-kek\"\n}}\n"
        )
    };
    let bed = Bed::new();
    let write = |text: String| std::fs::write(bed.folder.path().join("main.mesh.hcl"), text).expect("writes");
    write(stack(""));
    bed.run(&["apply", "-auto-approve"]).expect(0, "the key is made, without encryption");
    let hsm = format!(
        "    recipient \"hsm\" \"kek\" {{\n      key_id = \"state-kek\"\n      connection {{\n{connection}      }}\n    }}\n"
    );
    write(stack(&format!("mesh {{\n  encryption {{\n{hsm}  }}\n}}\n")));
    for command in [&["plan"][..], &["apply", "-auto-approve"], &["plan", "-destroy"]] {
        let refused = words(&bed.run(command).expect(1, "its own recipient"));
        assert!(refused.contains("manages what its own state is sealed with"), "{command:?}: {refused}");
        assert!(refused.contains("hsm \"kek\" needs hsm_secret_key.kek"), "{command:?}: {refused}");
    }
    write(stack(&format!("mesh {{\n  encryption {{\n{hsm}{PHRASE}\n  }}\n}}\n")));
    bed.run(&["state", "rekey"]).expect(0, "sealed");
    bed.run(&["plan", "-detailed-exitcode"]).expect(0, "somebody else can open it as well");
}
