//! What a lock says, in a file as in a blob: who holds it, and what was there when it was last given back.
//!
//! The one decision: it has a version and is strict, although what is damaged in a file counts as nobody: the token and
//! what was left must not be lost because a newer version has written more beside them.

use serde::{Deserialize, Serialize};

use crate::left::Left;
use crate::{LockInfo, StateError};

const VERSION: u64 = 1;

/// What it says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    #[serde(default = "version")]
    mesh_lock: u64,
    /// The last token that was given out.
    pub(crate) token: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<LockInfo>,
    /// What was there when it was last given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<Left>,
}

fn version() -> u64 {
    VERSION
}

impl Default for Hold {
    fn default() -> Self {
        Self::new(0, None, None)
    }
}

impl Hold {
    pub(crate) fn new(token: u64, holder: Option<LockInfo>, left: Option<Left>) -> Self {
        Self { mesh_lock: VERSION, token, holder, left }
    }

    /// The same without a holder.
    pub(crate) fn broken(self) -> Self {
        Self { holder: None, ..self }
    }

    /// Reads the first JSON value: a file may be looked at while it is written.
    ///
    /// # Errors
    /// [`StateError::Newer`], [`StateError::Unknown`]; [`StateError::Corrupt`] for what is damaged.
    pub(crate) fn parse(place: &str, bytes: &[u8]) -> Result<Self, StateError> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
        let whole = values.next().is_some_and(|first| first.is_ok());
        let end = if whole { values.byte_offset() } else { bytes.len() };
        let way_out = || "If nobody works on this state, remove it: it only says who does.".to_owned();
        crate::error::versioned(place, "mesh_lock", VERSION, &bytes[..end], way_out)
    }
}
