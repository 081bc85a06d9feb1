//! State in PostgreSQL: `mesh { backend "postgres" { ... } }`, a row an object.
//!
//! The one decision: a batch of entries is one statement. It checks the fencing token, changes the rows that the
//! entries change and commits, so an operation costs one round trip however large the state is, and a holder whose lock
//! was broken changes nothing. The lock is an advisory lock of the session (the server gives it back when the process
//! dies) under a key that is another one with each token (so that one which was broken stands in nobody's way).
//!
//! It needs a connection to the server itself, or through a pooler in session mode.

mod backend;
mod error;
mod keys;
mod lock;
mod schema;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod writer;

use std::sync::Arc;

use mesh_model::{Attribute, Schema, Type, Value};
use mesh_state::BackendKind;

pub use backend::PostgresBackend;

/// The row of this backend.
pub fn kind() -> BackendKind {
    let text = Type::String;
    BackendKind {
        name: "postgres",
        doc: "State in a PostgreSQL database (encoding UTF8). The account needs CREATE on the database the first time, \
              when schema and tables are made, and owns them from then on. A pooler in between must keep sessions.",
        example: "mesh {\n  backend \"postgres\" {\n    connection   = \"postgresql://mesh@db.example.com/mesh?sslmode=verify-full\"\n    \
                  ca_cert_file = \"db-ca.pem\"\n    name         = \"prod\"\n  }\n}\n",
        settings: Schema::of([
            Attribute::optional(
                "connection",
                text.clone(),
                "Connection string, postgresql://user@host:port/database?sslmode=MODE or host=... user=... dbname=..., \
                 with sslmode disable, prefer (the default), require or verify-full. Default: DATABASE_URL of the \
                 environment.",
            )
            .sensitive(),
            Attribute::optional(
                "password",
                text.clone(),
                "Password, where the connection string has none. Default: PGPASSWORD of the environment, which is the \
                 better place.",
            )
            .sensitive(),
            Attribute::optional(
                "ca_cert_file",
                text.clone(),
                "CA certificates of the server (PEM), instead of the system's. With it sslmode=require checks the \
                 server, too.",
            ),
            Attribute::optional("client_cert_file", text.clone(), "A certificate to show to the server (PEM)."),
            Attribute::optional("client_key_file", text.clone(), "Its key (PEM, not encrypted)."),
            Attribute::optional("schema", text.clone(), "The schema that holds the tables. Default mesh.")
                .default(Value::string("mesh")),
            Attribute::optional("name", text, "The name of this state among those of the schema. Default default.")
                .default(Value::string("default")),
        ]),
        open: |settings| Ok(Arc::new(PostgresBackend::open(settings)?)),
    }
}
