//! The Kubernetes provider.
//!
//! The one decision: every object is the same to it. An object is JSON, owned field by field through
//! server-side apply; what differs between kinds is in four tables (list keys, immutable fields,
//! readiness, order of applying). Whether something changes is decided over the paths that the
//! configuration asks for, and where that is not enough by a dry run on the server.
//!
//! It does not render charts, does not run `kubectl`, and never looks for a cluster by itself.

mod apply;
mod cluster;
mod config;
mod data;
mod decide;
mod ephemeral;
mod equality;
mod error;
mod immutable;
mod istio;
mod lifecycle;
mod object;
mod place;
mod preview;
mod project;
mod readiness;
mod resources;
mod secret;
mod target;
mod waiting;
mod yaml;

use std::sync::Arc;

use mesh_model::{ProviderSchema, Value};
use mesh_sdk::{Provider, ProviderError, Registry, Rules, Services, Session, TypedSession, async_trait};

pub use cluster::Cluster;

/// An API server serves dozens of calls at once.
const CONCURRENCY: usize = 32;

struct Kubernetes(Arc<Registry<Cluster>>);

/// The provider, not configured yet.
pub fn provider() -> Arc<dyn Provider> {
    Arc::new(kubernetes())
}

fn kubernetes() -> Kubernetes {
    let registry = Registry::new(
        "kubernetes",
        "Objects of a Kubernetes cluster, by server-side apply. One `provider` block is one cluster; the cluster is always named, never guessed.",
        config::schema(),
        CONCURRENCY,
        resources::all(),
        data::all(),
    );
    Kubernetes(Arc::new(registry.ephemeral(ephemeral::all())))
}

impl Kubernetes {
    async fn open(&self, config: &Value, services: &Services) -> Result<TypedSession<Cluster>, ProviderError> {
        let cluster = config::cluster(config, services).await?;
        let uid = target::uid(&cluster).await?;
        Ok(TypedSession::new(self.0.clone(), cluster, Some(uid.into()), services.clone()))
    }
}

#[async_trait]
impl Provider for Kubernetes {
    fn schema(&self) -> &ProviderSchema {
        self.0.schema()
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.0.rules(ty)
    }

    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        Ok(Arc::new(self.open(config, services).await?))
    }
}

#[cfg(test)]
mod tests;
