//! What the blocks of imports would say that have none yet.
//!
//! The one decision: the object is looked at by what the import calls it, without any configuration, and
//! its values are handed out as they are; which of them belong in a block is read from the schema by
//! whoever writes it. Nothing is guessed: a type that cannot be looked at so is an error.

use std::sync::Arc;

use mesh_lang::{Config, Import};
use mesh_model::snapshot::Identity;
use mesh_model::{Address, Diagnostic, Diagnostics, Mode, ModulePath, Value};
use mesh_sdk::marks::mark_sensitive;
use mesh_sdk::{Imported, Observation, ObserveRequest};

use super::Planner;
use super::imports::id;
use crate::engine::Engine;

/// An object that an import names, for which there is no block yet.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Where its block belongs.
    pub address: Address,
    /// What the import calls it.
    pub id: String,
    /// `provider = ...` of the import, as it is written.
    pub provider: Option<String>,
    /// What is there, secrets marked.
    pub values: Value,
}

/// Imports into the root module whose block is not there.
fn without_block(config: &Config) -> impl Iterator<Item = &Import> {
    let root = config.root();
    root.imports.iter().filter(|i| i.module.is_empty() && root.resource(Mode::Managed, &i.ty, &i.name).is_none())
}

fn provider(engine: &Engine, import: &Import) -> Option<Arc<str>> {
    match &import.provider {
        Some(written) => Some(match &written.alias {
            Some(alias) => Arc::from(format!("{}.{alias}", written.name)),
            None => written.name.clone(),
        }),
        None => engine.provider_of(Mode::Managed, &import.ty).map(|p| Arc::from(p.schema().name)),
    }
}

/// The providers that imports without a block need.
pub(crate) fn providers(engine: &Engine, config: &Config) -> Vec<Arc<str>> {
    without_block(config).filter_map(|i| provider(engine, i)).collect()
}

impl Planner<'_, '_> {
    /// Whether a provider is needed for an import without a block.
    pub(super) fn generates_with(&self, position: usize) -> bool {
        let key = &self.graph.providers[position].key;
        self.options.generate && providers(self.engine, self.config).contains(key)
    }

    /// Looks at what imports without a block name.
    pub(super) async fn generate(&self) {
        for import in without_block(self.config) {
            match self.look_at(import).await {
                Ok(Some(generated)) => self.out.borrow_mut().generated.push(generated),
                // What kept the provider from being configured was said.
                Ok(None) => {}
                Err(found) => self.out.borrow_mut().diagnostics.extend(found),
            }
        }
    }

    async fn look_at(&self, import: &Import) -> Result<Option<Generated>, Diagnostics> {
        let refused = |detail: String| {
            let error = Diagnostic::error("plan::generate", "A block cannot be generated", detail);
            Err(Diagnostics::from(error.at(import.to)))
        };
        let (ty, name) = (&import.ty, &import.name);
        let Some((schema, rules)) = self.engine.schema(Mode::Managed, ty).zip(self.engine.rules(Mode::Managed, ty))
        else {
            let near = mesh_lang::suggestion(ty, self.engine.type_names(Mode::Managed));
            let near = near.map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
            return refused(format!("No provider has a resource type {ty:?}.{near}"));
        };
        let Some(id) = id(import, &self.world.scope(0, 0))? else {
            return refused(
                "The id is known only after other changes. Write it as a text, or apply those first.".into(),
            );
        };
        let key = provider(self.engine, import).unwrap_or_default();
        let found = self.graph.providers.iter().position(|p| p.key == key);
        let session = found.and_then(|p| self.providers.borrow()[p].session.clone());
        let Some(session) = session else {
            let wrong = self.out.borrow().diagnostics.has_errors();
            return if wrong {
                Ok(None)
            } else {
                refused(format!("The provider {key:?} is configured from what is known only after other changes."))
            };
        };
        let address =
            Address { module: ModulePath::root(), mode: Mode::Managed, ty: ty.clone(), name: name.clone(), key: None };
        let values = match rules.import(&id, &Value::NULL) {
            Ok(Imported::Only(observed)) => observed.values,
            by_name => {
                // There is no configuration that could say anything else than the id.
                let identity = match by_name {
                    Ok(Imported::At(identity)) => identity,
                    _ => Identity(Arc::from(id.as_str())),
                };
                let request = ObserveRequest {
                    address: address.clone(),
                    ty: ty.clone(),
                    identity: Some(identity),
                    saved: None,
                    desired: None,
                    private: None,
                };
                match session.observe(vec![request]).await.pop() {
                    Some(Ok(Observation::Present(observed))) => observed.values,
                    Some(Err(e)) => {
                        return Err(Diagnostic::from(e).at(import.to).on(&address).into());
                    }
                    Some(Ok(Observation::Absent)) | None => {
                        let detail =
                            format!("There is no {id:?} to import as {address}. Correct the id of the import block.");
                        let missing = Diagnostic::error("plan::import_missing", "Nothing there to import", detail);
                        return Err(missing.at(import.id.span()).on(&address).into());
                    }
                }
            }
        };
        let values = rules.mark(mark_sensitive(&schema.schema, &values));
        let provider = import.provider.as_ref().map(|_| key.to_string());
        Ok(Some(Generated { address, id, provider, values }))
    }
}
