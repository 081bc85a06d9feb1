//! What was listed a moment ago, for the other requests of the same moment.
//!
//! The one decision: an entry lives one second and own writes are noted in it. So five hundred creates share one LIST
//! as their look-up, and nothing is decided on what was true before somebody approved a plan.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::Failure;

const FRESH: Duration = Duration::from_secs(1);

type Slot<T> = Arc<tokio::sync::Mutex<Option<(Instant, T)>>>;

/// Answers by path.
pub(crate) struct Cache<T>(Mutex<HashMap<String, Slot<T>>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Send> Cache<T> {
    fn slot(&self, key: &str) -> Slot<T> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key.to_owned()).or_default().clone()
    }

    /// Reads the entry; fetches it first when there is none or it is old. Of several callers one fetches.
    pub(crate) async fn read<R>(
        &self,
        key: &str,
        fetch: impl Future<Output = Result<T, Failure>> + Send,
        read: impl FnOnce(&T) -> R + Send,
    ) -> Result<R, Failure> {
        let slot = self.slot(key);
        let mut entry = slot.lock().await;
        if let Some((at, content)) = entry.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            let _ = at;
            return Ok(read(content));
        }
        let content = fetch.await?;
        let result = read(&content);
        *entry = Some((Instant::now(), content));
        Ok(result)
    }

    /// Changes the entry if there is one: something was written.
    pub(crate) async fn change(&self, key: &str, change: impl FnOnce(&mut T) + Send) {
        if let Some((_, content)) = self.slot(key).lock().await.as_mut() {
            change(content);
        }
    }

    /// Drops the entry.
    pub(crate) async fn forget(&self, key: &str) {
        *self.slot(key).lock().await = None;
    }
}

/// The names below a path.
pub(crate) enum Names {
    /// All of them.
    Known(HashSet<String>),
    /// The token may not list; that says nothing about what is there.
    Forbidden,
}
