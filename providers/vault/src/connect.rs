//! From settings to an open session: TLS, health, login, and what the token is worth.
//!
//! The one decision: an unusable server or token is found here, before anything is planned: sealed, not initialized,
//! wrong, expired, or about to expire. Nothing is written, except the login that was asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_sdk::{ErrorKind, ProviderError};
use reqwest::Certificate;
use vaultrs::api::EndpointMiddleware;
use vaultrs::auth::{approle, kubernetes};
use vaultrs::client::{Client as _, VaultClient, VaultClientSettingsBuilder};

use crate::client::{CONCURRENCY, Client};
use crate::config::{Login, Settings, checked_token};
use crate::failure::{Failure, SEALED, UNSEAL};

/// A token with less to live than this (in seconds) does not begin a session.
const SHORTEST: u64 = 60;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// Connects; gives the client and the cluster behind it.
pub(crate) async fn connect(settings: &Settings) -> Result<(Client, Option<Arc<str>>), ProviderError> {
    let mut client = Client::new(build(settings).await?, settings.retries);
    let target = health(&client, settings).await?;
    let login = match &settings.login {
        Login::Token(_) => None,
        Login::AppRole { mount, role_id, secret_id } => {
            Some((mount, approle::login(client.typed(), mount, role_id, secret_id).await))
        }
        Login::Kubernetes { mount, role, jwt } => {
            Some((mount, kubernetes::login(client.typed(), mount, role, jwt).await))
        }
    };
    if let Some((mount, answer)) = login {
        let auth = answer.map_err(|e| {
            let mut failure = Failure::typed(&format!("login at auth/{mount}"), &e);
            failure.error.summary = "The login to Vault failed";
            failure
        })?;
        client.log_in(&checked_token(&auth.client_token)?);
    }
    check_token(&client).await?;
    Ok((client, target))
}

async fn build(settings: &Settings) -> Result<VaultClient, ProviderError> {
    let invalid = |attribute, detail: String| {
        ProviderError::new(ErrorKind::Invalid, "The Vault provider is not configured correctly", detail).at(attribute)
    };
    let mut http = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .pool_max_idle_per_host(CONCURRENCY)
        // A standby redirects to the active server: never with the token over a plain connection.
        .https_only(settings.address.scheme() == "https")
        .tls_danger_accept_invalid_certs(settings.skip_verify);
    let mut address = settings.address.clone();
    if let Some(pem) = &settings.ca_pem {
        let certificates = Certificate::from_pem_bundle(pem).ok().filter(|c| !c.is_empty()).ok_or_else(|| {
            invalid("ca_cert_file", "The CA certificates are not PEM (-----BEGIN CERTIFICATE-----).".into())
        })?;
        http = http.tls_certs_only(certificates);
    } else if address.scheme() == "http" {
        http = http.tls_certs_only([]);
    }
    if let Some(name) = &settings.tls_server_name {
        http = http.resolve_to_addrs(name, &resolve(&address).await?);
        address
            .set_host(Some(name))
            .map_err(|e| invalid("tls_server_name", format!("{name:?} is not a host name: {e}.")))?;
    }
    let http = http.build().map_err(|e| invalid("ca_cert_file", format!("The TLS settings are not usable: {e}.")))?;
    let token = match &settings.login {
        Login::Token(token) => token.clone(),
        _ => String::new(),
    };
    // Every setting is given: what is left out, the builder would take from the process environment.
    let vault = VaultClientSettingsBuilder::default()
        .address(address.as_str())
        .ca_certs(Vec::new())
        .identity(None)
        .timeout(Some(ANSWER))
        .token(token.as_str())
        .verify(!settings.skip_verify)
        .version(1)
        .namespace(settings.namespace.clone())
        .build()
        .map_err(|e| invalid("address", format!("{e}.")))?;
    Ok(VaultClient {
        http: rustify::clients::reqwest::Client::new(address.as_str(), http),
        middle: EndpointMiddleware {
            token,
            version: "v1".to_owned(),
            wrap: None,
            namespace: settings.namespace.clone(),
        },
        settings: vault,
    })
}

async fn resolve(address: &reqwest::Url) -> Result<Vec<SocketAddr>, ProviderError> {
    let host = address.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = address.port_or_known_default().unwrap_or(8200);
    let found = tokio::net::lookup_host((host, port)).await;
    found.map(Iterator::collect).map_err(|e| {
        ProviderError::new(
            ErrorKind::Unreachable,
            "Vault did not answer",
            format!("The host {host:?} has no address: {e}."),
        )
    })
}

async fn health(client: &Client, settings: &Settings) -> Result<Option<Arc<str>>, ProviderError> {
    let health = client.health().await?;
    let unusable = |summary, detail: &str| {
        Err(ProviderError::new(ErrorKind::Unreachable, summary, format!("{}: {detail}", settings.address)))
    };
    if health["initialized"].as_bool() == Some(false) {
        return unusable("Vault is not initialized", "Run `vault operator init` first.");
    }
    if health["sealed"].as_bool() != Some(false) {
        return unusable(SEALED, UNSEAL);
    }
    Ok(health["cluster_id"].as_str().map(|id| match &settings.namespace {
        Some(namespace) => Arc::from(format!("{id}/{namespace}")),
        None => Arc::from(id),
    }))
}

/// The token is good, and for long enough. One that may not look at itself is taken as it is.
async fn check_token(client: &Client) -> Result<(), ProviderError> {
    let token = match client.typed().lookup().await {
        Ok(token) => token,
        Err(error) => {
            let mut failure = Failure::typed("looking up the token", &error);
            if failure.status == Some(403)
                && !failure.words.contains("invalid token")
                && !failure.words.contains("bad token")
            {
                return Ok(());
            }
            // An answer of an unknown shape is still an answer: the token is good.
            if failure.status.is_none() && failure.error.kind == ErrorKind::Other {
                return Ok(());
            }
            if failure.status == Some(403) {
                failure.error.summary = "Vault does not accept the token";
                failure
                    .error
                    .detail
                    .push_str(" The token is wrong, expired or revoked: log in again and set `token` or VAULT_TOKEN.");
            }
            return Err(failure.error);
        }
    };
    if token.expire_time.is_some() && token.ttl < SHORTEST {
        return Err(ProviderError::new(
            ErrorKind::Denied,
            "The Vault token is about to expire",
            format!(
                "It lives for {} more seconds, and {SHORTEST} are needed to begin. Renew it (`vault token renew`) or log in again.",
                token.ttl
            ),
        ));
    }
    Ok(())
}
