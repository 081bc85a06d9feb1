//! Blobs as Secrets.
//!
//! The one decision: one Secret is one blob, written over the resourceVersion that the writer has seen. A blob that is
//! too large for that has its parts in Secrets that only this writing names, written before it; so whoever sees the
//! blob finds all of it, or sees that it was replaced and reads again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use mesh_state::remote::{Blob, Expected, LOCK, Store, Version};
use mesh_state::{BadSetting, Settings, StateError};
use tokio::sync::OnceCell;

use crate::connect::Access;
use crate::error::{failed, is_conflict, is_gone, passes};
use crate::lock;
use crate::names::{STATE_LABEL, StateName, is_lock};
use crate::pack::{PART, pack, unpack};

/// The type of our Secrets.
const TYPE: &str = "mesh.state/v1";
/// Under which key the bytes are.
const KEY: &str = "blob";
/// Where a blob names its parts: an id and how many.
const PARTS: &str = "mesh.state/parts";
/// Parts at once.
const AT_ONCE: usize = 8;
/// One request takes at most this long.
const LIMIT: Duration = Duration::from_secs(60);
/// Pauses before what may be asked again is.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];
/// Parts that no blob names are somebody's who died, when they are this much older.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A state in a namespace.
pub struct KubernetesStore {
    access: Access,
    client: OnceCell<Client>,
    namespace: String,
    state: StateName,
}

/// The parts of a blob.
struct Parts {
    id: String,
    count: usize,
}

impl Parts {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        let (id, count) = metadata.annotations.as_ref()?.get(PARTS)?.split_once(' ')?;
        Some(Self { id: id.to_owned(), count: count.parse().ok()? })
    }
}

fn version(metadata: &ObjectMeta) -> Version {
    Version(metadata.resource_version.clone().unwrap_or_default())
}

fn writing() -> PostParams {
    PostParams { field_manager: Some("mesh".to_owned()), ..PostParams::default() }
}

impl KubernetesStore {
    /// What the settings describe; nothing is asked yet.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, BadSetting> {
        let namespace = settings
            .text("namespace")
            .ok_or_else(|| BadSetting::of("namespace", "namespace must name the namespace that the state is in."))?;
        let mut state = StateName::new(settings.text("name").unwrap_or("mesh"))?;
        if let Some(workspace) = settings.workspace {
            state = state.workspace(workspace)?;
        }
        Ok(Self { access: Access::new(settings)?, client: OnceCell::new(), namespace: namespace.to_owned(), state })
    }

    pub(crate) async fn client(&self) -> Result<Client, StateError> {
        let client =
            self.client.get_or_try_init(|| self.access.client()).await.map_err(|why| StateError::Unusable {
                place: self.place(),
                why: format!("the cluster cannot be reached with these settings: {}", why.trim_end_matches('.')),
                way_out: "Look at the settings of the backend and at the kubeconfig.".to_owned(),
            })?;
        Ok(client.clone())
    }

    async fn secrets(&self) -> Result<Api<Secret>, StateError> {
        Ok(Api::namespaced(self.client().await?, &self.namespace))
    }

    async fn leases(&self) -> Result<Api<Lease>, StateError> {
        Ok(Api::namespaced(self.client().await?, &self.namespace))
    }

    fn error(&self, doing: &'static str, error: &kube::Error) -> StateError {
        failed(doing, &self.place(), &self.namespace, error)
    }

    fn damaged(&self, name: &str, why: impl std::fmt::Display) -> StateError {
        StateError::Corrupt {
            place: format!("{name} in {}", self.place()),
            line: None,
            why: why.to_string(),
            way_out: "Restore its Secrets from a backup of the namespace, all from the same time.".to_owned(),
        }
    }

    /// One request, again where that is safe and may help.
    async fn request<T, F>(&self, doing: &'static str, reads: bool, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut pauses = PAUSES.iter();
        loop {
            match tokio::time::timeout(LIMIT, send()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => match pauses.next() {
                    Some(pause) if passes(&error, reads) => tokio::time::sleep(*pause).await,
                    _ => return Err(Failure::Answer(error)),
                },
                Err(_) => {
                    let why = format!("no answer within {} s", LIMIT.as_secs());
                    return Err(Failure::State(StateError::remote(doing, &self.place(), why)));
                }
            }
        }
    }

    /// The same, where "not there" is an answer.
    async fn find<T, F>(&self, send: impl Fn() -> F) -> Result<Option<T>, StateError>
    where
        F: Future<Output = kube::Result<Option<T>>>,
    {
        self.request("reading", true, send).await.map_err(|f| f.error(|e| self.error("reading", e)))
    }

    /// The same for a write over what is expected.
    async fn write<T, F>(&self, send: impl Fn() -> F) -> Result<Option<T>, StateError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.request("writing", false, send).await {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Answer(e)) if is_conflict(&e) || is_gone(&e) => Ok(None),
            Err(failure) => Err(failure.error(|e| self.error("writing", e))),
        }
    }

    async fn delete(&self, object: &str) -> Result<(), StateError> {
        let secrets = self.secrets().await?;
        let how = DeleteParams::default();
        match self.request("removing", true, || secrets.delete(object, &how)).await {
            Ok(_) => Ok(()),
            Err(Failure::Answer(e)) if is_gone(&e) => Ok(()),
            Err(failure) => Err(failure.error(|e| self.error("removing", e))),
        }
    }

    fn secret(&self, object: String, labels: BTreeMap<String, String>, bytes: Vec<u8>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(object), labels: Some(labels), ..ObjectMeta::default() },
            type_: Some(TYPE.to_owned()),
            data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(bytes))])),
            ..Secret::default()
        }
    }

    async fn put_parts(&self, parts: &Parts, packed: &[u8]) -> Result<(), StateError> {
        let secrets = self.secrets().await?;
        let how = writing();
        let (secrets, how) = (&secrets, &how);
        let puts = packed.chunks(PART).enumerate().map(async |(n, bytes)| {
            let object = self.state.part(&parts.id, n);
            let secret = self.secret(object, self.state.labels_of_part(), bytes.to_vec());
            self.write(|| secrets.create(how, &secret)).await.map(drop)
        });
        let puts: Vec<_> = puts.collect();
        futures::stream::iter(puts).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// All parts together; `None` when one is gone.
    async fn get_parts(&self, parts: &Parts) -> Result<Option<Vec<u8>>, StateError> {
        let secrets = self.secrets().await?;
        let secrets = &secrets;
        let gets: Vec<_> = (0..parts.count)
            .map(async |n| {
                let object = self.state.part(&parts.id, n);
                self.find(|| secrets.get_opt(&object)).await
            })
            .collect();
        let found: Vec<Option<Secret>> = futures::stream::iter(gets).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().map(bytes).collect::<Option<Vec<_>>>().map(|all| all.concat()))
    }

    async fn remove_parts(&self, parts: &Parts) -> Result<(), StateError> {
        let removals: Vec<_> = (0..parts.count)
            .map(async |n| {
                let object = self.state.part(&parts.id, n);
                self.delete(&object).await
            })
            .collect();
        futures::stream::iter(removals).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// The metadata of what a selector finds.
    async fn metadata(&self, selector: &str) -> Result<Vec<ObjectMeta>, StateError> {
        let secrets = self.secrets().await?;
        let how = ListParams::default().labels(selector);
        let list = self.request("listing", true, || secrets.list_metadata(&how)).await;
        Ok(list.map_err(|f| f.error(|e| self.error("listing", e)))?.items.into_iter().map(|i| i.metadata).collect())
    }

    /// Removes parts whose writer died before it wrote the blob. Both times are the server's.
    pub(crate) async fn sweep(&self, written: &ObjectMeta) -> Result<(), StateError> {
        let all = self.metadata(&self.state.everything()).await?;
        let named: BTreeSet<String> = all.iter().filter_map(|m| Parts::of(m).map(|p| p.id)).collect();
        let Some(now) = written.creation_timestamp.as_ref() else { return Ok(()) };
        for object in &all {
            let name = object.name.as_deref().unwrap_or_default();
            let Some(id) = self.state.id_of_part(name) else { continue };
            let age = object.creation_timestamp.as_ref().map(|t| now.0.duration_since(t.0).as_secs());
            if !named.contains(id) && age.is_some_and(|a| a > ABANDONED.as_secs().cast_signed()) {
                self.delete(name).await?;
            }
        }
        Ok(())
    }

    async fn put_secret(
        &self,
        name: &str,
        mut secret: Secret,
        expected: Expected,
    ) -> Result<Option<Secret>, StateError> {
        let (secrets, how) = (self.secrets().await?, writing());
        match expected {
            Expected::Absent => self.write(|| secrets.create(&how, &secret)).await,
            Expected::Is(version) => {
                let object = self.state.object(name);
                let before = self.find(|| secrets.get_metadata_opt(&object)).await?;
                secret.metadata.resource_version = Some(version.0);
                let written = self.write(|| secrets.replace(&object, &how, &secret)).await?;
                if let (Some(old), true) = (before.and_then(|m| Parts::of(&m.metadata)), written.is_some()) {
                    self.remove_parts(&old).await?;
                }
                Ok(written)
            }
        }
    }

    async fn put_lock(&self, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        let text = String::from_utf8(bytes).map_err(|e| StateError::remote("writing", &self.place(), e))?;
        let (leases, how) = (self.leases().await?, writing());
        let written = match expected {
            Expected::Absent => {
                let lease = lock::lease(&self.state, text, None);
                self.write(|| leases.create(&how, &lease)).await?
            }
            Expected::Is(version) => {
                let lease = lock::lease(&self.state, text, Some(version.0));
                let object = self.state.object(LOCK);
                self.write(|| leases.replace(&object, &how, &lease)).await?
            }
        };
        Ok(written.map(|lease| version(&lease.metadata)))
    }
}

fn bytes(secret: Option<Secret>) -> Option<Vec<u8>> {
    secret?.data?.remove(KEY).map(|b| b.0)
}

/// Why a request gave nothing.
enum Failure {
    Answer(kube::Error),
    State(StateError),
}

impl Failure {
    fn error(self, make: impl FnOnce(&kube::Error) -> StateError) -> StateError {
        match self {
            Self::Answer(error) => make(&error),
            Self::State(error) => error,
        }
    }
}

#[async_trait]
impl Store for KubernetesStore {
    fn place(&self) -> String {
        format!("kubernetes namespace {}, state {}", self.namespace, self.state.0)
    }

    async fn get(&self, name: &str) -> Result<Option<Blob>, StateError> {
        let object = self.state.object(name);
        if is_lock(name) {
            let leases = self.leases().await?;
            let lease = self.find(|| leases.get_opt(&object)).await?;
            let blob = |l: Lease| Blob { bytes: lock::text(&l).into_bytes(), version: version(&l.metadata) };
            return Ok(lease.map(blob));
        }
        let secrets = self.secrets().await?;
        let mut seen = None;
        loop {
            let Some(secret) = self.find(|| secrets.get_opt(&object)).await? else { return Ok(None) };
            let version = version(&secret.metadata);
            let packed = match Parts::of(&secret.metadata) {
                Some(parts) => self.get_parts(&parts).await?,
                None => bytes(Some(secret)),
            };
            match packed {
                Some(packed) => {
                    let bytes = unpack(packed).await.map_err(|e| self.damaged(name, e))?;
                    return Ok(Some(Blob { bytes, version }));
                }
                None if seen.as_ref() == Some(&version) => {
                    return Err(self.damaged(name, "a part of it is missing"));
                }
                None => seen = Some(version),
            }
        }
    }

    async fn version(&self, name: &str) -> Result<Option<Version>, StateError> {
        let object = self.state.object(name);
        let found = if is_lock(name) {
            let leases = self.leases().await?;
            self.find(|| leases.get_metadata_opt(&object)).await?.map(|m| m.metadata)
        } else {
            let secrets = self.secrets().await?;
            self.find(|| secrets.get_metadata_opt(&object)).await?.map(|m| m.metadata)
        };
        Ok(found.as_ref().map(version))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        if is_lock(name) {
            return self.put_lock(bytes, expected).await;
        }
        let packed = pack(bytes).await.map_err(|e| StateError::remote("compressing", &self.place(), e))?;
        let (object, labels) = (self.state.object(name), self.state.labels_of(name));
        if packed.len() <= PART {
            let written = self.put_secret(name, self.secret(object, labels, packed), expected).await?;
            return Ok(written.map(|s| version(&s.metadata)));
        }
        let parts = Parts { id: uuid::Uuid::new_v4().simple().to_string(), count: packed.len().div_ceil(PART) };
        self.put_parts(&parts, &packed).await?;
        let mut secret = self.secret(object, labels, Vec::new());
        secret.metadata.annotations = Some([(PARTS.to_owned(), format!("{} {}", parts.id, parts.count))].into());
        match self.put_secret(name, secret, expected).await? {
            Some(secret) => {
                self.sweep(&secret.metadata).await?;
                Ok(Some(version(&secret.metadata)))
            }
            None => {
                self.remove_parts(&parts).await?;
                Ok(None)
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StateError> {
        let found = self.metadata(&self.state.selector(prefix)).await?;
        let names = found.into_iter().filter_map(|m| self.state.blob(&m.name?));
        let mut names: Vec<String> = names.filter(|n| n.starts_with(prefix)).collect();
        if LOCK.starts_with(prefix) && self.version(LOCK).await?.is_some() {
            names.push(LOCK.to_owned());
        }
        names.sort();
        Ok(names)
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        let found = self.metadata(&StateName::all()).await?;
        let label = |m: ObjectMeta| m.labels?.remove(STATE_LABEL);
        let names: BTreeSet<String> =
            found.into_iter().filter_map(label).filter_map(|label| self.state.sibling(&label)).collect();
        Ok(names.into_iter().collect())
    }

    async fn remove(&self, name: &str) -> Result<(), StateError> {
        let object = self.state.object(name);
        if is_lock(name) {
            let (leases, how) = (self.leases().await?, DeleteParams::default());
            return match self.request("removing", true, || leases.delete(&object, &how)).await {
                Ok(_) => Ok(()),
                Err(Failure::Answer(e)) if is_gone(&e) => Ok(()),
                Err(failure) => Err(failure.error(|e| self.error("removing", e))),
            };
        }
        let secrets = self.secrets().await?;
        let before = self.find(|| secrets.get_metadata_opt(&object)).await?;
        self.delete(&object).await?;
        match before.and_then(|m| Parts::of(&m.metadata)) {
            Some(parts) => self.remove_parts(&parts).await,
            None => Ok(()),
        }
    }
}
