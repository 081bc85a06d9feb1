//! `vault_kubernetes_auth_role`: which service accounts may log in, and what they get.
//!
//! The one decision: the endpoint merges, so every field is sent on every write and one that is no longer configured
//! goes out as its zero value. The old spellings `policies`, `ttl`, `max_ttl` and `period` are taken as they are written
//! and mean the fields `token_*`; Vault is only ever told the new ones.

use mesh_model::schema::Equality;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{PlanRequest, PlanResponse, Problem, async_trait, schema_plan};
use serde_json::{Map, Value as Json};

use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::fields::{self, Field, Wire, from_wire, to_wire};
use crate::kind::Kind;
use crate::names;

pub(crate) struct KubernetesAuthRole;

const FIELDS: &[Field] = &[
    ("bound_service_account_names", Wire::Names),
    ("bound_service_account_namespaces", Wire::Names),
    ("bound_service_account_namespace_selector", Wire::Text),
    ("audience", Wire::Text),
    ("alias_name_source", Wire::Text),
    ("token_policies", Wire::Policies),
    ("token_ttl", Wire::Seconds),
    ("token_max_ttl", Wire::Seconds),
    ("token_period", Wire::Seconds),
    ("token_explicit_max_ttl", Wire::Seconds),
    ("token_bound_cidrs", Wire::Networks),
    ("token_no_default_policy", Wire::Flag),
    ("token_num_uses", Wire::Count),
    ("token_type", Wire::Text),
];

/// Old spelling, new spelling, how it travels.
const OLD: &[(&str, &str, Wire)] = &[
    ("policies", "token_policies", Wire::Policies),
    ("ttl", "token_ttl", Wire::Seconds),
    ("max_ttl", "token_max_ttl", Wire::Seconds),
    ("period", "token_period", Wire::Seconds),
];

fn set(name: &'static str, doc: &'static str) -> Attribute {
    Attribute::optional(name, Type::set(Type::String), doc)
}

fn duration(name: &'static str, doc: &'static str) -> Attribute {
    Attribute::optional(name, Type::String, doc).equality(Equality::Duration)
}

fn old_fields() -> Vec<Field> {
    OLD.iter().map(|(old, _, wire)| (*old, *wire)).collect()
}

/// Values in which a field stands under the old spelling where `like` uses that.
fn in_spelling_of(like: &Value, values: &Value) -> Value {
    OLD.iter().fold(values.clone(), |values, (old, new, _)| {
        let uses_old = like.get(old).is_some_and(|v| !v.is_null());
        match values.get(new).cloned().filter(|v| uses_old && !v.is_null()) {
            Some(value) => {
                let none = Value::null(value.ty());
                values.with(old, value).with(new, none)
            }
            None => values,
        }
    })
}

/// Values in which every field stands under its new spelling.
fn in_new_spelling(values: &Value) -> Value {
    OLD.iter().fold(values.clone(), |values, (old, new, _)| match values.get(old).cloned().filter(|v| !v.is_null()) {
        Some(value) => {
            let none = Value::null(value.ty());
            values.with(new, value).with(old, none)
        }
        None => values,
    })
}

#[async_trait]
impl Kind for KubernetesAuthRole {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_kubernetes_auth_role",
            version: 0,
            doc: "A role of a kubernetes auth backend.\n\nNeeds `create`, `update`, `read` and `delete` on `auth/<backend>/role/<name>`; with `list` on `auth/<backend>/role` new roles are looked up with one call.",
            example: "resource \"vault_kubernetes_auth_role\" \"istiod\" {\n  backend                          = \"asm-c1/hsm\"\n  name                             = \"istiod\"\n  bound_service_account_names      = [\"istiod-service-account\"]\n  bound_service_account_namespaces = [\"istio-system\"]\n  token_policies                   = [\"asm-c1-hsm-policy\"]\n  token_ttl                        = \"768h\"\n}\n",
            schema: Schema::of([
                Attribute::required("backend", Type::String, "Path of the auth backend, without `auth/`.").force_new(),
                Attribute::required("name", Type::String, "Name of the role.").force_new(),
                Attribute::required(
                    "bound_service_account_names",
                    Type::set(Type::String),
                    "Service accounts that may log in; `*` for any.",
                ),
                set("bound_service_account_namespaces", "Namespaces of these accounts; `*` for any."),
                Attribute::optional(
                    "bound_service_account_namespace_selector",
                    Type::String,
                    "Label selector of namespaces, as JSON or YAML.",
                ),
                Attribute::optional("audience", Type::String, "Audience that tokens must have. Vault recommends one."),
                Attribute::optional(
                    "alias_name_source",
                    Type::String,
                    "`serviceaccount_uid` or `serviceaccount_name`. Default: `serviceaccount_uid`.",
                )
                .default(Value::string("serviceaccount_uid")),
                set("token_policies", "Policies of the tokens given out."),
                duration("token_ttl", "How long these tokens live, in any spelling (`768h`, `32d`, `2764800`)."),
                duration("token_max_ttl", "How long they live at most, renewals included."),
                duration("token_period", "Makes them periodic: each renewal gives this long."),
                duration("token_explicit_max_ttl", "A limit that not even the mount's settings can lengthen."),
                set("token_bound_cidrs", "Networks that the tokens may be used from."),
                Attribute::optional(
                    "token_no_default_policy",
                    Type::Bool,
                    "Leave out the policy `default`. Default: false.",
                )
                .default(Value::bool(false)),
                Attribute::optional(
                    "token_num_uses",
                    Type::Number,
                    "How often a token may be used; absent or 0: any number.",
                ),
                Attribute::optional("token_type", Type::String, "`default`, `service` or `batch`. Default: `default`.")
                    .default(Value::string("default")),
                set("policies", "Old spelling of `token_policies`."),
                duration("ttl", "Old spelling of `token_ttl`."),
                duration("max_ttl", "Old spelling of `token_max_ttl`."),
                duration("period", "Old spelling of `token_period`."),
            ]),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = names::check(config, &["backend"], &["name"]);
        problems.extend(fields::check_durations(config, FIELDS));
        problems.extend(fields::check_durations(config, &old_fields()));
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        for (old, new, _) in OLD {
            if given(old) && given(new) {
                problems.push(Problem::at(old, format!("{old} is the old spelling of {new}: give only one of them.")));
            }
        }
        if !given("bound_service_account_namespaces") && !given("bound_service_account_namespace_selector") {
            problems.push(Problem::at(
                "bound_service_account_namespaces",
                "Give bound_service_account_namespaces or bound_service_account_namespace_selector.",
            ));
        }
        problems
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("auth/{}/role/{}", values.get_str("backend")?, values.get_str("name")?))
    }

    fn path_of_id(&self, id: &str) -> String {
        format!("auth/{}", id.strip_prefix("auth/").unwrap_or(id))
    }

    fn same(&self, attribute: &str, a: &Value, b: &Value) -> bool {
        FIELDS.iter().chain(&old_fields()).any(|(name, wire)| *name == attribute && fields::same(*wire, a, b))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        // What is there stands in new spelling or that of state; the configuration decides which is shown.
        let Some(seen) = request.observed else { return schema_plan(request) };
        let spelled = in_spelling_of(request.desired, &in_new_spelling(seen));
        let attributes = request.schema.schema.attributes.iter().map(|a| {
            let seen = spelled.get(a.name).cloned().unwrap_or_else(|| Value::null(a.ty.clone()));
            match request.desired.get(a.name) {
                Some(desired) if self.same(a.name, desired, &seen) => (a.name, desired.clone()),
                _ => (a.name, seen),
            }
        });
        let observed = Value::object(attributes);
        schema_plan(&PlanRequest { observed: Some(&observed), ..*request })
    }

    fn listing(&self, path: &str) -> Option<(String, String)> {
        let (parent, name) = path.rsplit_once('/')?;
        Some((parent.to_owned(), name.to_owned()))
    }

    async fn look(&self, client: &Client, path: &str, hint: Option<&Value>) -> Result<Option<Value>, Failure> {
        let Some(data) = client.read(path).await? else { return Ok(None) };
        let (backend, name) = path.strip_prefix("auth/").and_then(|p| p.rsplit_once("/role/")).unwrap_or((path, ""));
        let fixed = [("backend", Value::string(backend)), ("name", Value::string(name))];
        let seen = Value::object(
            fixed.into_iter().chain(FIELDS.iter().map(|(name, wire)| (*name, from_wire(*wire, &data[*name])))),
        );
        Ok(Some(in_spelling_of(hint.unwrap_or(&Value::NULL), &seen)))
    }

    async fn create(&self, client: &Client, path: &str, after: &Value, _adopt: bool) -> Result<Vec<String>, Failure> {
        let after = in_new_spelling(after);
        let body: Map<String, Json> =
            FIELDS.iter().map(|(name, wire)| ((*name).to_owned(), to_wire(*wire, after.get(name)))).collect();
        let reply = client.write(path, &Json::Object(body), Content::Open).await?;
        Ok(reply.warnings())
    }

    async fn update(
        &self,
        client: &Client,
        path: &str,
        _before: &Value,
        after: &Value,
    ) -> Result<Vec<String>, Failure> {
        self.create(client, path, after, true).await
    }

    async fn delete(&self, client: &Client, path: &str, _before: Option<&Value>) -> Result<(), Failure> {
        client.delete(path).await
    }
}
