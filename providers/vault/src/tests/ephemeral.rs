//! Ephemeral types, and secrets that only Vault keeps.

use mesh_sdk::conformance;

use super::*;

/// What Vault says of a token.
async fn lookup(root: &Client, token: &str) -> Option<Json> {
    let answer = root.write("auth/token/lookup", &json!({ "token": token }), Content::Open).await;
    answer.ok().map(|reply| reply.data().clone())
}

fn secret_of(value: &Value) -> String {
    value.get_str("client_token").expect("a token").to_owned()
}

#[tokio::test]
async fn a_token_is_renewed_and_revoked_with_no_more_rights_than_to_create_it() {
    let root = foreign(server()).await;
    let rules = "path \"auth/token/create\" { capabilities = [\"create\", \"update\"] }";
    let session = session(&limited_token(&root, rules).await).await;
    let config = object([
        ("policies", strings(&["default"])),
        ("ttl", string("5m")),
        ("explicit_max_ttl", string("2h")),
        ("display_name", string("deploy")),
        ("metadata", map(&[("stack", "edge")])),
    ]);
    let opened = conformance::open(&*provider(), &*session, "vault_token", &config, None).await.expect("opens");
    let token = secret_of(&opened.value);
    let seen = lookup(&root, &token).await.expect("it is there");
    assert_eq!((&seen["creation_ttl"], &seen["explicit_max_ttl"]), (&json!(300), &json!(7200)));
    assert_eq!((&seen["policies"], &seen["meta"]["stack"]), (&json!(["default"]), &json!("edge")));
    assert_eq!(seen["display_name"], "token-deploy");
    assert_eq!(opened.renew_after.map(|d| d.as_secs()), Some(200), "two thirds of its life");
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let aged = lookup(&root, &token).await.expect("it is there")["ttl"].as_u64().expect("a number");
    let renewed = session.renew_ephemeral("vault_token", opened.private.as_ref()).await.expect("renews");
    let fresh = lookup(&root, &token).await.expect("it is there")["ttl"].as_u64().expect("a number");
    assert!(aged < 299 && fresh > aged, "{aged} {fresh}");
    assert_eq!(renewed.renew_after.map(|d| d.as_secs()), Some(200));
    for _ in 0..2 {
        session.close_ephemeral("vault_token", renewed.private.as_ref()).await.expect("closes, also twice");
        assert!(lookup(&root, &token).await.is_none(), "it is revoked");
    }
}

#[tokio::test]
async fn a_token_without_the_default_policy_is_revoked_by_its_accessor() {
    let root = foreign(server()).await;
    let role = sandbox().mount("role");
    write(&root, &format!("auth/token/roles/{role}"), json!({ "allowed_policies": ["team"], "orphan": true })).await;
    let update = "{ capabilities = [\"create\", \"update\"] }";
    let rules = format!(
        "path \"auth/token/create/{role}\" {update}
         path \"auth/token/renew-accessor\" {update}
         path \"auth/token/revoke-accessor\" {update}"
    );
    let session = session(&limited_token(&root, &rules).await).await;
    let config = object([
        ("role_name", string(&role)),
        ("policies", strings(&["team"])),
        ("ttl", string("90s")),
        ("no_default_policy", Value::bool(true)),
    ]);
    let opened = conformance::open(&*provider(), &*session, "vault_token", &config, None).await.expect("opens");
    let token = secret_of(&opened.value);
    let seen = lookup(&root, &token).await.expect("it is there");
    assert_eq!((&seen["policies"], &seen["orphan"]), (&json!(["team"]), &json!(true)));
    let renewed = session.renew_ephemeral("vault_token", opened.private.as_ref()).await.expect("renews");
    session.close_ephemeral("vault_token", renewed.private.as_ref()).await.expect("closes");
    assert!(lookup(&root, &token).await.is_none(), "it is revoked");
    // One that ended early is an error to renew, and none to close.
    let opened = conformance::open(&*provider(), &*session, "vault_token", &config, None).await.expect("opens");
    write(&root, "auth/token/revoke", json!({ "token": secret_of(&opened.value) })).await;
    let error = session.renew_ephemeral("vault_token", opened.private.as_ref()).await.expect_err("it has ended");
    assert_eq!(error.summary, "Vault does not accept the token");
    session.close_ephemeral("vault_token", opened.private.as_ref()).await.expect("closes");
    let once = config.with("renewable", Value::bool(false));
    let opened = conformance::open(&*provider(), &*session, "vault_token", &once, None).await.expect("opens");
    assert_eq!(opened.renew_after, None);
    session.close_ephemeral("vault_token", opened.private.as_ref()).await.expect("closes");
    for (name, bad) in [("role_name", "a/b"), ("ttl", "soon"), ("role_name", "none")] {
        let config = config.with(name, string(bad));
        assert!(conformance::open(&*provider(), &*session, "vault_token", &config, None).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_secret_is_read_from_both_versions_of_kv() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    for version in ["1", "2"] {
        let mount = sandbox().mount("kv");
        write(&root, &format!("sys/mounts/{mount}"), json!({"type": "kv", "options": {"version": version}})).await;
        let (path, body) = match version {
            "1" => (format!("{mount}/a"), json!({"PIN": "canary"})),
            _ => (format!("{mount}/data/a"), json!({"data": {"PIN": "canary"}})),
        };
        write(&root, &path, body).await;
        let config = object([("mount", string(&mount)), ("name", string("a"))]);
        let opened = conformance::open(&*provider(), &*session, "vault_kv_secret", &config, Some("canary")).await;
        let opened = opened.expect("opens");
        let data = opened.value.get("data").expect("data").reveal_deep().0;
        assert_eq!((data.get_str("PIN"), opened.private, opened.renew_after), (Some("canary"), None, None));
        let none = config.with("name", string("none"));
        assert!(conformance::open(&*provider(), &*session, "vault_kv_secret", &none, None).await.is_err());
    }
}

#[tokio::test]
async fn a_secret_that_only_vault_keeps_is_written_with_its_version_and_known_to_nobody() {
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    for ty in ["vault_kv_secret", "vault_kv_secret_v2"] {
        let two = ty == "vault_kv_secret_v2";
        let mount = sandbox().mount("wo");
        let version = if two { "2" } else { "1" };
        write(&root, &format!("sys/mounts/{mount}"), json!({"type": "kv", "options": {"version": version}})).await;
        let path = if two { format!("{mount}/data/s") } else { format!("{mount}/s") };
        let there = async || {
            let found = root.read(&path).await.expect("readable").expect("there");
            if two { found["data"].clone() } else { found }
        };
        let secret = |content: &str, version: i64| {
            object([
                ("mount", string(&mount)),
                ("name", string("s")),
                ("data_wo", map(&[("PIN", content)])),
                ("data_wo_version", Value::number(version)),
            ])
        };
        let mut it = Instance::new(&*session, ty);
        assert_eq!(it.apply(&secret("canary-1", 1)).await, Ok(Verdict::Create), "{ty}");
        assert_eq!(there().await, json!({"PIN": "canary-1"}));
        assert!(it.saved.as_ref().and_then(|s| s.get("data")).is_some_and(Value::is_null), "{:?}", it.saved);
        assert!(!format!("{:?} {:?}", it.saved, it.plan(&secret("canary-1", 1)).await).contains("canary"));
        assert_eq!(it.plan(&secret("canary-1", 1)).await.map(|p| p.verdict), Ok(Verdict::NoOp));
        // Somebody else's value is not looked at; a new version writes again.
        let foreign = if two { json!({"data": {"PIN": "other"}}) } else { json!({"PIN": "other"}) };
        write(&root, &path, foreign).await;
        assert_eq!(it.plan(&secret("canary-1", 1)).await.map(|p| p.verdict), Ok(Verdict::NoOp));
        assert_eq!(it.apply(&secret("canary-1", 2)).await, Ok(Verdict::Update));
        assert_eq!(there().await, json!({"PIN": "canary-1"}));
        // To the readable form and back.
        let open = object([("mount", string(&mount)), ("name", string("s")), ("data", map(&[("PIN", "open")]))]);
        assert_eq!(it.apply(&open).await, Ok(Verdict::Update));
        assert_eq!(there().await, json!({"PIN": "open"}));
        assert_eq!(it.plan(&open).await.map(|p| p.verdict), Ok(Verdict::NoOp));
        assert_eq!(it.apply(&secret("canary-3", 1)).await, Ok(Verdict::Update));
        assert_eq!(there().await, json!({"PIN": "canary-3"}));
        assert!(it.saved.as_ref().and_then(|s| s.get("data")).is_some_and(Value::is_null));
    }
    let rules = provider();
    let rules = rules.rules("vault_kv_secret").expect("a type");
    let named = object([("mount", string("m")), ("name", string("n"))]);
    let both = named.with("data", map(&[("a", "b")])).with("data_wo", map(&[("a", "b")]));
    for (config, at) in [(named, "data"), (both, "data_wo")] {
        assert_eq!(rules.validate(&config).iter().map(|p| p.path.root()).collect::<Vec<_>>(), [Some(at)]);
    }
}
