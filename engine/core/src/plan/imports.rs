//! `import` blocks: objects that exist and become instances of this state.
//!
//! The one decision: an import is an adoption that was asked for by name. It says which object the
//! instance is, then observing and deciding go the usual way; an instance that state knows already
//! makes its import a word without effect, so that the block may stay.

use std::collections::HashMap;

use mesh_lang::{Expr, Import, Resource, Scope};
use mesh_model::{Address, Diagnostic, Diagnostics, InstanceKey, Kind, Mode, ModulePath, Span};

use super::Planner;
use crate::world::{Expansion, expand};

/// What is imported into a block: the words for the object, and where they stand.
pub(super) type Imports = HashMap<Address, (String, Span)>;

/// Why there is no answer.
pub(super) enum Missing {
    /// It is known only after other changes.
    Later,
    /// It was reported.
    Failed,
}

impl Planner<'_, '_> {
    /// The imports into a block.
    pub(super) fn imports(&self, node: u32, module: usize, block: &Resource) -> Result<Imports, Missing> {
        let mut out = Imports::new();
        let path = &self.config.modules[module].path;
        let here = |i: &&Import| i.ty == block.ty && i.name == block.name && i.module.iter().map(|(n, _)| n).eq(path);
        for import in self.config.root().imports.iter().filter(here) {
            match self.one(import, &mut out) {
                Ok(true) => {}
                Ok(false) => return Err(Missing::Later),
                Err(diagnostics) => {
                    self.say_all(node, diagnostics);
                    return Err(Missing::Failed);
                }
            }
        }
        Ok(out)
    }

    /// Adds what one block imports; `false` where that is not known yet.
    fn one(&self, import: &Import, out: &mut Imports) -> Result<bool, Diagnostics> {
        let root = self.world.scope(0, 0);
        let Expansion::Known(list) = expand(None, import.for_each.as_ref(), &root, 0)? else { return Ok(false) };
        for repetition in list {
            let scope = self.world.scope(0, 0).repeated(&repetition);
            let Some(text) = id(import, &scope)? else { return Ok(false) };
            let mut steps = Vec::with_capacity(import.module.len());
            for (name, expr) in &import.module {
                let Some(key) = key(expr.as_ref(), &scope)? else { return Ok(false) };
                steps.push((name.clone(), key));
            }
            let Some(key) = key(import.key.as_ref(), &scope)? else { return Ok(false) };
            let address = Address {
                module: ModulePath(steps.into()),
                mode: Mode::Managed,
                ty: import.ty.clone(),
                name: import.name.clone(),
                key,
            };
            if let Some((_, first)) = out.insert(address.clone(), (text, import.id.span())) {
                let detail = format!("Two imports name {address}; one instance is one object.");
                return Err(Diagnostic::error("plan::import_twice", "Imported twice", detail)
                    .at(import.to)
                    .with(first, "and here")
                    .into());
            }
        }
        Ok(true)
    }

    /// Reports imports for which there is no instance.
    pub(super) fn imports_left(&self, node: u32, imports: Imports) {
        let mut left: Vec<_> = imports
            .into_iter()
            .filter(|(a, _)| !self.out.borrow().handled.contains(a) && self.selection.instance(a))
            .collect();
        left.sort();
        for (address, (_, span)) in left {
            let detail = format!("The configuration makes no instance {address}, so nothing can be imported there.");
            self.say(node, Diagnostic::error("plan::import_target", "Import into nothing", detail).at(span));
        }
    }
}

/// What an import calls its object; `None` where that is not known yet.
pub(super) fn id(import: &Import, scope: &dyn Scope) -> Result<Option<String>, Diagnostics> {
    let id = import.id.eval(scope)?;
    if id.is_unknown() {
        return Ok(None);
    }
    match id.as_str().filter(|t| !t.is_empty() && id.marks().is_empty()) {
        Some(text) => Ok(Some(text.to_owned())),
        None => {
            let detail =
                "The id of an import is a text that is not empty, sensitive or ephemeral: it is shown in plans.";
            Err(Diagnostic::error("plan::import_id", "Invalid id of an import", detail).at(import.id.span()).into())
        }
    }
}

/// The key that an expression gives; `None` where it is not known yet.
pub(super) fn key(expr: Option<&Expr>, scope: &dyn Scope) -> Result<Option<Option<InstanceKey>>, Diagnostics> {
    let Some(expr) = expr else { return Ok(Some(None)) };
    let value = expr.eval(scope)?;
    let index = value.as_i64().and_then(|n| u64::try_from(n).ok());
    match (value.kind(), index) {
        _ if !value.marks().is_empty() => {}
        (Kind::Unknown(_), _) => return Ok(None),
        (Kind::String(text), _) => return Ok(Some(Some(InstanceKey::Key(text.clone())))),
        (Kind::Number(_), Some(n)) => return Ok(Some(Some(InstanceKey::Index(n)))),
        _ => {}
    }
    let detail = "A key is a text or a whole number of 0 or more, and it is shown in plans.";
    Err(Diagnostic::error("plan::key", "Invalid key", detail).at(expr.span()).into())
}
