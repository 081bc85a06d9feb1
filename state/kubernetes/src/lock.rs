//! The lock as a Lease, so that `kubectl get lease` shows who holds it.
//!
//! The one decision: what counts is our own text in an annotation; the fields of the Lease are filled from it for
//! people and never read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use mesh_state::LockInfo;
use mesh_state::remote::LOCK;
use serde::Deserialize;

use crate::names::StateName;

/// Where our text is.
const ANNOTATION: &str = "mesh.state/lock";

/// As much of the text as is shown.
#[derive(Default, Deserialize)]
struct Shown {
    #[serde(default)]
    token: u64,
    holder: Option<LockInfo>,
}

/// The Lease that says what `text` says, over a version or a new one.
pub(crate) fn lease(state: &StateName, text: String, version: Option<String>) -> Lease {
    let shown: Shown = serde_json::from_str(&text).unwrap_or_default();
    let now = Timestamp::now();
    let seconds = shown.holder.as_ref().and_then(|h| h.expires).map(|e| e.as_second() - now.as_second());
    let spec = LeaseSpec {
        holder_identity: shown
            .holder
            .as_ref()
            .map(|h| format!("{}@{} ({}, process {})", h.user, h.host, h.command, h.pid)),
        lease_duration_seconds: seconds.map(|s| i32::try_from(s.max(1)).unwrap_or(i32::MAX)),
        acquire_time: shown.holder.as_ref().map(|h| MicroTime(h.started)),
        renew_time: shown.holder.as_ref().map(|_| MicroTime(now)),
        lease_transitions: i32::try_from(shown.token).ok(),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(state.object(LOCK)),
        labels: Some(state.labels_of(LOCK)),
        annotations: Some(BTreeMap::from([(ANNOTATION.to_owned(), text)])),
        resource_version: version,
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: Some(spec) }
}

/// Our text; empty where somebody took it away.
pub(crate) fn text(lease: &Lease) -> String {
    lease.metadata.annotations.as_ref().and_then(|a| a.get(ANNOTATION)).cloned().unwrap_or_default()
}
