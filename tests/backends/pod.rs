//! State in a cluster, for a run inside one of its pods.
//!
//! The one decision: the pod is a mount namespace in which the files of a real service account lie where the kubelet
//! puts them. The account has the rights that README names and no other.

use std::path::Path;

use serde_json::json;

use super::place::make;
use super::{Stack, flat, kubernetes, servers};
use crate::site::Output;

/// Makes an account with the rights that the backend is documented to need, and the folder of its pods.
fn account(namespace: &str, folder: &Path) {
    let made = |part: &str, object| make(&format!("namespaces/{namespace}/{part}"), &object);
    made("serviceaccounts", json!({ "metadata": { "name": "mesh" } }));
    let rules = json!([
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "update", "delete"] },
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "delete"] },
    ]);
    made("roles", json!({ "metadata": { "name": "mesh" }, "rules": rules }));
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "mesh" });
    let subject = json!({ "kind": "ServiceAccount", "name": "mesh", "namespace": namespace });
    made("rolebindings", json!({ "metadata": { "name": "mesh" }, "roleRef": role, "subjects": [subject] }));
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let token = made("serviceaccounts/mesh/token", request)["status"]["token"].as_str().expect("a token").to_owned();
    let cluster = servers().kubernetes().expect("a cluster");
    std::fs::copy(&cluster.ca_file, folder.join("ca.crt")).expect("copies");
    // As the kubelet writes them.
    std::fs::write(folder.join("token"), token).expect("writes");
    std::fs::write(folder.join("namespace"), namespace).expect("writes");
}

#[test]
fn the_account_of_a_pod_is_enough_to_keep_state_in_its_cluster() {
    let place = kubernetes();
    let files = tempfile::tempdir().expect("a folder");
    let namespace = place.called.split([' ', ',']).nth(2).expect("a namespace");
    account(namespace, files.path());
    let mut env = place.direct.clone();
    let port = servers().kubernetes().expect("a cluster").url.rsplit(':').next().expect("a port").to_owned();
    env.insert("KUBERNETES_SERVICE_HOST".into(), "127.0.0.1".into());
    env.insert("KUBERNETES_SERVICE_PORT".into(), port);
    let stack = Stack::new(&place, super::MANY);
    let file = stack.path().join("main.mesh.hcl");
    let outside = std::fs::read_to_string(&file).expect("reads");
    let inside = outside.replace("kubeconfig = var.kubeconfig", "in_cluster = true");
    std::fs::write(&file, &inside).expect("writes");

    let refused = flat(&stack.run(&["plan", "-var=v=1", "-var=n=2"]).expect(1, "no pod").text());
    assert!(refused.contains("in_cluster is for a run in a pod with a service account"), "{refused}");

    let script = "mount -t tmpfs none /run && mkdir -p /var/run/secrets/kubernetes.io \
                  && cp -r \"$0\" /var/run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";
    let files = files.path().display().to_string();
    let pod = ["--user", "--map-root-user", "--mount", "sh", "-ec", script, &files];
    let run = |arguments: &[&str]| -> Output { stack.ends(stack.start_within(&pod, arguments, &env)) };
    run(&super::apply("v=1", "n=2")).expect(0, "apply in the pod");
    run(&super::apply("v=2", "n=1")).expect(0, "another one");
    for arguments in
        [&["workspace", "new", "x"][..], &["workspace", "select", "default"], &["workspace", "delete", "x"]]
    {
        run(arguments).expect(0, arguments[1]);
    }
    assert_eq!(run(&["state", "list"]).expect(0, "state list").stdout.lines().count(), 2);

    // The same state by another way: nothing has changed, and nothing has to be brought along.
    std::fs::write(&file, &outside).expect("writes");
    super::complete(&stack, "v=2", "n=1");
}
