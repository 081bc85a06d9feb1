//! A table of types over one client, and the session that serves it.
//!
//! The one decision: providers differ in their client and their types, never in how requests find
//! their type; so that is written once, here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mesh_model::snapshot::Operation;
use mesh_model::{ProviderSchema, Schema, Value};

use crate::ephemeral::no_ephemeral_type;
use crate::marks::mark_sensitive;
use crate::wrapping::no_wrapper;
use crate::{
    DataSource, EphemeralSource, ErrorKind, KeyBytes, KeyWrapper, Observation, ObserveRequest, Opened,
    OperationRequest, Outcome, PreviewRequest, PreviewResponse, Private, ProviderError, Renewed, Resource, Rules,
    Services, Session,
};

/// The types of a provider over a client `C`.
pub struct Registry<C> {
    schema: ProviderSchema,
    resources: BTreeMap<&'static str, Box<dyn Resource<C>>>,
    data: BTreeMap<&'static str, Box<dyn DataSource<C>>>,
    ephemeral: BTreeMap<&'static str, Box<dyn EphemeralSource<C>>>,
    wrapper: Option<Box<dyn KeyWrapper<C>>>,
}

impl<C: Send + Sync + 'static> Registry<C> {
    /// From the tables of a provider.
    pub fn new(
        name: &'static str,
        doc: &'static str,
        config: Schema,
        concurrency: usize,
        resources: Vec<Box<dyn Resource<C>>>,
        data: Vec<Box<dyn DataSource<C>>>,
    ) -> Self {
        let resources: BTreeMap<_, _> = resources.into_iter().map(|r| (r.schema().name, r)).collect();
        let data: BTreeMap<_, _> = data.into_iter().map(|d| (d.schema().name, d)).collect();
        let schema = ProviderSchema {
            name,
            doc,
            config,
            resources: resources.iter().map(|(n, r)| (*n, r.schema())).collect(),
            data: data.iter().map(|(n, d)| (*n, d.schema())).collect(),
            ephemeral: BTreeMap::new(),
            recipient: None,
            recipient_needs: &[],
            concurrency,
        };
        Self { schema, resources, data, ephemeral: BTreeMap::new(), wrapper: None }
    }

    /// With types of ephemeral blocks.
    #[must_use]
    pub fn ephemeral(mut self, sources: Vec<Box<dyn EphemeralSource<C>>>) -> Self {
        self.ephemeral = sources.into_iter().map(|s| (s.schema().name, s)).collect();
        self.schema.ephemeral = self.ephemeral.iter().map(|(n, s)| (*n, s.schema())).collect();
        self
    }

    /// With a key of the system that can seal the keys of a state.
    #[must_use]
    pub fn wrapper(mut self, wrapper: Box<dyn KeyWrapper<C>>) -> Self {
        self.schema.recipient = Some(wrapper.schema());
        self.schema.recipient_needs = wrapper.needs();
        self.wrapper = Some(wrapper);
        self
    }

    /// What the provider offers.
    pub fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    /// The pure hooks of a type.
    pub fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.resources.get(ty).map(|r| r.as_ref() as &dyn Rules)
    }
}

/// A session over a client `C`.
pub struct TypedSession<C> {
    registry: Arc<Registry<C>>,
    client: C,
    target: Option<Arc<str>>,
    services: Services,
}

impl<C: Send + Sync + 'static> TypedSession<C> {
    /// A session for the types of `registry`.
    pub fn new(registry: Arc<Registry<C>>, client: C, target: Option<Arc<str>>, services: Services) -> Self {
        Self { registry, client, target, services }
    }

    /// The client, for tests.
    pub fn client(&self) -> &C {
        &self.client
    }

    fn resource(&self, ty: &str) -> Result<&dyn Resource<C>, ProviderError> {
        self.registry.resources.get(ty).map(AsRef::as_ref).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Invalid,
                "Unknown resource type",
                format!("The provider has no resource type {ty:?}."),
            )
        })
    }

    fn ephemeral(&self, ty: &str) -> Result<&dyn EphemeralSource<C>, ProviderError> {
        self.registry.ephemeral.get(ty).map(AsRef::as_ref).ok_or_else(|| no_ephemeral_type(ty))
    }

    fn marked(&self, ty: &str, resource: &dyn Resource<C>, values: &Value) -> Value {
        let schema = &self.registry.schema.resources[ty].schema;
        resource.mark(mark_sensitive(schema, values))
    }
}

#[async_trait]
impl<C: Send + Sync + 'static> Session for TypedSession<C> {
    fn target(&self) -> Option<Arc<str>> {
        self.target.clone()
    }

    async fn observe(&self, requests: Vec<ObserveRequest>) -> Vec<Result<Observation, ProviderError>> {
        let mut answers: Vec<Option<Result<Observation, ProviderError>>> = requests.iter().map(|_| None).collect();
        let mut by_type: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
        for (i, request) in requests.iter().enumerate() {
            by_type.entry(request.ty.clone()).or_default().push(i);
        }
        let calls = by_type.into_iter().map(|(ty, indices)| {
            let batch: Vec<ObserveRequest> = indices.iter().map(|&i| requests[i].clone()).collect();
            async move {
                let seen = match self.resource(&ty) {
                    Ok(resource) => resource
                        .observe(&self.client, &batch)
                        .await
                        .into_iter()
                        .map(|r| {
                            r.map(|o| match o {
                                Observation::Absent => Observation::Absent,
                                Observation::Present(mut p) => {
                                    p.values = self.marked(&ty, resource, &p.values);
                                    Observation::Present(p)
                                }
                            })
                        })
                        .collect(),
                    Err(e) => batch.iter().map(|_| Err(e.clone())).collect::<Vec<_>>(),
                };
                (indices, seen)
            }
        });
        for (indices, seen) in futures::future::join_all(calls).await {
            for (i, answer) in indices.into_iter().zip(seen) {
                answers[i] = Some(answer);
            }
        }
        answers
            .into_iter()
            .map(|a| {
                a.unwrap_or_else(|| {
                    Err(ProviderError::new(
                        ErrorKind::Other,
                        "A look was not answered",
                        "BUG: the resource type answered fewer requests than it got.",
                    ))
                })
            })
            .collect()
    }

    async fn preview(&self, request: PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        let resource = self.resource(&request.ty)?;
        Ok(match resource.preview(&self.client, &request).await? {
            PreviewResponse::Values(v) => PreviewResponse::Values(self.marked(&request.ty, resource, &v)),
            other => other,
        })
    }

    async fn wrap(&self, settings: &Value, context: &str, key: &KeyBytes) -> Result<String, ProviderError> {
        let wrapper = self.registry.wrapper.as_ref().ok_or_else(no_wrapper)?;
        wrapper.wrap(&self.client, settings, context, key).await
    }

    async fn unwrap(&self, settings: &Value, context: &str, wrapped: &str) -> Result<KeyBytes, ProviderError> {
        let wrapper = self.registry.wrapper.as_ref().ok_or_else(no_wrapper)?;
        wrapper.unwrap(&self.client, settings, context, wrapped).await
    }

    async fn apply(&self, operations: Vec<OperationRequest>) -> Vec<Outcome> {
        let Some(first) = operations.first() else { return Vec::new() };
        let resource = match self.resource(&first.ty) {
            Ok(r) => r,
            Err(e) => return operations.iter().map(|_| Outcome::rejected(e.clone())).collect(),
        };
        let batch = if operations.len() > 1 { resource.apply_batch(&self.client, &operations).await } else { None };
        let outcomes = match batch {
            Some(outcomes) => outcomes,
            None => {
                let mut outcomes = Vec::with_capacity(operations.len());
                for operation in &operations {
                    outcomes.push(match operation.operation {
                        Operation::Create => resource.create(&self.client, operation).await,
                        Operation::Update => resource.update(&self.client, operation).await,
                        Operation::Delete => resource.delete(&self.client, operation).await,
                    });
                }
                outcomes
            }
        };
        outcomes
            .into_iter()
            .map(|o| match o {
                Outcome::Applied { values, identity, private, warnings } => {
                    Outcome::Applied { values: self.marked(&first.ty, resource, &values), identity, private, warnings }
                }
                Outcome::Rejected { error, left: Some(mut left) } => {
                    left.values = self.marked(&first.ty, resource, &left.values);
                    Outcome::Rejected { error, left: Some(left) }
                }
                other => other,
            })
            .collect()
    }

    async fn read(&self, ty: &str, config: &Value) -> Result<Value, ProviderError> {
        let source = self.registry.data.get(ty).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Invalid,
                "Unknown data source",
                format!("The provider has no data source {ty:?}."),
            )
        })?;
        let values = source.read(&self.client, config, &self.services).await?;
        Ok(source.mark(mark_sensitive(&self.registry.schema.data[ty].schema, &values)))
    }

    async fn open_ephemeral(&self, ty: &str, config: &Value) -> Result<Opened, ProviderError> {
        let mut opened = self.ephemeral(ty)?.open(&self.client, config, &self.services).await?;
        opened.value = mark_sensitive(&self.registry.schema.ephemeral[ty].schema, &opened.value);
        Ok(opened)
    }

    async fn renew_ephemeral(&self, ty: &str, private: Option<&Private>) -> Result<Renewed, ProviderError> {
        self.ephemeral(ty)?.renew(&self.client, private).await
    }

    async fn close_ephemeral(&self, ty: &str, private: Option<&Private>) -> Result<(), ProviderError> {
        self.ephemeral(ty)?.close(&self.client, private).await
    }
}
