//! What the API server or the way to it said, as an error with a way out.
//!
//! The transport's own words are in the chain of sources only, so the whole chain is shown. Whether
//! a failed write may have happened is decided here: nothing was sent when the connection was not made.

use kube::core::Status;
use mesh_model::Value;
use mesh_sdk::{ErrorKind, Outcome, ProviderError};

use crate::secret::scrub;

/// Why a request gave no answer that can be used.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said no.
    Api(Box<Status>),
    /// No answer, or one that cannot be read.
    Transport {
        /// All that is known.
        text: String,
        /// Whether the request may have reached the server.
        sent: bool,
    },
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Api(status),
            other => {
                let text = chain(&other);
                let sent = !text.contains("(Connect)") && !matches!(other, kube::Error::Auth(_));
                Self::Transport { text, sent }
            }
        }
    }
}

/// An error and all its causes; a cause that repeats what was said is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl Failure {
    pub(crate) fn code(&self) -> u16 {
        if let Self::Api(status) = self { status.code } else { 0 }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Api(status) => &status.message,
            Self::Transport { text, .. } => text,
        }
    }

    /// Reason, field and message of each cause.
    pub(crate) fn causes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let status = if let Self::Api(status) = self { Some(status) } else { None };
        status
            .and_then(|s| s.details.as_ref())
            .into_iter()
            .flat_map(|d| d.causes.iter())
            .map(|c| (c.reason.as_str(), c.field.as_str(), c.message.as_str()))
    }

    /// Whether a write may have happened all the same.
    pub(crate) fn in_doubt(&self) -> bool {
        match self {
            Self::Api(status) => status.code == 504 || status.reason == "Timeout",
            Self::Transport { sent, .. } => *sent,
        }
    }

    /// As an error about doing `what` (`apply ConfigMap a/b`); `value` is what was sent.
    pub(crate) fn error(&self, what: &str, value: Option<&Value>) -> ProviderError {
        let said = scrub(self.message(), value);
        let Self::Api(status) = self else {
            return ProviderError::new(
                ErrorKind::Unreachable,
                "The Kubernetes API server did not answer",
                format!(
                    "Could not {what}: {said}. Check the provider's host, certificates and proxy, and that this machine can reach the server."
                ),
            )
            .transient();
        };
        let error = |kind, summary, way: &str| {
            let said = said.trim_end_matches('.');
            ProviderError::new(
                kind,
                summary,
                format!("Could not {what}. The API server said: {said}. {way}").trim().to_owned(),
            )
        };
        // What does not fit the types of a built-in kind is found late, as an internal error.
        let unfit = ["failed to convert new object", "failed to create typed patch object"];
        let code = if unfit.iter().any(|words| status.message.contains(words)) { 400 } else { status.code };
        match code {
            401 => error(
                ErrorKind::Denied,
                "Kubernetes does not accept the credentials",
                "Give the provider a token or client certificate that is valid now.",
            ),
            403 => error(
                ErrorKind::Denied,
                "Kubernetes denied a request",
                "Grant the permission to the user of this provider (see `kubectl auth can-i`), or use other credentials.",
            ),
            404 => error(ErrorKind::Missing, "A Kubernetes object does not exist", "Create what is missing first."),
            409 => {
                error(ErrorKind::Conflict, "A Kubernetes object is in conflict", "Plan again to see what is there now.")
            }
            400 | 413 | 415 | 422 => {
                error(ErrorKind::Invalid, "Kubernetes refused the object as invalid", "Correct the manifest.")
            }
            429 | 500 | 502 | 503 | 504 => error(
                ErrorKind::Other,
                "The Kubernetes API server failed",
                "Try again; if it persists, look at its log.",
            )
            .transient(),
            _ => error(ErrorKind::Other, "The Kubernetes API server failed", ""),
        }
    }
}

/// A write that failed, with the error ready to show.
#[derive(Debug)]
pub(crate) struct WriteError {
    pub(crate) error: ProviderError,
    pub(crate) in_doubt: bool,
}

impl WriteError {
    pub(crate) fn of(failure: &Failure, what: &str, value: Option<&Value>) -> Self {
        Self { error: failure.error(what, value), in_doubt: failure.in_doubt() }
    }

    pub(crate) fn outcome(self) -> Outcome {
        if self.in_doubt { Outcome::InDoubt { error: self.error } } else { Outcome::rejected(self.error) }
    }
}

impl From<ProviderError> for WriteError {
    fn from(error: ProviderError) -> Self {
        Self { error, in_doubt: false }
    }
}

/// What is needed does not exist.
pub(crate) fn missing(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Missing, "A Kubernetes object does not exist", detail)
}

/// The configuration cannot be used.
pub(crate) fn invalid(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The Kubernetes configuration cannot be used", detail)
}

/// An object that exists and is not ours.
pub(crate) fn exists(object: &str, managers: &[String]) -> ProviderError {
    let by = if managers.is_empty() { String::new() } else { format!(" (managed by {})", managers.join(", ")) };
    ProviderError::new(
        ErrorKind::Conflict,
        "A Kubernetes object exists already",
        format!(
            "{object} exists{by} and is not in state. Import it, or set `on_existing = \"adopt\"` to take it over; nothing was changed."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_doubt() {
        let status = |code: u16, reason: &str| Failure::Api(Status::failure("said so", reason).with_code(code).boxed());
        for (failure, kind, in_doubt) in [
            (status(401, "Unauthorized"), ErrorKind::Denied, false),
            (status(403, "Forbidden"), ErrorKind::Denied, false),
            (status(404, "NotFound"), ErrorKind::Missing, false),
            (status(409, "Conflict"), ErrorKind::Conflict, false),
            (status(422, "Invalid"), ErrorKind::Invalid, false),
            (status(504, "Timeout"), ErrorKind::Other, true),
            (Failure::Transport { text: "x".into(), sent: true }, ErrorKind::Unreachable, true),
            (Failure::Transport { text: "x".into(), sent: false }, ErrorKind::Unreachable, false),
        ] {
            let error = failure.error("apply ConfigMap a/b", None);
            assert_eq!(error.kind, kind);
            assert_eq!(failure.in_doubt(), in_doubt);
            assert!(error.detail.contains("apply ConfigMap a/b"));
        }
    }
}
