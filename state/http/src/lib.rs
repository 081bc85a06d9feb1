//! State behind Terraform's `http` protocol: `mesh { backend "http" { ... } }`, for GitLab and other state servers.
//!
//! The one decision: the protocol knows whole states and a lock without a time to live, so that is all the server
//! gets; intents and results are durable in a journal on this machine, and the state is handed over at the end
//! of each stage. What that cannot promise is declared: no fencing, no journal there, no history there.

mod backend;
mod envelope;
mod protocol;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mesh_model::{Attribute, Schema, Type, Value};
use mesh_state::BackendKind;

pub use backend::HttpBackend;

/// The row of this backend.
pub fn kind() -> BackendKind {
    let text = Type::String;
    let method =
        |name, default: &str, doc| Attribute::optional(name, Type::String, doc).default(Value::string(default));
    BackendKind {
        name: "http",
        doc: "State behind Terraform's http protocol, as GitLab and other servers speak it. The server keeps whole states, so \
              the journal of a running apply is on the machine that applies (in .mesh/http): after a crash, the same machine \
              goes on. Without lock_address there is no lock.",
        example: "mesh {\n  backend \"http\" {\n    address        = \"https://gitlab.example.com/api/v4/projects/1/terraform/state/prod\"\n    \
                  lock_address   = \"https://gitlab.example.com/api/v4/projects/1/terraform/state/prod/lock\"\n    unlock_address = \
                  \"https://gitlab.example.com/api/v4/projects/1/terraform/state/prod/lock\"\n    lock_method    = \"POST\"\n    \
                  unlock_method  = \"DELETE\"\n  }\n}\n",
        settings: Schema::of([
            Attribute::required("address", text.clone(), "Where the state is read and written."),
            method("update_method", "POST", "The method that writes it."),
            Attribute::optional("lock_address", text.clone(), "Where it is locked; without it there is no lock."),
            method("lock_method", "LOCK", "The method that locks it."),
            Attribute::optional("unlock_address", text.clone(), "Where it is unlocked. Default: lock_address."),
            method("unlock_method", "UNLOCK", "The method that unlocks it."),
            Attribute::optional("username", text.clone(), "Default: TF_HTTP_USERNAME of the environment."),
            Attribute::optional(
                "password",
                text.clone(),
                "Default: TF_HTTP_PASSWORD of the environment, which is the better place.",
            )
            .sensitive(),
            Attribute::optional("ca_cert_file", text, "CA certificates of the server (PEM), instead of the system's."),
        ]),
        open: |settings| Ok(Arc::new(HttpBackend::new(settings)?)),
    }
}
