//! Documentation of types and blocks, as text and as JSON, from their schemas.
//!
//! The one decision: the text has the order of `kubectl explain` (what it is, then its fields with
//! type and flags), the JSON the keys of Terraform's `providers schema`.

use mesh_model::schema::{Attribute, Block, Given, Nesting, Schema};
use mesh_model::{Type, render};
use serde_json::{Map, Value as Json, json};

use super::page::{paragraphs, table};
use super::style::{BOLD, CYAN, DIM, YELLOW, paint};

/// What a page is about.
pub(crate) struct Page {
    /// Facts above everything: `KIND`, `NAME`, `PROVIDER`, `FIELD`.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// What it is.
    pub(crate) doc: String,
    /// A block in the language.
    pub(crate) example: String,
    /// What it takes and gives.
    pub(crate) content: Content,
    /// What else there is to read.
    pub(crate) more: String,
}

/// What is below the description.
pub(crate) enum Content {
    /// Attributes and blocks.
    Schema(Schema),
    /// One attribute.
    Attribute(Attribute),
    /// A part of a value.
    Type(Type),
}

fn heading(text: &str) -> String {
    format!("\n{}\n", paint(BOLD, text))
}

/// The page as text.
pub(crate) fn text(page: &Page, recursive: bool, width: usize) -> String {
    let mut out = String::new();
    for (name, value) in &page.facts {
        push!(out, "{} {value}\n", paint(BOLD, format!("{:<10}", format!("{name}:"))));
    }
    if !page.doc.is_empty() {
        push!(out, "{}{}", heading("DESCRIPTION:"), paragraphs(&page.doc, 4, width));
    }
    match &page.content {
        Content::Schema(schema) if recursive => {
            push!(out, "{}", heading("FIELDS:"));
            tree(&mut out, schema, 1);
        }
        Content::Schema(schema) => fields(&mut out, schema, width),
        Content::Attribute(Attribute { ty, .. }) | Content::Type(ty) => {
            let parts = parts(ty);
            if !parts.is_empty() {
                out.push_str(&heading("FIELDS:"));
                branches(&mut out, &parts, 1, recursive);
            }
        }
    }
    if !page.example.is_empty() {
        push!(out, "{}", heading("EXAMPLE:"));
        for line in page.example.trim_end().lines() {
            push!(out, "{}\n", format!("    {line}").trim_end());
        }
    }
    if !page.more.is_empty() {
        push!(out, "\n{}", paragraphs(&page.more, 0, width));
    }
    out
}

fn fields(out: &mut String, schema: &Schema, width: usize) {
    let (given, computed): (Vec<_>, Vec<_>) = schema.attributes.iter().partition(|a| a.given != Given::Computed);
    for (title, attributes) in [("ARGUMENTS:", given), ("ATTRIBUTES (computed):", computed)] {
        if !attributes.is_empty() {
            out.push_str(&heading(title));
        }
        for a in attributes {
            push!(out, "  {}\n{}\n", attribute(a), paragraphs(a.doc, 4, width).trim_end());
        }
    }
    if !schema.blocks.is_empty() {
        out.push_str(&heading("BLOCKS:"));
    }
    for b in &schema.blocks {
        push!(out, "  {}\n{}\n", block(b), paragraphs(b.doc, 4, width).trim_end());
    }
}

fn named(name: &str, ty: &str, required: bool, notes: &[String]) -> String {
    let mut out = format!("{} {}", paint(BOLD, name), paint(CYAN, format!("<{ty}>")));
    if required {
        push!(out, " {}", paint(YELLOW, "-required-"));
    }
    if !notes.is_empty() {
        push!(out, " {}", paint(DIM, format!("({})", notes.join(", "))));
    }
    out
}

fn attribute(a: &Attribute) -> String {
    named(a.name, &short(&a.ty), a.given == Given::Required, &notes(a))
}

/// What is special about an attribute, in words.
pub(crate) fn notes(a: &Attribute) -> Vec<String> {
    let flags = [
        (a.given == Given::OptionalComputed, "computed where it is not given"),
        (a.sensitive, "sensitive"),
        (a.write_only, "write-only"),
        (a.force_new, "forces replacement"),
        (a.volatile, "may change with every update"),
    ];
    let default = a.default.as_ref().map(|v| {
        let text = render::leaf(v).unwrap_or_else(|| mesh_model::json::to_json(v).to_string());
        format!("default {text}")
    });
    flags.into_iter().filter(|(yes, _)| *yes).map(|(_, what)| what.to_owned()).chain(default).collect()
}

/// What a nested block becomes.
pub(crate) const fn nesting(b: &Block) -> &'static str {
    match b.nesting {
        Nesting::Single => "block",
        Nesting::List => "list of blocks",
        Nesting::Set => "set of blocks",
        Nesting::Map => "blocks by label",
    }
}

fn block(b: &Block) -> String {
    let mut notes = Vec::new();
    match (b.nesting, b.min, b.max) {
        (Nesting::Single, ..) | (_, 0 | 1, 0) => {}
        (_, min, 0) => notes.push(format!("at least {min}")),
        (.., max) => notes.push(format!("at most {max}")),
    }
    named(b.name, nesting(b), b.min > 0, &notes)
}

/// A type with objects as one word; their attributes are fields of their own.
pub(crate) fn short(ty: &Type) -> String {
    match ty {
        Type::List(t) => format!("list({})", short(t)),
        Type::Set(t) => format!("set({})", short(t)),
        Type::Map(t) => format!("map({})", short(t)),
        Type::Object(_) => "object".to_owned(),
        other => other.to_string(),
    }
}

/// The attributes of the object that a type is, or is a collection of.
pub(crate) fn parts(ty: &Type) -> Vec<(String, Type)> {
    match ty {
        Type::List(t) | Type::Set(t) | Type::Map(t) => parts(t),
        Type::Object(o) => o.attributes.iter().map(|(n, t)| (n.to_string(), t.clone())).collect(),
        _ => Vec::new(),
    }
}

/// All fields without their descriptions.
fn tree(out: &mut String, schema: &Schema, depth: usize) {
    let pad = "  ".repeat(depth);
    for a in &schema.attributes {
        push!(out, "{pad}{}\n", attribute(a));
        branches(out, &parts(&a.ty), depth + 1, true);
    }
    for b in &schema.blocks {
        push!(out, "{pad}{}\n", block(b));
        tree(out, &b.schema, depth + 1);
    }
}

fn branches(out: &mut String, fields: &[(String, Type)], depth: usize, deep: bool) {
    for (name, ty) in fields {
        push!(out, "{}{}\n", "  ".repeat(depth), named(name, &short(ty), false, &[]));
        if deep {
            branches(out, &parts(ty), depth + 1, deep);
        }
    }
}

/// The page as one JSON object.
pub(crate) fn page_json(page: &Page) -> Json {
    let mut out = Map::new();
    for (name, value) in &page.facts {
        // Flags in words are for people: the fields below say each of them.
        if *name != "FLAGS" {
            out.insert(name.to_lowercase(), value.as_str().into());
        }
    }
    out.insert("description".into(), page.doc.as_str().into());
    if !page.example.is_empty() {
        out.insert("example".into(), page.example.as_str().into());
    }
    match &page.content {
        Content::Schema(schema) => drop(out.insert("block".into(), schema_json(schema))),
        Content::Attribute(a) => {
            if let Json::Object(fields) = attribute_json(a) {
                out.extend(fields);
            }
        }
        Content::Type(ty) => drop(out.insert("type".into(), ty.to_json())),
    }
    out.into()
}

/// Attributes and blocks as Terraform writes schemas; what only we say of an attribute is added.
pub(crate) fn schema_json(schema: &Schema) -> Json {
    let attributes: Map<String, Json> =
        schema.attributes.iter().map(|a| (a.name.to_owned(), attribute_json(a))).collect();
    let blocks: Map<String, Json> = schema
        .blocks
        .iter()
        .map(|b| {
            let mode = match b.nesting {
                Nesting::Single => "single",
                Nesting::List => "list",
                Nesting::Set => "set",
                Nesting::Map => "map",
            };
            let mut block = json!({ "nesting_mode": mode, "description": b.doc, "block": schema_json(&b.schema) });
            for (name, n) in [("min_items", b.min), ("max_items", b.max)] {
                if n > 0 {
                    block[name] = n.into();
                }
            }
            (b.name.to_owned(), block)
        })
        .collect();
    let mut out = Map::new();
    out.insert("attributes".into(), attributes.into());
    if !blocks.is_empty() {
        out.insert("block_types".into(), blocks.into());
    }
    out.into()
}

/// One attribute: flags only where they are true.
fn attribute_json(a: &Attribute) -> Json {
    let mut out = json!({ "type": a.ty.to_json(), "description": a.doc, "description_kind": "markdown" });
    let flags = [
        ("required", a.given == Given::Required),
        ("optional", matches!(a.given, Given::Optional | Given::OptionalComputed)),
        ("computed", a.is_computed()),
        ("sensitive", a.sensitive),
        ("write_only", a.write_only),
        ("forces_replacement", a.force_new),
    ];
    for (name, _) in flags.into_iter().filter(|(_, yes)| *yes) {
        out[name] = true.into();
    }
    if let Some(default) = &a.default {
        out["default"] = mesh_model::json::to_json(default);
    }
    out
}

/// A list of names, each with one line, under a title.
pub(crate) fn list(title: &str, rows: &[(String, String)], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("{}{}", heading(paragraphs(title, 0, width).trim_end()), table(rows, 36, width, |name| paint(CYAN, name)))
}

#[cfg(test)]
mod tests {
    use mesh_model::Value;

    use super::*;
    use crate::view::style::plain;

    fn page() -> Page {
        let inner = Schema::of([Attribute::required("key", Type::String, "The key.")]);
        let schema = Schema::of([
            Attribute::required("name", Type::String, "The name, which is long enough to be broken.").force_new(),
            Attribute::optional("pin", Type::String, "The PIN.").write_only(),
            Attribute::optional("size", Type::Number, "The size.").default(Value::number(3)),
            Attribute::computed("parts", Type::list(Type::object([("at", Type::Number)])), "Its parts."),
        ])
        .block(Block { name: "tag", nesting: Nesting::Map, min: 1, max: 0, schema: inner, doc: "Tags." });
        Page {
            facts: vec![("KIND", "resource".into()), ("NAME", "x_y".into())],
            doc: "It is.".into(),
            example: "resource \"x_y\" \"a\" {\n}\n".into(),
            content: Content::Schema(schema),
            more: String::new(),
        }
    }

    #[test]
    fn every_flag_and_field_is_said() {
        let expected = r#"KIND:      resource
NAME:      x_y

DESCRIPTION:
    It is.

ARGUMENTS:
  name <string> -required- (forces replacement)
    The name, which is long enough to be
    broken.
  pin <string> (sensitive, write-only)
    The PIN.
  size <number> (default 3)
    The size.

ATTRIBUTES (computed):
  parts <list(object)>
    Its parts.

BLOCKS:
  tag <blocks by label> -required-
    Tags.

EXAMPLE:
    resource "x_y" "a" {
    }
"#;
        assert_eq!(plain(&text(&page(), false, 42)), expected);
        let deep = plain(&text(&page(), true, 42));
        assert!(
            deep.contains("  parts <list(object)>\n    at <number>\n  tag <blocks by label> -required-\n    key <")
        );
    }

    #[test]
    fn json_has_the_keys_of_a_provider_schema() {
        let json = page_json(&page());
        let attributes = &json["block"]["attributes"];
        assert_eq!((&json["kind"], &json["name"]), (&json!("resource"), &json!("x_y")));
        assert_eq!(attributes["parts"]["type"], json!(["list", ["object", { "at": "number" }]]));
        assert_eq!((&attributes["name"]["required"], &attributes["name"]["optional"]), (&json!(true), &Json::Null));
        assert_eq!((&attributes["size"]["default"], &attributes["pin"]["write_only"]), (&json!(3), &json!(true)));
        let tag = &json["block"]["block_types"]["tag"];
        assert_eq!((&tag["nesting_mode"], &tag["min_items"]), (&json!("map"), &json!(1)));
    }
}
