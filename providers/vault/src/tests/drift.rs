//! What somebody else changed is seen and repaired, and nothing else is touched on the way.

use super::*;

async fn auth_backend(root: &Client) -> String {
    let path = sandbox().mount("asm/hsm");
    write(root, &format!("sys/auth/{path}"), json!({"type": "kubernetes"})).await;
    path
}

/// Beyond the life of an entry in the cache of listings.
async fn later() {
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn the_reviewers_token_survives_an_unrelated_update_and_its_loss_is_seen() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let backend = auth_backend(&root).await;
    let config = |host: &str| {
        object([
            ("backend", string(&backend)),
            ("kubernetes_host", string(host)),
            ("token_reviewer_jwt", string("a.b.c")),
            ("disable_local_ca_jwt", Value::bool(true)),
        ])
    };
    let path = format!("auth/{backend}/config");
    let mut it = Instance::new(&*session, "vault_kubernetes_auth_config");
    assert_eq!(it.apply(&config("https://192.0.2.1")).await, Ok(Verdict::Create));
    assert_eq!(it.apply(&config("https://192.0.2.2")).await, Ok(Verdict::Update));
    let seen = root.read(&path).await.expect("readable").expect("there");
    assert_eq!(
        (&seen["token_reviewer_jwt_set"], &seen["kubernetes_host"]),
        (&json!(true), &json!("https://192.0.2.2"))
    );
    assert_eq!(it.apply(&config("https://192.0.2.2")).await, Ok(Verdict::NoOp));

    write(&root, &path, json!({"kubernetes_host": "https://192.0.2.2", "disable_local_ca_jwt": true})).await;
    let plan = it.plan(&config("https://192.0.2.2")).await.expect("planned");
    assert_eq!(plan.verdict, Verdict::Update, "somebody erased the token");
    let set = |v: &Value| v.get("token_reviewer_jwt_set").and_then(Value::as_bool);
    assert_eq!((set(&plan.before), set(&plan.after)), (Some(false), Some(true)));
    assert_eq!(it.apply(&config("https://192.0.2.2")).await, Ok(Verdict::Update));
    assert_eq!(root.read(&path).await.expect("readable").expect("there")["token_reviewer_jwt_set"], json!(true));
    assert_eq!(it.apply(&config("https://192.0.2.2")).await, Ok(Verdict::NoOp));
}

#[tokio::test]
async fn foreign_changes_are_seen_and_repaired() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let backend = auth_backend(&root).await;
    let kv = sandbox().mount("kv");
    let given = [
        (
            "vault_mount",
            object([
                ("path", string(&kv)),
                ("type", string("kv")),
                ("version", string("1")),
                ("max_lease_ttl", string("87600h")),
            ]),
        ),
        (
            "vault_kv_secret",
            object([("mount", string(&kv)), ("name", string("hsm")), ("data", map(&[("PIN", "1234-secret")]))]),
        ),
        (
            "vault_policy",
            object([("name", string(&kv)), ("policy", string("path \"a\" { capabilities = [\"read\"] }"))]),
        ),
        (
            "vault_kubernetes_auth_role",
            object([
                ("backend", string(&backend)),
                ("name", string("istiod")),
                ("bound_service_account_names", strings(&["a"])),
                ("bound_service_account_namespaces", strings(&["n"])),
                ("policies", strings(&[&kv])),
                ("ttl", string("768h")),
            ]),
        ),
    ];
    let mut instances = Vec::new();
    for (ty, given) in &given {
        let mut it = Instance::new(&*session, ty);
        assert_eq!(it.apply(given).await, Ok(Verdict::Create), "{ty}");
        assert_eq!(it.apply(given).await, Ok(Verdict::NoOp), "{ty}");
        instances.push(it);
    }
    assert!(
        instances[3].warnings.iter().any(|w| w.contains("audience")),
        "the server's warning is handed on: {:?}",
        instances[3].warnings
    );
    write(&root, &format!("sys/mounts/{kv}/tune"), json!({"max_lease_ttl": "1h"})).await;
    write(&root, &format!("{kv}/hsm"), json!({"PIN": "1234-secret", "foreign": "x"})).await;
    write(
        &root,
        &format!("sys/policies/acl/{kv}"),
        json!({"policy": "path \"a\" { capabilities = [\"read\", \"delete\"] }"}),
    )
    .await;
    write(&root, &format!("auth/{backend}/role/istiod"), json!({"token_ttl": "1h"})).await;
    later().await;
    let changed = ["max_lease_ttl", "data", "policy", "ttl"];
    for ((it, (ty, given)), attribute) in instances.iter_mut().zip(&given).zip(changed) {
        let plan = it.plan(given).await.expect("planned");
        let differs: Vec<&str> = it
            .schema()
            .schema
            .attributes
            .iter()
            .map(|a| a.name)
            .filter(|n| {
                let (before, after) = (plan.before.get(n), plan.after.get(n));
                !matches!((before, after), (Some(b), Some(a)) if b.same(a))
            })
            .collect();
        assert_eq!((&plan.verdict, differs.as_slice()), (&Verdict::Update, [attribute].as_slice()), "{ty}");
        assert_eq!(it.apply(given).await, Ok(Verdict::Update), "{ty}");
        assert_eq!(it.apply(given).await, Ok(Verdict::NoOp), "{ty}");
    }
    assert!(root.call(crate::wire::Method::Delete, &format!("sys/mounts/{kv}"), None, Content::Open).await.is_ok());
    later().await;
    for (n, (it, (ty, given))) in instances.iter_mut().zip(&given).enumerate().take(2) {
        assert_eq!(it.apply(given).await, Ok(Verdict::Create), "{n} {ty}: gone with its mount");
    }
}

#[tokio::test]
async fn a_newer_version_is_not_overwritten_and_an_existing_object_not_taken() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let kv = sandbox().mount("kv");
    write(&root, &format!("sys/mounts/{kv}"), json!({"type": "kv", "options": {"version": "2"}})).await;
    let given = |pin: &str| object([("mount", string(&kv)), ("name", string("hsm")), ("data", map(&[("PIN", pin)]))]);
    let mut it = Instance::new(&*session, "vault_kv_secret_v2");
    assert_eq!(it.apply(&given("1")).await, Ok(Verdict::Create));
    let plan = it.plan(&given("2")).await.expect("planned");
    write(&root, &format!("{kv}/data/hsm"), json!({"data": {"PIN": "theirs"}})).await;
    let outcome = session.apply(vec![it.operation(&plan)]).await.pop().expect("one");
    let error = it.keep(outcome).expect_err("the version moved on");
    assert_eq!((error.kind, error.summary), (mesh_sdk::ErrorKind::Conflict, "The secret changed since the plan"));
    assert_eq!(it.apply(&given("2")).await, Ok(Verdict::Update), "after a new plan");

    // A deleted version is absence; the secret comes back as the next version.
    assert!(root.delete(&format!("{kv}/data/hsm")).await.is_ok());
    assert_eq!(it.apply(&given("3")).await, Ok(Verdict::Create));
    assert_eq!(it.saved.as_ref().and_then(|s| s.get("version")).and_then(Value::as_i64), Some(4));

    // Adoption: a second instance finds the object of the first.
    let mut other = Instance::new(&*session, "vault_kv_secret_v2");
    let desired = other.shape(&given("4"));
    let plan = other.decide(None, &desired);
    let mut operation = other.operation(&plan);
    let refused = session.apply(vec![operation.clone()]).await.pop().expect("one");
    let error = other.keep(refused).expect_err("it exists");
    assert!(error.detail.contains("on_existing = \"adopt\""), "{error}");
    operation.on_existing = OnExisting::Adopt;
    let adopted = session.apply(vec![operation]).await.pop().expect("one");
    other.keep(adopted).expect("adopted");
    assert_eq!(other.apply(&given("4")).await, Ok(Verdict::NoOp));
}

#[tokio::test]
async fn a_mount_of_another_kind_is_not_adopted() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let path = sandbox().mount("kv");
    write(&root, &format!("sys/mounts/{path}"), json!({"type": "kv", "options": {"version": "2"}})).await;
    let it = Instance::new(&*session, "vault_mount");
    let desired = |version: &str| {
        it.shape(&object([
            ("path", string(&path)),
            ("type", string("kv")),
            ("version", string(version)),
            ("max_lease_ttl", string("9h")),
        ]))
    };
    let mut operation = it.operation(&it.decide(None, &desired("1")));
    operation.on_existing = OnExisting::Adopt;
    let Some(Outcome::Rejected { error, .. }) = session.apply(vec![operation.clone()]).await.pop() else {
        panic!("adopted")
    };
    assert_eq!(error.summary, "What exists cannot be adopted");
    operation.after = Some(it.decide(None, &desired("2")).after);
    let Some(Outcome::Applied { values, .. }) = session.apply(vec![operation]).await.pop() else {
        panic!("not adopted")
    };
    assert_eq!(values.get_str("max_lease_ttl"), Some("9h"));
}

#[tokio::test]
async fn a_secret_of_the_wrong_kv_version_is_refused() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let (one, two) = (sandbox().mount("kv"), sandbox().mount("kv"));
    write(&root, &format!("sys/mounts/{one}"), json!({"type": "kv"})).await;
    write(&root, &format!("sys/mounts/{two}"), json!({"type": "kv", "options": {"version": "2"}})).await;
    for (ty, mount) in [("vault_kv_secret_v2", &one), ("vault_kv_secret", &two)] {
        let mut it = Instance::new(&*session, ty);
        let error = it
            .apply(&object([("mount", string(mount)), ("name", string("a")), ("data", map(&[("k", "v")]))]))
            .await
            .expect_err(ty);
        assert_eq!(error.summary, "The KV mount has another version", "{ty}: {error}");
    }
    assert!(root.read(&format!("{one}/data/a")).await.expect("readable").is_none(), "nothing was written");
}
