//! `kubernetes_service_account_token`: a lasting token of a service account, in a Secret.
//!
//! The control plane fills the Secret in after it was made, and deletes it when the account is gone;
//! so the account is waited for first and the token afterwards.

use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, PlanRequest,
    PlanResponse, Problem, ProviderError, Resource, Rules, Verdict, async_trait, schema_plan,
};
use serde_json::{Value as Json, json};

use crate::apply::{Apply, other_managers};
use crate::cluster::Cluster;
use crate::decide::settled;
use crate::equality::decode;
use crate::error::{WriteError, exists, invalid};
use crate::lifecycle::delete;
use crate::object::{Reference, text_at};
use crate::waiting::{Clock, check_timeout, not_ready, timeout, until_ready};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// The type.
pub(crate) struct ServiceAccountToken;

fn reference(values: &Value) -> Option<Reference> {
    Some(Reference::new("v1", "Secret", Some(values.get_str("namespace")?), values.get_str("name")?))
}

impl Rules for ServiceAccountToken {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        check_timeout(config).into_iter().collect()
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        reference(planned).map_or(IdentityHint::Unknown, |r| IdentityHint::known(r.text()))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let observed = request.observed.map(|o| settled(o, request.desired, &["timeout"]));
        let mut response = schema_plan(&PlanRequest { observed: observed.as_ref(), ..*request });
        // Made, but not filled in: wait again.
        if response.verdict == Verdict::NoOp && observed.is_some_and(|o| o.get("token").is_none_or(Value::is_null)) {
            response.verdict = Verdict::Update;
            for name in ["token", "ca_crt", "sa_uid"] {
                response.after = response.after.with(name, Value::unknown(Type::String));
            }
        }
        response
    }
}

/// The planned values, with what the Secret holds.
fn filled(values: &Value, secret: &Json) -> Value {
    let text = |key: &str| {
        let bytes = text_at(secret, &["data", key]).and_then(decode).filter(|b| !b.is_empty());
        bytes.and_then(|b| String::from_utf8(b).ok()).map_or(Value::null(Type::String), Value::string)
    };
    let annotation = |key: &str| {
        text_at(&secret["metadata"]["annotations"], &[key]).map_or(Value::null(Type::String), Value::string)
    };
    values
        .with("service_account", annotation(ACCOUNT))
        .with("token", text("token").sensitive())
        .with("ca_crt", text("ca.crt"))
        .with("sa_uid", annotation(ACCOUNT_UID))
        .with("uid", text_at(secret, &["metadata", "uid"]).map_or(Value::null(Type::String), Value::string))
}

#[async_trait]
impl Resource<Cluster> for ServiceAccountToken {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_service_account_token",
            version: 0,
            doc: "A Secret of type `kubernetes.io/service-account-token`, waited for until the control plane has filled it in.",
            example: r#"resource "kubernetes_service_account_token" "reviewer" {
  namespace       = "vault"
  service_account = "default"
  name            = "default-token"
}"#,
            schema: Schema::of([
                Attribute::required("namespace", text.clone(), "Namespace of the account and of the Secret.")
                    .force_new(),
                Attribute::required(
                    "service_account",
                    text.clone(),
                    "Name of the service account; it may still be on its way.",
                )
                .force_new(),
                Attribute::required("name", text.clone(), "Name of the Secret.").force_new(),
                Attribute::optional(
                    "timeout",
                    text.clone(),
                    "How long to wait for the account and the token. Default `1m`.",
                )
                .default(Value::string("1m")),
                Attribute::computed("token", text.clone(), "The token.").sensitive(),
                Attribute::computed("ca_crt", text.clone(), "CA certificates of the API server (PEM)."),
                Attribute::computed("sa_uid", text.clone(), "uid of the service account that the token is for."),
                Attribute::computed("uid", text, "uid of the Secret."),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, cluster: &Cluster, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let values: Vec<Option<&Value>> = requests.iter().map(|r| r.saved.as_ref().or(r.desired.as_ref())).collect();
        let references: Vec<Option<Reference>> = requests
            .iter()
            .zip(&values)
            .map(|(r, v)| v.and_then(reference).or_else(|| Reference::parse(&r.identity.as_ref()?.0)))
            .collect();
        let known: Vec<Reference> = references.iter().flatten().cloned().collect();
        let mut found = cluster.find(&known).await.into_iter();
        references
            .into_iter()
            .zip(values)
            .map(|(reference, values)| {
                let Some(reference) = reference else { return Ok(Observation::Absent) };
                let Some(secret) = found.next().transpose()?.flatten() else { return Ok(Observation::Absent) };
                let plain = Value::object([
                    ("namespace", reference.namespace.as_deref().map_or(Value::NULL, Value::string)),
                    ("name", Value::string(reference.name.as_str())),
                    ("timeout", Value::string("1m")),
                ]);
                Ok(Observation::Present(Observed::new(
                    filled(values.unwrap_or(&plain), &secret),
                    Identity(reference.text().into()),
                )))
            })
            .collect()
    }

    async fn create(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        write(cluster, request, request.on_existing == OnExisting::Fail).await
    }

    async fn update(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        write(cluster, request, false).await
    }

    async fn delete(&self, cluster: &Cluster, request: &OperationRequest) -> Outcome {
        let before = request.before.as_ref();
        let Some(reference) = before.and_then(reference) else { return Outcome::deleted() };
        let uid = before.and_then(|b| b.get_str("uid"));
        match delete(cluster, &reference, uid, timeout(before.unwrap_or(&Value::NULL))).await {
            Ok(()) => Outcome::deleted(),
            Err(error) => error.outcome(),
        }
    }
}

async fn write(cluster: &Cluster, request: &OperationRequest, new: bool) -> Outcome {
    let Some(planned) = &request.after else { return Outcome::deleted() };
    let Some(reference) = reference(planned) else { return Outcome::rejected(invalid("The Secret has no name.")) };
    if let Err(error) = make(cluster, planned, &reference, new).await {
        return error.outcome();
    }
    let identity = Identity(reference.text().into());
    match until_ready(cluster, &reference, timeout(planned)).await {
        Ok(secret) => Outcome::applied(filled(planned, &secret), identity),
        Err(error) => {
            let left = cluster
                .get(&reference)
                .await
                .ok()
                .flatten()
                .map(|secret| Observed::new(filled(planned, &secret), identity));
            Outcome::Rejected { error, left }
        }
    }
}

async fn make(cluster: &Cluster, values: &Value, reference: &Reference, new: bool) -> Result<(), WriteError> {
    let account = values.get_str("service_account").unwrap_or("default");
    let owner = Reference::new("v1", "ServiceAccount", reference.namespace.as_deref(), account);
    // A token for an account that is not there is deleted again.
    let mut clock = Clock::new(timeout(values));
    while cluster.get(&owner).await?.is_none() {
        if !clock.tick().await {
            return Err(not_ready(format!("{} does not exist. Create it first.", owner.text())).into());
        }
    }
    if let Some(live) = cluster.get(reference).await? {
        if new {
            return Err(exists(&reference.text(), &other_managers(&live, "")).into());
        }
        let belongs = text_at(&live["metadata"]["annotations"], &[ACCOUNT]);
        if text_at(&live, &["type"]) != Some(TYPE) || belongs != Some(account) {
            return Err(invalid(format!(
                "{} exists and is not a token of the service account {account}. Choose another name, or delete it.",
                reference.text()
            ))
            .into());
        }
    }
    let mut body = reference.skeleton();
    body["type"] = TYPE.into();
    body["metadata"]["annotations"] = json!({ ACCOUNT: account });
    let apply = Apply {
        reference,
        body,
        manager: &cluster.manager,
        force: false,
        claimed: Vec::new(),
        adopt: !new,
        dry_run: false,
        secrets: Some(values),
    };
    apply.run(cluster).await.map_err(|e| apply.error(e))?;
    Ok(())
}
