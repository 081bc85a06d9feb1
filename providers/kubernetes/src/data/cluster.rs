//! Data source `kubernetes_cluster`: what is known of the cluster itself.

use http::Method;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};

use crate::cluster::{Cluster, Payload};
use crate::object::{Reference, text_at};
use crate::target;

/// The data source.
pub(crate) struct ClusterInfo;

#[async_trait]
impl DataSource<Cluster> for ClusterInfo {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_cluster",
            version: 0,
            doc: "The cluster of this provider.",
            example: r#"data "kubernetes_cluster" "this" {}"#,
            schema: Schema::of([
                Attribute::computed("host", text.clone(), "Address of the API server, as this provider reaches it."),
                Attribute::computed(
                    "ca_pem",
                    text.clone(),
                    "CA certificates of the API server (PEM), where the provider's configuration gives them, else those that pods get.",
                ),
                Attribute::computed("version", text.clone(), "Version of the API server, `v1.36.3`."),
                Attribute::computed("uid", text, "uid of the namespace kube-system, which stands for the cluster."),
                Attribute::computed("nodes", Type::Number, "How many nodes there are."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, cluster: &Cluster, config: &Value, _: &Services) -> Result<Value, ProviderError> {
        let version = cluster
            .call(Method::GET, "/version", Payload::Nothing)
            .await
            .map_err(|f| f.error("read the version of the API server", None))?;
        let kind = cluster.kind(&Reference::new("v1", "Node", None, "")).await?;
        let nodes = cluster.list(&kind, None, "", "").await.map_err(|f| f.error("list the nodes", None))?.len();
        let ca = match &cluster.ca_pem {
            Some(pem) => Some(pem.clone()),
            None => {
                let bundle = Reference::new("v1", "ConfigMap", Some("kube-public"), "kube-root-ca.crt");
                let bundle = cluster.get(&bundle).await?;
                bundle.as_ref().and_then(|b| text_at(b, &["data", "ca.crt"])).map(str::to_owned)
            }
        };
        let text = |t: Option<&str>| t.map_or(Value::null(Type::String), Value::string);
        Ok(config
            .with("host", Value::string(cluster.host.as_str()))
            .with("ca_pem", text(ca.as_deref()))
            .with("version", text(text_at(&version.json, &["gitVersion"])))
            .with("uid", Value::string(target::uid(cluster).await?))
            .with("nodes", Value::number(i64::try_from(nodes).unwrap_or(i64::MAX))))
    }
}
