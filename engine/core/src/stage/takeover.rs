//! Objects that another program's state remembers, looked at before they are taken into this one.
//!
//! The one decision: they are refreshed. For one plan that nobody applies, the snapshot holds them as if they were
//! ours, so providers are configured and asked as always, and what is recorded is what was seen, never what the other
//! program remembers. Nothing is written here.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use mesh_model::{Action, Address, Change, Diagnostics, Instance, Kind, Path, Selector, Step, Value};
use mesh_sdk::marks::mark_sensitive;

use super::{Run, state_diagnostics};
use crate::plan::{self, Item, Mode, Options, Planning};

/// An object as it is known elsewhere.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// What is known of it, in the shape of its type; secrets withheld.
    pub instance: Instance,
    /// Which of its values are sensitive beyond what the type says.
    pub sensitive: Vec<Path>,
}

/// What became of the look.
#[derive(Clone, Debug)]
pub enum Found {
    /// What state is to remember of it.
    There(Arc<Instance>),
    /// It is not there.
    Gone,
    /// It cannot be looked at before other changes, for this reason.
    Later(String),
}

impl Run<'_> {
    /// Looks at objects that state does not know, by what is known of them elsewhere.
    ///
    /// # Errors
    /// State that cannot be read, errors of the configuration, and objects that cannot be looked at.
    pub async fn look_at(&self, foreign: &BTreeMap<Address, Foreign>) -> Result<BTreeMap<Address, Found>, Diagnostics> {
        if foreign.is_empty() {
            return Ok(BTreeMap::new());
        }
        let fingerprinter = self.backend.fingerprinter().await.map_err(|e| state_diagnostics(&e))?;
        let mut snapshot = self.backend.snapshot().await.map_err(|e| state_diagnostics(&e))?;
        snapshot.instances.extend(foreign.iter().map(|(a, f)| (a.clone(), Arc::new(f.instance.clone()))));
        let moved = plan::moved(self.config, snapshot.clone());
        // Where they are after all moves; a plan that leaves a move out is an error.
        let left: BTreeSet<&Address> = moved.iter().map(|(from, _)| from).collect();
        let places = foreign.keys().chain(moved.iter().map(|(_, to)| to)).filter(|a| !left.contains(a));
        let blocks: BTreeSet<Address> = places.map(|a| Address { key: None, ..a.clone() }).collect();
        let options = Options {
            mode: Mode::RefreshOnly,
            targets: blocks.into_iter().map(Selector::Resource).collect(),
            ..self.options.clone()
        };
        let graph = self.prepare(&snapshot)?;
        let planning = plan::plan(self.engine, self.request(&graph, snapshot, fingerprinter, &options)).await;
        let closed = self.engine.close().await;
        let errors = planning.diagnostics.iter().chain(closed.iter()).filter(|d| d.is_error());
        let errors: Vec<_> = errors.cloned().collect();
        if !errors.is_empty() {
            return Err(Diagnostics(errors));
        }
        let changes = planning.plan.changes.iter().zip(&planning.items);
        let seen: HashMap<_, _> =
            changes.map(|(c, item)| (c.previous_address.as_ref().unwrap_or(&c.address), (c, item))).collect();
        let found = foreign.iter().map(|(a, f)| (a.clone(), self.found(&planning, seen.get(a).copied(), a, f)));
        Ok(found.collect())
    }

    fn found(
        &self,
        planning: &Planning<'_>,
        seen: Option<(&Change, &Item)>,
        address: &Address,
        foreign: &Foreign,
    ) -> Found {
        let Some((change, item)) = seen else {
            let waits = planning.plan.deferred.iter().find(|d| d.resource == address.resource());
            let why = waits.map_or("what it needs is known only after other changes", |d| &d.reason);
            return Found::Later(why.to_owned());
        };
        let Some(observed) = item.observed.as_ref().filter(|_| change.action == Action::NoOp) else {
            return Found::Gone;
        };
        let (mode, ty) = (address.mode, &address.ty);
        let values = match self.engine.schema(mode, ty).zip(self.engine.rules(mode, ty)) {
            Some((schema, rules)) => rules.mark(mark_sensitive(&schema.schema, &observed.values)),
            None => observed.values.clone(),
        };
        let provider = &planning.providers[item.provider];
        Found::There(Arc::new(Instance {
            provider: provider.key.clone(),
            values: planning.fingerprinter.withhold(&mark(&values, &foreign.sensitive)),
            identity: Some(observed.identity.clone()),
            target: provider.session.as_ref().and_then(|s| s.target()),
            private: observed.private.clone(),
            ..foreign.instance.clone()
        }))
    }
}

/// A value in which what the paths lead to is sensitive; where one leads on into what is not there, or has no places
/// (a set), what it came to is.
pub fn mark(value: &Value, paths: &[Path]) -> Value {
    // An attribute that the type does not have is no part of the value.
    let here = paths.iter().filter(|p| p.root().is_none_or(|name| value.get(name).is_some()));
    here.fold(value.clone(), |value, path| marked(&value, &path.0))
}

fn marked(value: &Value, steps: &[Step]) -> Value {
    let whole = || value.clone().sensitive();
    let Some((step, rest)) = steps.split_first().filter(|_| !value.is_null()) else {
        return if value.is_null() { value.clone() } else { whole() };
    };
    match (step, value.kind()) {
        (Step::Key(name), _) => match value.get(name) {
            Some(inner) => value.with(name, marked(inner, rest)),
            None => whole(),
        },
        (Step::Index(at), Kind::List(_, items) | Kind::Tuple(items)) if *at < items.len() => {
            let place = Cell::new(0);
            value.map_children(&|item| {
                if place.replace(place.get() + 1) == *at { marked(item, rest) } else { item.clone() }
            })
        }
        (Step::Index(_), _) => whole(),
    }
}

#[cfg(test)]
mod tests {
    use mesh_model::Type;

    use super::*;

    #[test]
    fn marks_are_put_where_paths_lead_or_around_it() {
        let text = |t: &str| Value::string(t);
        let value = Value::object([
            ("list", Value::tuple(vec![text("a"), text("secret")])),
            ("object", Value::object([("pin", text("secret")), ("user", text("u"))])),
            ("set", Value::set(Type::String, vec![text("secret")])),
            ("open", text("o")),
            ("null", Value::NULL),
        ]);
        let key = |k: &str| Step::Key(k.into());
        let paths = [
            Path(vec![key("list"), Step::Index(1)]),
            Path(vec![key("object"), key("pin")]),
            Path(vec![key("set"), Step::Index(0)]),
            Path(vec![key("null"), key("x")]),
            Path(vec![key("elsewhere"), key("x")]),
        ];
        let shown = mesh_model::render::inline(&mark(&value, &paths));
        assert!(!shown.contains("secret\""), "{shown}");
        for open in ["\"a\"", "\"u\"", "\"o\""] {
            assert!(shown.contains(open), "{shown}");
        }
        assert!(
            !mesh_model::render::inline(&mark(&value, &[Path(vec![key("object"), key("gone")])])).contains("\"u\"")
        );
    }
}
