//! Waiting for the cluster: for readiness, for conditions, for an object to be gone.
//!
//! Polls, with short steps first: a watch would be one more open connection per object, and what is
//! waited for takes seconds.

use std::time::{Duration, Instant};

use mesh_model::schema::duration_seconds;
use mesh_model::{Attribute, Block, Nesting, Schema, Type, Value};
use mesh_sdk::{ErrorKind, Problem, ProviderError};
use regex::Regex;
use serde_json::Value as Json;

use crate::cluster::Cluster;
use crate::object::{Reference, text_at};
use crate::readiness::{Readiness, condition, container_reasons, readiness};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses that grow, until a deadline.
pub(crate) struct Clock {
    deadline: Instant,
    pause: Duration,
}

impl Clock {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { deadline: Instant::now() + timeout, pause: FIRST_PAUSE }
    }

    /// Sleeps; `false` when the time is over.
    pub(crate) async fn tick(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// The timeout of a configuration; ten minutes where it names none.
pub(crate) fn timeout(values: &Value) -> Duration {
    let seconds = values.get_str("timeout").and_then(duration_seconds).unwrap_or(600.0);
    Duration::from_secs_f64(seconds.clamp(0.0, 30.0 * 86400.0))
}

/// What is wrong with a timeout.
pub(crate) fn check_timeout(values: &Value) -> Option<Problem> {
    let text = values.get_str("timeout")?;
    duration_seconds(text)
        .is_none()
        .then(|| Problem::at("timeout", format!("{text:?} is not a duration such as `90s` or `10m`")))
}

pub(crate) fn not_ready(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::NotReady, "A Kubernetes object did not become ready in time", detail)
}

/// The `wait` block.
pub(crate) fn block() -> Block {
    let condition = Block {
        name: "condition",
        nesting: Nesting::List,
        min: 0,
        max: 0,
        schema: Schema::of([
            Attribute::required("type", Type::String, "Type of the condition, `Ready`."),
            Attribute::optional("status", Type::String, "Its status. Default `True`."),
        ]),
        doc: "A status condition that must hold.",
    };
    Block {
        name: "wait",
        nesting: Nesting::Single,
        min: 0,
        max: 1,
        schema: Schema::of([
            Attribute::optional(
                "rollout",
                Type::Bool,
                "Wait until the object is ready (a Deployment rolled out, a load balancer addressed).",
            ),
            Attribute::optional(
                "fields",
                Type::map(Type::String),
                "Paths of fields and the regular expressions that their values must match.",
            ),
            Attribute::optional("timeout", Type::String, "How long to wait. Default `10m`."),
        ])
        .block(condition),
        doc: "What must be true after the object was applied.",
    }
}

/// What a `wait` block asks that is not so; `Ok(None)` when all of it is.
pub(crate) fn unmet(wait: &Value, object: &Json) -> Result<Option<String>, ProviderError> {
    if wait.get("rollout").and_then(Value::as_bool) == Some(true) {
        match readiness(object) {
            Readiness::Ready => {}
            Readiness::Waiting(why) => return Ok(Some(why)),
            Readiness::Failed(why) => return Err(not_ready(why)),
        }
    }
    for wanted in wait.get("condition").and_then(Value::as_items).map(|i| i.to_vec()).unwrap_or_default() {
        let ty = wanted.get_str("type").unwrap_or("");
        let status = wanted.get_str("status").unwrap_or("True");
        match condition(object, ty) {
            Some((have, _)) if have == status => {}
            Some((have, why)) => return Ok(Some(format!("condition {ty} is {have}, not {status}: {why}"))),
            None => return Ok(Some(format!("there is no condition {ty} yet"))),
        }
    }
    if let Some(fields) = wait.get("fields").and_then(Value::as_fields) {
        for (path, pattern) in fields.iter() {
            let text = field(object, path);
            let pattern = pattern.as_str().unwrap_or("");
            if !text.as_deref().is_some_and(|t| matches(pattern, t)) {
                return Ok(Some(format!(
                    "{path} is {}, which does not match {pattern:?}",
                    text.unwrap_or_else(|| "not there".into())
                )));
            }
        }
    }
    Ok(None)
}

/// Whether a regular expression matches; one that is broken matches nothing (it is checked before).
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|r| r.is_match(text))
}

/// The text of a field: `status.loadBalancer.ingress[0].ip`, `data["ca.crt"]`.
pub(crate) fn field(object: &Json, path: &str) -> Option<String> {
    let mut at = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']')?;
            let key = inner[..end].trim_matches(|c| c == '"' || c == '\'');
            at = match key.parse::<usize>() {
                Ok(i) if at.is_array() => at.get(i)?,
                _ => at.get(key)?,
            };
            rest = &inner[end + 1..];
        } else {
            rest = rest.trim_start_matches('.');
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            at = at.get(&rest[..end])?;
            rest = &rest[end..];
        }
    }
    Some(match at {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// Waits until an object is as its `wait` block asks.
pub(crate) async fn until_met(cluster: &Cluster, reference: &Reference, wait: &Value) -> Result<Json, ProviderError> {
    let mut clock = Clock::new(timeout(wait));
    loop {
        let object = cluster.get(reference).await?;
        let why = match &object {
            Some(object) => unmet(wait, object),
            None => Ok(Some("it is not there".to_owned())),
        };
        let (failed, why) = match why {
            Ok(None) => return Ok(object.unwrap_or_default()),
            Ok(Some(why)) => (false, why),
            Err(error) => (true, error.detail),
        };
        if failed || !clock.tick().await {
            let pods = match &object {
                Some(object) => pod_reasons(cluster, object).await,
                None => Vec::new(),
            };
            let pods = if pods.is_empty() { String::new() } else { format!(" Its pods: {}.", pods.join("; ")) };
            return Err(not_ready(format!("{}: {why}.{pods}", reference.text())));
        }
    }
}

/// Waits until an object is ready, whatever its kind.
pub(crate) async fn until_ready(
    cluster: &Cluster,
    reference: &Reference,
    timeout: Duration,
) -> Result<Json, ProviderError> {
    let wait = Value::object([
        ("rollout", Value::bool(true)),
        ("timeout", Value::string(format!("{}ms", timeout.as_millis()))),
    ]);
    until_met(cluster, reference, &wait).await
}

/// Why the pods of a workload are not ready, at most five.
pub(crate) async fn pod_reasons(cluster: &Cluster, workload: &Json) -> Vec<String> {
    let Some(namespace) = text_at(workload, &["metadata", "namespace"]) else { return Vec::new() };
    let pods = match text_at(workload, &["kind"]) {
        Some("Pod") => vec![workload.clone()],
        _ => pods_of(cluster, namespace, workload).await,
    };
    let mut out = Vec::new();
    for pod in pods {
        if let Readiness::Waiting(why) | Readiness::Failed(why) = readiness(&pod) {
            let name = text_at(&pod, &["metadata", "name"]).unwrap_or("?");
            let reasons = container_reasons(&pod);
            out.push(format!("{name}: {}", if reasons.is_empty() { why } else { reasons.join("; ") }));
        }
    }
    out.truncate(5);
    out
}

/// The pods that a workload selects; none when they may not be listed.
pub(crate) async fn pods_of(cluster: &Cluster, namespace: &str, workload: &Json) -> Vec<Json> {
    let Some(selector) = selector_text(&workload["spec"]["selector"]) else { return Vec::new() };
    let pods = Reference::new("v1", "Pod", Some(namespace), "");
    match cluster.kind(&pods).await {
        Ok(kind) => cluster.list(&kind, Some(namespace), &selector, "").await.unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// A label selector object as a query; `None` for one that selects everything.
fn selector_text(selector: &Json) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in selector["matchLabels"].as_object()? {
        parts.push(format!("{key}={}", value.as_str().unwrap_or("")));
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Waits until the object with this uid is gone; the error says what holds it.
pub(crate) async fn until_gone(
    cluster: &Cluster,
    reference: &Reference,
    path: &str,
    uid: &str,
    timeout: Duration,
) -> Result<(), ProviderError> {
    let mut clock = Clock::new(timeout);
    loop {
        let object = cluster.get_path(path).await.map_err(|f| f.error(&format!("read {}", reference.text()), None))?;
        let Some(object) = object.filter(|o| text_at(o, &["metadata", "uid"]) == Some(uid)) else { return Ok(()) };
        if !clock.tick().await {
            let list = |items: &Json| -> String {
                items.as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
            };
            let mut held = Vec::new();
            for finalizers in [&object["metadata"]["finalizers"], &object["spec"]["finalizers"]] {
                if finalizers.as_array().is_some_and(|f| !f.is_empty()) {
                    held.push(format!("finalizers {}", list(finalizers)));
                }
            }
            for ty in ["NamespaceDeletionDiscoveryFailure", "NamespaceContentRemaining", "NamespaceFinalizersRemaining"]
            {
                if let Some(("True", why)) = condition(&object, ty) {
                    held.push(why);
                }
            }
            return Err(ProviderError::new(
                ErrorKind::NotReady,
                "A Kubernetes object is not gone yet",
                format!(
                    "{} is being deleted but is still there; what holds it: {}. Let the controller of these finalizers run (or remove what it waits for), then run the same command again.",
                    reference.text(),
                    if held.is_empty() { "nothing that it says".to_owned() } else { held.join("; ") }
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_by_path() {
        let object = json!({"status":{"ingress":[{"ip":"1.2.3.4"}],"n":3},"data":{"ca.crt":"x"}});
        for (path, text) in [
            ("status.ingress[0].ip", Some("1.2.3.4")),
            (".status.n", Some("3")),
            ("data[\"ca.crt\"]", Some("x")),
            ("status.none", None),
            ("status.ingress[9].ip", None),
            ("status..", None),
            ("[", None),
        ] {
            assert_eq!(field(&object, path).as_deref(), text, "{path}");
        }
    }

    #[test]
    fn a_wait_block_says_what_is_missing() {
        let wait = |json| mesh_model::json::from_json(&json);
        let object = json!({"status":{"conditions":[{"type":"Ready","status":"False","reason":"No"}],"ip":"10.0.0.1"}});
        for (block, expected) in [
            (json!({"condition":[{"type":"Ready"}]}), Some("condition Ready is False, not True: No")),
            (json!({"condition":[{"type":"Ready","status":"False"}]}), None),
            (json!({"condition":[{"type":"Synced"}]}), Some("there is no condition Synced yet")),
            (json!({"fields":{"status.ip":"^10[.]"}}), None),
            (json!({"fields":{"status.ip":"^11"}}), Some("status.ip is 10.0.0.1, which does not match \"^11\"")),
            (json!({}), None),
        ] {
            assert_eq!(unmet(&wait(block), &object).expect("no failure").as_deref(), expected);
        }
    }
}
