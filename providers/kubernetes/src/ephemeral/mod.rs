//! Types of ephemeral blocks: one file each, one row each.

use mesh_sdk::EphemeralSource;

use crate::cluster::Cluster;

mod token_request;

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn EphemeralSource<Cluster>>> {
    vec![Box::new(token_request::TokenRequest)]
}
