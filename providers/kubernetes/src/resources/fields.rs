//! `kubernetes_fields`: some fields of an object that is somebody else's.
//!
//! Like the labels, a field manager of its own; compared and tried like a manifest.

use mesh_model::json::reveal_json;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, PlanRequest,
    PlanResponse, PreviewRequest, PreviewResponse, Problem, ProviderError, Resource, Rules, async_trait,
};
use serde_json::Value as Json;

use crate::apply::{Apply, has_applied};
use crate::cluster::Cluster;
use crate::decide;
use crate::error::{WriteError, exists, missing};
use crate::object::{Reference, text_at, version};
use crate::place::Place;
use crate::preview::{Trial, Tried, attempt};
use crate::project::{claimed_paths, project};
use crate::resources::manifest::forced;
use crate::secret::mark_manifest;

const MANAGER: &str = "mesh-fields";

/// The type.
pub(crate) struct FieldsOf;

fn manager(values: &Value) -> &str {
    values.get_str("field_manager").filter(|m| !m.is_empty()).unwrap_or(MANAGER)
}

fn place(values: &Value) -> Place<'_> {
    Place::root(values.get_str("api_version").unwrap_or("?/?"), values.get_str("kind").unwrap_or(""))
}

fn fields(values: &Value) -> Value {
    values.get("fields").cloned().unwrap_or(Value::NULL)
}

impl Rules for FieldsOf {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let Some(fields) = config.get("fields").filter(|f| !f.is_unknown()) else { return Vec::new() };
        if fields.as_fields().is_none() {
            return vec![Problem::at(
                "fields",
                "an object is required, such as { spec = { loadBalancerIP = \"203.0.113.1\" } }",
            )];
        }
        ["apiVersion", "kind", "status"]
            .into_iter()
            .filter(|name| fields.get(name).is_some())
            .map(|name| Problem::at("fields", format!("`{name}` cannot be owned here")))
            .chain(
                ["name", "namespace", "uid"]
                    .into_iter()
                    .filter(|name| fields.get("metadata").is_some_and(|m| m.get(name).is_some()))
                    .map(|name| Problem::at("fields", format!("`metadata.{name}` cannot be owned here"))),
            )
            .collect()
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        match Reference::from_attributes(planned) {
            Some(reference) => IdentityHint::known(identity(planned, &reference)),
            None => IdentityHint::Unknown,
        }
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let mut response = decide::object(request, "fields", &place(request.desired), &["force_conflicts"]);
        if let Some(observed) = request.observed {
            let keys = ["api_version", "kind", "namespace", "name", "field_manager"];
            let differs = |name: &&str| {
                let get = |v: &Value| v.get_str(name).map(str::to_owned);
                get(request.desired) != get(observed)
            };
            let paths: Vec<_> = keys.iter().filter(|n| differs(n)).map(|n| mesh_model::Path::attribute(*n)).collect();
            if !paths.is_empty() {
                response.verdict = mesh_sdk::Verdict::Replace(paths);
                response.before = observed.with("live", Value::NULL);
                response.after = request.desired.with("uid", Value::unknown(Type::String)).with("live", Value::NULL);
                response.needs_preview = false;
            }
        }
        response
    }

    fn mark(&self, values: Value) -> Value {
        let kind = values.get("kind").cloned().unwrap_or(Value::NULL);
        ["fields", "live"].into_iter().fold(values, |values, name| match values.get(name) {
            Some(part) if part.as_fields().is_some() => {
                let had_kind = part.get("kind").is_some();
                let marked = mark_manifest(&part.with("kind", kind.clone()));
                let marked = if had_kind { marked } else { without(&marked, "kind") };
                values.with(name, marked)
            }
            _ => values,
        })
    }
}

fn without(object: &Value, key: &str) -> Value {
    let fields = object.as_fields().into_iter().flat_map(|f| f.iter());
    Value::object(fields.filter(|(k, _)| &***k != key).map(|(k, v)| (k.clone(), v.clone()))).mark(object.marks())
}

fn identity(values: &Value, reference: &Reference) -> String {
    format!("fields by {} of {}", manager(values), reference.text())
}

/// The whole body: what says which object, and the fields.
fn body(reference: &Reference, fields: &Value, live: Option<&Json>) -> Json {
    let mut body = crate::secret::body(&fields.with("kind", Value::string(reference.kind.as_str())));
    let skeleton = reference.skeleton();
    for key in ["apiVersion", "kind"] {
        body[key] = skeleton[key].clone();
    }
    if !body["metadata"].is_object() {
        body["metadata"] = Json::Object(serde_json::Map::new());
    }
    for (key, value) in skeleton["metadata"].as_object().into_iter().flatten() {
        body["metadata"][key] = value.clone();
    }
    if let Some(uid) = live.and_then(|l| text_at(l, &["metadata", "uid"])) {
        body["metadata"]["uid"] = uid.into();
    }
    body
}

#[async_trait]
impl Resource<Cluster> for FieldsOf {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_fields",
            version: 0,
            doc: "Some fields of an existing object, owned beside whoever owns the rest of it. Deleting the resource releases them: the server removes those that nobody else owns.",
            example: r#"resource "kubernetes_fields" "vip" {
  api_version = "v1"
  kind        = "Service"
  namespace   = "istio-system"
  name        = "istio-ingressgateway"
  fields      = { spec = { loadBalancerIP = "203.0.113.1" } }
}"#,
            schema: Schema::of([
                Attribute::required("api_version", text.clone(), "apiVersion of the object.").force_new(),
                Attribute::required("kind", text.clone(), "Kind of the object.").force_new(),
                Attribute::optional("namespace", text.clone(), "Namespace of the object, where its kind has one.")
                    .force_new(),
                Attribute::required("name", text.clone(), "Name of the object.").force_new(),
                Attribute::required(
                    "fields",
                    Type::Dynamic,
                    "The fields, as they stand in a manifest: `{ spec = { ... } }`.",
                ),
                Attribute::optional(
                    "field_manager",
                    text.clone(),
                    "Name under which they are owned; two resources for one object need two names.",
                )
                .default(Value::string(MANAGER))
                .force_new(),
                Attribute::optional(
                    "force_conflicts",
                    Type::Bool,
                    "Take over fields that another manager owns. Default false: that is an error that names it.",
                )
                .default(Value::bool(false)),
                Attribute::computed("uid", text, "The uid of the object."),
                Attribute::computed(
                    "live",
                    Type::Dynamic,
                    "What is there at the fields of a change, while it is planned. Null otherwise.",
                ),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, cluster: &Cluster, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let values: Vec<Option<&Value>> = requests.iter().map(|r| r.saved.as_ref().or(r.desired.as_ref())).collect();
        let references: Vec<Option<Reference>> =
            values.iter().map(|v| v.and_then(Reference::from_attributes)).collect();
        let known: Vec<Reference> = references.iter().flatten().cloned().collect();
        let mut found = cluster.find(&known).await.into_iter();
        requests
            .iter()
            .zip(values.iter().zip(references))
            .map(|(request, (values, reference))| {
                let (Some(values), Some(reference)) = (values, reference) else { return Ok(Observation::Absent) };
                let Some(live) = found.next().transpose()?.flatten() else { return Ok(Observation::Absent) };
                let wanted = fields(values);
                let seen = project(&[&wanted], &live, &place(values));
                let left = request.saved.is_some() && !claimed_paths(&seen, &place(values)).is_empty();
                if !has_applied(&live, manager(values)) && !left {
                    return Ok(Observation::Absent);
                }
                let uid = text_at(&live, &["metadata", "uid"]).unwrap_or("");
                let seen = values.with("fields", seen).with("uid", Value::string(uid)).with("live", Value::NULL);
                let identity = Identity(identity(values, &reference).into());
                Ok(Observation::Present(Observed { version: version(&live), ..Observed::new(seen, identity) }))
            })
            .collect()
    }

    async fn preview(&self, cluster: &Cluster, request: &PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        let planned = &request.planned;
        let Some(reference) = Reference::from_attributes(planned) else {
            return Ok(PreviewResponse::Skipped("parts of it are not known yet"));
        };
        let wanted = fields(planned);
        // An object that is not there would be made by a dry run too; here it has to exist.
        if cluster.get(&reference).await?.is_none() {
            return Ok(PreviewResponse::Skipped("the object does not exist yet"));
        }
        let trial = Trial {
            reference: &reference,
            wanted: &wanted,
            attribute: "fields",
            observed: request.observed.as_ref().and_then(|o| o.get("fields")),
            body: &|live| body(&reference, &wanted, live),
            manager: manager(planned),
            force: forced(planned),
        };
        Ok(match attempt(cluster, &trial).await? {
            Tried::Values { live, dry } => PreviewResponse::Values(planned.with("fields", dry).with("live", live)),
            Tried::Skipped(why) => PreviewResponse::Skipped(why),
            Tried::Later(why) => PreviewResponse::Later(why),
            Tried::MustReplace(paths) => PreviewResponse::MustReplace(paths),
        })
    }

    async fn create(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let Some(planned) = &request.after else { return Outcome::deleted() };
        write(cluster, planned, &fields(planned), None, request.on_existing == OnExisting::Fail).await
    }

    async fn update(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let Some(planned) = &request.after else { return Outcome::deleted() };
        let before = request.before.as_ref().map(fields);
        write(cluster, planned, &fields(planned), before.as_ref(), false).await
    }

    async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let Some(before) = &request.before else { return Outcome::deleted() };
        match write(cluster, before, &Value::object(Vec::<(&str, Value)>::new()), None, false).await {
            Outcome::Rejected { error, .. } if error.kind == mesh_sdk::ErrorKind::Missing => Outcome::deleted(),
            Outcome::Applied { .. } => Outcome::deleted(),
            other => other,
        }
    }
}

async fn write(cluster: &Cluster, values: &Value, fields: &Value, before: Option<&Value>, new: bool) -> Outcome {
    match try_write(cluster, values, fields, before, new).await {
        Ok((uid, identity)) => {
            let values = values.with("uid", Value::string(uid)).with("live", Value::NULL);
            Outcome::applied(values, Identity(identity.into()))
        }
        Err(error) => error.outcome(),
    }
}

async fn try_write(
    cluster: &Cluster,
    values: &Value,
    fields: &Value,
    before: Option<&Value>,
    new: bool,
) -> Result<(String, String), WriteError> {
    let Some(reference) = Reference::from_attributes(values) else {
        return Err(missing("The object has no known name.").into());
    };
    let Some(live) = cluster.get(&reference).await? else {
        return Err(missing(format!(
            "{} does not exist. Fields are set on existing objects only: create it first, and let this resource depend on it.",
            reference.text()
        ))
        .into());
    };
    let manager = manager(values);
    if new && has_applied(&live, manager) {
        return Err(exists(&identity(values, &reference), &[manager.to_owned()]).into());
    }
    debug_assert!(!reveal_json(fields).is_null());
    let apply = Apply {
        reference: &reference,
        body: body(&reference, fields, Some(&live)),
        manager,
        force: forced(values),
        claimed: before.map_or_else(Vec::new, |b| claimed_paths(b, &place(values))),
        adopt: false,
        dry_run: false,
        secrets: Some(values),
    };
    let answer = apply.run(cluster).await.map_err(|e| apply.error(e))?;
    let uid = text_at(&answer.json, &["metadata", "uid"]).unwrap_or("").to_owned();
    Ok((uid, identity(values, &reference)))
}
