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

use mesh_model::{Attribute, Schema, Type};
use mesh_state::BackendKind;

pub use backend::HttpBackend;

/// The row of this backend.
pub fn kind() -> BackendKind {
    let setting = |name, doc| Attribute::optional(name, Type::String, doc);
    BackendKind {
        name: "http",
        doc: "State behind Terraform's http protocol, as GitLab and other servers speak it. The server keeps whole states, so \
              the journal of a running apply is on the machine that applies (in .mesh/http): after a crash, the same machine \
              goes on. Without lock_address there is no lock. What Terraform's http backend takes from the environment (TF_HTTP_ADDRESS \
              and the others) counts here, too.",
        example: "mesh {\n  backend \"http\" {\n    address        = \"https://gitlab.example.com/api/v4/projects/1/terraform/state/prod\"\n    \
                  lock_address   = \"https://gitlab.example.com/api/v4/projects/1/terraform/state/prod/lock\"\n    unlock_address = \
                  \"https://gitlab.example.com/api/v4/projects/1/terraform/state/prod/lock\"\n    lock_method    = \"POST\"\n    \
                  unlock_method  = \"DELETE\"\n  }\n}\n",
        settings: Schema::of([
            setting("address", "Where the state is read and written. Default: TF_HTTP_ADDRESS of the environment."),
            setting(
                "update_method",
                "The method that writes it. Default: TF_HTTP_UPDATE_METHOD of the environment, else POST.",
            ),
            setting(
                "lock_address",
                "Where it is locked; without it there is no lock. Default: TF_HTTP_LOCK_ADDRESS of the environment.",
            ),
            setting(
                "lock_method",
                "The method that locks it. Default: TF_HTTP_LOCK_METHOD of the environment, else LOCK.",
            ),
            setting(
                "unlock_address",
                "Where it is unlocked. Default: TF_HTTP_UNLOCK_ADDRESS of the environment, else lock_address.",
            ),
            setting(
                "unlock_method",
                "The method that unlocks it. Default: TF_HTTP_UNLOCK_METHOD of the environment, else UNLOCK.",
            ),
            setting("username", "Default: TF_HTTP_USERNAME of the environment."),
            setting("password", "Default: TF_HTTP_PASSWORD of the environment, which is the better place.").sensitive(),
            setting("client_cert_file", "A certificate to show to the server (PEM)."),
            setting("client_key_file", "Its key (PEM, not encrypted)."),
            setting("ca_cert_file", "CA certificates of the server (PEM), instead of the system's."),
        ]),
        open: |settings| Ok(Arc::new(HttpBackend::new(settings)?)),
    }
}
