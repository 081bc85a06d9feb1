//! The usual decision about one instance, from its schema alone.
//!
//! The one decision: compare what is configured with what is there, attribute by attribute; state
//! only serves where reality cannot answer (write-only attributes). Pure: no I/O, clock or
//! randomness. Types with rules of their own start from [`schema_plan`] or replace it.

use mesh_model::schema::{Equality, Given};
use mesh_model::{Fields, Fingerprinter, Path, ResourceSchema, Type, Value};

/// What there is to decide from.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The type's schema.
    pub schema: &'a ResourceSchema,
    /// What state remembers, if it knows the object.
    pub saved: Option<&'a Value>,
    /// What is there; `None` when the object does not exist.
    pub observed: Option<&'a Value>,
    /// What is configured, in the shape of the schema, defaults filled in; null where nothing is.
    pub desired: &'a Value,
    /// What the server said it would give, once it was asked.
    pub preview: Option<&'a Value>,
    /// Compares secrets with their fingerprints.
    pub fingerprinter: &'a Fingerprinter,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is as configured.
    NoOp,
    /// It can change in place.
    Update,
    /// These attributes need a new object.
    Replace(Vec<Path>),
    /// There is none: make one.
    Create,
}

/// The decision.
#[derive(Clone, Debug)]
pub struct PlanResponse {
    /// What.
    pub verdict: Verdict,
    /// What is there, as it is shown: spellings that mean the same are those of the configuration.
    pub before: Value,
    /// What will be; unknown where only the provider knows.
    pub after: Value,
    /// Ask the server (dry run) and decide again with its answer.
    pub needs_preview: bool,
    /// Facts for the reader.
    pub notes: Vec<String>,
}

/// The usual rules:
/// - no object: create; computed attributes are unknown.
/// - a configured attribute that differs (by its [`Equality`]) from what is there: update, or
///   replace where the schema says so. A write-only one is compared with its fingerprint in state.
/// - an optional attribute that is not configured must not be there; an optional and computed one
///   stays as it is.
/// - computed attributes stay, unless the object is replaced or they are volatile and it changes.
pub fn schema_plan(request: &PlanRequest<'_>) -> PlanResponse {
    let schema = &request.schema.schema;
    let attributes = schema.attributes.iter().map(|a| Column {
        name: a.name,
        given: a.given,
        equality: a.equality,
        force_new: a.force_new,
        volatile: a.volatile,
        write_only: a.write_only,
        ty: a.ty.clone(),
    });
    let blocks = schema.ty();
    let blocks = schema.blocks.iter().map(|b| Column {
        name: b.name,
        given: Given::Optional,
        equality: Equality::Exact,
        force_new: false,
        volatile: false,
        write_only: false,
        ty: if let Type::Object(o) = &blocks {
            o.attributes.get(b.name).cloned().unwrap_or(Type::Dynamic)
        } else {
            Type::Dynamic
        },
    });
    let columns: Vec<Column> = attributes.chain(blocks).collect();
    let Some(observed) = request.observed else {
        return PlanResponse {
            verdict: Verdict::Create,
            before: Value::NULL,
            after: fresh(&columns, request.desired),
            needs_preview: false,
            notes: Vec::new(),
        };
    };
    let mut before = Vec::with_capacity(columns.len());
    let mut after = Vec::with_capacity(columns.len());
    let mut changed = false;
    let mut replace = Vec::new();
    for column in &columns {
        let desired = request.desired.get(column.name).cloned().unwrap_or(Value::NULL);
        let seen = match (column.write_only, request.saved) {
            (true, Some(saved)) => saved.get(column.name),
            _ => observed.get(column.name),
        };
        let seen = seen.cloned().unwrap_or_else(|| Value::null(column.ty.clone()));
        let kept = match column.given {
            Given::Computed => true,
            Given::OptionalComputed => desired.is_null(),
            Given::Required | Given::Optional => false,
        };
        if kept || equal(column, request.fingerprinter, &desired, &seen) {
            // The configured spelling (and its marks) stand for both sides.
            let shown = if kept { seen } else { desired };
            before.push((column.name, shown.clone()));
            after.push((column.name, shown));
        } else {
            changed = true;
            if column.force_new {
                replace.push(Path::attribute(column.name));
            }
            before.push((column.name, seen));
            after.push((column.name, desired));
        }
    }
    let before = Value::object(before);
    let (verdict, after) = if !replace.is_empty() {
        (Verdict::Replace(replace), fresh(&columns, request.desired))
    } else if changed {
        let after: Fields = after
            .into_iter()
            .zip(&columns)
            .map(|((name, v), c)| {
                let recomputed = c.volatile
                    && (c.given == Given::Computed || request.desired.get(c.name).is_none_or(Value::is_null));
                (name, if recomputed { Value::unknown(c.ty.clone()).mark(v.marks()) } else { v })
            })
            .collect();
        (Verdict::Update, Value::from_fields(after))
    } else {
        (Verdict::NoOp, Value::object(after))
    };
    PlanResponse { verdict, before, after, needs_preview: false, notes: Vec::new() }
}

struct Column {
    name: &'static str,
    given: Given,
    equality: Equality,
    force_new: bool,
    volatile: bool,
    write_only: bool,
    ty: Type,
}

/// The values of an object that does not exist yet.
fn fresh(columns: &[Column], desired: &Value) -> Value {
    Value::object(columns.iter().map(|c| {
        let configured = desired.get(c.name).cloned().unwrap_or(Value::NULL);
        let computed = match c.given {
            Given::Computed => true,
            Given::OptionalComputed => configured.is_null(),
            Given::Required | Given::Optional => false,
        };
        (c.name, if computed { Value::unknown(c.ty.clone()) } else { configured })
    }))
}

fn equal(column: &Column, fingerprinter: &Fingerprinter, desired: &Value, seen: &Value) -> bool {
    fingerprinter.same(desired, seen) || column.equality.same(desired, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::{Attribute, Schema};

    fn schema() -> ResourceSchema {
        ResourceSchema {
            name: "x_y",
            version: 0,
            doc: "",
            example: "",
            protected: false,
            schema: Schema::of([
                Attribute::required("path", Type::String, "").force_new(),
                Attribute::optional("ttl", Type::String, "").equality(Equality::Duration),
                Attribute::optional("jwt", Type::String, "").write_only(),
                Attribute::computed("id", Type::String, ""),
                Attribute::computed("stamp", Type::String, "").volatile(),
            ]),
        }
    }

    fn decide(saved: Option<&Value>, observed: Option<&Value>, desired: &Value) -> PlanResponse {
        let fingerprinter = Fingerprinter::new([1; 32]);
        let saved = saved.map(|s| fingerprinter.withhold(s));
        schema_plan(&PlanRequest {
            schema: &schema(),
            saved: saved.as_ref(),
            observed,
            desired,
            preview: None,
            fingerprinter: &fingerprinter,
        })
    }

    fn object(path: &str, ttl: &str, jwt: Option<&str>, id: Option<&str>) -> Value {
        let text = |t: Option<&str>| t.map_or(Value::null(Type::String), Value::string);
        Value::object([
            ("path", Value::string(path)),
            ("ttl", Value::string(ttl)),
            ("jwt", text(jwt).sensitive()),
            ("id", text(id)),
            ("stamp", text(id)),
        ])
    }

    #[test]
    fn other_spellings_are_no_change() {
        let r = decide(
            Some(&object("a", "768h", Some("t"), Some("1"))),
            Some(&object("a", "2764800", None, Some("1"))),
            &object("a", "768h", Some("t"), None),
        );
        assert_eq!(r.verdict, Verdict::NoOp);
        assert_eq!(r.after.get_str("ttl"), Some("768h"));
        assert_eq!(r.after.get_str("id"), Some("1"));
    }

    #[test]
    fn a_changed_write_only_value_is_seen_by_its_fingerprint() {
        let saved = object("a", "1h", Some("old"), Some("1"));
        let r = decide(Some(&saved), Some(&object("a", "1h", None, Some("1"))), &object("a", "1h", Some("new"), None));
        assert_eq!(r.verdict, Verdict::Update);
        assert!(r.after.get("stamp").is_some_and(Value::is_unknown));
        assert!(!r.after.get("id").is_some_and(Value::is_unknown));
    }

    #[test]
    fn what_cannot_change_in_place_is_replaced() {
        let r = decide(None, Some(&object("a", "1h", None, Some("1"))), &object("b", "1h", None, None));
        assert_eq!(r.verdict, Verdict::Replace(vec![Path::attribute("path")]));
        assert!(r.after.get("id").is_some_and(Value::is_unknown));
        assert_eq!(decide(None, None, &object("b", "1h", None, None)).verdict, Verdict::Create);
    }
}
