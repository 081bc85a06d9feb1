//! Settings that are wrong and servers that refuse, as the command line says it.

use super::{Stack, flat, kubernetes, s3, servers};
use crate::site::Folder;

#[test]
fn wrong_settings_are_said_with_their_lines() {
    let folder = Folder::new("");
    for (block, words) in [
        ("backend \"s4\" {}", &["Did you mean \"s3\"", "kubernetes, local, postgres, s3", "main.mesh.hcl:2"][..]),
        (
            "backend \"local\" {\n  paht = \"x\"\n}",
            &["not expected in backend \"local\"", "Did you mean \"path\"", "main.mesh.hcl:3"],
        ),
        ("backend \"local\" {\n  path = [1]\n}", &["path", "main.mesh.hcl:3"]),
        ("backend \"local\" {\n  path = var.s\n}", &["must be neither sensitive nor ephemeral", "main.mesh.hcl:3"]),
        ("backend \"local\" {\n  path = terraform_data.x.id\n}", &["variables only", "main.mesh.hcl:3"]),
        ("backend \"postgres\" {}", &["DATABASE_URL", "main.mesh.hcl:2"]),
        (
            "backend \"postgres\" {\n  connection = \"postgresql://u@h/d?sslmode=verify-ca\"\n}",
            &["verify-full", "main.mesh.hcl:3"],
        ),
        ("backend \"s3\" {\n  region = \"x\"\n}", &["\"bucket\"", "main.mesh.hcl:2"]),
        ("backend \"s3\" {\n  bucket = \"bucket\"\n}", &["AWS_ACCESS_KEY_ID", "main.mesh.hcl:2"]),
        ("backend \"s3\" {\n  bucket = \"bucket\"\n  x {}\n}", &["not expected in backend \"s3\"", "main.mesh.hcl:4"]),
        (
            "backend \"kubernetes\" {\n  namespace  = \"n\"\n  name       = \"a.b\"\n  kubeconfig = \"k\"\n}",
            &["DNS label", "main.mesh.hcl:4"],
        ),
        (
            "backend \"kubernetes\" {\n  namespace  = \"n\"\n  kubeconfig = \"nowhere\"\n}",
            &["nowhere cannot be used", "main.mesh.hcl:4"],
        ),
    ] {
        let text = format!("mesh {{\n{block}\n}}\nvariable \"s\" {{\n  default = \"s\"\n  sensitive = true\n}}\n");
        std::fs::write(folder.path().join("main.mesh.hcl"), text).expect("writes");
        for command in [&["plan"][..], &["state", "list"]] {
            let text = flat(&folder.run(command).expect(1, block).text());
            assert!(words.iter().all(|w| text.contains(w)), "{block}\n{text}");
        }
    }
}

#[test]
fn servers_that_refuse_say_what_to_put_right() {
    let (bucket, cluster) = (s3(), kubernetes());
    for (place, from, to, words) in [
        (&bucket, "bucket       = \"", "bucket       = \"other-", &["NoSuchBucket", "Make the bucket"][..]),
        (&cluster, "namespace  = \"", "namespace  = \"other-", &["kubectl create namespace other-"]),
    ] {
        let stack = Stack::new(place, "resource \"terraform_data\" \"t\" {}\n");
        let file = stack.path().join("main.mesh.hcl");
        let text = std::fs::read_to_string(&file).expect("reads");
        std::fs::write(&file, text.replacen(from, to, 1)).expect("writes");
        let text = flat(&stack.run(&["apply", "-auto-approve"]).expect(1, "refused").text());
        assert!(text.contains("The state backend cannot be used") && words.iter().all(|w| text.contains(w)), "{text}");
    }
    let mut powerless = cluster;
    let operator = servers().kubernetes().expect("a cluster").kubeconfig("operator").expect("a user");
    powerless.direct.insert("MESH_VAR_kubeconfig".into(), operator.display().to_string());
    let stack = Stack::new(&powerless, "resource \"terraform_data\" \"t\" {}\n");
    for command in [&["plan"][..], &["apply", "-auto-approve"]] {
        let text = flat(&stack.run(command).expect(1, "no rights").text());
        assert!(text.contains("forbidden") && text.contains("Grant the account get, list"), "{text}");
    }
}
