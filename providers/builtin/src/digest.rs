//! SHA-256 as lower-case hexadecimal text, the form of every digest attribute of this provider.

use sha2::{Digest, Sha256};

/// The digest of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    mesh_x509::hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_published_vector() {
        assert_eq!(super::sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
