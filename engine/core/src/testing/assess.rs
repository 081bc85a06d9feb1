//! What a run is judged by: its assertions, and the failures that it expects.
//!
//! The one decision: an expected failure is recognised by the place of the condition that failed, since a
//! diagnostic always says that; so conditions need not know that they are tested.

use std::sync::Arc;

use mesh_lang::functions::Context;
use mesh_lang::{Condition, Config, Module, Reference, Scope, Subject, TestRun, suggestion};
use mesh_model::{Diagnostic, Diagnostics, InstanceKey, Kind, Mode, Severity, Span, Step, Value, render};

use super::Status;
use super::rewrite::Values;
use crate::plan;
use crate::world::World;

/// The longest side of a comparison that is shown, in characters.
const LONGEST: usize = 1000;

/// What expressions of a test file see: values given to variables, and outputs of earlier runs.
pub(super) struct Around<'a> {
    pub(super) variables: &'a Values,
    pub(super) runs: &'a Values,
    pub(super) context: &'a Context,
    /// What was planned or applied, in an assertion.
    pub(super) world: Option<&'a World<'a>>,
}

impl Scope for Around<'_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let undeclared = |detail: String| {
            Err(Diagnostic::error("lang::reference", "Reference to something undeclared", detail).at(span))
        };
        if let Subject::Resource { mode: Mode::Managed, ty, name } = subject {
            match (&**ty, self.world) {
                ("run", _) => {
                    return match self.runs.get(name) {
                        Some(outputs) => Ok(outputs.clone()),
                        None => undeclared(format!(
                            "There is no run {:?} before this one whose outputs could be used.",
                            &**name
                        )),
                    };
                }
                ("output", Some(world)) => {
                    return match world.graph.output(0, name) {
                        Some(node) => {
                            Ok(world.get(node, 0).unwrap_or_else(|| Value::unknown(mesh_model::Type::Dynamic)))
                        }
                        None => undeclared(format!(
                            "The module has no output {:?}.{}",
                            &**name,
                            near(name, world.config.root().outputs.iter().map(|o| &*o.name))
                        )),
                    };
                }
                _ => {}
            }
        }
        if let Some(world) = self.world
            && (world.graph.find(0, subject).is_some()
                || !matches!(
                    subject,
                    Subject::Variable(_) | Subject::Local(_) | Subject::Resource { .. } | Subject::Module(_)
                ))
        {
            return world.scope(0, 0).resolve(subject, span);
        }
        match subject {
            Subject::Variable(name) => match self.variables.get(name) {
                Some(value) => Ok(value.clone()),
                None => undeclared(format!("Nothing gives a value for the variable {:?} here.", &**name)),
            },
            Subject::PathModule | Subject::PathRoot => Ok(Value::string(".")),
            Subject::PathCwd => Ok(Value::string(self.context.cwd.to_string_lossy())),
            Subject::Workspace => Ok(Value::string(self.context.workspace.clone())),
            _ if self.world.is_some() => undeclared(format!("The module under test does not declare {subject}.")),
            _ => undeclared(format!(
                "{subject} cannot be used here: values of a test file are made of var.NAME and run.NAME.OUTPUT."
            )),
        }
    }

    fn functions(&self) -> &Context {
        self.context
    }
}

fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> String {
    suggestion(name, names).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default()
}

/// How assertions ended: the worst of them, and what there is to say.
pub(super) fn assertions(asserts: &[Condition], scope: &dyn Scope) -> (Status, Diagnostics) {
    let (mut status, mut found) = (Status::Pass, Diagnostics::new());
    for assert in asserts {
        let (worst, said) = assertion(assert, scope);
        status = status.max(worst);
        found.extend(said);
    }
    (status, found)
}

fn assertion(assert: &Condition, scope: &dyn Scope) -> (Status, Diagnostics) {
    let value = match assert.condition.eval(scope) {
        Ok(value) => value,
        Err(found) => return (Status::Error, found),
    };
    if value.is_unknown() {
        let detail = "The condition needs a value that is known only after apply, and this run only plans. Take the value \
                      out of it, write command = apply, or override the object with override_during = plan.";
        let found = Diagnostic::error("test::unknown", "A condition is not known", detail).at(assert.condition.span());
        return (Status::Error, assert.condition.explain(found, scope).into());
    }
    let Some(found) = plan::check(assert, scope, "test::assert", "An assertion does not hold") else {
        return (Status::Pass, Diagnostics::new());
    };
    if found.code != "test::assert" {
        return (Status::Error, found.into());
    }
    let mut found = found;
    if let Some((left, right)) = assert.condition.sides(scope) {
        found.values.push((LEFT.to_owned(), shown(&left)));
        found.values.push((RIGHT.to_owned(), shown(&right)));
        if !left.all_marks().sensitive()
            && !right.all_marks().sensitive()
            && left.ty() != right.ty()
            && alike(&left, &right)
        {
            found.detail.push_str(
                "\nThe two sides look alike and have different types; a conversion, such as tolist(...) or tostring(...), \
                 makes them comparable.",
            );
        }
    }
    (Status::Fail, found.into())
}

/// What the sides of a comparison are called in [`Diagnostic::values`].
pub const LEFT: &str = "left side";
/// The other one.
pub const RIGHT: &str = "right side";

fn shown(value: &Value) -> String {
    let text = render::inline(value);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("is {}... ({} characters)", &text[..end], text.chars().count()),
        None => format!("is {text}"),
    }
}

fn alike(left: &Value, right: &Value) -> bool {
    let primitive = |v: &Value| matches!(v.kind(), Kind::String(_) | Kind::Number(_) | Kind::Bool(_));
    let text = |v: &Value| v.as_str().map_or_else(|| render::inline(v), str::to_owned);
    text(left) == text(right) || (!primitive(left) && render::inline(left) == render::inline(right))
}

/// Conditions whose failure can be expected.
const CONDITIONS: [&str; 6] = [
    "plan::validation",
    "plan::precondition",
    "plan::postcondition",
    "apply::precondition",
    "apply::postcondition",
    "check::assert",
];

struct Expected<'r> {
    reference: &'r Reference,
    places: Vec<Span>,
    key: Option<InstanceKey>,
}

/// The conditions of what is expected to fail.
fn expected<'r>(config: &Config, reference: &'r Reference) -> Result<Expected<'r>, Diagnostic> {
    let module: &Module = config.root();
    let spans = |list: &[Condition]| list.iter().map(|c| c.condition.span()).collect::<Vec<_>>();
    let places = match &reference.subject {
        Subject::Variable(name) => module.variable(name).map(|v| spans(&v.validations)),
        Subject::Resource { mode: Mode::Managed, ty, name } if &**ty == "output" => {
            module.output(name).map(|o| spans(&o.preconditions))
        }
        Subject::Resource { mode: Mode::Managed, ty, name } if &**ty == "check" => {
            module.checks.iter().find(|c| c.name == *name).map(|c| spans(&c.asserts))
        }
        Subject::Resource { mode, ty, name } => module.resource(*mode, ty, name).map(|r| {
            let mut list = spans(&r.lifecycle.preconditions);
            list.extend(spans(&r.lifecycle.postconditions));
            list
        }),
        _ => {
            let detail = format!(
                "{} has no conditions that could fail. Those of a resource, a data source, an output, a variable or a \
                 check of the module under test can be expected to.",
                reference.subject
            );
            return Err(
                Diagnostic::error("test::expect", "Nothing that can be expected to fail", detail).at(reference.span)
            );
        }
    };
    let key = match reference.rest.first() {
        Some(Step::Key(key)) => Some(InstanceKey::Key(key.clone())),
        Some(Step::Index(i)) => Some(InstanceKey::Index(*i as u64)),
        None => None,
    };
    let missing = || {
        let detail = format!("The module under test does not declare {}.", reference.subject);
        Diagnostic::error("lang::reference", "Reference to something undeclared", detail).at(reference.span)
    };
    Ok(Expected { reference, places: places.ok_or_else(missing)?, key })
}

impl Expected<'_> {
    fn is(&self, d: &Diagnostic) -> bool {
        let at = |span: Span| self.places.contains(&span);
        CONDITIONS.contains(&d.code)
            && (d.span.is_some_and(at) || d.related.iter().any(|(span, _)| at(*span)))
            && self.key.as_ref().is_none_or(|key| d.address.as_ref().is_some_and(|a| a.key.as_ref() == Some(key)))
    }
}

/// Takes out what was expected, and adds what was expected in vain. A check that fails without being
/// expected to is an error here.
pub(super) fn expectations(run: &TestRun, config: &Config, found: Diagnostics) -> Diagnostics {
    let mut out = Diagnostics::new();
    let mut list = Vec::new();
    for reference in &run.expect_failures {
        match expected(config, reference) {
            Ok(one) => list.push((one, false)),
            Err(error) => out.push(error),
        }
    }
    for mut d in found {
        let mut hit = false;
        for (one, met) in &mut list {
            if one.is(&d) {
                (hit, *met) = (true, true);
            }
        }
        if hit {
            continue;
        }
        if d.code == "check::assert" {
            d.severity = Severity::Error;
        }
        out.push(d);
    }
    for (one, _) in list.iter().filter(|(_, met)| !met) {
        let subject = &one.reference.subject;
        let without = if one.places.is_empty() { " It has no conditions." } else { "" };
        let detail = format!("{subject} was expected to fail a condition, but did not.{without}");
        out.push(
            Diagnostic::error("test::expect", "An expected failure did not happen", detail).at(one.reference.span),
        );
    }
    out
}

/// Whether a failure of a plan is an expected one.
pub(super) fn is_expected(run: &TestRun, config: &Config, d: &Diagnostic) -> bool {
    run.expect_failures.iter().filter_map(|r| expected(config, r).ok()).any(|one| one.is(d))
}

/// Names that nothing declares, in a run over a module. `before`: runs whose outputs can be used.
pub(super) fn names(run: &TestRun, config: &Config, before: &[Arc<str>], given: &dyn Fn(&str) -> bool) -> Diagnostics {
    let module = config.root();
    let mut found = Diagnostics::new();
    let asserts = run
        .asserts
        .iter()
        .flat_map(|a| a.condition.references().into_iter().chain(a.error_message.references()).map(|r| (r, true)));
    let values = run.variables.iter().flat_map(|(_, e)| e.references().into_iter().map(|r| (r, false)));
    for (reference, inside) in asserts.chain(values) {
        let known = match &reference.subject {
            Subject::Resource { mode: Mode::Managed, ty, name } if &**ty == "run" => before.contains(name),
            Subject::Variable(name) => given(name) || inside && module.variable(name).is_some(),
            _ if !inside => true,
            Subject::Resource { mode: Mode::Managed, ty, name } if &**ty == "output" => module.output(name).is_some(),
            Subject::Resource { mode, ty, name } => module.resource(*mode, ty, name).is_some(),
            Subject::Local(name) => module.local(name).is_some(),
            Subject::Module(name) => module.call(name).is_some(),
            _ => true,
        };
        if !known {
            let what = match &reference.subject {
                Subject::Resource { ty, .. } if &**ty == "run" => "No run before this one has this name",
                _ => "The module under test declares nothing of this name",
            };
            let detail = format!("{}: {what}.", reference.subject);
            found.push(
                Diagnostic::error("lang::reference", "Reference to something undeclared", detail).at(reference.span),
            );
        }
    }
    found.0.extend(run.expect_failures.iter().filter_map(|r| expected(config, r).err()));
    found
}
