//! The `provider "kubernetes"` block, and the client that it gives.
//!
//! The one decision: nothing is taken from the surroundings. No default kubeconfig, no environment,
//! no in-cluster account: with nothing given it is an error, so that no plan runs on a cluster that
//! nobody named.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use mesh_model::{Attribute, Schema, Type, Value};
use mesh_sdk::{ErrorKind, ProviderError, Services};

use crate::cluster::Cluster;
use crate::error::chain;

/// An answer takes at most this long to go on.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The field manager where the configuration names none.
pub(crate) const FIELD_MANAGER: &str = "mesh";

pub(crate) fn schema() -> Schema {
    let text = Type::String;
    Schema::of([
        Attribute::optional("kubeconfig", text.clone(), "Path of a kubeconfig file, relative to the root module."),
        Attribute::optional("kubeconfig_content", text.clone(), "A kubeconfig as text, instead of `kubeconfig`.")
            .sensitive(),
        Attribute::optional("context", text.clone(), "Context of the kubeconfig; default: its current one."),
        Attribute::optional(
            "host",
            text.clone(),
            "Address of the API server, `https://host:6443`. Overrides the kubeconfig's.",
        ),
        Attribute::optional("token", text.clone(), "Bearer token.").sensitive(),
        Attribute::optional("cluster_ca_certificate", text.clone(), "CA certificates of the API server (PEM)."),
        Attribute::optional("client_certificate", text.clone(), "Client certificate (PEM)."),
        Attribute::optional("client_key", text.clone(), "Key of the client certificate (PEM).").sensitive(),
        Attribute::optional("tls_server_name", text.clone(), "Name that the API server's certificate must have."),
        Attribute::optional("insecure", Type::Bool, "Do not verify the API server's certificate. Default false."),
        Attribute::optional("proxy_url", text.clone(), "HTTP proxy for the connection, `http://host:port`."),
        Attribute::optional("field_manager", text, "Name under which fields are owned. Default `mesh`.")
            .default(Value::string(FIELD_MANAGER)),
    ])
}

fn refused(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The Kubernetes provider cannot be configured", detail)
}

/// The client that a configuration describes.
pub(crate) async fn cluster(config: &Value, services: &Services) -> Result<Cluster, ProviderError> {
    // Fails only when a provider is installed already; then that one serves.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let text = |name: &str| config.get_str(name).filter(|t| !t.is_empty());
    let mut client = base(config, services).await?;
    if let Some(pem) = text("cluster_ca_certificate") {
        client.root_cert = Some(certificates(pem).ok_or_else(|| {
            refused("`cluster_ca_certificate` holds no PEM certificate. Give the text of the file, for example with file(\"ca.crt\").")
                .at("cluster_ca_certificate")
        })?);
    }
    if let Some(token) = text("token") {
        client.auth_info = kube::config::AuthInfo { token: Some(token.to_owned().into()), ..Default::default() };
    }
    match (text("client_certificate"), text("client_key")) {
        (Some(certificate), Some(key)) => {
            client.auth_info.client_certificate_data = Some(crate::equality::encode(certificate.as_bytes()));
            client.auth_info.client_key_data = Some(crate::equality::encode(key.as_bytes()).into());
        }
        (None, None) => {}
        _ => return Err(refused("`client_certificate` and `client_key` go together: set both or none.")),
    }
    if !sendable(&client.auth_info) {
        let detail = "The token holds characters that cannot be sent, such as a line break; a token is one line of letters, digits and dots.";
        return Err(refused(detail));
    }
    if let Some(name) = text("tls_server_name") {
        client.tls_server_name = Some(name.to_owned());
    }
    if let Some(insecure) = config.get("insecure").and_then(Value::as_bool) {
        client.accept_invalid_certs = insecure;
    }
    if let Some(proxy) = text("proxy_url") {
        client.proxy_url =
            Some(proxy.parse().map_err(|e| refused(format!("`proxy_url` is not a URL: {e}.")).at("proxy_url"))?);
    }
    client.connect_timeout = Some(CONNECT_TIMEOUT);
    client.read_timeout = Some(READ_TIMEOUT);
    client.reset_reader_on_write = true;
    let host = client.cluster_url.to_string().trim_end_matches('/').to_owned();
    let ca_pem = client.root_cert.as_ref().map(|certs| certs.iter().map(|der| pem(der)).collect());
    let manager = text("field_manager").unwrap_or(FIELD_MANAGER).to_owned();
    let client = kube::Client::try_from(client).map_err(|e| refused(format!("{}.", chain(&e))))?;
    Ok(Cluster::new(client, manager, host, ca_pem))
}

/// Why a kubeconfig cannot be read; its parser quotes the lines that it does not understand, and those hold tokens.
fn unread(error: &KubeconfigError) -> String {
    let KubeconfigError::Parse(error) = error else { return chain(error) };
    let place = error.location().map_or_else(String::new, |l| format!(" at line {}, column {}", l.line(), l.column()));
    format!("it is not YAML with clusters, users and contexts{place}")
}

/// Whether the token fits into a header; the client takes that for granted.
fn sendable(auth: &kube::config::AuthInfo) -> bool {
    // As it would be written into a kubeconfig: the one way to its text without another library.
    let written = serde_json::to_value(auth).unwrap_or_default();
    written["token"].as_str().is_none_or(|token| token.bytes().all(|b| b.is_ascii_graphic()))
}

async fn base(config: &Value, services: &Services) -> Result<kube::Config, ProviderError> {
    let text = |name: &str| config.get_str(name).filter(|t| !t.is_empty());
    let kubeconfig = match (text("kubeconfig"), text("kubeconfig_content")) {
        (Some(_), Some(_)) => return Err(refused("Set `kubeconfig` or `kubeconfig_content`, not both.")),
        (Some(path), None) => {
            let file = services.root.join(PathBuf::from(path));
            Some(Kubeconfig::read_from(&file).map_err(|e| {
                refused(format!("The kubeconfig {} cannot be used: {}.", file.display(), unread(&e))).at("kubeconfig")
            })?)
        }
        (None, Some(content)) => Some(Kubeconfig::from_yaml(content).map_err(|e| {
            refused(format!("`kubeconfig_content` cannot be used: {}.", unread(&e))).at("kubeconfig_content")
        })?),
        (None, None) => None,
    };
    let host = match text("host") {
        Some(host) => {
            Some(host.parse::<http::Uri>().map_err(|e| refused(format!("`host` is not a URL: {e}.")).at("host"))?)
        }
        None => None,
    };
    match (kubeconfig, host) {
        (Some(kubeconfig), host) => {
            let options = KubeConfigOptions { context: text("context").map(str::to_owned), cluster: None, user: None };
            let mut client = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|e| refused(format!("The kubeconfig cannot be used: {}.", chain(&e))))?;
            if let Some(host) = host {
                client.cluster_url = host;
            }
            Ok(client)
        }
        (None, Some(host)) => Ok(kube::Config::new(host)),
        (None, None) => Err(refused(
            "Nothing says which cluster is meant. Set `kubeconfig` (and `context`), or `host` with `token` or `client_certificate` and `client_key`. The environment and ~/.kube/config are not looked at.",
        )),
    }
}

/// DER of each certificate of a PEM text; `None` when there is none.
fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    let certificates: Option<Vec<Vec<u8>>> = text
        .split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|part| crate::equality::decode(part.split("-----END CERTIFICATE-----").next()?))
        .collect();
    certificates.filter(|c| !c.is_empty())
}

fn pem(der: &[u8]) -> String {
    let text = crate::equality::encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&'static str, &str)]) -> Value {
        Value::object(entries.iter().map(|(k, v)| (*k, Value::string(*v))))
    }

    async fn error(entries: &[(&'static str, &str)]) -> ProviderError {
        match cluster(&config(entries), &Services::default()).await {
            Ok(_) => panic!("{entries:?} was accepted"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn what_is_wrong_says_what_to_set() {
        assert!(error(&[]).await.detail.contains("Set `kubeconfig`"));
        assert!(error(&[("kubeconfig", "/no/such/file")]).await.detail.contains("/no/such/file"));
        assert!(
            error(&[("host", "https://127.0.0.1:1"), ("client_certificate", "x")]).await.detail.contains("client_key")
        );
        let bad = error(&[("kubeconfig_content", "canary: [")]).await;
        assert!(!bad.detail.contains("canary"));
        assert_eq!(
            error(&[("host", "https://127.0.0.1:1"), ("cluster_ca_certificate", "x")]).await.path,
            Some(mesh_model::Path::attribute("cluster_ca_certificate"))
        );
    }

    #[test]
    fn pem_goes_both_ways() {
        let text = pem(&[1, 2, 3, 255]);
        assert_eq!(certificates(&format!("junk\n{text}{text}")), Some(vec![vec![1, 2, 3, 255]; 2]));
    }
}
