//! Data source `kubernetes_service`: a Service as load balancers see it.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};
use serde_json::Value as Json;

use crate::cluster::Cluster;
use crate::error::missing;
use crate::object::{Reference, text_at};

/// The data source.
pub(crate) struct Service;

fn port_type() -> Type {
    Type::object([
        ("port", Type::Number),
        ("node_port", Type::Number),
        ("target_port", Type::String),
        ("protocol", Type::String),
    ])
}

fn port(object: &Json) -> Value {
    let number = |name: &str| object[name].as_i64().map_or(Value::null(Type::Number), Value::number);
    let target = match &object["targetPort"] {
        Json::String(name) => Value::string(name.as_str()),
        Json::Number(n) => Value::string(n.to_string()),
        _ => Value::null(Type::String),
    };
    Value::object([
        ("port", number("port")),
        ("node_port", number("nodePort")),
        ("target_port", target),
        ("protocol", Value::string(text_at(object, &["protocol"]).unwrap_or("TCP"))),
    ])
}

#[async_trait]
impl DataSource<Cluster> for Service {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_service",
            version: 0,
            doc: "A Service: its ports by name, and its addresses.",
            example: r#"data "kubernetes_service" "gateway" {
  namespace = "istio-system"
  name      = "istio-ingressgateway"
}"#,
            schema: Schema::of([
                Attribute::required("namespace", text.clone(), "Namespace of the Service."),
                Attribute::required("name", text.clone(), "Name of the Service."),
                Attribute::computed(
                    "ports",
                    Type::map(port_type()),
                    "Ports by name (an only port without one stands under its number): `port`, `node_port`, `target_port`, `protocol`.",
                ),
                Attribute::computed("type", text.clone(), "ClusterIP, NodePort, LoadBalancer or ExternalName."),
                Attribute::computed("cluster_ip", text.clone(), "Its address in the cluster; null for a headless one."),
                Attribute::computed(
                    "load_balancer_ip",
                    text.clone(),
                    "Address (or host name) that the load balancer gave; null before.",
                ),
                Attribute::computed("selector", Type::map(text), "Labels of the pods behind it."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, cluster: &Cluster, config: &Value, _: &Services) -> Result<Value, ProviderError> {
        let text = |name: &str| config.get_str(name).unwrap_or("");
        let reference = Reference::new("v1", "Service", Some(text("namespace")), text("name"));
        let Some(object) = cluster.get(&reference).await? else {
            return Err(missing(format!("There is no {}.", reference.text())));
        };
        let ports = object["spec"]["ports"].as_array().into_iter().flatten().map(|p| {
            let name = text_at(p, &["name"]).map_or_else(|| p["port"].to_string(), str::to_owned);
            (name, port(p))
        });
        let selector = object["spec"]["selector"].as_object().into_iter().flatten();
        let selector = selector.filter_map(|(k, v)| Some((k.as_str(), Value::string(v.as_str()?))));
        let optional = |text: Option<&str>| text.map_or(Value::null(Type::String), Value::string);
        let ingress = &object["status"]["loadBalancer"]["ingress"][0];
        Ok(config
            .with("ports", Value::map(port_type(), ports.collect()))
            .with("type", optional(text_at(&object, &["spec", "type"])))
            .with("cluster_ip", optional(text_at(&object, &["spec", "clusterIP"]).filter(|ip| *ip != "None")))
            .with("load_balancer_ip", optional(text_at(ingress, &["ip"]).or_else(|| text_at(ingress, &["hostname"]))))
            .with("selector", Value::map(Type::String, selector.collect())))
    }
}
