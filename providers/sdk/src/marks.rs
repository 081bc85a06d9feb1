//! Marks that a schema asks for.

use mesh_model::{Schema, Value};

/// Marks the sensitive attributes of an object in the shape of `schema`, nested blocks included.
pub fn mark_sensitive(schema: &Schema, values: &Value) -> Value {
    if values.as_fields().is_none() {
        return values.clone();
    }
    let mut out = values.clone();
    for attribute in schema.attributes.iter().filter(|a| a.sensitive) {
        if let Some(v) = values.get(attribute.name).filter(|v| !v.is_null() && !v.marks().sensitive()) {
            out = out.with(attribute.name, v.clone().sensitive());
        }
    }
    for block in schema.blocks.iter().filter(|b| has_sensitive(&b.schema)) {
        if let Some(v) = values.get(block.name) {
            let marked = if v.as_items().is_some() || matches!(block.nesting, mesh_model::Nesting::Map) {
                v.map_children(&|item| mark_sensitive(&block.schema, item))
            } else {
                mark_sensitive(&block.schema, v)
            };
            out = out.with(block.name, marked);
        }
    }
    out
}

fn has_sensitive(schema: &Schema) -> bool {
    schema.attributes.iter().any(|a| a.sensitive) || schema.blocks.iter().any(|b| has_sensitive(&b.schema))
}
