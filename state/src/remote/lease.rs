//! The lock of a remote state: a lease that its holder prolongs.
//!
//! The one decision: the lease only keeps people apart; what keeps an old holder from writing is the journal,
//! in which the next holder takes the place that the old one would write to. So a clock that is wrong can
//! cost somebody the lock, but never a write. The same holds for a wrong guess that a holder is gone.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::store::{Expected, Store, Version};
use crate::hold::Hold;
use crate::left::Left;
use crate::{LockInfo, StateError, process};

/// The name of the lock.
pub const LOCK: &str = "lock";

/// A lease that we hold.
pub(super) struct Lease {
    store: Arc<dyn Store>,
    ttl: Duration,
    version: Version,
    pub(super) info: LockInfo,
    /// Who did not give it back.
    pub(super) taken_over: Option<LockInfo>,
    /// What was there when it was last given back.
    pub(super) left: Option<Left>,
}

/// What trying for it gave.
pub(super) enum Attempt {
    Taken(Box<Lease>),
    Held(Box<LockInfo>),
    /// Somebody else was faster; try again.
    Raced,
}

fn parse(store: &dyn Store, bytes: &[u8]) -> Result<Hold, StateError> {
    Hold::parse(&format!("{LOCK} in {}", store.place()), bytes)
}

async fn read(store: &dyn Store) -> Result<(Hold, Expected), StateError> {
    let Some(blob) = store.get(LOCK).await? else { return Ok((Hold::default(), Expected::Absent)) };
    Ok((parse(store, &blob.bytes)?, Expected::Is(blob.version)))
}

async fn write(store: &dyn Store, content: &Hold, expected: Expected) -> Result<Option<Version>, StateError> {
    let bytes = serde_json::to_vec(content).map_err(|e| StateError::remote("writing", &store.place(), e))?;
    store.put(LOCK, bytes, expected).await
}

fn is_over(holder: &LockInfo) -> bool {
    holder.expires.is_none_or(|e| e <= Timestamp::now())
}

/// Whether it may be taken over: its time is over, or it was a process of this machine that has ended.
fn is_dead(holder: &LockInfo) -> bool {
    is_over(holder) || holder.process.as_deref().is_some_and(process::is_gone)
}

fn later(ttl: Duration) -> Option<Timestamp> {
    Timestamp::now().checked_add(ttl).ok()
}

impl Lease {
    /// Tries once.
    pub(super) async fn try_take(store: Arc<dyn Store>, info: LockInfo, ttl: Duration) -> Result<Attempt, StateError> {
        let (before, expected) = read(&*store).await?;
        if let Some(holder) = before.holder.as_ref().filter(|h| !is_dead(h)) {
            return Ok(Attempt::Held(Box::new(holder.clone())));
        }
        let info = LockInfo { token: before.token + 1, expires: later(ttl), ..info };
        let content = Hold::new(info.token, Some(info.clone()), before.left.clone());
        match write(&*store, &content, expected).await? {
            Some(version) => {
                let (taken_over, left) = (before.holder, before.left);
                Ok(Attempt::Taken(Box::new(Self { store, ttl, version, info, taken_over, left })))
            }
            None => Ok(Attempt::Raced),
        }
    }

    /// Whether it is time for a heartbeat.
    pub(super) fn is_due(&self) -> bool {
        let half = Timestamp::now().checked_add(self.ttl - self.pause()).ok();
        self.info.expires.zip(half).is_none_or(|(expires, half)| expires <= half)
    }

    /// The time between two heartbeats.
    pub(super) fn pause(&self) -> Duration {
        self.ttl / 3
    }

    /// Prolongs it; false when it is somebody else's.
    pub(super) async fn renew(&mut self) -> Result<bool, StateError> {
        let info = LockInfo { expires: later(self.ttl), ..self.info.clone() };
        let content = Hold::new(info.token, Some(info.clone()), self.left.clone());
        match write(&*self.store, &content, Expected::Is(self.version.clone())).await? {
            Some(version) => {
                (self.version, self.info) = (version, info);
                Ok(true)
            }
            // The answer to an earlier try may have been lost.
            None => {
                let (content, expected) = read(&*self.store).await?;
                let (Some(holder), Expected::Is(version)) = (content.holder, expected) else { return Ok(false) };
                let ours = holder.id == self.info.id && holder.token == self.info.token;
                if ours {
                    (self.version, self.info) = (version, holder);
                }
                Ok(ours)
            }
        }
    }

    /// Whether its time is over as far as we know.
    pub(super) fn is_over(&self) -> bool {
        is_over(&self.info)
    }

    /// Gives it back with what is there now, all of it durable, or with what was there before. One that is
    /// somebody else's by now stays.
    pub(super) async fn release(self, left: Option<Left>) -> Result<(), StateError> {
        let content = Hold::new(self.info.token, None, left.or(self.left));
        write(&*self.store, &content, Expected::Is(self.version)).await.map(drop)
    }
}

/// What was there when it was last given back, as far as that can be read: planning needs no right to the lock.
pub(super) async fn left(store: &dyn Store) -> Result<Option<Left>, StateError> {
    match store.get(LOCK).await {
        Ok(None) | Err(StateError::Unusable { .. }) => Ok(None),
        Ok(Some(blob)) => match parse(store, &blob.bytes) {
            Ok(hold) => Ok(hold.left),
            // A reader can do without; only a writer has to put it right.
            Err(StateError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Who holds it, or did not give it back.
pub(super) async fn look(store: &dyn Store) -> Result<Option<LockInfo>, StateError> {
    let (content, _) = read(store).await?;
    Ok(content.holder.map(|holder| LockInfo { dead: is_dead(&holder), ..holder }))
}

/// Takes it away from whoever holds it under this id.
pub(super) async fn break_lock(store: &dyn Store, id: &str) -> Result<(), StateError> {
    loop {
        let (content, expected) = read(store).await?;
        let place = store.place();
        if content.holder.as_ref().is_none_or(|h| h.id != id) {
            return Err(StateError::NoSuchLock { place, id: id.to_owned(), holder: content.holder.map(Box::new) });
        }
        if write(store, &Hold::broken(content), expected).await?.is_some() {
            return Ok(());
        }
    }
}
