//! The types of ephemeral blocks: the one list of them.

mod kv_secret;
mod token;

use mesh_sdk::EphemeralSource;

use crate::client::Client;

/// All ephemeral types.
pub(crate) fn all() -> Vec<Box<dyn EphemeralSource<Client>>> {
    vec![Box::new(kv_secret::KvSecret), Box::new(token::Token)]
}
