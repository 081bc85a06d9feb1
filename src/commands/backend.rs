//! Where state is: the `mesh { backend "..." { ... } }` block, against the table of backends.
//!
//! The one decision: settings are needed before anything is evaluated, so they refer to variables only; each is
//! converted to what the backend's schema says, and everything that is wrong is said at its line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use mesh_core::Inputs;
use mesh_lang::functions::{Context, DEFAULT_WORKSPACE};
use mesh_lang::{Body, Config, Scope, Subject, check_body, eval_body, suggestion};
use mesh_model::{Attribute, Diagnostic, Diagnostics, Schema, Span, Type, Value};
use mesh_state::seen::{Origin, Seen, Watched};
use mesh_state::{Backend, BackendKind, Home, Retention, STATE, Settings};

use super::encryption::{Configured, encryption};
use super::options::StateArgs;
use super::project::services;
use super::workspace;
use crate::ui::{Failure, Ui};

const CODE: &str = "cli::backend";
const SUMMARY: &str = "Bad state backend";

/// What this machine has seen last of states.
pub(crate) const SEEN: &str = ".mesh/seen.json";

/// Where the states of a configuration are, one for each workspace.
pub(crate) struct Places {
    kind: BackendKind,
    values: Value,
    env: Arc<BTreeMap<String, String>>,
    pub(crate) encryption: Option<Configured>,
    retention: Retention,
    /// The block, and the values in it.
    spans: Option<(Span, BTreeMap<String, Span>)>,
    /// Where states were seen; `None` for a file that was named for this one command.
    seen: Option<Seen>,
    /// The selected workspace, where it is not the default one.
    pub(crate) selected: Option<String>,
}

impl Places {
    /// `-state`, the `mesh` block, or the file in the root folder.
    ///
    /// # Errors
    /// A backend that this version does not have, settings that it does not take.
    pub(crate) fn of(ui: &Ui, config: &Config, inputs: &Inputs, state: &StateArgs) -> Result<Self, Failure> {
        let scope = Variables { config, inputs };
        let settings = &config.root().settings;
        let places = Self {
            encryption: encryption(config, &scope, &services(ui))?,
            retention: retention(settings.history.as_ref(), &scope)?,
            ..Self::file(ui, state)?
        };
        let Some((name, body)) = settings.backend.as_ref().filter(|_| state.state.is_none()) else { return Ok(places) };
        let kind = kind(name).map_err(|detail| Diagnostic::error(CODE, SUMMARY, detail).at(body.span))?;
        let values = values(&kind, body, &scope)?;
        let given = body.attributes.iter().map(|a| (a.name.to_string(), a.expr.span())).collect();
        Ok(Self { kind, values, spans: Some((body.span, given)), ..places })
    }

    /// Where there is no configuration: the file.
    ///
    /// # Errors
    /// A selected workspace whose name is none.
    pub(crate) fn file(ui: &Ui, state: &StateArgs) -> Result<Self, Failure> {
        let path = state.state.as_deref().unwrap_or(Path::new(STATE));
        let named = state.state.is_some();
        Ok(Self {
            kind: mesh_state::local::kind(),
            values: Value::object([("path", Value::string(path.to_string_lossy()))]),
            env: ui.env.clone(),
            encryption: None,
            retention: Retention::default(),
            spans: None,
            seen: (!named).then(|| Seen::new(SEEN)),
            selected: if named { None } else { workspace::selected(ui)? },
        })
    }

    /// The same where they were before, as far as it is remembered; what is sensitive comes from these settings or the
    /// environment.
    pub(crate) fn at(&self, origin: &Origin) -> Option<Self> {
        let kind = kind(&origin.backend).ok()?;
        let value = |a: &mesh_model::Attribute| {
            let kept = origin.settings.get(a.name).map(mesh_model::json::from_json);
            let here = || self.values.get(a.name).filter(|_| kind.name == self.kind.name && a.sensitive).cloned();
            (a.name, kept.or_else(here).unwrap_or(Value::NULL))
        };
        Some(Self {
            values: Value::object(kind.settings.attributes.iter().map(value)),
            kind,
            env: self.env.clone(),
            encryption: self.encryption.clone(),
            spans: None,
            seen: None,
            selected: None,
            retention: self.retention,
        })
    }

    /// What is remembered of where they are.
    pub(crate) fn origin(&self) -> Origin {
        let kept = self.kind.settings.attributes.iter().filter(|a| !a.sensitive);
        let given = kept.filter_map(|a| Some((a.name, self.values.get(a.name).filter(|v| !v.is_null())?)));
        let settings = given.map(|(name, value)| (name.to_owned(), mesh_model::json::reveal_json(value))).collect();
        Origin { backend: self.kind.name.to_owned(), settings: serde_json::Value::Object(settings) }
    }

    /// The state of a workspace, whatever was seen of it before.
    ///
    /// # Errors
    /// Settings that open nothing.
    pub(crate) fn open(&self, workspace: Option<&str>) -> Result<Arc<dyn Home>, Failure> {
        let settings = Settings {
            encryption: self.encryption.as_ref().map(|c| &c.encryption),
            workspace,
            retention: self.retention,
            ..Settings::new(&self.values, &self.env)
        };
        (self.kind.open)(&settings).map_err(|bad| {
            let error = Diagnostic::error(CODE, SUMMARY, bad.why);
            let Some((block, given)) = &self.spans else { return error.into() };
            error.at(bad.setting.and_then(|name| given.get(name)).copied().unwrap_or(*block)).into()
        })
    }

    /// The state of the selected workspace.
    ///
    /// # Errors
    /// As [`Places::open`].
    pub(crate) fn state(&self) -> Result<Arc<dyn Home>, Failure> {
        let inner = self.open(self.selected.as_deref())?;
        let Some(seen) = &self.seen else { return Ok(inner) };
        let name = self.selected.as_deref().unwrap_or(DEFAULT_WORKSPACE);
        Ok(Arc::new(Watched::new(inner, seen.clone(), self.origin(), name, self.selected.is_some())))
    }
}

/// The backend of a name; else what to say about the name.
pub(crate) fn kind(name: &str) -> Result<BackendKind, String> {
    let mut kinds = mesh_backends::all();
    if let Some(at) = kinds.iter().position(|k| k.name == name) {
        return Ok(kinds.swap_remove(at));
    }
    let names: Vec<&str> = kinds.iter().map(|k| k.name).collect();
    let hint = suggestion(name, names.iter().copied()).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
    Err(format!("There is no backend {name:?}.{hint} This version has: {}.", names.join(", ")))
}

/// How much of the history a configuration keeps.
fn retention(body: Option<&Body>, scope: &dyn Scope) -> Result<Retention, Diagnostics> {
    let usual = Retention::default();
    let Some(body) = body else { return Ok(usual) };
    let schema = history();
    let checked = check_body(body, &schema, "the history block");
    if checked.has_errors() {
        return Err(checked);
    }
    let values = eval_body(body, &schema, scope)?;
    let number = |name: &str, usual: u64| match values.get(name).filter(|v| !v.is_null()) {
        None => Ok(usual),
        Some(value) => {
            let number = value
                .reveal_deep()
                .0
                .as_number()
                .and_then(|n| n.to_i64())
                .filter(|n| *n >= 1)
                .and_then(|n| u64::try_from(n).ok());
            number.ok_or_else(|| {
                let span = body.attribute(name).map_or(body.span, |a| a.expr.span());
                Diagnostic::error(CODE, SUMMARY, format!("{name} must be a known whole number from 1 on.")).at(span)
            })
        }
    };
    let entries = number("serials", usual.entries as u64)?;
    Ok(Retention { entries: usize::try_from(entries).unwrap_or(usize::MAX), bytes: number("bytes", usual.bytes)? })
}

/// What a `history` block takes.
pub(crate) fn history() -> Schema {
    Schema::of([
        Attribute::optional(
            "serials",
            Type::Number,
            "How many serials are kept. Default 50; the two newest always are.",
        ),
        Attribute::optional("bytes", Type::Number, "How many bytes all of them take together. Default 512 MiB."),
    ])
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
    use mesh_state::LocalBackend;

    use super::*;

    #[test]
    fn what_a_backend_cannot_promise_is_said() {
        assert_eq!(weaker(&LocalBackend::new("x")), None);
        let values = Value::object([
            ("address", Value::string("http://127.0.0.1:9/s")),
            ("update_method", Value::string("POST")),
        ]);
        let http = mesh_backends::all().into_iter().find(|k| k.name == "http").expect("a row");
        let env = BTreeMap::new();
        let settings = Settings::new(&values, &env);
        let backend = (http.open)(&settings).expect("settings");
        let said = weaker(&*backend).expect("it promises less");
        for part in ["state behind http://127.0.0.1:9/s", "on this machine", "lock was broken", "earlier serials"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
