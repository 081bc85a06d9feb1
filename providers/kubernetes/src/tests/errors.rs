//! What users see when something is wrong.

use mesh_sdk::ErrorKind;

use super::*;

#[tokio::test]
async fn who_has_no_rights_is_told_what_was_denied() {
    // This user may not even read the namespace that stands for the cluster.
    let error = Lab::of("operator").await.err().expect("has no rights");
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.detail.contains("kube-system") && error.detail.contains("operator"), "{error}");
}

#[tokio::test]
async fn who_may_only_get_can_plan_and_is_told_what_was_not_tried() {
    let admin = Lab::new().await;
    let ns = admin.namespace("reader").await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        let mut made =
            admin.life("kubernetes_manifest", json!({ "manifest": config_map(&ns, name, json!({"x": "1"})) }));
        made.apply().await;
    }
    let user = json!([{"kind":"User","name":"reader","apiGroup":"rbac.authorization.k8s.io"}]);
    for (role, namespace, resource) in [("target", "kube-system", "namespaces"), ("get", ns.as_str(), "configmaps")] {
        let name = format!("{ns}-{role}");
        admin.make(json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":name},"rules":[{"apiGroups":[""],"resources":[resource],"verbs":["get"]}]}), "x").await;
        admin.make(json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":name,"namespace":namespace},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":name},"subjects":user}), "x").await;
    }
    let lab = Lab::of("reader").await.expect("may read kube-system");
    let references: Vec<Reference> =
        names.iter().map(|n| Reference::parse(&format!("ConfigMap {ns}/{n}")).expect("a name")).collect();
    let found = lab.cluster().find(&references).await;
    assert!(found.iter().all(|f| matches!(f, Ok(Some(_)))), "{found:?}");
    let life = lab.life("kubernetes_manifest", json!({ "manifest": config_map(&ns, "a", json!({"x": "2"})) }));
    let (response, _) = life.plan().await.expect("can be planned");
    assert_eq!(response.verdict, Verdict::Update);
    assert_eq!(response.notes, ["the credentials may not do this dry run"]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let port = mesh_sandbox::free_port().expect("a port");
    let provider = kubernetes();
    let config = |host: String, ca: Option<String>| {
        Value::object([
            ("host", Value::string(host)),
            ("token", Value::string("canary-token").sensitive()),
            ("cluster_ca_certificate", ca.map_or(Value::NULL, Value::string)),
        ])
    };
    let open = |config: Value| {
        let provider = &provider;
        async move { provider.open(&config, &Services::default()).await.err().expect("does not open") }
    };
    let error = open(config(format!("https://127.0.0.1:{port}"), None)).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.detail.contains("refused"), "{error}");
    let cluster = sandbox().kubernetes().expect("a cluster");
    let other_ca = open(config(cluster.url.clone(), None)).await;
    assert_eq!(other_ca.kind, ErrorKind::Unreachable);
    assert!(other_ca.detail.to_lowercase().contains("certificate"), "{other_ca}");
    let ca = std::fs::read_to_string(&cluster.ca_file).expect("a CA");
    let token = open(config(cluster.url.clone(), Some(ca.clone()))).await;
    assert_eq!(token.kind, ErrorKind::Denied);
    assert!(!format!("{token:?}").contains("canary-token"));
    let good =
        config(cluster.url.clone(), Some(ca)).with("token", Value::string(cluster.token("admin").expect("a token")));
    assert!(provider.open(&good, &Services::default()).await.is_ok());
}

#[tokio::test]
async fn a_refused_secret_is_not_quoted() {
    let lab = Lab::new().await;
    let ns = lab.namespace("error").await;
    let secret =
        |data: Json| json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":ns},"data":data});
    for data in [json!({"pin": "canary is not base64"}), json!({"bad key": "Y2FuYXJ5"}), json!({"n": 1234567})] {
        let mut life = lab.life("kubernetes_manifest", json!({ "manifest": secret(data) }));
        let error = life.refused().await;
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        let text = format!("{error:?} {error}");
        for canary in ["canary", "Y2FuYXJ5", "1234567"] {
            assert!(!text.contains(canary), "{text}");
        }
    }
}

#[tokio::test]
async fn an_invalid_object_is_refused_while_planning_and_never_replaced() {
    let lab = Lab::new().await;
    let ns = lab.namespace("error").await;
    let mut life = lab.life("kubernetes_manifest", json!({ "manifest": deployment(&ns, "web", "nginx:1") }));
    life.apply().await;
    let mut bad = deployment(&ns, "web", "nginx:1");
    bad["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    life.want(json!({ "manifest": bad }));
    // The selector is immutable, but a new one would be refused as well: it does not match its pods.
    let error = life.plan().await.expect_err("is invalid");
    assert!(error.detail.contains("selector"), "{error}");
    let mut unknown = deployment(&ns, "web", "nginx:1");
    unknown["spec"]["replcas"] = 3.into();
    life.want(json!({ "manifest": unknown }));
    let error = life.plan().await.expect_err("has an unknown field");
    assert!(error.detail.contains("replcas"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_tried_yet_is_said() {
    let lab = Lab::new().await;
    let life = lab
        .life("kubernetes_manifest", json!({ "manifest": deployment(&sandbox().namespace("none"), "web", "nginx:1") }));
    let (response, _) = life.plan().await.expect("can be planned");
    assert_eq!(response.verdict, Verdict::Create);
    assert_eq!(response.notes, ["its namespace does not exist yet"]);
}

#[test]
fn what_is_wrong_is_seen_without_a_server() {
    let provider = kubernetes();
    let problems = |ty: &str, config: Json| {
        let all = provider.rules(ty).expect("a type").validate(&from_json(&config));
        all.into_iter().map(|p| p.reason).collect::<Vec<_>>().join("; ")
    };
    for (ty, config, expected) in [
        (
            "kubernetes_manifest",
            json!({"manifest":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}}),
            "metadata.namespace",
        ),
        (
            "kubernetes_manifest",
            json!({"manifest":{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a","namespace":"n"}}}),
            "generateName",
        ),
        ("kubernetes_manifest", json!({"manifest":"text"}), "object"),
        (
            "kubernetes_manifest",
            json!({"manifest":{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}},"wait":{"timeout":"soon","fields":{"a":"("}}}),
            "duration",
        ),
        ("kubernetes_manifests", json!({"text":"a: ["}), "YAML"),
        ("kubernetes_labels", json!({"labels":{"a":null}}), "absent"),
        ("kubernetes_labels", json!({"labels":{"a":"1"},"absent":["a"]}), "both"),
        ("kubernetes_fields", json!({"fields":{"kind":"x"}}), "kind"),
        ("kubernetes_rollout_restart", json!({"kinds":["Pod"]}), "Pod"),
        ("kubernetes_wait", json!({"alternative":[{"for":[{"name":"a"}]}]}), "asks nothing"),
        ("kubernetes_service_account_token", json!({"timeout":"x"}), "duration"),
    ] {
        let text = problems(ty, config);
        assert!(text.contains(expected), "{ty}: {text:?} lacks {expected:?}");
    }
}
