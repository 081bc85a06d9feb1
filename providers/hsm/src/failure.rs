//! Failures in the words of the engine.
//!
//! The one decision: a write whose answer was lost, or that a failing device refused, is in doubt;
//! everything that a library plainly refused did not happen.

use mesh_sdk::{ErrorKind, Outcome, ProviderError};

use crate::protocol::{Fault, FaultKind, Token};

/// Why a call has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CallError {
    /// The worker answered with an error.
    Fault(Fault),
    /// The worker was lost after the call was sent.
    Lost(String),
}

impl CallError {
    pub(crate) fn library(detail: String) -> Self {
        Self::Fault(Fault::new(FaultKind::Library, detail))
    }

    /// An answer of the wrong shape.
    pub(crate) fn odd() -> Self {
        Self::library("BUG: the worker answered another question.".into())
    }

    /// The same failure before the call was sent: nothing is in doubt.
    pub(crate) fn not_started(self) -> Self {
        match self {
            Self::Lost(why) => Self::library(format!("While the token was opened, {why}.")),
            fault => fault,
        }
    }

    /// For a read; `what` begins the detail: `Looking at the token`.
    pub(crate) fn provider_error(&self, what: &str) -> ProviderError {
        let (kind, summary, detail) = match self {
            Self::Lost(why) => (ErrorKind::Unreachable, "The HSM worker was lost", format!("{why}.")),
            Self::Fault(fault) => {
                let (kind, summary) = match fault.kind {
                    FaultKind::Library => (ErrorKind::Unreachable, "The PKCS#11 library does not work"),
                    FaultKind::Token => (ErrorKind::Missing, "The token was not found"),
                    FaultKind::Pin => (ErrorKind::Denied, "The token refused the login"),
                    FaultKind::NotLoggedIn => (ErrorKind::Denied, "Not logged in to the token"),
                    FaultKind::Missing => (ErrorKind::Missing, "The object is not on the token"),
                    FaultKind::Ambiguous => (ErrorKind::Conflict, "It is not clear which object is meant"),
                    FaultKind::Refused => (ErrorKind::Other, "The token refused"),
                    FaultKind::Device => (ErrorKind::Unreachable, "The token failed"),
                };
                (kind, summary, fault.detail.clone())
            }
        };
        let error = ProviderError::new(kind, summary, format!("{what}: {detail}"));
        if matches!(self, Self::Lost(_)) { error.transient() } else { error }
    }

    /// For a write.
    pub(crate) fn outcome(&self, what: &str) -> Outcome {
        let error = self.provider_error(what);
        match self {
            Self::Lost(_) => Outcome::InDoubt { error },
            Self::Fault(fault) if fault.kind == FaultKind::Device => Outcome::InDoubt { error },
            Self::Fault(_) => Outcome::rejected(error),
        }
    }
}

/// A refused PIN: what to do, and how many tries are left as far as the token tells.
pub(crate) fn pin_refused(fault: &Fault, token: &Token) -> Fault {
    if fault.detail.starts_with("The PIN was not tried") {
        return Fault::new(
            fault.kind,
            format!("{} (token \"{}\", serial {})", fault.detail, token.label, token.serial),
        );
    }
    let earlier = if token.pin_count_low { " Wrong PINs were tried before, too." } else { "" };
    Fault::new(
        FaultKind::Pin,
        format!(
            "The token \"{}\" (serial {}) refused the PIN. {} It was tried once and is not tried again, since a token \
             locks itself after a few wrong ones.{earlier} Correct pin or pin_file and start the command again.",
            token.label, token.serial, fault.detail
        ),
    )
}
