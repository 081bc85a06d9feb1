//! Vault: a login that the cluster's real TokenReview answers; sealing a Vault of one's own.

use reqwest::Method;
use serde_json::{Value, json};

use super::kubernetes::{client, namespace};
use super::shared;
use crate::http::Http;
use crate::{Sandbox, Vault};

fn vault_client(vault: &Vault, token: &str) -> Http {
    Http::new(&vault.address, &vault.ca_file, ("X-Vault-Token", token.to_owned())).expect("a client")
}

fn account(api: &Http, namespace: &str, name: &str) -> String {
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    api.call(Method::POST, &accounts, &json!({"metadata": {"name": name}})).expect("the account is created");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = api.call(Method::POST, &format!("{accounts}/{name}/token"), &request).expect("a token");
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_service_account_logs_in_through_the_real_token_review() {
    let sandbox = shared();
    let (cluster, vault) = (sandbox.kubernetes().expect("a cluster"), sandbox.vault().expect("a vault"));
    let api = client(cluster, "admin");
    let namespace = namespace(&api, sandbox);
    let (istiod, other) = (account(&api, &namespace, "istiod"), account(&api, &namespace, "other"));
    let reviewer = account(&api, &namespace, "reviewer");
    let binding = json!({
        "metadata": {"name": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "reviewer", "namespace": namespace}],
    });
    api.call(Method::POST, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).expect("bound");

    let root = vault_client(vault, vault.root_token());
    let put = |path: &str, body: &Value| root.call(Method::POST, path, body).expect("vault takes it");
    let (auth, kv) = (sandbox.mount("asm/hsm"), sandbox.mount("kv"));
    put(&format!("/v1/sys/mounts/{kv}"), &json!({"type": "kv", "options": {"version": "2"}}));
    put(&format!("/v1/{kv}/data/hsm"), &json!({"data": {"pin": "1234"}}));
    let policy = format!("path \"{kv}/data/hsm\" {{ capabilities = [\"read\"] }}");
    put(&format!("/v1/sys/policies/acl/{kv}"), &json!({"policy": policy}));
    put(&format!("/v1/sys/auth/{auth}"), &json!({"type": "kubernetes"}));
    let ca = std::fs::read_to_string(&cluster.ca_file).expect("the CA is readable");
    let config = json!({"kubernetes_host": cluster.url, "kubernetes_ca_cert": ca, "token_reviewer_jwt": reviewer});
    put(&format!("/v1/auth/{auth}/config"), &config);
    let role = json!({
        "bound_service_account_names": "istiod", "bound_service_account_namespaces": namespace, "token_policies": [kv], "token_ttl": "10m",
    });
    put(&format!("/v1/auth/{auth}/role/istiod"), &role);

    let login =
        |jwt: &str| root.call(Method::POST, &format!("/v1/auth/{auth}/login"), &json!({"role": "istiod", "jwt": jwt}));
    let token =
        login(&istiod).expect("istiod may log in")["auth"]["client_token"].as_str().expect("a token").to_owned();
    let secret =
        vault_client(vault, &token).call(Method::GET, &format!("/v1/{kv}/data/hsm"), &Value::Null).expect("readable");
    assert_eq!(secret["data"]["data"]["pin"], "1234");
    let refused = login(&other).expect_err("the role is bound to istiod");
    assert!(refused.to_string().contains("403"), "{refused}");
    let forged = format!("{}x", &istiod[..istiod.len() - 8]);
    assert!(login(&forged).is_err(), "a token with a wrong signature");
}

#[test]
fn an_extra_vault_seals_and_unseals_with_its_content() {
    let sandbox: &Sandbox = shared();
    let vault = sandbox.extra_vault().expect("it starts");
    let root = vault_client(&vault, vault.root_token());
    root.call(Method::POST, "/v1/secret/data/kept", &json!({"data": {"a": "b"}})).expect("written");
    vault.seal().expect("sealed");
    let refused = root.call(Method::GET, "/v1/secret/data/kept", &Value::Null).expect_err("sealed");
    assert!(refused.to_string().contains("Vault is sealed"), "{refused}");
    assert!(vault_client(sandbox.vault().expect("a vault"), "").ok("/v1/sys/health"), "the shared one is not touched");
    vault.unseal().expect("unsealed");
    let kept = root.call(Method::GET, "/v1/secret/data/kept", &Value::Null).expect("readable");
    assert_eq!(kept["data"]["data"]["a"], "b");
    let address = vault.address.clone();
    drop(vault);
    assert!(std::net::TcpStream::connect(address.trim_start_matches("https://")).is_err(), "it is stopped");
}
