//! GET over HTTPS, for archives and OCI registries.
//!
//! The one decision: plain http reaches this machine only, and no redirect leads from https to http; what
//! is downloaded is bounded in size and time. Proxies and the system's certificates are reqwest's affair.

use std::io::{Read, Write};
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::redirect::Policy;
use sha2::{Digest, Sha256};

/// The most bytes of one download.
pub(crate) const MAX_DOWNLOAD: u64 = 256 << 20;
/// For one request with its whole answer.
const TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(15);
const MAX_REDIRECTS: usize = 5;

/// The client.
pub(crate) struct Http(Client);

impl Http {
    pub(crate) fn new() -> Result<Self, String> {
        let policy = Policy::custom(|attempt| {
            let downgrade = attempt.url().scheme() == "http"
                && attempt.previous().last().is_none_or(|previous| previous.scheme() != "http");
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirects")
            } else if downgrade || permitted(attempt.url()).is_err() {
                attempt.error("the server redirects to plain http, which is not followed")
            } else {
                attempt.follow()
            }
        });
        Client::builder()
            .user_agent(concat!("mesh/", env!("CARGO_PKG_VERSION")))
            .redirect(policy)
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT)
            .build()
            .map(Self)
            .map_err(|e| format!("no https client could be made: {}", words(e)))
    }

    /// A request, still to be sent.
    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.0.get(url)
    }
}

/// Sends a request; every answer of the server is one.
pub(crate) fn send(request: RequestBuilder) -> Result<Response, String> {
    request.send().map_err(words)
}

/// The body of an answer, at most so many bytes.
pub(crate) fn body(response: Response, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    copy(response, &mut bytes, most)?;
    Ok(bytes)
}

/// Copies at most so many bytes; gives their SHA-256 in hex.
pub(crate) fn copy(mut from: impl Read, to: &mut dyn Write, most: u64) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut left = most;
    loop {
        let n = from.read(&mut buffer).map_err(|e| format!("the download broke off: {}", chain(&e)))?;
        if n == 0 {
            return Ok(crate::tree::hex(hash));
        }
        left = left
            .checked_sub(n as u64)
            .ok_or_else(|| format!("it is larger than the {} MiB that are taken", most >> 20))?;
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n]).map_err(|e| format!("it cannot be written: {e}"))?;
    }
}

/// Whether a URL may be asked.
///
/// # Errors
/// Why not, as a sentence.
pub(crate) fn permitted(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback(url) => Ok(()),
        "http" => Err("Plain http is taken from this machine only (localhost, 127.0.0.1): write https.".to_owned()),
        other => Err(format!("{other:?} is not a way to fetch it: write https.")),
    }
}

/// Whether a URL's host is this machine.
pub(crate) fn loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}

/// What went wrong, with its causes and without the URL, which may be long.
fn words(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
