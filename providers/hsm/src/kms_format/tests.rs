//! The codec against a fixed vector and against everything that must be refused.

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;

use super::*;

const KEK_ID: &str = "a37807cd-6d1a-4d75-813a-e120f30176f7";
const CSR: &str = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";

/// A KEK in memory.
pub(crate) struct Software(pub(crate) [u8; 32]);

type Gcm16 = AesGcm<Aes256, U16>;

impl KekCipher for Software {
    fn encrypt(&self, iv: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let nonce: [u8; 16] = iv.try_into().map_err(|_| "IV")?;
        let cipher = Gcm16::new_from_slice(&self.0).map_err(|e| e.to_string())?;
        cipher.encrypt(&nonce.into(), Payload { msg: plain, aad }).map_err(|e| e.to_string())
    }

    fn decrypt(&self, iv: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let nonce: [u8; 16] = iv.try_into().map_err(|_| "IV")?;
        let cipher = Gcm16::new_from_slice(&self.0).map_err(|e| e.to_string())?;
        cipher.decrypt(&nonce.into(), Payload { msg: sealed, aad }).map_err(|e| e.to_string())
    }
}

fn vector() -> BTreeMap<String, String> {
    let mut next = 0_u8;
    seal_csr(&Software([7; 32]), KEK_ID, "istiod-csr", CSR, &mut |bytes| {
        for b in bytes {
            *b = next;
            next = next.wrapping_add(1);
        }
        Ok(())
    })
    .expect("seals")
}

/// Fixed key, fixed "random" bytes: the texts must never change, or Secrets of today become
/// unreadable tomorrow.
#[test]
fn the_golden_vector_stays() {
    let texts = vector();
    assert_eq!(texts["encrypted-dek"], include_str!("golden-dek.txt").trim_end());
    assert_eq!(texts["encrypted-csr"], include_str!("golden-csr.txt").trim_end());
    assert_eq!(open_csr(&Software([7; 32]), &texts).as_deref(), Ok(CSR));
}

#[test]
fn base64_entries_of_a_secret_are_read_too() {
    let texts = vector().into_iter().map(|(k, v)| (k, STANDARD.encode(v))).collect();
    assert_eq!(open_csr(&Software([7; 32]), &texts).as_deref(), Ok(CSR));
}

#[test]
fn what_does_not_fit_is_refused() {
    let good = vector();
    let kek = Software([7; 32]);
    let with = |name: &str, value: String| {
        let mut texts = good.clone();
        texts.insert(name.to_owned(), value);
        open_csr(&kek, &texts).expect_err(name)
    };
    assert!(with("csr-id", "other".into()).contains("another csr-id"));
    assert!(with("kek-id", "other".into()).contains("sealed by the key"));
    let swap = |text: &str, part: usize, f: &dyn Fn(&str) -> String| {
        let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        parts[part] = f(&parts[part]);
        parts.join(".")
    };
    let flip = |part: &str| {
        let mut bytes = B64.decode(part).expect("is base64url");
        bytes[0] ^= 1;
        B64.encode(bytes)
    };
    for part in [2, 3, 4] {
        assert!(with("encrypted-csr", swap(&good["encrypted-csr"], part, &flip)).contains("corrupt"));
        with("encrypted-dek", swap(&good["encrypted-dek"], part, &flip));
    }
    let header = |from: &'static str, to: &'static str| {
        move |part: &str| {
            let text = String::from_utf8(B64.decode(part).expect("is base64url")).expect("is text");
            B64.encode(text.replace(from, to))
        }
    };
    for (from, to) in
        [("dir", "A256KW"), ("A256GCM", "A128GCM"), ("\"alg\"", "\"zip\":\"DEF\",\"alg\""), ("\"kid\"", "\"kit\"")]
    {
        let message = with("encrypted-csr", swap(&good["encrypted-csr"], 0, &header(from, to)));
        assert!(message.contains("is not what k8s-kms-plugin writes"), "{message}");
    }
    // A header that says the same with other spaces is another header.
    assert!(with("encrypted-csr", swap(&good["encrypted-csr"], 0, &header(":", ": "))).contains("corrupt"));
    for text in ["", "a.b.c", "a.b.c.d.e.f", "....", "not base64!"] {
        with("encrypted-dek", text.to_owned());
    }
    let mut texts = good.clone();
    texts.remove("encrypted-csr");
    assert_eq!(open_csr(&kek, &texts), Err("these entries are missing: encrypted-csr".into()));
    assert!(open_csr(&Software([8; 32]), &good).is_err());
}
