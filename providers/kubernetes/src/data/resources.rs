//! Data source `kubernetes_resources`: all objects of a kind that selectors leave.

use mesh_model::json::from_json;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};

use crate::cluster::Cluster;
use crate::data::resource::readable;
use crate::object::Reference;
use crate::secret::mark_manifest;

/// The data source.
pub(crate) struct Resources;

#[async_trait]
impl DataSource<Cluster> for Resources {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_resources",
            version: 0,
            doc: "All objects of a kind, in one namespace or in all, in the order of namespaces and names.",
            example: r#"data "kubernetes_resources" "gateways" {
  api_version    = "v1"
  kind           = "Service"
  label_selector = "app=istio-ingressgateway"
}"#,
            schema: Schema::of([
                Attribute::required("api_version", text.clone(), "apiVersion of the objects."),
                Attribute::required("kind", text.clone(), "Kind of the objects."),
                Attribute::optional("namespace", text.clone(), "Namespace. Default: all."),
                Attribute::optional("label_selector", text.clone(), "Label selector, as `kubectl -l` takes it."),
                Attribute::optional("field_selector", text, "Field selector, as `kubectl --field-selector` takes it."),
                Attribute::computed("objects", Type::Dynamic, "The objects. Values of Secrets are sensitive."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, cluster: &Cluster, config: &Value, _: &Services) -> Result<Value, ProviderError> {
        let text = |name: &str| config.get_str(name).unwrap_or("");
        let reference = Reference::new(text("api_version"), text("kind"), config.get_str("namespace"), "");
        let kind = cluster.kind(&reference).await?;
        let objects = cluster
            .list(&kind, reference.namespace.as_deref(), text("label_selector"), text("field_selector"))
            .await
            .map_err(|f| f.error(&format!("list {} objects", reference.kind), None))?;
        let objects: Vec<Value> = objects.into_iter().map(|o| from_json(&readable(o))).collect();
        Ok(config.with("objects", Value::tuple(objects)))
    }

    fn mark(&self, values: Value) -> Value {
        match values.get("objects") {
            Some(objects) => values.with("objects", objects.map_children(&mark_manifest)),
            None => values,
        }
    }
}
