//! Plain data between the engine and a provider.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, ProviderSchema, Value};

use crate::ephemeral::no_ephemeral_type;
use crate::wrapping::no_wrapper;
use crate::{KeyBytes, Opened, Private, ProviderError, Renewed, Rules};

/// A provider that is not configured: what it offers, and the way to a session.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What it offers.
    fn schema(&self) -> &ProviderSchema;

    /// The pure hooks of a resource type; `None` for a type that it does not have.
    fn rules(&self, ty: &str) -> Option<&dyn Rules>;

    /// Opens a session with a wholly known configuration in the shape of `schema().config`. May
    /// contact the system (log in, read its identity), changes nothing there.
    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError>;
}

/// What a provider may use of the surroundings; filled in by the command line.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Folder that relative paths of the configuration start from (the root module).
    pub root: PathBuf,
    /// Folder for caches (downloaded artifacts).
    pub cache: PathBuf,
    /// The environment variables that the process was started with.
    pub env: Arc<BTreeMap<String, String>>,
    /// The way to the outputs of other states; `None` where there is none.
    pub states: Option<Arc<dyn OtherStates>>,
}

/// The outputs of another state.
#[derive(Clone, Debug)]
pub struct OtherOutputs {
    /// An object of those that can be given, with their marks.
    pub outputs: Value,
    /// The names of those that are sensitive and sealed for others, or not sealed at all.
    pub withheld: Vec<String>,
}

/// Reads the outputs of other states, wherever they lie.
#[async_trait]
pub trait OtherStates: Send + Sync + fmt::Debug {
    /// Those of the state that the `config` of a `backend` describes, in a workspace or the default one. Takes no lock.
    ///
    /// # Errors
    /// A backend or settings that there are not, a state that is not there or cannot be read.
    async fn outputs(
        &self,
        backend: &str,
        workspace: Option<&str>,
        config: &Value,
    ) -> Result<OtherOutputs, ProviderError>;
}

/// A configured provider.
///
/// Requests of one call may be answered with few remote calls: one LIST per kind and namespace, one
/// search per token. What was listed in a session may be kept for later calls of the same kind until
/// the session has written something that the listing could show.
#[async_trait]
pub trait Session: Send + Sync {
    /// The system behind it (cluster uid, Vault cluster id, token serial): state remembers it, and
    /// a plan that finds another one stops.
    fn target(&self) -> Option<Arc<str>> {
        None
    }

    /// Looks at objects; answers in the order of the requests. Reads only.
    async fn observe(&self, requests: Vec<ObserveRequest>) -> Vec<Result<Observation, ProviderError>>;

    /// Asks the server what a change would give (dry run). Reads only.
    async fn preview(&self, request: PreviewRequest) -> Result<PreviewResponse, ProviderError>;

    /// Does operations of one batch (usually one); answers in their order.
    async fn apply(&self, operations: Vec<OperationRequest>) -> Vec<Outcome>;

    /// Reads a data source with a wholly known configuration; gives the whole object in the shape
    /// of its schema.
    async fn read(&self, ty: &str, config: &Value) -> Result<Value, ProviderError>;

    /// Opens an ephemeral object with a wholly known configuration. What it gives lives until
    /// [`Session::close_ephemeral`], which the engine calls before [`Session::close`], whatever happens.
    async fn open_ephemeral(&self, ty: &str, config: &Value) -> Result<Opened, ProviderError> {
        let _ = config;
        Err(no_ephemeral_type(ty))
    }

    /// Prolongs an opened object; called when the time that it asked for is over.
    async fn renew_ephemeral(&self, ty: &str, private: Option<&Private>) -> Result<Renewed, ProviderError> {
        let _ = private;
        Err(no_ephemeral_type(ty))
    }

    /// Ends an opened object: revokes what opening made.
    async fn close_ephemeral(&self, ty: &str, private: Option<&Private>) -> Result<(), ProviderError> {
        let _ = (ty, private);
        Ok(())
    }

    /// A key as text that only the system can unwrap: see [`crate::KeyWrapper`].
    async fn wrap(&self, settings: &Value, context: &str, key: &KeyBytes) -> Result<String, ProviderError> {
        let _ = (settings, context, key);
        Err(no_wrapper())
    }

    /// The opposite of [`Session::wrap`].
    async fn unwrap(&self, settings: &Value, context: &str, wrapped: &str) -> Result<KeyBytes, ProviderError> {
        let _ = (settings, context, wrapped);
        Err(no_wrapper())
    }

    /// Ends the session: revokes what it made for itself.
    async fn close(&self) {}
}

/// One object to look at: of an instance in state, or one that is about to be created.
#[derive(Clone, Debug)]
pub struct ObserveRequest {
    /// The instance, for messages only.
    pub address: Address,
    /// The resource type.
    pub ty: Arc<str>,
    /// The remote identity, from state or from [`Rules::identity`].
    pub identity: Option<Identity>,
    /// The values in state (secrets withheld); `None` for an object that state does not know.
    pub saved: Option<Value>,
    /// The configured values, where they are evaluated already (always so for planned creates).
    pub desired: Option<Value>,
    /// What the provider remembered.
    pub private: Option<Arc<str>>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub enum Observation {
    /// It is certain that there is no such object.
    Absent,
    /// There is one.
    Present(Observed),
}

/// An object that is there.
#[derive(Clone, Debug)]
pub struct Observed {
    /// In the shape of the schema. Start from `saved` and write over it what was seen; what the
    /// server never gives back (write-only) stays as saved, null when there is no saved value.
    pub values: Value,
    /// Its identity.
    pub identity: Identity,
    /// What to remember.
    pub private: Option<Arc<str>>,
    /// Facts for the reader of the plan (other field managers, for example).
    pub notes: Vec<String>,
    /// What the system counts its changes with (`resourceVersion`), for those who ask what has moved since a plan.
    pub version: Option<Arc<str>>,
}

impl Observed {
    /// An object about which there is nothing else to say.
    pub const fn new(values: Value, identity: Identity) -> Self {
        Self { values, identity, private: None, notes: Vec::new(), version: None }
    }
}

/// A change to try without making it.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    /// The instance, for messages only.
    pub address: Address,
    /// The resource type.
    pub ty: Arc<str>,
    /// What is there; `None` for a create.
    pub observed: Option<Value>,
    /// The planned values; may have unknown parts.
    pub planned: Value,
}

/// What a preview gave.
#[derive(Clone, Debug)]
pub enum PreviewResponse {
    /// The values as the server would have them.
    Values(Value),
    /// What it needs is not there, and nothing that was planned brings it: a later stage decides; why, in a few words.
    Later(String),
    /// It cannot be tried now; why, in a few words (`the namespace is created by this plan`).
    Skipped(&'static str),
    /// The server would refuse the change in place, since these attributes cannot change.
    MustReplace(Vec<mesh_model::Path>),
}

/// What to do when an object that is about to be created exists already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnExisting {
    /// An error that offers `import` or adoption.
    #[default]
    Fail,
    /// Take it over.
    Adopt,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct OperationRequest {
    /// The instance, for messages and ownership marks.
    pub address: Address,
    /// The resource type.
    pub ty: Arc<str>,
    /// Create, update or delete.
    pub operation: Operation,
    /// The remote identity, as far as it is known.
    pub identity: Option<Identity>,
    /// What is there, as observed (for update and delete).
    pub before: Option<Value>,
    /// The planned values; for create and update. Nothing in it is unknown or withheld, except computed
    /// attributes, which are unknown.
    pub after: Option<Value>,
    /// What the provider remembered.
    pub private: Option<Arc<str>>,
    /// What a create does when the object exists.
    pub on_existing: OnExisting,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done.
    Applied {
        /// The whole object in the shape of the schema, wholly known; for a delete null.
        values: Value,
        /// Its identity; for a delete that of the deleted object, if any.
        identity: Option<Identity>,
        /// What to remember.
        private: Option<Arc<str>>,
        /// Warnings of the server.
        warnings: Vec<String>,
    },
    /// Nothing happened, or an object was left that is not as planned.
    Rejected {
        /// Why.
        error: ProviderError,
        /// The object that a failed create left, or the new values after a half-done update.
        left: Option<Observed>,
    },
    /// It is not known whether it happened (timeout, connection lost after sending).
    InDoubt {
        /// Why.
        error: ProviderError,
    },
}

impl Outcome {
    /// A plain success.
    pub fn applied(values: Value, identity: Identity) -> Self {
        Self::Applied { values, identity: Some(identity), private: None, warnings: Vec::new() }
    }

    /// A plain success of a delete.
    pub fn deleted() -> Self {
        Self::Applied { values: Value::NULL, identity: None, private: None, warnings: Vec::new() }
    }

    /// A failure that left nothing.
    pub fn rejected(error: ProviderError) -> Self {
        Self::Rejected { error, left: None }
    }
}
