//! The `-json` stream: one object a line, in Terraform's words.
//!
//! The one decision: unlike Terraform's, the stream always ends with a `change_summary`, also after a
//! failure, so that a reader can tell a finished run from one that was cut off.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use mesh_core::{EphemeralOperation, Event, Phase, Sink};
use mesh_model::change::Counts;
use mesh_model::json::to_json;
use mesh_model::snapshot::StoredOutput;
use mesh_model::{Action, Address, Diagnostic, Plan, Sources};
use mesh_state::Outputs;
use serde_json::{Map, Value as Json, json};

use super::words::{elapsed, ephemeral, hook, operation};
use super::{json, style, summary};

/// Writes the stream.
pub(crate) struct Stream {
    out: Mutex<Box<dyn Write + Send>>,
    clock: fn() -> String,
}

impl Stream {
    /// To `out`; `clock` gives the time of a line in RFC 3339.
    pub(crate) fn new(out: Box<dyn Write + Send>, clock: fn() -> String) -> Self {
        Self { out: Mutex::new(out), clock }
    }

    pub(super) fn write(&self, level: &str, message: &str, kind: &str, rest: Json) {
        let mut line = Map::new();
        line.insert("@level".into(), level.into());
        line.insert("@message".into(), style::plain(message).into());
        line.insert("@module".into(), "mesh.ui".into());
        line.insert("@timestamp".into(), (self.clock)().into());
        line.insert("type".into(), kind.into());
        if let Json::Object(rest) = rest {
            line.extend(rest);
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody reading is no reason to stop.
        let _ = writeln!(out, "{}", Json::Object(line)).and_then(|()| out.flush());
    }

    /// The first line.
    pub(crate) fn version(&self) {
        let version = env!("CARGO_PKG_VERSION");
        self.write("info", &format!("mesh {version}"), "version", json!({ "mesh": version, "ui": "1.2" }));
    }

    /// A diagnostic.
    pub(crate) fn diagnostic(&self, d: &Diagnostic, sources: &Sources) {
        let (level, word) = if d.is_error() { ("error", "Error") } else { ("warn", "Warning") };
        let object = super::diagnostic_json::one(d, sources);
        self.write(level, &format!("{word}: {}", d.summary), "diagnostic", json!({ "diagnostic": object }));
    }

    /// Drift, changes, deferred blocks, gates, then the summary and the outputs of a plan. `digest` is what
    /// people approve; a plan with errors has none.
    pub(crate) fn plan(&self, plan: &Plan, digest: Option<&str>) {
        for d in &plan.drift {
            let action = if d.after.is_null() { "delete" } else { "update" };
            let change = json!({ "resource": resource(&d.address), "action": action });
            self.write(
                "info",
                &format!("{}: Drift detected ({action})", d.address),
                "resource_drift",
                json!({ "change": change }),
            );
        }
        for c in &plan.changes {
            if c.action == Action::NoOp && c.importing.is_none() && c.previous_address.is_none() {
                continue;
            }
            let mut change = Map::new();
            change.insert("resource".into(), resource(&c.address));
            if let Some(from) = &c.previous_address {
                change.insert("previous_resource".into(), resource(from));
            }
            let action = match c.action {
                Action::NoOp if c.importing.is_some() => "import",
                Action::NoOp => "move",
                other => hook(other),
            };
            change.insert("action".into(), action.into());
            if let Some(reason) = c.reason.word() {
                let reason = match reason {
                    "replace_by_request" => "requested",
                    "replace_by_triggers" => "replace_triggered_by",
                    other => other.trim_start_matches("replace_because_"),
                };
                change.insert("reason".into(), reason.into());
            }
            if let Some(id) = &c.importing {
                change.insert("importing".into(), json!({ "id": id }));
            }
            self.write(
                "info",
                &format!("{}: Plan to {action}", c.address),
                "planned_change",
                json!({ "change": change }),
            );
        }
        for d in &plan.deferred {
            let actions: Vec<&str> = d.actions.iter().map(|a| hook(*a)).collect();
            let object =
                json!({ "pattern": d.pattern, "actions": actions, "reason": d.reason_code, "detail": d.reason });
            self.write(
                "info",
                &format!("{}: Deferred: {}", d.pattern, d.reason),
                "deferred_change",
                json!({ "deferred": object }),
            );
        }
        for w in &plan.waiting {
            self.write(
                "info",
                &format!("{}: Waiting for {}", w.address, w.waiting_for),
                "gate_closed",
                json!({ "gate": json::waiting(w) }),
            );
        }
        let outputs: Map<String, Json> = plan
            .outputs
            .iter()
            .map(|(name, o)| {
                let sensitive = o.before.all_marks().union(o.after.all_marks()).sensitive();
                (name.to_string(), json!({ "sensitive": sensitive, "action": hook(o.action) }))
            })
            .collect();
        let message = format!("Plan: {}", summary::plan_counts(plan));
        let mut changes = counts(plan.counts(), "plan");
        changes["deferred"] = json!(plan.deferred.len());
        let mut line = json!({ "changes": changes });
        match digest {
            Some(digest) => line["digest"] = json!(digest),
            None => line["errored"] = json!(true),
        }
        self.write("info", &message, "change_summary", line);
        if !outputs.is_empty() {
            self.write("info", &format!("Outputs: {}", outputs.len()), "outputs", json!({ "outputs": outputs }));
        }
    }

    /// The outputs after an apply; a sensitive one has no value here, unless `secrets` says to show it.
    pub(crate) fn outputs(&self, outputs: &Outputs, secrets: bool) {
        let entry = |o: &StoredOutput| {
            let mut out = json!({ "sensitive": o.sensitive, "type": o.value.ty().to_json() });
            if !o.sensitive || secrets && !o.value.has_withheld() {
                out["value"] = to_json(&o.value);
            }
            out
        };
        let object: Map<String, Json> = outputs.iter().map(|(n, o)| (n.to_string(), entry(o))).collect();
        self.write("info", &format!("Outputs: {}", object.len()), "outputs", json!({ "outputs": object }));
    }

    /// What was done, at the end of every run, before its outputs. `waiting` and `deferred`: what keeps it from being complete.
    pub(crate) fn summary(&self, done: Counts, operation: &str, message: &str, rest: Json) {
        let mut line = json!({ "changes": counts(done, operation) });
        if let (Json::Object(line), Json::Object(rest)) = (&mut line, rest) {
            line.extend(rest);
        }
        self.write("info", message, "change_summary", line);
    }

    /// What was done, or planned, at the end of a run that ends with errors.
    pub(crate) fn failed(&self, counts: Counts, operation: &str, errors: usize) {
        let s = if errors == 1 { "" } else { "s" };
        self.summary(counts, operation, &format!("{errors} error{s}"), json!({ "errored": true, "errors": errors }));
    }

    fn hook(&self, kind: &str, address: &Address, action: Action, message: &str, rest: Json) {
        self.hooked(kind, address, hook(action), message, rest);
    }

    fn hooked(&self, kind: &str, address: &Address, action: &str, message: &str, rest: Json) {
        let mut object = Map::new();
        object.insert("resource".into(), resource(address));
        object.insert("action".into(), action.into());
        if let Json::Object(rest) = rest {
            object.extend(rest);
        }
        // Of an error, too: the diagnostic is what has the level.
        self.write("info", message, kind, json!({ "hook": object }));
    }

    fn ephemeral(&self, address: &Address, operation: EphemeralOperation, phase: &Phase, said: &str) {
        let (kind, time) = match phase {
            Phase::Started => ("ephemeral_op_start", None),
            Phase::Running(time) => ("ephemeral_op_progress", Some(time)),
            Phase::Done(time) => ("ephemeral_op_complete", Some(time)),
            Phase::Failed(time, _) => ("ephemeral_op_errored", Some(time)),
        };
        let rest = time.map_or_else(|| json!({}), |t| json!({ "elapsed_seconds": t.as_secs() }));
        self.hooked(kind, address, ephemeral(operation).2, said, rest);
    }
}

fn counts(c: Counts, operation: &str) -> Json {
    json!({ "add": c.add, "change": c.change, "import": c.import, "remove": c.destroy, "forget": c.forget, "operation": operation })
}

/// What names an instance in the stream.
fn resource(address: &Address) -> Json {
    let module = if address.module.is_root() { String::new() } else { address.module.to_string() };
    let full = address.to_string();
    let local = full.strip_prefix(&format!("{module}.")).unwrap_or(&full).to_owned();
    json!({
        "addr": full,
        "module": module,
        "resource": local,
        "implied_provider": address.ty.split('_').next().unwrap_or_default(),
        "resource_type": &*address.ty,
        "resource_name": &*address.name,
        "resource_key": address.key.as_ref().map(json::index),
    })
}

impl Sink for Stream {
    fn event(&self, event: Event) {
        let message = super::progress::line(&event);
        let said = message.as_deref().unwrap_or_default();
        match &event {
            // What is only imported has no operation.
            Event::Started { action: Action::NoOp, .. } | Event::Done { action: Action::NoOp, .. } => {}
            Event::Started { address, action, identity } => {
                let id = identity.as_ref().map_or_else(|| json!({}), |id| json!({ "id_key": "id", "id_value": &**id }));
                self.hook("apply_start", address, *action, said, id);
            }
            Event::Running { address, action, elapsed: time } => {
                self.hook("apply_progress", address, *action, said, json!({ "elapsed_seconds": time.as_secs() }));
            }
            Event::Done { address, action, elapsed: time, identity } => {
                let mut rest = json!({ "elapsed_seconds": time.as_secs() });
                if let Some(id) = identity {
                    rest["id_key"] = json!("id");
                    rest["id_value"] = json!(&**id);
                }
                self.hook("apply_complete", address, *action, said, rest);
            }
            Event::Failed { address, action, elapsed: time, .. } => {
                self.hook("apply_errored", address, *action, said, json!({ "elapsed_seconds": time.as_secs() }));
            }
            Event::Skipped { address, action, because } => {
                self.hook("apply_skipped", address, *action, said, json!({ "because": because }));
            }
            Event::Reading { address } => {
                let message = format!("{address}: {}...", operation(Action::Read).0);
                self.hook("apply_start", address, Action::Read, &message, json!({}));
            }
            Event::Read { address, elapsed: time } => {
                let message = format!("{address}: Read complete after {}", elapsed(*time));
                self.hook(
                    "apply_complete",
                    address,
                    Action::Read,
                    &message,
                    json!({ "elapsed_seconds": time.as_secs() }),
                );
            }
            Event::Ephemeral { address, operation, phase } => self.ephemeral(address, *operation, phase, said),
            Event::Refreshing { address, identity } | Event::Refreshed { address, identity } => {
                let (kind, what) = match event {
                    Event::Refreshing { .. } => ("refresh_start", "Refreshing state..."),
                    _ => ("refresh_complete", "Refresh complete"),
                };
                let mut hook = json!({ "resource": resource(address) });
                let mut message = format!("{address}: {what}");
                if let Some(id) = identity {
                    (hook["id_key"], hook["id_value"]) = (json!("id"), json!(&**id));
                    push!(message, " [id={id}]");
                }
                self.write("info", &message, kind, json!({ "hook": hook }));
            }
            Event::Observing { provider, objects } => {
                self.write("info", &format!("{provider}: Looking at {objects} objects"), "log", json!({}));
            }
            Event::Observed { provider, objects, elapsed: time } => {
                self.write(
                    "info",
                    &format!("{provider}: Looked at {objects} objects in {}", elapsed(*time)),
                    "log",
                    json!({}),
                );
            }
            Event::StageStarted { stage, operations } => {
                self.write("info", &format!("Stage {stage}: {operations} operations"), "log", json!({}));
            }
            Event::Waiting { address, waiting_for, left } => {
                let message = format!("{address}: Waiting for {waiting_for} [{} left]", elapsed(*left));
                self.write("info", &message, "log", json!({}));
            }
            // What happens while applying has no place in the sources.
            Event::Warning(d) => self.diagnostic(d, &Sources::default()),
            Event::Configuring { .. } => {}
        }
    }
}
