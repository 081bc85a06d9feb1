//! What differs from state because somebody else changed it.
//!
//! The one decision: it is found by planning, with what was configured last as what is desired, so that a type's own
//! rules say which differences count.

use mesh_model::change::Drift;
use mesh_model::{Address, Fingerprinter, Instance, Path, ResourceSchema, Step, Value};
use mesh_sdk::{Observed, PlanRequest, PlanResponse, Rules, Verdict};

use super::Input;

/// What differs from state where nothing else is known: of an instance whose block has to wait.
pub fn drifted(
    address: &Address,
    schema: &ResourceSchema,
    rules: &dyn Rules,
    saved: &Instance,
    found: Option<&Observed>,
    fingerprinter: &Fingerprinter,
) -> Option<Drift> {
    let Some(found) = found else {
        return Some(Drift {
            address: address.clone(),
            before: saved.values.clone(),
            after: Value::NULL,
            paths: Vec::new(),
        });
    };
    let last = rules.plan(&PlanRequest {
        schema,
        saved: Some(&saved.values),
        observed: Some(&found.values),
        desired: &configured(schema, &saved.values),
        preview: None,
        fingerprinter,
    });
    (last.verdict != Verdict::NoOp).then(|| Drift {
        address: address.clone(),
        paths: differences(&last.before, &last.after),
        before: last.after,
        after: last.before,
    })
}

pub(super) fn drift(input: &Input<'_>, response: &PlanResponse) -> Box<Drift> {
    Box::new(Drift {
        address: input.address.clone(),
        before: response.after.clone(),
        after: response.before.clone(),
        paths: differences(&response.before, &response.after),
    })
}

/// The part of saved values that a configuration can give.
fn configured(schema: &ResourceSchema, saved: &Value) -> Value {
    schema
        .schema
        .attributes
        .iter()
        .filter(|a| a.given == mesh_model::schema::Given::Computed)
        .fold(saved.clone(), |v, a| v.with(a.name, Value::null(a.ty.clone())))
}

/// Paths of the outermost parts that differ.
pub fn differences(a: &Value, b: &Value) -> Vec<Path> {
    let mut out = Vec::new();
    collect(a, b, &Path::default(), &mut out);
    out
}

fn collect(a: &Value, b: &Value, at: &Path, out: &mut Vec<Path>) {
    if a.same(b) {
        return;
    }
    match (a.as_fields(), b.as_fields()) {
        (Some(x), Some(y)) => {
            let keys: std::collections::BTreeSet<_> = x.keys().chain(y.keys()).collect();
            for key in keys {
                let null = Value::NULL;
                collect(
                    x.get(key).unwrap_or(&null),
                    y.get(key).unwrap_or(&null),
                    &at.join(Step::Key(key.clone())),
                    out,
                );
            }
        }
        _ => out.push(at.clone()),
    }
}
