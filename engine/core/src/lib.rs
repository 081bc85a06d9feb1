//! The engine: observe, decide, plan, apply, without a terminal.
//!
//! The one decision: everything that a command needs is a function of plain data and traits
//! (providers, a state backend, a sink for events, an approver), so that any program can drive it.
//! It prints nothing, reads no environment and names no concrete provider.

pub mod apply;
pub mod check;
pub mod conform;
pub mod decide;
pub mod engine;
mod ephemeral;
pub mod event;
pub mod graph;
pub mod inputs;
mod live;
pub mod plan;
pub mod planfile;
pub mod stage;
pub mod testing;
pub mod world;

#[cfg(test)]
mod tests;

pub use apply::{Cancel, Report, sealed_place};
pub use engine::{Engine, Keeper};
pub use event::{EphemeralOperation, Event, Phase, Silent, Sink};
pub use inputs::{Input, Inputs};
pub use plan::{Mode, Options, Planning};
pub use stage::{Approval, Approver, Finished, Run};
