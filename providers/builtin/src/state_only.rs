//! Objects that are nowhere but in state.
//!
//! The one decision: what state remembers is what is there, so looking costs nothing. An object
//! that state does not know does not exist.

use std::sync::Arc;

use mesh_model::Value;
use mesh_model::snapshot::Identity;
use mesh_sdk::{Observation, ObserveRequest, Observed, OperationRequest, Outcome, ProviderError};
use uuid::Uuid;

/// Answers with what state has.
pub(crate) fn observe(requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
    requests
        .iter()
        .map(|r| {
            Ok(r.saved.as_ref().map_or(Observation::Absent, |saved| {
                Observation::Present(Observed::new(saved.clone(), r.identity.clone().unwrap_or_else(fresh)))
            }))
        })
        .collect()
}

/// A new identity: random, since nothing outside could tell two such objects apart.
pub(crate) fn fresh() -> Identity {
    Identity(Arc::from(Uuid::new_v4().to_string()))
}

/// The success of an operation whose values are known.
pub(crate) fn done(request: &OperationRequest, values: Value) -> Outcome {
    Outcome::applied(values, request.identity.clone().unwrap_or_else(fresh))
}
