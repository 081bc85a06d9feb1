//! Ephemeral objects: opened, renewed and closed within one run, and stored nowhere.
//!
//! The one decision: what a provider needs to renew and to close travels as [`Private`] text that shows
//! in no debug text, so that a provider keeps no list of what it has opened; when something is opened,
//! renewed and closed is the engine's work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesh_model::{ResourceSchema, Value};

use crate::{ErrorKind, ProviderError, Services};

/// What renewing and closing need: a lease, an accessor. It may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Private(Arc<str>);

impl Private {
    /// From text of the provider's own format.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the provider alone.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(..)")
    }
}

/// What opening gave.
#[derive(Clone)]
pub struct Opened {
    /// The whole object in the shape of the schema, wholly known. The engine marks it ephemeral.
    pub value: Value,
    /// What renewing and closing need.
    pub private: Option<Private>,
    /// After which time it has to be renewed; `None` for never.
    pub renew_after: Option<Duration>,
}

impl Opened {
    /// Something that is neither renewed nor closed.
    pub fn value(value: Value) -> Self {
        Self { value, private: None, renew_after: None }
    }
}

/// The value is not shown: as long as it has not been marked, nothing tells which part of it is a secret.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("renew_after", &self.renew_after).finish_non_exhaustive()
    }
}

/// What renewing gave.
#[derive(Clone, Debug, Default)]
pub struct Renewed {
    /// What renewing again and closing need from now on.
    pub private: Option<Private>,
    /// After which time it has to be renewed again; `None` for never.
    pub renew_after: Option<Duration>,
}

/// A type of ephemeral blocks over a client of type `C`.
#[async_trait]
pub trait EphemeralSource<C: Send + Sync + 'static>: Send + Sync {
    /// Name, documentation, example, attributes.
    fn schema(&self) -> ResourceSchema;

    /// Opens it: gives the whole object in the shape of the schema.
    async fn open(&self, client: &C, config: &Value, services: &Services) -> Result<Opened, ProviderError>;

    /// Prolongs it; only called where opening or the last renewal asked for that.
    async fn renew(&self, client: &C, private: Option<&Private>) -> Result<Renewed, ProviderError> {
        let _ = client;
        Ok(Renewed { private: private.cloned(), renew_after: None })
    }

    /// Ends it. What has ended already is a success.
    async fn close(&self, client: &C, private: Option<&Private>) -> Result<(), ProviderError> {
        let _ = (client, private);
        Ok(())
    }
}

/// The error about a type that a provider does not have.
pub(crate) fn no_ephemeral_type(ty: &str) -> ProviderError {
    let detail = format!("The provider has no ephemeral type {ty:?}.");
    ProviderError::new(ErrorKind::Invalid, "Unknown ephemeral type", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_texts_show_neither_value_nor_private_data() {
        let private = Some(Private::new("canary"));
        let opened = Opened { value: Value::string("canary"), private: private.clone(), renew_after: None };
        let renewed = Renewed { private, renew_after: Some(Duration::from_secs(1)) };
        assert!(!format!("{opened:?} {renewed:?}").contains("canary"));
    }
}
