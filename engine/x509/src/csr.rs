//! Certificate signing requests (PKCS#10): what is in them.

use der::{Decode, Encode};
use x509_cert::request::CertReq;

use crate::pem::{Malformed, blocks};
use crate::{name, sha256_hex};

/// The facts of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsrInfo {
    /// The subject as Go's `Subject.String()` writes it.
    pub subject: String,
    /// The subject as DER.
    pub subject_der: Vec<u8>,
    /// SHA-256 of the DER bytes of the request, lower-case hexadecimal.
    pub der_sha256: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub spki_sha256: String,
    /// The public key (SubjectPublicKeyInfo) as DER.
    pub spki_der: Vec<u8>,
    /// Whether the request is signed with its own key.
    pub signature_valid: bool,
    /// Why it is not.
    pub signature_problem: Option<String>,
}

/// The first request of a PEM text.
pub fn parse_csr(pem: &str) -> Result<CsrInfo, Malformed> {
    let found = blocks(pem, &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])?;
    let Some(der) = found.first() else {
        return Err(Malformed("the text has no PEM block \"-----BEGIN CERTIFICATE REQUEST-----\"".into()));
    };
    let bad = |e: der::Error| Malformed(format!("the certificate request cannot be read: {e}"));
    let request = CertReq::from_der(der).map_err(bad)?;
    let spki_der = request.info.public_key.to_der().map_err(bad)?;
    let signature_problem = crate::verify::signed_by(der, &request.info.public_key).err();
    Ok(CsrInfo {
        subject: name::text(&request.info.subject),
        subject_der: request.info.subject.to_der().map_err(bad)?,
        der_sha256: sha256_hex(der),
        spki_sha256: sha256_hex(&spki_der),
        spki_der,
        signature_valid: signature_problem.is_none(),
        signature_problem,
    })
}
