//! The load balancer in front of the gateways: HAProxy on this machine, through its files and sockets.
//!
//! The one decision: the site's own configuration is foreign. Ours is one file a load balancer in a
//! folder that HAProxy loads beside it; everything we read or change carries our names. Reached
//! over SSH or an API it would be the same types over another client; that is not here.

mod check;
mod client;
mod load_balancer;
mod publish;
mod servers;
mod settings;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mesh_model::schema::Equality;
use mesh_model::{Attribute, ProviderSchema, Schema, Type, Value};
use mesh_sdk::{Provider, ProviderError, Registry, Rules, Services, Session, TypedSession, async_trait};

use client::Client;

struct Gateway(Arc<Registry<Client>>);

/// The provider `gateway`.
pub fn provider() -> Arc<dyn Provider> {
    let path = |name, doc| Attribute::required(name, Type::String, doc);
    let config = Schema::of([
        path("main_config", "The site's own configuration file, loaded before ours; it is read, never changed."),
        path("config_dir", "The folder whose `*.cfg` files HAProxy loads too (`-f`); ours are kept there."),
        path("master_socket", "The master's command line (`haproxy -W -S PATH`): reloads go through it."),
        path("stats_socket", "The worker's command line (`stats socket PATH level admin`): states come from it."),
        Attribute::optional(
            "haproxy_binary",
            Type::String,
            "The program that checks a configuration before it is used.",
        )
        .default(Value::string("haproxy")),
        Attribute::optional("file_prefix", Type::String, "What the names of our files start with.")
            .default(Value::string("mesh-")),
        Attribute::optional("reload_timeout", Type::String, "How long a reload may take, as a duration.")
            .default(Value::string("30s"))
            .equality(Equality::Duration),
    ]);
    Arc::new(Gateway(Arc::new(Registry::new(
        "gateway",
        "HAProxy in master-worker mode on this machine: own files beside the site's configuration, checked before they \
         are used, reloads whose result is awaited, states from the running worker.",
        config,
        // A reload is one for all: the next waits for its result.
        1,
        vec![Box::new(load_balancer::LoadBalancer)],
        vec![Box::new(servers::Servers)],
    ))))
}

#[async_trait]
impl Provider for Gateway {
    fn schema(&self) -> &ProviderSchema {
        self.0.schema()
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.0.rules(ty)
    }

    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        let client = Client::open(config, services)?;
        let target = Some(Arc::from(client.dir.to_string_lossy()));
        Ok(Arc::new(TypedSession::new(self.0.clone(), client, target, services.clone())))
    }
}
