//! Whether an object is ready: pure functions over its JSON.
//!
//! The rules of kstatus, with the corrections that meshes need: a load balancer is ready when it has
//! an address, a failed pod is failed, a DaemonSet for no node is ready, a Job when it is complete, a
//! Namespace when it is active, a token Secret when it is filled.

use serde_json::Value as Json;

use crate::object::{split_api_version, text_at};

/// How far an object is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Readiness {
    Ready,
    /// Not yet, and why.
    Waiting(String),
    /// It will not become ready by itself.
    Failed(String),
}

use Readiness::{Failed, Ready, Waiting};

fn number(object: &Json, part: &str, name: &str) -> Option<i64> {
    object.get(part)?.get(name)?.as_i64()
}

/// Status and text of a condition.
pub(crate) fn condition<'j>(object: &'j Json, ty: &str) -> Option<(&'j str, String)> {
    let all = object.get("status")?.get("conditions")?.as_array()?;
    let found = all.iter().find(|c| text_at(c, &["type"]) == Some(ty))?;
    let words: Vec<&str> =
        ["reason", "message"].iter().filter_map(|k| text_at(found, &[k])).filter(|t| !t.is_empty()).collect();
    Some((text_at(found, &["status"]).unwrap_or("Unknown"), words.join(": ")))
}

/// The readiness of an object of any kind.
pub(crate) fn readiness(object: &Json) -> Readiness {
    if text_at(object, &["metadata", "deletionTimestamp"]).is_some() {
        return Waiting("it is being deleted".into());
    }
    let generation = number(object, "metadata", "generation");
    let observed = number(object, "status", "observedGeneration");
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed != generation
    {
        return Waiting("its controller has not seen the last change yet".into());
    }
    if let Some(("True", why)) = condition(object, "Reconciling") {
        return Waiting(why);
    }
    if let Some(("True", why)) = condition(object, "Stalled") {
        return Failed(why);
    }
    let (group, _) = split_api_version(text_at(object, &["apiVersion"]).unwrap_or(""));
    match (group, text_at(object, &["kind"]).unwrap_or("")) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("", "Pod") => pod(object),
        ("batch", "Job") => job(object),
        ("", "Service") => service(object),
        ("", "PersistentVolumeClaim") => phase(object, "Bound"),
        ("", "Namespace") => phase(object, "Active"),
        ("", "Secret") => secret(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("gateway.networking.k8s.io", "Gateway") => gateway(object),
        ("cert-manager.io", "Certificate") => certificate(object),
        _ => match condition(object, "Ready") {
            Some(("True", _)) | None => Ready,
            Some((_, why)) => Waiting(why),
        },
    }
}

/// Compares counts of a status with what they must be.
fn counts(rows: &[(&str, Option<i64>, i64)]) -> Option<Readiness> {
    rows.iter().find_map(|(what, have, want)| {
        let have = have.unwrap_or(0);
        (have < *want).then(|| Waiting(format!("{have} of {want} replicas {what}")))
    })
}

fn deployment(o: &Json) -> Readiness {
    if let Some((_, why)) = condition(o, "Progressing").filter(|(_, why)| why.starts_with("ProgressDeadlineExceeded")) {
        return Failed(why);
    }
    if o["spec"]["paused"] == true {
        return Waiting("it is paused".into());
    }
    if number(o, "status", "observedGeneration").is_none() {
        return Waiting("its controller has not seen it yet".into());
    }
    let want = number(o, "spec", "replicas").unwrap_or(1);
    let have = |name| number(o, "status", name);
    if let Some(waiting) = counts(&[("exist", have("replicas"), want), ("are updated", have("updatedReplicas"), want)])
    {
        return waiting;
    }
    let old = have("replicas").unwrap_or(0) - have("updatedReplicas").unwrap_or(0);
    if old > 0 {
        return Waiting(format!("{old} old replicas are still there"));
    }
    if let Some(waiting) = counts(&[
        ("are available", have("availableReplicas"), have("updatedReplicas").unwrap_or(0)),
        ("are ready", have("readyReplicas"), want),
    ]) {
        return waiting;
    }
    match condition(o, "Available") {
        Some(("True", _)) | None => Ready,
        Some((_, why)) => Waiting(why),
    }
}

fn stateful_set(o: &Json) -> Readiness {
    if text_at(o, &["spec", "updateStrategy", "type"]) == Some("OnDelete") {
        return Ready;
    }
    let want = number(o, "spec", "replicas").unwrap_or(1);
    let have = |name| number(o, "status", name);
    if let Some(waiting) = counts(&[("exist", have("replicas"), want), ("are ready", have("readyReplicas"), want)]) {
        return waiting;
    }
    if have("replicas").unwrap_or(0) > want {
        return Waiting("old replicas are still there".into());
    }
    if let Some(partition) = o["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().filter(|p| *p > 0) {
        return counts(&[("are updated", have("updatedReplicas"), want - partition)]).unwrap_or(Ready);
    }
    if let Some(waiting) = counts(&[("are current", have("currentReplicas"), want)]) {
        return waiting;
    }
    if o["status"]["currentRevision"] == o["status"]["updateRevision"] {
        Ready
    } else {
        Waiting("the new revision is being rolled out".into())
    }
}

fn daemon_set(o: &Json) -> Readiness {
    if number(o, "status", "observedGeneration").is_none() {
        return Waiting("its controller has not seen it yet".into());
    }
    let have = |name| number(o, "status", name);
    let Some(want) = have("desiredNumberScheduled") else {
        return Waiting("its controller has not counted the nodes yet".into());
    };
    counts(&[
        ("exist", have("currentNumberScheduled"), want),
        ("are updated", have("updatedNumberScheduled"), want),
        ("are available", have("numberAvailable"), want),
        ("are ready", have("numberReady"), want),
    ])
    .unwrap_or(Ready)
}

fn replica_set(o: &Json) -> Readiness {
    let want = number(o, "spec", "replicas").unwrap_or(1);
    let have = |name| number(o, "status", name);
    counts(&[
        ("exist", have("fullyLabeledReplicas"), want),
        ("are available", have("availableReplicas"), want),
        ("are ready", have("readyReplicas"), want),
    ])
    .unwrap_or(Ready)
}

fn pod(o: &Json) -> Readiness {
    match text_at(o, &["status", "phase"]).unwrap_or("Pending") {
        "Succeeded" => Ready,
        "Failed" => Failed(text_at(o, &["status", "message"]).unwrap_or("the pod has failed").to_owned()),
        "Running" => match condition(o, "Ready") {
            Some(("True", _)) => Ready,
            _ => {
                let reasons = container_reasons(o);
                let text = if reasons.is_empty() { "it is not ready".to_owned() } else { reasons.join("; ") };
                if text.contains("CrashLoopBackOff") { Failed(text) } else { Waiting(text) }
            }
        },
        _ => {
            let scheduled = condition(o, "PodScheduled").filter(|(status, _)| *status == "False").map(|(_, why)| why);
            let reasons = container_reasons(o);
            Waiting(
                scheduled
                    .unwrap_or_else(|| if reasons.is_empty() { "it is pending".into() } else { reasons.join("; ") }),
            )
        }
    }
}

/// Why containers of a pod are not ready: `discovery: ImagePullBackOff: Back-off pulling image "auto"`.
pub(crate) fn container_reasons(pod: &Json) -> Vec<String> {
    let statuses = ["initContainerStatuses", "containerStatuses"];
    let all = statuses.iter().filter_map(|s| pod["status"][s].as_array()).flatten();
    all.filter(|c| c["ready"] != true && c["state"]["terminated"]["exitCode"] != 0)
        .map(|c| {
            let name = text_at(c, &["name"]).unwrap_or("?");
            let state = ["waiting", "terminated"].iter().find_map(|s| c["state"].get(s));
            let words: Vec<&str> =
                state.iter().flat_map(|s| [text_at(s, &["reason"]), text_at(s, &["message"])]).flatten().collect();
            if words.is_empty() { format!("{name}: not ready") } else { format!("{name}: {}", words.join(": ")) }
        })
        .collect()
}

fn job(o: &Json) -> Readiness {
    if let Some(("True", why)) = condition(o, "Failed") {
        return Failed(why);
    }
    match condition(o, "Complete") {
        Some(("True", _)) => Ready,
        _ if o["spec"]["suspend"] == true => Ready,
        _ => Waiting("it is not complete".into()),
    }
}

fn service(o: &Json) -> Readiness {
    if text_at(o, &["spec", "type"]) != Some("LoadBalancer") {
        return Ready;
    }
    let addresses = o["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    if addresses.is_empty() {
        return Waiting("the load balancer has no address yet".into());
    }
    match text_at(o, &["spec", "loadBalancerIP"]).filter(|ip| !ip.is_empty()) {
        Some(wanted) if !addresses.iter().any(|a| text_at(a, &["ip"]) == Some(wanted)) => {
            Waiting(format!("the load balancer does not have the address {wanted} yet"))
        }
        _ => Ready,
    }
}

fn phase(o: &Json, wanted: &str) -> Readiness {
    match text_at(o, &["status", "phase"]) {
        Some(phase) if phase == wanted => Ready,
        Some(phase) => Waiting(format!("it is {phase}, not {wanted}")),
        None => Waiting(format!("it is not {wanted} yet")),
    }
}

fn secret(o: &Json) -> Readiness {
    let filled = |key: &str| text_at(o, &["data", key]).is_some_and(|t| !t.is_empty());
    if text_at(o, &["type"]) == Some("kubernetes.io/service-account-token") && !(filled("token") && filled("ca.crt")) {
        return Waiting("the token is not filled in yet".into());
    }
    Ready
}

fn definition(o: &Json) -> Readiness {
    if let Some(("False", why)) = condition(o, "NamesAccepted") {
        return Failed(why);
    }
    match condition(o, "Established") {
        Some(("True", _)) => Ready,
        Some((_, why)) if !why.is_empty() && !why.starts_with("Installing") => Failed(why),
        _ => Waiting("it is not established yet".into()),
    }
}

fn gateway(o: &Json) -> Readiness {
    for ty in ["Accepted", "ResolvedRefs"] {
        if let Some(("False", why)) = condition(o, ty) {
            return Failed(why);
        }
    }
    match condition(o, "Programmed") {
        Some(("True", _)) => Ready,
        Some((_, why)) => Waiting(why),
        None => Waiting("it is not programmed yet".into()),
    }
}

fn certificate(o: &Json) -> Readiness {
    if let Some(("True", why)) = condition(o, "Issuing") {
        return Waiting(why);
    }
    match condition(o, "Ready") {
        Some(("True", _)) => Ready,
        Some((_, why)) => Waiting(why),
        None => Waiting("it is not issued yet".into()),
    }
}

#[cfg(test)]
mod tests;
