//! What a provider says when something did not work.

use std::fmt;

use mesh_model::{Diagnostic, Path};

/// What kind of failure it is, so that the engine and users know what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The configuration is not acceptable.
    Invalid,
    /// The credentials may not, or are wrong or expired.
    Denied,
    /// The system did not answer (connect, TLS, timeout, sealed).
    Unreachable,
    /// Something else owns or changed the object; or it exists and is not ours.
    Conflict,
    /// What is needed does not exist.
    Missing,
    /// A wait ended without what was waited for.
    NotReady,
    /// Anything else.
    Other,
}

/// An error of a provider, with the remote server's own words (redacted) in the detail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderError {
    /// What kind.
    pub kind: ErrorKind,
    /// A constant one-line text without names.
    pub summary: &'static str,
    /// What, why and the way out; the server's words; never a secret.
    pub detail: String,
    /// The attribute it is about.
    pub path: Option<Path>,
    /// Whether trying again soon may help.
    pub transient: bool,
}

impl ProviderError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, summary: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, summary, detail: detail.into(), path: None, transient: false }
    }

    /// About one attribute.
    #[must_use]
    pub fn at(mut self, attribute: &'static str) -> Self {
        self.path = Some(Path::attribute(attribute));
        self
    }

    /// One that may go away by itself.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.summary, self.detail)
    }
}

impl std::error::Error for ProviderError {}

/// Without a place: whoever knows the block adds it.
impl From<ProviderError> for Diagnostic {
    fn from(error: ProviderError) -> Self {
        let code = match error.kind {
            ErrorKind::Invalid => "provider::invalid",
            ErrorKind::Denied => "provider::denied",
            ErrorKind::Unreachable => "provider::unreachable",
            ErrorKind::Conflict => "provider::conflict",
            ErrorKind::Missing => "provider::missing",
            ErrorKind::NotReady => "provider::not_ready",
            ErrorKind::Other => "provider::other",
        };
        Self::error(code, error.summary, error.detail)
    }
}
