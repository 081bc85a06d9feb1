//! Values as `terraform console` shows them.
//!
//! The one decision: written for the table only, so that expected answers can be pasted from there.

use mesh_model::{Kind, Type, Value, render};

/// The text for a whole answer.
pub(super) fn console(value: &Value) -> String {
    show(value, 0, true)
}

fn show(value: &Value, indent: usize, top: bool) -> String {
    if value.is_unknown() {
        return render::UNKNOWN.into();
    }
    if value.marks().sensitive() {
        return render::SENSITIVE.into();
    }
    let pad = " ".repeat(indent);
    match value.kind() {
        Kind::Null(Type::Dynamic) => "null".into(),
        Kind::Null(Type::String) => "tostring(null)".into(),
        Kind::Null(Type::Number) => "tonumber(null)".into(),
        Kind::Null(Type::Bool) => "tobool(null)".into(),
        Kind::Null(Type::List(_)) => "tolist(null) /* of dynamic */".into(),
        Kind::Null(Type::Map(_)) => "tomap(null) /* of dynamic */".into(),
        Kind::Number(n) if n.is_infinite() => if n.is_negative() { "-Inf" } else { "+Inf" }.into(),
        Kind::String(s) if s.contains('\n') => {
            let mark = if top { "<<EOT" } else { "<<-EOT" };
            let lines: String = s.split('\n').map(|l| format!("{pad}{l}\n")).collect();
            format!("{mark}\n{lines}{pad}EOT")
        }
        Kind::List(_, i) => wrap("tolist(", &sequence(i, indent), ")"),
        Kind::Set(_, i) => wrap("toset(", &sequence(i, indent), ")"),
        Kind::Tuple(i) => sequence(i, indent),
        Kind::Map(_, f) => wrap("tomap(", &fields(f, indent), ")"),
        Kind::Object(f) => fields(f, indent),
        _ => render::inline(value),
    }
}

fn wrap(open: &str, inner: &str, close: &str) -> String {
    format!("{open}{inner}{close}")
}

fn sequence(items: &[Value], indent: usize) -> String {
    if items.is_empty() {
        return "[]".into();
    }
    let pad = " ".repeat(indent);
    let lines: String = items.iter().map(|v| format!("{pad}  {},\n", show(v, indent + 2, false))).collect();
    format!("[\n{lines}{pad}]")
}

fn fields(fields: &mesh_model::Fields, indent: usize) -> String {
    if fields.is_empty() {
        return "{}".into();
    }
    let pad = " ".repeat(indent);
    let lines: String =
        fields.iter().map(|(k, v)| format!("{pad}  {} = {}\n", render::quote(k), show(v, indent + 2, false))).collect();
    format!("{{\n{lines}{pad}}}")
}
