//! The row of the local backend.
//!
//! The one decision: its only setting is the file; everything else lies beside that.

use std::sync::Arc;

use mesh_model::{Attribute, Schema, Type, Value};

use crate::{BackendKind, STATE};

/// State in a file on this machine.
pub fn kind() -> BackendKind {
    BackendKind {
        name: "local",
        doc: "State in a file of this machine, with its journal, lock, key and history beside it. Needs no server, and \
              serves one machine.",
        example: "mesh {\n  backend \"local\" {\n    path = \"mesh.state\"\n  }\n}\n",
        settings: Schema::of([Attribute::optional(
            "path",
            Type::String,
            "The file, as seen from the root folder. Default mesh.state.",
        )
        .default(Value::string(STATE))]),
        open: |settings| Ok(Arc::new(settings.local(settings.text("path").unwrap_or(STATE)))),
    }
}
