//! `terraform_data`: a value with a life of its own.
//!
//! The one decision: as in Terraform, except that `output` is known in the plan where `input` is,
//! so that a change of input does not hide what its dependents become. It is also what large
//! stacks are measured with: planning one allocates its result and nothing else.

use std::sync::{Arc, LazyLock};

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, Fields, Path, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    Foreign, IdentityHint, Imported, Observation, ObserveRequest, Observed, OperationRequest, Outcome, PlanRequest,
    PlanResponse, ProviderError, Resource, Rules, Verdict, async_trait,
};

use crate::{Client, state_only};

pub(crate) struct TerraformData;

/// Attribute names, shared by all instances; sorted.
static NAMES: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| ["id", "input", "output", "triggers_replace"].map(Arc::from));

fn object(id: Value, input: Value, output: Value, trigger: Value) -> Value {
    let values = [id, input, output, trigger];
    Value::from_fields(Fields::from_sorted(NAMES.iter().cloned().zip(values).collect()))
}

fn attribute(values: &Value, name: &str) -> Value {
    values.get(name).cloned().unwrap_or(Value::NULL)
}

impl Rules for TerraformData {
    fn identity(&self, _planned: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }

    fn import(&self, id: &str, _planned: &Value) -> Result<Imported, String> {
        let values = object(Value::string(id), Value::NULL, Value::NULL, Value::NULL);
        Ok(Imported::Only(Observed::new(values, Identity(id.into()))))
    }

    /// Terraform marks `input` alone as sensitive, and keeps the same in `output` in clear.
    fn foreign(&self, attributes: Value) -> Result<Foreign, String> {
        let input = attribute(&attributes, "input");
        Ok(Foreign::of(attributes.with("output", input)))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let input = attribute(request.desired, "input");
        let trigger = attribute(request.desired, "triggers_replace");
        let new = |input: Value, trigger| object(Value::unknown(Type::String), input.clone(), input, trigger);
        let response =
            |verdict, before, after| PlanResponse { verdict, before, after, needs_preview: false, notes: Vec::new() };
        let Some(seen) = request.observed else {
            return response(Verdict::Create, Value::NULL, new(input, trigger));
        };
        // Any type is taken, so the type is part of the value.
        let same = |name, value: &Value| {
            seen.get(name).is_some_and(|s| request.fingerprinter.same(value, s) && value.same_kinds(s))
        };
        let (id, kept) = (attribute(seen, "id"), same("triggers_replace", &trigger));
        if same("input", &input) {
            // The configured spelling and marks stand for both sides; a withheld output is known again.
            let after = object(id.clone(), input.clone(), input.clone(), trigger.clone());
            if kept {
                return response(Verdict::NoOp, after.clone(), after);
            }
        }
        let before = if kept { seen.with("triggers_replace", trigger.clone()) } else { seen.clone() };
        if kept {
            return response(Verdict::Update, before, object(id, input.clone(), input, trigger));
        }
        let paths = vec![Path::attribute("triggers_replace")];
        response(Verdict::Replace(paths), before, new(input, trigger))
    }
}

fn with_id(request: &OperationRequest, id: Value) -> Outcome {
    let after = request.after.as_ref().unwrap_or(&Value::NULL);
    let input = attribute(after, "input");
    let identity = Identity(Arc::from(id.as_str().unwrap_or_default()));
    Outcome::applied(object(id, input.clone(), input, attribute(after, "triggers_replace")), identity)
}

#[async_trait]
impl Resource<Client> for TerraformData {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "terraform_data",
            version: 0,
            doc: "Keeps a value in state and hands it on; can be replaced by a change of anything.",
            example: r#"resource "terraform_data" "revision" {
  input            = "asm-198-6"
  triggers_replace = ["c1"]
}"#,
            schema: Schema::of([
                Attribute::optional("input", Type::Dynamic, "Any value. A change updates the object in place."),
                Attribute::optional(
                    "triggers_replace",
                    Type::Dynamic,
                    "Any value. A change replaces the object, with a new `id`.",
                ),
                Attribute::computed("id", Type::String, "A random UUID that stays until the object is replaced."),
                Attribute::computed("output", Type::Dynamic, "The value of `input`."),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, _client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        state_only::observe(requests)
    }

    async fn create(&self, _client: &Client, request: &OperationRequest) -> Outcome {
        let identity = request.identity.clone().unwrap_or_else(state_only::fresh);
        with_id(request, Value::string(identity.0))
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let known = |v: &Option<Value>| v.as_ref().and_then(|v| v.get("id").filter(|i| i.as_str().is_some()).cloned());
        match known(&request.before).or_else(|| known(&request.after)) {
            Some(id) => with_id(request, id),
            None => self.create(client, request).await,
        }
    }

    async fn delete(&self, _client: &Client, _request: &OperationRequest) -> Outcome {
        Outcome::deleted()
    }
}
