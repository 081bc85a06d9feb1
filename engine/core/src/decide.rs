//! Deciding what is done to one instance.
//!
//! The one decision: a synchronous function of what is saved, observed and desired, without I/O,
//! clock or randomness; a test reads its imports. Where a type needs the server's opinion it says
//! so, and the walk asks and decides again.

use mesh_lang::Ignore;
use mesh_model::change::{Drift, Previewed};
use mesh_model::{Action, Address, Change, Diagnostic, Fingerprinter, Instance, Reason, ResourceSchema, Value};
use mesh_sdk::{Observed, PlanRequest, PlanResponse, PreviewResponse, Rules, Verdict};
use std::sync::Arc;

mod drift;
mod ignore;

use drift::drift;
pub use drift::{differences, drifted};
pub use ignore::ignoring;

/// The code of the error about an object that is there and not ours.
pub const EXISTS: &str = "plan::exists";

/// What was seen of an object.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// It is certain that there is none.
    Absent,
    /// There is one.
    Present(&'a Observed),
    /// Nobody could look: its identity is not known before it is made.
    Nothing,
}

/// What a block's `lifecycle` says, evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Make the new object before the old one is deleted.
    pub create_before_destroy: bool,
    /// The object must not be deleted.
    pub protected: bool,
    /// Differences that do not count.
    pub ignore: &'a Ignore,
    /// Take over an object that exists.
    pub adopt: bool,
    /// The old object stays when it is replaced.
    pub keep: bool,
    /// A new object was asked for.
    pub replace: Option<Reason>,
}

/// Everything there is to decide from.
pub struct Input<'a> {
    /// The instance.
    pub address: &'a Address,
    /// Provider and alias.
    pub provider: &'a Arc<str>,
    /// The type's schema.
    pub schema: &'a ResourceSchema,
    /// The type's pure hooks.
    pub rules: &'a dyn Rules,
    /// What state knows.
    pub saved: Option<&'a Instance>,
    /// Whether state knows it only from an operation that was cut off.
    pub recovered: bool,
    /// What is there.
    pub seen: Seen<'a>,
    /// What is configured, in the shape of the schema.
    pub desired: &'a Value,
    /// What `lifecycle` says.
    pub rule: Rule<'a>,
    /// What the server answered, once it was asked.
    pub preview: Option<&'a PreviewResponse>,
    /// Compares secrets with their fingerprints.
    pub fingerprinter: &'a Fingerprinter,
}

/// The decision.
#[derive(Debug)]
pub enum Decision {
    /// Do this.
    Change {
        /// What and why.
        change: Box<Change>,
        /// What differs from state, where the configuration did not change.
        drift: Option<Box<Drift>>,
    },
    /// Ask the server about this first.
    NeedsPreview {
        /// The values to try.
        planned: Value,
    },
    /// It must not be done.
    Refuse(Box<Diagnostic>),
}

/// Decides about one instance that is configured.
pub fn decide(input: &Input<'_>) -> Decision {
    let observed = match input.seen {
        Seen::Present(o) => Some(o),
        Seen::Absent | Seen::Nothing => None,
    };
    // What is not there is made as configured: there is nothing that could be left as it is.
    let base = observed.map(|o| &o.values);
    let desired = ignoring(input.rule.ignore, input.desired, base);
    let preview = match input.preview {
        Some(PreviewResponse::Values(v)) => Some(v),
        _ => None,
    };
    let response = input.rules.plan(&PlanRequest {
        schema: input.schema,
        saved: input.saved.map(|s| &s.values),
        observed: observed.map(|o| &o.values),
        desired: &desired,
        preview,
        fingerprinter: input.fingerprinter,
    });
    if response.needs_preview && input.preview.is_none() {
        return Decision::NeedsPreview { planned: response.after };
    }
    match (input.saved, observed) {
        (None, None) => changed(input, response, Action::Create, Reason::None, None),
        (None, Some(found)) => existing(input, found, response),
        (Some(saved), None) => vanished(input, saved, response),
        (Some(saved), Some(found)) => known(input, saved, found, response, &desired),
    }
}

/// An object is there that state does not know.
fn existing(input: &Input<'_>, found: &Observed, mut response: PlanResponse) -> Decision {
    if !input.rule.adopt {
        return Decision::Refuse(Box::new(
            Diagnostic::error(
                EXISTS,
                "An object with this identity exists already",
                format!(
                    "{} would be created as {:?}, but that exists and is not in this state. Creating it would overwrite what \
                     somebody else owns. To take it over as it is, add lifecycle {{ on_existing = \"adopt\" }}; to leave it alone, \
                     choose another name.",
                    input.address, found.identity.0
                ),
            )
            .on(input.address),
        ));
    }
    if let Verdict::Replace(paths) = verdict(input, &response) {
        let list = paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Decision::Refuse(Box::new(
            Diagnostic::error(
                "plan::adopt",
                "An existing object cannot be adopted as configured",
                format!("{} exists, but it differs in {list}, which cannot change in place. Configure what is there, or remove the object first.", found.identity),
            )
            .on(input.address),
        ));
    }
    let action = if matches!(response.verdict, Verdict::NoOp) { Action::NoOp } else { Action::Update };
    response.notes.extend(found.notes.iter().cloned());
    changed(input, response, action, Reason::Adopted, Some(found.identity.to_string()))
}

/// State knows an object that is not there.
fn vanished(input: &Input<'_>, saved: &Instance, response: PlanResponse) -> Decision {
    let absent = matches!(input.seen, Seen::Absent);
    if absent && input.rule.protected && !input.recovered {
        return Decision::Refuse(Box::new(
            Diagnostic::error(
                "plan::protected_gone",
                "A protected object has vanished",
                format!(
                    "{} is in state and protected, but it does not exist any more. Making a new one would not bring back what depends on \
                     the old one (data under a lost key stays lost), so nothing is planned. Restore the object from its backup, or, to \
                     start anew on purpose, take it out of state first.",
                    input.address
                ),
            )
            .on(input.address),
        ));
    }
    // What an operation that was cut off did not make has never been there.
    let vanished = absent && !input.recovered;
    let reason = if vanished { Reason::Vanished } else { Reason::None };
    match changed(input, response, Action::Create, reason, None) {
        Decision::Change { change, .. } if vanished => Decision::Change {
            change,
            drift: Some(Box::new(Drift {
                address: input.address.clone(),
                before: saved.values.clone(),
                after: Value::NULL,
                paths: Vec::new(),
            })),
        },
        other => other,
    }
}

/// State knows it and it is there.
fn known(
    input: &Input<'_>,
    saved: &Instance,
    found: &Observed,
    mut response: PlanResponse,
    desired: &Value,
) -> Decision {
    response.notes.extend(found.notes.iter().cloned());
    let verdict = verdict(input, &response);
    let reason = if saved.tainted { Some(Reason::Tainted) } else { input.rule.replace };
    let (action, why) = match (reason, &verdict) {
        (Some(reason), _) => (replace_action(input), reason),
        (None, Verdict::NoOp) if input.recovered => (Action::Update, Reason::None),
        (None, Verdict::NoOp) => (Action::NoOp, Reason::None),
        (None, Verdict::Update) => (Action::Update, Reason::None),
        (None, Verdict::Replace(_)) => (replace_action(input), Reason::CannotUpdate),
        (None, Verdict::Create) => (Action::Create, Reason::None),
    };
    let is_replace = action.is_replace();
    // A new object is as configured: there is nothing in it that could be left as it is.
    let desired = if is_replace { input.desired } else { desired };
    if is_replace && input.rule.protected {
        return Decision::Refuse(Box::new(protected(input.address, "replaced", &verdict)));
    }
    let mut action = action;
    if action.deposes() && input.rules.identity(desired) == mesh_sdk::IdentityHint::Known(found.identity.clone()) {
        if action == Action::ReplaceForget {
            return Decision::Refuse(Box::new(kept(input.address, found)));
        }
        if !saved.tainted {
            return Decision::Refuse(Box::new(same_identity(input.address, found)));
        }
        // Half an object stands where the whole one has to be: nobody can keep using that meanwhile.
        action = Action::Replace;
    }
    if is_replace && (!matches!(verdict, Verdict::Replace(_)) || !matches!(input.rule.ignore, Ignore::None)) {
        // A new object has new computed values: decide as if there were none.
        response.after = input
            .rules
            .plan(&PlanRequest {
                schema: input.schema,
                saved: None,
                observed: None,
                desired,
                preview: None,
                fingerprinter: input.fingerprinter,
            })
            .after;
    }
    let drift = if action == Action::NoOp || input.recovered || reason.is_some() {
        None
    } else if unchanged_config(input, saved, desired) {
        // Only the kind of a container may differ, and that is no change that somebody else made.
        Some(drift(input, &response)).filter(|d| !d.paths.is_empty())
    } else if desired.is_wholly_known() {
        None
    } else {
        // What is configured is not known yet: what was configured last tells what has drifted.
        drifted(input.address, input.schema, input.rules, saved, Some(found), input.fingerprinter).map(Box::new)
    };
    match changed(input, response, action, why, None) {
        Decision::Change { change, .. } => Decision::Change { change, drift },
        other => other,
    }
}

/// Whether every configured attribute is what state remembers of the last apply.
fn unchanged_config(input: &Input<'_>, saved: &Instance, desired: &Value) -> bool {
    input.schema.schema.attributes.iter().all(|a| {
        let d = desired.get(a.name).unwrap_or(&Value::NULL);
        let s = saved.values.get(a.name).unwrap_or(&Value::NULL);
        a.is_computed() && d.is_null() || input.fingerprinter.same(d, s) || a.equality.same(d, s)
    }) && input.schema.schema.blocks.iter().all(|b| {
        let d = desired.get(b.name).unwrap_or(&Value::NULL);
        let s = saved.values.get(b.name).unwrap_or(&Value::NULL);
        input.fingerprinter.same(d, s)
    })
}

fn verdict(input: &Input<'_>, response: &PlanResponse) -> Verdict {
    match input.preview {
        Some(PreviewResponse::MustReplace(paths)) => Verdict::Replace(paths.clone()),
        _ => response.verdict.clone(),
    }
}

fn replace_action(input: &Input<'_>) -> Action {
    match (input.rule.keep, input.rule.create_before_destroy) {
        (true, _) => Action::ReplaceForget,
        (false, true) => Action::ReplaceCreateFirst,
        (false, false) => Action::Replace,
    }
}

/// The error for a new object that would stand where one is that has to stay.
fn kept(address: &Address, found: &Observed) -> Diagnostic {
    Diagnostic::error(
        "plan::same_identity",
        "The new object cannot be made where the old one stays",
        format!(
            "{address} is replaced, and its old object stays (destroy = false, or it was adopted and not made by mesh), but the new object \
             has the same identity, {:?}. Give the new one another name, or delete the old one yourself and run the same command again.",
            found.identity.0
        ),
    )
    .on(address)
}

/// The error for a new object that would stand where the old one still is.
fn same_identity(address: &Address, found: &Observed) -> Diagnostic {
    Diagnostic::error(
        "plan::same_identity",
        "The new object cannot be made before the old one is deleted",
        format!(
            "{address} is replaced with create_before_destroy (its own, or that of a block that needs it), but the new object has the \
             identity of the old one, {:?}, and both cannot exist at once. Give the new one another name, or take create_before_destroy away.",
            found.identity.0
        ),
    )
    .on(address)
}

/// The error for an object that must stay.
pub fn protected(address: &Address, what: &str, verdict: &Verdict) -> Diagnostic {
    let because = match verdict {
        Verdict::Replace(paths) => {
            format!(
                " because {} cannot change in place",
                paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            )
        }
        _ => String::new(),
    };
    Diagnostic::error(
        "plan::protected",
        "A protected object would be destroyed",
        format!(
            "{address} would be {what}{because}, but it is protected. Change the configuration so that it stays, or, if it really is to \
             go, set lifecycle {{ prevent_destroy = false }}, apply that, and then make this change."
        ),
    )
    .on(address)
}

fn changed(
    input: &Input<'_>,
    response: PlanResponse,
    action: Action,
    reason: Reason,
    importing: Option<String>,
) -> Decision {
    let replace_paths = match verdict(input, &response) {
        Verdict::Replace(paths) => paths,
        _ => Vec::new(),
    };
    let previewed = match input.preview {
        None => Previewed::NotNeeded,
        Some(PreviewResponse::Skipped(why)) => Previewed::Skipped(why),
        // The walk puts it off before this is asked.
        Some(PreviewResponse::Later(_)) => Previewed::Skipped("it has to wait"),
        Some(_) => Previewed::Done,
    };
    Decision::Change {
        change: Box::new(Change {
            address: input.address.clone(),
            previous_address: None,
            deposed: None,
            provider: input.provider.clone(),
            action,
            reason,
            before: response.before,
            after: response.after,
            replace_paths,
            importing,
            previewed,
            notes: response.notes,
            version: match input.seen {
                Seen::Present(observed) => observed.version.clone(),
                Seen::Absent | Seen::Nothing => None,
            },
        }),
        drift: None,
    }
}
