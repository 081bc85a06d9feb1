//! The provider `hsm`: keys, certificates and certificate requests on a PKCS#11 token.
//!
//! The one decision: the token lives in a worker process of its own (see [`worker_main`]), one a
//! session, one call at a time. Vendor libraries block, hang and crash, read their configuration from
//! the environment, and may be initialised once per process: none of that may touch the program.
//! It never initialises tokens and never changes PINs.

mod client;
mod data;
mod failure;
pub mod kms_format;
mod protocol;
mod provider;
mod resources;
mod worker;
mod wrapping;

pub use client::WorkerCommand;
pub use provider::{WORKER_ARGUMENT, provider, provider_with};
pub use worker::worker_main;

#[cfg(test)]
mod tests;
