//! The border between the engine and providers.
//!
//! The one decision: [`Provider`] and [`Session`] are traits of plain data in and out (they could
//! sit behind a process border), and everything a type knows without asking anybody is a pure hook
//! in [`Rules`]. Providers are written against [`Resource`], [`DataSource`] and [`EphemeralSource`], one file a type;
//! [`Registry`] turns a table of them into a provider. A provider sees no configuration text, no
//! graph, no state and no terminal.

pub mod conformance;
pub mod ephemeral;
pub mod error;
pub mod marks;
pub mod plan;
pub mod registry;
pub mod resource;
pub mod session;
pub mod wrapping;

pub use ephemeral::{EphemeralSource, Opened, Private, Renewed};
pub use error::{ErrorKind, ProviderError};
pub use plan::{PlanRequest, PlanResponse, Verdict, schema_plan};
pub use registry::{Registry, TypedSession};
pub use resource::{ClosedGate, DataSource, Foreign, IdentityHint, Imported, Problem, Resource, Rules};
pub use session::{
    Observation, ObserveRequest, Observed, OnExisting, OperationRequest, OtherOutputs, OtherStates, Outcome,
    PreviewRequest, PreviewResponse, Provider, Services, Session,
};

pub use wrapping::{KeyBytes, KeyWrapper};

pub use async_trait::async_trait;
