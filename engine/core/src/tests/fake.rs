//! A provider over a world in memory that can be broken on purpose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ProviderSchema, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    DataSource, EphemeralSource, ErrorKind, IdentityHint, Observation, ObserveRequest, Observed, OnExisting, Opened,
    OperationRequest, Outcome, PreviewRequest, PreviewResponse, Private, Provider, ProviderError, Registry, Renewed,
    Resource, Rules, Services, Session, TypedSession, async_trait,
};

use super::memory::Points;
use tokio::sync::watch;

/// What a call does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Refused; nothing happens.
    Reject,
    /// It happens, but nobody hears of it.
    DoneInDoubt,
    /// It does not happen, and nobody knows.
    LostInDoubt,
    /// Refused, but something is there then (a create), or half of it was done (an update).
    Half,
    /// It happens, but the answer says something else.
    Lie,
    /// Refused for the moment; nothing happens.
    Transient,
    /// The first Ctrl-C comes while it is done.
    Interrupt,
    /// It happens and is never answered; the second Ctrl-C comes meanwhile.
    Abandon,
    /// It happens, and the process dies before the answer.
    Kill,
    /// The process dies before it happens.
    KillBefore,
}

/// How a call reaches the process that makes it.
pub(crate) struct Process {
    pub(crate) interrupts: watch::Sender<u8>,
    pub(crate) dead: watch::Sender<bool>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Objects by name.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Faults by name, used once.
    pub(crate) faults: BTreeMap<String, Fault>,
    /// Calls in their order.
    pub(crate) log: Vec<String>,
    /// What happened to objects, in its order: the verb, the name, and the value from then on.
    pub(crate) done: Vec<(&'static str, String, String)>,
    /// Creates of what was there.
    pub(crate) conflicts: Vec<String>,
    /// Where a process may die.
    pub(crate) points: Points,
    /// The process that runs now, for faults that end it.
    pub(crate) process: Option<Process>,
    /// Other worlds: an endpoint `at-x` leads to the one named `x`.
    pub(crate) others: BTreeMap<String, World>,
    /// How often something was opened or renewed.
    pub(crate) count: usize,
}

#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what is neither a write nor of a lease, where that was asked for: `observe a`, `read x`.
    fn refuses(&self, what: &str) -> Result<(), ProviderError> {
        let refused = || ProviderError::new(ErrorKind::Denied, "The world refuses", format!("to {what}"));
        self.state().faults.remove(what).map_or(Ok(()), |_| Err(refused()))
    }

    /// A signal comes, or the process dies, while an object is written; whether the call comes back.
    fn signal(&self, name: &str, done: bool) -> bool {
        let mut state = self.state();
        let fault = state.faults.get(name).copied();
        let ends = match fault {
            Some(Fault::Interrupt) => !done,
            Some(Fault::KillBefore) => true,
            Some(Fault::Abandon | Fault::Kill) => done,
            _ => false,
        };
        let Some(process) = state.process.as_ref().filter(|_| ends) else { return true };
        match fault {
            Some(Fault::Interrupt) => process.interrupts.send_modify(|n| *n = 1),
            Some(Fault::Abandon) => process.interrupts.send_modify(|n| *n = 2),
            _ => process.dead.send_modify(|dead| *dead = true),
        }
        state.faults.remove(name);
        fault == Some(Fault::Interrupt)
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
    /// A write with what may come between the call, what it does, and its answer.
    async fn called(world: &World, request: &OperationRequest, verb: &'static str) -> Outcome {
        let points = world.state().points.clone();
        points.pass().await;
        let name = name(request);
        if !world.signal(&name, false) {
            return std::future::pending().await;
        }
        let outcome = Self::write(world, request, verb);
        if !world.signal(&name, true) {
            return std::future::pending().await;
        }
        points.pass().await;
        outcome
    }

    fn write(world: &World, request: &OperationRequest, verb: &'static str) -> Outcome {
        let name = name(request);
        let mut state = world.state();
        state.log.push(format!("{verb} {name}"));
        let values = request.after.clone().map_or(Value::NULL, |v| {
            let id = Value::string(format!("id-{name}"));
            let length = Value::number(v.get_str("value").map_or(0, str::len));
            // Without its marks, as a careless provider gives it back.
            let password = v.get("password").map_or(Value::NULL, |p| p.reveal_deep().0);
            v.with("id", id).with("length", length).with("password", password)
        });
        let fault = state.faults.get(&name).copied();
        if !matches!(fault, Some(Fault::Abandon | Fault::Kill)) {
            state.faults.remove(&name);
        }
        let error = |what| ProviderError::new(ErrorKind::Other, "The world refuses", what);
        match fault {
            Some(Fault::Reject) => return Outcome::rejected(error("as it was told to")),
            Some(Fault::Transient) => return Outcome::rejected(error("for the moment").transient()),
            Some(Fault::LostInDoubt) => return Outcome::InDoubt { error: error("no answer") },
            _ => {}
        }
        if verb == "create" && state.objects.contains_key(&name) && request.on_existing == OnExisting::Fail {
            state.conflicts.push(name.clone());
            return Outcome::rejected(ProviderError::new(ErrorKind::Conflict, "It exists", name));
        }
        let half = Value::string("half");
        let values = if fault == Some(Fault::Half) { values.with("value", half.clone()) } else { values };
        if verb != "delete" || fault != Some(Fault::Half) {
            let value = values.get_str("value").unwrap_or_default().to_owned();
            state.done.push((verb, name.clone(), value));
        }
        match (verb, fault) {
            ("delete", Some(Fault::Half)) => return Outcome::rejected(error("half of it is left")),
            ("delete", _) => {
                state.objects.remove(&name);
            }
            _ => {
                state.objects.insert(name.clone(), values.clone());
            }
        }
        if fault == Some(Fault::Half) {
            let left = Observed::new(values, Identity(Arc::from(name)));
            return Outcome::Rejected { error: error("half of it is done"), left: Some(left) };
        }
        let values = if fault == Some(Fault::Lie) && verb != "delete" { values.with("value", half) } else { values };
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
                Attribute::optional("password", Type::String, "A secret that is not given back.").write_only(),
                Attribute::optional("password_version", Type::Number, "Changes with it."),
                Attribute::computed("id", Type::String, "Its id."),
                Attribute::computed("length", Type::Number, "Length of the value.").volatile(),
            ]),
        }
    }

    async fn observe(&self, world: &World, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        requests
            .iter()
            .map(|r| {
                let identity =
                    r.identity.clone().ok_or_else(|| ProviderError::new(ErrorKind::Other, "No identity", ""))?;
                world.refuses(&format!("observe {identity}"))?;
                Ok(world.state().objects.get(&*identity.0).cloned().map_or(Observation::Absent, |v| {
                    let saved = r.saved.as_ref().and_then(|s| s.get("password")).cloned().unwrap_or(Value::NULL);
                    let values = v.with("password", saved);
                    Observation::Present(Observed::new(values, identity))
                }))
            })
            .collect()
    }

    async fn create(&self, world: &World, request: &OperationRequest) -> Outcome {
        if name(request).starts_with("slow") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Self::called(world, request, "create").await
    }

    async fn update(&self, world: &World, request: &OperationRequest) -> Outcome {
        Self::called(world, request, "update").await
    }

    async fn delete(&self, world: &World, request: &OperationRequest) -> Outcome {
        Self::called(world, request, "delete").await
    }

    async fn apply_batch(&self, world: &World, requests: &[OperationRequest]) -> Option<Vec<Outcome>> {
        world.state().log.push(format!("batch of {}", requests.len()));
        Some(requests.iter().map(|r| Self::write(world, r, r.operation.word())).collect())
    }
}

/// What is nowhere but in state, under a name that it gets when it is made.
struct Note;

impl Rules for Note {
    fn identity(&self, _planned: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }
}

#[async_trait]
impl Resource<World> for Note {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "world_note",
            version: 0,
            doc: "A note that only state has.",
            example: "resource \"world_note\" \"x\" { value = \"x\" }",
            protected: false,
            schema: Schema::of([Attribute::required("value", Type::String, "What it says.").force_new()]),
        }
    }

    async fn observe(&self, _world: &World, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let seen = |r: &ObserveRequest| r.saved.clone().zip(r.identity.clone()).map(|(v, i)| Observed::new(v, i));
        requests.iter().map(|r| Ok(seen(r).map_or(Observation::Absent, Observation::Present))).collect()
    }

    async fn create(&self, world: &World, request: &OperationRequest) -> Outcome {
        let values = request.after.clone().unwrap_or(Value::NULL);
        let name = format!("note {}", values.get_str("value").unwrap_or_default());
        if !world.signal(&name, false) {
            return std::future::pending().await;
        }
        world.state().log.push(format!("create {name}"));
        Outcome::applied(values, Identity(Arc::from(name)))
    }

    async fn update(&self, world: &World, request: &OperationRequest) -> Outcome {
        self.create(world, request).await
    }

    async fn delete(&self, world: &World, request: &OperationRequest) -> Outcome {
        world.state().log.push(format!("delete {}", name(request)));
        Outcome::deleted()
    }
}

/// Something that is opened: its token differs each time.
struct Lease;

impl Lease {
    fn call(world: &World, verb: &str, text: &str) -> Result<(), ProviderError> {
        let mut state = world.state();
        state.log.push(format!("{verb} {text}"));
        let name = text.split('#').next().unwrap_or_default();
        let fault = state.faults.remove(&format!("{verb} {name}"));
        let refused = || ProviderError::new(ErrorKind::Denied, "The world refuses", "as it was told to");
        fault.map_or(Ok(()), |_| Err(refused()))
    }

    /// The next text for a name.
    fn next(world: &World, verb: &str, name: &str) -> Result<String, ProviderError> {
        Self::call(world, verb, name)?;
        let mut state = world.state();
        state.count += 1;
        Ok(format!("{name}#{}", state.count))
    }
}

#[async_trait]
impl EphemeralSource<World> for Lease {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "world_lease",
            version: 0,
            doc: "A lease.",
            example: "ephemeral \"world_lease\" \"x\" { name = \"x\" }",
            protected: false,
            schema: Schema::of([
                Attribute::required("name", Type::String, "Its name."),
                Attribute::optional("value", Type::String, "A value."),
                Attribute::optional("renew", Type::Number, "Milliseconds until it has to be renewed."),
                Attribute::computed("token", Type::String, "Its token."),
            ]),
        }
    }

    async fn open(&self, world: &World, config: &Value, _: &Services) -> Result<Opened, ProviderError> {
        let text = Self::next(world, "open", config.get_str("name").unwrap_or_default())?;
        let millis = config.get("renew").and_then(Value::as_i64).and_then(|n| u64::try_from(n).ok());
        Ok(Opened {
            value: config.with("token", Value::string(format!("canary {text}"))),
            private: Some(Private::new(text)),
            renew_after: millis.map(Duration::from_millis),
        })
    }

    async fn renew(&self, world: &World, private: Option<&Private>) -> Result<Renewed, ProviderError> {
        let name = private.and_then(|p| p.text().split('#').next()).unwrap_or_default();
        let text = Self::next(world, "renew", name)?;
        Ok(Renewed { private: Some(Private::new(text)), renew_after: Some(Duration::from_millis(20)) })
    }

    async fn close(&self, world: &World, private: Option<&Private>) -> Result<(), ProviderError> {
        Self::call(world, "close", private.map(Private::text).unwrap_or_default())
    }
}

/// Reads what it was asked for.
struct Mirror;

#[async_trait]
impl DataSource<World> for Mirror {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "world_mirror",
            version: 0,
            doc: "A mirror.",
            example: "data \"world_mirror\" \"x\" { value = \"x\" }",
            protected: false,
            schema: Schema::of([Attribute::required("value", Type::String, "A value.")]),
        }
    }

    async fn read(&self, world: &World, config: &Value, _: &Services) -> Result<Value, ProviderError> {
        let what = format!("read {}", config.get_str("value").unwrap_or_default());
        world.state().log.push(what.clone());
        world.refuses(&what)?;
        Ok(config.clone())
    }
}

/// A session that was configured with a token says when it ends.
struct Tracked(TypedSession<World>);

#[async_trait]
impl Session for Tracked {
    async fn observe(&self, requests: Vec<ObserveRequest>) -> Vec<Result<Observation, ProviderError>> {
        self.0.observe(requests).await
    }

    async fn preview(&self, request: PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        self.0.preview(request).await
    }

    async fn apply(&self, operations: Vec<OperationRequest>) -> Vec<Outcome> {
        self.0.apply(operations).await
    }

    async fn read(&self, ty: &str, config: &Value) -> Result<Value, ProviderError> {
        self.0.read(ty, config).await
    }

    async fn close(&self) {
        self.0.client().state().log.push("session ends".into());
    }
}

struct Fake {
    world: World,
    registry: Arc<Registry<World>>,
}

/// The provider `world`; its configuration has one attribute.
pub(crate) fn provider(world: &World) -> Arc<dyn Provider> {
    let config = Schema::of([
        Attribute::optional("endpoint", Type::String, "Where it is."),
        Attribute::optional("token", Type::String, "What opens it.").sensitive(),
    ]);
    let (objects, mirrors) = (Box::new(Object), Box::new(Mirror));
    let registry =
        Registry::new("world", "A world in memory.", config, 4, vec![objects, Box::new(Note)], vec![mirrors]);
    let registry = registry.ephemeral(vec![Box::new(Lease)]);
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
        self.world.refuses("configure")?;
        let world = match config.get_str("endpoint").and_then(|e| e.strip_prefix("at-")) {
            Some(name) => self.world.state().others.entry(name.to_owned()).or_default().clone(),
            None => self.world.clone(),
        };
        let token = config.get_str("token");
        if let Some(token) = token {
            world.state().log.push(format!("session with {token}"));
        }
        let session = TypedSession::new(self.registry.clone(), world, None, services.clone());
        Ok(if token.is_some() { Arc::new(Tracked(session)) } else { Arc::new(session) })
    }
}
