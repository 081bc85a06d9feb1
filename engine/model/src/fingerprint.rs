//! Keyed fingerprints: what state keeps in place of a secret.
//!
//! The one decision: HMAC-SHA-256 under a key that is random per lineage, so that equal secrets of
//! two states cannot be linked and a short PIN cannot be guessed from the file. Making and keeping
//! the key is the state's work; fingerprints are never printed.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Type, Value, json};

/// The keyed fingerprint of a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the bytes that state keeps.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for state and digests only.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// Makes fingerprints under one key; cheap to clone.
#[derive(Clone)]
pub struct Fingerprinter(Arc<Zeroizing<[u8; 32]>>);

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(..)")
    }
}

impl Fingerprinter {
    /// With the key of a lineage.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(key)))
    }

    /// The key, for the file or seal that keeps it.
    pub fn key(&self) -> &[u8; 32] {
        &self.0
    }

    /// The fingerprint of a wholly known value: over its canonical JSON without type, so that a
    /// list and a tuple with the same elements agree.
    pub fn fingerprint(&self, value: &Value) -> Fingerprint {
        self.bytes(json::canonical(value).as_bytes())
    }

    /// The fingerprint of raw bytes.
    pub fn bytes(&self, bytes: &[u8]) -> Fingerprint {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        mac.update(bytes);
        Fingerprint(mac.finalize().into_bytes().into())
    }

    /// The form that may be stored: every sensitive part becomes [`crate::Kind::Withheld`], every
    /// ephemeral part null.
    pub fn withhold(&self, value: &Value) -> Value {
        if value.marks().ephemeral() {
            return Value::null(value.ty());
        }
        if value.marks().sensitive() {
            if value.is_null() || value.is_unknown() || value.is_withheld() {
                return value.clone();
            }
            // A container that holds withheld or unknown parts is kept part by part.
            if value.has_withheld() || !value.is_wholly_known() {
                return value.map_children(&|v| self.withhold(&v.clone().mark(value.marks())));
            }
            let ty = match value.ty() {
                ty @ (Type::Bool | Type::Number | Type::String) => ty,
                _ => Type::Dynamic,
            };
            return Value::withheld(ty, self.fingerprint(value));
        }
        if value.all_marks().is_empty() { value.clone() } else { value.map_children(&|v| self.withhold(v)) }
    }

    /// Whether two values are the same where one or both may be withheld.
    pub fn same(&self, a: &Value, b: &Value) -> bool {
        if a.same(b) {
            return true;
        }
        if !a.has_withheld() && !b.has_withheld() {
            return false;
        }
        match (a.is_withheld(), b.is_withheld()) {
            (true, true) => false,
            (true, false) => b.is_wholly_known() && !b.has_withheld() && self.withhold(&b.clone().sensitive()).same(a),
            (false, true) => self.same(b, a),
            (false, false) => match (a.as_fields(), b.as_fields(), a.as_items(), b.as_items()) {
                (Some(x), Some(y), ..) => {
                    x.len() == y.len() && x.iter().zip(y.iter()).all(|((k, v), (l, w))| k == l && self.same(v, w))
                }
                (_, _, Some(x), Some(y)) => x.len() == y.len() && x.iter().zip(y.iter()).all(|(v, w)| self.same(v, w)),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withheld_values_compare_by_fingerprint() {
        let f = Fingerprinter::new([7; 32]);
        let secret = Value::object([("a", Value::string("s3cret").sensitive()), ("b", Value::bool(true))]);
        let kept = f.withhold(&secret);
        assert!(kept.get("a").is_some_and(Value::is_withheld));
        assert!(f.same(&kept, &secret));
        assert!(!f.same(&kept, &secret.with("a", Value::string("other").sensitive())));
        assert!(!Fingerprinter::new([8; 32]).same(&kept, &secret));
    }

    #[test]
    fn ephemeral_values_leave_nothing() {
        let f = Fingerprinter::new([7; 32]);
        assert!(f.withhold(&Value::string("x").mark(crate::Marks::EPHEMERAL)).is_null());
    }
}
