//! What every command of the engine has in common: providers, services, and where events go.

use std::collections::HashMap;
use std::sync::Arc;

use mesh_model::{Mode, ResourceSchema};
use mesh_sdk::{Provider, Rules, Services};

use crate::event::Sink;

/// The engine's surroundings.
pub struct Engine {
    providers: Vec<Arc<dyn Provider>>,
    types: HashMap<&'static str, usize>,
    data: HashMap<&'static str, usize>,
    /// What providers may use.
    pub services: Services,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
}

impl Engine {
    /// With a table of providers.
    pub fn new(providers: Vec<Arc<dyn Provider>>, services: Services, sink: Arc<dyn Sink>) -> Self {
        let mut types = HashMap::new();
        let mut data = HashMap::new();
        for (i, provider) in providers.iter().enumerate() {
            types.extend(provider.schema().resources.keys().map(|t| (*t, i)));
            data.extend(provider.schema().data.keys().map(|t| (*t, i)));
        }
        Self { providers, types, data, services, sink }
    }

    /// The provider of a name.
    pub fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.iter().find(|p| p.schema().name == name)
    }

    /// All providers.
    pub fn providers(&self) -> &[Arc<dyn Provider>] {
        &self.providers
    }

    /// Names of all providers that take a configuration or have types.
    pub fn provider_names(&self) -> Vec<&'static str> {
        self.providers.iter().map(|p| p.schema().name).collect()
    }

    /// The provider of a type.
    pub fn provider_of(&self, mode: Mode, ty: &str) -> Option<&Arc<dyn Provider>> {
        let table = if mode == Mode::Data { &self.data } else { &self.types };
        table.get(ty).map(|i| &self.providers[*i])
    }

    /// The pure hooks of a resource type.
    pub fn rules(&self, mode: Mode, ty: &str) -> Option<&dyn Rules> {
        self.provider_of(mode, ty)?.rules(ty)
    }

    /// The schema of a type.
    pub fn schema(&self, mode: Mode, ty: &str) -> Option<&ResourceSchema> {
        let schema = self.provider_of(mode, ty)?.schema();
        if mode == Mode::Data { schema.data.get(ty) } else { schema.resources.get(ty) }
    }

    /// All type names of a mode, for suggestions.
    pub fn type_names(&self, mode: Mode) -> impl Iterator<Item = &'static str> {
        (if mode == Mode::Data { &self.data } else { &self.types }).keys().copied()
    }
}
