//! Changes and plans: what will be done, why, and what has to wait.
//!
//! The one decision: a plan is plain data that is complete enough to be reviewed, digested and
//! checked against a second plan; applying finds everything else (configuration, state) by
//! planning again and comparing digests.

mod action;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use action::{Action, Reason};

use crate::{Address, ModulePath, Path, ResourceAddress, Value, json};

/// Whether a planned change was shown to the server first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Previewed {
    /// The type needs no preview.
    NotNeeded,
    /// The server answered.
    Done,
    /// It could not be: the credentials may not, or what it needs is made by the same plan.
    Skipped(&'static str),
}

/// What is done to one instance.
#[derive(Clone, Debug)]
pub struct Change {
    /// The instance.
    pub address: Address,
    /// Where it was before a move.
    pub previous_address: Option<Address>,
    /// The key of a deposed object, where the change is about that one.
    pub deposed: Option<Arc<str>>,
    /// The provider and its alias: `vault`, `vault.eu`.
    pub provider: Arc<str>,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What is there now, in the shape of the schema; null when nothing is.
    pub before: Value,
    /// What will be; unknown parts are known after apply. Null for a delete.
    pub after: Value,
    /// What forces a new object.
    pub replace_paths: Vec<Path>,
    /// The identity of an object that is imported or adopted.
    pub importing: Option<String>,
    /// Whether the server has seen it.
    pub previewed: Previewed,
    /// Warnings and facts that belong to this change (other field managers, adoption).
    pub notes: Vec<String>,
    /// What the system counts changes of the object with, as it was seen: for people only.
    pub version: Option<Arc<str>>,
}

impl Change {
    /// A change about which there is nothing else to say.
    pub const fn new(address: Address, provider: Arc<str>, action: Action, before: Value, after: Value) -> Self {
        Self {
            address,
            previous_address: None,
            deposed: None,
            provider,
            action,
            reason: Reason::None,
            before,
            after,
            replace_paths: Vec::new(),
            importing: None,
            previewed: Previewed::NotNeeded,
            notes: Vec::new(),
            version: None,
        }
    }

    /// The canonical line that digests are made of; secrets by fingerprint only.
    fn canonical(&self, fingerprinter: &crate::Fingerprinter) -> String {
        let value = |v: &Value| json::canonical(&fingerprinter.withhold(v));
        format!(
            "{}\u{1}{}\u{1}{:?}\u{1}{}\u{1}{}\u{1}{}",
            self.address,
            self.deposed.as_deref().unwrap_or(""),
            self.action,
            self.provider,
            value(&self.before),
            value(&self.after),
        )
    }
}

/// A block whose instances cannot be decided yet: what they may become is the envelope.
#[derive(Clone, Debug)]
pub struct Deferred {
    /// The block.
    pub resource: ResourceAddress,
    /// One instance, or the pattern `x[*]` where keys are unknown.
    pub pattern: String,
    /// Which actions a later stage may take.
    pub actions: Vec<Action>,
    /// Why it waits, in words: `provider "vault" is configured from vault_mount.x`.
    pub reason: String,
    /// A short word for machines: `provider_config_unknown`, `instance_count_unknown`,
    /// `gate_closed`, `deferred_prereq`, `absent_prereq`.
    pub reason_code: &'static str,
    /// What is known of the attributes.
    pub known: Value,
}

/// A closed gate.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The gate.
    pub address: Address,
    /// What it waits for, one line.
    pub waiting_for: String,
    /// What to do, as the configuration says it.
    pub instructions: String,
    /// Why what was given does not open it, one line each.
    pub problems: Vec<String>,
    /// How an apply waits for it; `None`: it ends.
    pub poll: Option<Poll>,
}

/// How an apply waits for a closed gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Poll {
    /// The time between two looks.
    pub interval: Duration,
    /// How long one apply waits.
    pub timeout: Duration,
}

/// Something outside that is not as state remembers it.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The instance.
    pub address: Address,
    /// What state remembers.
    pub before: Value,
    /// What is there; null when it is gone.
    pub after: Value,
    /// Where they differ.
    pub paths: Vec<Path>,
}

/// A change of a root output.
#[derive(Clone, Debug)]
pub struct OutputChange {
    /// The value in state; null when there is none.
    pub before: Value,
    /// The value to come.
    pub after: Value,
    /// What is done.
    pub action: Action,
}

/// How a check ended; of several assertions the worst counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CheckStatus {
    /// Everything holds.
    Pass,
    /// Something is not known yet.
    Unknown,
    /// Something does not hold.
    Fail,
    /// Something could not be evaluated.
    Error,
}

impl CheckStatus {
    /// The word of the machine formats.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

/// The result of a `check` block in one module instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckResult {
    /// The module instance.
    pub module: ModulePath,
    /// The name of the block.
    pub name: Arc<str>,
    /// How it ended.
    pub status: CheckStatus,
    /// The messages of what does not hold.
    pub problems: Vec<String>,
}

/// One reviewed unit of work.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Every instance, no-ops included, in the order of addresses.
    pub changes: Vec<Change>,
    /// What has to wait for a later stage.
    pub deferred: Vec<Deferred>,
    /// Gates that are closed.
    pub waiting: Vec<Waiting>,
    /// What differs from state.
    pub drift: Vec<Drift>,
    /// Root outputs.
    pub outputs: BTreeMap<Arc<str>, OutputChange>,
    /// Results of `check` blocks.
    pub checks: Vec<CheckResult>,
    /// Whether the whole stack is destroyed.
    pub destroy: bool,
    /// Whether state is only brought up to date.
    pub refresh_only: bool,
    /// Whether `-target` or `-exclude` leave something out.
    pub partial: bool,
    /// Objects that a destroy leaves because they are protected or needed by what is.
    pub protected: Vec<Address>,
}

/// How many of which.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Creates and the create half of replaces.
    pub add: usize,
    /// Updates.
    pub change: usize,
    /// Deletes and the delete half of replaces.
    pub destroy: usize,
    /// Imports and adoptions.
    pub import: usize,
    /// Forgotten.
    pub forget: usize,
}

impl Plan {
    /// Changes that do something outside.
    pub fn writes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|c| c.action.is_write())
    }

    /// Whether applying would change nothing at all: objects, addresses, outputs.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|c| !c.action.is_write() && c.previous_address.is_none() && c.importing.is_none())
            && self.outputs.values().all(|o| o.action == Action::NoOp)
            && (self.drift.is_empty() || !self.refresh_only)
    }

    /// Whether nothing has to wait for a later stage.
    pub fn is_complete(&self) -> bool {
        self.deferred.is_empty()
    }

    /// The numbers of the summary line.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.changes {
            counts.import += usize::from(change.importing.is_some());
            match change.action {
                Action::NoOp | Action::Read => {}
                Action::Create => counts.add += 1,
                Action::Update => counts.change += 1,
                Action::Replace | Action::ReplaceCreateFirst => {
                    counts.add += 1;
                    counts.destroy += 1;
                }
                Action::ReplaceForget => {
                    counts.add += 1;
                    counts.forget += 1;
                }
                Action::Delete => counts.destroy += 1,
                Action::Forget => counts.forget += 1,
            }
        }
        counts
    }

    /// One hash per write, keyed by address: equal hashes mean the identical change.
    pub fn change_digests(&self, fingerprinter: &crate::Fingerprinter) -> BTreeMap<String, [u8; 32]> {
        self.writes()
            .map(|c| {
                let key = c
                    .deposed
                    .as_ref()
                    .map_or_else(|| c.address.to_string(), |d| format!("{} (deposed {d})", c.address));
                (key, Sha256::digest(c.canonical(fingerprinter).as_bytes()).into())
            })
            .collect()
    }

    /// The digest that people approve: version 1, SHA-256 over changes and envelopes in the order
    /// of addresses, without times and serials.
    pub fn digest(&self, fingerprinter: &crate::Fingerprinter) -> String {
        let mut hash = Sha256::new();
        hash.update(b"mesh-plan-1\n");
        for (address, digest) in self.change_digests(fingerprinter) {
            hash.update(address.as_bytes());
            hash.update(digest);
        }
        for (from, change) in self.changes.iter().filter_map(|c| c.previous_address.as_ref().map(|f| (f, c))) {
            hash.update(format!("move {from} {}\n", change.address).as_bytes());
        }
        let envelope = |d: &Deferred| {
            let known = json::canonical(&fingerprinter.withhold(&d.known));
            format!("{}\u{1}{:?}\u{1}{}\u{1}{known}", d.pattern, d.actions, d.reason_code)
        };
        let mut envelopes: Vec<String> = self.deferred.iter().map(envelope).collect();
        envelopes.sort();
        for envelope in envelopes {
            hash.update(envelope.as_bytes());
            hash.update(b"\n");
        }
        for (name, output) in self.outputs.iter().filter(|(_, o)| o.action != Action::NoOp) {
            hash.update(
                format!("output.{name}={}\n", json::canonical(&fingerprinter.withhold(&output.after))).as_bytes(),
            );
        }
        for drift in self.drift.iter().filter(|_| self.refresh_only) {
            let after = json::canonical(&fingerprinter.withhold(&drift.after));
            hash.update(format!("refresh {}={after}\n", drift.address).as_bytes());
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}
