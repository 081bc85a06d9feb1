//! Sets of manifests: order, pruning, definitions with their objects.

use super::*;

fn definition(plural: &str, group: &str, kind: &str) -> Json {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": {
                    "size": {"type": "integer", "default": 3},
                    "hosts": {"type": "array", "items": {"type": "string"}},
                }}},
            }}}],
        },
    })
}

#[tokio::test]
async fn a_custom_resource_arrives_with_its_definition() {
    let lab = Lab::new().await;
    let ns = sandbox().namespace("set");
    let group = format!("{ns}.example.com");
    let widget = |hosts: Json| json!({"apiVersion":format!("{group}/v1"),"kind":"Widget","metadata":{"name":"w","namespace":ns},"spec":{"hosts":hosts}});
    let all = |hosts: Json| {
        let objects = [
            widget(hosts),
            config_map(&ns, "a", json!({"x": "1"})),
            json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":ns}}),
            definition("widgets", &group, "Widget"),
        ];
        json!({ "text": objects.map(|o| o.to_string()).join("\n---\n") })
    };
    let mut life = lab.life("kubernetes_manifests", all(json!(["a"])));
    let (response, _) = life.plan().await.expect("can be planned before anything exists");
    assert_eq!(response.verdict, Verdict::Create);
    life.apply().await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    let text = format!("{group}/Widget {ns}/w");
    assert_eq!(lab.live(&text).await.expect("is there")["spec"], json!({"size":3,"hosts":["a"]}));
    life.want(all(json!(["a", "b"])));
    assert_eq!(life.verdict().await, Verdict::Update);
    life.apply().await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    life.delete().await;
    assert!(lab.live(&format!("Namespace {ns}")).await.is_none());
}

#[tokio::test]
async fn definition_and_object_as_two_resources_in_one_plan() {
    let lab = Lab::new().await;
    let ns = lab.namespace("set").await;
    let group = format!("{ns}.example.com");
    let mut crd = lab.life("kubernetes_manifest", json!({ "manifest": definition("gadgets", &group, "Gadget") }));
    let gadget =
        json!({"apiVersion":format!("{group}/v1"),"kind":"Gadget","metadata":{"name":"g","namespace":ns},"spec":{}});
    let mut object = lab.life("kubernetes_manifest", json!({ "manifest": gadget }));
    let (response, _) = object.plan().await.expect("can be planned");
    let later =
        format!("later: the cluster has no kind Gadget in {group}/v1 yet, and no definition in this plan brings it");
    assert_eq!(response.notes, [later]);
    crd.plan().await.expect("can be planned");
    let (response, _) = object.plan().await.expect("can be planned without its kind");
    assert_eq!(response.verdict, Verdict::Create);
    assert!(response.notes.iter().any(|n| n.contains("kind does not exist")), "{:?}", response.notes);
    crd.apply().await;
    object.apply().await;
    assert_eq!(crd.verdict().await, Verdict::NoOp);
    assert_eq!(object.verdict().await, Verdict::NoOp);
    object.delete().await;
    crd.delete().await;
    assert!(object.observe().await.is_none());
}

#[tokio::test]
async fn what_left_the_set_goes_and_what_drifted_is_named() {
    let lab = Lab::new().await;
    let ns = lab.namespace("set").await;
    let text = |names: &[&str]| {
        let objects: Vec<String> = names.iter().map(|n| config_map(&ns, n, json!({"x": "1"})).to_string()).collect();
        json!({ "text": objects.join("\n---\n") })
    };
    let mut life = lab.life("kubernetes_manifests", text(&["a", "b", "c"]));
    life.apply().await;
    lab.patch(&format!("ConfigMap {ns}/b"), "x", json!({"data":{"x":"2"}})).await;
    let (response, _) = life.plan().await.expect("can be planned");
    assert_eq!(response.verdict, Verdict::Update);
    let objects = |v: &Value| crate::resources::set_of(v.get("objects"));
    let (before, after) = (objects(&response.before), objects(&response.after));
    let changed: Vec<&String> =
        after.iter().filter(|(id, o)| !before.get(*id).is_some_and(|b| b.same(o))).map(|(id, _)| id).collect();
    assert_eq!(changed, [&format!("ConfigMap {ns}/b")]);
    life.want(text(&["a", "b"]));
    life.apply().await;
    assert!(lab.live(&format!("ConfigMap {ns}/c")).await.is_none());
    assert_eq!(lab.live(&format!("ConfigMap {ns}/b")).await.expect("is there")["data"]["x"], "1");
    assert_eq!(life.verdict().await, Verdict::NoOp);
    // A deleted one is missing, not the set.
    let reference = Reference::parse(&format!("ConfigMap {ns}/a")).expect("a name");
    crate::lifecycle::delete(lab.cluster(), &reference, None, std::time::Duration::from_secs(10))
        .await
        .expect("is deleted");
    let found = life.observe().await.expect("the set is there");
    assert_eq!(found.notes, ["1 of 2 objects are not there"]);
    life.apply().await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
}

#[tokio::test]
async fn a_failed_create_says_what_it_left() {
    let lab = Lab::new().await;
    let ns = lab.namespace("set").await;
    // Refused by the server only: a name that is no DNS name.
    let text = [config_map(&ns, "a", json!({"x": "1"})), json!({"apiVersion":"v1","kind":"Service","metadata":{"name":"Not_A_Name","namespace":ns},"spec":{"ports":[{"port":80}]}})]
        .map(|o| o.to_string())
        .join("\n---\n");
    let mut life = lab.life("kubernetes_manifests", json!({ "text": text }));
    let planned = life.desired.clone();
    let objects = crate::resources::objects_of(&planned);
    let outcome = life.operate(Operation::Create, None, Some(planned.with("objects", objects)), OnExisting::Fail).await;
    let Outcome::Rejected { error, left: Some(left) } = outcome else { panic!("{outcome:?}") };
    assert!(error.detail.contains("Not_A_Name"), "{error}");
    assert_eq!(
        crate::resources::set_of(left.values.get("objects")).into_keys().collect::<Vec<_>>(),
        [format!("ConfigMap {ns}/a")]
    );
    // The rest of the same plan finishes it.
    life.want(json!({ "text": config_map(&ns, "a", json!({"x": "1"})).to_string() }));
    assert_eq!(life.verdict().await, Verdict::NoOp);
}

#[tokio::test]
async fn istiod_keeps_what_it_wrote_into_its_webhook() {
    let lab = Lab::new().await;
    let name = sandbox().namespace("validator");
    let webhook = json!({"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":name,"labels":{"app":"istiod","istio.io/rev":"x"}},
        "webhooks":[{"name":"a.istio.io","failurePolicy":"Ignore","admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":{"caBundle":"","service":{"name":"istiod","namespace":"istio-system","path":"/validate"}},"rules":[{"operations":["CREATE"],"apiGroups":["none.istio.io"],"apiVersions":["*"],"resources":["*"]}]}]});
    let mut life = lab.life("kubernetes_manifests", json!({ "text": webhook.to_string() }));
    life.apply().await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    let text = format!("admissionregistration.k8s.io/ValidatingWebhookConfiguration {name}");
    let bundle = crate::equality::encode(sandbox_ca().as_bytes());
    lab.patch(
        &text,
        "pilot-discovery",
        json!({"webhooks":[{"name":"a.istio.io","failurePolicy":"Fail","clientConfig":{"caBundle":bundle}}]}),
    )
    .await;
    assert_eq!(life.verdict().await, Verdict::NoOp);
    let mut changed = webhook.clone();
    changed["webhooks"][0]["clientConfig"]["service"]["path"] = "/other".into();
    life.want(json!({ "text": changed.to_string() }));
    life.apply().await;
    let live = lab.live(&text).await.expect("is there");
    assert_eq!(live["webhooks"][0]["failurePolicy"], "Fail");
    assert_eq!(live["webhooks"][0]["clientConfig"]["caBundle"], bundle);
    assert_eq!(live["webhooks"][0]["clientConfig"]["service"]["path"], "/other");
    assert_eq!(life.verdict().await, Verdict::NoOp);
    life.delete().await;
}

fn sandbox_ca() -> String {
    std::fs::read_to_string(&sandbox().kubernetes().expect("a cluster").ca_file).expect("a CA")
}
