//! Decryption with an RSA private key from a PEM text.
//!
//! The one decision: the old form of such keys (PKCS#1) is wrapped into the new one (PKCS#8), so that
//! the cryptographic library sees one form. Errors never quote the key. It reads no encrypted keys and
//! none in OpenSSH's form.

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Encode, Sequence};
use spki::AlgorithmIdentifierOwned;

use crate::pem;

/// Why nothing was decrypted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecryptError {
    /// The PEM text holds no key that can be used; the words say why.
    #[error("{0}")]
    Key(String),
    /// The key is good, and the ciphertext was not made for it.
    #[error("it was not encrypted for this key, or not with RSA and PKCS#1 v1.5 padding")]
    Ciphertext,
}

#[derive(Sequence)]
struct Pkcs8 {
    version: u8,
    algorithm: AlgorithmIdentifierOwned,
    key: OctetString,
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Decrypts what RSA with PKCS#1 v1.5 padding encrypted. `key`: a PEM text whose first block is an RSA
/// key of 2048 to 8192 bits, as PKCS#1 or PKCS#8.
pub fn rsa_decrypt(key: &str, ciphertext: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let wrong = |what: &str| DecryptError::Key(what.to_owned());
    let blocks = pem::all(key).map_err(|e| DecryptError::Key(e.0))?;
    let Some((label, der)) = blocks.into_iter().next() else {
        return Err(wrong("the text has no PEM block \"-----BEGIN PRIVATE KEY-----\""));
    };
    let pkcs8 = match label.as_str() {
        "PRIVATE KEY" => der,
        "RSA PRIVATE KEY" => wrap(&der).map_err(|_| wrong("the RSA key cannot be read"))?,
        "ENCRYPTED PRIVATE KEY" => return Err(wrong("the key is encrypted; give it without a password")),
        "OPENSSH PRIVATE KEY" => {
            return Err(wrong("the key has OpenSSH's own form; ssh-keygen -p -m PEM -f FILE rewrites it as PEM"));
        }
        other => return Err(DecryptError::Key(format!("the PEM block {other:?} is no RSA private key"))),
    };
    let private = PrivateDecryptingKey::from_pkcs8(&pkcs8)
        .and_then(|key| Pkcs1PrivateDecryptingKey::new(key).map_err(Into::into))
        .map_err(|_| wrong("it is no RSA key of 2048 to 8192 bits"))?;
    let mut buffer = vec![0; private.min_output_size()];
    private.decrypt(ciphertext, &mut buffer).map(|plain| plain.to_vec()).map_err(|_| DecryptError::Ciphertext)
}

fn wrap(pkcs1: &[u8]) -> der::Result<Vec<u8>> {
    let algorithm = AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::null()) };
    Pkcs8 { version: 0, algorithm, key: OctetString::new(pkcs1)? }.to_der()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey};
    use der::Decode;

    #[test]
    fn both_forms_of_a_key_decrypt() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
        let public = Pkcs1PublicEncryptingKey::new(key.public_key()).expect("its public half");
        let mut out = vec![0; public.ciphertext_size()];
        let secret = public.encrypt(b"hello", &mut out).expect("encrypts").to_vec();
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().expect("its DER");
        let pkcs8 = pkcs8.as_ref();
        let pkcs1 = Pkcs8::from_der(pkcs8).expect("its parts").key;
        for text in [pem::encode("PRIVATE KEY", pkcs8), pem::encode("RSA PRIVATE KEY", pkcs1.as_bytes())] {
            assert_eq!(rsa_decrypt(&text, &secret), Ok(b"hello".to_vec()));
            assert_eq!(rsa_decrypt(&text, b"short"), Err(DecryptError::Ciphertext));
        }
        for text in ["", "x", "-----BEGIN RSA PRIVATE KEY-----", &pem::encode("EC PRIVATE KEY", pkcs8)] {
            assert!(matches!(rsa_decrypt(text, &secret), Err(DecryptError::Key(_))), "{text}");
        }
        let broken = pem::encode("RSA PRIVATE KEY", b"rubbish");
        assert!(matches!(rsa_decrypt(&broken, &secret), Err(DecryptError::Key(_))));
    }
}
