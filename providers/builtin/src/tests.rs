//! What the types promise together, with a session as the engine opens it.

mod artifacts;
mod files;
mod gates;
mod lives;
mod random;

use std::path::Path;
use std::sync::Arc;

use mesh_model::{Fingerprinter, Value};
use mesh_sdk::{PlanRequest, PlanResponse, Provider, Services, Session};

/// A session on an own folder.
async fn session(root: &Path) -> (Arc<dyn Provider>, Arc<dyn Session>) {
    let provider = crate::provider();
    let services = Services { root: root.to_owned(), cache: root.join("cache"), ..Services::default() };
    let session = provider.configure(&Value::NULL, &services).await.expect("it needs nothing");
    (provider, session)
}

fn text(text: &str) -> Value {
    Value::string(text)
}

/// A configuration in the shape of the schema.
fn shaped(provider: &dyn Provider, ty: &str, config: &Value) -> Value {
    Value::object(provider.schema().resources[ty].schema.attributes.iter().map(|a| {
        let given = config.get(a.name).cloned().or_else(|| a.default.clone());
        (a.name, given.unwrap_or_else(|| Value::null(a.ty.clone())))
    }))
}

/// The decision of a type, with what is saved as what is there.
fn plan(provider: &dyn Provider, ty: &str, saved: Option<&Value>, config: &Value) -> PlanResponse {
    let fingerprinter = Fingerprinter::new([7; 32]);
    let saved = saved.map(|s| fingerprinter.withhold(s));
    provider.rules(ty).expect("the type has rules").plan(&PlanRequest {
        schema: &provider.schema().resources[ty],
        saved: saved.as_ref(),
        observed: saved.as_ref(),
        desired: &shaped(provider, ty, config),
        preview: None,
        fingerprinter: &fingerprinter,
    })
}
