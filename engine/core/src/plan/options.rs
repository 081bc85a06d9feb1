//! What was asked for when a plan is made.
//!
//! The one decision: a plan of everything, a destroy and a look are one walk; what differs is said here once.

use mesh_model::{Address, Selector};

/// What kind of plan is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Make reality as configured.
    #[default]
    Normal,
    /// Remove everything.
    Destroy,
    /// Take what is really there into state, and change nothing.
    RefreshOnly,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Normal, destroy or refresh only.
    pub mode: Mode,
    /// Whether reality is looked at; without, state is believed.
    pub refresh: bool,
    /// Instances that get a new object.
    pub replace: Vec<Address>,
    /// Only these are planned, with what they need; empty: everything.
    pub targets: Vec<Selector>,
    /// These are not planned, nor is what needs them.
    pub excludes: Vec<Selector>,
    /// Imports without a block are looked at, for what their blocks would say ([`super::Planning::generated`]).
    pub generate: bool,
    /// How many operations run at once over all providers.
    pub parallelism: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Normal,
            refresh: true,
            replace: Vec::new(),
            targets: Vec::new(),
            excludes: Vec::new(),
            generate: false,
            parallelism: 64,
        }
    }
}

impl Options {
    /// Whether something is left out of the plan.
    pub const fn is_partial(&self) -> bool {
        !self.targets.is_empty() || !self.excludes.is_empty()
    }
}
