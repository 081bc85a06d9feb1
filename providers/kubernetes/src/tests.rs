//! Tests against a real cluster: one for the process, a namespace a test.

mod conformance;
mod data;
mod ephemeral;
mod errors;
mod many;
mod ownership;
mod sets;
mod workloads;

use std::sync::{Arc, OnceLock};

use mesh_model::json::from_json;
use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, Fingerprinter, Mode, ModulePath, Value};
use mesh_sandbox::{Options, Part, Sandbox};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, PlanRequest,
    PlanResponse, PreviewRequest, PreviewResponse, Provider as _, ProviderError, Services, Session as _, TypedSession,
    Verdict,
};
use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, Payload};
use crate::object::Reference;
use crate::{Kubernetes, kubernetes};

#[expect(
    clippy::disallowed_methods,
    reason = "a test is a program of its own: it looks for servers where its user has them"
)]
fn variable(name: &str) -> std::ffi::OsString {
    std::env::var(name).unwrap_or_default().into()
}

/// The cluster of this process; the kernel ends it with the process.
pub(super) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let cache = mesh_sandbox::default_cache(std::path::Path::new(&variable("HOME")));
        let mut options = Options::temporary(cache, &variable("PATH"), [Part::Kubernetes]);
        options.users.push("reader".to_owned());
        Sandbox::start(options, &|_: &mesh_sandbox::Event| {}).expect("a cluster starts")
    })
}

/// A configured provider, and an engine that is as small as it can be.
pub(super) struct Lab {
    pub(super) provider: Kubernetes,
    pub(super) session: TypedSession<Cluster>,
    fingerprinter: Fingerprinter,
}

impl Lab {
    pub(super) async fn new() -> Self {
        Self::of("admin").await.expect("the admin may connect")
    }

    pub(super) async fn of(user: &str) -> Result<Self, ProviderError> {
        let file =
            sandbox().kubernetes().expect("has a cluster").kubeconfig(user).expect("a user").display().to_string();
        let provider = kubernetes();
        let config = Value::object([("kubeconfig", Value::string(file)), ("field_manager", Value::string("mesh"))]);
        let session = provider.open(&config, &Services::default()).await?;
        Ok(Self { provider, session, fingerprinter: Fingerprinter::new([9; 32]) })
    }

    pub(super) fn cluster(&self) -> &Cluster {
        self.session.client()
    }

    /// A new namespace.
    pub(super) async fn namespace(&self, prefix: &str) -> String {
        let name = sandbox().namespace(prefix);
        self.make(json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":name}}), "kubectl-create").await;
        name
    }

    /// Makes an object as somebody else does.
    pub(super) async fn make(&self, object: Json, manager: &str) -> Json {
        let reference = Reference::of(&from_json(&object)).expect("a name");
        let kind = self.cluster().kind(&reference).await.expect("a kind");
        let path = Cluster::path(&kind, reference.namespace.as_deref(), "");
        let uri = format!("{path}?fieldManager={manager}");
        let answer = self.cluster().call(http::Method::POST, &uri, Payload::Plain(&object)).await.expect("is made");
        answer.json
    }

    /// Changes an object as somebody else does.
    pub(super) async fn patch(&self, text: &str, manager: &str, patch: Json) {
        let reference = Reference::parse(text).expect("a name");
        let (_, path) = self.cluster().locate(&reference).await.expect("a kind");
        let uri = format!("{path}?fieldManager={manager}");
        self.cluster().call(http::Method::PATCH, &uri, Payload::StrategicMerge(&patch)).await.expect("is patched");
        self.cluster().wrote(&reference).await;
    }

    pub(super) async fn live(&self, text: &str) -> Option<Json> {
        self.cluster().get(&Reference::parse(text).expect("a name")).await.expect("can be read")
    }

    pub(super) fn life(&self, ty: &'static str, desired: Json) -> Life<'_> {
        let mut life = Life { lab: self, ty, desired: Value::NULL, saved: None, identity: None };
        life.want(desired);
        life
    }
}

/// One instance, from plan to plan.
pub(super) struct Life<'a> {
    pub(super) lab: &'a Lab,
    ty: &'static str,
    pub(super) desired: Value,
    pub(super) saved: Option<Value>,
    pub(super) identity: Option<Identity>,
}

impl Life<'_> {
    /// Sets the configuration.
    pub(super) fn want(&mut self, desired: Json) {
        self.want_value(&from_json(&desired));
    }

    pub(super) fn want_value(&mut self, given: &Value) {
        let schema = &self.lab.provider.schema().resources[self.ty].schema;
        let values = schema.attributes.iter().map(|a| {
            let value = given.get(a.name).cloned().or_else(|| a.default.clone()).unwrap_or(Value::NULL);
            (a.name, mesh_model::convert::convert(&value, &a.ty).expect("has its type"))
        });
        let blocks = schema.blocks.iter().map(|b| (b.name, given.get(b.name).cloned().unwrap_or(Value::NULL)));
        let rules = self.lab.provider.rules(self.ty).expect("a type");
        self.desired = rules.mark(mesh_sdk::marks::mark_sensitive(schema, &Value::object(values.chain(blocks))));
    }

    fn address(&self) -> Address {
        Address {
            module: ModulePath::root(),
            mode: Mode::Managed,
            ty: Arc::from(self.ty),
            name: Arc::from("test"),
            key: None,
        }
    }

    /// As the engine does: instances in state are observed before their configuration is known.
    pub(super) async fn observe(&self) -> Option<Observed> {
        let rules = self.lab.provider.rules(self.ty).expect("a type");
        let hint = if let IdentityHint::Known(id) = rules.identity(&self.desired) { Some(id) } else { None };
        let request = ObserveRequest {
            address: self.address(),
            ty: Arc::from(self.ty),
            identity: self.identity.clone().or(hint),
            saved: self.saved.as_ref().map(|s| self.lab.fingerprinter.withhold(s)),
            desired: self.saved.is_none().then(|| self.desired.clone()),
            private: None,
        };
        match self.lab.session.observe(vec![request]).await.pop().expect("an answer").expect("can be observed") {
            Observation::Absent => None,
            Observation::Present(observed) => Some(observed),
        }
    }

    pub(super) async fn plan(&self) -> Result<(PlanResponse, Option<Observed>), ProviderError> {
        let observed = self.observe().await;
        let seen = observed.as_ref().map(|o| &o.values);
        let schema = &self.lab.provider.schema().resources[self.ty];
        let saved = self.saved.as_ref().map(|s| self.lab.fingerprinter.withhold(s));
        let decide = |preview: Option<&Value>| {
            self.lab.provider.rules(self.ty).expect("a type").plan(&PlanRequest {
                schema,
                saved: saved.as_ref(),
                observed: seen,
                desired: &self.desired,
                preview,
                fingerprinter: &self.lab.fingerprinter,
            })
        };
        let mut response = decide(None);
        if response.needs_preview {
            let request = PreviewRequest {
                address: self.address(),
                ty: Arc::from(self.ty),
                observed: seen.cloned(),
                planned: response.after.clone(),
            };
            match self.lab.session.preview(request).await? {
                PreviewResponse::Values(v) => response = decide(Some(&v)),
                PreviewResponse::Skipped(why) => response.notes.push(why.to_owned()),
                PreviewResponse::Later(why) => response.notes.push(format!("later: {why}")),
                PreviewResponse::MustReplace(paths) => response.verdict = Verdict::Replace(paths),
            }
        }
        Ok((response, observed))
    }

    pub(super) async fn verdict(&self) -> Verdict {
        self.plan().await.expect("can be planned").0.verdict
    }

    pub(super) async fn operate(
        &mut self,
        operation: Operation,
        before: Option<Value>,
        after: Option<Value>,
        on_existing: OnExisting,
    ) -> Outcome {
        let rules = self.lab.provider.rules(self.ty).expect("a type");
        let hint = if let IdentityHint::Known(id) = rules.identity(&self.desired) { Some(id) } else { None };
        let request = OperationRequest {
            address: self.address(),
            ty: Arc::from(self.ty),
            operation,
            identity: self.identity.clone().or(hint),
            before,
            after,
            private: None,
            on_existing,
        };
        let outcome = self.lab.session.apply(vec![request]).await.pop().expect("an outcome");
        match &outcome {
            Outcome::Applied { values, identity, .. } if operation != Operation::Delete => {
                self.saved = Some(values.clone());
                self.identity.clone_from(identity);
            }
            Outcome::Rejected { left: Some(left), .. } => {
                self.saved = Some(left.values.clone());
                self.identity = Some(left.identity.clone());
            }
            _ => {}
        }
        outcome
    }

    /// Plans and does it.
    pub(super) async fn apply_with(&mut self, on_existing: OnExisting) -> Outcome {
        let (response, observed) = match self.plan().await {
            Ok(planned) => planned,
            Err(error) => return Outcome::rejected(error),
        };
        let operation = match response.verdict {
            Verdict::NoOp => return Outcome::deleted(),
            Verdict::Create => Operation::Create,
            Verdict::Update if self.saved.is_none() => Operation::Create,
            _ => Operation::Update,
        };
        self.operate(operation, observed.map(|o| o.values), Some(response.after), on_existing).await
    }

    pub(super) async fn apply(&mut self) -> Vec<String> {
        match self.apply_with(OnExisting::Fail).await {
            Outcome::Applied { warnings, .. } => warnings,
            other => panic!("{} was not applied: {other:?}", self.ty),
        }
    }

    pub(super) async fn refused(&mut self) -> ProviderError {
        match self.apply_with(OnExisting::Fail).await {
            Outcome::Rejected { error, .. } => error,
            other => panic!("{} was not refused: {other:?}", self.ty),
        }
    }

    pub(super) async fn delete(&mut self) {
        let before = self.saved.clone();
        let outcome = self.operate(Operation::Delete, before, None, OnExisting::Fail).await;
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    }
}

pub(super) fn config_map(namespace: &str, name: &str, data: Json) -> Json {
    json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":name,"namespace":namespace},"data":data})
}

pub(super) fn deployment(namespace: &str, name: &str, image: &str) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "creationTimestamp": null},
                "spec": {"containers": [{
                    "name": "main", "image": image,
                    "ports": [{"containerPort": 80}],
                    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {}},
                    "env": [{"name": "A", "value": "1"}],
                }]},
            },
        },
    })
}
