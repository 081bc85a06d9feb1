//! Where state is: the `mesh { backend "..." { ... } }` block, against the table of backends.
//!
//! The one decision: settings are needed before anything is evaluated, so they refer to variables only; each is
//! converted to what the backend's schema says, and everything that is wrong is said at its line.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use mesh_core::Inputs;
use mesh_lang::functions::Context;
use mesh_lang::{Body, Config, Scope, Subject, check_body, eval_body, suggestion};
use mesh_model::{Diagnostic, Diagnostics, Span, Value};
use mesh_state::{Backend, BackendKind, LocalBackend, STATE, Settings};

use super::encryption::encryption;
use super::options::StateArgs;
use super::project::services;
use crate::ui::{Failure, Ui};

const CODE: &str = "cli::backend";
const SUMMARY: &str = "Bad state backend";

/// The backend of a configuration: `-state`, the `mesh` block, or the file in the root folder.
///
/// # Errors
/// A backend that this version does not have, settings that it does not take.
pub(crate) fn backend(
    ui: &Ui,
    config: &Config,
    inputs: &Inputs,
    state: &StateArgs,
) -> Result<Arc<dyn Backend>, Failure> {
    let scope = Variables { config, inputs };
    let encryption = encryption(config, &scope, &services(ui))?;
    let settings = |values| Settings { values, env: &ui.env, encryption: encryption.as_ref() };
    let Some((name, body)) = config.root().settings.backend.as_ref().filter(|_| state.state.is_none()) else {
        return Ok(Arc::new(settings(&Value::NULL).local(path(state))));
    };
    let kinds = mesh_backends::all();
    let Some(kind) = kinds.iter().find(|k| k.name == name) else {
        let names: Vec<&str> = kinds.iter().map(|k| k.name).collect();
        let hint = suggestion(name, names.iter().copied()).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
        let detail = format!("There is no backend {name:?}.{hint} This version has: {}.", names.join(", "));
        return Err(Diagnostic::error(CODE, SUMMARY, detail).at(body.span).into());
    };
    let values = values(kind, body, &scope)?;
    (kind.open)(&settings(&values)).map_err(|bad| {
        let attribute = bad.setting.and_then(|name| body.attribute(name));
        Diagnostic::error(CODE, SUMMARY, bad.why).at(attribute.map_or(body.span, |a| a.expr.span())).into()
    })
}

/// What a backend cannot promise, in words; `None` for one that keeps all promises.
pub(crate) fn weaker(backend: &dyn Backend) -> Option<String> {
    let has = backend.capabilities();
    let missing = [
        (
            has.per_operation_journal,
            "the journal of this run is on this machine until its stage ends: after a crash, go on from here",
        ),
        (has.fencing, "a run whose lock was broken can still write"),
        (has.history, "earlier serials cannot be read from it"),
    ];
    let words: Vec<&str> = missing.iter().filter(|(has, _)| !has).map(|(_, words)| *words).collect();
    (!words.is_empty()).then(|| format!("Note: of the {}: {}.\n", backend.describe(), words.join("; ")))
}

/// The state file where there is no configuration.
pub(crate) fn file(state: &StateArgs) -> Arc<dyn Backend> {
    Arc::new(LocalBackend::new(path(state)))
}

fn path(state: &StateArgs) -> &Path {
    state.state.as_deref().unwrap_or(Path::new(STATE))
}

/// The settings of a block as one object.
fn values(kind: &BackendKind, body: &Body, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let mut found = check_body(body, &kind.settings, &format!("backend {:?}", kind.name));
    if found.has_errors() {
        return Err(found);
    }
    let values = eval_body(body, &kind.settings, scope)?;
    for attribute in &kind.settings.attributes {
        let value = values.get(attribute.name).filter(|_| !attribute.sensitive);
        if let (Some(true), Some(given)) = (value.map(|v| !v.all_marks().is_empty()), body.attribute(attribute.name)) {
            let detail =
                format!("{} is shown in messages, so it must be neither sensitive nor ephemeral.", attribute.name);
            found.push(Diagnostic::error(CODE, SUMMARY, detail).at(given.expr.span()));
        }
    }
    if !values.is_wholly_known() || values.has_withheld() {
        let detail = "All of it must be known before anything is planned.";
        found.push(Diagnostic::error(CODE, SUMMARY, detail).at(body.span));
    }
    if found.has_errors() { Err(found) } else { Ok(values.reveal_deep().0) }
}

/// What settings may refer to: variables only.
struct Variables<'v> {
    config: &'v Config,
    inputs: &'v Inputs,
}

impl Scope for Variables<'_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        if let Subject::Variable(name) = subject
            && let Some(variable) = self.config.root().variable(name)
        {
            return mesh_core::inputs::value(variable, self.inputs.get(&**name)).map_err(|found| {
                found.into_iter().next().unwrap_or_else(|| Diagnostic::error(CODE, SUMMARY, "A variable has no value."))
            });
        }
        let detail = "Settings of the backend are needed before anything else, so they may refer to variables only.";
        Err(Diagnostic::error(CODE, SUMMARY, detail).at(span))
    }

    fn functions(&self) -> &Context {
        static NONE: OnceLock<Context> = OnceLock::new();
        NONE.get_or_init(|| Context::new("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_cannot_promise_is_said() {
        assert_eq!(weaker(&LocalBackend::new("x")), None);
        let values = Value::object([
            ("address", Value::string("http://127.0.0.1:9/s")),
            ("update_method", Value::string("POST")),
        ]);
        let http = mesh_backends::all().into_iter().find(|k| k.name == "http").expect("a row");
        let settings = Settings { values: &values, env: &std::collections::BTreeMap::new(), encryption: None };
        let backend = (http.open)(&settings).expect("settings");
        let said = weaker(&*backend).expect("it promises less");
        for part in ["state behind http://127.0.0.1:9/s", "on this machine", "lock was broken", "earlier serials"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
