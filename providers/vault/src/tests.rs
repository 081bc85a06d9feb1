//! Against the real Vault. One server serves all tests, each with paths of its own; it is never dropped, and ends with
//! the process.

mod chain;
mod drift;
mod ephemeral;
mod errors;
mod reading;
mod speed;
mod types;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, Fingerprinter, Mode, ModulePath, ResourceSchema, Value};
use mesh_sandbox::{Event, Options, Part, Sandbox, Vault as Server, default_cache};
use mesh_sdk::marks::mark_sensitive;
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, OnExisting, OperationRequest, Outcome, PlanRequest, PlanResponse,
    Provider, ProviderError, Rules, Services, Session, Verdict,
};
use serde_json::{Value as Json, json};

use crate::client::{Client, Content};
use crate::config::Settings;
use crate::{connect, provider};

fn sandbox() -> &'static Sandbox {
    static SHARED: OnceLock<Sandbox> = OnceLock::new();
    SHARED.get_or_init(|| {
        let environment = |name: &str| std::env::var_os(name).unwrap_or_default();
        let cache = default_cache(&PathBuf::from(environment("HOME")));
        let options = Options::temporary(cache, &environment("PATH"), [Part::Vault]);
        Sandbox::start(options, &|_: &Event| {}).expect("the sandbox starts")
    })
}

fn server() -> &'static Server {
    sandbox().vault().expect("the sandbox has a Vault")
}

fn config(server: &Server, token: &str) -> Value {
    Value::object([
        ("address", Value::string(server.address.as_str())),
        ("ca_cert_file", Value::string(server.ca_file.display().to_string())),
        ("token", Value::string(token).sensitive()),
    ])
}

async fn open(config: &Value) -> Result<Arc<dyn Session>, ProviderError> {
    provider().configure(config, &Services::default()).await
}

async fn session(token: &str) -> Arc<dyn Session> {
    open(&config(server(), token)).await.expect("the session opens")
}

/// A client of somebody else with the root token, for what is there before and for foreign changes.
async fn foreign(server: &Server) -> Client {
    let settings =
        Settings::resolve(&config(server, server.root_token()), &Services::default()).expect("valid settings");
    connect::connect(&settings).await.expect("root connects").0
}

async fn write(client: &Client, path: &str, body: Json) -> Json {
    client.write(path, &body, Content::Open).await.unwrap_or_else(|f| panic!("{path}: {}", f.error)).body
}

/// A token with only what `rules` says (and the policy `default`).
async fn limited_token(root: &Client, rules: &str) -> String {
    let name = sandbox().mount("limited");
    write(root, &format!("sys/policies/acl/{name}"), json!({"policy": rules})).await;
    let made = write(root, "auth/token/create", json!({"policies": [name], "ttl": "1h"})).await;
    made["auth"]["client_token"].as_str().expect("a token").to_owned()
}

fn object<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    Value::object(fields)
}

fn string(text: &str) -> Value {
    Value::string(text)
}

fn strings(items: &[&str]) -> Value {
    Value::strings(items.iter().copied())
}

fn map(entries: &[(&str, &str)]) -> Value {
    Value::object(entries.iter().map(|(k, v)| (*k, Value::string(*v))))
}

/// One instance as the engine would drive it: state keeps withheld values, every step goes through the rules.
struct Instance<'a> {
    session: &'a dyn Session,
    provider: Arc<dyn Provider>,
    fingerprinter: Fingerprinter,
    address: Address,
    identity: Option<Identity>,
    saved: Option<Value>,
    warnings: Vec<String>,
}

impl<'a> Instance<'a> {
    fn new(session: &'a dyn Session, ty: &str) -> Self {
        let address = Address {
            module: ModulePath::root(),
            mode: Mode::Managed,
            ty: Arc::from(ty),
            name: Arc::from("x"),
            key: None,
        };
        let fingerprinter = Fingerprinter::new([9; 32]);
        Self {
            session,
            provider: provider(),
            fingerprinter,
            address,
            identity: None,
            saved: None,
            warnings: Vec::new(),
        }
    }

    fn schema(&self) -> &ResourceSchema {
        &self.provider.schema().resources[&*self.address.ty]
    }

    fn rules(&self) -> &dyn Rules {
        self.provider.rules(&self.address.ty).expect("a known type")
    }

    fn shape(&self, given: &Value) -> Value {
        let values = self.schema().schema.attributes.iter().map(|a| {
            let value =
                given.get(a.name).cloned().or_else(|| a.default.clone()).unwrap_or_else(|| Value::null(a.ty.clone()));
            (a.name, mesh_model::convert::convert(&value, &a.ty).expect("of the attribute's type"))
        });
        self.rules().mark(mark_sensitive(&self.schema().schema, &Value::object(values)))
    }

    fn request(&self, desired: &Value) -> ObserveRequest {
        let identity = self.identity.clone().or_else(|| match self.rules().identity(desired) {
            IdentityHint::Known(identity) => Some(identity),
            _ => None,
        });
        ObserveRequest {
            address: self.address.clone(),
            ty: self.address.ty.clone(),
            identity,
            saved: self.saved.clone(),
            desired: Some(desired.clone()),
            private: None,
        }
    }

    fn decide(&self, observed: Option<&Value>, desired: &Value) -> PlanResponse {
        let fingerprinter = &self.fingerprinter;
        self.rules().plan(&PlanRequest {
            schema: self.schema(),
            saved: self.saved.as_ref(),
            observed,
            desired,
            preview: None,
            fingerprinter,
        })
    }

    async fn plan(&self, given: &Value) -> Result<PlanResponse, ProviderError> {
        let desired = self.shape(given);
        let seen = self.session.observe(vec![self.request(&desired)]).await.pop().expect("one answer")?;
        Ok(match seen {
            Observation::Absent => self.decide(None, &desired),
            Observation::Present(seen) => self.decide(Some(&seen.values), &desired),
        })
    }

    fn operation(&self, plan: &PlanResponse) -> OperationRequest {
        OperationRequest {
            address: self.address.clone(),
            ty: self.address.ty.clone(),
            operation: if plan.verdict == Verdict::Create { Operation::Create } else { Operation::Update },
            identity: self.request(&plan.after).identity,
            before: Some(plan.before.clone()),
            after: Some(plan.after.clone()),
            private: None,
            on_existing: OnExisting::Fail,
        }
    }

    fn keep(&mut self, outcome: Outcome) -> Result<(), ProviderError> {
        match outcome {
            Outcome::Applied { values, identity, warnings, .. } => {
                self.saved = Some(self.fingerprinter.withhold(&values));
                self.identity = identity;
                self.warnings = warnings;
                Ok(())
            }
            Outcome::Rejected { error, .. } | Outcome::InDoubt { error } => Err(error),
        }
    }

    /// Plans and does what the plan says.
    async fn apply(&mut self, given: &Value) -> Result<Verdict, ProviderError> {
        let plan = self.plan(given).await?;
        if matches!(plan.verdict, Verdict::Create | Verdict::Update) {
            let outcome = self.session.apply(vec![self.operation(&plan)]).await.pop().expect("one outcome");
            self.keep(outcome)?;
        }
        Ok(plan.verdict)
    }
}
