//! One cluster: requests as plain JSON, discovery, and listings that a plan shares.
//!
//! The one decision: objects stay JSON. A typed round trip loses what the client does not know, and
//! every kind is to be served. Listings live until this session writes anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use http::{Method, Request};
use kube::client::Body;
use kube::core::discovery::{ApiResource, Scope};
use kube::discovery::{ApiGroup, Discovery};
use mesh_sdk::{ErrorKind, ProviderError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use crate::error::{Failure, missing};
use crate::object::Reference;

/// Objects of one kind and namespace are got one by one up to this number, then listed.
const GETS_BEFORE_LIST: usize = 2;
/// Objects a page.
const PAGE: usize = 2000;
/// A kind that was not there is asked for again after this time.
const DISCOVERY_HOLDS: Duration = Duration::from_secs(2);
/// Kinds that are looked at side by side.
const AT_ONCE: usize = 16;

/// A configured cluster.
pub struct Cluster {
    client: kube::Client,
    /// The field manager where a resource names none.
    pub(crate) manager: String,
    /// The address, for messages and data.
    pub(crate) host: String,
    /// The CA certificates of the connection (PEM), where the configuration gave them.
    pub(crate) ca_pem: Option<String>,
    requests: AtomicU64,
    discovery: tokio::sync::Mutex<Option<(Arc<Discovery>, Instant)>>,
    kinds: Mutex<HashMap<KindKey, Arc<KindInfo>>>,
    /// Kinds that planned definitions bring, by group and name.
    coming: Mutex<HashSet<(String, String)>>,
    shelves: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Shelf>>>>,
    ended: Mutex<HashSet<String>>,
}

/// Group, version and kind.
type KindKey = (String, Option<String>, String);

/// Objects of one kind and namespace that were looked at.
#[derive(Default)]
struct Shelf {
    gets: usize,
    listing: Option<HashMap<String, Arc<Json>>>,
}

/// A kind that the server has.
#[derive(Clone, Debug)]
pub(crate) struct KindInfo {
    pub(crate) api: ApiResource,
    pub(crate) namespaced: bool,
}

/// What a request carries.
pub(crate) enum Payload<'a> {
    Nothing,
    Apply(&'a Json),
    JsonPatch(&'a Json),
    StrategicMerge(&'a Json),
    Plain(&'a Json),
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) json: Json,
    /// The server's warnings (deprecated versions, admission).
    pub(crate) warnings: Vec<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs futures, so many at once; answers in their order.
pub(crate) async fn side_by_side<F: Future>(futures: Vec<F>, at_once: usize) -> Vec<F::Output> {
    stream::iter(futures).buffered(at_once).collect().await
}

pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Cluster {
    pub(crate) fn new(client: kube::Client, manager: String, host: String, ca_pem: Option<String>) -> Self {
        Self {
            client,
            manager,
            host,
            ca_pem,
            requests: AtomicU64::new(0),
            discovery: tokio::sync::Mutex::new(None),
            kinds: Mutex::default(),
            coming: Mutex::default(),
            shelves: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// How many requests were sent (discovery counts as one).
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// One request.
    pub(crate) async fn call(&self, method: Method, path: &str, payload: Payload<'_>) -> Result<Answer, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (content, body) = match payload {
            Payload::Nothing => (None, Vec::new()),
            Payload::Apply(json) => (Some("application/apply-patch+yaml"), json.to_string().into_bytes()),
            Payload::JsonPatch(json) => (Some("application/json-patch+json"), json.to_string().into_bytes()),
            Payload::StrategicMerge(json) => {
                (Some("application/strategic-merge-patch+json"), json.to_string().into_bytes())
            }
            Payload::Plain(json) => (Some("application/json"), json.to_string().into_bytes()),
        };
        let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
        if let Some(content) = content {
            request = request.header("content-type", content);
        }
        let request = request.body(Body::from(body)).map_err(kube::Error::HttpError)?;
        let response = self.client.send(request).await?;
        let status = response.status();
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .filter_map(|w| w.to_str().ok())
            .map(|w| w.split_once('"').map_or(w, |(_, text)| text.trim_end_matches('"')).to_owned())
            .collect();
        let bytes = response.into_body().collect_bytes().await?;
        if !status.is_success() {
            let parsed = serde_json::from_slice::<kube::core::Status>(&bytes).ok();
            let mut failure = parsed
                .unwrap_or_else(|| kube::core::Status::failure(String::from_utf8_lossy(&bytes).trim(), "Unreadable"));
            failure.code = status.as_u16();
            return Err(Failure::Api(failure.boxed()));
        }
        let json = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::Transport { text: format!("the answer is not JSON: {e}"), sent: true })?;
        Ok(Answer { json, warnings })
    }

    /// The kind of an object. Where it is not known the server is asked anew, but not all the time:
    /// many objects of a kind that does not exist yet are planned at once.
    pub(crate) async fn kind(&self, reference: &Reference) -> Result<Arc<KindInfo>, ProviderError> {
        let key = (reference.group.clone(), reference.version.clone(), reference.kind.clone());
        if let Some(known) = locked(&self.kinds).get(&key) {
            return Ok(known.clone());
        }
        let mut slot = self.discovery.lock().await;
        let mut found = slot.as_ref().and_then(|(discovery, _)| lookup(discovery, reference));
        if found.is_none() && slot.as_ref().is_none_or(|(_, asked)| asked.elapsed() > DISCOVERY_HOLDS) {
            let fresh = self.discover().await.map_err(|f| f.error("ask which kinds there are", None))?;
            found = lookup(&fresh, reference);
            *slot = Some((fresh, Instant::now()));
        }
        drop(slot);
        let Some(found) = found else {
            return Err(missing(format!(
                "The cluster has no kind {} in {}. Install its CustomResourceDefinition first (with `depends_on`), or correct apiVersion and kind.",
                reference.kind,
                if reference.version.is_some() { reference.api_version() } else { reference.group.clone() },
            )));
        };
        let found = Arc::new(found);
        locked(&self.kinds).insert(key, found.clone());
        Ok(found)
    }

    /// Takes note of an object that is planned: a definition brings a kind.
    pub(crate) fn announce(&self, object: &mesh_model::Value) {
        let Some(spec) = object.get("spec").filter(|_| object.get_str("kind") == Some("CustomResourceDefinition"))
        else {
            return;
        };
        let kind = spec.get("names").and_then(|n| n.get_str("kind"));
        if let (Some(group), Some(kind)) = (spec.get_str("group"), kind) {
            locked(&self.coming).insert((group.to_owned(), kind.to_owned()));
        }
    }

    /// Whether a planned definition brings the kind of an object.
    pub(crate) fn is_coming(&self, reference: &Reference) -> bool {
        locked(&self.coming).contains(&(reference.group.clone(), reference.kind.clone()))
    }

    async fn discover(&self) -> Result<Arc<Discovery>, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match Discovery::new(self.client.clone()).run_aggregated().await {
            Ok(discovery) => Ok(Arc::new(discovery)),
            // Servers before 1.26 answer with another document.
            Err(kube::Error::SerdeError(_)) => Ok(Arc::new(Discovery::new(self.client.clone()).run().await?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets what may be stale after a write: all listings, and the kinds where they may change.
    pub(crate) async fn wrote(&self, reference: &Reference) {
        locked(&self.shelves).clear();
        if reference.kind == "CustomResourceDefinition" {
            *self.discovery.lock().await = None;
            locked(&self.kinds).clear();
        }
    }

    /// The path of an object, or with an empty name of its collection.
    pub(crate) fn path(kind: &KindInfo, namespace: Option<&str>, name: &str) -> String {
        let root = if kind.api.group.is_empty() { "/api" } else { "/apis" };
        let mut path = format!("{root}/{}", kind.api.api_version);
        if let (true, Some(namespace)) = (kind.namespaced, namespace) {
            path.push_str("/namespaces/");
            path.push_str(&encoded(namespace));
        }
        path.push('/');
        path.push_str(&kind.api.plural);
        if !name.is_empty() {
            path.push('/');
            path.push_str(&encoded(name));
        }
        path
    }

    /// Kind and path of an object.
    pub(crate) async fn locate(&self, reference: &Reference) -> Result<(Arc<KindInfo>, String), ProviderError> {
        let kind = self.kind(reference).await?;
        if kind.namespaced && reference.namespace.is_none() {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                "The Kubernetes configuration cannot be used",
                format!(
                    "{} is a namespaced kind and `{}` names no namespace. Set metadata.namespace; there is no default.",
                    reference.kind, reference.name
                ),
            ));
        }
        let path = Self::path(&kind, reference.namespace.as_deref(), &reference.name);
        Ok((kind, path))
    }

    /// Kind and path of an object that may have been written under a version that is no longer served.
    pub(crate) async fn locate_any(&self, reference: &Reference) -> Result<(Arc<KindInfo>, String), ProviderError> {
        match self.locate(reference).await {
            Err(e) if e.kind == ErrorKind::Missing && reference.version.is_some() => {
                self.locate(&Reference { version: None, ..reference.clone() }).await
            }
            other => other,
        }
    }

    /// The object as it is now; `None` where there is none, or no such kind.
    pub(crate) async fn get(&self, reference: &Reference) -> Result<Option<Json>, ProviderError> {
        let path = match self.locate_any(reference).await {
            Ok((_, path)) => path,
            Err(e) if e.kind == ErrorKind::Missing => return Ok(None),
            Err(e) => return Err(e),
        };
        self.get_path(&path).await.map_err(|f| f.error(&format!("read {}", reference.text()), None))
    }

    pub(crate) async fn get_path(&self, path: &str) -> Result<Option<Json>, Failure> {
        match self.call(Method::GET, path, Payload::Nothing).await {
            Ok(answer) => Ok(Some(answer.json)),
            Err(f) if f.code() == 404 => Ok(None),
            Err(f) => Err(f),
        }
    }

    /// All objects of a kind and namespace (all namespaces for `None`) that selectors leave.
    pub(crate) async fn list(
        &self,
        kind: &KindInfo,
        namespace: Option<&str>,
        labels: &str,
        fields: &str,
    ) -> Result<Vec<Json>, Failure> {
        let mut query = format!("{}?limit={PAGE}", Self::path(kind, namespace, ""));
        for (name, text) in [("labelSelector", labels), ("fieldSelector", fields)] {
            if !text.is_empty() {
                query.extend(["&", name, "=", &encoded(text)]);
            }
        }
        let mut out = Vec::new();
        let mut next = String::new();
        loop {
            let page = if next.is_empty() { query.clone() } else { format!("{query}&continue={}", encoded(&next)) };
            let mut json = self.call(Method::GET, &page, Payload::Nothing).await?.json;
            next = json["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if let Json::Array(items) = json["items"].take() {
                out.extend(items.into_iter().map(|mut item| {
                    // Items of a list leave out what the list says once.
                    item["apiVersion"] = kind.api.api_version.clone().into();
                    item["kind"] = kind.api.kind.clone().into();
                    item
                }));
            }
            if next.is_empty() {
                return Ok(out);
            }
        }
    }

    /// Looks at many objects, with one LIST per kind and namespace where that is less.
    pub(crate) async fn find(&self, references: &[Reference]) -> Vec<Result<Option<Arc<Json>>, ProviderError>> {
        let mut groups: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (i, r) in references.iter().enumerate() {
            let kind = format!("{}/{}/{}", r.group, r.version.as_deref().unwrap_or(""), r.kind);
            groups.entry((kind, r.namespace.clone().unwrap_or_default())).or_default().push(i);
        }
        let mut answers: Vec<_> = references.iter().map(|_| Ok(None)).collect();
        let looks = groups.into_values().map(|indices| async move {
            let wanted: Vec<&Reference> = indices.iter().map(|&i| &references[i]).collect();
            let seen = self.find_group(&wanted).await;
            (indices, seen)
        });
        for (indices, seen) in side_by_side(looks.collect(), AT_ONCE).await {
            for (i, answer) in indices.into_iter().zip(seen) {
                answers[i] = answer;
            }
        }
        answers
    }

    async fn find_group(&self, wanted: &[&Reference]) -> Vec<Result<Option<Arc<Json>>, ProviderError>> {
        let first = wanted[0];
        let (kind, _) = match self.locate_any(first).await {
            Ok(found) => found,
            Err(e) if e.kind == ErrorKind::Missing => return wanted.iter().map(|_| Ok(None)).collect(),
            Err(e) => return wanted.iter().map(|_| Err(e.clone())).collect(),
        };
        let collection = Self::path(&kind, first.namespace.as_deref(), "");
        let shelf = locked(&self.shelves).entry(collection).or_default().clone();
        let mut shelf = shelf.lock().await;
        if shelf.listing.is_none() && shelf.gets + wanted.len() > GETS_BEFORE_LIST {
            match self.list(&kind, first.namespace.as_deref(), "", "").await {
                Ok(items) => {
                    let named = items.into_iter().filter_map(|mut item| {
                        slim(&mut item);
                        Some((item["metadata"]["name"].as_str()?.to_owned(), Arc::new(item)))
                    });
                    shelf.listing = Some(named.collect());
                }
                // Who may only get is asked one by one.
                Err(f) if f.code() == 403 => {}
                Err(f) => {
                    let error = f.error(&format!("list {} objects", first.kind), None);
                    return wanted.iter().map(|_| Err(error.clone())).collect();
                }
            }
        }
        if let Some(listing) = &shelf.listing {
            return wanted.iter().map(|r| Ok(listing.get(&r.name).cloned())).collect();
        }
        shelf.gets += wanted.len();
        let kind = &kind;
        let looks = wanted.iter().map(|r| async move {
            let path = Self::path(kind, r.namespace.as_deref(), &r.name);
            let got = self.get_path(&path).await.map_err(|f| f.error(&format!("read {}", r.text()), None))?;
            Ok(got.map(|mut json| {
                slim(&mut json);
                Arc::new(json)
            }))
        });
        side_by_side(looks.collect(), AT_ONCE).await
    }

    /// Remembers that something that lives in state only was ended in this session.
    pub(crate) fn end(&self, identity: &str) {
        locked(&self.ended).insert(identity.to_owned());
    }

    /// Whether it was.
    pub(crate) fn is_ended(&self, identity: &str) -> bool {
        locked(&self.ended).contains(identity)
    }
}

/// Owners by name only: the field sets are most of the bytes of an object.
fn slim(item: &mut Json) {
    if let Some(Json::Array(entries)) = item.get_mut("metadata").and_then(|m| m.get_mut("managedFields")) {
        for entry in entries {
            if let Some(entry) = entry.as_object_mut() {
                entry.retain(|k, _| k == "manager" || k == "operation" || k == "subresource");
            }
        }
    }
}

fn lookup(discovery: &Discovery, reference: &Reference) -> Option<KindInfo> {
    let group: &ApiGroup = discovery.get(&reference.group)?;
    let of_version = |version: &str| {
        let kinds = group.versioned_resources(version);
        kinds.into_iter().find(|(api, _)| api.kind == reference.kind)
    };
    let (api, capabilities) = match &reference.version {
        Some(version) => of_version(version)?,
        // The group's preferred version may lack the kind; the others follow by stability.
        None => of_version(group.preferred_version_or_latest()).or_else(|| group.versions().find_map(of_version))?,
    };
    Some(KindInfo { namespaced: capabilities.scope == Scope::Namespaced, api })
}
