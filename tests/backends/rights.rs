//! Accounts that may do what README names, and nothing else: enough for all that is done with a state.
//!
//! The one decision: in the cluster it is the account of a pod, which is a mount namespace in which the files of a real
//! service account lie where the kubelet puts them.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::place::{database, make};
use super::{Stack, flat, kubernetes, postgres, s3, servers};
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

/// Everything that wants a right of its own; at the end one object is left, made with `v=2`.
fn life(run: &dyn Fn(&[&str]) -> Output) {
    run(&super::apply("v=1", "n=2")).expect(0, "apply");
    run(&super::apply("v=2", "n=1")).expect(0, "another one");
    for arguments in [
        &["state", "history"][..],
        &["state", "diff", "1", "2"],
        &["state", "rekey"],
        &["workspace", "new", "x"],
        &["workspace", "list"],
        &["workspace", "select", "default"],
        &["workspace", "delete", "x"],
    ] {
        run(arguments).expect(0, &arguments.join(" "));
    }
    assert_eq!(run(&["state", "list"]).expect(0, "state list").stdout.lines().count(), 2);
}

#[test]
fn the_account_of_a_pod_is_enough_to_keep_state_in_its_cluster() {
    let place = kubernetes();
    let files = tempfile::tempdir().expect("a folder");
    account(&place.own, files.path());
    let mut env = place.direct.clone();
    let port = servers().kubernetes().expect("a cluster").url.rsplit(':').next().expect("a port").to_owned();
    env.insert("KUBERNETES_SERVICE_HOST".into(), "127.0.0.1".into());
    env.insert("KUBERNETES_SERVICE_PORT".into(), port);
    let stack = Stack::new(&place, super::MANY);
    let file = stack.path().join("main.mesh.hcl");
    let outside = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(&file, outside.replace("kubeconfig = var.kubeconfig", "in_cluster = true")).expect("writes");
    let refused = flat(&stack.run(&["plan", "-var=v=1", "-var=n=2"]).expect(1, "no pod").text());
    assert!(refused.contains("in_cluster is for a run in a pod with a service account"), "{refused}");

    let script = "mount -t tmpfs none /run && mkdir -p /var/run/secrets/kubernetes.io \
                  && cp -r \"$0\" /var/run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";
    let files = files.path().display().to_string();
    let pod = ["--user", "--map-root-user", "--mount", "sh", "-ec", script, &files];
    life(&|arguments| stack.ends(stack.start_within(&pod, arguments, &env)));

    // The same state by another way: nothing has changed, and nothing has to be brought along.
    std::fs::write(&file, &outside).expect("writes");
    super::complete(&stack, "v=2", "n=1");
}

#[test]
fn three_rights_on_a_prefix_are_enough_to_keep_state_in_a_bucket() {
    let mut place = s3();
    let allow = |action: &[&str], resource: &str| {
        let resource = format!("arn:aws:s3:::{}{resource}", place.own);
        json!({ "Effect": "Allow", "Action": action, "Resource": resource }).to_string()
    };
    let statements =
        [allow(&["s3:ListBucket"], ""), allow(&["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "/team/prod/*")]
            .join(",");
    let session = servers().minio().expect("minio").session(&statements).expect("credentials");
    place.direct.extend(session.map(|(name, value)| (name.to_owned(), value)));
    let stack = Stack::new(&place, super::MANY);
    life(&|arguments| stack.run(arguments));
    super::complete(&stack, "v=2", "n=1");
}

#[test]
fn an_account_that_may_make_a_schema_is_enough_to_keep_state_in_a_database() {
    let mut place = postgres();
    let server = database().postgres().expect("a database");
    let account = format!("team_{}", place.own);
    let sql = |text: &str| {
        let done = Command::new("psql")
            .args(["-v", "ON_ERROR_STOP=1", "-qc", text, &server.connection("postgres", "verify-full")])
            .env("PGSSLROOTCERT", &server.ca_file)
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "{text}: {done:?}");
    };
    sql(&format!("CREATE ROLE {account} LOGIN PASSWORD 'team'"));
    sql(&format!("GRANT CREATE ON DATABASE postgres TO {account}"));
    let connection = place.direct["MESH_VAR_connection"].replacen(&server.user, &account, 1);
    place.direct.insert("MESH_VAR_connection".into(), connection);
    place.direct.insert("PGPASSWORD".into(), "team".into());
    let stack = Stack::new(&place, super::MANY);
    stack.run(&super::apply("v=1", "n=1")).expect(0, "the first run makes the schema");
    sql(&format!("REVOKE CREATE ON DATABASE postgres FROM {account}"));
    life(&|arguments| stack.run(arguments));
    super::complete(&stack, "v=2", "n=1");
}
