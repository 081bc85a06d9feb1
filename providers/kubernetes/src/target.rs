//! Which cluster it is: the uid of the namespace `kube-system`, which lives as long as the cluster.

use mesh_sdk::ProviderError;

use crate::cluster::Cluster;
use crate::error::missing;
use crate::object::{Reference, text_at};

/// The uid.
pub(crate) async fn uid(cluster: &Cluster) -> Result<String, ProviderError> {
    // By its path: the credentials may be wrong, and then discovery would be the first to say so.
    let reference = Reference::new("v1", "Namespace", None, "kube-system");
    let object = cluster
        .get_path("/api/v1/namespaces/kube-system")
        .await
        .map_err(|f| f.error(&format!("read {} of {}", reference.text(), cluster.host), None))?;
    object.as_ref().and_then(|o| text_at(o, &["metadata", "uid"])).map(str::to_owned).ok_or_else(|| {
        missing(format!("{} has no namespace kube-system: it is not a Kubernetes API server.", cluster.host))
    })
}
