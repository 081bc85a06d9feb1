//! A provider that asks nobody: the schema and the rules of a real one over a session that makes up what
//! the real system would give.
//!
//! The one decision: to the engine it is a provider like any other. One configuration of it may be mocked
//! and another real, so a mark in the configuration says which; the values that a mock gives come to a
//! plan as the answer of a preview, which alone knows the instance's session.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mesh_model::convert::convert;
use mesh_model::schema::{Block, Given};
use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Attribute, Mode, Nesting, ProviderSchema, Schema, Type, Value};
use mesh_sdk::marks::mark_sensitive;
use mesh_sdk::{
    ClosedGate, IdentityHint, Imported, Observation, ObserveRequest, Observed, Opened, OperationRequest, Outcome,
    PlanRequest, PlanResponse, PreviewRequest, PreviewResponse, Problem, Provider, ProviderError, Rules, Services,
    Session, Verdict, async_trait,
};

/// The attribute of a provider's configuration that says which mock it is.
pub(super) const MARK: &str = "mesh_test_mock";
const FRESH: &str = "fresh";
const KEPT: &str = "kept";

/// What one mocked configuration gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    /// Computed attributes by type, and whether they are there while planning.
    pub(super) types: HashMap<(Mode, Arc<str>), (Value, bool)>,
    /// The same for whatever type is asked for: an override.
    pub(super) any: Option<(Value, bool)>,
    /// Whether what is made up is there while planning.
    pub(super) during_plan: bool,
}

impl Spec {
    fn of(&self, mode: Mode, ty: &str) -> (Value, bool) {
        let typed = || self.types.get(&(mode, Arc::from(ty))).cloned();
        self.any.clone().or_else(typed).unwrap_or((Value::NULL, self.during_plan))
    }
}

/// A provider of which some configurations are mocked.
pub(super) struct Mocked {
    inner: Arc<dyn Provider>,
    schema: ProviderSchema,
    rules: BTreeMap<&'static str, MockRules>,
    specs: Arc<Vec<Spec>>,
}

impl Mocked {
    pub(super) fn new(inner: Arc<dyn Provider>, specs: Arc<Vec<Spec>>) -> Self {
        let mut schema = inner.schema().clone();
        let doc = "Which mock of a test this is.";
        schema.config.attributes.push(Attribute::optional(MARK, Type::Number, doc));
        let rules = schema.resources.keys().map(|ty| (*ty, MockRules { inner: inner.clone(), ty })).collect();
        Self { inner, schema, rules, specs }
    }
}

#[async_trait]
impl Provider for Mocked {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.rules.get(ty).map(|r| r as &dyn Rules)
    }

    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        let mark = config.get(MARK).and_then(Value::as_i64).and_then(|i| usize::try_from(i).ok());
        if let Some(spec) = mark.and_then(|i| self.specs.get(i)) {
            return Ok(Arc::new(MockSession { inner: self.inner.clone(), spec: spec.clone() }));
        }
        let rest = config.as_fields().into_iter().flat_map(|f| f.iter()).filter(|(name, _)| &***name != MARK);
        self.inner.configure(&Value::object(rest.map(|(n, v)| (n.clone(), v.clone()))), services).await
    }
}

/// The rules of a type, whose decisions wait for what the session says.
struct MockRules {
    inner: Arc<dyn Provider>,
    ty: &'static str,
}

impl MockRules {
    fn inner(&self) -> &dyn Rules {
        // The table was made from the types that it has; without rules a type would be in no table.
        self.inner.rules(self.ty).unwrap_or(&NoRules)
    }
}

struct NoRules;

impl Rules for NoRules {
    fn identity(&self, _: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }
}

impl Rules for MockRules {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        self.inner().validate(config)
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        self.inner().identity(planned)
    }

    fn import(&self, id: &str, planned: &Value) -> Result<Imported, String> {
        self.inner().import(id, planned)
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let bare = self.inner().plan(&PlanRequest { preview: None, ..*request });
        let Some(preview) = request.preview else { return PlanResponse { needs_preview: true, ..bare } };
        let (Some(fresh), Some(kept)) = (preview.get(FRESH), preview.get(KEPT)) else {
            // A configuration that is not mocked: what the type's own rules say.
            return if bare.needs_preview { self.inner().plan(request) } else { bare };
        };
        let is_new = matches!(bare.verdict, Verdict::Create | Verdict::Replace(_));
        let after = if is_new { computed(request.schema, &bare.after, fresh) } else { kept.clone() };
        let before = request.observed.map_or(bare.before.clone(), |o| computed(request.schema, &bare.before, o));
        PlanResponse { before, after, needs_preview: false, ..bare }
    }

    fn mark(&self, values: Value) -> Value {
        self.inner().mark(values)
    }

    fn closed_gate(&self, planned: &Value) -> Option<ClosedGate> {
        self.inner().closed_gate(planned)
    }

    fn batch_key(&self, planned: &Value) -> Option<String> {
        self.inner().batch_key(planned)
    }

    fn upgrade(&self, version: u32, values: Value) -> Result<Value, String> {
        self.inner().upgrade(version, values)
    }
}

/// `values` with the attributes that only a provider gives from elsewhere.
fn computed(schema: &mesh_model::ResourceSchema, values: &Value, from: &Value) -> Value {
    let only = schema.schema.attributes.iter().filter(|a| a.given == Given::Computed);
    only.fold(values.clone(), |v, a| match from.get(a.name) {
        Some(other) => v.with(a.name, other.clone()),
        None => v,
    })
}

struct MockSession {
    inner: Arc<dyn Provider>,
    spec: Spec,
}

impl MockSession {
    fn schema(&self, mode: Mode, ty: &str) -> Result<&Schema, ProviderError> {
        let schema = self.inner.schema().types(mode).get(ty).map(|s| &s.schema);
        schema.ok_or_else(|| {
            let detail = format!("The provider has no type {ty:?}.");
            ProviderError::new(mesh_sdk::ErrorKind::Invalid, "Unknown resource type", detail)
        })
    }

    fn marked(&self, schema: &Schema, ty: &str, values: &Value) -> Value {
        let values = mark_sensitive(schema, values);
        match self.inner.rules(ty) {
            Some(rules) => rules.mark(values),
            None => values,
        }
    }

    fn outcome(&self, request: &OperationRequest) -> Result<Outcome, ProviderError> {
        let Some(after) = request.after.as_ref().filter(|_| request.operation != Operation::Delete) else {
            return Ok(Outcome::deleted());
        };
        let schema = self.schema(Mode::Managed, &request.ty)?;
        let (defaults, _) = self.spec.of(Mode::Managed, &request.ty);
        let given = request.operation == Operation::Create;
        let values = self.marked(schema, &request.ty, &fill(schema, after, &defaults, given));
        let identity = request.identity.clone().unwrap_or_else(|| Identity(letters().into()));
        Ok(Outcome::applied(values, identity))
    }
}

#[async_trait]
impl Session for MockSession {
    async fn observe(&self, requests: Vec<ObserveRequest>) -> Vec<Result<Observation, ProviderError>> {
        let seen = |r: &ObserveRequest| {
            let saved = r.saved.clone()?;
            let identity = r.identity.clone().unwrap_or_else(|| Identity(letters().into()));
            Some(Observed::new(saved, identity))
        };
        requests.iter().map(|r| Ok(seen(r).map_or(Observation::Absent, Observation::Present))).collect()
    }

    async fn preview(&self, request: PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        let schema = self.schema(Mode::Managed, &request.ty)?;
        let (defaults, during_plan) = self.spec.of(Mode::Managed, &request.ty);
        let named = |a: &&Attribute| a.given == Given::Computed && defaults.get(a.name).is_some();
        let open = schema
            .attributes
            .iter()
            .filter(named)
            .fold(request.planned.clone(), |v, a| v.with(a.name, Value::unknown(a.ty.clone())));
        // Whether a gate is open is decided while planning: its override says so then, or it stays closed.
        let closed = self.inner.rules(&request.ty).is_some_and(|r| r.closed_gate(&open).is_some());
        let fresh = if during_plan || closed { fill_computed(schema, &open, &defaults) } else { open };
        let kept = schema.attributes.iter().filter(|a| a.given == Given::Computed).fold(
            request.planned.clone(),
            |v, a| match (v.get(a.name), request.observed.as_ref().and_then(|o| o.get(a.name))) {
                (Some(planned), Some(seen)) if !planned.is_unknown() => v.with(a.name, seen.clone()),
                _ => v,
            },
        );
        let (fresh, kept) = (self.marked(schema, &request.ty, &fresh), self.marked(schema, &request.ty, &kept));
        Ok(PreviewResponse::Values(Value::object([(FRESH, fresh), (KEPT, kept)])))
    }

    async fn apply(&self, operations: Vec<OperationRequest>) -> Vec<Outcome> {
        operations.iter().map(|o| self.outcome(o).unwrap_or_else(Outcome::rejected)).collect()
    }

    async fn read(&self, ty: &str, config: &Value) -> Result<Value, ProviderError> {
        let schema = self.schema(Mode::Data, ty)?;
        let (defaults, _) = self.spec.of(Mode::Data, ty);
        Ok(mark_sensitive(schema, &fill(schema, &opened(schema, config), &defaults, true)))
    }

    async fn open_ephemeral(&self, ty: &str, config: &Value) -> Result<Opened, ProviderError> {
        let schema = self.schema(Mode::Ephemeral, ty)?;
        Ok(Opened::value(mark_sensitive(schema, &fill(schema, &opened(schema, config), &Value::NULL, true))))
    }
}

/// A configuration with everything open that a provider gives.
fn opened(schema: &Schema, config: &Value) -> Value {
    let values = schema.attributes.iter().filter(|a| a.is_computed()).fold(config.clone(), |v, a| {
        let configured = a.given == Given::OptionalComputed && v.get(a.name).is_some_and(|c| !c.is_null());
        if configured { v } else { v.with(a.name, Value::unknown(a.ty.clone())) }
    });
    in_blocks(schema, &values, &|block, item| opened(&block.schema, item))
}

/// Only what providers give: what is unknown because of other objects stays so.
fn fill_computed(schema: &Schema, values: &Value, defaults: &Value) -> Value {
    let open = |a: &&Attribute| a.is_computed() && values.get(a.name).is_some_and(Value::is_unknown);
    schema.attributes.iter().filter(open).fold(values.clone(), |v, a| v.with(a.name, answer(a, defaults)))
}

/// `values` with nothing unknown. `given`: attributes of providers take what the defaults say in any case.
fn fill(schema: &Schema, values: &Value, defaults: &Value, given: bool) -> Value {
    let filled = schema.attributes.iter().fold(values.clone(), |v, a| {
        let forced = given && a.given == Given::Computed && defaults.get(a.name).is_some();
        match values.get(a.name) {
            Some(value) if !forced && !value.is_unknown() => v.with(a.name, known(value)),
            Some(_) => v.with(a.name, answer(a, defaults)),
            None => v,
        }
    });
    in_blocks(schema, &filled, &|block, item| {
        fill(&block.schema, item, defaults.get(block.name).unwrap_or(&Value::NULL), given)
    })
}

fn in_blocks(schema: &Schema, values: &Value, work: &dyn Fn(&Block, &Value) -> Value) -> Value {
    schema.blocks.iter().fold(values.clone(), |v, block| {
        let Some(inner) = values.get(block.name).filter(|i| !i.is_null() && !i.is_unknown()) else { return v };
        let inner = match block.nesting {
            Nesting::Single => work(block, inner),
            Nesting::List | Nesting::Set | Nesting::Map => inner.map_children(&|item| work(block, item)),
        };
        v.with(block.name, inner)
    })
}

/// What the defaults say of an attribute, else something of its type.
fn answer(attribute: &Attribute, defaults: &Value) -> Value {
    let said = defaults.get(attribute.name).and_then(|d| convert(d, &attribute.ty).ok());
    said.unwrap_or_else(|| made_up(&attribute.ty))
}

/// A value without unknown parts.
fn known(value: &Value) -> Value {
    if value.is_wholly_known() {
        value.clone()
    } else if value.is_unknown() {
        made_up(&value.ty())
    } else {
        value.map_children(&known)
    }
}

/// Something of a type: eight letters, 0, false, nothing.
pub(super) fn made_up(ty: &Type) -> Value {
    match ty {
        Type::String => Value::string(letters()),
        Type::Number => Value::number(0_u64),
        Type::Bool => Value::bool(false),
        Type::List(element) => Value::list((**element).clone(), Vec::new()),
        Type::Set(element) => Value::set((**element).clone(), []),
        Type::Map(element) => Value::map((**element).clone(), mesh_model::Fields::from_sorted(Vec::new())),
        Type::Tuple(types) => Value::tuple(types.iter().map(made_up).collect::<Vec<_>>()),
        Type::Object(object) => Value::object(object.attributes.iter().map(|(n, t)| (n.clone(), made_up(t)))),
        Type::Dynamic => Value::NULL,
    }
}

/// Eight letters by chance.
fn letters() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness all are alike, which a test survives.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|b| char::from(b'a' + b % 26)).collect()
}

/// What is wrong with values for a type: names that it has not, or that the configuration gives.
pub(super) fn misfit(schema: &Schema, values: &Value) -> Option<String> {
    let fields = values.as_fields()?;
    fields.iter().find_map(|(name, value)| match schema.attribute(name) {
        Some(a) if a.is_computed() => {
            convert(value, &a.ty).err().map(|e| format!("the value of {:?} does not fit: {e}", &**name))
        }
        Some(_) => Some(format!("{:?} is given by the configuration, so no mock gives it", &**name)),
        None => match schema.blocks.iter().find(|b| b.name == &**name) {
            Some(block) => misfit(&block.schema, value),
            None => {
                let near = mesh_lang::suggestion(name, schema.attributes.iter().map(|a| a.name));
                let near = near.map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default();
                Some(format!("there is no attribute {:?}{near}", &**name))
            }
        },
    })
}
