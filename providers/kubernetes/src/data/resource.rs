//! Data source `kubernetes_resource`: one object.

use mesh_model::json::from_json;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};
use serde_json::Value as Json;

use crate::cluster::Cluster;
use crate::equality::decode;
use crate::error::{invalid, missing};
use crate::object::{LAST_APPLIED, Reference};
use crate::secret::mark_manifest;

/// The data source.
pub(crate) struct Resource;

/// An object without the server's bookkeeping; status and uid stay, they are what is asked for.
pub(crate) fn readable(mut object: Json) -> Json {
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    object
}

/// The decoded texts of a Secret, or those of a ConfigMap.
fn data(object: &Json) -> Value {
    let is_secret = object["kind"] == "Secret";
    let fields = object["data"].as_object().into_iter().flatten();
    let entries = fields.filter_map(|(key, value)| {
        let text = value.as_str()?;
        let text = if is_secret { String::from_utf8(decode(text)?).ok()? } else { text.to_owned() };
        let value = Value::string(text);
        Some((key.as_str(), if is_secret { value.sensitive() } else { value }))
    });
    Value::map(Type::String, entries.collect())
}

#[async_trait]
impl DataSource<Cluster> for Resource {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_resource",
            version: 0,
            doc: "One object of any kind, as it is.",
            example: r#"data "kubernetes_resource" "csr" {
  api_version = "v1"
  kind        = "Secret"
  namespace   = "istio-system"
  name        = "istio-ca-cert-csr"
}"#,
            schema: Schema::of([
                Attribute::required("api_version", text.clone(), "apiVersion of the object."),
                Attribute::required("kind", text.clone(), "Kind of the object."),
                Attribute::optional("namespace", text.clone(), "Namespace, where the kind has one."),
                Attribute::required("name", text.clone(), "Name of the object."),
                Attribute::optional(
                    "optional",
                    Type::Bool,
                    "Whether the object may be absent. Default false: then that is an error.",
                ),
                Attribute::computed(
                    "object",
                    Type::Dynamic,
                    "The object; null where there is none. Values of a Secret are sensitive.",
                ),
                Attribute::computed(
                    "data",
                    Type::map(text),
                    "Texts of a ConfigMap, or the decoded ones of a Secret (sensitive; binary ones are left out).",
                ),
            ]),
            protected: false,
        }
    }

    async fn read(&self, cluster: &Cluster, config: &Value, _: &Services) -> Result<Value, ProviderError> {
        let reference = Reference::from_attributes(config).ok_or_else(|| invalid("`name` is empty."))?;
        let Some(object) = cluster.get(&reference).await? else {
            if config.get("optional").and_then(Value::as_bool) == Some(true) {
                return Ok(config.with("object", Value::NULL).with("data", Value::null(Type::map(Type::String))));
            }
            return Err(missing(format!(
                "There is no {}. Set `optional = true` if it may be absent.",
                reference.text()
            )));
        };
        let values = data(&object);
        Ok(config.with("object", from_json(&readable(object))).with("data", values))
    }

    fn mark(&self, values: Value) -> Value {
        match values.get("object").map(mark_manifest) {
            Some(marked) => values.with("object", marked),
            None => values,
        }
    }
}
