//! The resource types: the one list of them.

mod auth_backend;
mod kubernetes_auth_config;
mod kubernetes_auth_role;
pub(crate) mod kv;
mod kv_secret;
mod kv_secret_v2;
mod mount;
mod mounts;
mod policy;

use mesh_sdk::Resource;

use crate::client::Client;
use crate::kind::Typed;

/// All resource types.
pub(crate) fn all() -> Vec<Box<dyn Resource<Client>>> {
    vec![
        Typed::boxed(auth_backend::AuthBackend),
        Typed::boxed(kubernetes_auth_config::KubernetesAuthConfig),
        Typed::boxed(kubernetes_auth_role::KubernetesAuthRole),
        Typed::boxed(kv_secret::KvSecret),
        Typed::boxed(kv_secret_v2::KvSecretV2),
        Typed::boxed(mount::Mount),
        Typed::boxed(policy::Policy),
    ]
}
