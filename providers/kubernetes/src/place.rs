//! Where in an object we are, and what a list there is.
//!
//! Lists of built-in kinds merge by the keys of their API definition; lists of custom resources
//! count as one value, since their definition is not at hand: a wrong guess costs a dry run, never a
//! wrong answer, because the dry run decides.

use crate::object::{cluster_wide, split_api_version};
use mesh_model::Value;
use serde_json::Value as Json;

/// A place in an object of a kind.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    built_in: bool,
    kind: &'a str,
    key: &'a str,
    up: Option<&'a Self>,
}

/// What a list is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListKind {
    /// One value: order and length matter.
    Atomic,
    /// Elements are found by these fields; others may have elements of their own in it.
    Keyed(&'static [&'static str]),
    /// Scalars, each for itself.
    Set,
}

impl<'a> Place<'a> {
    /// The object itself.
    pub(crate) fn root(api_version: &'a str, kind: &'a str) -> Self {
        let (group, _) = split_api_version(api_version);
        Self { built_in: cluster_wide(group, kind).is_some(), kind, key: "", up: None }
    }

    /// Of a manifest.
    pub(crate) fn of(manifest: &'a Value) -> Self {
        Self::root(manifest.get_str("apiVersion").unwrap_or("?/?"), manifest.get_str("kind").unwrap_or(""))
    }

    /// A field of it.
    pub(crate) fn down<'b>(&'b self, key: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        Place { built_in: self.built_in, kind: self.kind, key, up: Some(self) }
    }

    /// The name of the field.
    pub(crate) fn key(&self) -> &'a str {
        self.key
    }

    /// The name of the field around it.
    pub(crate) fn parent(&self) -> &'a str {
        self.up.map_or("", |up| up.key)
    }

    /// Whether a field here is the server's, whatever a configuration says.
    pub(crate) fn is_servers(&self, key: &str) -> bool {
        self.up.is_none() && key == "status"
    }

    /// Whether a scalar here is base64.
    pub(crate) fn is_base64(&self) -> bool {
        self.kind == "Secret" && self.parent() == "data"
    }

    /// What a list here is.
    pub(crate) fn list(&self) -> ListKind {
        if self.parent() == "metadata" {
            match self.key {
                "finalizers" => return ListKind::Set,
                "ownerReferences" => return ListKind::Keyed(&["uid"]),
                _ => {}
            }
        }
        if !self.built_in {
            return ListKind::Atomic;
        }
        match self.key {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "imagePullSecrets"
            | "webhooks"
            | "env"
            | "matchConditions"
            | "resourceClaims" => ListKind::Keyed(&["name"]),
            "secrets" if self.kind == "ServiceAccount" => ListKind::Keyed(&["name"]),
            "ports" if self.kind == "Service" && self.parent() == "spec" => ListKind::Keyed(&["port", "protocol"]),
            "ports" if matches!(self.parent(), "containers" | "initContainers" | "ephemeralContainers") => {
                ListKind::Keyed(&["containerPort", "protocol"])
            }
            "volumeMounts" => ListKind::Keyed(&["mountPath"]),
            "volumeDevices" => ListKind::Keyed(&["devicePath"]),
            "hostAliases" => ListKind::Keyed(&["ip"]),
            "topologySpreadConstraints" => ListKind::Keyed(&["topologyKey", "whenUnsatisfiable"]),
            _ => ListKind::Atomic,
        }
    }
}

/// What a key field is when it is not given.
fn key_default(field: &str) -> &'static str {
    if field == "protocol" { "TCP" } else { "" }
}

/// The key of a list element in a configuration.
pub(crate) fn key_of(element: &Value, fields: &[&str]) -> Vec<String> {
    fields
        .iter()
        .map(|f| match element.get(f).filter(|v| !v.is_null()) {
            Some(v) => {
                v.as_str().map_or_else(|| v.as_number().map_or_else(String::new, ToString::to_string), str::to_owned)
            }
            None => key_default(f).to_owned(),
        })
        .collect()
}

/// The key of a live list element.
pub(crate) fn key_of_json(element: &Json, fields: &[&str]) -> Vec<String> {
    fields
        .iter()
        .map(|f| match element.get(f) {
            Some(Json::String(s)) => s.clone(),
            Some(Json::Null) | None => key_default(f).to_owned(),
            Some(other) => other.to_string(),
        })
        .collect()
}

/// Fields that mean the same when they are empty and when they are not there.
pub(crate) fn harmless_when_empty(key: &str) -> bool {
    matches!(
        key,
        "annotations"
            | "labels"
            | "resources"
            | "securityContext"
            | "nodeSelector"
            | "tolerations"
            | "imagePullSecrets"
            | "affinity"
            | "env"
            | "args"
            | "limits"
            | "requests"
            | "data"
            | "binaryData"
            | "stringData"
            | "volumes"
            | "volumeMounts"
            | "topologySpreadConstraints"
            | "ownerReferences"
            | "finalizers"
            | "status"
    )
}

/// Truth values that the server leaves out when they are false.
pub(crate) fn false_when_absent(key: &str) -> bool {
    matches!(key, "hostNetwork" | "hostPID" | "hostIPC" | "readOnly" | "paused" | "stdin" | "stdinOnce" | "tty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_merge_by_the_keys_of_their_definition() {
        let root = Place::root("apps/v1", "Deployment");
        let spec = root.down("spec");
        let containers = spec.down("containers");
        assert_eq!(containers.list(), ListKind::Keyed(&["name"]));
        assert_eq!(containers.down("ports").list(), ListKind::Keyed(&["containerPort", "protocol"]));
        assert_eq!(containers.down("args").list(), ListKind::Atomic);
        let custom = Place::root("networking.istio.io/v1", "ServiceEntry");
        assert_eq!(custom.down("spec").down("ports").list(), ListKind::Atomic);
        assert_eq!(
            Place::root("v1", "Service").down("spec").down("ports").list(),
            ListKind::Keyed(&["port", "protocol"])
        );
    }
}
