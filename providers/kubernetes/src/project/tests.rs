//! Tables of live objects, configurations, and what the one looks like through the other.

use mesh_model::json::{from_json, to_json};
use serde_json::json;

use super::*;

/// Kind, live, wanted, older configuration, and whether that is the same.
#[test]
fn what_is_a_difference_and_what_is_not() {
    let cases = [
        (
            "a foreign label",
            "v1/ConfigMap",
            json!({"metadata":{"labels":{"a":"1","foreign":"x"}}}),
            json!({"metadata":{"labels":{"a":"1"}}}),
            json!({}),
            true,
        ),
        (
            "a changed label",
            "v1/ConfigMap",
            json!({"metadata":{"labels":{"a":"2"}}}),
            json!({"metadata":{"labels":{"a":"1"}}}),
            json!({}),
            false,
        ),
        (
            "a label that is gone",
            "v1/ConfigMap",
            json!({"metadata":{}}),
            json!({"metadata":{"labels":{"a":"1"}}}),
            json!({}),
            false,
        ),
        (
            "a label no longer wanted",
            "v1/ConfigMap",
            json!({"metadata":{"labels":{"a":"1","b":"2"}}}),
            json!({"metadata":{"labels":{"a":"1"}}}),
            json!({"metadata":{"labels":{"a":"1","b":"2"}}}),
            false,
        ),
        (
            "one no longer wanted that is gone",
            "v1/ConfigMap",
            json!({"metadata":{"labels":{"a":"1"}}}),
            json!({"metadata":{"labels":{"a":"1"}}}),
            json!({"metadata":{"labels":{"a":"1","b":"2"}}}),
            true,
        ),
        (
            "null means not there",
            "v1/ConfigMap",
            json!({"data":{"a":"1"}}),
            json!({"data":{"a":"1","b":null}}),
            json!({}),
            true,
        ),
        ("empty labels", "v1/ConfigMap", json!({"metadata":{}}), json!({"metadata":{"labels":{}}}), json!({}), true),
        (
            "an empty volume source matters",
            "v1/Pod",
            json!({"spec":{"volumes":[{"name":"a","hostPath":{"path":"/"}}]}}),
            json!({"spec":{"volumes":[{"name":"a","emptyDir":{}}]}}),
            json!({}),
            false,
        ),
        (
            "defaulted protocol",
            "v1/Service",
            json!({"spec":{"ports":[{"port":80,"protocol":"TCP","targetPort":80,"nodePort":31000}]}}),
            json!({"spec":{"ports":[{"port":80}]}}),
            json!({}),
            true,
        ),
        (
            "sorted ports",
            "v1/Service",
            json!({"spec":{"ports":[{"port":80,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}}),
            json!({"spec":{"ports":[{"port":53,"protocol":"UDP"},{"port":80}]}}),
            json!({}),
            true,
        ),
        (
            "another port of somebody else",
            "v1/Service",
            json!({"spec":{"ports":[{"port":80,"protocol":"TCP"},{"port":81,"protocol":"TCP"}]}}),
            json!({"spec":{"ports":[{"port":80}]}}),
            json!({}),
            true,
        ),
        (
            "a quantity",
            "apps/v1/Deployment",
            json!({"spec":{"template":{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1"}}}]}}}}),
            json!({"spec":{"template":{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1000m"}}}]}}}}),
            json!({}),
            true,
        ),
        (
            "an injected sidecar",
            "apps/v1/Deployment",
            json!({"spec":{"containers":[{"name":"proxy"},{"name":"a","image":"x"}]}}),
            json!({"spec":{"containers":[{"name":"a","image":"x"}]}}),
            json!({}),
            true,
        ),
        (
            "a container no longer wanted",
            "apps/v1/Deployment",
            json!({"spec":{"containers":[{"name":"b"},{"name":"a"}]}}),
            json!({"spec":{"containers":[{"name":"a"}]}}),
            json!({"spec":{"containers":[{"name":"a"},{"name":"b"}]}}),
            false,
        ),
        (
            "arguments in another order",
            "apps/v1/Deployment",
            json!({"spec":{"containers":[{"name":"a","args":["x","y"]}]}}),
            json!({"spec":{"containers":[{"name":"a","args":["y","x"]}]}}),
            json!({}),
            false,
        ),
        (
            "a rule more in a custom resource",
            "networking.istio.io/v1/ServiceEntry",
            json!({"spec":{"ports":[{"number":80},{"number":81}]}}),
            json!({"spec":{"ports":[{"number":80}]}}),
            json!({}),
            false,
        ),
        (
            "defaults in an atomic list",
            "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration",
            json!({"webhooks":[{"name":"a","clientConfig":{"caBundle":"YQ=="},"rules":[{"operations":["CREATE"],"scope":"*"}]}]}),
            json!({"webhooks":[{"name":"a","rules":[{"operations":["CREATE"]}]}]}),
            json!({}),
            true,
        ),
        (
            "a false that is left out",
            "v1/Pod",
            json!({"spec":{}}),
            json!({"spec":{"hostNetwork":false}}),
            json!({}),
            true,
        ),
        (
            "a false that is not",
            "v1/Pod",
            json!({"spec":{}}),
            json!({"spec":{"automountServiceAccountToken":false}}),
            json!({}),
            false,
        ),
        (
            "a status in a generated manifest",
            "apiextensions.k8s.io/v1/CustomResourceDefinition",
            json!({"spec":{"group":"a"},"status":{"storedVersions":["v1"]}}),
            json!({"spec":{"group":"a"},"status":{"storedVersions":[]}}),
            json!({}),
            true,
        ),
        (
            "base64 with line breaks",
            "v1/Secret",
            json!({"data":{"a":"YWJj"}}),
            json!({"data":{"a":"YW\nJj"}}),
            json!({}),
            true,
        ),
    ];
    for (what, kind, live, wanted, older, expected) in cases {
        let (api_version, kind) = kind.rsplit_once('/').expect("a kind");
        let at = Place::root(api_version, kind);
        let (wanted, older) = (from_json(&wanted), from_json(&older));
        let seen = project(&[&wanted, &older], &live, &at);
        assert_eq!(same(&wanted, &seen, &at), expected, "{what}: {seen:?}");
    }
}

#[test]
fn spelling_and_marks_of_the_configuration_stay() {
    let at = Place::root("v1", "ResourceQuota");
    let wanted = Value::object([(
        "spec",
        Value::object([("hard", Value::object([("cpu", Value::string("2000m").sensitive())]))]),
    )]);
    let seen = project(&[&wanted], &json!({"spec":{"hard":{"cpu":"2"},"x":1}}), &at);
    assert_eq!(mesh_model::json::reveal_json(&seen), json!({"spec":{"hard":{"cpu":"2000m"}}}));
    assert_eq!(to_json(&seen), json!({"spec":{"hard":{"cpu":null}}}));
}

#[test]
fn claimed_paths_are_spelled_as_in_conflicts() {
    let value = from_json(
        &json!({"metadata":{"labels":{"istio.io/rev":"x"}},"spec":{"containers":[{"name":"a","image":"b","ports":[{"containerPort":80}],"args":["x"]}]}}),
    );
    let claimed = claimed_paths(&value, &Place::root("v1", "Pod"));
    for path in [
        ".metadata.labels.istio.io/rev",
        ".spec.containers[name=\"a\"].image",
        ".spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
        ".spec.containers[name=\"a\"].args",
    ] {
        assert!(claimed.iter().any(|c| c == path), "{path} in {claimed:?}");
        assert!(is_claimed(path, &claimed));
    }
    assert!(!is_claimed(".spec.containers[name=\"a\"].imagePullPolicy", &claimed));
    assert!(!is_claimed(".metadata.labels.istio", &claimed));
    let list = from_json(&json!({"spec":{"listeners":[{"name":"a"}]}}));
    let claimed = claimed_paths(&list, &Place::root("gateway.networking.k8s.io/v1", "Gateway"));
    assert!(is_claimed(".spec.listeners[name=\"a\"].port", &claimed));
}
