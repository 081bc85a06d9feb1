//! The messages between the provider and the worker that holds the token.
//!
//! The one decision: plain data, one JSON text a line, because vendor libraries hang and crash: the
//! worker is a process of its own that can be killed and started again, and that gets the library's
//! environment variables without touching ours. Object handles never cross the border; an object is
//! named by class, id and (where it matters) fingerprint, and found anew by every call. The PIN goes
//! through the pipe only, never into arguments or the environment.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// What stands before every answer, since libraries print to standard output as well.
pub(crate) const MARKER: &str = "\u{1}mesh-hsm\u{1}";

/// Bytes as hexadecimal text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&mesh_x509::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let pair = |i: usize| text.get(i..i + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
        (0..text.len())
            .step_by(2)
            .map(pair)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("hex"))
    }
}

/// A text that shows nowhere and is wiped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(withheld)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Bytes that show nowhere and are wiped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretBytes(pub(crate) Bytes);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(withheld)")
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

/// What kind of object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    SecretKey,
    Certificate,
    /// A private key with its public half (same CKA_ID).
    KeyPair,
}

impl Class {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::SecretKey => "secret-key",
            Self::Certificate => "certificate",
            Self::KeyPair => "key-pair",
        }
    }
}

/// Which object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) class: Class,
    pub(crate) id: Bytes,
    /// When given, an object with another one is not meant.
    pub(crate) fingerprint: Option<String>,
}

/// What a key may be used for; `None`: not asked, or not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) encrypt: Option<bool>,
    pub(crate) decrypt: Option<bool>,
    pub(crate) wrap: Option<bool>,
    pub(crate) unwrap: Option<bool>,
}

/// How a key signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Scheme {
    RsaSha256,
    EcdsaSha256,
    EcdsaSha384,
}

/// A key pair to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum PairKind {
    Rsa(u32),
    P256,
    P384,
}

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Load the library and find the token; the first call of every worker.
    Open { library: String, label: String, serial: Option<String> },
    /// Log in once.
    Login { pin: Secret, crypto_user: bool },
    /// All objects of a class, or those with an id.
    Find { class: Class, id: Option<Bytes> },
    /// Make a secret AES key.
    GenerateSecretKey { id: Bytes, label: String, size: u32, usage: Usage },
    /// Make a key pair.
    GenerateKeyPair { id: Bytes, label: String, kind: PairKind },
    /// Store a certificate.
    CreateCertificate { id: Bytes, label: String, subject: Bytes, issuer: Bytes, serial: Bytes, der: Bytes },
    /// Change label and usage in place.
    Update { name: Name, label: Option<String>, usage: Usage },
    /// Destroy an object; one that is gone is a success.
    Destroy { name: Name },
    /// AES-GCM with a 128-bit tag behind the data.
    Decrypt { key: Bytes, iv: Bytes, aad: Bytes, data: Bytes },
    /// The opposite.
    Encrypt { key: Bytes, iv: Bytes, aad: Bytes, data: SecretBytes },
    /// Sign; ECDSA signatures come back as a DER sequence.
    Sign { key: Bytes, scheme: Scheme, data: Bytes },
    /// Random bytes of the token.
    Random { size: u32 },
}

impl Call {
    /// Whether it changes the token: when its answer is lost, it is in doubt.
    pub(crate) const fn is_write(&self) -> bool {
        matches!(
            self,
            Self::GenerateSecretKey { .. }
                | Self::GenerateKeyPair { .. }
                | Self::CreateCertificate { .. }
                | Self::Update { .. }
                | Self::Destroy { .. }
        )
    }
}

/// What there is to know about a token.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) label: String,
    pub(crate) serial: String,
    pub(crate) model: String,
    pub(crate) manufacturer: String,
    pub(crate) firmware: String,
    pub(crate) hardware: String,
    pub(crate) free_private_memory: Option<u64>,
    pub(crate) pin_initialized: bool,
    pub(crate) pin_count_low: bool,
    pub(crate) pin_final_try: bool,
    pub(crate) pin_locked: bool,
    pub(crate) mechanisms: Vec<String>,
}

/// What there is to know about an object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) class: Class,
    pub(crate) id: Bytes,
    pub(crate) label: String,
    /// `AES`, `RSA`, `EC`, ...; empty for a certificate.
    pub(crate) key_type: String,
    /// Bytes of a secret key, bits of an RSA key.
    pub(crate) size: Option<u64>,
    pub(crate) usage: Usage,
    pub(crate) sensitive: Option<bool>,
    pub(crate) extractable: Option<bool>,
    pub(crate) local: Option<bool>,
    pub(crate) always_sensitive: Option<bool>,
    pub(crate) never_extractable: Option<bool>,
    /// Key check value, or SHA-256 of the public key or certificate; hexadecimal.
    pub(crate) fingerprint: Option<String>,
    /// The public key (SubjectPublicKeyInfo) or the certificate.
    pub(crate) der: Option<Bytes>,
}

impl Object {
    /// Nothing is known about it.
    pub(crate) const fn empty(class: Class) -> Self {
        Self {
            class,
            id: Bytes(Vec::new()),
            label: String::new(),
            key_type: String::new(),
            size: None,
            usage: Usage { encrypt: None, decrypt: None, wrap: None, unwrap: None },
            sensitive: None,
            extractable: None,
            local: None,
            always_sensitive: None,
            never_extractable: None,
            fingerprint: None,
            der: None,
        }
    }
}

/// One answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Token(Token),
    Objects(Vec<Object>),
    Bytes(SecretBytes),
    Done,
}

/// What went wrong in the worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum FaultKind {
    /// The library cannot be loaded or started.
    Library,
    /// No token, or more than one, fits.
    Token,
    /// The PIN is wrong, locked or about to be.
    Pin,
    /// There is no login, so nothing can be said about objects.
    NotLoggedIn,
    /// The object that is needed does not exist.
    Missing,
    /// More than one object, or another object, has that name.
    Ambiguous,
    /// The library refused: nothing happened.
    Refused,
    /// The device failed: it is not known what happened.
    Device,
}

/// An error of the worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// A line to the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) call: Call,
}

/// A line from the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Response {
    pub(crate) id: u64,
    pub(crate) result: Result<Reply, Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_secrets_do_not_show() -> Result<(), serde_json::Error> {
        let call = Call::Login { pin: Secret("canary-pin".into()), crypto_user: false };
        assert!(!format!("{call:?}").contains("canary"));
        let text = serde_json::to_string(&Request { id: 7, call })?;
        let back: Request = serde_json::from_str(&text)?;
        assert!(matches!(back.call, Call::Login { pin, .. } if pin.0 == "canary-pin"));
        let reply = Response { id: 1, result: Ok(Reply::Bytes(SecretBytes(Bytes(vec![0xca, 0xfe])))) };
        assert!(!format!("{reply:?}").contains("202"), "{reply:?}");
        let back: Response = serde_json::from_str(&serde_json::to_string(&reply)?)?;
        assert!(matches!(back.result, Ok(Reply::Bytes(b)) if b.0.0 == [0xca, 0xfe]));
        assert!(serde_json::from_str::<Bytes>("\"abc\"").is_err());
        Ok(())
    }
}
