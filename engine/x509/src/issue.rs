//! Issuing: the bytes to sign and the certificate around the signature.
//!
//! The one decision: two steps, so that the key can be anywhere (an HSM behind a process border):
//! [`Template::to_be_signed`] gives the bytes, the holder signs, [`ToBeSigned::assemble`] finishes.
//! Only authorities are issued here: a root, or an intermediate from a request.

use const_oid::ObjectIdentifier;
use der::asn1::{Any, BitString, Null, OctetString};
use der::{Decode, Encode};
use signature::Keypair;
use spki::{
    AlgorithmIdentifierOwned, Document, DynSignatureAlgorithmIdentifier, EncodePublicKey, SubjectPublicKeyInfoOwned,
    SubjectPublicKeyInfoRef,
};
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder, Result as BuildResult};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::CertificateInfo;

/// How the issuer signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignatureScheme {
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RsaSha384,
    /// ECDSA with SHA-256, the signature as a DER sequence.
    EcdsaSha256,
    /// ECDSA with SHA-384, the signature as a DER sequence.
    EcdsaSha384,
}

impl SignatureScheme {
    /// The usual scheme of a public key: SHA-256 for RSA and P-256, SHA-384 for P-384.
    pub fn of_key(spki_der: &[u8]) -> Option<Self> {
        let key = SubjectPublicKeyInfoOwned::from_der(spki_der).ok()?;
        let parameters = key.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
        match (key.algorithm.oid.to_string().as_str(), parameters.map(|o: ObjectIdentifier| o.to_string()).as_deref()) {
            ("1.2.840.113549.1.1.1", _) => Some(Self::RsaSha256),
            ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => Some(Self::EcdsaSha256),
            ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => Some(Self::EcdsaSha384),
            _ => None,
        }
    }

    fn identifier(self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self {
            Self::RsaSha256 => ("1.2.840.113549.1.1.11", Some(Any::from(Null))),
            Self::RsaSha384 => ("1.2.840.113549.1.1.12", Some(Any::from(Null))),
            Self::EcdsaSha256 => ("1.2.840.10045.4.3.2", None),
            Self::EcdsaSha384 => ("1.2.840.10045.4.3.3", None),
        };
        AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters }
    }
}

/// A certificate to issue.
#[derive(Clone, Debug)]
pub struct Template {
    /// The subject as DER.
    pub subject_der: Vec<u8>,
    /// The subject's public key as DER.
    pub spki_der: Vec<u8>,
    /// The issuer; `None` for a self-signed certificate.
    pub issuer: Option<CertificateInfo>,
    /// The issuer's public key as DER.
    pub issuer_spki_der: Vec<u8>,
    /// The serial number, big-endian, at most 20 bytes with the top bit clear.
    pub serial: Vec<u8>,
    /// Valid from, seconds since 1970.
    pub not_before_unix: i64,
    /// Valid until, seconds since 1970.
    pub not_after_unix: i64,
    /// How many authorities may stand below.
    pub pathlen: Option<u8>,
    /// Whether the subject is an authority (keyCertSign, cRLSign) or an end entity.
    pub is_ca: bool,
    /// How the issuer signs.
    pub scheme: SignatureScheme,
}

/// Why a certificate cannot be issued.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the certificate cannot be built: {0}")]
pub struct IssueError(String);

impl IssueError {
    fn new(e: impl std::fmt::Display) -> Self {
        Self(e.to_string())
    }
}

/// A certificate that only lacks its signature.
pub struct ToBeSigned {
    builder: CertificateBuilder<Authority>,
    signer: Remote,
    bytes: Vec<u8>,
}

impl Template {
    /// The bytes to sign.
    pub fn to_be_signed(&self) -> Result<ToBeSigned, IssueError> {
        let time = |unix: i64| {
            let seconds = u64::try_from(unix).map_err(IssueError::new)?;
            Time::try_from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).map_err(IssueError::new)
        };
        let subject = Name::from_der(&self.subject_der).map_err(IssueError::new)?;
        let issuer_name = match &self.issuer {
            Some(issuer) => Name::from_der(&issuer.subject_der).map_err(IssueError::new)?,
            None => subject.clone(),
        };
        let profile = Authority {
            subject,
            issuer: issuer_name,
            issuer_key_id: self.issuer.as_ref().and_then(|i| i.key_id.clone()),
            pathlen: self.pathlen,
            is_ca: self.is_ca,
        };
        let serial = SerialNumber::new(&self.serial).map_err(IssueError::new)?;
        let validity = Validity::new(time(self.not_before_unix)?, time(self.not_after_unix)?);
        let key = SubjectPublicKeyInfoOwned::from_der(&self.spki_der).map_err(IssueError::new)?;
        let mut builder = CertificateBuilder::new(profile, serial, validity, key).map_err(IssueError::new)?;
        let signer = Remote { scheme: self.scheme, spki_der: self.issuer_spki_der.clone() };
        let bytes = builder.finalize(&signer).map_err(IssueError::new)?;
        Ok(ToBeSigned { builder, signer, bytes })
    }
}

impl ToBeSigned {
    /// What to sign.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The certificate, with its signature checked against the issuer's key.
    pub fn assemble(self, signature: &[u8]) -> Result<CertificateInfo, IssueError> {
        let spki_der = self.signer.spki_der.clone();
        let signature = BitString::from_bytes(signature).map_err(IssueError::new)?;
        let certificate = self.builder.assemble(signature, &self.signer).map_err(IssueError::new)?;
        let der = certificate.to_der().map_err(IssueError::new)?;
        let key = SubjectPublicKeyInfoOwned::from_der(&spki_der).map_err(IssueError::new)?;
        crate::verify::signed_by(&der, &key)
            .map_err(|why| IssueError(format!("the signature that the key's holder made is not valid: {why}")))?;
        CertificateInfo::from_der(&der).map_err(IssueError::new)
    }
}

/// A signer that only tells what it would sign with.
struct Remote {
    scheme: SignatureScheme,
    spki_der: Vec<u8>,
}

#[derive(Clone)]
struct PublicKey(Vec<u8>);

impl EncodePublicKey for PublicKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.as_slice())?)
    }
}

impl Keypair for Remote {
    type VerifyingKey = PublicKey;

    fn verifying_key(&self) -> PublicKey {
        PublicKey(self.spki_der.clone())
    }
}

impl DynSignatureAlgorithmIdentifier for Remote {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.scheme.identifier())
    }
}

/// The extensions of what we issue: key identifiers, basicConstraints and keyUsage, both critical.
struct Authority {
    subject: Name,
    issuer: Name,
    issuer_key_id: Option<Vec<u8>>,
    pathlen: Option<u8>,
    is_ca: bool,
}

impl BuilderProfile for Authority {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        spk: SubjectPublicKeyInfoRef<'_>,
        issuer_spk: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> BuildResult<Vec<Extension>> {
        let authority = match &self.issuer_key_id {
            Some(id) => AuthorityKeyIdentifier {
                key_identifier: Some(OctetString::new(id.clone())?),
                ..AuthorityKeyIdentifier::default()
            },
            None => AuthorityKeyIdentifier::try_from(issuer_spk)?,
        };
        let usage =
            if self.is_ca { KeyUsages::KeyCertSign | KeyUsages::CRLSign } else { KeyUsages::DigitalSignature.into() };
        let constraints = BasicConstraints { ca: self.is_ca, path_len_constraint: self.pathlen.filter(|_| self.is_ca) };
        let mut extensions = Vec::new();
        for extension in [
            constraints.to_extension(&tbs_subject(tbs), &extensions),
            KeyUsage(usage).to_extension(&tbs_subject(tbs), &extensions),
            SubjectKeyIdentifier::try_from(spk)?.to_extension(&tbs_subject(tbs), &extensions),
            authority.to_extension(&tbs_subject(tbs), &extensions),
        ] {
            extensions.push(extension?);
        }
        Ok(extensions)
    }
}

fn tbs_subject(tbs: &TbsCertificate) -> Name {
    tbs.subject().clone()
}
