//! Everything on the real HAProxy, in master-worker mode with a foreign main file.

mod haproxy;
mod lives;
mod refusals;

use std::sync::Arc;

use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, Fields, Fingerprinter, Mode, ModulePath, Type, Value};
use mesh_sdk::{
    Observation, ObserveRequest, OnExisting, OperationRequest, Outcome, PlanRequest, PlanResponse, PreviewRequest,
    PreviewResponse, Provider, ProviderError, Services, Session,
};

use haproxy::Haproxy;

const TYPE: &str = "gateway_load_balancer";

fn address() -> Address {
    Address { module: ModulePath::root(), mode: Mode::Managed, ty: TYPE.into(), name: "x".into(), key: None }
}

/// What the engine does for one load balancer.
struct Engine {
    provider: Arc<dyn Provider>,
    session: Arc<dyn Session>,
    fingerprinter: Fingerprinter,
}

impl Engine {
    async fn new(haproxy: &Haproxy) -> Self {
        let provider = crate::provider();
        let services = Services { root: haproxy.folder().to_owned(), ..Services::default() };
        let session = provider.configure(&haproxy.config(), &services).await.expect("it is there");
        Self { provider, session, fingerprinter: Fingerprinter::new([3; 32]) }
    }

    fn shaped(&self, config: &Value) -> Value {
        Value::object(self.provider.schema().resources[TYPE].schema.attributes.iter().map(|a| {
            let given = config.get(a.name).cloned().or_else(|| a.default.clone());
            (a.name, given.unwrap_or_else(|| Value::null(a.ty.clone())))
        }))
    }

    async fn observe(&self, saved: Option<&Value>, config: &Value) -> Result<Option<Value>, ProviderError> {
        let name = config.get_str("name").expect("named");
        let request = ObserveRequest {
            address: address(),
            ty: TYPE.into(),
            identity: Some(Identity(format!("load_balancer {name}").into())),
            saved: saved.cloned(),
            desired: Some(self.shaped(config)),
            private: None,
        };
        Ok(match self.session.observe(vec![request]).await.pop().expect("an answer")? {
            Observation::Absent => None,
            Observation::Present(seen) => Some(seen.values),
        })
    }

    /// Decides, with a preview where the type asks for one.
    async fn plan(&self, saved: Option<&Value>, config: &Value) -> Result<PlanResponse, ProviderError> {
        let observed = self.observe(saved, config).await?;
        let desired = self.shaped(config);
        let decide = |preview: Option<&Value>| {
            self.provider.rules(TYPE).expect("it has rules").plan(&PlanRequest {
                schema: &self.provider.schema().resources[TYPE],
                saved,
                observed: observed.as_ref(),
                desired: &desired,
                preview,
                fingerprinter: &self.fingerprinter,
            })
        };
        let response = decide(None);
        if !response.needs_preview {
            return Ok(response);
        }
        let request = PreviewRequest {
            address: address(),
            ty: TYPE.into(),
            observed: observed.clone(),
            planned: response.after.clone(),
        };
        match self.session.preview(request).await? {
            PreviewResponse::Values(values) => Ok(decide(Some(&values))),
            other => panic!("no preview: {other:?}"),
        }
    }

    async fn apply(&self, operation: Operation, before: Option<Value>, after: Option<Value>) -> Outcome {
        let named = after.as_ref().or(before.as_ref()).and_then(|v| v.get_str("name")).expect("named");
        let request = OperationRequest {
            address: address(),
            ty: TYPE.into(),
            operation,
            identity: Some(Identity(format!("load_balancer {named}").into())),
            before,
            after,
            private: None,
            on_existing: OnExisting::Fail,
        };
        self.session.apply(vec![request]).await.pop().expect("an answer")
    }

    /// Creates it and gives what state would keep.
    async fn create(&self, config: &Value) -> Value {
        let planned = self.plan(None, config).await.expect("it can be planned").after;
        applied(self.apply(Operation::Create, None, Some(planned)).await)
    }
}

fn applied(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Applied { values, .. } => values,
        other => panic!("not applied: {other:?}"),
    }
}

fn rejected(outcome: Outcome) -> ProviderError {
    match outcome {
        Outcome::Rejected { error, .. } => error,
        other => panic!("not rejected: {other:?}"),
    }
}

/// A configuration; ports as name, port, node port.
fn balancer(name: &str, vip: &str, ports: &[(&str, u16, u16)], nodes: &[(&str, &str)]) -> Value {
    let port = Type::object([("port", Type::Number), ("node_port", Type::Number)]);
    let ports: Fields = ports
        .iter()
        .map(|(name, port, node_port)| {
            let values =
                [("port", Value::number(i64::from(*port))), ("node_port", Value::number(i64::from(*node_port)))];
            (*name, Value::object(values))
        })
        .collect();
    let nodes: Fields = nodes.iter().map(|(name, address)| (*name, Value::string(*address))).collect();
    Value::object([
        ("name", Value::string(name)),
        ("vip", Value::string(vip)),
        ("ports", Value::map(port, ports)),
        ("nodes", Value::map(Type::String, nodes)),
        ("check_interval", Value::string("100ms")),
        ("check_rise", Value::number(1)),
        ("min_up", Value::number(1)),
        ("ready_timeout", Value::string("10s")),
    ])
}
