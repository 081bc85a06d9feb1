//! Rollouts, restarts, waits and tokens, on nodes that kwok plays.

use mesh_sdk::ErrorKind;

use super::*;

#[tokio::test]
async fn a_manifest_waits_for_its_rollout() {
    let lab = Lab::new().await;
    let ns = lab.namespace("load").await;
    let mut life = lab.life(
        "kubernetes_manifest",
        json!({"manifest": deployment(&ns, "web", "nginx:1"), "wait": {"rollout": true, "timeout": "60s"}}),
    );
    life.apply().await;
    let live = lab.live(&format!("apps/Deployment {ns}/web")).await.expect("is there");
    assert_eq!(live["status"]["readyReplicas"], 2);
    assert_eq!(life.verdict().await, Verdict::NoOp);
}

#[tokio::test]
async fn a_rollout_that_does_not_come_says_why() {
    let lab = Lab::new().await;
    let ns = lab.namespace("load").await;
    let mut object = deployment(&ns, "web", "nginx:1");
    object["spec"]["template"]["metadata"]["annotations"] = json!({mesh_sandbox::READY_ANNOTATION: "other"});
    let mut life =
        lab.life("kubernetes_manifest", json!({"manifest": object, "wait": {"rollout": true, "timeout": "6s"}}));
    let error = life.refused().await;
    assert_eq!(error.kind, ErrorKind::NotReady);
    assert!(error.detail.contains("main: not ready"), "{error}");
    assert!(life.saved.is_some(), "what was made is known");
}

#[tokio::test]
async fn restarts_by_others_are_no_drift_and_wrong_pods_are() {
    let lab = Lab::new().await;
    let ns = lab.namespace("load").await;
    let mut object = deployment(&ns, "web", "nginx:1");
    object["spec"]["template"]["metadata"]["labels"]["istio.io/rev"] = "new".into();
    lab.make(object, "kubectl-create").await;
    let mut paused = deployment(&ns, "paused", "nginx:1");
    paused["spec"]["paused"] = true.into();
    paused["spec"]["replicas"] = 0.into();
    lab.make(paused, "kubectl-create").await;
    let of = |rev: &str| json!({"namespace":ns,"triggers":{"revision":rev},"expect_label":{"istio.io/rev":rev},"timeout":"60s"});
    let mut life = lab.life("kubernetes_rollout_restart", of("new"));
    let warnings = life.apply().await;
    assert!(warnings.iter().any(|w| w.contains("paused")), "{warnings:?}");
    let text = format!("apps/Deployment {ns}/web");
    let restarted = |live: Option<Json>| {
        live.expect("is there")["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
            .clone()
    };
    assert!(restarted(lab.live(&text).await).is_string());
    assert!(restarted(lab.live(&format!("apps/Deployment {ns}/paused")).await).is_null());
    lab.patch(&text, "kubectl-rollout", json!({"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}}}})).await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    lab.patch(&text, "x", json!({"spec":{"template":{"metadata":{"labels":{"istio.io/rev":"old"}}}}})).await;
    let reference = Reference::parse(&text).expect("a name");
    crate::waiting::until_ready(lab.cluster(), &reference, std::time::Duration::from_secs(60))
        .await
        .expect("rolls out");
    // Pods of the last revision may still be on their way out.
    let mut seen = None;
    for _ in 0..100 {
        let (response, observed) = life.plan().await.expect("can be planned");
        assert_eq!(response.verdict, Verdict::Update);
        seen = observed
            .expect("is there")
            .values
            .get("expect_label")
            .and_then(|l| l.get_str("istio.io/rev").map(str::to_owned));
        if seen.as_deref() == Some("old") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(seen.as_deref(), Some("old"));
    let error = life.refused().await;
    assert!(error.detail.contains("\"old\""), "{error}");
    let mut other = lab.life("kubernetes_rollout_restart", json!({"namespace":ns,"names":["none"]}));
    assert_eq!(other.refused().await.kind, ErrorKind::Missing);
}

#[tokio::test]
async fn a_wait_ends_with_the_first_alternative_and_stays_over() {
    let lab = Lab::new().await;
    let ns = lab.namespace("load").await;
    let pod = |ready: &str| {
        json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"istiod","namespace":ns,"labels":{"app":"istiod"},"annotations":{mesh_sandbox::READY_ANNOTATION:ready}},
            "spec":{"containers":[{"name":"hsm-plugin","image":"x"},{"name":"discovery","image":"x"}]}})
    };
    lab.make(pod("hsm-plugin"), "kubectl-create").await;
    let secret = json!({"for":[{"api_version":"v1","kind":"Secret","namespace":ns,"name":"istio-ca-cert-csr","field":"data[\"encrypted-csr\"]","regex":"."}]});
    let partly = json!({"for":[{"api_version":"v1","kind":"Pod","namespace":ns,"selector":{"app":"istiod"},"container_ready":["hsm-plugin"],"container_not_ready":["discovery"]}]});
    let discovery = json!({"for":[{"api_version":"v1","kind":"Pod","namespace":ns,"selector":{"app":"istiod"},"container_ready":["discovery"]}]});
    let mut life = lab.life("kubernetes_wait", json!({"alternative":[partly.clone()],"timeout":"30s"}));
    life.apply().await;
    let mut short =
        lab.life("kubernetes_wait", json!({"alternative":[secret.clone(), discovery.clone()],"timeout":"2s"}));
    let error = short.refused().await;
    assert_eq!(error.kind, ErrorKind::NotReady);
    assert!(error.detail.contains("istio-ca-cert-csr is not there") && error.detail.contains("discovery"), "{error}");
    let mut either = lab.life("kubernetes_wait", json!({"alternative":[secret, discovery],"timeout":"30s"}));
    let made = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        lab.make(json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"istio-ca-cert-csr","namespace":ns},"data":{"encrypted-csr":"YQ=="}}), "pilot").await;
    };
    futures::future::join(either.apply(), made).await;
    assert_eq!(either.saved.as_ref().and_then(|s| s.get("met")?.as_i64()), Some(0));
    // What was waited for no longer holds: a word, no drift.
    lab.patch(
        &format!("Pod {ns}/istiod"),
        "x",
        json!({"metadata":{"annotations":{mesh_sandbox::READY_ANNOTATION:"hsm-plugin,discovery"}}}),
    )
    .await;
    let mut noted = false;
    for _ in 0..100 {
        assert_eq!(life.verdict().await, Verdict::NoOp);
        noted = life.observe().await.expect("is there").notes.iter().any(|n| n.contains("no longer holds"));
        if noted {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(noted);
}

#[tokio::test]
async fn a_finalizer_that_holds_an_object_is_named() {
    let lab = Lab::new().await;
    let ns = lab.namespace("load").await;
    let mut object = config_map(&ns, "held", json!({}));
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let mut life = lab.life("kubernetes_manifest", json!({"manifest": object, "wait": {"timeout": "1s"}}));
    life.apply().await;
    let before = life.saved.clone();
    let outcome = life.operate(Operation::Delete, before, None, OnExisting::Fail).await;
    let Outcome::Rejected { error, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.detail.contains("example.com/hold"), "{error}");
    lab.patch(&format!("ConfigMap {ns}/held"), "x", json!({"metadata":{"finalizers":null}})).await;
    life.delete().await;
    assert!(life.observe().await.is_none());
}
