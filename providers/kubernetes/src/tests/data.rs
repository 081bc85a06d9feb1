//! Data sources.

use super::*;

async fn read(lab: &Lab, ty: &str, config: Json) -> Result<Value, ProviderError> {
    let schema = &lab.provider.schema().data[ty].schema;
    let given = from_json(&config);
    let values = schema.attributes.iter().map(|a| {
        let value = given.get(a.name).cloned().or_else(|| a.default.clone()).unwrap_or(Value::NULL);
        (a.name, mesh_model::convert::convert(&value, &a.ty).expect("has its type"))
    });
    let got = lab.session.read(ty, &Value::object(values)).await?;
    for attribute in &schema.attributes {
        let value = got.get(attribute.name).expect("has every attribute");
        mesh_model::convert::convert(value, &attribute.ty).expect("has its type");
    }
    Ok(got)
}

#[tokio::test]
async fn nodes_cluster_and_service() {
    let lab = Lab::new().await;
    let nodes = read(&lab, "kubernetes_nodes", json!({})).await.expect("can be read");
    let expected = &sandbox().kubernetes().expect("a cluster").nodes;
    for node in expected {
        assert_eq!(nodes.get("addresses").and_then(|a| a.get_str(&node.name)), Some(node.ip.to_string().as_str()));
    }
    let cluster = read(&lab, "kubernetes_cluster", json!({})).await.expect("can be read");
    assert_eq!(cluster.get_str("uid").map(Arc::from), lab.session.target());
    assert_eq!(cluster.get("nodes").and_then(Value::as_i64), Some(3));
    assert!(cluster.get_str("ca_pem").is_some_and(|pem| pem.starts_with("-----BEGIN CERTIFICATE-----")));
    assert!(cluster.get_str("version").is_some_and(|v| v.starts_with("v1.")));
    let ns = lab.namespace("data").await;
    lab.make(json!({"apiVersion":"v1","kind":"Service","metadata":{"name":"gw","namespace":ns},"spec":{"type":"NodePort","ports":[{"name":"http2","port":80,"targetPort":8080},{"name":"tls","port":443,"targetPort":"tls"}]}}), "x").await;
    let service = read(&lab, "kubernetes_service", json!({"namespace":ns,"name":"gw"})).await.expect("can be read");
    let port = service.get("ports").and_then(|p| p.get("http2")).expect("the port by its name");
    assert_eq!(port.get("port").and_then(Value::as_i64), Some(80));
    assert!(port.get("node_port").and_then(Value::as_i64).is_some_and(|p| p >= 30000));
    assert_eq!(service.get("ports").and_then(|p| p.get("tls")?.get_str("target_port")), Some("tls"));
}

#[tokio::test]
async fn one_object_and_many() {
    let lab = Lab::new().await;
    let ns = lab.namespace("data").await;
    lab.make(json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":ns,"labels":{"l":"1"}},"data":{"pin":"Y2FuYXJ5"}}), "x").await;
    let one = json!({"api_version":"v1","kind":"Secret","namespace":ns,"name":"s"});
    let secret = read(&lab, "kubernetes_resource", one).await.expect("can be read");
    assert!(!format!("{secret:?}").contains("canary") && !format!("{secret:?}").contains("Y2FuYXJ5"));
    assert_eq!(secret.get("data").and_then(|d| d.get_str("pin")), Some("canary"));
    assert!(secret.get("object").and_then(|o| o.get("metadata")?.get_str("uid")).is_some());
    let none = json!({"api_version":"v1","kind":"Secret","namespace":ns,"name":"none"});
    assert_eq!(
        read(&lab, "kubernetes_resource", none.clone()).await.expect_err("is not there").kind,
        mesh_sdk::ErrorKind::Missing
    );
    let mut optional = none;
    optional["optional"] = true.into();
    assert!(
        read(&lab, "kubernetes_resource", optional)
            .await
            .expect("may be absent")
            .get("object")
            .is_some_and(Value::is_null)
    );
    let many = json!({"api_version":"v1","kind":"Secret","namespace":ns,"label_selector":"l=1"});
    let many = read(&lab, "kubernetes_resources", many).await.expect("can be read");
    assert_eq!(many.get("objects").and_then(Value::as_items).map(|i| i.len()), Some(1));
    assert!(!format!("{many:?}").contains("Y2FuYXJ5"));
}

#[tokio::test]
async fn manifest_files() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("b.yaml"),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\nstringData: {pin: canary}\n",
    )
    .expect("written");
    std::fs::write(folder.path().join("a.yml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n---\n")
        .expect("written");
    std::fs::write(folder.path().join("notes.txt"), "no manifest").expect("written");
    let files = read(&lab, "kubernetes_manifest_files", json!({"folder": folder.path().display().to_string()}))
        .await
        .expect("can be read");
    let documents = files.get("documents").and_then(Value::as_items).cloned().expect("documents");
    assert_eq!(documents.iter().filter_map(|d| d.get_str("kind")).collect::<Vec<_>>(), ["Namespace", "Secret"]);
    assert!(!format!("{files:?}").contains("canary"));
    let life = lab.life("kubernetes_manifests", json!({}));
    let set = life.desired.with("documents", Value::tuple(documents.to_vec()));
    assert_eq!(crate::resources::set_of(Some(&crate::resources::objects_of(&set))).len(), 2);
    let missing = read(&lab, "kubernetes_manifest_files", json!({"files": ["/no/such/file.yaml"]})).await;
    assert!(missing.expect_err("is not there").detail.contains("/no/such/file.yaml"));
}
