//! The cluster: nodes, scheduling, played readiness, a user without rights, two clusters at once.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{eventually, options, shared, silent};
use crate::http::Http;
use crate::{Kubernetes, Part, READY_ANNOTATION, Sandbox};

pub(super) fn client(cluster: &Kubernetes, user: &str) -> Http {
    let token = cluster.token(user).expect("the user exists");
    Http::new(&cluster.url, &cluster.ca_file, ("Authorization", format!("Bearer {token}"))).expect("a client")
}

pub(super) fn namespace(api: &Http, sandbox: &Sandbox) -> String {
    let name = sandbox.namespace("test");
    let object = json!({"metadata": {"name": name}});
    api.call(Method::POST, "/api/v1/namespaces", &object).expect("the namespace is created");
    // Pods need the account that the controller-manager adds.
    let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    eventually("the default service account", Duration::from_secs(20), || api.ok(&path).then_some(()));
    name
}

fn deployment(name: &str, containers: &[&str], annotations: &Value) -> Value {
    let containers: Vec<Value> =
        containers.iter().map(|name| json!({"name": name, "image": format!("registry.test/{name}:1")})).collect();
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": {"containers": containers},
            },
        },
    })
}

fn get(api: &Http, path: &str) -> Value {
    api.call(Method::GET, path, &Value::Null).expect("it answers")
}

#[test]
fn three_nodes_are_ready_at_their_own_addresses() {
    let cluster = shared().kubernetes().expect("there is a cluster");
    let nodes = get(&client(cluster, "admin"), "/api/v1/nodes");
    let seen: Vec<(String, String)> = nodes["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| {
            let conditions = node["status"]["conditions"].as_array().expect("conditions");
            assert!(conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"), "{node:#}");
            assert_eq!(node["status"]["capacity"]["cpu"], "4");
            assert_eq!(node["status"]["capacity"]["memory"], "16Gi");
            let addresses = node["status"]["addresses"].as_array().expect("addresses");
            let internal = addresses.iter().find(|one| one["type"] == "InternalIP").expect("an InternalIP");
            (
                node["metadata"]["name"].as_str().expect("a name").to_owned(),
                internal["address"].as_str().expect("an address").to_owned(),
            )
        })
        .collect();
    let given: Vec<(String, String)> =
        cluster.nodes.iter().map(|node| (node.name.clone(), node.ip.to_string())).collect();
    assert_eq!(seen, given);
    assert_eq!(seen.len(), 3);
    assert!(cluster.nodes.iter().all(|node| node.ip.is_loopback()));
}

#[test]
fn a_deployment_becomes_three_of_three() {
    let sandbox = shared();
    let api = client(sandbox.kubernetes().expect("there is a cluster"), "admin");
    let namespace = namespace(&api, sandbox);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    api.call(Method::POST, &path, &deployment("web", &["web"], &json!({}))).expect("created");
    eventually("3/3", Duration::from_secs(30), || {
        let status = &get(&api, &format!("{path}/web"))["status"];
        (status["readyReplicas"] == 3 && status["availableReplicas"] == 3).then_some(())
    });
    let pods = get(&api, &format!("/api/v1/namespaces/{namespace}/pods"));
    for pod in pods["items"].as_array().expect("a list") {
        assert!(pod["status"]["podIP"].as_str().is_some_and(|ip| ip.starts_with("10.244.")), "{pod:#}");
        assert!(pod["status"]["hostIP"].as_str().is_some_and(|ip| ip.starts_with("127.0.")), "{pod:#}");
    }
}

#[test]
fn readiness_follows_the_annotation_and_keeps_the_address() {
    let sandbox = shared();
    let api = client(sandbox.kubernetes().expect("there is a cluster"), "admin");
    let namespace = namespace(&api, sandbox);
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let containers = ["discovery", "hsm-plugin", "vault-client"];
    let first = json!({READY_ANNOTATION: "hsm-plugin, vault-client"});
    api.call(Method::POST, &deployments, &deployment("istiod", &containers, &first)).expect("created");
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let ready = |pod: &Value| -> Vec<String> {
        let all = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        all.iter()
            .filter(|one| one["ready"] == true)
            .filter_map(|one| one["name"].as_str().map(str::to_owned))
            .collect()
    };
    let play = |want: &Value, expected: &[&str]| {
        for pod in get(&api, &pods)["items"].as_array().expect("a list") {
            let path = format!("{pods}/{}", pod["metadata"]["name"].as_str().expect("a name"));
            api.call(Method::PATCH, &path, &json!({"metadata": {"annotations": {READY_ANNOTATION: want}}}))
                .expect("patched");
        }
        eventually("the played containers", Duration::from_secs(20), || {
            let pods = get(&api, &pods);
            let pods = pods["items"].as_array().expect("a list");
            (pods.len() == 3 && pods.iter().all(|pod| ready(pod) == expected)).then_some(())
        });
    };
    play(&json!("hsm-plugin,vault-client"), &["hsm-plugin", "vault-client"]);
    let before = get(&api, &pods);
    assert_eq!(before["items"][0]["status"]["phase"], "Running");
    assert!(get(&api, &format!("{deployments}/istiod"))["status"]["readyReplicas"].is_null(), "no pod is ready yet");
    play(&json!(""), &[]);
    play(&Value::Null, &containers);
    eventually("3/3", Duration::from_secs(20), || {
        (get(&api, &format!("{deployments}/istiod"))["status"]["readyReplicas"] == 3).then_some(())
    });
    let after = get(&api, &pods);
    assert_eq!(before["items"][0]["status"]["podIP"], after["items"][0]["status"]["podIP"]);
    // And back: a container that fails later.
    play(&json!("discovery"), &["discovery"]);
}

#[test]
fn a_job_completes_and_a_deleted_pod_goes_away() {
    let sandbox = shared();
    let api = client(sandbox.kubernetes().expect("there is a cluster"), "admin");
    let namespace = namespace(&api, sandbox);
    let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "once", "image": "registry.test/once:1"}]});
    api.call(Method::POST, &jobs, &json!({"metadata": {"name": "once"}, "spec": {"template": {"spec": pod}}}))
        .expect("created");
    eventually("the job is complete", Duration::from_secs(30), || {
        (get(&api, &format!("{jobs}/once"))["status"]["succeeded"] == 1).then_some(())
    });
    api.call(Method::DELETE, &format!("/api/v1/namespaces/{namespace}"), &Value::Null).expect("deleted");
    eventually("the namespace is gone", Duration::from_secs(60), || {
        (!api.ok(&format!("/api/v1/namespaces/{namespace}"))).then_some(())
    });
}

#[test]
fn the_operator_has_no_rights_until_it_is_given_some() {
    let sandbox = shared();
    let cluster = sandbox.kubernetes().expect("there is a cluster");
    let (admin, operator) = (client(cluster, "admin"), client(cluster, "operator"));
    let namespace = namespace(&admin, sandbox);
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let refused = operator.call(Method::GET, &secrets, &Value::Null).expect_err("nothing is granted");
    assert!(refused.to_string().contains("User \\\"operator\\\" cannot list resource"), "{refused}");
    let binding = json!({
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "operator"}],
    });
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    admin.call(Method::POST, &path, &binding).expect("bound");
    eventually("the binding counts", Duration::from_secs(10), || operator.ok(&secrets).then_some(()));
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig("operator").expect("it has one")).expect("readable");
    assert!(kubeconfig.contains(cluster.token("operator").expect("it has one")));
    assert!(cluster.kubeconfig("nobody").is_err());
}

#[test]
fn two_sandboxes_run_at_once_without_seeing_each_other() {
    let one = shared();
    let two = Sandbox::start(options(Part::ALL), &silent).expect("a second one starts");
    let (first, second) = (one.kubernetes().expect("a cluster"), two.kubernetes().expect("a cluster"));
    assert_ne!(first.url, second.url);
    assert!(first.nodes.iter().all(|node| !second.nodes.iter().any(|other| other.ip == node.ip)));
    assert_ne!(one.vip().expect("a VIP").octets()[2], two.vip().expect("a VIP").octets()[2]);
    let api = client(second, "admin");
    let mine = namespace(&api, &two);
    assert!(!client(first, "admin").ok(&format!("/api/v1/namespaces/{mine}")));
    let stranger = Http::new(
        &second.url,
        &second.ca_file,
        ("Authorization", format!("Bearer {}", first.token("admin").expect("a token"))),
    );
    assert!(!stranger.expect("a client").ok("/api/v1/nodes"), "a token of the first works on the second");
    let folder = two.folder().to_owned();
    assert!(!super::processes_of(&folder).is_empty());
    two.stop();
    assert!(!folder.exists(), "the folder is removed");
    assert_eq!(super::processes_of(&folder), Vec::<String>::new());
}
