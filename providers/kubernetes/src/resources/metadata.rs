//! Labels and annotations as resources: what both types do.
//!
//! The one decision: a resource of this kind is a field manager of its own on the object. It exists
//! when that manager owns something there (or one of its keys is still there), and deleting it
//! applies nothing under that name, so that the server removes exactly what nobody else wants.
//! A key that must be absent is removed by a patch that tests its value first.

use http::Method;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    Foreign, IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, PlanRequest,
    PlanResponse, Problem, ProviderError, Verdict, schema_plan,
};
use serde_json::{Map, Value as Json, json};

use crate::apply::{Apply, has_applied};
use crate::cluster::{Cluster, Payload};
use crate::decide::settled;
use crate::error::{WriteError, exists, missing};
use crate::object::{Reference, text_at, version};

/// How the two types differ.
pub(crate) struct Names {
    pub(crate) ty: &'static str,
    pub(crate) field: &'static str,
    pub(crate) manager: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) labels_doc: &'static str,
    pub(crate) absent_doc: &'static str,
    pub(crate) example: &'static str,
}

/// Declares a type from its names.
macro_rules! part {
    ($(#[$doc:meta])* $name:ident, $names:ident) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl mesh_sdk::Rules for $name {
            fn validate(&self, config: &mesh_model::Value) -> Vec<mesh_sdk::Problem> {
                $names.validate(config)
            }

            fn identity(&self, planned: &mesh_model::Value) -> mesh_sdk::IdentityHint {
                $names.identity(planned)
            }

            fn foreign(&self, attributes: mesh_model::Value) -> Result<mesh_sdk::Foreign, String> {
                Ok($names.foreign(&attributes))
            }

            fn plan(&self, request: &mesh_sdk::PlanRequest<'_>) -> mesh_sdk::PlanResponse {
                $names.plan(request)
            }
        }

        #[mesh_sdk::async_trait]
        impl mesh_sdk::Resource<crate::cluster::Cluster> for $name {
            fn schema(&self) -> mesh_model::ResourceSchema {
                $names.schema()
            }

            async fn observe(
                &self,
                cluster: &crate::cluster::Cluster,
                requests: &[mesh_sdk::ObserveRequest],
            ) -> Vec<Result<mesh_sdk::Observation, mesh_sdk::ProviderError>> {
                $names.observe(cluster, requests).await
            }

            async fn create(
                &self,
                cluster: &crate::cluster::Cluster,
                request: &mesh_sdk::OperationRequest,
            ) -> mesh_sdk::Outcome {
                $names.write(cluster, request, true).await
            }

            async fn update(
                &self,
                cluster: &crate::cluster::Cluster,
                request: &mesh_sdk::OperationRequest,
            ) -> mesh_sdk::Outcome {
                $names.write(cluster, request, false).await
            }

            async fn delete(
                &self,
                cluster: &crate::cluster::Cluster,
                request: &mesh_sdk::OperationRequest,
            ) -> mesh_sdk::Outcome {
                $names.delete(cluster, request).await
            }
        }
    };
}
pub(crate) use part;

impl Names {
    pub(crate) fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: self.ty,
            version: 0,
            doc: self.doc,
            example: self.example,
            schema: Schema::of([
                Attribute::required("api_version", text.clone(), "apiVersion of the object.").force_new(),
                Attribute::required("kind", text.clone(), "Kind of the object.").force_new(),
                Attribute::optional("namespace", text.clone(), "Namespace of the object, where its kind has one.")
                    .force_new(),
                Attribute::required("name", text.clone(), "Name of the object.").force_new(),
                Attribute::optional(self.field, Type::map(text.clone()), self.labels_doc),
                Attribute::optional("absent", Type::set(text.clone()), self.absent_doc),
                Attribute::optional(
                    "field_manager",
                    text,
                    "Name under which they are owned; two resources for one object need two names.",
                )
                .default(Value::string(self.manager))
                .force_new(),
            ]),
            protected: false,
        }
    }

    pub(crate) fn validate(&self, config: &Value) -> Vec<Problem> {
        let wanted = config.get(self.field).and_then(Value::as_fields);
        let mut problems = Vec::new();
        for (key, value) in wanted.into_iter().flat_map(|f| f.iter()) {
            if value.is_null() {
                problems.push(Problem::at(
                    self.field,
                    format!("{key:?} is null; list it in `absent` if it must not be there"),
                ));
            }
            if absent(config).iter().any(|a| **a == **key) {
                problems.push(Problem::at("absent", format!("{key:?} is in `{}` too; it cannot be both", self.field)));
            }
        }
        problems
    }

    pub(crate) fn identity(&self, planned: &Value) -> IdentityHint {
        match (Reference::from_attributes(planned), planned.get_str("field_manager")) {
            (Some(reference), manager) => IdentityHint::known(format!(
                "{} by {} of {}",
                self.field,
                manager.unwrap_or(self.manager),
                reference.text()
            )),
            _ => IdentityHint::Unknown,
        }
    }

    /// In Terraform's types the name of the object is in a block.
    pub(crate) fn foreign(&self, attributes: &Value) -> Foreign {
        let metadata = attributes.get("metadata").and_then(Value::as_items).and_then(|i| i.first());
        // A kind without namespaces has an empty one there.
        let of = |name: &str| {
            metadata.and_then(|m| m.get_str(name)).filter(|t| !t.is_empty()).map_or(Value::NULL, Value::string)
        };
        let values = attributes.with("name", of("name")).with("namespace", of("namespace"));
        Foreign::of(["metadata", "force"].iter().fold(values, |values, name| values.with(name, Value::NULL)))
    }

    /// A key that was to be absent, is, and no longer matters is no change.
    pub(crate) fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let Some(observed) = request.observed else { return schema_plan(request) };
        let (wanted, seen) = (absent(request.desired), absent(observed));
        let satisfied = wanted.iter().all(|key| seen.contains(key));
        let empty = |v: Option<&Value>| v.and_then(Value::as_fields).is_none_or(mesh_model::Fields::is_empty);
        let mut observed = if satisfied { settled(observed, request.desired, &["absent"]) } else { observed.clone() };
        if empty(observed.get(self.field)) && empty(request.desired.get(self.field)) {
            observed = settled(&observed, request.desired, &[self.field]);
        }
        let response = schema_plan(&PlanRequest { observed: Some(&observed), ..*request });
        debug_assert!(!matches!(response.verdict, Verdict::Create));
        response
    }

    fn manager<'a>(&'a self, values: &'a Value) -> &'a str {
        values.get_str("field_manager").filter(|m| !m.is_empty()).unwrap_or(self.manager)
    }

    pub(crate) async fn observe(
        &self,
        cluster: &Cluster,
        requests: &[ObserveRequest],
    ) -> Vec<Result<Observation, ProviderError>> {
        let values: Vec<Option<&Value>> = requests.iter().map(|r| r.saved.as_ref().or(r.desired.as_ref())).collect();
        let references: Vec<Option<Reference>> =
            values.iter().map(|v| v.and_then(Reference::from_attributes)).collect();
        let known: Vec<Reference> = references.iter().flatten().cloned().collect();
        let mut found = cluster.find(&known).await.into_iter();
        requests
            .iter()
            .zip(values)
            .zip(references)
            .map(|((request, values), reference)| {
                let (Some(values), Some(reference)) = (values, reference) else { return Ok(Observation::Absent) };
                let Some(live) = found.next().transpose()?.flatten() else { return Ok(Observation::Absent) };
                Ok(self.seen(request, values, &reference, &live))
            })
            .collect()
    }

    fn seen(&self, request: &ObserveRequest, values: &Value, reference: &Reference, live: &Json) -> Observation {
        let manager = self.manager(values);
        let there = |key: &str| live["metadata"][self.field].get(key).and_then(Json::as_str);
        let all = [request.saved.as_ref(), request.desired.as_ref()];
        let keys = all.iter().flatten().filter_map(|v| v.get(self.field)?.as_fields()).flat_map(|f| f.iter());
        let mut seen = Vec::new();
        for (key, value) in keys {
            if let Some(text) = there(key) {
                seen.push((key.clone(), Value::string(text).mark(value.marks())));
            }
        }
        let gone = all.iter().flatten().flat_map(|v| absent(v)).filter(|key| there(key).is_none());
        let gone: Vec<Value> = gone.map(Value::string).collect();
        let has_labels = values.get(self.field).and_then(Value::as_fields).is_some_and(|f| !f.is_empty());
        let is_there = has_applied(live, manager) || request.saved.is_some() && (!seen.is_empty() || !has_labels);
        if !is_there {
            return Observation::Absent;
        }
        let seen = Value::map(Type::String, seen.into_iter().collect());
        let values = values.with(self.field, seen).with("absent", Value::set(Type::String, gone));
        let identity = format!("{} by {manager} of {}", self.field, reference.text());
        Observation::Present(Observed { version: version(live), ..Observed::new(values, Identity(identity.into())) })
    }

    pub(crate) async fn write(&self, cluster: &Cluster, request: &OperationRequest, is_create: bool) -> Outcome {
        let Some(planned) = &request.after else { return Outcome::deleted() };
        let wanted = planned.get(self.field).map_or(Json::Null, mesh_model::json::reveal_json);
        let result = self.apply(cluster, planned, wanted, is_create && request.on_existing == OnExisting::Fail).await;
        match (result, self.identity(planned)) {
            (Ok(()), IdentityHint::Known(identity)) => Outcome::applied(planned.clone(), identity),
            (Ok(()), _) => Outcome::rejected(missing("The object has no known name.")),
            (Err(error), _) => error.outcome(),
        }
    }

    async fn apply(&self, cluster: &Cluster, values: &Value, wanted: Json, new: bool) -> Result<(), WriteError> {
        let Some(reference) = Reference::from_attributes(values) else {
            return Err(missing("The object has no known name.").into());
        };
        let (_, path) = cluster.locate(&reference).await?;
        let what = format!("read {}", reference.text());
        let live = cluster.get_path(&path).await.map_err(|f| WriteError::from(f.error(&what, None)))?;
        let Some(live) = live else {
            return Err(missing(format!(
                "{} does not exist. {} are set on existing objects only: create it first, and let this resource depend on it.",
                reference.text(),
                if self.field == "labels" { "Labels" } else { "Annotations" }
            ))
            .into());
        };
        let manager = self.manager(values);
        if new && has_applied(&live, manager) {
            let object = format!("{} by {manager} of {}", self.field, reference.text());
            return Err(exists(&object, &[manager.to_owned()]).into());
        }
        let mut body = reference.skeleton();
        body["metadata"]["uid"] = live["metadata"]["uid"].clone();
        // An empty map would be owned too, and keep the manager there for good.
        if wanted.as_object().is_some_and(|w| !w.is_empty()) {
            body["metadata"][self.field] = wanted;
        }
        let apply = Apply {
            reference: &reference,
            body,
            manager,
            // To name a key here is to claim it.
            force: true,
            claimed: Vec::new(),
            adopt: false,
            dry_run: false,
            secrets: Some(values),
        };
        apply.run(cluster).await.map_err(|e| apply.error(e))?;
        self.remove(cluster, &reference, &path, &live, &absent(values)).await
    }

    /// Removes keys that must not be there, each only while it has the value that was seen.
    async fn remove(
        &self,
        cluster: &Cluster,
        reference: &Reference,
        path: &str,
        live: &Json,
        keys: &[std::sync::Arc<str>],
    ) -> Result<(), WriteError> {
        let empty = Map::new();
        let there = live["metadata"][self.field].as_object().unwrap_or(&empty);
        let mut patch =
            vec![json!({ "op": "test", "path": "/metadata/uid", "value": text_at(live, &["metadata", "uid"]) })];
        for (key, value) in there.iter().filter(|(key, _)| keys.iter().any(|k| **k == ***key)) {
            let pointer = format!("/metadata/{}/{}", self.field, key.replace('~', "~0").replace('/', "~1"));
            patch.push(json!({ "op": "test", "path": pointer, "value": value }));
            patch.push(json!({ "op": "remove", "path": pointer }));
        }
        if patch.len() == 1 {
            return Ok(());
        }
        let result = cluster.call(Method::PATCH, path, Payload::JsonPatch(&Json::Array(patch))).await;
        cluster.wrote(reference).await;
        result
            .map(|_| ())
            .map_err(|f| WriteError::of(&f, &format!("remove {} of {}", self.field, reference.text()), None))
    }

    pub(crate) async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let Some(before) = &request.before else { return Outcome::deleted() };
        // Only its own keys go; what was absent stays absent.
        let values = before.with("absent", Value::NULL);
        match self.apply(cluster, &values, Json::Null, false).await {
            Err(e) if e.error.kind != mesh_sdk::ErrorKind::Missing => e.outcome(),
            _ => Outcome::deleted(),
        }
    }
}

fn absent(values: &Value) -> Vec<std::sync::Arc<str>> {
    let items = values.get("absent").and_then(Value::as_items);
    items.into_iter().flat_map(|i| i.iter()).filter_map(Value::as_str).map(std::sync::Arc::from).collect()
}
