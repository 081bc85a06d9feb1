//! What the resource types of this provider share: look-ups in bulk, creates that do not take what exists, and
//! observed values in the spelling of the configuration.
//!
//! The one decision: a type is a [`Kind`] (its schema, its path, how it is looked at and written), and [`Typed`] makes
//! a resource of it; so the promises (403 never means absent, the look-up before a create, read after write) are kept
//! in one place. The path of an object in Vault's API is its identity.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use mesh_model::snapshot::Identity;
use mesh_model::{ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    ErrorKind, Foreign, IdentityHint, Imported, Observation, ObserveRequest, Observed, OnExisting, OperationRequest,
    Outcome, PlanRequest, PlanResponse, Problem, ProviderError, Resource, Rules, async_trait, schema_plan,
};

use crate::client::Client;
use crate::failure::Failure;

/// A look-up of this many new objects below one path begins with a LIST.
const MANY: usize = 3;

/// A resource type of this provider.
#[async_trait]
pub(crate) trait Kind: Send + Sync + 'static {
    /// Name, documentation, attributes.
    fn schema(&self) -> ResourceSchema;

    /// What is wrong with a configuration.
    fn validate(&self, config: &Value) -> Vec<Problem>;

    /// The path of the object with these values; `None` while parts of it are unknown.
    fn path(&self, values: &Value) -> Option<String>;

    /// The path that an import id means: the path itself, or a short form of it.
    fn path_of_id(&self, id: &str) -> String {
        id.to_owned()
    }

    /// What Terraform's type of the same name remembers, in the words of this one; see [`Rules::foreign`].
    fn foreign(&self, attributes: Value) -> Foreign {
        Foreign::of(attributes)
    }

    /// Whether two values of an attribute mean the same.
    fn same(&self, _attribute: &str, _a: &Value, _b: &Value) -> bool {
        false
    }

    /// Decides; `request.observed` is in the spelling of the configuration already.
    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        schema_plan(request)
    }

    /// Whether only state knows this attribute: the server neither takes it nor gives it.
    fn is_remembered(&self, _attribute: &str) -> bool {
        false
    }

    /// What is sensitive because of the content.
    fn mark(&self, values: Value) -> Value {
        values
    }

    /// Where the object is listed, and under which name.
    fn listing(&self, _path: &str) -> Option<(String, String)> {
        None
    }

    /// Whether the server itself refuses to create what exists.
    fn guarded(&self) -> bool {
        false
    }

    /// Whether the server gives values that only a look after the write can tell.
    fn looks_after_write(&self) -> bool {
        true
    }

    /// The object at a path. `hint` has the values in state or configured, where there are any.
    async fn look(&self, client: &Client, path: &str, hint: Option<&Value>) -> Result<Option<Value>, Failure>;

    /// Makes the object; gives the server's warnings. `adopt`: it may exist.
    async fn create(&self, client: &Client, path: &str, after: &Value, adopt: bool) -> Result<Vec<String>, Failure>;

    /// Changes it; gives the server's warnings.
    async fn update(&self, client: &Client, path: &str, before: &Value, after: &Value) -> Result<Vec<String>, Failure>;

    /// Deletes it; what is gone is no failure.
    async fn delete(&self, client: &Client, path: &str, before: Option<&Value>) -> Result<(), Failure>;
}

/// The failure of a create that found something.
pub(crate) fn exists(path: &str) -> Failure {
    Failure::new(
        ErrorKind::Conflict,
        "The object exists already",
        format!(
            "{path} is there, and this state does not know it. Import it, or take it over with on_existing = \"adopt\"."
        ),
    )
}

/// `seen` with the spelling of `desired` where both mean the same, and with the values of `secrets` where the server
/// gives none.
fn aligned(kind: &dyn Kind, schema: &Schema, desired: &Value, seen: &Value, secrets: Option<&Value>) -> Value {
    let attributes = schema.attributes.iter().map(|a| {
        let seen = seen.get(a.name).cloned().unwrap_or_else(|| Value::null(a.ty.clone()));
        let value = if a.write_only || kind.is_remembered(a.name) {
            secrets.and_then(|s| s.get(a.name)).cloned().unwrap_or(seen)
        } else {
            match desired.get(a.name) {
                Some(d) if d.is_wholly_known() && (kind.same(a.name, d, &seen) || a.equality.same(d, &seen)) => {
                    d.clone()
                }
                _ => seen,
            }
        };
        (a.name, value)
    });
    Value::object(attributes)
}

/// Makes a resource of a [`Kind`].
pub(crate) struct Typed<K> {
    kind: K,
    schema: ResourceSchema,
}

impl<K: Kind> Typed<K> {
    pub(crate) fn boxed(kind: K) -> Box<dyn Resource<Client>> {
        Box::new(Self { schema: kind.schema(), kind })
    }

    fn target(&self, request: &OperationRequest) -> Result<String, Failure> {
        let planned = request.after.as_ref().or(request.before.as_ref());
        let id = request.identity.as_ref().map(|i| self.kind.path_of_id(&i.0));
        id.or_else(|| planned.and_then(|v| self.kind.path(v))).ok_or_else(|| {
            Failure::new(
                ErrorKind::Invalid,
                "The object has no identity",
                "BUG: neither an identity nor known values came with the operation.",
            )
        })
    }

    async fn look(
        &self,
        client: &Client,
        path: Option<String>,
        request: &ObserveRequest,
    ) -> Result<Observation, Failure> {
        let Some(path) = path else { return Ok(Observation::Absent) };
        let like = request.saved.as_ref().or(request.desired.as_ref());
        let Some(seen) = self.kind.look(client, &path, like).await? else { return Ok(Observation::Absent) };
        let values =
            aligned(&self.kind, &self.schema.schema, like.unwrap_or(&Value::NULL), &seen, request.saved.as_ref());
        let observed = Observed::new(values, Identity(Arc::from(path)));
        Ok(Observation::Present(observed))
    }

    /// Those of `paths` that a LIST shows to be absent; asked for new objects only.
    async fn missing(
        &self,
        client: &Client,
        paths: &[Option<String>],
        requests: &[ObserveRequest],
    ) -> Result<Vec<bool>, Failure> {
        let listing = |i: usize| match (&paths[i], &requests[i].saved) {
            (Some(path), None) => self.kind.listing(path),
            _ => None,
        };
        let listings: Vec<Option<(String, String)>> = (0..requests.len()).map(listing).collect();
        let mut count = HashMap::new();
        for (path, _) in listings.iter().flatten() {
            *count.entry(path.clone()).or_insert(0) += 1;
        }
        let mut missing = Vec::with_capacity(requests.len());
        for listing in &listings {
            missing.push(match listing {
                Some((path, name)) if count.get(path).is_some_and(|n| *n >= MANY) => {
                    client.listed(path, name).await? == Some(false)
                }
                _ => false,
            });
        }
        Ok(missing)
    }

    async fn is_there(&self, client: &Client, path: &str, after: &Value) -> Result<bool, Failure> {
        if let Some((list, name)) = self.kind.listing(path)
            && let Some(listed) = client.listed(&list, &name).await?
        {
            return Ok(listed);
        }
        Ok(self.kind.look(client, path, Some(after)).await?.is_some())
    }

    async fn finish(
        &self,
        client: &Client,
        path: &str,
        after: &Value,
        warnings: Vec<String>,
    ) -> Result<Outcome, Failure> {
        let values = if self.kind.looks_after_write() {
            let seen = self.kind.look(client, path, Some(after)).await.map_err(Failure::after_write)?;
            let seen = seen.ok_or_else(|| {
                Failure::new(
                    ErrorKind::Other,
                    "Vault lost what was written",
                    format!("{path} was written and is not there."),
                )
                .after_write()
            })?;
            aligned(&self.kind, &self.schema.schema, after, &seen, Some(after))
        } else {
            after.clone()
        };
        Ok(Outcome::Applied { values, identity: Some(Identity(Arc::from(path))), private: None, warnings })
    }

    async fn note(&self, client: &Client, path: &str, there: bool) {
        if let Some((list, name)) = self.kind.listing(path) {
            client.note(&list, &name, there).await;
        }
    }

    async fn try_create(&self, client: &Client, request: &OperationRequest) -> Result<Outcome, Failure> {
        let path = self.target(request)?;
        let after = request.after.as_ref().unwrap_or(&Value::NULL);
        let adopt = request.on_existing == OnExisting::Adopt;
        if !adopt && !self.kind.guarded() && self.is_there(client, &path, after).await? {
            return Err(exists(&path));
        }
        let warnings = self.kind.create(client, &path, after, adopt).await?;
        self.note(client, &path, true).await;
        self.finish(client, &path, after, warnings).await
    }

    async fn try_update(&self, client: &Client, request: &OperationRequest) -> Result<Outcome, Failure> {
        let path = self.target(request)?;
        let after = request.after.as_ref().unwrap_or(&Value::NULL);
        let before = request.before.as_ref().unwrap_or(&Value::NULL);
        let warnings = self.kind.update(client, &path, before, after).await?;
        self.finish(client, &path, after, warnings).await
    }

    async fn try_delete(&self, client: &Client, request: &OperationRequest) -> Result<Outcome, Failure> {
        let path = self.target(request)?;
        self.kind.delete(client, &path, request.before.as_ref()).await?;
        self.note(client, &path, false).await;
        Ok(Outcome::deleted())
    }
}

impl<K: Kind> Rules for Typed<K> {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        self.kind.validate(config)
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        self.kind.path(planned).map_or(IdentityHint::Unknown, IdentityHint::known)
    }

    /// Also by a short form of the path.
    fn import(&self, id: &str, planned: &Value) -> Result<Imported, String> {
        match self.kind.path(planned) {
            Some(path) if self.kind.path_of_id(id) == path => Ok(Imported::At(Identity(path.into()))),
            Some(path) => Err(format!("{id:?} is imported, but the configuration says {path}.")),
            None => Err("which object the configuration means is known only after other changes.".to_owned()),
        }
    }

    fn foreign(&self, attributes: Value) -> Result<Foreign, String> {
        match attributes.get_str("namespace").filter(|n| !n.is_empty()) {
            None => Ok(self.kind.foreign(attributes)),
            Some(namespace) => Err(format!(
                "it is in the namespace {namespace:?}, which a provider block of its own has to name; mesh import then takes it"
            )),
        }
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let observed = request.observed.map(|seen| {
            let spelled = aligned(&self.kind, &self.schema.schema, request.desired, seen, Some(seen));
            self.mark(mesh_sdk::marks::mark_sensitive(&self.schema.schema, &spelled))
        });
        self.kind.plan(&PlanRequest { observed: observed.as_ref(), ..*request })
    }

    fn mark(&self, values: Value) -> Value {
        self.kind.mark(values)
    }
}

#[async_trait]
impl<K: Kind> Resource<Client> for Typed<K> {
    fn schema(&self) -> ResourceSchema {
        self.schema.clone()
    }

    async fn observe(&self, client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let path = |r: &ObserveRequest| {
            let id = r.identity.as_ref().map(|i| self.kind.path_of_id(&i.0));
            id.or_else(|| self.kind.path(r.desired.as_ref().or(r.saved.as_ref())?))
        };
        let paths: Vec<Option<String>> = requests.iter().map(path).collect();
        let missing = match self.missing(client, &paths, requests).await {
            Ok(missing) => missing,
            Err(failure) => return requests.iter().map(|_| Err(failure.error.clone())).collect(),
        };
        join_all(requests.iter().zip(paths).zip(missing).map(|((request, path), missing)| async move {
            if missing {
                return Ok(Observation::Absent);
            }
            self.look(client, path, request).await.map_err(ProviderError::from)
        }))
        .await
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        self.try_create(client, request).await.unwrap_or_else(Failure::outcome)
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        self.try_update(client, request).await.unwrap_or_else(Failure::outcome)
    }

    async fn delete(&self, client: &Client, request: &OperationRequest) -> Outcome {
        self.try_delete(client, request).await.unwrap_or_else(Failure::outcome)
    }
}

/// Text of an attribute, empty where there is none.
pub(crate) fn text<'v>(values: &'v Value, name: &str) -> &'v str {
    values.get_str(name).unwrap_or_default()
}

/// A map of texts; null when empty.
pub(crate) fn text_map(json: &serde_json::Value) -> Value {
    let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    match json.as_object() {
        Some(fields) if !fields.is_empty() => {
            Value::map(Type::String, fields.iter().map(|(k, v)| (k.as_str(), Value::string(text(v)))).collect())
        }
        _ => Value::null(Type::map(Type::String)),
    }
}
