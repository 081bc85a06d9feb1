//! What went wrong in a call, for people and for the decision what to do next.
//!
//! The one decision: the server's words are taken from the `errors` of its answer and redacted, never from a client
//! library's error text, which may show a whole body. What the failure means for an operation (nothing happened, or
//! nobody knows) is decided here, once.

use mesh_sdk::{ErrorKind, Outcome, ProviderError};
use rustify::errors::ClientError;

use crate::wire::{Call, Method, Reply};

/// Summary of the failures of a sealed Vault.
pub(crate) const SEALED: &str = "Vault is sealed";
/// The way out of them.
pub(crate) const UNSEAL: &str = "Unseal it (`vault operator unseal`), then run the same command again.";

/// A call that did not do what was asked.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: ProviderError,
    /// The HTTP status, where there was an answer.
    pub(crate) status: Option<u16>,
    /// The server's words.
    pub(crate) words: String,
    /// Whether the call may have done something.
    pub(crate) in_doubt: bool,
    /// Whether the call did not even reach the server, so that sending it again is safe.
    pub(crate) unsent: bool,
}

impl Failure {
    /// One that happened before anything was sent.
    pub(crate) fn new(kind: ErrorKind, summary: &'static str, detail: impl Into<String>) -> Self {
        Self {
            error: ProviderError::new(kind, summary, detail),
            status: None,
            words: String::new(),
            in_doubt: false,
            unsent: false,
        }
    }

    /// A path or header that cannot be sent.
    pub(crate) fn unsendable(call: &Call) -> Self {
        let detail = format!("{} {:?} cannot be sent to Vault: the path is not valid.", call.method.word(), call.path);
        Self::new(ErrorKind::Invalid, "A call to Vault cannot be made", detail)
    }

    /// No answer came.
    pub(crate) fn transport(call: &Call, error: &ClientError) -> Self {
        let (cause, unsent, slow) = match error {
            ClientError::RequestError { source, .. } | ClientError::ResponseError { source } => {
                let http = source.downcast_ref::<reqwest::Error>();
                let cause = source.chain().last().map(ToString::to_string).unwrap_or_default();
                (cause, http.is_some_and(reqwest::Error::is_connect), http.is_some_and(reqwest::Error::is_timeout))
            }
            _ => ("the request could not be built".to_owned(), true, false),
        };
        let certificate = cause.contains("certificate") || cause.contains("Certificate");
        let hint = if certificate {
            " Give the CA of its certificate with `ca_cert_file` or VAULT_CACERT, and the name in it with `tls_server_name`."
        } else if cause.contains("InvalidContentType") {
            " It seems to speak HTTP, not HTTPS: check the scheme of `address`."
        } else if unsent {
            " Check `address` (or VAULT_ADDR) and that the server runs."
        } else {
            ""
        };
        let cause = if slow && cause.is_empty() { "it took too long".to_owned() } else { cause };
        let mut failure = Self::new(
            ErrorKind::Unreachable,
            "Vault did not answer",
            format!("{} {}: {cause}.{hint}", call.method.word(), call.path),
        );
        failure.error.transient = !certificate;
        failure.unsent = unsent && !certificate;
        failure.in_doubt = !call.method.reads() && !unsent;
        failure
    }

    /// An answer that is no success.
    pub(crate) fn answer(call: &Call, reply: &Reply, words: String) -> Self {
        let said = if reply.garbled {
            "an answer that is not Vault's (a proxy's page?)".to_owned()
        } else if words.is_empty() {
            "no words".to_owned()
        } else {
            format!("{words:?}")
        };
        let what = format!("{} {} answered {}: {said}.", call.method.word(), call.path, reply.status);
        let (kind, summary, hint) = explain(call, reply.status, &words);
        let mut failure = Self::new(kind, summary, format!("{what}{hint}"));
        failure.error.transient = matches!(reply.status, 412 | 429 | 500 | 502 | 504);
        // An answer of Vault itself means that it refused; a gateway's means that nobody knows.
        failure.in_doubt =
            !call.method.reads() && (matches!(reply.status, 502 | 504) || reply.garbled && reply.status >= 500);
        failure.status = Some(reply.status);
        failure.words = words;
        failure
    }

    /// An error of a typed call of `vaultrs`; its own texts are not shown where they may hold a body.
    pub(crate) fn typed(what: &str, error: &vaultrs::error::ClientError) -> Self {
        use vaultrs::error::ClientError as Typed;
        match error {
            Typed::APIError { code, errors } => {
                let words = errors
                    .iter()
                    .map(|e| e.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect::<Vec<_>>()
                    .join("; ");
                let kind = if matches!(code, 400 | 403) { ErrorKind::Denied } else { ErrorKind::Other };
                let mut failure =
                    Self::new(kind, "Vault refused", format!("{what}: Vault answered {code}: {words:?}."));
                failure.status = Some(*code);
                failure.words = words;
                failure
            }
            Typed::RestClientError { source: ClientError::RequestError { .. } } => {
                Self::new(ErrorKind::Unreachable, "Vault did not answer", format!("{what}: no answer came."))
            }
            _ => Self::new(
                ErrorKind::Other,
                "Vault's answer was not understood",
                format!("{what}: the answer has an unknown shape."),
            ),
        }
    }

    /// One more sentence for the reader.
    pub(crate) fn add(&mut self, sentence: &str) {
        self.error.detail.push(' ');
        self.error.detail.push_str(sentence);
    }

    /// The same failure after something was written: what is there now has to be looked up.
    #[must_use]
    pub(crate) fn after_write(mut self) -> Self {
        self.in_doubt = true;
        self
    }

    /// How an operation that failed so has ended.
    pub(crate) fn outcome(self) -> Outcome {
        if self.in_doubt { Outcome::InDoubt { error: self.error } } else { Outcome::rejected(self.error) }
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// What kind of failure a status is, and the way out.
fn explain(call: &Call, status: u16, words: &str) -> (ErrorKind, &'static str, String) {
    let none = String::new();
    match status {
        403 if words.contains("invalid token") || words.contains("bad token") => (
            ErrorKind::Denied,
            "Vault does not accept the token",
            " The token is wrong, expired or revoked: log in again and set `token` or VAULT_TOKEN.".to_owned(),
        ),
        403 => {
            let sudo =
                if call.path.starts_with("sys/auth/") && call.method != Method::List { ", \"sudo\"" } else { "" };
            let path = call.path.trim_end_matches('/');
            let capabilities = call.method.capabilities();
            (
                ErrorKind::Denied,
                "The Vault token may not do this",
                format!(" A policy of the token must have: path {path:?} {{ capabilities = [{capabilities}{sudo}] }}."),
            )
        }
        404 if words.contains("no handler for route") => (
            ErrorKind::Missing,
            "There is no mount at this path",
            " The secret engine or auth backend does not exist (yet): let the object depend on it.".to_owned(),
        ),
        404 if words.contains("versioned K/V") => (
            ErrorKind::Invalid,
            "The KV mount has another version",
            " It has version 2: use the type vault_kv_secret_v2.".to_owned(),
        ),
        404 => (ErrorKind::Missing, "Vault does not have this", none),
        400 | 405 | 409 | 422 => (ErrorKind::Invalid, "Vault refused the request", none),
        429 => (
            ErrorKind::Unreachable,
            "Vault limits the rate of calls",
            " Try again later, or raise the quota.".to_owned(),
        ),
        501 => (ErrorKind::Unreachable, "Vault is not initialized", " Run `vault operator init` first.".to_owned()),
        503 if words.contains("sealed") => (ErrorKind::Unreachable, SEALED, format!(" {UNSEAL}")),
        500.. => (
            ErrorKind::Unreachable,
            "Vault has an internal error",
            " Look into the log of the Vault server.".to_owned(),
        ),
        _ => (ErrorKind::Other, "Vault answered with an unexpected status", none),
    }
}

/// `text` without any of `secrets`; short ones are left, since they would tear ordinary words apart.
pub(crate) fn redacted(text: &str, secrets: &[String]) -> String {
    let mut out = text.to_owned();
    for secret in secrets.iter().filter(|s| s.len() >= 4) {
        out = out.replace(secret.as_str(), "(redacted)");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failed(status: u16, body: serde_json::Value) -> Failure {
        let call = Call { method: Method::Post, path: "sys/auth/a".into(), query: None, body: None };
        let reply = Reply { status, retry_after: None, body, garbled: false };
        let words = reply.errors();
        Failure::answer(&call, &reply, words)
    }

    #[test]
    fn failures_say_the_way_out() {
        let denied = failed(403, json!({"errors": ["1 error occurred:\n\t* permission denied\n\n"]}));
        assert!(denied.error.detail.contains("capabilities = [\"create\", \"update\", \"sudo\"]"), "{}", denied.error);
        assert_eq!(
            failed(403, json!({"errors": ["permission denied, invalid token"]})).error.summary,
            "Vault does not accept the token"
        );
        assert_eq!(failed(503, json!({"errors": ["Vault is sealed"]})).error.summary, SEALED);
        assert!(failed(502, json!(null)).in_doubt);
        assert!(!failed(500, json!({"errors": ["x"]})).in_doubt);
    }

    #[test]
    fn secrets_are_cut_out_of_the_words_of_the_server() {
        assert_eq!(
            redacted("bad jwt canary-1 in body", &["canary-1".into(), "in".into()]),
            "bad jwt (redacted) in body"
        );
    }
}
