//! Server-side apply, and what has to be known about it.
//!
//! The one decision: a conflict over a field that we own by an earlier apply is a foreign change, and
//! repairing it is what was asked for; a conflict over any other field is an error that names the
//! other manager, unless the configuration says to take it over.

use std::borrow::Cow;

use http::Method;
use mesh_model::Value;
use mesh_sdk::{ErrorKind, ProviderError};
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Answer, Cluster, Payload, encoded};
use crate::error::{Failure, WriteError};
use crate::object::{Reference, text_at};
use crate::project::is_claimed;

/// Managers of tools that leave an object behind when it is adopted.
const LEFT_BEHIND: &[&str] = &[
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-edit",
    "kubectl-label",
    "kubectl-annotate",
    "kubectl-patch",
    "kubectl",
    "before-first-apply",
    "helm",
    "Helm",
    "istio-operator",
    "istioctl",
    "Terraform",
    "HashiCorp",
    "pulumi-kubernetes",
];

/// What is applied, and with what right.
pub(crate) struct Apply<'a> {
    pub(crate) reference: &'a Reference,
    /// The whole body.
    pub(crate) body: Json,
    pub(crate) manager: &'a str,
    /// Take over whatever others own.
    pub(crate) force: bool,
    /// Paths that were ours before.
    pub(crate) claimed: Vec<String>,
    /// Take over what tools that make objects by hand left.
    pub(crate) adopt: bool,
    /// Without doing it.
    pub(crate) dry_run: bool,
    /// For scrubbing errors.
    pub(crate) secrets: Option<&'a Value>,
}

impl Apply<'_> {
    fn what(&self) -> String {
        format!("{} {}", if self.dry_run { "try to apply" } else { "apply" }, self.reference.text())
    }

    /// Applies. Conflicts over fields of ours are repaired.
    pub(crate) async fn run(&self, cluster: &Cluster) -> Result<Answer, ApplyError> {
        let (kind, path) = cluster.locate(self.reference).await.map_err(ApplyError::Refused)?;
        let mut body = Cow::Borrowed(&self.body);
        if !kind.namespaced
            && let Some(metadata) = body.to_mut().get_mut("metadata").and_then(Json::as_object_mut)
        {
            metadata.remove("namespace");
        }
        let result = match self.send(cluster, &path, &body, self.force).await {
            Err(failure) if self.may_take(&failure) => self.send(cluster, &path, &body, true).await,
            other => other,
        };
        if !self.dry_run {
            cluster.wrote(self.reference).await;
        }
        result.map_err(|failure| match self.conflict(&failure) {
            Some(error) => ApplyError::Refused(error),
            None => ApplyError::Failed(failure),
        })
    }

    async fn send(&self, cluster: &Cluster, path: &str, body: &Json, force: bool) -> Result<Answer, Failure> {
        let uri = format!(
            "{path}?fieldManager={}&fieldValidation=Strict&force={force}{}",
            encoded(self.manager),
            if self.dry_run { "&dryRun=All" } else { "" }
        );
        cluster.call(Method::PATCH, &uri, Payload::Apply(body)).await
    }

    /// Whether every field in conflict is ours to take.
    fn may_take(&self, failure: &Failure) -> bool {
        let mut fields = conflicts(failure).peekable();
        failure.code() == 409
            && fields.peek().is_some()
            && fields.all(|(field, manager)| {
                is_claimed(field, &self.claimed) || self.adopt && LEFT_BEHIND.contains(&manager)
            })
    }

    fn conflict(&self, failure: &Failure) -> Option<ProviderError> {
        if failure.code() != 409 {
            return None;
        }
        let fields: Vec<String> = conflicts(failure)
            .map(|(field, manager)| format!("{} (owned by {manager:?})", field.trim_start_matches('.')))
            .collect();
        if fields.is_empty() {
            return None;
        }
        Some(ProviderError::new(
            ErrorKind::Conflict,
            "Another manager owns fields of a Kubernetes object",
            format!(
                "{}: {}. Leave these fields out of the configuration, or set `force_conflicts = true` to take them over.",
                self.reference.text(),
                fields.join(", ")
            ),
        ))
    }

    /// The error of a failed apply.
    pub(crate) fn error(&self, error: ApplyError) -> WriteError {
        match error {
            ApplyError::Refused(error) => error.into(),
            ApplyError::Failed(failure) => WriteError::of(&failure, &self.what(), self.secrets),
        }
    }
}

/// Why an apply did not happen.
pub(crate) enum ApplyError {
    /// Known and said.
    Refused(ProviderError),
    /// What the server said.
    Failed(Failure),
}

/// Field and manager of each conflict.
fn conflicts(failure: &Failure) -> impl Iterator<Item = (&str, &str)> {
    failure
        .causes()
        .filter(|(reason, ..)| *reason == "FieldManagerConflict")
        .map(|(_, field, message)| (field, message.split('"').nth(1).unwrap_or("another manager")))
}

/// Managers of an object other than `ours`, controllers' status left out.
pub(crate) fn other_managers(live: &Json, ours: &str) -> Vec<String> {
    let mut out: Vec<String> = entries(live)
        .filter(|e| e.get("subresource").is_none())
        .filter_map(|e| text_at(e, &["manager"]))
        .filter(|m| *m != ours)
        .map(str::to_owned)
        .collect();
    out.sort();
    out.dedup();
    out
}

/// Whether `manager` has applied fields of an object.
pub(crate) fn has_applied(live: &Json, manager: &str) -> bool {
    entries(live).any(|e| text_at(e, &["manager"]) == Some(manager) && text_at(e, &["operation"]) == Some("Apply"))
}

fn entries(live: &Json) -> impl Iterator<Item = &Json> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

/// Moves the fields that tools left behind to us, so that what the configuration drops really goes.
pub(crate) async fn take_over(
    cluster: &Cluster,
    reference: &Reference,
    live: &Json,
    ours: &str,
) -> Result<(), WriteError> {
    let is_left = |e: &&Json| {
        e.get("subresource").is_none() && text_at(e, &["manager"]).is_some_and(|m| LEFT_BEHIND.contains(&m))
    };
    let is_ours = |e: &&Json| text_at(e, &["manager"]) == Some(ours) && text_at(e, &["operation"]) == Some("Apply");
    let left: Vec<&Json> = entries(live).filter(is_left).collect();
    let Some(first) = left.first() else { return Ok(()) };
    let mut fields = Json::Object(Map::new());
    for entry in entries(live).filter(|e| is_left(e) || is_ours(e)) {
        union(&mut fields, &entry["fieldsV1"]);
    }
    let mut managed: Vec<Json> = entries(live).filter(|e| !is_left(e) && !is_ours(e)).cloned().collect();
    managed.push(json!({
        "manager": ours,
        "operation": "Apply",
        "apiVersion": first["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }));
    let patch = json!([
        { "op": "replace", "path": "/metadata/managedFields", "value": managed },
        { "op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"] },
    ]);
    let (_, path) = cluster.locate(reference).await?;
    let result = cluster.call(Method::PATCH, &path, Payload::JsonPatch(&patch)).await;
    cluster.wrote(reference).await;
    result.map(|_| ()).map_err(|f| WriteError::of(&f, &format!("take over {}", reference.text()), None))
}

fn union(into: &mut Json, from: &Json) {
    if let (Json::Object(into), Json::Object(from)) = (into, from) {
        for (key, value) in from {
            union(into.entry(key.clone()).or_insert_with(|| Json::Object(Map::new())), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_of_an_object() {
        let live = json!({"metadata":{"managedFields":[
            {"manager":"mesh","operation":"Apply"},
            {"manager":"helm","operation":"Update"},
            {"manager":"kcm","operation":"Update","subresource":"status"}
        ]}});
        assert_eq!(other_managers(&live, "mesh"), ["helm"]);
        assert!(has_applied(&live, "mesh") && !has_applied(&live, "helm"));
    }

    #[test]
    fn field_sets_are_joined() {
        let mut a = json!({"f:data":{"f:a":{}}});
        union(&mut a, &json!({"f:data":{"f:b":{}},"f:type":{}}));
        assert_eq!(a, json!({"f:data":{"f:a":{},"f:b":{}},"f:type":{}}));
    }
}
