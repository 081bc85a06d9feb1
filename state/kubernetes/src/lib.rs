//! State in a Kubernetes cluster: `mesh { backend "kubernetes" { ... } }`.
//!
//! The one decision: blobs are Secrets and the lock is a Lease, so that the cluster's own rights, backups and tools
//! serve state too: `kubectl get secrets,leases -l mesh.state/name=NAME` shows all of it and who holds it. What makes
//! state safe is not here but in [`mesh_state::remote`].
//!
//! Nothing is taken from the surroundings: no default kubeconfig and no environment.

mod connect;
mod error;
mod lock;
mod names;
mod pack;
mod store;
#[cfg(test)]
mod tests;

use mesh_model::{Attribute, Schema, Type, Value};
use mesh_state::BackendKind;
use mesh_state::remote::RemoteBackend;

pub use store::KubernetesStore;

/// The row of this backend.
pub fn kind() -> BackendKind {
    let text = Type::String;
    BackendKind {
        name: "kubernetes",
        doc: "State in Secrets of one namespace, with a Lease as the lock. The account needs get, list, create, update \
              and delete on secrets, and get, create, update and delete on leases of coordination.k8s.io there.",
        example: "mesh {\n  backend \"kubernetes\" {\n    namespace  = \"mesh-state\"\n    name       = \"prod\"\n    kubeconfig = \
                  \"kubeconfig.yaml\"\n    context    = \"admin\"\n  }\n}\n",
        settings: Schema::of([
            Attribute::required("namespace", text.clone(), "The namespace; it must exist."),
            Attribute::optional(
                "name",
                text.clone(),
                "The name of this state among those of the namespace: a DNS label. Default mesh.",
            )
            .default(Value::string("mesh")),
            Attribute::optional(
                "kubeconfig",
                text.clone(),
                "Path of a kubeconfig file, as seen from the root folder. This or in_cluster must be given.",
            ),
            Attribute::optional("context", text, "Context of the kubeconfig. Default: its current one."),
            Attribute::optional(
                "in_cluster",
                Type::Bool,
                "Whether to use the service account of the pod that mesh runs in. Default false.",
            ),
        ]),
        open: |settings| Ok(RemoteBackend::open(KubernetesStore::new(settings)?, settings)),
    }
}
