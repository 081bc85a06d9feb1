//! Bad servers and bad tokens give errors that say what to do, and no error shows a secret.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use mesh_sdk::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn wrong_and_expired_tokens_say_so() {
    let error = open(&config(server(), "hvs.canary-wrong")).await.err().expect("a wrong token");
    assert_eq!((error.kind, error.summary), (ErrorKind::Denied, "Vault does not accept the token"));
    assert!(error.detail.contains("VAULT_TOKEN") && !error.to_string().contains("canary"), "{error}");

    let root = foreign(server()).await;
    let short = write(&root, "auth/token/create", json!({"policies": ["default"], "ttl": "30s"})).await;
    let short = short["auth"]["client_token"].as_str().expect("a token");
    let error = open(&config(server(), short)).await.err().expect("a token that ends soon");
    assert_eq!((error.kind, error.summary), (ErrorKind::Denied, "The Vault token is about to expire"));

    // Revoked in the middle of a session.
    let made = write(&root, "auth/token/create", json!({"policies": ["default"], "ttl": "1h"})).await;
    let token = made["auth"]["client_token"].as_str().expect("a token");
    let session = session(token).await;
    write(&root, "auth/token/revoke", json!({"token": token})).await;
    let it = Instance::new(&*session, "vault_policy");
    let error = it.plan(&object([("name", string("default")), ("policy", string(""))])).await.expect_err("revoked");
    assert_eq!(error.summary, "Vault does not accept the token");
}

#[tokio::test]
async fn denied_is_never_absent_and_names_the_capability() {
    let root = foreign(server()).await;
    let session = session(&limited_token(&root, "path \"nothing\" { capabilities = [\"read\"] }").await).await;
    for (ty, given) in [
        ("vault_policy", object([("name", string("default")), ("policy", string(""))])),
        ("vault_mount", object([("path", string("secret")), ("type", string("kv"))])),
        ("vault_auth_backend", object([("path", string("token")), ("type", string("token"))])),
        ("vault_kv_secret", object([("mount", string("secret")), ("name", string("x")), ("data", map(&[("a", "b")]))])),
        ("vault_kubernetes_auth_config", object([("backend", string("k")), ("kubernetes_host", string("https://h"))])),
    ] {
        let error = Instance::new(&*session, ty).plan(&given).await.expect_err(ty);
        assert_eq!((error.kind, error.summary), (ErrorKind::Denied, "The Vault token may not do this"), "{ty}");
        assert!(error.detail.contains("capabilities = [\"read\""), "{ty}: {error}");
    }
}

#[tokio::test]
async fn a_sealed_vault_fails_at_once() {
    let vault = sandbox().extra_vault().expect("a vault of its own");
    // Trying that often would take more than a minute.
    let config = config(&vault, vault.root_token()).with("max_retries", Value::number(20));
    let session = open(&config).await.expect("open");
    vault.seal().expect("sealed");
    let started = std::time::Instant::now();
    let error = open(&config).await.err().expect("sealed");
    assert_eq!((error.kind, error.summary), (ErrorKind::Unreachable, "Vault is sealed"));
    assert!(error.detail.contains("unseal"), "{error}");
    let it = Instance::new(&*session, "vault_policy");
    let error = it.plan(&object([("name", string("p")), ("policy", string(""))])).await.expect_err("sealed");
    assert_eq!(error.summary, "Vault is sealed");
    assert!(started.elapsed() < Duration::from_secs(20), "no tries while sealed: {:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_no_vault_is_unreachable() {
    let port = mesh_sandbox::free_port().expect("a port");
    let given = |address: String| {
        object([
            ("address", string(&address)),
            ("token", string("hvs.canary")),
            ("ca_cert_file", string(&server().ca_file.display().to_string())),
            ("max_retries", Value::number(0)),
        ])
    };
    let error = open(&given(format!("https://127.0.0.1:{port}"))).await.err().expect("nobody listens");
    assert!(error.kind == ErrorKind::Unreachable && error.detail.contains("Check `address`"), "{error}");
    let plain = server().address.replace("https", "http");
    let error = open(&given(plain)).await.err().expect("HTTP to an HTTPS server");
    assert!(!error.to_string().contains("canary"), "{error}");
    let system = Value::object([("address", string(&server().address)), ("token", string("hvs.canary"))]);
    let error = open(&system).await.err().expect("the CA is not the system's");
    assert!(error.kind == ErrorKind::Unreachable && error.detail.contains("ca_cert_file"), "{error}");
}

#[tokio::test]
async fn a_server_name_is_checked_in_place_of_the_address() {
    let given = config(server(), server().root_token());
    let error = open(&given.with("tls_server_name", string("other.example"))).await.err().expect("another name");
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(open(&given.with("tls_server_name", string("localhost"))).await.is_ok(), "a name in the certificate");
}

#[tokio::test]
async fn the_rate_limit_is_waited_for() {
    let vault = sandbox().extra_vault().expect("a vault of its own");
    let root = foreign(&vault).await;
    write(&root, "sys/mounts/slow", json!({"type": "kv"})).await;
    write(&root, "slow/a", json!({"k": "v"})).await;
    write(&root, "sys/quotas/rate-limit/slow", json!({"rate": 4, "interval": "1s", "path": "slow/"})).await;
    let started = std::time::Instant::now();
    let session = open(&config(&vault, vault.root_token()).with("max_retries", Value::number(20))).await.expect("open");
    let it = Instance::new(&*session, "vault_kv_secret");
    let given = object([("mount", string("slow")), ("name", string("a")), ("data", map(&[("k", "v")]))]);
    let plans = futures::future::join_all((0..10).map(|_| it.plan(&given))).await;
    assert!(plans.iter().all(Result::is_ok), "{plans:?}");
    assert!(started.elapsed() > Duration::from_secs(1), "the limit was in force: {:?}", started.elapsed());
}

#[tokio::test]
async fn the_servers_words_are_redacted() {
    let root = foreign(server()).await;
    let path = format!("auth/{}/config", sandbox().mount("k"));
    let error = root
        .write(&path, &json!({"token_reviewer_jwt": "canary.a.b"}), Content::Secret)
        .await
        .err()
        .expect("no such mount");
    assert!(
        error.error.summary == "There is no mount at this path" && !format!("{error:?}").contains("canary"),
        "{error:?}"
    );
    assert!(!format!("{root:?}").contains(server().root_token()));
}

/// Passes bytes to the server; while `cut` is set, drops a connection when its next answer comes.
async fn cutting_proxy(cut: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let cut = cut.clone();
            tokio::spawn(async move {
                let upstream =
                    TcpStream::connect(server().address.trim_start_matches("https://")).await.expect("the server");
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = upstream.into_split();
                let up = async move { tokio::io::copy(&mut from_client, &mut to_server).await.map(|_| ()) };
                let down = async move {
                    let mut buffer = vec![0; 65536];
                    loop {
                        let n = from_server.read(&mut buffer).await?;
                        if n == 0 || cut.fetch_update(Relaxed, Relaxed, |c| c.checked_sub(1)).is_ok() {
                            return Ok(());
                        }
                        to_client.write_all(&buffer[..n]).await?;
                    }
                };
                let _: std::io::Result<()> = tokio::select! { r = up => r, r = down => r };
            });
        }
    });
    address
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_when_reading_and_in_doubt_when_writing() {
    let root = foreign(server()).await;
    let cut = Arc::new(AtomicUsize::new(0));
    let address = cutting_proxy(cut.clone()).await;
    let session = open(&config(server(), server().root_token()).with("address", string(&address))).await.expect("open");
    let name = sandbox().mount("policy");
    let given = object([("name", string(&name)), ("policy", string("path \"a\" { capabilities = [\"read\"] }"))]);
    let mut it = Instance::new(&*session, "vault_policy");
    cut.store(1, Relaxed);
    let plan = it.plan(&given).await.expect("the second try is answered");
    let path = format!("sys/policies/acl/{name}");
    // The look-up is a read of its own; warm it, so that the write is what is cut.
    assert_eq!(session.observe(vec![it.request(&it.shape(&given)); 3]).await.len(), 3);
    cut.store(1, Relaxed);
    let outcome = session.apply(vec![it.operation(&plan)]).await.pop().expect("one");
    assert!(matches!(&outcome, Outcome::InDoubt { error } if error.summary == "Vault did not answer"), "{outcome:?}");
    assert!(root.read(&path).await.expect("readable").is_some(), "it was done all the same");
    it.identity = it.request(&it.shape(&given)).identity;
    assert_eq!(it.plan(&given).await.map(|p| p.verdict), Ok(Verdict::NoOp));
}
