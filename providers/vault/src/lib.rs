//! The provider for Vault and OpenBao: mounts, auth backends, policies, Kubernetes logins, secrets.
//!
//! The one decision: an object's path in Vault's API is its identity, and every type is a `Kind` behind one
//! implementation of the promises (look up in bulk, never take what exists, 403 is never absence). The client is
//! `vaultrs`; what its types would lose goes raw through the same client. It keeps no secret,
//! and renews no token but those that it opened for a run.

mod cache;
mod client;
mod config;
mod connect;
mod data;
mod ephemeral;
mod failure;
mod fields;
mod kind;
mod names;
mod policy_text;
mod resources;
mod retry;
mod transit;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mesh_model::{ProviderSchema, Value};
use mesh_sdk::{
    KeyBytes, Observation, ObserveRequest, Opened, OperationRequest, Outcome, PreviewRequest, PreviewResponse, Private,
    Provider, ProviderError, Registry, Renewed, Rules, Services, Session, TypedSession, async_trait,
};

use crate::client::{CONCURRENCY, Client};
use crate::config::Settings;

/// The provider.
pub fn provider() -> Arc<dyn Provider> {
    const DOC: &str = "Manages Vault and OpenBao. It needs no root token: each type's page names the capabilities that a policy must give, and the policy `default` covers the rest.";
    let registry = Registry::new("vault", DOC, config::schema(), CONCURRENCY, resources::all(), data::all());
    Arc::new(Vault { registry: Arc::new(registry.ephemeral(ephemeral::all()).wrapper(Box::new(transit::Transit))) })
}

struct Vault {
    registry: Arc<Registry<Client>>,
}

#[async_trait]
impl Provider for Vault {
    fn schema(&self) -> &ProviderSchema {
        self.registry.schema()
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.registry.rules(ty)
    }

    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        let settings = Settings::resolve(config, services)?;
        let (client, target) = connect::connect(&settings).await?;
        Ok(Arc::new(Open(TypedSession::new(self.registry.clone(), client, target, services.clone()))))
    }
}

/// A session that revokes the token that it made for itself.
struct Open(TypedSession<Client>);

#[async_trait]
impl Session for Open {
    fn target(&self) -> Option<Arc<str>> {
        self.0.target()
    }

    async fn observe(&self, requests: Vec<ObserveRequest>) -> Vec<Result<Observation, ProviderError>> {
        self.0.observe(requests).await
    }

    async fn preview(&self, request: PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        self.0.preview(request).await
    }

    async fn apply(&self, operations: Vec<OperationRequest>) -> Vec<Outcome> {
        self.0.apply(operations).await
    }

    async fn read(&self, ty: &str, config: &Value) -> Result<Value, ProviderError> {
        self.0.read(ty, config).await
    }

    async fn open_ephemeral(&self, ty: &str, config: &Value) -> Result<Opened, ProviderError> {
        self.0.open_ephemeral(ty, config).await
    }

    async fn renew_ephemeral(&self, ty: &str, private: Option<&Private>) -> Result<Renewed, ProviderError> {
        self.0.renew_ephemeral(ty, private).await
    }

    async fn close_ephemeral(&self, ty: &str, private: Option<&Private>) -> Result<(), ProviderError> {
        self.0.close_ephemeral(ty, private).await
    }

    async fn wrap(&self, settings: &Value, context: &str, key: &KeyBytes) -> Result<String, ProviderError> {
        self.0.wrap(settings, context, key).await
    }

    async fn unwrap(&self, settings: &Value, context: &str, wrapped: &str) -> Result<KeyBytes, ProviderError> {
        self.0.unwrap(settings, context, wrapped).await
    }

    async fn close(&self) {
        self.0.client().log_out().await;
    }
}
