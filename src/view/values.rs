//! Values as people read them: `mesh output`, the console, `mesh state show`.
//!
//! The one decision: the console's form says the type where it matters (`tolist([`, `tomap({`), as
//! Terraform's does; the form of `state show` is that of a block. Both redact.

use mesh_model::render::{EPHEMERAL, SENSITIVE, UNKNOWN, key, leaf, quote_shown};
use mesh_model::{Kind, Type, Value};

use super::text_diff::is_multi_line;

/// A value on as many lines as it takes, without a line end.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    if value.is_unknown() {
        return out.push_str(UNKNOWN);
    }
    let marks = value.marks();
    if marks.ephemeral() {
        return out.push_str(EPHEMERAL);
    }
    if marks.sensitive() {
        return out.push_str(SENSITIVE);
    }
    match value.kind() {
        Kind::Null(Type::Dynamic) => out.push_str("null"),
        Kind::Null(ty) if ty.is_primitive() => push!(out, "to{ty}(null)"),
        Kind::Null(ty @ (Type::List(of) | Type::Set(of) | Type::Map(of))) => {
            let (name, of) = (ty.friendly(), of.friendly().replace("any type", "dynamic"));
            push!(out, "to{}(null) /* of {of} */", name.split(' ').next().unwrap_or_default());
        }
        Kind::Null(ty) => push!(out, "null /* {} */", ty.friendly()),
        Kind::String(s) => string(out, s, depth),
        Kind::List(_, items) => sequence(out, "tolist([", "])", items, depth),
        Kind::Set(_, items) => sequence(out, "toset([", "])", items, depth),
        Kind::Tuple(items) => sequence(out, "[", "]", items, depth),
        Kind::Map(_, fields) => {
            let entries: Vec<_> = fields.iter().map(|(k, v)| (&**k, v)).collect();
            mapping(out, "tomap({", "})", &entries, depth);
        }
        Kind::Object(fields) => {
            let entries: Vec<_> = fields.iter().map(|(k, v)| (&**k, v)).collect();
            mapping(out, "{", "}", &entries, depth);
        }
        _ => out.push_str(&leaf(value).unwrap_or_default()),
    }
}

fn string(out: &mut String, text: &str, depth: usize) {
    // A line end of two characters is one; a terminal obeys other control characters.
    if !is_multi_line(&text.replace("\r\n", "\n")) {
        return out.push_str(&quote_shown(text));
    }
    let pad = "  ".repeat(depth);
    let (open, indent) = if depth == 0 { ("<<", "") } else { ("<<-", &*pad) };
    let mut end = "EOT".to_owned();
    while text.split('\n').any(|line| line.trim() == end) {
        end.push('_');
    }
    push!(out, "{open}{end}\n");
    // Every line as it is, an empty last one too: with and without a final line end are two texts.
    for line in text.split('\n') {
        push!(out, "{indent}{line}\n");
    }
    push!(out, "{indent}{end}");
}

fn sequence(out: &mut String, open: &str, close: &str, items: &[Value], depth: usize) {
    out.push_str(open);
    if !items.is_empty() {
        out.push('\n');
        for item in items {
            out.push_str(&"  ".repeat(depth + 1));
            write(out, item, depth + 1);
            out.push_str(",\n");
        }
        out.push_str(&"  ".repeat(depth));
    }
    out.push_str(close);
}

fn mapping(out: &mut String, open: &str, close: &str, entries: &[(&str, &Value)], depth: usize) {
    out.push_str(open);
    if !entries.is_empty() {
        out.push('\n');
        for (name, value) in entries {
            out.push_str(&"  ".repeat(depth + 1));
            string(out, name, depth + 1);
            out.push_str(" = ");
            write(out, value, depth + 1);
            out.push('\n');
        }
        out.push_str(&"  ".repeat(depth));
    }
    out.push_str(close);
}

/// The attributes of an object as they stand in a block, `depth` levels in; nulls are left out.
pub(crate) fn attributes(value: &Value, depth: usize) -> String {
    let mut out = String::new();
    let Some(fields) = value.as_fields() else { return out };
    let pad = "    ".repeat(depth);
    let shown: Vec<_> = fields.iter().filter(|(_, v)| !v.is_null()).collect();
    let width = shown.iter().map(|(k, _)| key(k).chars().count()).max().unwrap_or(0);
    for (name, v) in shown {
        push!(out, "{pad}{:width$} = ", key(name));
        nested(&mut out, v, depth);
        out.push('\n');
    }
    out
}

fn nested(out: &mut String, value: &Value, depth: usize) {
    let pad = "    ".repeat(depth);
    if let Some(text) = leaf(value) {
        match value.as_str() {
            Some(s) if value.marks().is_empty() && is_multi_line(s) => {
                out.push_str("<<-EOT\n");
                for line in s.lines() {
                    out.push_str(format!("{pad}    {line}").trim_end());
                    out.push('\n');
                }
                push!(out, "{pad}EOT");
            }
            _ => out.push_str(&text),
        }
        return;
    }
    match value.kind() {
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) if items.is_empty() => out.push_str("[]"),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            out.push_str("[\n");
            for item in items.iter() {
                push!(out, "{pad}    ");
                nested(out, item, depth + 1);
                out.push_str(",\n");
            }
            push!(out, "{pad}]");
        }
        Kind::Map(_, fields) | Kind::Object(fields) if fields.is_empty() => out.push_str("{}"),
        Kind::Map(_, _) | Kind::Object(_) => {
            push!(out, "{{\n{}{pad}}}", attributes(value, depth + 1));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_form() {
        let v = Value::object([
            ("a", Value::strings(["x", "y"])),
            ("b", Value::tuple(vec![Value::number(1), Value::NULL])),
            ("c", Value::string("canary").sensitive()),
            ("d", Value::map(Type::Bool, [("k", Value::bool(true))].into_iter().collect())),
            ("e", Value::string("l1\nl2\n")),
            ("f", Value::tuple(Vec::new())),
        ]);
        let expected = r#"{
  "a" = tolist([
    "x",
    "y",
  ])
  "b" = [
    1,
    null,
  ]
  "c" = (sensitive value)
  "d" = tomap({
    "k" = true
  })
  "e" = <<-EOT
  l1
  l2
(pad)
  EOT
  "f" = []
}"#;
        assert_eq!(text(&v), expected.replace("(pad)", "  "));
        assert_eq!(text(&Value::null(Type::String)), "tostring(null)");
        assert_eq!(text(&Value::string("a\nb")), "<<EOT\na\nb\nEOT");
        assert_eq!(text(&Value::null(Type::list(Type::Dynamic))), "tolist(null) /* of dynamic */");
        assert_eq!(text(&Value::null(Type::tuple([]))), "null /* tuple */");
        assert_eq!(text(&Value::string("a\nEOT")), "<<EOT_\na\nEOT\nEOT_");
        assert_eq!(text(&Value::unknown(Type::String)), "(known after apply)");
    }

    #[test]
    fn block_form() {
        let v = Value::object([
            ("name", Value::string("x")),
            ("gone", Value::NULL),
            ("longer", Value::object([("k", Value::number(1))])),
            ("pin", Value::string("canary").sensitive()),
        ]);
        assert_eq!(
            attributes(&v, 1),
            "    longer = {\n        k = 1\n    }\n    name   = \"x\"\n    pin    = (sensitive value)\n"
        );
    }
}
