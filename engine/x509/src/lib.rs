//! Certificates, requests and chains: parsing, verification and issuing.
//!
//! The one decision: pure functions over text and bytes. The time comes in as a number, signatures
//! are made by whoever holds the key ([`issue`] gives the bytes to sign), so everything here can be
//! tested without a clock, a network or an HSM. It does not look at revocation and knows no
//! system trust store: a chain is judged against one given root.

pub mod certificate;
pub mod chain;
pub mod csr;
mod decrypt;
pub mod issue;
pub mod name;
pub mod pem;
mod verify;

pub use certificate::{CertificateInfo, parse_certificates, parse_first_certificate};
pub use chain::{ChainReport, ChainRequest, verify_chain};
pub use csr::{CsrInfo, parse_csr};
pub use decrypt::{DecryptError, rsa_decrypt};
pub use issue::{IssueError, SignatureScheme, Template, ToBeSigned};
pub use pem::Malformed;

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}
