//! The data sources.

mod decrypted_csr;
mod object;
mod token;

use mesh_sdk::DataSource;

use crate::client::Client;

/// One row per data source.
pub(crate) fn all() -> Vec<Box<dyn DataSource<Client>>> {
    vec![Box::new(decrypted_csr::DecryptedCsr), Box::new(object::Object), Box::new(token::Token)]
}
