//! Who owns what: foreign fields, repairs, conflicts, adoption, absent keys.

use mesh_sdk::ErrorKind;

use super::*;

#[tokio::test]
async fn a_foreign_label_is_ignored_and_a_changed_one_repaired() {
    let lab = Lab::new().await;
    let ns = lab.namespace("owner").await;
    let mut object = config_map(&ns, "a", json!({"x": "1"}));
    object["metadata"]["labels"] = json!({"ours": "1"});
    let mut life = lab.life("kubernetes_manifest", json!({ "manifest": object }));
    life.apply().await;
    let text = format!("ConfigMap {ns}/a");
    lab.patch(&text, "kubectl-label", json!({"metadata":{"labels":{"foreign":"x"}},"data":{"more":"y"}})).await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    lab.patch(&text, "kubectl-label", json!({"metadata":{"labels":{"ours":"2"}}})).await;
    let (response, observed) = life.plan().await.expect("can be planned");
    assert_eq!(response.verdict, Verdict::Update);
    // What drifted is what observation and state differ in.
    let label = |v: &Value| {
        v.get("manifest").and_then(|m| m.get("metadata")?.get("labels")?.get_str("ours").map(str::to_owned))
    };
    assert_eq!(label(&observed.expect("is there").values).as_deref(), Some("2"));
    assert_eq!(label(&response.after).as_deref(), Some("1"));
    life.apply().await;
    let live = lab.live(&text).await.expect("is there");
    assert_eq!(live["metadata"]["labels"], json!({"ours":"1","foreign":"x"}));
    assert_eq!(life.verdict().await, Verdict::NoOp);
}

#[tokio::test]
async fn a_conflict_names_the_other_manager() {
    let lab = Lab::new().await;
    let ns = lab.namespace("owner").await;
    let mut life = lab.life("kubernetes_manifest", json!({ "manifest": config_map(&ns, "a", json!({"x": "1"})) }));
    life.apply().await;
    lab.patch(&format!("ConfigMap {ns}/a"), "their-controller", json!({"data":{"theirs":"1"}})).await;
    life.want(json!({ "manifest": config_map(&ns, "a", json!({"x": "1", "theirs": "2"})) }));
    let error = life.plan().await.expect_err("is a conflict while planning");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.detail.contains("their-controller") && error.detail.contains("data.theirs"), "{error}");
    life.want(json!({ "manifest": config_map(&ns, "a", json!({"x": "1", "theirs": "2"})), "force_conflicts": true }));
    life.apply().await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
}

#[tokio::test]
async fn adoption_takes_over_what_other_tools_left() {
    let lab = Lab::new().await;
    let ns = lab.namespace("owner").await;
    let text = format!("ConfigMap {ns}/a");
    let mut theirs = config_map(&ns, "a", json!({"x": "1", "stuck": "1"}));
    theirs["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    lab.make(theirs, "kubectl-client-side-apply").await;
    let mut life = lab.life("kubernetes_manifest", json!({ "manifest": config_map(&ns, "a", json!({"x": "2"})) }));
    let found = life.observe().await.expect("it exists");
    assert!(found.notes.iter().any(|n| n.contains("kubectl-client-side-apply")), "{:?}", found.notes);
    let refused = life.refused().await;
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.detail.contains("on_existing"), "{refused}");
    assert_eq!(lab.live(&text).await.expect("is there")["data"]["x"], "1", "nothing was changed");
    let outcome = life.apply_with(OnExisting::Adopt).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    let live = lab.live(&text).await.expect("is there");
    // What the configuration does not have is gone, the copy of the other tool included.
    assert_eq!(live["data"], json!({"x": "2"}));
    assert!(live["metadata"]["annotations"].is_null(), "{live}");
    assert_eq!(life.verdict().await, Verdict::NoOp);
}

#[tokio::test]
async fn an_absent_label_goes_and_stays_away() {
    let lab = Lab::new().await;
    let ns = lab.namespace("owner").await;
    let text = format!("Namespace {ns}");
    lab.patch(&text, "kubectl-label", json!({"metadata":{"labels":{"istio-injection":"enabled","keep":"1"}}})).await;
    let mut life = lab.life(
        "kubernetes_labels",
        json!({"api_version":"v1","kind":"Namespace","name":ns,"labels":{"istio.io/rev":"asm-198-6"},"absent":["istio-injection"]}),
    );
    life.apply().await;
    let labels = |live: Option<Json>| live.expect("is there")["metadata"]["labels"].clone();
    let seen = labels(lab.live(&text).await);
    assert_eq!(seen["istio.io/rev"], "asm-198-6");
    assert!(seen["istio-injection"].is_null() && seen["keep"] == "1", "{seen}");
    assert_eq!(life.verdict().await, Verdict::NoOp);
    lab.patch(&text, "kubectl-label", json!({"metadata":{"labels":{"istio-injection":"enabled"}}})).await;
    assert_eq!(life.verdict().await, Verdict::Update);
    life.apply().await;
    lab.patch(&text, "kubectl-label", json!({"metadata":{"labels":{"istio.io/rev":"other"}}})).await;
    assert_eq!(life.verdict().await, Verdict::Update);
    life.apply().await;
    assert_eq!(labels(lab.live(&text).await)["istio.io/rev"], "asm-198-6");
    assert_eq!(life.verdict().await, Verdict::NoOp);
    life.delete().await;
    let seen = labels(lab.live(&text).await);
    assert!(seen["istio.io/rev"].is_null() && seen["keep"] == "1", "{seen}");
}

#[tokio::test]
async fn labels_need_an_object() {
    let lab = Lab::new().await;
    let name = sandbox().namespace("none");
    let mut life =
        lab.life("kubernetes_labels", json!({"api_version":"v1","kind":"Namespace","name":name,"labels":{"a":"1"}}));
    assert_eq!(life.verdict().await, Verdict::Create);
    assert_eq!(life.refused().await.kind, ErrorKind::Missing);
    assert!(lab.live(&format!("Namespace {name}")).await.is_none(), "labelling made the namespace");
}

#[tokio::test]
async fn a_sensitive_value_stays_sensitive_in_what_is_observed() {
    let lab = Lab::new().await;
    let ns = lab.namespace("owner").await;
    let mut life = lab.life("kubernetes_manifest", json!({ "manifest": config_map(&ns, "a", json!({"x": "1"})) }));
    let manifest = from_json(&config_map(&ns, "a", json!({})));
    let secret = manifest.with("data", Value::object([("x", Value::string("canary-value").sensitive())]));
    life.want_value(&Value::object([("manifest", secret)]));
    life.apply().await;
    lab.patch(&format!("ConfigMap {ns}/a"), "x", json!({"data":{"x":"canary-drifted"}})).await;
    let (response, observed) = life.plan().await.expect("can be planned");
    assert_eq!(response.verdict, Verdict::Update);
    let text = format!("{response:?} {observed:?} {:?}", life.saved);
    assert!(!text.contains("canary-"), "{text}");
}

#[tokio::test]
async fn an_adopted_field_is_released() {
    let lab = Lab::new().await;
    let ns = lab.namespace("owner").await;
    lab.make(deployment(&ns, "web", "nginx:1"), "their-controller").await;
    let fields = |replicas: u32, force: bool| json!({"api_version":"apps/v1","kind":"Deployment","namespace":ns,"name":"web","fields":{"spec":{"replicas":replicas}},"force_conflicts":force});
    let mut life = lab.life("kubernetes_fields", fields(5, false));
    let error = life.plan().await.expect_err("is a conflict");
    assert!(error.detail.contains("their-controller"), "{error}");
    life.want(fields(5, true));
    life.apply().await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    // Repaired without force: the field is ours by the last apply.
    life.want(fields(5, false));
    lab.patch(&format!("apps/Deployment {ns}/web"), "kubectl-scale", json!({"spec":{"replicas":1}})).await;
    assert_eq!(life.verdict().await, Verdict::Update);
    life.apply().await;
    assert_eq!(lab.live(&format!("apps/Deployment {ns}/web")).await.expect("is there")["spec"]["replicas"], 5);
    life.delete().await;
    assert_eq!(life.lab.live(&format!("apps/Deployment {ns}/web")).await.expect("stays")["spec"]["replicas"], 1);
}
