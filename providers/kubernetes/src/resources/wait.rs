//! `kubernetes_wait`: waiting for the cluster as a resource.
//!
//! Alternatives of checks: the wait is over when all checks of one alternative are true, which says
//! what no readiness of a single object can (the CSR Secret is complete, or the discovery container
//! is ready already). Once over it stays over: pods that restart later are no drift.

use std::sync::Arc;

use jiff::Timestamp;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, Block, Nesting, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, async_trait, schema_plan,
};
use serde_json::Value as Json;

use crate::cluster::Cluster;
use crate::decide::settled;
use crate::object::{Reference, text_at};
use crate::readiness::{Readiness, condition, readiness};
use crate::resources::rollout_restart::label_query;
use crate::waiting::{Clock, check_timeout, field, matches, not_ready, pod_reasons, timeout};

/// The type.
pub(crate) struct Wait;

fn items(value: Option<&Value>) -> Arc<[Value]> {
    value.and_then(Value::as_items).cloned().unwrap_or_else(|| Arc::from([]))
}

fn is_true(check: &Value, name: &str) -> bool {
    check.get(name).and_then(Value::as_bool) == Some(true)
}

impl Rules for Wait {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems: Vec<Problem> = check_timeout(config).into_iter().collect();
        for check in items(config.get("alternative")).iter().flat_map(|a| items(a.get("for")).to_vec()) {
            let has = |name: &str| check.get(name).is_some_and(|v| !v.is_null());
            if !check.is_wholly_known() {
                continue;
            }
            if has("name") == has("selector") {
                problems.push(Problem::at("alternative", "each `for` block needs `name` or `selector`, and not both"));
            }
            let asked = ["ready", "condition", "field", "container_ready", "container_not_ready", "exists", "absent"];
            if !asked.into_iter().any(has) {
                problems.push(Problem::at(
                    "alternative",
                    format!("a `for` block asks nothing; set one of {}", asked.join(", ")),
                ));
            }
            if has("field") == (has("equals") == has("regex")) {
                problems.push(Problem::at("alternative", "`field` goes with `equals` or with `regex`"));
            }
            if let Some(Err(e)) = check.get_str("regex").map(regex::Regex::new) {
                problems.push(Problem::at("alternative", format!("`regex` is not a regular expression: {e}")));
            }
        }
        problems
    }

    fn identity(&self, _: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let observed = request.observed.map(|o| settled(o, request.desired, &["timeout"]));
        schema_plan(&PlanRequest { observed: observed.as_ref(), ..*request })
    }
}

/// What a check looks at.
async fn subjects(cluster: &Cluster, check: &Value) -> Result<Vec<Json>, ProviderError> {
    let text = |name: &str| check.get_str(name).unwrap_or("");
    let reference = Reference::new(text("api_version"), text("kind"), check.get_str("namespace"), text("name"));
    if !reference.name.is_empty() {
        return Ok(cluster.get(&reference).await?.into_iter().collect());
    }
    let kind = match cluster.kind(&reference).await {
        Ok(kind) => kind,
        Err(e) if e.kind == mesh_sdk::ErrorKind::Missing => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    cluster
        .list(&kind, check.get_str("namespace"), &label_query(check.get("selector")), "")
        .await
        .map_err(|f| f.error(&format!("list {} objects", reference.kind), None))
}

/// Why a check is not true; `None` when it is. Of a selection every object must be as asked, and
/// there must be one.
fn unmet(check: &Value, objects: &[Json]) -> Option<String> {
    let name = check.get_str("name").map_or_else(|| label_query(check.get("selector")), str::to_owned);
    let what = format!("{} {name}", check.get_str("kind").unwrap_or("?"));
    if is_true(check, "absent") {
        return (!objects.is_empty()).then(|| format!("{what} is still there"));
    }
    if objects.is_empty() {
        return Some(format!("{what} is not there"));
    }
    objects.iter().find_map(|object| unmet_by(check, object)).map(|why| format!("{what}: {why}"))
}

fn unmet_by(check: &Value, object: &Json) -> Option<String> {
    if is_true(check, "ready")
        && let Readiness::Waiting(why) | Readiness::Failed(why) = readiness(object)
    {
        return Some(why);
    }
    if let Some(wanted) = check.get_str("condition") {
        let status = check.get_str("status").unwrap_or("True");
        match condition(object, wanted) {
            Some((have, _)) if have == status => {}
            Some((have, why)) => return Some(format!("condition {wanted} is {have}, not {status}: {why}")),
            None => return Some(format!("there is no condition {wanted} yet")),
        }
    }
    if let Some(path) = check.get_str("field") {
        let is_secret = text_at(object, &["kind"]) == Some("Secret");
        let have = field(object, path);
        let met = have.as_deref().is_some_and(|have| match (check.get_str("equals"), check.get_str("regex")) {
            (Some(wanted), _) => have == wanted,
            (_, Some(pattern)) => matches(pattern, have),
            _ => true,
        });
        if !met {
            return Some(match have {
                None => format!("{path} is not there"),
                Some(_) if is_secret => format!("{path} is another value"),
                Some(have) => format!("{path} is {have:?}"),
            });
        }
    }
    let container = |name: &str| {
        let all = ["containerStatuses", "initContainerStatuses"]
            .iter()
            .filter_map(|s| object["status"][s].as_array())
            .flatten();
        all.into_iter().find(|c| text_at(c, &["name"]) == Some(name)).cloned()
    };
    for (list, wanted) in [("container_ready", true), ("container_not_ready", false)] {
        for name in items(check.get(list)).iter().filter_map(Value::as_str) {
            match container(name) {
                None => return Some(format!("container {name} has no status yet")),
                Some(c) if (c["ready"] == true) != wanted => {
                    return Some(format!("container {name} is {}", if wanted { "not ready" } else { "ready" }));
                }
                Some(_) => {}
            }
        }
    }
    None
}

/// What is not true in each alternative; `Ok` with the number of the first that is wholly true.
async fn evaluate(cluster: &Cluster, values: &Value) -> Result<Result<usize, (Vec<String>, Vec<Json>)>, ProviderError> {
    let mut reasons = Vec::new();
    let mut seen = Vec::new();
    for (n, alternative) in items(values.get("alternative")).iter().enumerate() {
        let mut open = Vec::new();
        for check in items(alternative.get("for")).iter() {
            let objects = subjects(cluster, check).await?;
            open.extend(unmet(check, &objects));
            seen.extend(objects);
        }
        if open.is_empty() {
            return Ok(Ok(n));
        }
        reasons.push(open.join(", and "));
    }
    Ok(Err((reasons, seen)))
}

#[async_trait]
impl Resource<Cluster> for Wait {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        let names = Type::list(text.clone());
        let check = Block {
            name: "for",
            nesting: Nesting::List,
            min: 1,
            max: 0,
            schema: Schema::of([
                Attribute::required("api_version", text.clone(), "apiVersion of the object."),
                Attribute::required("kind", text.clone(), "Kind of the object."),
                Attribute::optional("namespace", text.clone(), "Namespace, where the kind has one."),
                Attribute::optional("name", text.clone(), "Name of the object."),
                Attribute::optional(
                    "selector",
                    Type::map(text.clone()),
                    "Labels, instead of `name`: there must be such objects, and all must be as asked.",
                ),
                Attribute::optional(
                    "ready",
                    Type::Bool,
                    "The object is ready, as its kind defines it (a Deployment rolled out).",
                ),
                Attribute::optional("condition", text.clone(), "Type of a status condition."),
                Attribute::optional("status", text.clone(), "Status of that condition. Default `True`."),
                Attribute::optional("field", text.clone(), "Path of a field, `data[\"encrypted-csr\"]`."),
                Attribute::optional("equals", text.clone(), "The value of that field."),
                Attribute::optional(
                    "regex",
                    text.clone(),
                    "A regular expression that the value of that field matches.",
                ),
                Attribute::optional("container_ready", names.clone(), "Containers that are ready (kind Pod)."),
                Attribute::optional(
                    "container_not_ready",
                    names,
                    "Containers that are there and not ready (kind Pod).",
                ),
                Attribute::optional("exists", Type::Bool, "The object exists; nothing else is asked."),
                Attribute::optional("absent", Type::Bool, "The object does not exist."),
            ]),
            doc: "A check of one object, or of all with some labels.",
        };
        let alternative = Block {
            name: "alternative",
            nesting: Nesting::List,
            min: 1,
            max: 0,
            schema: Schema::default().block(check),
            doc: "Checks that must all be true. The wait is over when one alternative is.",
        };
        ResourceSchema {
            name: "kubernetes_wait",
            version: 0,
            doc: "Waits, when it is created and whenever `triggers` or its checks change, until all checks of one alternative are true. Once over it stays over.",
            example: r#"resource "kubernetes_wait" "csr" {
  alternative {
    for {
      api_version = "v1"
      kind        = "Secret"
      namespace   = "istio-system"
      name        = "istio-ca-cert-csr"
      field       = "data[\"encrypted-csr\"]"
      regex       = "."
    }
  }
  alternative {
    for {
      api_version     = "v1"
      kind            = "Pod"
      namespace       = "istio-system"
      selector        = { app = "istiod" }
      container_ready = ["discovery"]
    }
  }
}"#,
            schema: Schema::of([
                Attribute::optional("triggers", Type::map(text.clone()), "Values whose change waits again."),
                Attribute::optional("timeout", text.clone(), "How long to wait. Default `10m`."),
                Attribute::computed("done_at", text, "When the wait was over (RFC 3339).").volatile(),
                Attribute::computed("met", Type::Number, "Which alternative ended it, from 0.").volatile(),
            ])
            .block(alternative),
            protected: false,
        }
    }

    async fn observe(&self, cluster: &Cluster, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let mut out = Vec::with_capacity(requests.len());
        for request in requests {
            let (Some(saved), Some(identity)) = (&request.saved, &request.identity) else {
                out.push(Ok(Observation::Absent));
                continue;
            };
            if cluster.is_ended(&identity.0) {
                out.push(Ok(Observation::Absent));
                continue;
            }
            // What no longer holds is worth a word, and nothing more.
            let notes = match evaluate(cluster, saved).await {
                Ok(Err((reasons, _))) => vec![format!("it no longer holds: {}", reasons.join("; or "))],
                _ => Vec::new(),
            };
            out.push(Ok(Observation::Present(Observed { notes, ..Observed::new(saved.clone(), identity.clone()) })));
        }
        out
    }

    async fn create(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        wait(cluster, request).await
    }

    async fn update(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        wait(cluster, request).await
    }

    async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        if let Some(identity) = &request.identity {
            cluster.end(&identity.0);
        }
        Outcome::deleted()
    }
}

async fn wait(cluster: &Cluster, request: &OperationRequest) -> Outcome {
    let Some(planned) = &request.after else { return Outcome::deleted() };
    let mut clock = Clock::new(timeout(planned));
    loop {
        match evaluate(cluster, planned).await {
            Err(error) => return Outcome::rejected(error),
            Ok(Ok(n)) => {
                let now = Timestamp::now().to_string();
                let values = planned
                    .with("done_at", Value::string(now.as_str()))
                    .with("met", Value::number(i64::try_from(n).unwrap_or(i64::MAX)));
                let identity =
                    request.identity.clone().unwrap_or_else(|| Identity(format!("wait over at {now}").into()));
                return Outcome::applied(values, identity);
            }
            Ok(Err((reasons, objects))) => {
                if clock.tick().await {
                    continue;
                }
                let mut pods = Vec::new();
                for object in &objects {
                    pods.extend(pod_reasons(cluster, object).await);
                }
                pods.sort();
                pods.dedup();
                let pods = if pods.is_empty() { String::new() } else { format!(" The pods say: {}.", pods.join("; ")) };
                return Outcome::rejected(not_ready(format!("Still waiting: {}.{pods}", reasons.join("; or "))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::json::from_json;
    use serde_json::json;

    #[test]
    fn partial_readiness() {
        let pod = json!({"kind":"Pod","status":{"containerStatuses":[{"name":"hsm-plugin","ready":true},{"name":"discovery","ready":false}]}});
        for (check, met) in [
            (json!({"container_ready":["hsm-plugin"],"container_not_ready":["discovery"]}), true),
            (json!({"container_ready":["hsm-plugin","discovery"]}), false),
            (json!({"container_ready":["other"]}), false),
            (json!({"container_not_ready":["other"]}), false),
            (json!({"field":"status.containerStatuses[0].name","equals":"hsm-plugin"}), true),
            (json!({"field":"status.containerStatuses[0].name","regex":"^disc"}), false),
            (json!({"exists":true}), true),
            (json!({"absent":true}), false),
        ] {
            assert_eq!(unmet(&from_json(&check), std::slice::from_ref(&pod)).is_none(), met, "{check}");
        }
        assert!(unmet(&from_json(&json!({"exists":true})), &[]).is_some());
        assert!(unmet(&from_json(&json!({"absent":true})), &[]).is_none());
    }

    #[test]
    fn a_secret_field_is_not_quoted() {
        let secret = json!({"kind":"Secret","data":{"a":"Y2FuYXJ5"}});
        let why = unmet(&from_json(&json!({"kind":"Secret","name":"s","field":"data.a","equals":"x"})), &[secret]);
        assert!(!why.expect("is another value").contains("Y2FuYXJ5"));
    }
}
