//! Signatures of certificates and requests, verified with aws-lc-rs (the library behind all TLS of
//! the program).
//!
//! The one decision: the signed bytes are the ones that were read, never re-encoded ones.

use aws_lc_rs::signature::{self as alg, UnparsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoOwned};

/// The outer shape of everything that X.509 signs.
#[derive(Sequence)]
struct Signed<'a> {
    body: AnyRef<'a>,
    algorithm: AlgorithmIdentifierRef<'a>,
    signature: BitStringRef<'a>,
}

#[derive(Sequence)]
struct PssParameters<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AnyRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<AnyRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<AnyRef<'a>>,
}

const EC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Whether `der` (a certificate or request) is signed by `key`; the error says why not.
pub(crate) fn signed_by(der: &[u8], key: &SubjectPublicKeyInfoOwned) -> Result<(), String> {
    let signed = Signed::from_der(der).map_err(|e| format!("it cannot be read: {e}"))?;
    let body = signed.body.to_der().map_err(|e| format!("it cannot be read: {e}"))?;
    let algorithm = algorithm(&signed.algorithm, key)?;
    let public = key.subject_public_key.raw_bytes();
    UnparsedPublicKey::new(algorithm, public)
        .verify(&body, signed.signature.raw_bytes())
        .map_err(|_| "the signature does not fit the key".to_owned())
}

fn algorithm(
    id: &AlgorithmIdentifierRef<'_>,
    key: &SubjectPublicKeyInfoOwned,
) -> Result<&'static dyn VerificationAlgorithm, String> {
    let curve = if key.algorithm.oid == EC_KEY {
        key.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok()).map(|o| o.to_string())
    } else {
        None
    };
    let oid = id.oid.to_string();
    Ok(match (oid.as_str(), curve.as_deref()) {
        ("1.2.840.113549.1.1.11", None) => &alg::RSA_PKCS1_2048_8192_SHA256,
        ("1.2.840.113549.1.1.12", None) => &alg::RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", None) => &alg::RSA_PKCS1_2048_8192_SHA512,
        ("1.2.840.113549.1.1.10", None) => pss(id)?,
        ("1.2.840.10045.4.3.2", Some("1.2.840.10045.3.1.7")) => &alg::ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", Some("1.2.840.10045.3.1.7")) => &alg::ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", Some("1.2.840.10045.3.1.7")) => &alg::ECDSA_P256_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", Some("1.3.132.0.34")) => &alg::ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", Some("1.3.132.0.34")) => &alg::ECDSA_P384_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", Some("1.3.132.0.34")) => &alg::ECDSA_P384_SHA512_ASN1,
        ("1.3.101.112", None) => &alg::ED25519,
        (other, curve) => {
            return Err(format!(
                "the signature algorithm {other} with {} is not supported; use RSA (2048 bits or more) or ECDSA on \
                 P-256 or P-384, with SHA-256, SHA-384 or SHA-512",
                curve.map_or_else(|| format!("a key of type {}", key.algorithm.oid), |c| format!("the curve {c}")),
            ));
        }
    })
}

fn pss(id: &AlgorithmIdentifierRef<'_>) -> Result<&'static dyn VerificationAlgorithm, String> {
    let parameters = id.parameters.and_then(|p| p.decode_as::<PssParameters<'_>>().ok());
    match parameters.and_then(|p| p.hash).map(|h| h.oid.to_string()).as_deref() {
        Some("2.16.840.1.101.3.4.2.1") => Ok(&alg::RSA_PSS_2048_8192_SHA256),
        Some("2.16.840.1.101.3.4.2.2") => Ok(&alg::RSA_PSS_2048_8192_SHA384),
        Some("2.16.840.1.101.3.4.2.3") => Ok(&alg::RSA_PSS_2048_8192_SHA512),
        _ => Err("the hash of its RSA-PSS signature is not SHA-256, SHA-384 or SHA-512".into()),
    }
}
