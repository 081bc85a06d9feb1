//! The data sources: the one list of them.

mod capabilities;
mod health;
pub(crate) mod kv_secret;

use mesh_sdk::DataSource;

use crate::client::Client;

/// All data sources.
pub(crate) fn all() -> Vec<Box<dyn DataSource<Client>>> {
    vec![Box::new(capabilities::Capabilities), Box::new(health::Health), Box::new(kv_secret::KvSecret)]
}
