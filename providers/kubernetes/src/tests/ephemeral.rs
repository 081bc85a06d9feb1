//! Ephemeral types.

use mesh_sdk::conformance;

use super::*;

#[tokio::test]
async fn a_requested_token_is_one_of_the_account_for_its_audience() {
    let lab = Lab::new().await;
    let namespace = lab.namespace("token").await;
    let account = json!({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"app","namespace":namespace}});
    lab.make(account, "kubectl").await;
    let config = json!({
        "namespace": namespace, "service_account": "app", "audiences": ["vault"], "expiration_seconds": 900,
    });
    let open = async |config: &Json| {
        conformance::open(&lab.provider, &lab.session, "kubernetes_token_request", &from_json(config), None).await
    };
    let opened = open(&config).await.expect("opens");
    let token = opened.value.get_str("token").expect("a token");
    assert!(opened.value.get_str("expiration_timestamp").is_some_and(|t| t.ends_with('Z')));
    assert_eq!((opened.private.as_ref(), opened.renew_after), (None, None));
    // The API server itself says whose it is, and for whom.
    let review = |audience: &str| {
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": [audience] },
        })
    };
    for (audience, accepted) in [("vault", true), ("somebody-else", false)] {
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let answer = lab.cluster().call(http::Method::POST, path, Payload::Plain(&review(audience))).await;
        let status = &answer.expect("is reviewed").json["status"];
        assert_eq!(status["authenticated"].as_bool().unwrap_or(false), accepted, "{audience}: {}", status["error"]);
        if accepted {
            assert_eq!(status["user"]["username"], format!("system:serviceaccount:{namespace}:app"));
        }
    }
    let mut bad = config.clone();
    bad["service_account"] = "none".into();
    let error = open(&bad).await.expect_err("no account");
    assert!(error.contains("There is no ServiceAccount"), "{error}");
    bad = config.clone();
    bad["expiration_seconds"] = 5.into();
    let error = open(&bad).await.expect_err("too short");
    assert!(error.contains("600"), "{error}");
}
