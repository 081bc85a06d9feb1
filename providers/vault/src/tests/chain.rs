//! The whole chain with a real cluster: mount, secret, policy, auth backend, configuration and role as this provider
//! makes them; then a service account logs in through the cluster's TokenReview and reads the secret.

use mesh_sandbox::Kubernetes;
use mesh_sdk::ErrorKind;

use super::*;

/// Calls to the API server as the sandbox's administrator.
struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
    ca: String,
}

impl Api {
    fn new(cluster: &Kubernetes) -> Self {
        let kubeconfig = std::fs::read_to_string(&cluster.admin_kubeconfig).expect("a kubeconfig");
        let kubeconfig: Json = serde_json::from_str(&kubeconfig).expect("JSON");
        let token = kubeconfig["users"][0]["user"]["token"].as_str().expect("a token").to_owned();
        let ca = std::fs::read_to_string(&cluster.ca_file).expect("a CA");
        let certificate = reqwest::Certificate::from_pem(ca.as_bytes()).expect("PEM");
        let http = reqwest::Client::builder().tls_certs_only([certificate]).build().expect("a client");
        Self { http, url: cluster.url.clone(), token, ca }
    }

    async fn post(&self, path: &str, body: Json) -> Json {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let reply =
            request.header("content-type", "application/json").body(body.to_string()).send().await.expect("an answer");
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        serde_json::from_str(&reply.text().await.expect("a body")).expect("JSON")
    }

    async fn account(&self, namespace: &str, name: &str) -> String {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.post(&accounts, json!({"metadata": {"name": name}})).await;
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let made = self.post(&format!("{accounts}/{name}/token"), request).await;
        made["status"]["token"].as_str().expect("a token").to_owned()
    }
}

#[tokio::test]
async fn a_service_account_logs_in_and_reads_the_secret() {
    let mut options = Options::temporary(
        default_cache(&PathBuf::from(std::env::var_os("HOME").unwrap_or_default())),
        &std::env::var_os("PATH").unwrap_or_default(),
        [Part::Kubernetes, Part::Vault],
    );
    options.users.clear();
    let sandbox = Sandbox::start(options, &|_: &Event| {}).expect("the sandbox starts");
    let (server, api) = (sandbox.vault().expect("a Vault"), Api::new(sandbox.kubernetes().expect("a cluster")));
    api.post("/api/v1/namespaces", json!({"metadata": {"name": "istio-system"}})).await;
    let (istiod, other) = (api.account("istio-system", "istiod").await, api.account("istio-system", "other").await);
    let reviewer = api.account("istio-system", "reviewer").await;
    api.post(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        json!({
            "metadata": {"name": "reviewer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
            "subjects": [{"kind": "ServiceAccount", "name": "reviewer", "namespace": "istio-system"}],
        }),
    )
    .await;

    let session = open(&config(server, server.root_token())).await.expect("open");
    let rules = "path \"asm-c1/hsm\" { capabilities = [\"read\"] }";
    for (ty, given) in [
        (
            "vault_mount",
            object([
                ("path", string("asm-c1")),
                ("type", string("kv")),
                ("version", string("1")),
                ("max_lease_ttl", string("87600h")),
            ]),
        ),
        (
            "vault_kv_secret",
            object([("mount", string("asm-c1")), ("name", string("hsm")), ("data", map(&[("PIN", "1234-pin")]))]),
        ),
        ("vault_policy", object([("name", string("asm-c1-hsm-policy")), ("policy", string(rules))])),
        ("vault_auth_backend", object([("path", string("asm-c1/hsm")), ("type", string("kubernetes"))])),
        (
            "vault_kubernetes_auth_config",
            object([
                ("backend", string("asm-c1/hsm")),
                ("kubernetes_host", string(&api.url)),
                ("kubernetes_ca_cert", string(&api.ca)),
                ("token_reviewer_jwt", string(&reviewer)),
            ]),
        ),
        (
            "vault_kubernetes_auth_role",
            object([
                ("backend", string("asm-c1/hsm")),
                ("name", string("istiod")),
                ("bound_service_account_names", strings(&["istiod"])),
                ("bound_service_account_namespaces", strings(&["istio-system"])),
                ("policies", strings(&["asm-c1-hsm-policy"])),
                ("ttl", string("768h")),
            ]),
        ),
    ] {
        let mut it = Instance::new(&*session, ty);
        assert_eq!(it.apply(&given).await, Ok(Verdict::Create), "{ty}");
        assert_eq!(it.apply(&given).await, Ok(Verdict::NoOp), "{ty}");
    }

    let login = |jwt: &str| {
        let block = object([
            ("method", string("kubernetes")),
            ("mount", string("asm-c1/hsm")),
            ("role", string("istiod")),
            ("jwt", string(jwt).sensitive()),
        ]);
        config(server, "").with("auth_login", block)
    };
    let pod = open(&login(&istiod)).await.expect("istiod may log in");
    let secret = pod
        .read("vault_kv_secret", &object([("mount", string("asm-c1")), ("name", string("hsm"))]))
        .await
        .expect("readable");
    assert_eq!(
        secret.get("data").map(|d| d.reveal_deep().0).and_then(|d| d.get_str("PIN").map(str::to_owned)).as_deref(),
        Some("1234-pin")
    );
    pod.close().await;
    let error = open(&login(&other)).await.err().expect("another account may not");
    assert_eq!((error.kind, error.summary), (ErrorKind::Denied, "The login to Vault failed"));
    assert!(!error.to_string().contains(&other), "{error}");
}
