//! One object's create, update and delete, shared by the types that own whole objects.
//!
//! The steps and their order are the promise: a create looks first, an update knows which object it
//! changes (by uid), a delete takes no other object of the same name and waits until it is gone.

use std::time::Duration;

use http::Method;
use mesh_model::Value;
use mesh_sdk::{ErrorKind, OnExisting, ProviderError};
use serde_json::{Value as Json, json};

use crate::apply::{Apply, has_applied, other_managers, take_over};
use crate::cluster::{Cluster, Payload};
use crate::error::{WriteError, exists, missing};
use crate::istio::yielded;
use crate::object::{Reference, text_at};
use crate::place::Place;
use crate::project::claimed_paths;
use crate::secret::body;
use crate::waiting::{Clock, until_gone, until_ready};

/// How long a new CustomResourceDefinition may take.
const DEFINITION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an object of the same name, already on its way out, may take to be gone.
const TERMINATING_TIMEOUT: Duration = Duration::from_secs(60);

/// What was applied.
pub(crate) struct Applied {
    pub(crate) object: Json,
    pub(crate) warnings: Vec<String>,
}

impl Applied {
    pub(crate) fn uid(&self) -> &str {
        text_at(&self.object, &["metadata", "uid"]).unwrap_or("")
    }
}

/// How an object is written.
pub(crate) struct Write<'a> {
    pub(crate) reference: &'a Reference,
    pub(crate) manifest: &'a Value,
    /// What was observed of it.
    pub(crate) before: Option<&'a Value>,
    pub(crate) manager: &'a str,
    pub(crate) force: bool,
}

impl Write<'_> {
    fn apply(&self, live: Option<&Json>, adopt: bool) -> Apply<'_> {
        let mut json = body(&yielded(self.manifest, live));
        if let Some(metadata) = json.get_mut("metadata").and_then(Json::as_object_mut) {
            match &self.reference.namespace {
                Some(namespace) => metadata.insert("namespace".into(), namespace.clone().into()),
                None => metadata.remove("namespace"),
            };
            // With the uid, an object that is gone meanwhile is not made anew by accident.
            if let Some(uid) = live.and_then(|l| text_at(l, &["metadata", "uid"])) {
                metadata.insert("uid".into(), uid.into());
            }
        }
        Apply {
            reference: self.reference,
            body: json,
            manager: self.manager,
            force: self.force,
            claimed: self.before.map_or_else(Vec::new, |b| claimed_paths(b, &Place::of(self.manifest))),
            adopt,
            dry_run: false,
            secrets: Some(self.manifest),
        }
    }

    /// Makes the object, or takes it over where that is asked for.
    pub(crate) async fn create(&self, cluster: &Cluster, on_existing: OnExisting) -> Result<Applied, WriteError> {
        let mut live = self.look(cluster).await?;
        if let Some(dying) = live.as_ref().filter(|l| text_at(l, &["metadata", "deletionTimestamp"]).is_some()) {
            let (_, path) = cluster.locate(self.reference).await?;
            let uid = text_at(dying, &["metadata", "uid"]).unwrap_or("").to_owned();
            until_gone(cluster, self.reference, &path, &uid, TERMINATING_TIMEOUT).await?;
            live = None;
        }
        if let Some(there) = &live {
            if on_existing == OnExisting::Fail {
                return Err(exists(&self.reference.text(), &other_managers(there, "")).into());
            }
            take_over(cluster, self.reference, there, self.manager).await?;
        }
        self.send(cluster, live.as_ref(), live.is_some()).await
    }

    /// Changes the object in place.
    pub(crate) async fn update(&self, cluster: &Cluster, uid: Option<&str>) -> Result<Applied, WriteError> {
        let Some(live) = self.look(cluster).await? else {
            return Err(missing(format!(
                "{} is gone since it was planned. Plan again to make it anew.",
                self.reference.text()
            ))
            .into());
        };
        if let (Some(planned), Some(now)) = (uid, text_at(&live, &["metadata", "uid"]))
            && planned != now
        {
            return Err(ProviderError::new(
                ErrorKind::Conflict,
                "A Kubernetes object is in conflict",
                format!(
                    "{} was deleted and made anew by somebody else since it was planned. Plan again.",
                    self.reference.text()
                ),
            )
            .into());
        }
        let adopt = !has_applied(&live, self.manager);
        if adopt {
            take_over(cluster, self.reference, &live, self.manager).await?;
        }
        self.send(cluster, Some(&live), adopt).await
    }

    async fn look(&self, cluster: &Cluster) -> Result<Option<Json>, WriteError> {
        // A missing kind is an error here, not an absent object.
        let (_, path) = cluster.locate(self.reference).await?;
        cluster
            .get_path(&path)
            .await
            .map_err(|f| WriteError::from(f.error(&format!("read {}", self.reference.text()), None)))
    }

    async fn send(&self, cluster: &Cluster, live: Option<&Json>, adopt: bool) -> Result<Applied, WriteError> {
        let apply = self.apply(live, adopt);
        let answer = apply.run(cluster).await.map_err(|e| apply.error(e))?;
        if self.reference.kind == "CustomResourceDefinition" {
            let definition = until_ready(cluster, self.reference, DEFINITION_TIMEOUT).await?;
            served(cluster, self.reference, &definition).await?;
        }
        Ok(Applied { object: answer.json, warnings: answer.warnings })
    }
}

/// Waits until discovery shows the kind of a definition: that comes a moment after `Established`.
async fn served(cluster: &Cluster, definition: &Reference, object: &Json) -> Result<(), ProviderError> {
    let text = |path: &[&str]| text_at(object, path).unwrap_or("").to_owned();
    let kind = Reference {
        group: text(&["spec", "group"]),
        version: None,
        kind: text(&["spec", "names", "kind"]),
        namespace: None,
        name: String::new(),
    };
    let mut clock = Clock::new(DEFINITION_TIMEOUT);
    loop {
        match cluster.kind(&kind).await {
            Err(e) if e.kind == ErrorKind::Missing && clock.tick().await => cluster.wrote(definition).await,
            other => return other.map(|_| ()),
        }
    }
}

/// Kinds without dependents: deleted at once, with nothing to wait for.
fn propagation(reference: &Reference) -> &'static str {
    match reference.kind.as_str() {
        "ConfigMap"
        | "Secret"
        | "ServiceAccount"
        | "Role"
        | "RoleBinding"
        | "ClusterRole"
        | "ClusterRoleBinding"
        | "Namespace"
        | "MutatingWebhookConfiguration"
        | "ValidatingWebhookConfiguration" => "Background",
        _ => "Foreground",
    }
}

/// Deletes the object with this uid (any, where it is not known) and waits until it is gone.
pub(crate) async fn delete(
    cluster: &Cluster,
    reference: &Reference,
    uid: Option<&str>,
    timeout: Duration,
) -> Result<(), WriteError> {
    let path = match cluster.locate_any(reference).await {
        Ok((_, path)) => path,
        // Without its kind there is no object.
        Err(e) if e.kind == ErrorKind::Missing => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    let what = format!("delete {}", reference.text());
    let uid = match uid {
        Some(uid) => uid.to_owned(),
        None => {
            let live = cluster.get_path(&path).await.map_err(|f| WriteError::from(f.error(&what, None)))?;
            match live.as_ref().and_then(|l| text_at(l, &["metadata", "uid"])) {
                Some(uid) => uid.to_owned(),
                None => return Ok(()),
            }
        }
    };
    let options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": propagation(reference),
        "preconditions": { "uid": uid },
    });
    let result = cluster.call(Method::DELETE, &path, Payload::Plain(&options)).await;
    cluster.wrote(reference).await;
    match result {
        Ok(_) => {}
        Err(f) if f.code() == 404 => return Ok(()),
        // Another object of that name: ours is gone.
        Err(f) if f.code() == 409 && f.message().contains("Precondition failed: UID") => return Ok(()),
        Err(f) => return Err(WriteError::of(&f, &what, None)),
    }
    until_gone(cluster, reference, &path, &uid, timeout).await?;
    if reference.kind == "CustomResourceDefinition" {
        cluster.wrote(reference).await;
    }
    Ok(())
}
