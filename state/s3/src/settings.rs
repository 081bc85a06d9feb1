//! What the settings say, checked.
//!
//! The one decision: credentials come whole from the settings or whole from the environment; a mixture would sign with
//! a key of one account and a secret of another.

use std::time::Duration;

use mesh_state::{BadSetting, Settings};
use reqwest::{Certificate, Client, Proxy, Url};
use rusty_s3::{Bucket, Credentials, UrlStyle};

/// An answer takes at most this long to go on.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Below this, beside the default workspace, lie the others.
pub(crate) const WORKSPACES: &str = "workspaces/";

pub(crate) fn bucket(settings: &Settings<'_>) -> Result<Bucket, BadSetting> {
    let name = settings.text("bucket").ok_or_else(|| BadSetting::of("bucket", "bucket must name the bucket."))?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if !name.bytes().all(plain) || name.split('.').any(str::is_empty) {
        return Err(BadSetting::of("bucket", format!("{name:?} is not the name of a bucket.")));
    }
    let region = settings.text("region").unwrap_or("us-east-1");
    let given = settings.text("endpoint");
    let endpoint = given.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), str::to_owned);
    let setting = if given.is_some() { "endpoint" } else { "region" };
    // Not shown: it may hold a password all the same.
    let endpoint: Url =
        endpoint.parse().map_err(|e| BadSetting::of(setting, format!("{setting} gives no address: {e}.")))?;
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return Err(BadSetting::of("endpoint", "endpoint must hold no user and no password."));
    }
    let path = settings.flag("path_style").unwrap_or(given.is_some());
    let style = if path { UrlStyle::Path } else { UrlStyle::VirtualHost };
    Bucket::new(endpoint, style, name.to_owned(), region.to_owned())
        .map_err(|e| BadSetting::of(setting, format!("With this bucket it gives no address: {e}.")))
}

/// What all keys begin with, a slash at its end.
pub(crate) fn prefix(settings: &Settings<'_>) -> Result<String, BadSetting> {
    let prefix = settings.text("prefix").unwrap_or("mesh").trim_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if prefix.split('/').all(|part| !["", ".", ".."].contains(&part) && part.bytes().all(plain)) {
        let workspace = settings.workspace.map_or_else(String::new, |name| format!("{WORKSPACES}{name}/"));
        return Ok(format!("{prefix}/{workspace}"));
    }
    let why = format!("{prefix:?} cannot be used: names of A-Z, a-z, 0-9, -, _ and ., with slashes between them.");
    Err(BadSetting::of("prefix", why))
}

pub(crate) fn credentials(settings: &Settings<'_>) -> Result<Credentials, BadSetting> {
    let made = |key: &str, secret: &str, token: Option<&str>| match token {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    };
    match (settings.text("access_key"), settings.text("secret_key"), settings.text("session_token")) {
        (Some(key), Some(secret), token) => return Ok(made(key, secret, token)),
        (None, None, None) => {}
        (Some(_), None, _) => {
            return Err(BadSetting::of("access_key", "access_key and secret_key go together: set both or none."));
        }
        (None, Some(_), _) => {
            return Err(BadSetting::of("secret_key", "access_key and secret_key go together: set both or none."));
        }
        (None, None, Some(_)) => {
            return Err(BadSetting::of("session_token", "session_token goes with access_key and secret_key."));
        }
    }
    match (settings.variable("AWS_ACCESS_KEY_ID"), settings.variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(key), Some(secret)) => Ok(made(key, secret, settings.variable("AWS_SESSION_TOKEN"))),
        _ => Err(BadSetting::all(
            "There are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment (and \
             AWS_SESSION_TOKEN for temporary ones), or access_key and secret_key, for example from ephemeral variables.",
        )),
    }
}

pub(crate) fn client(settings: &Settings<'_>) -> Result<Client, BadSetting> {
    // Fails only when a provider is installed already; then that one serves.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        // A redirect is another region; it could not be signed for.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(file) = settings.text("ca_cert_file") {
        let bad = |why: String| BadSetting::of("ca_cert_file", format!("{file} cannot be used: {why}."));
        let pem = std::fs::read(file).map_err(|e| bad(e.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))?;
        if certificates.is_empty() {
            return Err(bad("it holds no PEM certificate".to_owned()));
        }
        client = client.tls_certs_only(certificates);
    }
    if let Some(proxy) = settings.text("proxy_url") {
        let proxy =
            Proxy::all(proxy).map_err(|_| BadSetting::of("proxy_url", "proxy_url is not the address of a proxy."))?;
        client = client.proxy(proxy);
    }
    client.build().map_err(|e| BadSetting::all(format!("These settings give no client: {e}.")))
}
