//! A table of objects and how far they are.

use serde_json::json;

use super::*;

#[test]
fn how_far_objects_are() {
    let cases = [
        (
            "unseen deployment",
            json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generation":1},"spec":{}}),
            'w',
        ),
        (
            "old generation",
            json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generation":2},"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1,"readyReplicas":1}}),
            'w',
        ),
        (
            "ready deployment",
            json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generation":2},"status":{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"availableReplicas":1,"readyReplicas":1,"conditions":[{"type":"Available","status":"True"}]}}),
            'r',
        ),
        (
            "deployment of zero",
            json!({"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0},"status":{"observedGeneration":2}}),
            'r',
        ),
        (
            "old replicas",
            json!({"apiVersion":"apps/v1","kind":"Deployment","status":{"observedGeneration":2,"replicas":2,"updatedReplicas":1,"availableReplicas":2,"readyReplicas":2}}),
            'w',
        ),
        (
            "deadline",
            json!({"apiVersion":"apps/v1","kind":"Deployment","status":{"observedGeneration":2,"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded"}]}}),
            'f',
        ),
        (
            "paused",
            json!({"apiVersion":"apps/v1","kind":"Deployment","spec":{"paused":true},"status":{"observedGeneration":2}}),
            'w',
        ),
        (
            "stateful set",
            json!({"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"replicas":1},"status":{"replicas":1,"readyReplicas":1,"currentReplicas":1,"currentRevision":"a","updateRevision":"a"}}),
            'r',
        ),
        (
            "stateful set rolling",
            json!({"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"replicas":1},"status":{"replicas":1,"readyReplicas":1,"currentReplicas":1,"currentRevision":"a","updateRevision":"b"}}),
            'w',
        ),
        (
            "stateful set partitioned",
            json!({"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":2}}},"status":{"replicas":3,"readyReplicas":3,"updatedReplicas":1}}),
            'r',
        ),
        (
            "daemon set for no node",
            json!({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":1},"status":{"observedGeneration":1,"desiredNumberScheduled":0}}),
            'r',
        ),
        (
            "daemon set",
            json!({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":1},"status":{"observedGeneration":1,"desiredNumberScheduled":2,"currentNumberScheduled":2,"updatedNumberScheduled":1}}),
            'w',
        ),
        ("failed pod", json!({"apiVersion":"v1","kind":"Pod","status":{"phase":"Failed"}}), 'f'),
        (
            "crash loop",
            json!({"apiVersion":"v1","kind":"Pod","status":{"phase":"Running","containerStatuses":[{"name":"a","ready":false,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}),
            'f',
        ),
        (
            "ready pod",
            json!({"apiVersion":"v1","kind":"Pod","status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}),
            'r',
        ),
        ("started job", json!({"apiVersion":"batch/v1","kind":"Job","status":{"active":1}}), 'w'),
        (
            "complete job",
            json!({"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Complete","status":"True"}]}}),
            'r',
        ),
        ("cluster service", json!({"apiVersion":"v1","kind":"Service","spec":{"type":"ClusterIP"}}), 'r'),
        (
            "load balancer",
            json!({"apiVersion":"v1","kind":"Service","spec":{"type":"LoadBalancer","clusterIP":"10.0.0.1"}}),
            'w',
        ),
        (
            "load balancer with another address",
            json!({"apiVersion":"v1","kind":"Service","spec":{"type":"LoadBalancer","loadBalancerIP":"203.0.113.1"},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.2"}]}}}),
            'w',
        ),
        (
            "load balancer with its address",
            json!({"apiVersion":"v1","kind":"Service","spec":{"type":"LoadBalancer","loadBalancerIP":"203.0.113.1"},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}}),
            'r',
        ),
        ("claim", json!({"apiVersion":"v1","kind":"PersistentVolumeClaim","status":{"phase":"Pending"}}), 'w'),
        ("namespace", json!({"apiVersion":"v1","kind":"Namespace","status":{"phase":"Active"}}), 'r'),
        (
            "namespace that goes",
            json!({"apiVersion":"v1","kind":"Namespace","metadata":{"deletionTimestamp":"x"},"status":{"phase":"Terminating"}}),
            'w',
        ),
        ("empty token", json!({"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token"}), 'w'),
        ("plain secret", json!({"apiVersion":"v1","kind":"Secret","type":"Opaque"}), 'r'),
        (
            "new definition",
            json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","status":{"conditions":[{"type":"Established","status":"False","reason":"Installing"}]}}),
            'w',
        ),
        (
            "names taken",
            json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","status":{"conditions":[{"type":"NamesAccepted","status":"False"}]}}),
            'f',
        ),
        ("gateway", json!({"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway"}), 'w'),
        (
            "issuing certificate",
            json!({"apiVersion":"cert-manager.io/v1","kind":"Certificate","status":{"conditions":[{"type":"Issuing","status":"True"},{"type":"Ready","status":"True"}]}}),
            'w',
        ),
        ("certificate without a word", json!({"apiVersion":"cert-manager.io/v1","kind":"Certificate"}), 'w'),
        (
            "stalled",
            json!({"apiVersion":"x.y/v1","kind":"Z","status":{"conditions":[{"type":"Stalled","status":"True"}]}}),
            'f',
        ),
        (
            "unknown kind, not ready",
            json!({"apiVersion":"x.y/v1","kind":"Z","status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}),
            'w',
        ),
        ("unknown kind", json!({"apiVersion":"x.y/v1","kind":"Z"}), 'r'),
    ];
    for (what, object, expected) in cases {
        let got = readiness(&object);
        let letter = match got {
            Ready => 'r',
            Waiting(_) => 'w',
            Failed(_) => 'f',
        };
        assert_eq!(letter, expected, "{what}: {got:?}");
    }
}

#[test]
fn containers_say_why_they_wait() {
    let pod = json!({"status":{"containerStatuses":[
        {"name":"a","ready":false,"state":{"waiting":{"reason":"ImagePullBackOff","message":"no image auto"}}},
        {"name":"b","ready":false,"state":{"running":{}}},
        {"name":"c","ready":true}
    ]}});
    assert_eq!(container_reasons(&pod), ["a: ImagePullBackOff: no image auto", "b: not ready"]);
}
