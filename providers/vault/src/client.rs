//! Calls to one Vault: bounded, retried, with failures that say what happened.
//!
//! The one decision: reads and writes go raw through [`crate::wire`], so that no field and no warning is lost; logins
//! and the token's own calls use the types of `vaultrs`, which keep all that matters there. It knows no resource type.

use std::fmt;

use mesh_sdk::ErrorKind;
use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{Client as _, VaultClient};

use crate::cache::{Cache, Names};
use crate::failure::{Failure, redacted};
use crate::names::path_problem;
use crate::retry;
use crate::wire::{Call, Method, Reply, send};

/// Calls that run at once; more only queue inside Vault.
pub(crate) const CONCURRENCY: usize = 16;

/// An open connection to Vault; shows no token in `Debug`.
pub(crate) struct Client {
    vault: VaultClient,
    permits: Semaphore,
    retries: u32,
    /// Whether the token was made for this session.
    own_token: bool,
    pub(crate) names: Cache<Names>,
    pub(crate) tables: Cache<Option<Map<String, Json>>>,
    pub(crate) versions: Cache<Option<u8>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.vault.settings.address.as_str()).finish_non_exhaustive()
    }
}

/// Whether what is sent must not show in an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Open,
    Secret,
}

impl Client {
    /// Over a configured `vaultrs` client.
    pub(crate) fn new(vault: VaultClient, retries: u32) -> Self {
        Self {
            vault,
            permits: Semaphore::new(CONCURRENCY),
            retries,
            own_token: false,
            names: Cache::default(),
            tables: Cache::default(),
            versions: Cache::default(),
        }
    }

    /// The same server with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        let (http, settings) = (&self.vault.http, &self.vault.settings);
        let middle = EndpointMiddleware { token: token.to_owned(), ..self.vault.middle.clone() };
        let http = rustify::clients::reqwest::Client::new(&http.base, http.http.clone());
        Self::new(VaultClient { http, middle, settings: settings.clone() }, self.retries)
    }

    /// The client for typed calls.
    pub(crate) fn typed(&self) -> &VaultClient {
        &self.vault
    }

    /// Goes on with a token that was made for this session.
    pub(crate) fn log_in(&mut self, token: &str) {
        self.vault.set_token(token);
        self.own_token = true;
    }

    /// Ends the token if it was made for this session. That this fails changes nothing: it expires by itself.
    pub(crate) async fn log_out(&self) {
        if self.own_token {
            let _ = self.vault.revoke().await;
        }
    }

    /// The content at a path; `None` where it is certain that there is nothing.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Json>, Failure> {
        let reply = self.call(Method::Get, path, None, Content::Open).await?;
        Ok((reply.status != 404).then(|| reply.data().clone()))
    }

    /// The names below a path; none where there is nothing.
    async fn list(&self, path: &str) -> Result<Names, Failure> {
        match self.call(Method::List, path, None, Content::Open).await {
            Ok(reply) => {
                let keys = reply.data()["keys"].as_array().into_iter().flatten();
                Ok(Names::Known(keys.filter_map(|k| k.as_str().map(str::to_owned)).collect()))
            }
            Err(failure) if failure.status == Some(403) => Ok(Names::Forbidden),
            Err(failure) => Err(failure),
        }
    }

    /// Whether `name` was below `path` a moment ago; `None` when the token may not list.
    pub(crate) async fn listed(&self, path: &str, name: &str) -> Result<Option<bool>, Failure> {
        let look = |names: &Names| match names {
            Names::Known(names) => Some(names.contains(name)),
            Names::Forbidden => None,
        };
        self.names.read(path, self.list(path), look).await
    }

    /// Notes an own write in the listing of `path`.
    pub(crate) async fn note(&self, path: &str, name: &str, exists: bool) {
        let change = |names: &mut Names| {
            if let Names::Known(names) = names {
                if exists {
                    names.insert(name.to_owned());
                } else {
                    names.remove(name);
                }
            }
        };
        self.names.change(path, change).await;
    }

    /// Writes; gives what came back.
    pub(crate) async fn write(&self, path: &str, body: &Json, content: Content) -> Result<Reply, Failure> {
        let reply = self.call(Method::Post, path, Some(body), content).await?;
        if reply.status == 404 { Err(self.failed(Method::Post, path, &reply, &[])) } else { Ok(reply) }
    }

    /// Deletes; what is gone already is no failure.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.call(Method::Delete, path, None, Content::Open).await.map(|_| ())
    }

    /// The server's own health; answered also when sealed, not initialized, or on a standby.
    pub(crate) async fn health(&self) -> Result<Json, Failure> {
        let query = Some("standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200");
        let call = Call { method: Method::Get, path: "sys/health".into(), query, body: None };
        self.perform(call, &[]).await.map(|reply| reply.body)
    }

    /// Sends a call; 404 comes back as an answer, every other status that is no success as a failure.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        content: Content,
    ) -> Result<Reply, Failure> {
        if let Some(reason) = path_problem(path) {
            return Err(Failure::new(
                ErrorKind::Invalid,
                "This path cannot be sent to Vault",
                format!("{path:?} {reason}."),
            ));
        }
        let mut secrets = Vec::new();
        if let (Some(body), Content::Secret) = (body, content) {
            collect_texts(body, &mut secrets);
        }
        let body = body.map(|b| b.to_string().into_bytes());
        self.perform(Call { method, path: path.to_owned(), query: None, body }, &secrets).await
    }

    async fn perform(&self, call: Call, secrets: &[String]) -> Result<Reply, Failure> {
        let mut tried = 0;
        // A write that was answered with 5xx may have been done; what its repetition is told does not settle that.
        let mut ambiguous = false;
        loop {
            let sent = {
                let _permit = self.permits.acquire().await;
                send(&self.vault, &call).await
            };
            let (pause, mut failure) = match sent {
                Ok(reply) if (200..300).contains(&reply.status) || reply.status == 404 => {
                    if reply.garbled || reply.status == 404 && !is_absence(&reply) {
                        return Err(self.failed(call.method, &call.path, &reply, secrets));
                    }
                    return Ok(reply);
                }
                Ok(reply) => {
                    let words = reply.errors();
                    let pause = retry::after_answer(reply.status, &words, tried, self.retries, reply.retry_after);
                    (pause, self.failed(call.method, &call.path, &reply, secrets))
                }
                Err(failure) => {
                    let again = failure.unsent || call.method.reads() && failure.error.transient;
                    (again.then(|| retry::after_silence(tried, self.retries)).flatten(), failure)
                }
            };
            failure.in_doubt |= ambiguous;
            let Some(pause) = pause else { return Err(failure) };
            ambiguous |= !call.method.reads() && failure.status.is_some_and(|s| s >= 500);
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    fn failed(&self, method: Method, path: &str, reply: &Reply, secrets: &[String]) -> Failure {
        let mut words = reply.errors();
        if words.is_empty() {
            words = reply.warnings().join("; ");
        }
        let mut secrets = secrets.to_vec();
        secrets.push(self.vault.middle.token.clone());
        let call = Call { method, path: path.to_owned(), query: None, body: None };
        Failure::answer(&call, reply, redacted(&words, &secrets))
    }
}

/// A 404 means that there is nothing, unless it says that the question was wrong (a KV v1 path on a v2 mount) or comes
/// from something else than Vault.
fn is_absence(reply: &Reply) -> bool {
    let vaults = reply.body["errors"].is_array() || reply.body["data"].is_object();
    vaults && !reply.warnings().iter().any(|w| w.starts_with("Invalid path"))
}

fn collect_texts(body: &Json, out: &mut Vec<String>) {
    match body {
        Json::String(text) => out.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|i| collect_texts(i, out)),
        Json::Object(fields) => fields.values().for_each(|f| collect_texts(f, out)),
        _ => {}
    }
}
