//! Which object is meant: group, version, kind, namespace, name.
//!
//! The identity of an object leaves the version out, since every served version shows the same
//! object. What is namespaced is known here for the built-in kinds only (rules are pure); for all
//! others discovery answers later.

use mesh_model::Value;
use serde_json::{Map, Value as Json};

/// Groups whose kinds are part of Kubernetes itself.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Built-in kinds without a namespace.
const CLUSTER_WIDE: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Whether a kind has no namespace; `None` for kinds that are not part of Kubernetes.
pub(crate) fn cluster_wide(group: &str, kind: &str) -> Option<bool> {
    BUILT_IN.contains(&group).then(|| CLUSTER_WIDE.contains(&kind))
}

/// Group and version of an `apiVersion`.
pub(crate) fn split_api_version(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or(("", text))
}

/// One object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Reference {
    pub(crate) group: String,
    /// `None` when only the identity is known: the preferred version is as good as any.
    pub(crate) version: Option<String>,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Reference {
    pub(crate) fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let (group, version) = split_api_version(api_version);
        let namespace = namespace.filter(|n| !n.is_empty() && cluster_wide(group, kind) != Some(true));
        Self {
            group: group.into(),
            version: Some(version.into()),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        }
    }

    /// Of a manifest; `None` where a part is missing or not known yet.
    pub(crate) fn of(manifest: &Value) -> Option<Self> {
        let metadata = manifest.get("metadata")?;
        let namespace = match metadata.get("namespace") {
            Some(n) if n.is_unknown() => return None,
            Some(n) => n.as_str(),
            None => None,
        };
        Some(Self::new(
            manifest.get_str("apiVersion")?,
            manifest.get_str("kind")?,
            namespace,
            metadata.get_str("name")?,
        ))
    }

    /// From attributes `api_version`, `kind`, `namespace` and `name`; `None` where one is not known yet.
    pub(crate) fn from_attributes(values: &Value) -> Option<Self> {
        if values.get("namespace").is_some_and(Value::is_unknown) {
            return None;
        }
        Some(Self::new(
            values.get_str("api_version")?,
            values.get_str("kind")?,
            values.get_str("namespace"),
            values.get_str("name")?,
        ))
    }

    /// From what [`Reference::text`] gave.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, object) = text.split_once(' ')?;
        let (group, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
        let (namespace, name) = match object.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, object),
        };
        Some(Self {
            group: group.into(),
            version: None,
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        })
    }

    pub(crate) fn api_version(&self) -> String {
        let version = self.version.as_deref().unwrap_or("v1");
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// `apps/Deployment istio-system/istiod`, `ConfigMap a/b`, `Namespace c`: the identity.
    pub(crate) fn text(&self) -> String {
        let slash = if self.group.is_empty() { "" } else { "/" };
        match &self.namespace {
            Some(namespace) => format!("{}{slash}{} {namespace}/{}", self.group, self.kind, self.name),
            None => format!("{}{slash}{} {}", self.group, self.kind, self.name),
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }

    /// A manifest with nothing but what says which object it is.
    pub(crate) fn skeleton(&self) -> Json {
        let mut metadata = Map::new();
        metadata.insert("name".into(), self.name.clone().into());
        if let Some(namespace) = &self.namespace {
            metadata.insert("namespace".into(), namespace.clone().into());
        }
        serde_json::json!({ "apiVersion": self.api_version(), "kind": self.kind, "metadata": metadata })
    }
}

/// The object as it is, without what the server keeps for itself.
pub(crate) fn cleaned(mut live: Json) -> Json {
    if let Some(fields) = live.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = live.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|key, _| !SERVERS.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    live
}

/// Metadata that the server alone writes.
pub(crate) const SERVERS: [&str; 6] =
    ["managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"];

/// Where client-side apply keeps a copy of the object, secrets included.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Text at a path of object keys.
pub(crate) fn text_at<'j>(json: &'j Json, path: &[&str]) -> Option<&'j str> {
    path.iter().try_fold(json, |j, key| j.get(key)).and_then(Json::as_str)
}

/// What the API server counts changes of an object with.
pub(crate) fn version(live: &Json) -> Option<std::sync::Arc<str>> {
    text_at(live, &["metadata", "resourceVersion"]).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_leave_the_version_out_and_can_be_read_back() {
        for (api, kind, namespace, text) in [
            ("apps/v1", "Deployment", Some("a"), "apps/Deployment a/x"),
            ("v1", "ConfigMap", Some("a"), "ConfigMap a/x"),
            ("v1", "Namespace", None, "Namespace x"),
            // The namespace of a kind that has none means nothing.
            ("rbac.authorization.k8s.io/v1", "ClusterRole", Some("a"), "rbac.authorization.k8s.io/ClusterRole x"),
        ] {
            let reference = Reference::new(api, kind, namespace, "x");
            assert_eq!(reference.text(), text);
            let back = Reference::parse(text).expect("an identity can be read back");
            assert_eq!(back.text(), text);
        }
    }
}
