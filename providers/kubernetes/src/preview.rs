//! Asking the server what an apply would give.
//!
//! A dry run that cannot be done yet, or may not be done, is no error: the plan says so. A dry run
//! that is refused is one, since the apply would be refused as well.

use http::Method;
use mesh_model::{Path, Value};
use mesh_sdk::{ErrorKind, ProviderError};
use serde_json::Value as Json;

use crate::apply::{Apply, ApplyError, has_applied};
use crate::cluster::{Cluster, Payload, encoded};
use crate::error::Failure;
use crate::immutable;
use crate::object::Reference;
use crate::place::Place;
use crate::project::{claimed_paths, project};
use crate::secret::with_string_data;

/// What is tried.
pub(crate) struct Trial<'a> {
    pub(crate) reference: &'a Reference,
    /// The configured part, and the attribute that it is.
    pub(crate) wanted: &'a Value,
    pub(crate) attribute: &'a str,
    /// What was observed of it; `None` for a create.
    pub(crate) observed: Option<&'a Value>,
    /// What is sent; gets what is there.
    pub(crate) body: &'a (dyn Fn(Option<&Json>) -> Json + Sync),
    pub(crate) manager: &'a str,
    pub(crate) force: bool,
}

/// What came out.
#[derive(Debug)]
pub(crate) enum Tried {
    /// What is there and what would be, at the paths that matter.
    Values { live: Value, dry: Value },
    /// It could not be tried; why.
    Skipped(&'static str),
    /// Its kind is not there, and no planned definition brings it; said in words.
    Later(String),
    /// These cannot change in place.
    MustReplace(Vec<Path>),
}

/// Tries an apply.
pub(crate) async fn attempt(cluster: &Cluster, trial: &Trial<'_>) -> Result<Tried, ProviderError> {
    let reference = trial.reference;
    match cluster.kind(reference).await {
        Ok(_) => {}
        // No definition brings a kind into a group of the server's own.
        Err(e) if e.kind != ErrorKind::Missing || !reference.group.contains('.') => return Err(e),
        Err(_) if cluster.is_coming(reference) => {
            return Ok(Tried::Skipped("its kind does not exist in the cluster yet"));
        }
        Err(_) => {
            return Ok(Tried::Later(format!(
                "the cluster has no kind {} in {} yet, and no definition in this plan brings it",
                reference.kind,
                reference.api_version()
            )));
        }
    }
    if !trial.wanted.is_wholly_known() || trial.wanted.has_withheld() {
        return Ok(Tried::Skipped("parts of it are not known yet"));
    }
    let live = if trial.observed.is_some() { cluster.get(trial.reference).await? } else { None };
    let api_version = trial.reference.api_version();
    let at = Place::root(&api_version, &trial.reference.kind);
    let apply = Apply {
        reference: trial.reference,
        body: (trial.body)(live.as_ref()),
        manager: trial.manager,
        force: trial.force,
        claimed: trial.observed.map_or_else(Vec::new, |o| claimed_paths(o, &at)),
        adopt: live.as_ref().is_some_and(|l| !has_applied(l, trial.manager)),
        dry_run: true,
        secrets: Some(trial.wanted),
    };
    let bases: Vec<&Value> = std::iter::once(trial.wanted).chain(trial.observed).collect();
    let shown = |object: Json| {
        let object = if trial.reference.is_secret() { with_string_data(object, &bases) } else { object };
        project(&bases, &object, &at)
    };
    match apply.run(cluster).await {
        Ok(answer) => Ok(Tried::Values { live: live.map_or(Value::NULL, &shown), dry: shown(answer.json) }),
        Err(ApplyError::Failed(failure)) => {
            if let Some(reason) = skipped(&failure, live.is_none()) {
                return Ok(Tried::Skipped(reason));
            }
            let mut paths = immutable::refused(&failure, trial.attribute).unwrap_or_default();
            if let (true, Some(live)) = (failure.code() == 422, live) {
                let known = immutable::changed(trial.wanted, &shown(live), trial.attribute);
                paths.extend(known.into_iter().filter(|p| !paths.contains(p)).collect::<Vec<_>>());
            }
            if paths.is_empty() {
                return Err(apply.error(ApplyError::Failed(failure)).error);
            }
            would_be_accepted(cluster, &apply).await?;
            Ok(Tried::MustReplace(paths))
        }
        Err(refused) => Err(apply.error(refused).error),
    }
}

/// Why a refused dry run says nothing about the apply.
fn skipped(failure: &Failure, is_create: bool) -> Option<&'static str> {
    let said = failure.message();
    match failure.code() {
        404 if is_create => Some("its namespace does not exist yet"),
        403 if said.contains("is being terminated") => None,
        403 => Some("the credentials may not do this dry run"),
        400 | 500 if said.contains("does not support dry run") => {
            Some("an admission webhook does not support dry runs")
        }
        500 if said.contains("failed calling webhook") => Some("an admission webhook does not answer yet"),
        _ => None,
    }
}

/// Tries the new object under another name, before the old one is given up for it. Only for kinds
/// of which two can exist side by side.
async fn would_be_accepted(cluster: &Cluster, apply: &Apply<'_>) -> Result<(), ProviderError> {
    if !matches!(apply.reference.group.as_str(), "apps" | "batch" | "rbac.authorization.k8s.io") {
        return Ok(());
    }
    let stem: String = apply.reference.name.chars().take(40).collect();
    let name = format!("{stem}-mesh-preview");
    let mut body = apply.body.clone();
    body["metadata"]["name"] = name.clone().into();
    let (kind, _) = cluster.locate(apply.reference).await?;
    let path = Cluster::path(&kind, apply.reference.namespace.as_deref(), &name);
    let uri = format!("{path}?fieldManager={}&fieldValidation=Strict&dryRun=All", encoded(apply.manager));
    match cluster.call(Method::PATCH, &uri, Payload::Apply(&body)).await {
        Err(f) if f.code() == 422 || f.code() == 400 => {
            Err(f.error(&format!("make {} anew (tried under the name {name})", apply.reference.text()), apply.secrets))
        }
        _ => Ok(()),
    }
}
