//! The suite of the border, on the real server, for every resource type.

use mesh_sdk::conformance::{Case, run};

use super::*;

async fn check(case: Case) {
    let lab = Lab::new().await;
    run(&lab.provider, &lab.session, &case).await.expect("conforms");
}

fn manifest(object: Json) -> Value {
    from_json(&json!({ "manifest": object }))
}

async fn namespace() -> String {
    Lab::new().await.namespace("conform").await
}

#[tokio::test]
async fn manifest_config_map() {
    let ns = namespace().await;
    let mut case = Case::new("kubernetes_manifest", manifest(config_map(&ns, "a", json!({"x": "1", "y": "1"}))));
    case.updates = vec![
        manifest(config_map(&ns, "a", json!({"x": "2", "y": "1"}))),
        manifest(config_map(&ns, "a", json!({"x": "2"}))),
    ];
    case.replace = Some(manifest(config_map(&ns, "b", json!({"x": "2"}))));
    check(case).await;
}

#[tokio::test]
async fn manifest_secret() {
    let ns = namespace().await;
    let secret = |pin: &str| json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":ns},"stringData":{"pin":pin},"data":{"b":"YmluYXJ5"}});
    let mut case = Case::new("kubernetes_manifest", manifest(secret("canary-1")));
    case.updates = vec![manifest(secret("canary-2"))];
    case.canary = Some("canary-");
    let mut other = secret("canary-2");
    other["type"] = "example.com/other".into();
    case.replace = Some(manifest(other));
    check(case).await;
}

#[tokio::test]
async fn manifest_deployment() {
    let ns = namespace().await;
    let mut case = Case::new("kubernetes_manifest", manifest(deployment(&ns, "web", "nginx:1")));
    case.updates = vec![manifest(deployment(&ns, "web", "nginx:2"))];
    let mut other = deployment(&ns, "web", "nginx:2");
    other["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    other["spec"]["template"]["metadata"]["labels"]["app"] = "other".into();
    case.replace = Some(manifest(other));
    check(case).await;
}

#[tokio::test]
async fn manifest_service() {
    let ns = namespace().await;
    let service = |port: u16| json!({"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":ns},"spec":{"type":"NodePort","selector":{"app":"a"},"ports":[{"name":"http","port":port},{"name":"dns","port":53,"protocol":"UDP"}]}});
    let mut case = Case::new("kubernetes_manifest", manifest(service(80)));
    // The list key is port and protocol: the same name under another port.
    case.updates = vec![manifest(service(81))];
    check(case).await;
}

#[tokio::test]
async fn manifest_cluster_role_and_binding() {
    let name = sandbox().namespace("role");
    let role = |verb: &str| json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":name,"namespace":"ignored"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get",verb]}]});
    let mut case = Case::new("kubernetes_manifest", manifest(role("list")));
    case.updates = vec![manifest(role("watch"))];
    check(case).await;
    let binding = |role: &str| json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":name},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":role},"subjects":[{"kind":"ServiceAccount","name":"default","namespace":"vault"}]});
    let mut case = Case::new("kubernetes_manifest", manifest(binding("a")));
    case.replace = Some(manifest(binding("b")));
    check(case).await;
}

#[tokio::test]
async fn manifest_webhook() {
    let name = sandbox().namespace("hook");
    let webhook = |path: &str| json!({"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":name},"webhooks":[{"name":"a.example.com","admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":{"service":{"name":"x","namespace":"none","path":path}},"rules":[{"operations":["CREATE"],"apiGroups":["none.example.com"],"apiVersions":["v1"],"resources":["nothings"]}]}]});
    let mut case = Case::new("kubernetes_manifest", manifest(webhook("/a")));
    case.updates = vec![manifest(webhook("/b"))];
    check(case).await;
}

#[tokio::test]
async fn manifests() {
    let ns = namespace().await;
    let text = |objects: &[Json]| {
        let text: Vec<String> = objects.iter().map(Json::to_string).collect();
        from_json(&json!({ "text": text.join("\n---\n") }))
    };
    let secret = json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":ns},"stringData":{"pin":"canary-set"}});
    let one = config_map(&ns, "a", json!({"x": "1"}));
    let mut case =
        Case::new("kubernetes_manifests", text(&[one.clone(), secret.clone(), deployment(&ns, "web", "nginx:1")]));
    case.updates = vec![
        text(&[one, secret.clone(), deployment(&ns, "web", "nginx:2")]),
        text(&[secret, deployment(&ns, "web", "nginx:2")]),
    ];
    case.canary = None;
    check(case).await;
}

#[tokio::test]
async fn labels_and_annotations() {
    let ns = namespace().await;
    for (ty, field) in [("kubernetes_labels", "labels"), ("kubernetes_annotations", "annotations")] {
        let of = |value: &str| {
            from_json(
                &json!({"api_version":"v1","kind":"Namespace","name":ns,field:{"example.com/a":value},"absent":["example.com/b"]}),
            )
        };
        let mut case = Case::new(ty, of("1"));
        case.updates = vec![of("2")];
        case.replace = Some(of("2").with("name", Value::string("other")));
        check(case).await;
    }
}

#[tokio::test]
async fn fields() {
    let lab = Lab::new().await;
    let ns = lab.namespace("conform").await;
    lab.make(json!({"apiVersion":"v1","kind":"Service","metadata":{"name":"gw","namespace":ns},"spec":{"type":"LoadBalancer","selector":{"app":"gw"},"ports":[{"port":80}]}}), "other").await;
    let of = |ip: &str| {
        from_json(
            &json!({"api_version":"v1","kind":"Service","namespace":ns,"name":"gw","fields":{"spec":{"loadBalancerIP":ip}}}),
        )
    };
    let mut case = Case::new("kubernetes_fields", of("203.0.113.1"));
    case.updates = vec![of("203.0.113.2")];
    case.replace = Some(of("203.0.113.2").with("name", Value::string("other")));
    check(case).await;
    let left = lab.live(&format!("Service {ns}/gw")).await.expect("the Service stays");
    assert!(left["spec"].get("loadBalancerIP").is_none());
}

#[tokio::test]
async fn service_account_token() {
    let ns = namespace().await;
    let of = |name: &str| from_json(&json!({"namespace":ns,"service_account":"default","name":name}));
    let mut case = Case::new("kubernetes_service_account_token", of("default-token"));
    case.replace = Some(of("other"));
    // What such a token begins with: `{"alg":"RS256","kid"`.
    case.canary = Some("eyJhbGciOiJSUzI1NiIsImtpZCI");
    check(case).await;
}

#[tokio::test]
async fn rollout_restart() {
    let lab = Lab::new().await;
    let ns = lab.namespace("conform").await;
    lab.make(deployment(&ns, "web", "nginx:1"), "kubectl-create").await;
    let of = |revision: &str| {
        from_json(
            &json!({"namespace":ns,"kinds":["Deployment"],"triggers":{"revision":revision},"expect_label":{"app":"web"}}),
        )
    };
    let mut case = Case::new("kubernetes_rollout_restart", of("1"));
    case.updates = vec![of("2")];
    case.replace = Some(of("2").with("namespace", Value::string("other")));
    check(case).await;
}

#[tokio::test]
async fn wait() {
    let lab = Lab::new().await;
    let ns = lab.namespace("conform").await;
    lab.make(config_map(&ns, "a", json!({"x": "1"})), "kubectl-create").await;
    let of = |trigger: &str| {
        from_json(
            &json!({"triggers":{"t":trigger},"timeout":"10s","alternative":[{"for":[{"api_version":"v1","kind":"ConfigMap","namespace":ns,"name":"a","field":"data.x","equals":"1"}]}]}),
        )
    };
    let mut case = Case::new("kubernetes_wait", of("1"));
    case.updates = vec![of("2")];
    check(case).await;
}
