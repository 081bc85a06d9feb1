//! Data source `kubernetes_nodes`: the nodes, and the addresses that load balancers need.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};
use serde_json::Value as Json;

use crate::cluster::Cluster;
use crate::object::{Reference, text_at};
use crate::readiness::condition;

/// The data source.
pub(crate) struct Nodes;

fn node_type() -> Type {
    let text = Type::String;
    Type::object([
        ("name", text.clone()),
        ("internal_ip", text.clone()),
        ("external_ip", text.clone()),
        ("ready", Type::Bool),
        ("cordoned", Type::Bool),
        ("labels", Type::map(text.clone())),
        ("capacity", Type::map(text.clone())),
        ("version", text),
    ])
}

fn node(object: &Json) -> Value {
    let optional = |text: Option<&str>| text.map_or(Value::null(Type::String), Value::string);
    let address = |ty: &str| {
        let all = object["status"]["addresses"].as_array()?;
        text_at(all.iter().find(|a| text_at(a, &["type"]) == Some(ty))?, &["address"])
    };
    let map = |json: &Json| {
        let entries = json.as_object().into_iter().flatten();
        let entries = entries.filter_map(|(k, v)| Some((k.as_str(), Value::string(v.as_str()?))));
        Value::map(Type::String, entries.collect())
    };
    Value::object([
        ("name", optional(text_at(object, &["metadata", "name"]))),
        ("internal_ip", optional(address("InternalIP"))),
        ("external_ip", optional(address("ExternalIP"))),
        ("ready", Value::bool(condition(object, "Ready").is_some_and(|(status, _)| status == "True"))),
        ("cordoned", Value::bool(object["spec"]["unschedulable"] == true)),
        ("labels", map(&object["metadata"]["labels"])),
        ("capacity", map(&object["status"]["capacity"])),
        ("version", optional(text_at(object, &["status", "nodeInfo", "kubeletVersion"]))),
    ])
}

#[async_trait]
impl DataSource<Cluster> for Nodes {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "kubernetes_nodes",
            version: 0,
            doc: "The nodes of the cluster in the order of their names.",
            example: r#"data "kubernetes_nodes" "workers" {
  label_selector = "node-role.kubernetes.io/worker"
}"#,
            schema: Schema::of([
                Attribute::optional("label_selector", Type::String, "Label selector, as `kubectl -l` takes it."),
                Attribute::optional("ready_only", Type::Bool, "Leave out nodes that are not Ready. Default true.")
                    .default(Value::bool(true)),
                Attribute::optional(
                    "include_cordoned",
                    Type::Bool,
                    "Include nodes that take no new pods. Default false.",
                )
                .default(Value::bool(false)),
                Attribute::computed("nodes", Type::list(node_type()), "The nodes."),
                Attribute::computed("addresses", Type::map(Type::String), "Internal addresses by node name."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, cluster: &Cluster, config: &Value, _: &Services) -> Result<Value, ProviderError> {
        let kind = cluster.kind(&Reference::new("v1", "Node", None, "")).await?;
        let objects = cluster
            .list(&kind, None, config.get_str("label_selector").unwrap_or(""), "")
            .await
            .map_err(|f| f.error("list the nodes", None))?;
        let is = |v: &Value, name: &str| v.get(name).and_then(Value::as_bool) == Some(true);
        let ready_only = config.get("ready_only").and_then(Value::as_bool) != Some(false);
        let nodes: Vec<Value> = objects
            .iter()
            .map(node)
            .filter(|n| (is(n, "ready") || !ready_only) && (!is(n, "cordoned") || is(config, "include_cordoned")))
            .collect();
        let addresses =
            nodes.iter().filter_map(|n| Some((n.get_str("name")?, Value::string(n.get_str("internal_ip")?))));
        let addresses = Value::map(Type::String, addresses.collect());
        Ok(config.with("nodes", Value::list(node_type(), nodes)).with("addresses", addresses))
    }
}
