//! Fields that cannot change in place.
//!
//! What the API documents as immutable is a table; the rest is learnt from the dry run, and only
//! from the words "field is immutable": any other refusal means that the object is wrong, and
//! deleting a live object for that would lose it.

use mesh_model::{Path, Step, Value};

use crate::error::Failure;
use crate::object::split_api_version;
use crate::place::Place;
use crate::project::same;

/// Paths that a kind does not let change.
fn table(group: &str, kind: &str) -> &'static [&'static [&'static str]] {
    match (group, kind) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => &[&["spec", "selector"]],
        ("apps", "StatefulSet") => &[
            &["spec", "selector"],
            &["spec", "podManagementPolicy"],
            &["spec", "serviceName"],
            &["spec", "volumeClaimTemplates"],
        ],
        ("batch", "Job") => &[&["spec", "selector"], &["spec", "template"], &["spec", "completionMode"]],
        ("", "PersistentVolumeClaim") => &[
            &["spec", "accessModes"],
            &["spec", "selector"],
            &["spec", "storageClassName"],
            &["spec", "volumeName"],
            &["spec", "volumeMode"],
        ],
        ("", "Secret") => &[&["type"]],
        ("", "Service") => &[&["spec", "clusterIP"]],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &[&["roleRef"]],
        ("storage.k8s.io", "StorageClass") => {
            &[&["parameters"], &["provisioner"], &["reclaimPolicy"], &["volumeBindingMode"]]
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => &[&["spec", "scope"], &["spec", "names", "kind"]],
        _ => &[],
    }
}

/// Paths of the table at which what is wanted and what is there differ, below `attribute`.
pub(crate) fn changed(wanted: &Value, seen: &Value, attribute: &str) -> Vec<Path> {
    let (group, _) = split_api_version(wanted.get_str("apiVersion").unwrap_or("?/?"));
    let kind = wanted.get_str("kind").unwrap_or("");
    let differs = |path: &&&[&str]| {
        let find = |v: &Value| path.iter().try_fold(v.clone(), |v, k| v.get(k).cloned()).filter(|v| !v.is_null());
        let (Some(a), Some(b)) = (find(wanted), find(seen)) else { return false };
        // The place only matters for the lists below it, and none of these has merging ones.
        let last = path.last().copied().unwrap_or("");
        !same(&a, &b, &Place::of(wanted).down(last))
    };
    table(group, kind).iter().filter(differs).map(|path| below(attribute, path.iter().copied())).collect()
}

/// The fields that a refusal calls immutable; `None` when it says anything else as well.
pub(crate) fn refused(failure: &Failure, attribute: &str) -> Option<Vec<Path>> {
    if failure.code() != 422 {
        return None;
    }
    let mut paths = Vec::new();
    for (_, field, message) in failure.causes() {
        if !message.contains("field is immutable") {
            return None;
        }
        let keys = field.split('.').filter(|k| !k.is_empty());
        paths.push(below(attribute, keys));
    }
    (!paths.is_empty()).then_some(paths)
}

fn below<'k>(attribute: &str, keys: impl Iterator<Item = &'k str>) -> Path {
    keys.fold(Path::attribute(attribute), |path, key| path.join(Step::Key(key.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use mesh_model::json::from_json;
    use serde_json::json;

    #[test]
    fn the_table_sees_changes_of_immutable_fields_only() {
        let binding = |role: &str, user: &str| {
            from_json(
                &json!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","roleRef":{"kind":"Role","name":role},"subjects":[{"name":user}]}),
            )
        };
        assert!(changed(&binding("a", "x"), &binding("a", "y"), "manifest").is_empty());
        let paths = changed(&binding("a", "x"), &binding("b", "x"), "manifest");
        assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["manifest.roleRef"]);
        // What only one side says is for the dry run to judge.
        let service = |spec| from_json(&json!({"apiVersion":"v1","kind":"Service","spec":spec}));
        assert!(changed(&service(json!({"clusterIP":"None"})), &service(json!({})), "manifest").is_empty());
    }

    #[test]
    fn an_invalid_object_is_no_reason_to_replace() {
        let failure = |messages: &[&str]| {
            let causes: Vec<_> = messages
                .iter()
                .map(|m| json!({"reason":"FieldValueInvalid","field":"spec.selector","message":m}))
                .collect();
            let mut status: Status = serde_json::from_value(
                json!({"status":"Failure","code":422,"reason":"Invalid","details":{"causes":causes}}),
            )
            .expect("a status");
            status.code = 422;
            Failure::Api(status.boxed())
        };
        assert!(refused(&failure(&["Invalid value: 1: field is immutable"]), "manifest").is_some());
        assert_eq!(refused(&failure(&["Invalid value: 1: field is immutable", "Required value"]), "manifest"), None);
        assert_eq!(refused(&failure(&["Required value"]), "manifest"), None);
        assert_eq!(refused(&failure(&[]), "manifest"), None);
    }
}
