//! `kubernetes_manifests`: many objects from multi-document YAML.
//!
//! The one decision: the plan shows `objects`, one entry an object, never the text: rules are pure and
//! the text is a value, so the objects are known while planning. The text itself is kept as a
//! fingerprint. Files and folders are read by the data source `kubernetes_manifest_files`.

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    ErrorKind, IdentityHint, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest,
    PlanResponse, PreviewRequest, PreviewResponse, Problem, ProviderError, Resource, Rules, Verdict, async_trait,
};

use crate::apply::{has_applied, other_managers};
use crate::cluster::{Cluster, side_by_side};
use crate::error::{WriteError, exists, invalid};
use crate::istio::yielded;
use crate::lifecycle::{Write, delete};
use crate::object::Reference;
use crate::place::Place;
use crate::preview::{Trial, Tried, attempt};
use crate::project::{project, same};
use crate::resources::manifest::{forced, manager};
use crate::resources::set::{NoSet, Objects, from_value, objects, rank, to_value};
use crate::secret::{body, mark_manifest, with_string_data};
use crate::waiting::{check_timeout, timeout};

/// Objects of one rank that are written side by side.
const AT_ONCE: usize = 8;

/// The type.
pub(crate) struct Manifests;

fn is_same(wanted: &Value, seen: &Value) -> bool {
    same(wanted, seen, &Place::of(wanted))
}

/// The values to show and keep: the inputs as fingerprints, `objects` in clear.
fn shown(values: &Value, objects: Value) -> Value {
    ["text", "documents"]
        .into_iter()
        .fold(values.clone(), |v, name| match values.get(name).filter(|x| !x.is_null()) {
            Some(input) => v.with(name, input.clone().sensitive()),
            None => v,
        })
        .with("objects", objects)
        .with("live", Value::NULL)
}

impl Rules for Manifests {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let wrong = match objects(config) {
            Err(NoSet::Wrong(attribute, reason)) => Some(Problem::at(attribute, reason)),
            _ => None,
        };
        wrong.into_iter().chain(check_timeout(config)).collect()
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        match objects(planned) {
            Ok(objects) => match objects.keys().next() {
                Some(first) => IdentityHint::known(identity(first)),
                None => IdentityHint::known(identity("nothing")),
            },
            Err(_) => IdentityHint::Unknown,
        }
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let wanted = objects(request.desired);
        let after = match &wanted {
            Ok(objects) => to_value(objects),
            Err(_) => Value::unknown(Type::Dynamic),
        };
        let after = shown(request.desired, after);
        let respond = |verdict, before, needs_preview| PlanResponse {
            verdict,
            before,
            after: after.clone(),
            needs_preview,
            notes: Vec::new(),
        };
        let asked = request.preview.is_some();
        let Some(observed) = request.observed else {
            return respond(Verdict::Create, Value::NULL, !asked && wanted.is_ok());
        };
        let Ok(wanted) = wanted else {
            return respond(
                Verdict::Update,
                shown(request.desired, observed.get("objects").cloned().unwrap_or(Value::NULL)),
                false,
            );
        };
        let mut seen = from_value(observed.get("objects"));
        let mut same = wanted.len() == seen.len()
            && wanted.iter().all(|(id, object)| seen.get(id).is_some_and(|there| is_same(object, there)));
        if let Some(preview) = request.preview {
            let (dry, live) = (from_value(preview.get("objects")), from_value(preview.get("live")));
            same = wanted.keys().eq(seen.keys())
                && wanted.iter().all(|(id, object)| match (live.get(id), dry.get(id)) {
                    (Some(live), Some(dry)) => live.same(dry),
                    _ => seen.get(id).is_some_and(|there| is_same(object, there)),
                });
            seen.extend(live);
        }
        if same {
            return respond(Verdict::NoOp, after.clone(), false);
        }
        // Objects that mean the same are shown in the same words.
        for (id, there) in &mut seen {
            if let Some(object) = wanted.get(id).filter(|o| is_same(o, there)) {
                *there = object.clone();
            }
        }
        respond(Verdict::Update, shown(request.desired, to_value(&seen)), !asked)
    }

    fn mark(&self, values: Value) -> Value {
        ["objects", "live"].into_iter().fold(values, |values, name| match values.get(name) {
            Some(part) if part.as_fields().is_some() => {
                let marked = part.map_children(&mark_manifest);
                values.with(name, marked)
            }
            _ => values,
        })
    }
}

fn identity(first: &str) -> String {
    format!("set of {first}")
}

#[async_trait]
impl Resource<Cluster> for Manifests {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_manifests",
            version: 0,
            doc: "Many objects from multi-document YAML, such as what `istioctl manifest generate` or `helm template` writes, each compared and owned as in `kubernetes_manifest`. Applied in an order in which they can be (namespaces, definitions, roles, configuration, services, workloads, custom resources, webhooks); objects that left the set are deleted. It does not wait for workloads: use `kubernetes_wait`.",
            example: r#"data "kubernetes_manifest_files" "istio" {
  folder = "manifests/istio"
}

resource "kubernetes_manifests" "istio" {
  documents = data.kubernetes_manifest_files.istio.documents
  namespace = "istio-system"
}"#,
            schema: Schema::of([
                Attribute::optional(
                    "text",
                    text.clone(),
                    "Multi-document YAML. Shown and kept as `objects` only; if it is sensitive, so is every value in them.",
                ),
                Attribute::optional("documents", Type::Dynamic, "A list of objects, instead of `text`."),
                Attribute::optional("namespace", text.clone(), "Namespace of namespaced objects that name none."),
                Attribute::optional(
                    "field_manager",
                    text.clone(),
                    "Name under which the fields are owned. Default: the provider's.",
                ),
                Attribute::optional(
                    "force_conflicts",
                    Type::Bool,
                    "Take over fields that another manager owns. Default false: that is an error that names it.",
                )
                .default(Value::bool(false)),
                Attribute::optional("timeout", text, "How long to wait until a deleted object is gone. Default `10m`."),
                Attribute::computed(
                    "objects",
                    Type::Dynamic,
                    "The objects by identity (`apps/Deployment istio-system/istiod`).",
                ),
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
        let bases: Vec<(Value, Objects)> = requests.iter().map(base).collect();
        let references: Vec<Reference> =
            bases.iter().flat_map(|(_, objects)| objects.values().filter_map(Reference::of)).collect();
        bases.iter().flat_map(|(_, objects)| objects.values()).for_each(|o| cluster.announce(o));
        let mut found = cluster.find(&references).await.into_iter();
        bases
            .iter()
            .zip(requests)
            .map(|((values, objects), request)| {
                let mut seen = Objects::new();
                let mut failed = None;
                for (id, object) in objects.iter().filter(|(_, o)| Reference::of(o).is_some()) {
                    match found.next().transpose() {
                        Ok(live) => {
                            if let Some(live) = live.flatten() {
                                let live = with_string_data((*live).clone(), &[object]);
                                seen.insert(id.clone(), project(&[object], &live, &Place::of(object)));
                            }
                        }
                        Err(e) => failed = Some(e),
                    }
                }
                if let Some(error) = failed {
                    return Err(error);
                }
                let Some(first) = seen.keys().next() else { return Ok(Observation::Absent) };
                let identity = request.identity.clone().unwrap_or_else(|| Identity(identity(first).into()));
                let missing = objects.len() - seen.len();
                let notes = if missing > 0 {
                    vec![format!("{missing} of {} objects are not there", objects.len())]
                } else {
                    Vec::new()
                };
                Ok(Observation::Present(Observed { notes, ..Observed::new(shown(values, to_value(&seen)), identity) }))
            })
            .collect()
    }

    async fn preview(&self, cluster: &Cluster, request: &PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        let wanted = from_value(request.planned.get("objects"));
        wanted.values().for_each(|o| cluster.announce(o));
        let seen = from_value(request.observed.as_ref().and_then(|o| o.get("objects")));
        let changed: Vec<(&String, &Value)> =
            wanted.iter().filter(|(id, object)| !seen.get(*id).is_some_and(|there| is_same(object, there))).collect();
        let manager = manager(cluster, &request.planned);
        let force = forced(&request.planned);
        let trials = changed.into_iter().map(|(id, object)| {
            let there = seen.get(id);
            async move {
                let reference = Reference::of(object).ok_or_else(|| invalid("An object has no name."))?;
                let trial = Trial {
                    reference: &reference,
                    wanted: object,
                    attribute: "objects",
                    observed: there,
                    body: &|live| body(&yielded(object, live)),
                    manager,
                    force,
                };
                Ok::<_, ProviderError>((id, attempt(cluster, &trial).await?))
            }
        });
        let tried = side_by_side(trials.collect(), AT_ONCE).await;
        let (mut dry, mut live) = (Objects::new(), Objects::new());
        let mut skipped = None;
        for tried in tried {
            let (id, tried) = tried?;
            match tried {
                Tried::Values { live: there, dry: given } => {
                    dry.insert(id.clone(), given);
                    if !there.is_null() {
                        live.insert(id.clone(), there);
                    }
                }
                Tried::Skipped(why) => skipped = Some(why),
                Tried::Later(why) => return Ok(PreviewResponse::Later(why)),
                Tried::MustReplace(paths) => {
                    let fields: Vec<String> = paths.iter().map(ToString::to_string).collect();
                    return Err(invalid(format!(
                        "{id} cannot change in place: {} are immutable. Delete that object first (or take it out of the set for one apply); the whole set is not replaced for it.",
                        fields.join(", ")
                    )));
                }
            }
        }
        match skipped {
            Some(why) if dry.is_empty() => Ok(PreviewResponse::Skipped(why)),
            _ => Ok(PreviewResponse::Values(
                request.planned.with("objects", to_value(&dry)).with("live", to_value(&live)),
            )),
        }
    }

    async fn create(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        self.write(cluster, request, true).await
    }

    async fn update(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        self.write(cluster, request, false).await
    }

    async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let Some(before) = &request.before else { return Outcome::deleted() };
        match prune(cluster, &from_value(before.get("objects")), before).await {
            Ok(()) => Outcome::deleted(),
            Err(error) => error.outcome(),
        }
    }
}

/// What a look starts from: values, and the objects to look for.
fn base(request: &ObserveRequest) -> (Value, Objects) {
    if let Some(saved) = &request.saved {
        return (saved.clone(), from_value(saved.get("objects")));
    }
    let desired = request.desired.clone().unwrap_or(Value::NULL);
    let objects = objects(&desired).unwrap_or_default();
    (desired, objects)
}

/// Deletes objects, the last applied first.
async fn prune(cluster: &Cluster, objects: &Objects, values: &Value) -> Result<(), WriteError> {
    for group in ranked(objects).into_iter().rev() {
        let deletes = group.into_iter().map(|(reference, _)| async move {
            let Some(live) = cluster.get(&reference).await? else { return Ok(()) };
            // Made anew by somebody else: not ours to delete. (Of an object without any field of its own
            // the server remembers no manager.)
            let ours = manager(cluster, values);
            if !has_applied(&live, ours) && !other_managers(&live, ours).is_empty() {
                return Ok(());
            }
            let uid = crate::object::text_at(&live, &["metadata", "uid"]).map(str::to_owned);
            delete(cluster, &reference, uid.as_deref(), timeout(values)).await
        });
        side_by_side(deletes.collect(), AT_ONCE).await.into_iter().collect::<Result<(), WriteError>>()?;
    }
    Ok(())
}

/// Objects in the order of applying, grouped by rank.
fn ranked(objects: &Objects) -> Vec<Vec<(Reference, &Value)>> {
    let mut groups = std::collections::BTreeMap::<u8, Vec<(Reference, &Value)>>::new();
    for object in objects.values() {
        if let Some(reference) = Reference::of(object) {
            groups.entry(rank(&reference)).or_default().push((reference, object));
        }
    }
    groups.into_values().collect()
}

impl Manifests {
    async fn write(&self, cluster: &Cluster, request: &OperationRequest, is_create: bool) -> Outcome {
        let Some(planned) = &request.after else { return Outcome::deleted() };
        let wanted = match planned.get("objects").filter(|o| o.as_fields().is_some()) {
            Some(known) => from_value(Some(known)),
            // The text was not known while planning.
            None => match objects(planned) {
                Ok(objects) => objects,
                Err(NoSet::Wrong(attribute, reason)) => return Outcome::rejected(invalid(reason).at(attribute)),
                Err(NoSet::Unknown) => return Outcome::rejected(invalid("BUG: the manifests are not known.")),
            },
        };
        let before = from_value(request.before.as_ref().and_then(|b| b.get("objects")));
        let mut done = before.clone();
        let result = self.apply(cluster, request, planned, &wanted, &before, is_create, &mut done).await;
        let first = done.keys().next().map_or("nothing", String::as_str);
        let known = if let IdentityHint::Known(identity) = self.identity(planned) { Some(identity) } else { None };
        let identity = known.or_else(|| request.identity.clone()).unwrap_or_else(|| Identity(identity(first).into()));
        match result {
            Ok(warnings) => Outcome::Applied {
                values: shown(planned, to_value(&wanted)),
                identity: Some(identity),
                private: None,
                warnings,
            },
            Err(error) if error.in_doubt => Outcome::InDoubt { error: error.error },
            Err(error) => {
                let left = Observed::new(shown(planned, to_value(&done)), identity);
                Outcome::Rejected { error: error.error, left: (!done.is_empty()).then_some(left) }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of `write`, with all that it has at hand")]
    async fn apply(
        &self,
        cluster: &Cluster,
        request: &OperationRequest,
        planned: &Value,
        wanted: &Objects,
        before: &Objects,
        is_create: bool,
        done: &mut Objects,
    ) -> Result<Vec<String>, WriteError> {
        if is_create && request.on_existing == mesh_sdk::OnExisting::Fail {
            let references: Vec<Reference> = wanted.values().filter_map(Reference::of).collect();
            let mut there = Vec::new();
            for (reference, live) in references.iter().zip(cluster.find(&references).await) {
                if live?.is_some() {
                    there.push(reference.text());
                }
            }
            if !there.is_empty() {
                return Err(exists(&there.join(", "), &[]).into());
            }
        }
        let mut warnings = Vec::new();
        let manager = manager(cluster, planned);
        for group in ranked(wanted) {
            let writes = group.into_iter().map(|(reference, object)| async move {
                let id = reference.text();
                let there = before.get(&id);
                if there.is_some_and(|there| is_same(object, there)) {
                    return (id, object, Ok(Vec::new()));
                }
                let write =
                    Write { reference: &reference, manifest: object, before: there, manager, force: forced(planned) };
                let result = match there {
                    Some(_) => write.update(cluster, None).await,
                    None => write.create(cluster, request.on_existing).await,
                };
                (id, object, result.map(|a| a.warnings))
            });
            let mut failed: Option<WriteError> = None;
            for (id, object, result) in side_by_side(writes.collect(), AT_ONCE).await {
                match result {
                    Ok(more) => {
                        done.insert(id, object.clone());
                        warnings.extend(more);
                    }
                    Err(mut error) => {
                        if error.error.kind == ErrorKind::Conflict || !error.error.detail.contains(&id) {
                            error.error.detail = format!("{id}: {}", error.error.detail);
                        }
                        failed = Some(error);
                    }
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        let gone: Objects =
            before.iter().filter(|(id, _)| !wanted.contains_key(*id)).map(|(k, v)| (k.clone(), v.clone())).collect();
        prune(cluster, &gone, planned).await?;
        done.retain(|id, _| wanted.contains_key(id));
        warnings.sort();
        warnings.dedup();
        Ok(warnings)
    }
}
