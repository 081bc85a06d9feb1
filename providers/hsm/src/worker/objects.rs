//! What is done with objects.
//!
//! The one decision: full templates, because tokens differ in their defaults and some are unsafe
//! (SoftHSM makes keys that are not sensitive when it is not told). Whatever a template says was
//! settled before; no call here looks twice or repairs.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, CertificateType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest, Sha256, Sha384};

use super::attributes::{ecdsa_der, read};
use super::token::{Holder, fault};
use crate::protocol::{Bytes, Class, Fault, FaultKind, Name, Object, PairKind, Scheme, SecretBytes, Usage};

const fn pkcs11_class(class: Class) -> ObjectClass {
    match class {
        Class::SecretKey => ObjectClass::SECRET_KEY,
        Class::Certificate => ObjectClass::CERTIFICATE,
        Class::KeyPair => ObjectClass::PRIVATE_KEY,
    }
}

fn search(session: &Session, class: ObjectClass, id: Option<&Bytes>) -> Result<Vec<ObjectHandle>, Fault> {
    let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
    template.extend(id.map(|id| Attribute::Id(id.0.clone())));
    session.find_objects(&template).map_err(|e| fault(&e))
}

pub(super) fn find(holder: &Holder, class: Class, id: Option<&Bytes>) -> Result<Vec<Object>, Fault> {
    let session = holder.reading()?;
    let mut objects = Vec::new();
    for handle in search(session, pkcs11_class(class), id)? {
        objects.push(one(session, class, handle)?);
    }
    // A logout between the search and here (by a token reset, say) would have hidden objects.
    holder.reading()?;
    Ok(objects)
}

fn one(session: &Session, class: Class, handle: ObjectHandle) -> Result<Object, Fault> {
    let mut object = read(session, class, handle, None)?;
    if class == Class::KeyPair
        && let [public] = search(session, ObjectClass::PUBLIC_KEY, Some(&object.id))?.as_slice()
    {
        object = read(session, class, handle, Some(*public))?;
    }
    Ok(object)
}

/// The single object of a name; `None` when there is none, an error when it is not clear which.
fn single(session: &Session, name: &Name) -> Result<Option<ObjectHandle>, Fault> {
    let handles = search(session, pkcs11_class(name.class), Some(&name.id))?;
    let ambiguous = |detail: String| Err(Fault::new(FaultKind::Ambiguous, detail));
    match handles.as_slice() {
        [] => Ok(None),
        [handle] => {
            if let Some(expected) = &name.fingerprint {
                let found = one(session, name.class, *handle)?.fingerprint;
                if found.as_ref().is_some_and(|f| f != expected) {
                    return ambiguous(format!(
                        "Another {} has this id now: expected was fingerprint {expected}, found is {}. Nothing was done \
                         with it.",
                        name.class.word(),
                        found.unwrap_or_default()
                    ));
                }
            }
            Ok(Some(*handle))
        }
        several => ambiguous(format!("{} objects have this id; nothing was done.", several.len())),
    }
}

pub(super) fn generate_secret_key(
    holder: &Holder,
    id: &Bytes,
    label: &str,
    size: u32,
    usage: Usage,
) -> Result<Vec<Object>, Fault> {
    let session = holder.writing()?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(u64::from(size).into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Id(id.0.clone()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Encrypt(usage.encrypt.unwrap_or(true)),
        Attribute::Decrypt(usage.decrypt.unwrap_or(true)),
        Attribute::Wrap(usage.wrap.unwrap_or(false)),
        Attribute::Unwrap(usage.unwrap.unwrap_or(false)),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ];
    let handle = session.generate_key(&Mechanism::AesKeyGen, &template).map_err(|e| fault(&e))?;
    Ok(vec![one(&session, Class::SecretKey, handle)?])
}

pub(super) fn generate_key_pair(
    holder: &Holder,
    id: &Bytes,
    label: &str,
    kind: PairKind,
) -> Result<Vec<Object>, Fault> {
    let session = holder.writing()?;
    let both = |private: bool| {
        vec![
            Attribute::Token(true),
            Attribute::Private(private),
            Attribute::Id(id.0.clone()),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Derive(false),
        ]
    };
    let mut public = both(false);
    public.extend([Attribute::Verify(true), Attribute::Encrypt(false), Attribute::Wrap(false)]);
    let mechanism = match kind {
        PairKind::Rsa(bits) => {
            public.push(Attribute::ModulusBits(u64::from(bits).into()));
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            Mechanism::RsaPkcsKeyPairGen
        }
        PairKind::P256 => {
            public.push(Attribute::EcParams(vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]));
            Mechanism::EccKeyPairGen
        }
        PairKind::P384 => {
            public.push(Attribute::EcParams(vec![6, 5, 0x2b, 0x81, 4, 0, 0x22]));
            Mechanism::EccKeyPairGen
        }
    };
    let mut private = both(true);
    private.extend([
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ]);
    let (_, handle) = session.generate_key_pair(&mechanism, &public, &private).map_err(|e| fault(&e))?;
    Ok(vec![one(&session, Class::KeyPair, handle)?])
}

pub(super) fn create_certificate(
    holder: &Holder,
    id: Bytes,
    label: &str,
    [subject, issuer, serial, der]: [Bytes; 4],
) -> Result<Vec<Object>, Fault> {
    let session = holder.writing()?;
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Id(id.0),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Subject(subject.0),
        Attribute::Issuer(issuer.0),
        Attribute::SerialNumber(serial.0),
        Attribute::Value(der.0),
    ];
    let handle = session.create_object(&template).map_err(|e| fault(&e))?;
    Ok(vec![one(&session, Class::Certificate, handle)?])
}

pub(super) fn update(holder: &Holder, name: &Name, label: Option<String>, usage: Usage) -> Result<Vec<Object>, Fault> {
    let session = holder.writing()?;
    let Some(handle) = single(&session, name)? else {
        return Err(Fault::new(
            FaultKind::Missing,
            format!("There is no {} with this id any more.", name.class.word()),
        ));
    };
    let label: Option<Attribute> = label.map(|l| Attribute::Label(l.into_bytes()));
    let mut template: Vec<Attribute> = label.clone().into_iter().collect();
    template.extend(usage.encrypt.map(Attribute::Encrypt));
    template.extend(usage.decrypt.map(Attribute::Decrypt));
    template.extend(usage.wrap.map(Attribute::Wrap));
    template.extend(usage.unwrap.map(Attribute::Unwrap));
    if !template.is_empty() {
        session.update_attributes(handle, &template).map_err(|e| fault(&e))?;
    }
    if name.class == Class::KeyPair
        && let (Some(label), Some(public)) =
            (label, search(&session, ObjectClass::PUBLIC_KEY, Some(&name.id))?.first().copied())
    {
        session.update_attributes(public, &[label]).map_err(|e| fault(&e))?;
    }
    Ok(vec![one(&session, name.class, handle)?])
}

pub(super) fn destroy(holder: &Holder, name: &Name) -> Result<(), Fault> {
    let session = holder.writing()?;
    let handle = single(&session, name)?;
    if name.class == Class::KeyPair {
        // The public half first: as long as the private one exists, the pair does.
        for public in search(&session, ObjectClass::PUBLIC_KEY, Some(&name.id))? {
            session.destroy_object(public).map_err(|e| fault(&e))?;
        }
    }
    match handle {
        Some(handle) => session.destroy_object(handle).map_err(|e| fault(&e)),
        None => Ok(()),
    }
}

fn key(session: &Session, class: Class, id: &Bytes) -> Result<ObjectHandle, Fault> {
    let name = Name { class, id: id.clone(), fingerprint: None };
    single(session, &name)?.ok_or_else(|| {
        let text = String::from_utf8_lossy(&id.0).into_owned();
        Fault::new(FaultKind::Missing, format!("The token has no {} with the id \"{text}\".", class.word()))
    })
}

pub(super) fn decrypt(
    holder: &Holder,
    id: &Bytes,
    mut iv: Bytes,
    aad: &Bytes,
    data: &Bytes,
) -> Result<SecretBytes, Fault> {
    let session = holder.reading()?;
    let handle = key(session, Class::SecretKey, id)?;
    let parameters = GcmParams::new(&mut iv.0, &aad.0, 128.into()).map_err(|e| fault(&e))?;
    session
        .decrypt(&Mechanism::AesGcm(parameters), handle, &data.0)
        .map(|plain| SecretBytes(Bytes(plain)))
        .map_err(|e| fault(&e))
}

pub(super) fn encrypt(
    holder: &Holder,
    id: &Bytes,
    mut iv: Bytes,
    aad: &Bytes,
    data: &SecretBytes,
) -> Result<SecretBytes, Fault> {
    let session = holder.reading()?;
    let handle = key(session, Class::SecretKey, id)?;
    let parameters = GcmParams::new(&mut iv.0, &aad.0, 128.into()).map_err(|e| fault(&e))?;
    session
        .encrypt(&Mechanism::AesGcm(parameters), handle, &data.0.0)
        .map(|sealed| SecretBytes(Bytes(sealed)))
        .map_err(|e| fault(&e))
}

pub(super) fn sign(holder: &Holder, id: &Bytes, scheme: Scheme, data: &Bytes) -> Result<SecretBytes, Fault> {
    let session = holder.reading()?;
    let handle = key(session, Class::KeyPair, id)?;
    // Not all tokens hash for ECDSA (SoftHSM does not), so that is done here.
    let raw = match scheme {
        Scheme::RsaSha256 => session.sign(&Mechanism::Sha256RsaPkcs, handle, &data.0),
        Scheme::EcdsaSha256 => session.sign(&Mechanism::Ecdsa, handle, &Sha256::digest(&data.0)),
        Scheme::EcdsaSha384 => session.sign(&Mechanism::Ecdsa, handle, &Sha384::digest(&data.0)),
    }
    .map_err(|e| fault(&e))?;
    let signature = match scheme {
        Scheme::RsaSha256 => raw,
        Scheme::EcdsaSha256 | Scheme::EcdsaSha384 => ecdsa_der(&raw)
            .ok_or_else(|| Fault::new(FaultKind::Refused, "The token gave an ECDSA signature of an odd length."))?,
    };
    Ok(SecretBytes(Bytes(signature)))
}

pub(super) fn random(holder: &Holder, size: u32) -> Result<SecretBytes, Fault> {
    let bytes = holder.reading()?.generate_random_vec(size).map_err(|e| fault(&e))?;
    Ok(SecretBytes(Bytes(bytes)))
}
