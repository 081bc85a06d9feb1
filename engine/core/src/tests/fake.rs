//! A provider over a world in memory that can be broken on purpose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ProviderSchema, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    ErrorKind, IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, Provider,
    ProviderError, Registry, Resource, Rules, Services, Session, TypedSession, async_trait,
};

/// What a call does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Refused; nothing happens.
    Reject,
    /// It happens, but nobody hears of it.
    DoneInDoubt,
    /// It does not happen, and nobody knows.
    LostInDoubt,
}

#[derive(Default)]
pub(crate) struct State {
    /// Objects by name.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Faults by name, used once.
    pub(crate) faults: BTreeMap<String, Fault>,
    /// Calls in their order.
    pub(crate) log: Vec<String>,
    /// Other worlds: an endpoint `at-x` leads to the one named `x`.
    pub(crate) others: BTreeMap<String, World>,
}

#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Object;

impl Rules for Object {
    fn identity(&self, planned: &Value) -> IdentityHint {
        planned.get_str("name").map_or(IdentityHint::Unknown, IdentityHint::known)
    }

    fn batch_key(&self, planned: &Value) -> Option<String> {
        planned.get_str("value").filter(|v| v.starts_with("batch")).map(str::to_owned)
    }
}

fn name(request: &OperationRequest) -> String {
    request.identity.as_ref().map(|i| i.0.to_string()).unwrap_or_default()
}

impl Object {
    fn write(world: &World, request: &OperationRequest, verb: &str) -> Outcome {
        let name = name(request);
        let mut state = world.state();
        state.log.push(format!("{verb} {name}"));
        let values = request.after.clone().map_or(Value::NULL, |v| {
            let id = Value::string(format!("id-{name}"));
            let length = Value::number(v.get_str("value").map_or(0, str::len));
            v.with("id", id).with("length", length)
        });
        let fault = state.faults.remove(&name);
        let error = |what| ProviderError::new(ErrorKind::Other, "The world refuses", what);
        match fault {
            Some(Fault::Reject) => return Outcome::rejected(error("as it was told to")),
            Some(Fault::LostInDoubt) => return Outcome::InDoubt { error: error("no answer") },
            Some(Fault::DoneInDoubt) | None => {}
        }
        if verb == "create" && state.objects.contains_key(&name) && request.on_existing == OnExisting::Fail {
            return Outcome::rejected(ProviderError::new(ErrorKind::Conflict, "It exists", name));
        }
        if verb == "delete" {
            state.objects.remove(&name);
        } else {
            state.objects.insert(name.clone(), values.clone());
        }
        if fault == Some(Fault::DoneInDoubt) {
            return Outcome::InDoubt { error: error("no answer") };
        }
        if verb == "delete" { Outcome::deleted() } else { Outcome::applied(values, Identity(Arc::from(name))) }
    }
}

#[async_trait]
impl Resource<World> for Object {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "world_object",
            version: 0,
            doc: "An object of the world.",
            example: "resource \"world_object\" \"x\" { name = \"x\" }",
            protected: false,
            schema: Schema::of([
                Attribute::required("name", Type::String, "Its name.").force_new(),
                Attribute::optional("value", Type::String, "A value."),
                Attribute::optional("secret", Type::String, "A secret.").sensitive(),
                Attribute::computed("id", Type::String, "Its id."),
                Attribute::computed("length", Type::Number, "Length of the value.").volatile(),
            ]),
        }
    }

    async fn observe(&self, world: &World, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let state = world.state();
        requests
            .iter()
            .map(|r| {
                let identity =
                    r.identity.clone().ok_or_else(|| ProviderError::new(ErrorKind::Other, "No identity", ""))?;
                Ok(state.objects.get(&*identity.0).map_or(Observation::Absent, |v| {
                    Observation::Present(Observed { values: v.clone(), identity, private: None, notes: Vec::new() })
                }))
            })
            .collect()
    }

    async fn create(&self, world: &World, request: &OperationRequest) -> Outcome {
        Self::write(world, request, "create")
    }

    async fn update(&self, world: &World, request: &OperationRequest) -> Outcome {
        Self::write(world, request, "update")
    }

    async fn delete(&self, world: &World, request: &OperationRequest) -> Outcome {
        Self::write(world, request, "delete")
    }

    async fn apply_batch(&self, world: &World, requests: &[OperationRequest]) -> Option<Vec<Outcome>> {
        world.state().log.push(format!("batch of {}", requests.len()));
        Some(requests.iter().map(|r| Self::write(world, r, r.operation.word())).collect())
    }
}

struct Fake {
    world: World,
    registry: Arc<Registry<World>>,
}

/// The provider `world`; its configuration has one attribute.
pub(crate) fn provider(world: &World) -> Arc<dyn Provider> {
    let config = Schema::of([Attribute::optional("endpoint", Type::String, "Where it is.")]);
    let registry = Registry::new("world", "A world in memory.", config, 4, vec![Box::new(Object)], Vec::new());
    Arc::new(Fake { world: world.clone(), registry: Arc::new(registry) })
}

#[async_trait]
impl Provider for Fake {
    fn schema(&self) -> &ProviderSchema {
        self.registry.schema()
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.registry.rules(ty)
    }

    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        let world = match config.get_str("endpoint").and_then(|e| e.strip_prefix("at-")) {
            Some(name) => self.world.state().others.entry(name.to_owned()).or_default().clone(),
            None => self.world.clone(),
        };
        Ok(Arc::new(TypedSession::new(self.registry.clone(), world, None, services.clone())))
    }
}
