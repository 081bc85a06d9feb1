//! A store in memory that counts, and lets its users down when it is told to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::StateError;
use crate::local::locked;
use crate::remote::{Blob, Expected, Store, Version};

/// Blobs in memory, and how often the system lets us down.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) blobs: Mutex<BTreeMap<String, (Vec<u8>, usize)>>,
    writes: AtomicUsize,
    /// What was asked for, and how many bytes went either way.
    pub(super) requests: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    /// After so many more writes the answer of one is lost.
    pub(super) lose: Mutex<Option<usize>>,
    /// After so many more requests nothing answers.
    pub(super) cut: Mutex<Option<usize>>,
}

impl Memory {
    async fn request(&self) -> Result<(), StateError> {
        // As an answer of a network would.
        tokio::task::yield_now().await;
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut cut = locked(&self.cut);
        match cut.as_mut() {
            Some(0) => Err(StateError::remote("asking", "memory", "the network is cut")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    async fn get(&self, name: &str) -> Result<Option<Blob>, StateError> {
        self.request().await?;
        let blobs = locked(&self.blobs);
        self.bytes.fetch_add(blobs.get(name).map_or(0, |(bytes, _)| bytes.len()), Ordering::SeqCst);
        Ok(blobs.get(name).map(|(bytes, v)| Blob { bytes: bytes.clone(), version: Version(v.to_string()) }))
    }

    async fn version(&self, name: &str) -> Result<Option<Version>, StateError> {
        self.request().await?;
        Ok(locked(&self.blobs).get(name).map(|(_, v)| Version(v.to_string())))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        self.request().await?;
        self.bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        let mut blobs = locked(&self.blobs);
        let there = blobs.get(name).map(|(_, v)| Version(v.to_string()));
        let fits = match expected {
            Expected::Absent => there.is_none(),
            Expected::Is(version) => there == Some(version),
        };
        if !fits {
            return Ok(None);
        }
        let version = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        blobs.insert(name.to_owned(), (bytes, version));
        let mut lose = locked(&self.lose);
        match lose.as_mut() {
            Some(0) => {
                *lose = None;
                Err(StateError::remote("writing", "memory", "no answer"))
            }
            Some(left) => {
                *left -= 1;
                Ok(Some(Version(version.to_string())))
            }
            None => Ok(Some(Version(version.to_string()))),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StateError> {
        self.request().await?;
        Ok(locked(&self.blobs).keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }

    async fn remove(&self, name: &str) -> Result<(), StateError> {
        self.request().await?;
        locked(&self.blobs).remove(name);
        Ok(())
    }
}
