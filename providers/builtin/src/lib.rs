//! The built-in provider: what needs no system of its own.
//!
//! The one decision: it takes no configuration and every type works on this machine alone, so that
//! a first spec needs nothing but the binary. Its types do not carry the provider's name; the
//! tables below map them to it.

mod artifact;
mod certificate_chain;
mod digest;
mod files;
mod gate;
mod local_file;
mod local_file_data;
mod random;
mod random_bytes;
mod random_password;
mod remote_state;
mod state_only;
mod tcp_probe;
mod terraform_data;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use mesh_model::{ProviderSchema, Schema, Value};
use mesh_sdk::{Provider, ProviderError, Registry, Rules, Services, Session, TypedSession, async_trait};

/// What the types work with.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Folder that relative paths start from.
    root: PathBuf,
    /// Folder for copies of artifacts.
    cache: PathBuf,
}

struct Builtin(Arc<Registry<Client>>);

/// The provider; `builtin` needs no block in the configuration.
pub fn provider() -> Arc<dyn Provider> {
    let registry = Registry::new(
        "builtin",
        "Data kept in state, local files, gates, outputs of other states, verified artifacts, certificate chains, probes and random secrets: \
         whatever needs no system but this machine.",
        Schema::default(),
        64,
        vec![Box::new(gate::Gate), Box::new(local_file::LocalFile), Box::new(terraform_data::TerraformData)],
        vec![
            Box::new(artifact::Artifact),
            Box::new(certificate_chain::CertificateChain),
            Box::new(local_file_data::LocalFileData),
            Box::new(remote_state::RemoteState),
            Box::new(tcp_probe::TcpProbe),
        ],
    );
    let registry =
        registry.ephemeral(vec![Box::new(random_bytes::RandomBytes), Box::new(random_password::RandomPassword)]);
    Arc::new(Builtin(Arc::new(registry)))
}

#[async_trait]
impl Provider for Builtin {
    fn schema(&self) -> &ProviderSchema {
        self.0.schema()
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.0.rules(ty)
    }

    async fn configure(&self, _config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        let client = Client { root: services.root.clone(), cache: services.cache.clone() };
        Ok(Arc::new(TypedSession::new(self.0.clone(), client, None, services.clone())))
    }
}
