//! What every command of the engine has in common: providers, services, and where events go.

use std::collections::HashMap;
use std::sync::Arc;

use mesh_model::{Diagnostics, Mode, RecipientNeed, ResourceSchema, Value};
use mesh_sdk::{Provider, Rules, Services};

use crate::event::Sink;
use crate::live::Live;

/// The engine's surroundings.
pub struct Engine {
    providers: Vec<Arc<dyn Provider>>,
    types: HashMap<(Mode, &'static str), usize>,
    /// What providers may use.
    pub services: Services,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// Those who can open the keys of the state.
    pub keepers: Vec<Keeper>,
    /// What the run has open.
    pub(crate) live: Live,
}

/// Somebody who can open the keys of a state, and the objects that are needed for it.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// What it is called: `hsm "kek"`.
    pub name: String,
    /// Each with the value of its attribute.
    pub needs: Vec<(RecipientNeed, Value)>,
}

impl Engine {
    /// With a table of providers.
    pub fn new(providers: Vec<Arc<dyn Provider>>, services: Services, sink: Arc<dyn Sink>) -> Self {
        let mut types = HashMap::new();
        for (i, provider) in providers.iter().enumerate() {
            for mode in [Mode::Managed, Mode::Data, Mode::Ephemeral] {
                types.extend(provider.schema().types(mode).keys().map(|t| ((mode, *t), i)));
            }
        }
        let live = Live::new(sink.clone());
        Self { providers, types, services, sink, keepers: Vec::new(), live }
    }

    /// Closes what the run has open: ephemeral objects and provider sessions, the newest first. Every
    /// command that makes a run does this itself; it is for those that are cut off.
    pub async fn close(&self) -> Diagnostics {
        self.live.close().await
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
        self.types.get(&(mode, ty)).map(|i| &self.providers[*i])
    }

    /// The pure hooks of a resource type.
    pub fn rules(&self, mode: Mode, ty: &str) -> Option<&dyn Rules> {
        self.provider_of(mode, ty)?.rules(ty)
    }

    /// The schema of a type.
    pub fn schema(&self, mode: Mode, ty: &str) -> Option<&ResourceSchema> {
        self.provider_of(mode, ty)?.schema().types(mode).get(ty)
    }

    /// All type names of a mode, for suggestions.
    pub fn type_names(&self, mode: Mode) -> impl Iterator<Item = &'static str> {
        self.types.keys().filter(move |(m, _)| *m == mode).map(|(_, ty)| *ty)
    }
}
