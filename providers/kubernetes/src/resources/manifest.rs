//! `kubernetes_manifest`: one object of any kind.

use mesh_model::json::from_json;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    Foreign, IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse,
    PreviewRequest, PreviewResponse, Problem, ProviderError, Resource, Rules, async_trait,
};

use crate::apply::other_managers;
use crate::cluster::Cluster;
use crate::decide;
use crate::error::invalid;
use crate::istio::yielded;
use crate::lifecycle::{Write, delete};
use crate::object::{Reference, cleaned, cluster_wide, text_at, version};
use crate::place::Place;
use crate::preview::{Trial, Tried, attempt};
use crate::project::project;
use crate::secret::{body, mark_manifest, with_string_data};
use crate::waiting::{self, check_timeout, until_met};

/// What changes how we work, not the object.
const SETTINGS: &[&str] = &["field_manager", "force_conflicts", "wait"];

/// The type.
pub(crate) struct Manifest;

impl Rules for Manifest {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(manifest) = config.get("manifest") {
            problems.extend(check(manifest).map(|reason| Problem::at("manifest", reason)));
        }
        if let Some(wait) = config.get("wait") {
            problems.extend(check_timeout(wait));
            for pattern in wait.get("fields").and_then(Value::as_fields).into_iter().flat_map(|f| f.values()) {
                if let Some(Err(e)) = pattern.as_str().map(regex::Regex::new) {
                    problems
                        .push(Problem::at("wait", format!("a pattern of `fields` is not a regular expression: {e}")));
                }
            }
        }
        problems
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        match planned.get("manifest").and_then(Reference::of) {
            Some(reference) => IdentityHint::known(reference.text()),
            None => IdentityHint::Unknown,
        }
    }

    /// Terraform's type keeps the whole object beside the manifest, and the field manager in a block.
    fn foreign(&self, attributes: Value) -> Result<Foreign, String> {
        let manager = attributes.get("field_manager").and_then(Value::as_items).and_then(|i| i.first()).cloned();
        let of = |name: &str| manager.as_ref().and_then(|m| m.get(name)).cloned().unwrap_or(Value::NULL);
        let (name, force) = (of("name"), of("force_conflicts"));
        let values = attributes.with("field_manager", name).with("force_conflicts", force);
        // What is waited for, and what the server may change, is said by the configuration.
        let others = ["object", "computed_fields", "wait", "wait_for"];
        Ok(Foreign::of(others.iter().fold(values, |values, name| values.with(name, Value::NULL))))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let manifest = request.desired.get("manifest").cloned().unwrap_or(Value::NULL);
        decide::object(request, "manifest", &Place::of(&manifest), SETTINGS)
    }

    fn mark(&self, values: Value) -> Value {
        ["manifest", "live"].into_iter().fold(values, |values, name| match values.get(name).map(mark_manifest) {
            Some(marked) => values.with(name, marked),
            None => values,
        })
    }
}

/// What is wrong with a manifest that can be seen without a server.
pub(crate) fn check(manifest: &Value) -> Option<String> {
    if manifest.is_unknown() {
        return None;
    }
    if manifest.as_fields().is_none() {
        return Some("a manifest is an object with apiVersion, kind and metadata".into());
    }
    for name in ["apiVersion", "kind"] {
        match manifest.get(name) {
            Some(v) if v.is_unknown() => return None,
            Some(v) if v.as_str().is_some_and(|t| !t.is_empty()) => {}
            _ => return Some(format!("`{name}` is missing")),
        }
    }
    let Some(metadata) = manifest.get("metadata") else { return Some("`metadata` is missing".into()) };
    if metadata.get("generateName").is_some() {
        return Some("`metadata.generateName` gives an object that cannot be found again; set `metadata.name`".into());
    }
    let unknown = |name: &str| metadata.is_unknown() || metadata.get(name).is_some_and(Value::is_unknown);
    if !unknown("name") && metadata.get_str("name").is_none_or(str::is_empty) {
        return Some("`metadata.name` is missing".into());
    }
    let reference = Reference::of(manifest)?;
    if cluster_wide(&reference.group, &reference.kind) == Some(false) && reference.namespace.is_none() {
        return Some(format!(
            "`metadata.namespace` is missing: {} is a namespaced kind, and there is no default",
            reference.kind
        ));
    }
    (reference.kind == "List").then(|| "a List is not an object; use `kubernetes_manifests`".into())
}

pub(crate) fn manager<'a>(cluster: &'a Cluster, values: &'a Value) -> &'a str {
    values.get_str("field_manager").filter(|m| !m.is_empty()).unwrap_or(&cluster.manager)
}

pub(crate) fn forced(values: &Value) -> bool {
    values.get("force_conflicts").and_then(Value::as_bool) == Some(true)
}

/// The planned values, with what the server gave.
fn finished(planned: &Value, uid: &str) -> Value {
    planned.with("uid", Value::string(uid)).with("live", Value::NULL)
}

#[async_trait]
impl Resource<Cluster> for Manifest {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "kubernetes_manifest",
            version: 0,
            doc: "One object of any kind, by server-side apply. Only the fields in `manifest` are compared, owned and repaired; what others set beside them is left alone. A field that is `null` is not set. The values of a Secret are sensitive.",
            example: r#"resource "kubernetes_manifest" "tls" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "vault-tls-cert", namespace = "istio-system" }
    data       = { "cert" = "..." }
  }
}"#,
            schema: Schema::of([
                Attribute::required("manifest", Type::Dynamic, "The object: apiVersion, kind, metadata and the rest."),
                Attribute::optional("field_manager", Type::String, "Name under which the fields are owned. Default: the provider's."),
                Attribute::optional("force_conflicts", Type::Bool, "Take over fields that another manager owns. Default false: that is an error that names it. Fields that were ours before are always repaired.")
                    .default(Value::bool(false)),
                Attribute::computed("uid", Type::String, "The uid that the server gave."),
                Attribute::computed("live", Type::Dynamic, "What is there at the fields of a change, while it is planned. Null otherwise."),
            ])
            .block(waiting::block()),
            protected: false,
        }
    }

    async fn observe(&self, cluster: &Cluster, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        requests.iter().filter_map(|r| r.desired.as_ref()?.get("manifest")).for_each(|m| cluster.announce(m));
        let references: Vec<Option<Reference>> = requests.iter().map(reference_of).collect();
        let known: Vec<Reference> = references.iter().flatten().cloned().collect();
        let mut found = cluster.find(&known).await.into_iter();
        requests
            .iter()
            .zip(references)
            .map(|(request, reference)| {
                let Some(reference) = reference else {
                    return Err(invalid("Neither the identity nor the manifest says which object is meant."));
                };
                let Some(live) = found.next().transpose()?.flatten() else { return Ok(Observation::Absent) };
                Ok(Observation::Present(self.observed(cluster, request, &reference, &live)))
            })
            .collect()
    }

    async fn preview(&self, cluster: &Cluster, request: &PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        let wanted = request.planned.get("manifest").cloned().unwrap_or(Value::NULL);
        cluster.announce(&wanted);
        let Some(reference) = Reference::of(&wanted) else {
            return Ok(PreviewResponse::Skipped("parts of it are not known yet"));
        };
        let tried = attempt(
            cluster,
            &Trial {
                reference: &reference,
                wanted: &wanted,
                attribute: "manifest",
                // Another object is tried as a new one.
                observed: request
                    .observed
                    .as_ref()
                    .and_then(|o| o.get("manifest"))
                    .filter(|o| Reference::of(o).is_none_or(|there| there.text() == reference.text())),
                body: &|live| body(&yielded(&wanted, live)),
                manager: manager(cluster, &request.planned),
                force: forced(&request.planned),
            },
        )
        .await?;
        Ok(match tried {
            Tried::Values { live, dry } => {
                PreviewResponse::Values(request.planned.with("manifest", dry).with("live", live))
            }
            Tried::Skipped(why) => PreviewResponse::Skipped(why),
            Tried::Later(why) => PreviewResponse::Later(why),
            Tried::MustReplace(paths) => PreviewResponse::MustReplace(paths),
        })
    }

    async fn create(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        self.write(cluster, request, true).await
    }

    async fn update(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        self.write(cluster, request, false).await
    }

    async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let before = request.before.as_ref();
        let by_identity = || request.identity.as_ref().and_then(|i| Reference::parse(&i.0));
        let Some(reference) = before.and_then(|b| b.get("manifest")).and_then(Reference::of).or_else(by_identity)
        else {
            return Outcome::rejected(invalid("Nothing says which object is to be deleted."));
        };
        let uid = before.and_then(|b| b.get_str("uid"));
        let timeout = waiting::timeout(before.and_then(|b| b.get("wait")).unwrap_or(&Value::NULL));
        match delete(cluster, &reference, uid, timeout).await {
            Ok(()) => Outcome::deleted(),
            Err(error) => error.outcome(),
        }
    }
}

/// Which object a look is about.
fn reference_of(request: &ObserveRequest) -> Option<Reference> {
    let by_identity = request.identity.as_ref().and_then(|i| Reference::parse(&i.0));
    // The values know the version, but the identity is what state remembers.
    [&request.saved, &request.desired]
        .into_iter()
        .flatten()
        .filter_map(|v| v.get("manifest").and_then(Reference::of))
        .find(|r| by_identity.as_ref().is_none_or(|i| i.text() == r.text()))
        .or(by_identity)
}

impl Manifest {
    fn observed(
        &self,
        cluster: &Cluster,
        request: &ObserveRequest,
        reference: &Reference,
        live: &serde_json::Value,
    ) -> Observed {
        let start = request.saved.as_ref().or(request.desired.as_ref());
        let base = start.and_then(|s| s.get("manifest")).filter(|m| m.as_fields().is_some());
        let manifest = match base {
            Some(base) if reference.is_secret() => {
                project(&[base], &with_string_data(live.clone(), &[base]), &Place::of(base))
            }
            Some(base) => project(&[base], live, &Place::of(base)),
            None => from_json(&cleaned(live.clone())),
        };
        let empty =
            Value::object(["manifest", "field_manager", "force_conflicts", "wait"].map(|name| (name, Value::NULL)));
        let uid = text_at(live, &["metadata", "uid"]).unwrap_or("");
        let values = finished(start.unwrap_or(&empty), uid).with("manifest", manifest);
        let others = other_managers(live, manager(cluster, &values));
        let notes = if request.saved.is_none() && !others.is_empty() {
            vec![format!("fields of it are managed by {}", others.join(", "))]
        } else {
            Vec::new()
        };
        Observed { notes, version: version(live), ..Observed::new(values, Identity(reference.text().into())) }
    }

    async fn write(&self, cluster: &Cluster, request: &OperationRequest, is_create: bool) -> Outcome {
        let Some(planned) = &request.after else {
            return Outcome::rejected(invalid("BUG: there are no planned values."));
        };
        let manifest = planned.get("manifest").cloned().unwrap_or(Value::NULL);
        let Some(reference) = Reference::of(&manifest) else {
            return Outcome::rejected(invalid(check(&manifest).unwrap_or_else(|| "The manifest has no name.".into())));
        };
        let before = request.before.as_ref().and_then(|b| b.get("manifest"));
        let write = Write {
            reference: &reference,
            manifest: &manifest,
            before,
            manager: manager(cluster, planned),
            force: forced(planned),
        };
        let uid = request.before.as_ref().and_then(|b| b.get_str("uid"));
        let result =
            if is_create { write.create(cluster, request.on_existing).await } else { write.update(cluster, uid).await };
        let applied = match result {
            Ok(applied) => applied,
            Err(error) => return error.outcome(),
        };
        let values = finished(planned, applied.uid());
        let identity = Identity(reference.text().into());
        if let Some(wait) = planned.get("wait").filter(|w| !w.is_null())
            && let Err(error) = until_met(cluster, &reference, wait).await
        {
            let left = Observed::new(values, identity);
            return Outcome::Rejected { error, left: Some(left) };
        }
        Outcome::Applied { values, identity: Some(identity), private: None, warnings: applied.warnings }
    }
}
