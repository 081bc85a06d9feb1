//! Stages and plan files against a real API server.
//!
//! The one decision: what comes from elsewhere (a definition, a foreign change) is made by `mesh` from another
//! folder with another state, as another team would.

use std::collections::BTreeMap;

use mesh_sandbox::{Part, Sandbox};

use crate::site::{Folder, Output, mesh, sandbox};

const DEFINITION: &str = r#"
resource "kubernetes_manifest" "definition" {
  manifest = {
    apiVersion = "apiextensions.k8s.io/v1"
    kind       = "CustomResourceDefinition"
    metadata   = { name = "@kind@s.example.com" }
    spec = {
      group = "example.com"
      scope = "Namespaced"
      names = { kind = "@Kind@", plural = "@kind@s", singular = "@kind@" }
      versions = [{
        name    = "v1"
        served  = true
        storage = true
        schema  = { openAPIV3Schema = { type = "object", properties = { spec = {
          type = "object", properties = { size = { type = "integer" } }
        } } } }
      }]
    }
  }
}
"#;

const OBJECT: &str = r#"
resource "kubernetes_manifest" "object" {
  @depends@
  manifest = {
    apiVersion = "example.com/v1"
    kind       = "@Kind@"
    metadata   = { name = "w", namespace = "default" }
    spec       = { size = 3 }
  }
}
resource "kubernetes_manifest" "other" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "@kind@", namespace = "default" }
    data       = { size = tostring(kubernetes_manifest.object.manifest.spec.size) }
  }
}
"#;

struct Cluster(Sandbox);

impl Cluster {
    fn folder(&self, kind: &str, parts: &[&str]) -> Folder {
        let kubeconfig = self.0.kubernetes().and_then(|k| k.kubeconfig("admin")).expect("kubeconfig");
        let provider = format!("provider \"kubernetes\" {{\n  kubeconfig = {kubeconfig:?}\n}}\n");
        let text = format!("{provider}{}", parts.concat());
        Folder::new(&text.replace("@kind@", &kind.to_lowercase()).replace("@Kind@", kind))
    }
}

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    mesh(folder.path(), arguments, &BTreeMap::new())
}

fn words(output: &Output) -> String {
    output.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn custom_resources_and_plans_that_do_not_fit_any_more() {
    let cluster = Cluster(sandbox(&[Part::Kubernetes]));
    one_plan(&cluster);
    later(&cluster);
    moved(&cluster);
}

/// A definition in the same plan is no reason to wait.
fn one_plan(cluster: &Cluster) {
    let object = OBJECT.replace("@depends@", "depends_on = [kubernetes_manifest.definition]");
    let folder = cluster.folder("Widget", &[DEFINITION, &object]);
    let plan = run(&folder, &["plan"]).expect(0, "plan").stdout;
    assert!(plan.contains("3 to add, 0 to change, 0 to destroy") && !plan.contains("Deferred"), "{plan}");
    let apply = run(&folder, &["apply", "-auto-approve"]).expect(0, "one stage").stdout;
    assert!(!apply.contains("Stage 2"), "{apply}");
    run(&folder, &["plan", "-detailed-exitcode"]).expect(0, "the second plan is empty");
}

/// A kind that nothing in the plan brings is waited for, with what needs it.
fn later(cluster: &Cluster) {
    let folder = cluster.folder("Gadget", &[&OBJECT.replace("@depends@", "")]);
    let plan = run(&folder, &["plan", "-out", "p"]).expect(0, "plan");
    let said = words(&plan);
    for part in [
        "# kubernetes_manifest.object may be created or updated",
        "the cluster has no kind Gadget in example.com/v1 yet",
        "# kubernetes_manifest.other may be created or updated",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json = run(&folder, &["show", "-json", "p"]).expect(0, "show").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["complete"], false);
    assert_eq!(json["deferred_changes"][0]["reason"], "kind_unknown", "{}", json["deferred_changes"]);
    let waits = run(&folder, &["apply", "p"]).expect(3, "it waits");
    assert!(words(&waits).contains("run the same command again"), "{}", waits.text());
    // Somebody else installs it; the same command goes on, inside the envelopes of the plan that was approved.
    let other = cluster.folder("Gadget", &[DEFINITION]);
    run(&other, &["apply", "-auto-approve"]).expect(0, "the definition");
    run(&folder, &["apply", "p"]).expect(0, "the same command");
    run(&folder, &["plan", "-detailed-exitcode"]).expect(0, "the second plan is empty");
    // In a group of the server's own it is a mistake.
    let wrong = folder.text("main.mesh.hcl").replace("\"ConfigMap\"", "\"Configmap\"");
    std::fs::write(folder.path().join("main.mesh.hcl"), wrong).expect("writes");
    let refused = run(&folder, &["plan"]).expect(1, "a wrong kind");
    assert!(words(&refused).contains("has no kind Configmap in v1"), "{}", refused.text());
}

/// A plan whose object was changed meanwhile is refused, and says what has moved.
fn moved(cluster: &Cluster) {
    let map = |size: u8| {
        format!(
            "resource \"kubernetes_manifest\" \"m\" {{\n  manifest = {{\n    apiVersion = \"v1\"\n    kind = \"ConfigMap\"\n    \
             metadata = {{ name = \"m\", namespace = \"default\" }}\n    data = {{ size = \"{size}\" }}\n  }}\n}}\n"
        )
    };
    let text = |size| cluster.folder("X", &[&map(size)]).text("main.mesh.hcl");
    let folder = cluster.folder("X", &[&map(1)]);
    run(&folder, &["apply", "-auto-approve"]).expect(0, "made");
    std::fs::write(folder.path().join("main.mesh.hcl"), text(2)).expect("writes");
    run(&folder, &["plan", "-out", "p"]).expect(0, "plan");
    let other = cluster.folder("X", &[&map(9)]);
    run(&other, &["import", "kubernetes_manifest.m", "ConfigMap default/m"]).expect(0, "import");
    run(&other, &["apply", "-auto-approve"]).expect(0, "a foreign change");
    let stale = run(&folder, &["apply", "p"]).expect(1, "stale");
    let said = words(&stale);
    assert!(
        said.contains("kubernetes_manifest.m: it was changed since the plan was made, at manifest.data.size (version "),
        "{said}"
    );
    run(&folder, &["apply", "-auto-approve"]).expect(0, "a new plan");
}
