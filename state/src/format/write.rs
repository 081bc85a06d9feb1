//! Values to bytes.
//!
//! The one decision: plain JSON where it implies the type (null, bool, integer, string, tuple,
//! object), else an object whose first key is `$`: `{"$":"list","t":"string","v":["a"]}`. An object
//! of the user that has a key `$` is itself tagged, so no input can pass for a tag. This is also the
//! last guard against secrets: a sensitive value in clear, an ephemeral one, and (except in planned
//! values) an unknown one are refused.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::{Fields, Kind, Number, Type, Value};

use super::Refusal;

/// JSON readers stop at 128 levels; what is written must be readable.
const MAX_DEPTH: usize = 120;
/// What [`Number`]'s parser accepts.
const MAX_DIGITS: usize = 10_000;

/// Collection types that occur in a state, each written once in its header.
#[derive(Default)]
pub(crate) struct TypeTable {
    index: HashMap<String, usize>,
    pub(crate) texts: Vec<String>,
}

/// Writes values, with the types inline or in a table.
pub(crate) struct ValueWriter<'t> {
    /// Where compound types go; `None` writes them in place.
    pub(crate) types: Option<&'t mut TypeTable>,
    /// Whether unknown parts may be stored: only in planned values of an intent.
    pub(crate) unknown: bool,
}

impl ValueWriter<'_> {
    /// Appends `value`.
    pub(crate) fn value(&mut self, out: &mut Vec<u8>, value: &Value) -> Result<(), Refusal> {
        self.put(out, value, 1, false)
    }

    fn put(&mut self, out: &mut Vec<u8>, value: &Value, depth: usize, secret: bool) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::new("a value is nested too deep to be stored"));
        }
        if value.marks().ephemeral() {
            return Err(Refusal::new("an ephemeral value was about to be stored"));
        }
        if value.marks().sensitive() && !value.is_withheld() {
            out.extend_from_slice(b"{\"$\":\"sensitive\",\"v\":");
            self.kind(out, value.kind(), depth + 1, true)?;
            out.push(b'}');
            return Ok(());
        }
        self.kind(out, value.kind(), depth, secret)
    }

    fn kind(&mut self, out: &mut Vec<u8>, kind: &Kind, depth: usize, secret: bool) -> Result<(), Refusal> {
        match kind {
            Kind::Bool(_) | Kind::Number(_) | Kind::String(_) if secret => {
                return Err(Refusal::new("a sensitive value was about to be stored in clear"));
            }
            Kind::Null(Type::Dynamic) => out.extend_from_slice(b"null"),
            Kind::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
            Kind::Number(Number::Int(n)) => integer(out, *n),
            Kind::Number(n) => {
                let text = n.to_saved();
                if text.len() > MAX_DIGITS {
                    return Err(Refusal::new("a number has too many digits to be stored"));
                }
                out.extend_from_slice(b"{\"$\":\"number\",\"v\":");
                string(out, &text);
                out.push(b'}');
            }
            Kind::String(s) => string(out, s),
            Kind::Null(ty) => {
                self.tag(out, "null", ty, depth)?;
                out.push(b'}');
            }
            Kind::Unknown(ty) => {
                if !self.unknown {
                    return Err(Refusal::new("an unknown value was about to be stored"));
                }
                self.tag(out, "unknown", ty, depth)?;
                out.push(b'}');
            }
            Kind::Withheld(ty, fingerprint) => {
                self.tag(out, "withheld", ty, depth)?;
                out.extend_from_slice(b",\"f\":\"");
                out.extend_from_slice(STANDARD.encode(fingerprint.bytes()).as_bytes());
                out.extend_from_slice(b"\"}");
            }
            Kind::Tuple(items) => self.items(out, items, depth, secret)?,
            Kind::List(ty, items) | Kind::Set(ty, items) => {
                self.tag(out, if matches!(kind, Kind::List(..)) { "list" } else { "set" }, ty, depth)?;
                out.extend_from_slice(b",\"v\":");
                self.items(out, items, depth + 1, secret)?;
                out.push(b'}');
            }
            Kind::Map(ty, fields) => {
                self.tag(out, "map", ty, depth)?;
                out.extend_from_slice(b",\"v\":");
                self.fields(out, fields, depth + 1, secret)?;
                out.push(b'}');
            }
            Kind::Object(fields) if fields.get("$").is_some() => {
                out.extend_from_slice(b"{\"$\":\"object\",\"v\":");
                self.fields(out, fields, depth + 1, secret)?;
                out.push(b'}');
            }
            Kind::Object(fields) => self.fields(out, fields, depth, secret)?,
        }
        Ok(())
    }

    fn items(&mut self, out: &mut Vec<u8>, items: &[Value], depth: usize, secret: bool) -> Result<(), Refusal> {
        out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            self.put(out, item, depth + 1, secret).map_err(|e| e.under(i.to_string()))?;
        }
        out.push(b']');
        Ok(())
    }

    fn fields(&mut self, out: &mut Vec<u8>, fields: &Fields, depth: usize, secret: bool) -> Result<(), Refusal> {
        out.push(b'{');
        for (i, (key, value)) in fields.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            string(out, key);
            out.push(b':');
            // A key inside a sensitive container is not named.
            let step = || if secret { "*".to_owned() } else { key.to_string() };
            self.put(out, value, depth + 1, secret).map_err(|e| e.under(step()))?;
        }
        out.push(b'}');
        Ok(())
    }

    /// `{"$":TAG,"t":TYPE`, left open.
    fn tag(&mut self, out: &mut Vec<u8>, tag: &str, ty: &Type, depth: usize) -> Result<(), Refusal> {
        out.extend_from_slice(b"{\"$\":\"");
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(b"\",\"t\":");
        let primitive: &[u8] = match ty {
            Type::Dynamic => b"\"dynamic\"",
            Type::Bool => b"\"bool\"",
            Type::Number => b"\"number\"",
            Type::String => b"\"string\"",
            compound => {
                if type_depth(compound) + depth > MAX_DEPTH {
                    return Err(Refusal::new("a type is nested too deep to be stored"));
                }
                let text = compound.to_json().to_string();
                match &mut self.types {
                    Some(table) => {
                        let next = table.texts.len();
                        let index = *table.index.entry(text).or_insert_with_key(|text| {
                            table.texts.push(text.clone());
                            next
                        });
                        out.extend_from_slice(index.to_string().as_bytes());
                    }
                    None => out.extend_from_slice(text.as_bytes()),
                }
                return Ok(());
            }
        };
        out.extend_from_slice(primitive);
        Ok(())
    }
}

/// Levels of JSON that a type takes.
fn type_depth(ty: &Type) -> usize {
    match ty {
        Type::Dynamic | Type::Bool | Type::Number | Type::String => 0,
        Type::List(t) | Type::Set(t) | Type::Map(t) => 1 + type_depth(t),
        Type::Tuple(ts) => 2 + ts.iter().map(type_depth).max().unwrap_or(0),
        Type::Object(o) => 2 + o.attributes.values().map(type_depth).max().unwrap_or(0),
    }
}

/// Appends a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// Appends an integer.
pub(crate) fn integer(out: &mut Vec<u8>, n: impl Into<i128>) {
    out.extend_from_slice(n.into().to_string().as_bytes());
}
