//! Objects from their attributes.
//!
//! The one decision: an attribute that a token does not give is `None`, never a guess.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use der::asn1::{Any, BitString, Null, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode};
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::token::fault;
use crate::protocol::{Bytes, Class, Fault, Object};

const WANTED: [AttributeType; 17] = [
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::KeyType,
    AttributeType::ValueLen,
    AttributeType::ModulusBits,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::EcParams,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::Local,
    AttributeType::AlwaysSensitive,
    AttributeType::NeverExtractable,
];

/// Reads an object; `public` is the public half of a key pair.
pub(super) fn read(
    session: &Session,
    class: Class,
    handle: ObjectHandle,
    public: Option<ObjectHandle>,
) -> Result<Object, Fault> {
    let mut wanted = WANTED.to_vec();
    match class {
        Class::SecretKey => wanted.push(AttributeType::CheckValue),
        // Only where it is the certificate itself: a key's value is its secret.
        Class::Certificate => wanted.push(AttributeType::Value),
        Class::KeyPair => {}
    }
    let mut object = Object::empty(class);
    let mut key = PublicParts::default();
    for attribute in session.get_attributes(handle, &wanted).map_err(|e| fault(&e))? {
        match attribute {
            Attribute::Id(id) => object.id = Bytes(id),
            Attribute::Label(label) => object.label = String::from_utf8_lossy(&label).trim_end_matches('\0').to_owned(),
            Attribute::KeyType(KeyType::AES) => object.key_type = "AES".into(),
            Attribute::KeyType(KeyType::RSA) => object.key_type = "RSA".into(),
            Attribute::KeyType(KeyType::EC) => object.key_type = "EC".into(),
            Attribute::KeyType(other) => object.key_type = other.to_string(),
            Attribute::ValueLen(n) => object.size = u64::try_from(usize::from(n)).ok(),
            Attribute::Modulus(m) if !m.is_empty() => {
                object.size = u64::try_from(m.len() * 8).ok();
                key.modulus = Some(m);
            }
            Attribute::PublicExponent(e) if !e.is_empty() => key.exponent = Some(e),
            Attribute::EcParams(p) if !p.is_empty() => key.curve = Some(p),
            Attribute::Encrypt(b) => object.usage.encrypt = Some(b),
            Attribute::Decrypt(b) => object.usage.decrypt = Some(b),
            Attribute::Wrap(b) => object.usage.wrap = Some(b),
            Attribute::Unwrap(b) => object.usage.unwrap = Some(b),
            Attribute::Sensitive(b) => object.sensitive = Some(b),
            Attribute::Extractable(b) => object.extractable = Some(b),
            Attribute::Local(b) => object.local = Some(b),
            Attribute::AlwaysSensitive(b) => object.always_sensitive = Some(b),
            Attribute::NeverExtractable(b) => object.never_extractable = Some(b),
            Attribute::CheckValue(v) if !v.is_empty() => object.fingerprint = Some(mesh_x509::hex(&v)),
            Attribute::Value(v) => {
                object.fingerprint = Some(mesh_x509::hex(&Sha256::digest(&v)));
                object.der = Some(Bytes(v));
            }
            _ => {}
        }
    }
    if class == Class::KeyPair {
        if let Some(public) = public {
            let parts = [AttributeType::EcPoint, AttributeType::PublicExponent];
            for attribute in session.get_attributes(public, &parts).map_err(|e| fault(&e))? {
                match attribute {
                    Attribute::EcPoint(p) if !p.is_empty() => key.point = Some(p),
                    Attribute::PublicExponent(e) if !e.is_empty() => key.exponent = Some(e),
                    _ => {}
                }
            }
        }
        if let Some(spki) = key.spki() {
            object.fingerprint = Some(mesh_x509::hex(&Sha256::digest(&spki)));
            object.der = Some(Bytes(spki));
        }
    }
    Ok(object)
}

#[derive(Default)]
struct PublicParts {
    modulus: Option<Vec<u8>>,
    exponent: Option<Vec<u8>>,
    curve: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
}

impl PublicParts {
    /// The public key as SubjectPublicKeyInfo; `None` where the token does not tell enough.
    fn spki(&self) -> Option<Vec<u8>> {
        let (algorithm, key) = match self {
            Self { modulus: Some(modulus), exponent: Some(exponent), .. } => {
                let mut parts = Vec::new();
                for number in [modulus, exponent] {
                    UintRef::new(number).ok()?.encode_to_vec(&mut parts).ok()?;
                }
                let sequence = Any::new(der::Tag::Sequence, parts).ok()?;
                let oid = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
                (AlgorithmIdentifierOwned { oid, parameters: Some(Any::from(Null)) }, sequence.to_der().ok()?)
            }
            Self { curve: Some(curve), point: Some(point), .. } => {
                let oid = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
                let parameters = Some(Any::from_der(curve).ok()?);
                // The standard wraps the point into an OCTET STRING; some tokens do not.
                let point = <&OctetStringRef>::from_der(point).map_or(point.as_slice(), OctetStringRef::as_bytes);
                (AlgorithmIdentifierOwned { oid, parameters }, point.to_vec())
            }
            _ => return None,
        };
        let subject_public_key = BitString::from_bytes(&key).ok()?;
        SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der().ok()
    }
}

/// A raw ECDSA signature (r and s of equal length) as the DER sequence that X.509 wants.
pub(super) fn ecdsa_der(raw: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = raw.split_at_checked(raw.len() / 2).filter(|(r, s)| r.len() == s.len() && !r.is_empty())?;
    let mut parts = Vec::new();
    for number in [r, s] {
        UintRef::new(number).ok()?.encode_to_vec(&mut parts).ok()?;
    }
    Any::new(der::Tag::Sequence, parts).ok()?.to_der().ok()
}
