//! The container `vault-client`: logs in with the pod's service account token and fetches the HSM's
//! credentials.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::cluster::{Cluster, env};

/// What the secret in Vault holds.
pub(crate) struct Credentials {
    pub(crate) pin: String,
}

/// Logs in over TLS, trusting nothing but the applied CA, and reads the secret.
pub(crate) async fn fetch(cluster: &Cluster, pod: &Pod) -> Result<Credentials, String> {
    let setting = |name: &str| env(pod, "vault-client", name).ok_or_else(|| format!("the container has no {name}"));
    let (address, auth_path, role, secret_path) =
        (setting("VAULT_ADDR")?, setting("VAULT_AUTH_PATH")?, setting("VAULT_ROLE")?, setting("VAULT_SECRET_PATH")?);
    let ca = cluster
        .config_map("vault-tls-cert", "cert")
        .await
        .ok_or("there is no ConfigMap vault-tls-cert with a key cert")?;
    let account =
        pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_else(|| "default".to_owned());
    let jwt = cluster.service_account_token(&account).await?;
    let ca = reqwest::Certificate::from_pem(ca.as_bytes()).map_err(|e| e.to_string())?;
    let http = reqwest::Client::builder()
        .tls_certs_only([ca])
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|e| e.to_string())?;
    let login = json!({ "role": role, "jwt": jwt }).to_string();
    let answer = call(http.post(format!("{address}/v1/{auth_path}")).body(login)).await?;
    let token = answer["auth"]["client_token"].as_str().ok_or("the login gave no token")?.to_owned();
    let answer = call(http.get(format!("{address}/v1/{secret_path}")).header("X-Vault-Token", token)).await?;
    let entry = |name: &str| {
        answer["data"][name].as_str().map(str::to_owned).ok_or_else(|| format!("the secret has no {name}"))
    };
    for name in ["clientcert", "clientkey", "servercert"] {
        if !entry(name)?.contains("-----BEGIN") {
            return Err(format!("{name} in the secret is no PEM"));
        }
    }
    Ok(Credentials { pin: entry("PIN")? })
}

async fn call(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let response = request.send().await.map_err(|e| e.to_string())?;
    let status = response.status();
    let text = response.text().await.map_err(|e| e.to_string())?;
    if !status.is_success() {
        return Err(format!("Vault answers {status}: {}", text.trim()));
    }
    serde_json::from_str(&text).map_err(|e| e.to_string())
}
