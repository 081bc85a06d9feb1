//! A set of manifests: from text to objects, in an order in which they can be applied.
//!
//! Pure. Each object stands under its identity; a set that names one object twice is refused.

use std::collections::BTreeMap;

use mesh_model::Value;

use crate::object::{Reference, cluster_wide};
use crate::resources::manifest::check;
use crate::secret::{mark_all, mark_manifest};
use crate::yaml::documents;

/// Objects by identity.
pub(crate) type Objects = BTreeMap<String, Value>;

/// Why there are no objects.
#[derive(Debug)]
pub(crate) enum NoSet {
    /// Not known yet.
    Unknown,
    /// Wrong; where and why.
    Wrong(&'static str, String),
}

/// The objects that `text` or `documents` of a configuration describe.
pub(crate) fn objects(values: &Value) -> Result<Objects, NoSet> {
    let get = |name: &str| values.get(name).filter(|v| !v.is_null());
    let (attribute, manifests, secret) = match (get("text"), get("documents")) {
        (Some(_), Some(_)) => return Err(NoSet::Wrong("text", "set `text` or `documents`, not both".into())),
        (None, None) => return Err(NoSet::Wrong("text", "set `text` or `documents`".into())),
        (Some(text), None) => match text.as_str() {
            Some(clear) => {
                let parsed = documents(clear).map_err(|e| NoSet::Wrong("text", format!("not valid YAML: {e}")))?;
                ("text", parsed, text.marks().sensitive())
            }
            None => return Err(NoSet::Unknown),
        },
        (None, Some(list)) => match list.as_items() {
            Some(items) => ("documents", items.to_vec(), list.marks().sensitive()),
            None => return Err(NoSet::Unknown),
        },
    };
    let namespace = match values.get("namespace") {
        Some(n) if n.is_unknown() => return Err(NoSet::Unknown),
        other => other.and_then(Value::as_str),
    };
    let mut out = Objects::new();
    for (i, manifest) in manifests.iter().enumerate() {
        if manifest.is_unknown() {
            return Err(NoSet::Unknown);
        }
        if manifest.is_null() {
            continue;
        }
        let manifest = placed(manifest, namespace, &manifests);
        let position = i + 1;
        if let Some(reason) = check(&manifest) {
            return Err(NoSet::Wrong(attribute, format!("document {position}: {reason}")));
        }
        let Some(reference) = Reference::of(&manifest) else { return Err(NoSet::Unknown) };
        let marked = if secret { mark_all(&manifest) } else { mark_manifest(&manifest) };
        if out.insert(reference.text(), marked).is_some() {
            return Err(NoSet::Wrong(attribute, format!("document {position}: {} is there twice", reference.text())));
        }
    }
    Ok(out)
}

/// Kinds of well-known APIs that have no namespace.
const CLUSTER_WIDE_CUSTOM: &[&str] = &["GatewayClass", "ClusterIssuer", "ClusterPolicy"];

/// With the default namespace, where its kind has one and it names none. A custom kind has one unless
/// its definition in the set says otherwise; where that guess is wrong the namespace is not sent.
fn placed(manifest: &Value, namespace: Option<&str>, all: &[Value]) -> Value {
    let (Some(namespace), Some(metadata)) = (namespace, manifest.get("metadata")) else { return manifest.clone() };
    let (group, _) = crate::object::split_api_version(manifest.get_str("apiVersion").unwrap_or("?/?"));
    let kind = manifest.get_str("kind").unwrap_or("");
    let namespaced = match cluster_wide(group, kind) {
        Some(wide) => !wide,
        None => {
            let defines = |d: &&Value| {
                let spec = d.get("spec");
                d.get_str("kind") == Some("CustomResourceDefinition")
                    && spec.is_some_and(|s| s.get_str("group") == Some(group))
                    && spec.and_then(|s| s.get("names")?.get_str("kind")) == Some(kind)
            };
            match all.iter().find(defines).and_then(|d| d.get("spec")?.get_str("scope")) {
                Some(scope) => scope == "Namespaced",
                None => !CLUSTER_WIDE_CUSTOM.contains(&kind),
            }
        }
    };
    if namespaced && metadata.get("namespace").is_none_or(Value::is_null) && metadata.as_fields().is_some() {
        return manifest.with("metadata", metadata.with("namespace", Value::string(namespace)));
    }
    manifest.clone()
}

/// The objects of an attribute that was made from [`Objects`].
pub(crate) fn from_value(value: Option<&Value>) -> Objects {
    let fields = value.and_then(Value::as_fields);
    fields.into_iter().flat_map(|f| f.iter()).map(|(k, v)| (k.to_string(), v.clone())).collect()
}

/// As an attribute.
pub(crate) fn to_value(objects: &Objects) -> Value {
    Value::object(objects.iter().map(|(k, v)| (k.as_str(), v.clone())))
}

/// When an object is applied: what others need comes first, webhooks last, since they may refuse
/// what comes after them.
pub(crate) fn rank(reference: &Reference) -> u8 {
    match reference.kind.as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "PriorityClass" | "StorageClass" | "IngressClass" | "GatewayClass" | "RuntimeClass" => 2,
        "ServiceAccount" | "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => 3,
        "ConfigMap" | "Secret" | "LimitRange" | "ResourceQuota" | "PersistentVolume" | "PersistentVolumeClaim" => 4,
        "Service" => 5,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob" => 6,
        "MutatingWebhookConfiguration"
        | "ValidatingWebhookConfiguration"
        | "ValidatingAdmissionPolicy"
        | "ValidatingAdmissionPolicyBinding"
        | "APIService" => 9,
        _ if cluster_wide(&reference.group, &reference.kind).is_some() => 7,
        // Custom resources: after their controllers.
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::Type;
    use mesh_model::json::to_json;

    fn config(text: &str, namespace: &str) -> Value {
        Value::object([("text", Value::string(text)), ("namespace", Value::string(namespace))])
    }

    #[test]
    fn objects_stand_under_their_identity() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: other}\nstringData: {pin: canary}\n";
        let objects = objects(&config(text, "n")).expect("a set");
        assert_eq!(objects.keys().collect::<Vec<_>>(), ["ConfigMap n/a", "Namespace b", "Secret other/c"]);
        assert!(!format!("{objects:?}").contains("canary"));
        assert_eq!(to_json(&objects["ConfigMap n/a"])["metadata"]["namespace"], "n");
    }

    #[test]
    fn custom_resources_get_the_default_namespace_where_they_have_one() {
        let text = "apiVersion: a.b/v1\nkind: Wide\nmetadata: {name: w}\n---\napiVersion: a.b/v1\nkind: Narrow\nmetadata: {name: x}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: g}\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: wides.a.b}\nspec: {group: a.b, scope: Cluster, names: {kind: Wide}}\n";
        let objects = objects(&config(text, "ns")).expect("a set");
        let custom: Vec<_> = objects.keys().filter(|k| !k.starts_with("apiextensions")).collect();
        assert_eq!(custom, ["a.b/Narrow ns/x", "a.b/Wide w", "gateway.networking.k8s.io/GatewayClass g"]);
    }

    #[test]
    fn a_secret_text_keeps_all_its_values() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\ndata: {x: canary}\n";
        let secret = Value::object([("text", Value::string(text).sensitive())]);
        assert!(!format!("{:?}", objects(&secret).expect("a set")).contains("canary"));
    }

    #[test]
    fn what_is_wrong_says_which_document() {
        let twice = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n";
        for (config, expected) in [
            (config(twice, "n"), "document 2: Namespace b is there twice"),
            (config("kind: X", "n"), "document 1: `apiVersion` is missing"),
            (Value::object([("text", Value::NULL)]), "set `text` or `documents`"),
        ] {
            assert!(matches!(objects(&config), Err(NoSet::Wrong(_, reason)) if reason == expected), "{expected}");
        }
        let unknown = Value::object([("text", Value::unknown(Type::String))]);
        assert!(matches!(objects(&unknown), Err(NoSet::Unknown)));
    }

    #[test]
    fn webhooks_come_last_and_namespaces_first() {
        let rank = |api, kind| rank(&Reference::new(api, kind, None, "x"));
        let order = [
            rank("v1", "Namespace"),
            rank("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            rank("rbac.authorization.k8s.io/v1", "ClusterRole"),
            rank("v1", "ConfigMap"),
            rank("v1", "Service"),
            rank("apps/v1", "Deployment"),
            rank("policy/v1", "PodDisruptionBudget"),
            rank("networking.istio.io/v1", "Gateway"),
            rank("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        ];
        assert!(order.windows(2).all(|w| w[0] < w[1]), "{order:?}");
    }
}
