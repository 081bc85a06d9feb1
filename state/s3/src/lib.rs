//! State in a bucket: `mesh { backend "s3" { ... } }`, for S3 itself and for every store that speaks its protocol
//! with conditional writes.
//!
//! The one decision: nothing beside the bucket. Conditional writes are all that [`mesh_state::remote`] needs, so there
//! is no table for locks; a store that ignores the conditions is found out before anything is locked.

mod answer;
mod settings;
mod store;
#[cfg(test)]
mod tests;

use mesh_model::{Attribute, Schema, Type, Value};
use mesh_state::BackendKind;
use mesh_state::remote::RemoteBackend;

pub use store::S3Store;

/// The row of this backend.
pub fn kind() -> BackendKind {
    let text = Type::String;
    BackendKind {
        name: "s3",
        doc: "State in a bucket of S3 or of a store that speaks its protocol with conditional writes. The account needs \
              s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on PREFIX/*.",
        example: "mesh {\n  backend \"s3\" {\n    bucket   = \"mesh-state\"\n    prefix   = \"prod\"\n    region   = \"eu-central-1\"\n    \
                  endpoint = \"https://s3.example.com\"\n  }\n}\n",
        settings: Schema::of([
            Attribute::required("bucket", text.clone(), "The bucket; it must exist."),
            Attribute::optional("prefix", text.clone(), "What all keys of this state begin with. Default mesh.")
                .default(Value::string("mesh")),
            Attribute::optional("region", text.clone(), "The region of the bucket. Default us-east-1.")
                .default(Value::string("us-east-1")),
            Attribute::optional(
                "endpoint",
                text.clone(),
                "Address of another store than Amazon's, such as https://minio.example.com:9000.",
            ),
            Attribute::optional(
                "path_style",
                Type::Bool,
                "Whether the bucket stands in the path and not in the host. Default: true with endpoint, else false.",
            ),
            Attribute::optional(
                "ca_cert_file",
                text.clone(),
                "CA certificates of the endpoint (PEM), instead of the system's.",
            ),
            Attribute::optional("proxy_url", text.clone(), "HTTP proxy for the connection, http://host:port."),
            Attribute::optional(
                "access_key",
                text.clone(),
                "The access key. Default: AWS_ACCESS_KEY_ID of the environment.",
            ),
            Attribute::optional(
                "secret_key",
                text.clone(),
                "Its secret. Default: AWS_SECRET_ACCESS_KEY of the environment, which is the better place.",
            )
            .sensitive(),
            Attribute::optional(
                "session_token",
                text,
                "Of temporary credentials. Default: AWS_SESSION_TOKEN of the environment.",
            )
            .sensitive(),
        ]),
        open: |settings| Ok(RemoteBackend::open(S3Store::new(settings)?, settings)),
    }
}
