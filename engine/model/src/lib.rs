//! The words of `mesh` as data: addresses, values, types, schemas, diagnostics, changes, snapshots.
//!
//! The one decision: everything here is plain data with pure operations, so that every other
//! crate (language, engine, providers, state, views) can speak about the same things without
//! knowing each other. It does no I/O, reads no clock and no randomness.

pub mod address;
pub mod change;
pub mod convert;
pub mod diagnostic;
pub mod fingerprint;
pub mod json;
pub mod number;
pub mod path;
pub mod render;
pub mod schema;
pub mod selector;
pub mod snapshot;
pub mod types;
pub mod value;

pub use address::{Address, InstanceKey, Mode, ModulePath, ResourceAddress};
pub use change::{Action, Change, Deferred, Plan, Reason};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Sources, Span};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use number::Number;
pub use path::{Path, Step};
pub use schema::{Attribute, Block, Nesting, ProviderSchema, RecipientNeed, ResourceSchema, Schema};
pub use selector::Selector;
pub use snapshot::{Instance, Snapshot};
pub use types::Type;
pub use value::{Fields, Kind, Marks, Value};
