//! What the author of a resource type or data source writes: one file each.

use async_trait::async_trait;
use mesh_model::change::Poll;
use mesh_model::snapshot::Identity;
use mesh_model::{Path, ResourceSchema, Value};

use crate::{
    Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest, PlanResponse, PreviewRequest,
    PreviewResponse, ProviderError, Services, schema_plan,
};

/// What is wrong with a configured value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where.
    pub path: Path,
    /// What is wrong and what would be right; no secret in it.
    pub reason: String,
}

impl Problem {
    /// About one attribute.
    pub fn at(attribute: &str, reason: impl Into<String>) -> Self {
        Self { path: Path::attribute(attribute), reason: reason.into() }
    }
}

/// What can be said about the identity of an object before it is created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IdentityHint {
    /// This one. The text is relative to the provider's target (`ConfigMap istio-system/vault-tls-cert`)
    /// and the same for everybody who means that object: two addresses with one identity are an error.
    Known(Identity),
    /// It depends on values that are not known yet.
    Unknown,
    /// The server assigns it, or the object is nowhere but in state.
    Assigned,
}

impl IdentityHint {
    /// A known identity.
    pub fn known(text: impl Into<std::sync::Arc<str>>) -> Self {
        Self::Known(Identity(text.into()))
    }
}

/// What an import leads to.
#[derive(Clone, Debug)]
pub enum Imported {
    /// An object outside, which is looked at.
    At(Identity),
    /// An object that is nowhere but in state: all that its id says.
    Only(Observed),
}

/// An object as Terraform's state remembers it, in the words of our type of the same name.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Which object it is; `None`: the values say it.
    pub identity: Option<Identity>,
    /// Values of this type's attributes, by name. What it does not have is passed over.
    pub values: Value,
}

impl Foreign {
    /// One whose values say which object it is.
    pub const fn of(values: Value) -> Self {
        Self { identity: None, values }
    }
}

/// A gate that does not let anything through yet: the instance and all that depends on it wait for a
/// later stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosedGate {
    /// What it waits for, one line.
    pub waiting_for: String,
    /// What to do.
    pub instructions: String,
    /// Why what was given does not open it.
    pub problems: Vec<String>,
    /// Whether it is closed for certain; `false` where that is not known before other changes.
    pub certain: bool,
    /// How an apply waits for it; `None`: not at all.
    pub poll: Option<Poll>,
}

/// What a type knows without asking anybody: pure functions, without I/O, clock or randomness.
pub trait Rules: Send + Sync {
    /// What is wrong with a configuration; parts of it may be unknown. Types and required
    /// attributes are checked already.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// The identity that an object with these planned values will have.
    fn identity(&self, planned: &Value) -> IdentityHint;

    /// What an `import` means by `id`, for an instance with these planned values. The usual rule: where
    /// the values say which object it is, `id` must be that identity or its end (without the kind before
    /// it); else it is taken as the identity.
    ///
    /// # Errors
    /// Why it cannot be that object, as a sentence.
    fn import(&self, id: &str, planned: &Value) -> Result<Imported, String> {
        match self.identity(planned) {
            IdentityHint::Assigned => Ok(Imported::At(Identity(id.into()))),
            IdentityHint::Known(identity) => {
                let end = identity.0.strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with(' '));
                if end {
                    Ok(Imported::At(identity))
                } else {
                    Err(format!("{id:?} is imported, but the configuration says {identity}."))
                }
            }
            IdentityHint::Unknown => {
                Err("which object the configuration means is known only after other changes.".to_owned())
            }
        }
    }

    /// What Terraform's state remembers of an object of the type of the same name, `attributes`, in the words of
    /// this type. The usual rule: attributes of the same name mean the same.
    ///
    /// # Errors
    /// Why the object cannot be known by them, as the end of a sentence.
    fn foreign(&self, attributes: Value) -> Result<Foreign, String> {
        Ok(Foreign::of(attributes))
    }

    /// Decides between leaving, updating and replacing; see [`schema_plan`] for the usual rules.
    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        schema_plan(request)
    }

    /// Marks what is sensitive because of the content (a manifest of kind Secret); what the schema
    /// marks is marked already.
    fn mark(&self, values: Value) -> Value {
        values
    }

    /// Whether an object with these planned values is a gate that is still closed. Only gates
    /// answer here; a closed one is neither created nor updated.
    fn closed_gate(&self, planned: &Value) -> Option<ClosedGate> {
        let _ = planned;
        None
    }

    /// Ready operations with the same key form one call of [`Resource::apply_batch`].
    fn batch_key(&self, planned: &Value) -> Option<String> {
        let _ = planned;
        None
    }

    /// Values of an older schema version in today's shape.
    fn upgrade(&self, version: u32, values: Value) -> Result<Value, String> {
        let _ = version;
        Ok(values)
    }
}

/// A resource type over a client of type `C`.
#[async_trait]
pub trait Resource<C: Send + Sync + 'static>: Rules {
    /// Name, documentation, example, attributes.
    fn schema(&self) -> ResourceSchema;

    /// Looks at objects of this type, in bulk where that is possible.
    async fn observe(&self, client: &C, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>>;

    /// Asks the server what a change would give; only called where `plan` asked for it.
    async fn preview(&self, client: &C, request: &PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        let _ = (client, request);
        Ok(PreviewResponse::Skipped("this type has no preview"))
    }

    /// Makes the object. Conditional on its absence (where the API allows, else after a look-up)
    /// unless the request says to adopt.
    async fn create(&self, client: &C, request: &OperationRequest) -> Outcome;

    /// Changes the object in place.
    async fn update(&self, client: &C, request: &OperationRequest) -> Outcome;

    /// Deletes the object; one that is gone already is a success.
    async fn delete(&self, client: &C, request: &OperationRequest) -> Outcome;

    /// Does several operations with one batch key at once; `None` when this type has no batches.
    async fn apply_batch(&self, client: &C, requests: &[OperationRequest]) -> Option<Vec<Outcome>> {
        let _ = (client, requests);
        None
    }
}

/// A data source over a client of type `C`.
#[async_trait]
pub trait DataSource<C: Send + Sync + 'static>: Send + Sync {
    /// Name, documentation, example, attributes.
    fn schema(&self) -> ResourceSchema;

    /// Reads it: the whole object in the shape of the schema.
    async fn read(&self, client: &C, config: &Value, services: &Services) -> Result<Value, ProviderError>;

    /// Marks what is sensitive because of the content.
    fn mark(&self, values: Value) -> Value {
        values
    }
}
