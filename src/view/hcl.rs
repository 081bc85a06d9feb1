//! Objects as blocks of the language, for a file that people go on with.
//!
//! The one decision: only what a configuration can say is written; a secret never is: in its place stands
//! `null` with a comment. Layout is the formatter's.

use mesh_core::plan::Generated;
use mesh_model::schema::{Given, Nesting};
use mesh_model::{Attribute, Kind, Schema, Value, render};

/// Behind a null that stands for a secret.
const SECRET: &str = "# sensitive: mesh writes no secret. Give it, best from a variable or a secret store.";
/// Lists up to this length stand on one line.
const LINE: usize = 80;

/// The block of an object.
pub(crate) fn resource(object: &Generated, schema: &Schema) -> String {
    let address = &object.address;
    let mut out =
        format!("\n# {} is {}\nresource {:?} {:?} {{\n", address, comment(&object.id), &*address.ty, &*address.name);
    if let Some(provider) = &object.provider {
        push!(out, "provider = {provider}\n\n");
    }
    body(&mut out, schema, &object.values);
    out.push_str("}\n");
    out
}

/// The addresses of some objects, in words.
pub(crate) fn names(objects: &[Generated]) -> String {
    objects.iter().map(|o| o.address.to_string()).collect::<Vec<_>>().join(", ")
}

fn comment(text: &str) -> String {
    render::quote(text)
}

fn body(out: &mut String, schema: &Schema, values: &Value) {
    for attribute in &schema.attributes {
        let value = values.get(attribute.name).filter(|v| !v.is_null());
        if !is_written(attribute, value) {
            continue;
        }
        let secret = attribute.sensitive || attribute.write_only;
        match value.filter(|v| !secret && !v.marks().sensitive()) {
            Some(value) => push!(out, "{} = {}\n", attribute.name, top(value)),
            None if secret || value.is_some() => push!(out, "{} = null {SECRET}\n", attribute.name),
            None => push!(out, "{} = null # not given back: fill it in.\n", attribute.name),
        }
    }
    for block in &schema.blocks {
        let Some(value) = values.get(block.name).filter(|v| !v.is_null()) else { continue };
        match block.nesting {
            Nesting::Single => nested(out, block.name, "", &block.schema, value),
            Nesting::List | Nesting::Set => {
                for item in value.as_items().into_iter().flat_map(|i| i.iter()) {
                    nested(out, block.name, "", &block.schema, item);
                }
            }
            Nesting::Map => {
                for (key, item) in value.as_fields().into_iter().flat_map(|f| f.iter()) {
                    nested(out, block.name, &format!(" {}", render::quote(key)), &block.schema, item);
                }
            }
        }
    }
}

fn nested(out: &mut String, name: &str, label: &str, schema: &Schema, value: &Value) {
    push!(out, "\n{name}{label} {{\n");
    body(out, schema, value);
    out.push_str("}\n");
}

/// Whether a configuration says it.
fn is_written(attribute: &Attribute, value: Option<&Value>) -> bool {
    match attribute.given {
        Given::Computed => false,
        Given::Required => true,
        Given::Optional | Given::OptionalComputed => {
            value.is_some_and(|v| attribute.default.as_ref().is_none_or(|d| !attribute.equality.same(d, v)))
        }
    }
}

/// A value behind `name =`: a text of several lines is written as such.
fn top(value: &Value) -> String {
    let lines = match value.kind() {
        Kind::String(text) => text.strip_suffix('\n').filter(|t| is_plain(t)),
        _ => None,
    };
    match lines {
        Some(text) => {
            let text = text.replace("${", "$${").replace("%{", "%%{");
            format!("<<EOT\n{text}\nEOT")
        }
        None => expression(value),
    }
}

/// Whether a text can stand between the lines of a heredoc as it is.
fn is_plain(text: &str) -> bool {
    text.contains('\n')
        && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
        && !text.contains("$${")
        && !text.contains("%%{")
        && text.lines().all(|l| l.trim() != "EOT")
}

fn expression(value: &Value) -> String {
    if value.marks().sensitive() || value.is_withheld() {
        return "null".to_owned();
    }
    match value.kind() {
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            let short = items.iter().all(|i| i.as_items().is_none() && i.as_fields().is_none() && !is_secret(i));
            let line = format!("[{}]", items.iter().map(expression).collect::<Vec<_>>().join(", "));
            if short && line.chars().count() <= LINE {
                return line;
            }
            let rows = items.iter().map(|i| format!("{},{}\n", expression(i), note(i)));
            format!("[\n{}]", rows.collect::<String>())
        }
        Kind::Map(_, fields) | Kind::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Kind::Map(_, fields) | Kind::Object(fields) => {
            let rows = fields.iter().map(|(k, v)| format!("{} = {}{}\n", render::key(k), expression(v), note(v)));
            format!("{{\n{}}}", rows.collect::<String>())
        }
        _ => render::leaf(value).unwrap_or_else(|| "null".to_owned()),
    }
}

fn is_secret(value: &Value) -> bool {
    value.marks().sensitive() || value.is_withheld()
}

fn note(value: &Value) -> String {
    if is_secret(value) { format!(" {SECRET}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use mesh_model::schema::Block;
    use mesh_model::{Address, Type};

    use super::*;

    fn schema() -> Schema {
        let text = Type::String;
        Schema::of([
            Attribute::computed("id", text.clone(), ""),
            Attribute::required("name", text.clone(), ""),
            Attribute::optional("ttl", text.clone(), "")
                .default(Value::string("1h"))
                .equality(mesh_model::schema::Equality::Duration),
            Attribute::optional("free", Type::Dynamic, ""),
            Attribute::optional("long", text.clone(), ""),
            Attribute::optional_computed("tags", Type::set(text.clone()), ""),
            Attribute::required("pin", text.clone(), "").write_only(),
            Attribute::optional("seed", text.clone(), "").sensitive(),
        ])
        .block(Block {
            name: "rule",
            nesting: Nesting::List,
            min: 0,
            max: 0,
            schema: Schema::of([Attribute::required("port", Type::Number, "")]),
            doc: "",
        })
        .block(Block {
            name: "user",
            nesting: Nesting::Map,
            min: 0,
            max: 0,
            schema: Schema::of([Attribute::optional("key", text, "").sensitive()]),
            doc: "",
        })
    }

    fn written(values: &[(&str, Value)]) -> String {
        let address: Address = "x_y.z".parse().expect("an address");
        let values = Value::object(values.iter().map(|(k, v)| (*k, v.clone())));
        let object = Generated { address, id: "a\nb".into(), provider: None, values };
        let text = resource(&object, &schema());
        let formatted = mesh_lang::fmt::format(&text).expect("it is the language");
        assert_eq!(mesh_lang::fmt::format(&formatted).ok().as_deref(), Some(formatted.as_str()));
        formatted
    }

    #[test]
    fn what_a_configuration_says_is_written_and_no_secret() {
        let secret = || Value::string("canary").sensitive();
        let rule = |n: i64| Value::object([("port", Value::number(n))]);
        let text = written(&[
            ("id", Value::string("computed")),
            ("name", Value::string("a \"b\" ${c}")),
            ("ttl", Value::string("60m")),
            (
                "free",
                Value::object([
                    ("a b", Value::tuple(vec![secret(), Value::NULL])),
                    ("c", Value::object([("d", secret())])),
                ]),
            ),
            ("long", Value::string("%{if}\n  ${x}\n")),
            ("tags", Value::strings(["x", "y"])),
            ("seed", secret()),
            ("rule", Value::tuple(vec![rule(1), rule(2)])),
            ("user", Value::object([("u 1", Value::object([("key", secret())]))])),
        ]);
        let want = format!(
            r#"
# x_y.z is "a\nb"
resource "x_y" "z" {{
  name = "a \"b\" $${{c}}"
  free = {{
    "a b" = [
      null, {SECRET}
      null,
    ]
    c = {{
      d = null {SECRET}
    }}
  }}
  long = <<EOT
%%{{if}}
  $${{x}}
EOT
  tags = ["x", "y"]
  pin  = null {SECRET}
  seed = null {SECRET}

  rule {{
    port = 1
  }}

  rule {{
    port = 2
  }}

  user "u 1" {{
    key = null {SECRET}
  }}
}}
"#
        );
        assert_eq!(text, want);
        assert!(!text.contains("canary"));
    }

    #[test]
    fn texts_that_no_heredoc_can_hold_are_quoted() {
        for text in ["one", "one\n", "no end\nof line", "a\nEOT\nb\n", "a\r\nb\n", "a\n$${x}\n", "a\n\u{1}\n"] {
            let out = written(&[("name", Value::string(text))]);
            assert!(out.contains(&format!("name = {}\n", render::quote(text))), "{out}");
        }
        assert!(written(&[]).contains("name = null # not given back: fill it in.\n"));
    }
}
