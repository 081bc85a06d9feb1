//! Blobs as they lie in Secrets: compressed, and in parts where one Secret does not hold them.
//!
//! The one decision: the checksum of gzip makes a mixture of parts an error, so a reader needs no list of sums.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

/// Bytes in one Secret; the API server takes a mebibyte.
pub(crate) const PART: usize = 700 << 10;
/// From this size on compressing is kept away from the async threads.
const LARGE: usize = 1 << 20;

async fn apart(
    bytes: Vec<u8>,
    work: impl FnOnce(&[u8]) -> io::Result<Vec<u8>> + Send + 'static,
) -> io::Result<Vec<u8>> {
    if bytes.len() < LARGE {
        return work(&bytes);
    }
    match tokio::task::spawn_blocking(move || work(&bytes)).await {
        Ok(result) => result,
        // Only when the runtime is shutting down.
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Compressed.
pub(crate) async fn pack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    apart(bytes, |bytes| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes)?;
        encoder.finish()
    })
    .await
}

/// The same back; an error where anything is missing or changed.
pub(crate) async fn unpack(packed: Vec<u8>) -> io::Result<Vec<u8>> {
    apart(packed, |packed| {
        let mut out = Vec::new();
        let mut decoder = GzDecoder::new(packed);
        decoder.read_to_end(&mut out)?;
        if decoder.into_inner().is_empty() { Ok(out) } else { Err(io::Error::other("there is more after its end")) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_packed_comes_back_whole_or_not_at_all() {
        for size in [0, 1, 1000, 3 << 20] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 65_521 % 251) as u8).collect();
            let packed = pack(bytes.clone()).await.expect("packs");
            assert_eq!(unpack(packed.clone()).await.expect("unpacks"), bytes);
            assert!(unpack(packed[..packed.len() - 1].to_vec()).await.is_err());
            assert!(unpack([packed.clone(), packed].concat()).await.is_err());
        }
    }
}
