//! A sealed state in a bucket and in a database: the passphrase and what it seals are nowhere in clear, and another stack
//! that may see an output keeps it to itself.

use super::canary::text;
use super::places::{Place, postgres, s3, scene};

const HCL: &str = r#"
variable "secret" { sensitive = true }
variable "flying" { ephemeral = true }
variable "phrase" { sensitive = true }
resource "terraform_data" "seen" { input = "nosecret4711seen" }
resource "terraform_data" "secret" { input = var.secret }
output "seen" { value = "nosecret4711seen" }
output "secret" {
  value     = { deep = [var.secret] }
  sensitive = true
}
"#;

const READER: &str = r#"
variable "secret" { sensitive = true }
variable "flying" { ephemeral = true }
variable "phrase" { sensitive = true }
resource "terraform_data" "seen" { input = "nosecret4711seen" }
resource "terraform_data" "copy" {
  input = jsonencode(data.mesh_remote_state.other.outputs.secret)
}
output "copy" {
  value     = "it is ${data.mesh_remote_state.other.outputs.secret.deep[0]}"
  sensitive = true
}
data "mesh_remote_state" "other" {
  backend = "s3"
  config  = {
"#;

fn sealed(phrase: &str) -> String {
    format!("  encryption {{\n    recipient \"passphrase\" \"p\" {{\n      passphrase = {phrase}\n    }}\n  }}\n")
}

fn life(place: &Place, other: Option<&Place>) {
    let hcl = other.map_or_else(
        || HCL.to_owned(),
        |other| {
            let config: Vec<&str> = other.block.lines().filter(|l| l.contains('=')).collect();
            format!("{READER}{}\n  }}\n}}\n", config.join("\n"))
        },
    );
    let mut scene = scene(place, &sealed("var.phrase"), &hcl);
    if let Some(other) = other {
        scene.env.extend(other.env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        for (source, secret) in &other.secrets {
            scene.flock.add(source, secret);
        }
    }
    scene.secret("phrase", &text("the passphrase"));
    scene.run(0, &["plan", "-out=p"]);
    scene.run(0, &["show", "-json", "p"]);
    scene.run(0, &["apply", "p"]);
    scene.elsewhere(&format!("{}, sealed", place.name), &place.dump);
    scene.run(0, &["output", "-json"]);
    scene.run(0, &["show", "-json"]);
    scene.run(0, &["state", "pull"]);
    // It was asked for by name.
    let output = if other.is_some() { "copy" } else { "secret" };
    let asked = scene.asked(0, &["output", "-json", output]).stdout;
    assert!(scene.flock.find(asked.as_bytes()).contains("secret"), "it was asked for: {asked}");
    if other.is_none() {
        scene.run(0, &["state", "rekey"]);
        // Another phrase opens nothing, and neither is said.
        let right = scene.env.get("MESH_VAR_phrase").cloned().expect("it was given");
        scene.secret("phrase", &text("another passphrase"));
        scene.run(1, &["plan"]);
        scene.run(1, &["state", "rekey"]);
        scene.secret("phrase", &right);
        scene.elsewhere(&format!("{}, with another key", place.name), &place.dump);
    }
    scene.nothing();
}

#[test]
fn a_sealed_state_and_its_reader_leak_nothing() {
    let (bucket, database) = (s3(), postgres());
    life(&bucket, None);
    life(&database, Some(&bucket));
}
