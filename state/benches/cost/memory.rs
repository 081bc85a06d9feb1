//! A store in memory that counts what it is asked and given.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use mesh_state::StateError;
use mesh_state::remote::{Blob, Expected, Store, Version};

/// Blobs by name, and the counts.
#[derive(Default)]
pub(crate) struct Counting(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    blobs: BTreeMap<String, (Vec<u8>, usize)>,
    requests: usize,
    written: u64,
}

impl Counting {
    /// Requests, and bytes that were written.
    pub(crate) fn counted(&self) -> (usize, u64) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.requests, inner.written)
    }

    fn request<T>(&self, answer: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.requests += 1;
        answer(&mut inner)
    }
}

#[async_trait]
impl Store for Counting {
    fn place(&self) -> String {
        "memory".into()
    }

    async fn get(&self, name: &str) -> Result<Option<Blob>, StateError> {
        let blob =
            |(bytes, version): &(Vec<u8>, usize)| Blob { bytes: bytes.clone(), version: Version(version.to_string()) };
        Ok(self.request(|inner| inner.blobs.get(name).map(blob)))
    }

    async fn version(&self, name: &str) -> Result<Option<Version>, StateError> {
        Ok(self.request(|inner| inner.blobs.get(name).map(|(_, v)| Version(v.to_string()))))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        Ok(self.request(|inner| {
            let there = inner.blobs.get(name).map(|(_, v)| Version(v.to_string()));
            let fits = match expected {
                Expected::Absent => there.is_none(),
                Expected::Is(version) => there == Some(version),
            };
            let version = inner.requests;
            fits.then(|| {
                inner.written += bytes.len() as u64;
                inner.blobs.insert(name.to_owned(), (bytes, version));
                Version(version.to_string())
            })
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StateError> {
        Ok(self.request(|inner| inner.blobs.keys().filter(|k| k.starts_with(prefix)).cloned().collect()))
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }

    async fn remove(&self, name: &str) -> Result<(), StateError> {
        self.request(|inner| inner.blobs.remove(name));
        Ok(())
    }
}
