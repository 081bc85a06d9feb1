//! Data sources, logins and the identity of the cluster.

use super::*;

#[tokio::test]
async fn data_sources_read_both_kv_versions_health_and_capabilities() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    for (body, version) in
        [(json!({"type": "kv"}), None), (json!({"type": "kv", "options": {"version": "2"}}), Some(1))]
    {
        let mount = sandbox().mount("nested/kv");
        write(&root, &format!("sys/mounts/{mount}"), body).await;
        let (path, secret) = match version {
            None => (format!("{mount}/a/b"), json!({"PIN": "canary", "n": 5})),
            Some(_) => (format!("{mount}/data/a/b"), json!({"data": {"PIN": "canary", "n": 5}})),
        };
        write(&root, &path, secret).await;
        let asked = object([("mount", string(&mount)), ("name", string("a/b"))]);
        let read = session.read("vault_kv_secret", &asked).await.expect("read");
        let data = read.get("data").expect("data").reveal_deep().0;
        assert_eq!((data.get_str("PIN"), data.get_str("n")), (Some("canary"), Some("5")));
        assert_eq!(read.get("version").and_then(Value::as_i64), version);
        assert!(!format!("{read:?}").contains("canary"));
        let error = session.read("vault_kv_secret", &asked.with("name", string("none"))).await.expect_err("absent");
        assert_eq!(error.summary, "The secret does not exist");
    }
    let health = session.read("vault_health", &object([])).await.expect("read");
    assert_eq!(
        (health.get_str("version"), health.get("sealed").and_then(Value::as_bool)),
        (Some("1.21.2"), Some(false))
    );
    assert_eq!(health.get_str("cluster_id"), session.target().as_deref());
    let paths = object([("paths", strings(&["sys/mounts"]))]);
    let capabilities = session.read("vault_capabilities", &paths).await.expect("read");
    assert_eq!(format!("{:?}", capabilities.get("capabilities")), "Some({ \"sys/mounts\" = [\"root\"] })");
}

#[tokio::test]
async fn approle_logs_in_and_its_token_ends_with_the_session() {
    let root = foreign(server()).await;
    let mount = sandbox().mount("approle");
    write(&root, &format!("sys/auth/{mount}"), json!({"type": "approle"})).await;
    write(&root, &format!("auth/{mount}/role/mesh"), json!({"token_ttl": "10m"})).await;
    let role_id = root.read(&format!("auth/{mount}/role/mesh/role-id")).await.expect("readable").expect("there");
    let secret_id = write(&root, &format!("auth/{mount}/role/mesh/secret-id"), json!({})).await;
    let login = |secret: &str| {
        let block = object([
            ("method", string("approle")),
            ("mount", string(&mount)),
            ("role_id", string(role_id["role_id"].as_str().expect("an id"))),
            ("secret_id", string(secret).sensitive()),
        ]);
        config(server(), "").with("auth_login", block)
    };
    let session = open(&login(secret_id["data"]["secret_id"].as_str().expect("an id"))).await.expect("logged in");
    assert!(session.target().is_some());
    let asked = object([("paths", strings(&["auth/token/lookup-self"]))]);
    assert!(session.read("vault_capabilities", &asked).await.is_ok());
    session.close().await;
    let error = session.read("vault_capabilities", &asked).await.expect_err("the token is revoked");
    assert_eq!(error.summary, "Vault does not accept the token");
    let error = open(&login("canary-secret-id")).await.err().expect("a wrong secret id");
    assert!(error.summary == "The login to Vault failed" && !error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn an_import_finds_the_object_by_its_path_alone() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let mount = sandbox().mount("deep/kv");
    write(&root, &format!("sys/mounts/{mount}"), json!({"type": "kv", "options": {"version": "2"}})).await;
    write(&root, &format!("{mount}/data/x/y"), json!({"data": {"a": "b"}})).await;
    for (ty, id, attribute, expected) in [
        ("vault_mount", mount.clone(), "path", mount.as_str()),
        ("vault_mount", format!("sys/mounts/{mount}"), "version", "2"),
        ("vault_kv_secret_v2", format!("{mount}/data/x/y"), "name", "x/y"),
        ("vault_kv_secret_v2", format!("{mount}/data/x/y"), "mount", mount.as_str()),
        ("vault_policy", "default".to_owned(), "name", "default"),
        ("vault_auth_backend", "token".to_owned(), "type", "token"),
    ] {
        let it = Instance::new(&*session, ty);
        let request =
            ObserveRequest { identity: Some(Identity(Arc::from(id))), desired: None, ..it.request(&Value::NULL) };
        match session.observe(vec![request]).await.pop() {
            Some(Ok(Observation::Present(seen))) => assert_eq!(seen.values.get_str(attribute), Some(expected), "{ty}"),
            other => panic!("{ty}: {other:?}"),
        }
    }
}
