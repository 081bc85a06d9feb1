//! Leaving, updating or replacing an object: the pure part.
//!
//! First from what was observed: when every wanted path has its value nothing is asked. Otherwise the
//! server is asked by a dry run, and what it would change over what is there decides.

use mesh_model::{Path, Step, Type, Value};
use mesh_sdk::{PlanRequest, PlanResponse, Verdict};

use crate::immutable;
use crate::object::Reference;
use crate::place::Place;
use crate::project::same;

/// Kinds whose dry-run create tells nothing that a plan needs: no defaults, no immutable fields, no
/// validation beyond their shape. Thousands of them are planned at once.
const PLAIN: &[&str] = &["ConfigMap", "Secret", "Namespace", "ServiceAccount"];

/// The decision about one object whose configuration is the attribute `attribute`.
pub(crate) fn object(request: &PlanRequest<'_>, attribute: &str, at: &Place<'_>, settings: &[&str]) -> PlanResponse {
    let desired = request.desired;
    let wanted = desired.get(attribute).cloned().unwrap_or(Value::NULL);
    let fresh = desired.with("uid", Value::unknown(Type::String)).with("live", Value::NULL);
    let respond = |verdict, before, after, needs_preview| PlanResponse {
        verdict,
        before,
        after,
        needs_preview,
        notes: Vec::new(),
    };
    let asked = request.preview.is_some();
    let plain =
        wanted.get_str("apiVersion") == Some("v1") && wanted.get_str("kind").is_some_and(|k| PLAIN.contains(&k));
    let Some(observed) = request.observed else {
        return respond(Verdict::Create, Value::NULL, fresh, !asked && !plain);
    };
    let kept = desired
        .with("uid", observed.get("uid").cloned().unwrap_or_else(|| Value::null(Type::String)))
        .with("live", Value::NULL);
    let there = observed.get(attribute).cloned().unwrap_or(Value::NULL);
    let moved = moved(&wanted, &there, attribute);
    // Of another object, a preview says only that it can be made.
    let (seen, equal) = match request.preview.filter(|_| moved.is_empty()) {
        None => (there.clone(), same(&wanted, &there, at)),
        Some(preview) => {
            let live = preview.get("live").cloned().unwrap_or(Value::NULL);
            let equal = preview.get(attribute).is_some_and(|dry| dry.same(&live));
            (live, equal)
        }
    };
    if equal && moved.is_empty() {
        return respond(Verdict::NoOp, kept.clone(), kept, false);
    }
    let before = settings.iter().fold(observed.with(attribute, seen.clone()).with("live", Value::NULL), |v, name| {
        v.with(name, desired.get(name).cloned().unwrap_or(Value::NULL))
    });
    let tells = moved.is_empty() || !plain;
    let mut paths = moved;
    paths.extend(immutable::changed(&wanted, &seen, attribute));
    if paths.is_empty() {
        return respond(Verdict::Update, before, kept, !asked && wanted.is_wholly_known());
    }
    // The new object is tried before the old one is given up.
    respond(Verdict::Replace(paths), before, fresh, !asked && tells && wanted.is_wholly_known())
}

/// What makes it another object: kind, name or namespace. Unknown parts may.
fn moved(wanted: &Value, there: &Value, attribute: &str) -> Vec<Path> {
    if there.get("kind").is_none() {
        return Vec::new();
    }
    if let (Some(a), Some(b)) = (Reference::of(wanted), Reference::of(there)) {
        if a.text() == b.text() {
            return Vec::new();
        }
        let metadata = Path::attribute(attribute).join(Step::Key("metadata".into()));
        let mut paths = Vec::new();
        if (a.group, a.kind) != (b.group, b.kind) {
            paths.push(Path::attribute(attribute).join(Step::Key("kind".into())));
        }
        if a.name != b.name {
            paths.push(metadata.join(Step::Key("name".into())));
        }
        if a.namespace != b.namespace {
            paths.push(metadata.join(Step::Key("namespace".into())));
        }
        return paths;
    }
    vec![Path::attribute(attribute).join(Step::Key("metadata".into()))]
}

/// What is there with the settings of the configuration: changing how we work changes no object.
pub(crate) fn settled(observed: &Value, desired: &Value, settings: &[&str]) -> Value {
    settings.iter().fold(observed.clone(), |v, name| v.with(name, desired.get(name).cloned().unwrap_or(Value::NULL)))
}

#[cfg(test)]
mod tests;
