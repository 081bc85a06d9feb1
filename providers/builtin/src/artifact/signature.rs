//! Detached signatures over SHA-256, as `openssl dgst -sha256 -sign` makes them.
//!
//! The one decision: the key says which algorithm is meant; nothing is tried in turn.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use der::Decode;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Whether `signature` over `content` was made with the key; the error says why not.
pub(super) fn verify(public_key: &str, content: &[u8], signature: &[u8]) -> Result<(), String> {
    let blocks = mesh_x509::pem::blocks(public_key, &["PUBLIC KEY"]).map_err(|e| e.to_string())?;
    let [key] = blocks.as_slice() else {
        return Err("`public_key` must hold exactly one PEM block \"-----BEGIN PUBLIC KEY-----\"".into());
    };
    let key = SubjectPublicKeyInfoRef::from_der(key).map_err(|e| format!("`public_key` cannot be read: {e}"))?;
    let curve = key.algorithm.parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    let algorithm: &dyn VerificationAlgorithm = match (key.algorithm.oid, curve) {
        (EC, Some(P256)) => &ECDSA_P256_SHA256_ASN1,
        (EC, Some(P384)) => &ECDSA_P384_SHA256_ASN1,
        (RSA, _) => &RSA_PKCS1_2048_8192_SHA256,
        (other, _) => return Err(format!("keys of type {other} are not supported; use P-256, P-384 or RSA")),
    };
    UnparsedPublicKey::new(algorithm, key.subject_public_key.raw_bytes())
        .verify(content, signature)
        .map_err(|_| "the signature does not fit the file and the key".into())
}
