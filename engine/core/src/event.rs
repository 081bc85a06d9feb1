//! Events: the one stream that the engine speaks through.
//!
//! The one decision: the engine never prints. Progress bars, lines, JSON and tests all consume this
//! enum. Events carry no value that could be a secret.

use std::sync::Arc;
use std::time::Duration;

use mesh_model::{Action, Address, Diagnostic};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A provider is being configured (logged in).
    Configuring {
        /// Provider and alias.
        provider: Arc<str>,
    },
    /// Objects are being looked at.
    Observing {
        /// Provider and alias.
        provider: Arc<str>,
        /// How many.
        objects: usize,
    },
    /// They were looked at.
    Observed {
        /// Provider and alias.
        provider: Arc<str>,
        /// How many.
        objects: usize,
        /// How long it took.
        elapsed: Duration,
    },
    /// An instance that state knows, or that is imported, is being looked at.
    Refreshing {
        /// Which.
        address: Address,
        /// Its identity, as far as it is known.
        identity: Option<Arc<str>>,
    },
    /// It was looked at.
    Refreshed {
        /// Which.
        address: Address,
        /// Its identity, as far as it is known.
        identity: Option<Arc<str>>,
    },
    /// A data source is being read.
    Reading {
        /// Which.
        address: Address,
    },
    /// It was read.
    Read {
        /// Which.
        address: Address,
        /// How long it took.
        elapsed: Duration,
    },
    /// An ephemeral object is opened, renewed or closed.
    Ephemeral {
        /// Which.
        address: Address,
        /// What is done.
        operation: EphemeralOperation,
        /// How far it is.
        phase: Phase,
    },
    /// A stage of an apply begins.
    StageStarted {
        /// From 1.
        stage: usize,
        /// How many operations it has.
        operations: usize,
    },
    /// An operation begins.
    Started {
        /// The instance.
        address: Address,
        /// What is done; for a replace once with each half.
        action: Action,
        /// The identity of what is changed or deleted.
        identity: Option<Arc<str>>,
    },
    /// An operation is still running.
    Running {
        /// The instance.
        address: Address,
        /// What is done.
        action: Action,
        /// Since it began.
        elapsed: Duration,
    },
    /// An operation succeeded.
    Done {
        /// The instance.
        address: Address,
        /// What was done.
        action: Action,
        /// How long it took.
        elapsed: Duration,
        /// The remote identity.
        identity: Option<Arc<str>>,
    },
    /// An operation failed.
    Failed {
        /// The instance.
        address: Address,
        /// What was tried.
        action: Action,
        /// How long it took.
        elapsed: Duration,
        /// Why.
        diagnostic: Diagnostic,
    },
    /// An operation was not begun.
    Skipped {
        /// The instance.
        address: Address,
        /// What would have been done.
        action: Action,
        /// Because of what.
        because: String,
    },
    /// A closed gate is waited for; said with every look at it.
    Waiting {
        /// The gate.
        address: Address,
        /// What it waits for.
        waiting_for: String,
        /// How long this apply goes on waiting.
        left: Duration,
    },
    /// Something worth knowing.
    Warning(Diagnostic),
}

/// What is done with an ephemeral object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EphemeralOperation {
    /// It is opened.
    Open,
    /// Its time is prolonged.
    Renew,
    /// It is ended.
    Close,
}

/// How far something is; times are since it began.
#[derive(Clone, Debug)]
pub enum Phase {
    /// It begins.
    Started,
    /// It is still running.
    Running(Duration),
    /// It succeeded.
    Done(Duration),
    /// It failed, and why.
    Failed(Duration, Diagnostic),
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// Takes one event; must not block for long.
    fn event(&self, event: Event);
}

/// A sink that forgets everything.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event) {}
}
