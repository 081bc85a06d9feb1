//! `kubernetes_rollout_restart`: restarting workloads as a resource.
//!
//! The one decision: it owns an event, not a field. The annotation that it writes is never compared,
//! so anybody may restart; what may drift is only the outcome that the configuration names in
//! `expect_label`: every pod of the workloads carries these labels.

use std::collections::BTreeSet;

use http::Method;
use jiff::Timestamp;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, async_trait, schema_plan,
};
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, Payload, encoded};
use crate::decide::settled;
use crate::error::{WriteError, invalid, missing};
use crate::object::{Reference, text_at};
use crate::waiting::{check_timeout, pods_of, timeout, until_ready};

const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];
const MANAGER: &str = "mesh-restart";

/// The type.
pub(crate) struct RolloutRestart;

impl Rules for RolloutRestart {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems: Vec<Problem> = check_timeout(config).into_iter().collect();
        for kind in strings(config, "kinds").iter().filter(|k| !KINDS.contains(&k.as_str())) {
            problems.push(Problem::at(
                "kinds",
                format!("{kind:?} cannot be restarted; use Deployment, StatefulSet or DaemonSet"),
            ));
        }
        problems
    }

    fn identity(&self, _: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let observed = request.observed.map(|o| settled(o, request.desired, &["timeout", "wait"]));
        schema_plan(&PlanRequest { observed: observed.as_ref(), ..*request })
    }
}

fn strings(values: &Value, name: &str) -> Vec<String> {
    let items = values.get(name).and_then(Value::as_items);
    items.into_iter().flat_map(|i| i.iter()).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A map of labels as a query.
pub(crate) fn label_query(labels: Option<&Value>) -> String {
    let fields = labels.and_then(Value::as_fields);
    let parts = fields.into_iter().flat_map(|f| f.iter()).map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or("")));
    parts.collect::<Vec<_>>().join(",")
}

/// The workloads that are meant, in the order of their kinds.
async fn workloads(cluster: &Cluster, values: &Value) -> Result<Vec<Json>, ProviderError> {
    let namespace = values.get_str("namespace").unwrap_or("default");
    let names = strings(values, "names");
    let query = label_query(values.get("selector"));
    let mut out = Vec::new();
    for kind in strings(values, "kinds") {
        let info = cluster.kind(&Reference::new("apps/v1", &kind, Some(namespace), "")).await?;
        let all = cluster
            .list(&info, Some(namespace), &query, "")
            .await
            .map_err(|f| f.error(&format!("list {kind} objects of {namespace}"), None))?;
        out.extend(all.into_iter().filter(|w| {
            names.is_empty() || text_at(w, &["metadata", "name"]).is_some_and(|n| names.iter().any(|x| x == n))
        }));
    }
    if let Some(name) = names.iter().find(|n| !out.iter().any(|w| text_at(w, &["metadata", "name"]) == Some(n))) {
        return Err(missing(format!(
            "There is no workload {namespace}/{name} of the kinds {}.",
            strings(values, "kinds").join(", ")
        ))
        .at("names"));
    }
    Ok(out)
}

fn reference(workload: &Json) -> Reference {
    Reference::new(
        "apps/v1",
        text_at(workload, &["kind"]).unwrap_or(""),
        text_at(workload, &["metadata", "namespace"]),
        text_at(workload, &["metadata", "name"]).unwrap_or(""),
    )
}

/// For each expected label the values that the pods have: the expected one when all agree.
async fn labels_of_pods(cluster: &Cluster, values: &Value, expected: &Value) -> Result<Value, ProviderError> {
    let namespace = values.get_str("namespace").unwrap_or("default");
    let mut seen: Vec<(std::sync::Arc<str>, BTreeSet<String>)> = Vec::new();
    for (key, _) in expected.as_fields().into_iter().flat_map(|f| f.iter()) {
        seen.push((key.clone(), BTreeSet::new()));
    }
    for workload in workloads(cluster, values).await? {
        for pod in pods_of(cluster, namespace, &workload).await {
            if text_at(&pod, &["metadata", "deletionTimestamp"]).is_some() {
                continue;
            }
            for (key, found) in &mut seen {
                found.insert(text_at(&pod["metadata"]["labels"], &[key]).unwrap_or("(none)").to_owned());
            }
        }
    }
    let entries = seen.into_iter().map(|(key, found)| {
        let wanted = expected.get(&key).cloned().unwrap_or(Value::NULL);
        let text = found.into_iter().collect::<Vec<_>>().join(", ");
        // No pod at all is no wrong pod.
        let same = text.is_empty() || wanted.as_str() == Some(&text);
        (key, if same { wanted } else { Value::string(text) })
    });
    Ok(Value::map(Type::String, entries.collect()))
}

#[async_trait]
impl Resource<Cluster> for RolloutRestart {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_rollout_restart",
            version: 0,
            doc: "Restarts workloads of a namespace when it is created and whenever `triggers` change, and waits until they are rolled out. Paused Deployments are left alone. Restarts by others are no drift.",
            example: r#"resource "kubernetes_rollout_restart" "shop" {
  namespace    = "shop"
  triggers     = { revision = "asm-198-6" }
  expect_label = { "istio.io/rev" = "asm-198-6" }
}"#,
            schema: Schema::of([
                Attribute::required("namespace", text.clone(), "Namespace of the workloads.").force_new(),
                Attribute::optional(
                    "kinds",
                    Type::list(text.clone()),
                    "Kinds to restart. Default Deployment, StatefulSet and DaemonSet.",
                )
                .default(Value::strings(KINDS)),
                Attribute::optional("names", Type::list(text.clone()), "Names of the workloads. Default: all."),
                Attribute::optional("selector", Type::map(text.clone()), "Labels that the workloads must have."),
                Attribute::optional(
                    "triggers",
                    Type::map(text.clone()),
                    "Values whose change restarts again: revision, proxy image.",
                ),
                Attribute::optional(
                    "expect_label",
                    Type::map(text.clone()),
                    "Labels that every pod of the workloads must carry afterwards; pods without them are drift.",
                ),
                Attribute::optional("wait", Type::Bool, "Wait until the workloads are rolled out. Default true.")
                    .default(Value::bool(true)),
                Attribute::optional("timeout", text.clone(), "How long to wait for each workload. Default `10m`."),
                Attribute::computed("restarted_at", text.clone(), "When it restarted last (RFC 3339).").volatile(),
                Attribute::computed("workloads", Type::list(text), "What it restarted.").volatile(),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, cluster: &Cluster, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let mut out = Vec::with_capacity(requests.len());
        for request in requests {
            out.push(observe(cluster, request).await);
        }
        out
    }

    async fn create(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        restart(cluster, request).await
    }

    async fn update(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        restart(cluster, request).await
    }

    async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        // What was restarted stays so; there is nothing to take back.
        if let Some(identity) = &request.identity {
            cluster.end(&identity.0);
        }
        Outcome::deleted()
    }
}

async fn observe(cluster: &Cluster, request: &ObserveRequest) -> Result<Observation, ProviderError> {
    let (Some(saved), Some(identity)) = (&request.saved, &request.identity) else { return Ok(Observation::Absent) };
    if cluster.is_ended(&identity.0) {
        return Ok(Observation::Absent);
    }
    let mut values = saved.clone();
    if let Some(expected) = saved.get("expect_label").filter(|e| e.as_fields().is_some_and(|f| !f.is_empty())) {
        match labels_of_pods(cluster, saved, expected).await {
            Ok(seen) => values = values.with("expect_label", seen),
            // Without the workloads nothing carries a wrong label.
            Err(e) if e.kind == mesh_sdk::ErrorKind::Missing => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Observation::Present(Observed::new(values, identity.clone())))
}

async fn restart(cluster: &Cluster, request: &OperationRequest) -> Outcome {
    let Some(planned) = &request.after else { return Outcome::deleted() };
    let found = match workloads(cluster, planned).await {
        Ok(found) => found,
        Err(error) => return Outcome::rejected(error),
    };
    let now = Timestamp::now().to_string();
    let mut warnings = Vec::new();
    let mut restarted = Vec::new();
    for workload in found {
        let reference = reference(&workload);
        if workload["spec"]["paused"] == true {
            warnings.push(format!("{} is paused and was not restarted", reference.text()));
            continue;
        }
        if let Err(error) = touch(cluster, &reference, &now).await {
            return error.outcome();
        }
        restarted.push(reference);
    }
    let names = Value::strings(restarted.iter().map(Reference::text));
    let values = planned.with("restarted_at", Value::string(now.as_str())).with("workloads", names);
    let identity =
        Identity(format!("restart of {} at {now}", planned.get_str("namespace").unwrap_or("default")).into());
    let outcome = async {
        if planned.get("wait").and_then(Value::as_bool) != Some(false) {
            for reference in &restarted {
                until_ready(cluster, reference, timeout(planned)).await?;
            }
        }
        let Some(expected) = planned.get("expect_label").filter(|e| !e.is_null()) else { return Ok(()) };
        let seen = labels_of_pods(cluster, planned, expected).await?;
        if seen.same(expected) {
            return Ok(());
        }
        Err(invalid(format!(
            "The pods were restarted and do not all carry the labels of `expect_label`: they have {}. Is the injection webhook of that revision running, and the namespace labelled for it?",
            mesh_model::render::inline(&seen)
        ))
        .at("expect_label"))
    };
    match outcome.await {
        Ok(()) => Outcome::Applied { values, identity: Some(identity), private: None, warnings },
        Err(error) => Outcome::Rejected { error, left: Some(Observed::new(values, identity)) },
    }
}

async fn touch(cluster: &Cluster, reference: &Reference, now: &str) -> Result<(), WriteError> {
    let (_, path) = cluster.locate(reference).await?;
    let patch = json!({"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt": now}}}}});
    let uri = format!("{path}?fieldManager={}", encoded(MANAGER));
    let result = cluster.call(Method::PATCH, &uri, Payload::StrategicMerge(&patch)).await;
    cluster.wrote(reference).await;
    result.map(|_| ()).map_err(|f| WriteError::of(&f, &format!("restart {}", reference.text()), None))
}
