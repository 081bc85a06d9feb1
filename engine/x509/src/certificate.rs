//! Certificates: what is in them.

use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};

use crate::pem::{Malformed, blocks};
use crate::{hex, name, sha256_hex};

/// The facts of one certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateInfo {
    /// The subject as Go's `Subject.String()` writes it.
    pub subject: String,
    /// The issuer, written likewise.
    pub issuer: String,
    /// The serial number in lower-case hexadecimal.
    pub serial_hex: String,
    /// Valid from, RFC 3339 in UTC.
    pub not_before: String,
    /// Valid until, RFC 3339 in UTC.
    pub not_after: String,
    /// Valid from, seconds since 1970.
    pub not_before_unix: i64,
    /// Valid until, seconds since 1970.
    pub not_after_unix: i64,
    /// Whether basicConstraints say `CA:TRUE`.
    pub is_ca: bool,
    /// The path length that basicConstraints allow.
    pub pathlen: Option<u8>,
    /// keyUsage: whether it may sign certificates; `None` without the extension.
    pub cert_sign: Option<bool>,
    /// SHA-256 of the DER bytes, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub spki_sha256: String,
    /// The public key (SubjectPublicKeyInfo) as DER.
    pub spki_der: Vec<u8>,
    /// The subject as DER.
    pub subject_der: Vec<u8>,
    /// The issuer as DER.
    pub issuer_der: Vec<u8>,
    /// The serial number as a DER INTEGER.
    pub serial_der: Vec<u8>,
    /// The subject key identifier, if there is one.
    pub key_id: Option<Vec<u8>>,
    /// The whole certificate as DER.
    pub der: Vec<u8>,
}

impl CertificateInfo {
    /// From DER bytes.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Malformed> {
        let bad = |e: der::Error| Malformed(format!("a certificate cannot be read: {e}"));
        let certificate = Certificate::from_der(bytes).map_err(bad)?;
        let tbs = certificate.tbs_certificate();
        let constraints = tbs.get_extension::<BasicConstraints>().map_err(bad)?.map(|(_, c)| c);
        let usage = tbs.get_extension::<KeyUsage>().map_err(bad)?.map(|(_, u)| u);
        let key_id = tbs.get_extension::<SubjectKeyIdentifier>().map_err(bad)?;
        let spki_der = tbs.subject_public_key_info().to_der().map_err(bad)?;
        let (from, until) = (tbs.validity().not_before, tbs.validity().not_after);
        Ok(Self {
            subject: name::text(tbs.subject()),
            issuer: name::text(tbs.issuer()),
            serial_hex: hex(tbs.serial_number().as_bytes()),
            not_before: from.to_date_time().to_string(),
            not_after: until.to_date_time().to_string(),
            not_before_unix: unix(from),
            not_after_unix: unix(until),
            is_ca: constraints.as_ref().is_some_and(|c| c.ca),
            pathlen: constraints.and_then(|c| c.path_len_constraint),
            cert_sign: usage.map(|u| u.key_cert_sign()),
            sha256: sha256_hex(bytes),
            spki_sha256: sha256_hex(&spki_der),
            spki_der,
            subject_der: tbs.subject().to_der().map_err(bad)?,
            issuer_der: tbs.issuer().to_der().map_err(bad)?,
            serial_der: tbs.serial_number().to_der().map_err(bad)?,
            key_id: key_id.map(|(_, id)| id.0.as_bytes().to_vec()),
            der: bytes.to_vec(),
        })
    }

    /// The certificate as one PEM block.
    pub fn pem(&self) -> String {
        crate::pem::encode("CERTIFICATE", &self.der)
    }

    /// Whether `issuer` signed this certificate; the error says why not.
    pub fn signed_by(&self, issuer: &Self) -> Result<(), String> {
        let key = spki::SubjectPublicKeyInfoOwned::from_der(&issuer.spki_der).map_err(|e| e.to_string())?;
        crate::verify::signed_by(&self.der, &key)
    }

    /// Whether both have the same subject and key: the same authority, perhaps re-issued.
    pub fn same_authority(&self, other: &Self) -> bool {
        self.spki_der == other.spki_der && self.subject_der == other.subject_der
    }

    /// The subject, or the serial number of a certificate without one; for messages.
    pub fn title(&self) -> String {
        if self.subject.is_empty() { format!("serial {}", self.serial_hex) } else { self.subject.clone() }
    }
}

fn unix(time: x509_cert::time::Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

/// All certificates of a PEM text in order; a text without any is an error.
pub fn parse_certificates(pem: &str) -> Result<Vec<CertificateInfo>, Malformed> {
    certificates(pem)?.iter().map(|der| CertificateInfo::from_der(der)).collect()
}

/// The first certificate of a PEM text; those behind it need only be whole PEM blocks.
pub fn parse_first_certificate(pem: &str) -> Result<CertificateInfo, Malformed> {
    certificates(pem)?.first().map_or_else(|| Err(Malformed(NONE.into())), |der| CertificateInfo::from_der(der))
}

const NONE: &str = "the text has no PEM block \"-----BEGIN CERTIFICATE-----\"";

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Malformed> {
    let found = blocks(pem, &["CERTIFICATE", "X509 CERTIFICATE"])?;
    if found.is_empty() {
        return Err(Malformed(if pem.trim().is_empty() { "the text is empty" } else { NONE }.into()));
    }
    Ok(found)
}
