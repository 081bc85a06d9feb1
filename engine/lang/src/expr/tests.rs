//! Expressions: text in, text out. The answers in the table are those of `terraform console` 1.11.4
//! over the values of [`TestScope`], with white space and commas as one space; where ours differ on
//! purpose, the row is in a table of its own, with the reason. `!` is an error, with our summary.

use super::*;
use mesh_model::{Fields, Fingerprinter, Kind, Sources, Type};

pub(crate) struct TestScope(functions::Context);

impl TestScope {
    pub(crate) fn new() -> Self {
        Self(functions::Context { template: Some(render_template), ..functions::Context::new(".") })
    }
}

impl Scope for TestScope {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let number = |n: i64| Value::number(n);
        let unknown = || Value::unknown(Type::Dynamic);
        let name = match subject {
            Subject::Local(name) | Subject::Variable(name) => &**name,
            _ => "",
        };
        Ok(match name {
            "secret" => Value::string("s3cret").sensitive(),
            "seclist" => Value::strings(["a", "b"]).sensitive(),
            "objs" => Value::tuple(vec![
                Value::object([("n", Value::tuple(vec![number(1), number(2)]))]),
                Value::object([("n", Value::tuple(vec![number(3)]))]),
            ]),
            "template" => Value::string("${length([for b in l: b])}"),
            "unk" => unknown(),
            "unkl" => Value::tuple(vec![unknown()]),
            "obj" => Value::object([("a", number(1)), ("b", Value::string("two")), ("c d", Value::bool(true))]),
            "list" => Value::strings(["a", "b", "c"]),
            "set" => Value::set(Type::String, [Value::string("b"), Value::string("a")]),
            "map" => Value::map(
                Type::String,
                [("x", Value::string("1")), ("y", Value::string("2"))].into_iter().collect::<Fields>(),
            ),
            "str" => Value::string("hello"),
            "nul" => Value::NULL,
            "ab" => Value::tuple(vec![Value::string("a"), Value::string("b")]),
            "withheld" => withheld("pin"),
            "withheld2" => withheld("other"),
            "token" => Value::string("t0ken").mark(mesh_model::Marks::EPHEMERAL),
            "big" => Value::tuple((0..10_000).map(number).collect::<Vec<_>>()),
            _ => return Err(Diagnostic::error("test", "Undeclared", format!("{subject} is not declared")).at(span)),
        })
    }

    fn functions(&self) -> &functions::Context {
        &self.0
    }
}

fn withheld(text: &str) -> Value {
    Value::withheld(Type::String, Fingerprinter::new([1; 32]).fingerprint(&Value::string(text)))
}

/// As the console prints it, on one line.
pub(crate) fn show(value: &Value) -> String {
    if value.is_unknown() {
        return mesh_model::render::UNKNOWN.into();
    }
    if let Some(text) = mesh_model::render::leaf(value) {
        return match value.kind() {
            Kind::Null(t) if value.marks().is_empty() => match t {
                Type::Dynamic => text,
                Type::List(of) => format!("tolist(null) /* of {} */", of.friendly().replace("any type", "dynamic")),
                Type::Set(of) => format!("toset(null) /* of {} */", of.friendly().replace("any type", "dynamic")),
                Type::Map(of) => format!("tomap(null) /* of {} */", of.friendly().replace("any type", "dynamic")),
                t if t.is_primitive() => format!("to{t}(null)"),
                t => format!("null /* {} */", t.friendly()),
            },
            Kind::String(s) if value.marks().is_empty() => mesh_model::render::quote_shown(s),
            _ => text,
        };
    }
    let items = |i: &[Value]| match i {
        [] => "[]".to_owned(),
        i => format!("[ {} ]", i.iter().map(show).collect::<Vec<_>>().join(" ")),
    };
    let fields = |f: &Fields| {
        let entries: Vec<String> =
            f.iter().map(|(k, v)| format!("{} = {}", mesh_model::render::quote_shown(k), show(v))).collect();
        if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(" ")) }
    };
    match value.kind() {
        Kind::List(_, i) => format!("tolist({})", items(i)),
        Kind::Set(_, i) => format!("toset({})", items(i)),
        Kind::Tuple(i) => items(i),
        Kind::Map(_, f) => format!("tomap({})", fields(f)),
        Kind::Object(f) => fields(f),
        _ => String::new(),
    }
}

fn answer(text: &str) -> String {
    let mut sources = Sources::default();
    match crate::parse_expression(text, "test", &mut sources).and_then(|e| e.eval(&TestScope::new())) {
        Ok(value) => show(&value),
        Err(errors) => format!("! {}", errors.0.first().map_or("", |d| d.summary)),
    }
}

/// One expression and what it must give.
fn check(text: &str, expected: &str) {
    assert_eq!(answer(text), expected, "{text}");
}

#[test]
fn answers_as_the_field_does() {
    let mut wrong = Vec::new();
    let mut count = 0;
    let tables = [
        include_str!("../../../../tests/terraform_parity/expressions.txt"),
        include_str!("../../../../tests/terraform_parity/expressions_differ.txt"),
    ];
    let mut lines = tables.iter().flat_map(|t| t.lines()).filter(|l| !l.is_empty() && !l.starts_with('#'));
    while let (Some(text), Some(expected)) = (lines.next(), lines.next()) {
        let expected = expected.trim().trim_start_matches("=>").trim();
        count += 1;
        let given = answer(text);
        if given != expected {
            wrong.push(format!("{text}\n    => {given}\n  want {expected}"));
        }
    }
    assert!(count >= 300, "only {count} cases were read");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The value of a heredoc or any other text of several lines; the answers are those of `terraform`.
#[test]
fn heredocs_keep_and_strip_what_the_field_does() {
    for (text, expected) in [
        ("<<EOT\na\n  b\nEOT", "a\n  b\n"),
        ("<<-EOT\n    a\n      b\n    c\n  EOT", "a\n  b\nc\n"),
        ("<<EOT\na\n\n  ${~ \"b\"}\nEOT", "a\n\nb\n"),
        ("<<EOT\n%{ for x in local.ab ~}\n  s ${x}\n%{ endfor ~}\nend\nEOT", "  s a\n  s b\nend\n"),
        ("<<-EOT\n  %{ for x in local.ab ~}\n    s ${x}\n  %{ endfor ~}\n  end\n  EOT", "    s a\n    s b\n  end\n"),
        ("<<EOT\nx ${\"a\" ~}\n   y\n   z\nEOT", "x a   y\n   z\n"),
        ("\"%{ if true }a\\nb\\\"\\\\ $${x}\\u00e9%{ endif }\"", "a\nb\"\\ ${x}\u{e9}"),
        ("<<EOT\n%{ if true }\n  yes\n%{ else }\n  no\n%{ endif }\nEOT", "\n  yes\n\n"),
        ("<<-EOT\n  ${\"a\"}\n    ${\"b\"}\n  EOT", "a\n  b\n"),
        ("<<EOT\n${\"a\"}\nEOT", "a\n"),
        ("<<EOT\n\\n $${x} %%{y} \"q\"\nEOT", "\\n ${x} %{y} \"q\"\n"),
        ("<<EOT\nEOT", ""),
        ("<<-EOT\n\ttab\n\t  x\n\tEOT", "tab\n  x\n"),
        ("<<-EOT\n    a\n\n  b\n    EOT", "  a\n\nb\n"),
        ("<<EOT\n%{ if true ~}\n\n\n  x\n%{ endif ~}\n\ny\nEOT", "\n\n  x\n\ny\n"),
        ("<<EOT\na\n    %{~ if true }\n    b\n    %{~ endif }\nc\nEOT", "a\n\n    b\n\nc\n"),
        ("\"a\\n\\n  ${~ \"b\" ~} \\n \\n c\"", "abc"),
    ] {
        let mut sources = Sources::default();
        let value = crate::parse_expression(text, "test", &mut sources).and_then(|e| e.eval(&TestScope::new()));
        assert_eq!(value.as_ref().map(Value::as_str), Ok(Some(expected)), "{text}");
    }
}

#[test]
fn marks_go_everywhere_and_withheld_values_stay_closed() {
    let value = |text: &str| {
        let mut sources = Sources::default();
        crate::parse_expression(text, "test", &mut sources).and_then(|e| e.eval(&TestScope::new())).expect(text)
    };
    for text in [
        "local.withheld == local.withheld",
        "local.withheld == \"pin\"",
        "\"${local.withheld}\"",
        "upper(local.withheld)",
    ] {
        assert!(value(text).marks().sensitive(), "{text}");
    }
    check("local.token == \"x\"", "(ephemeral value)");
    check("[for k, v in { a = local.token } : v]", "[ (ephemeral value) ]");
    assert!(value("\"x${local.token}\"").marks().ephemeral());
    assert_eq!(value("local.withheld == local.withheld").as_bool(), Some(true));
    assert_eq!(value("local.withheld == local.withheld2").as_bool(), Some(false));
    assert!(value("local.withheld == \"pin\"").is_unknown());
    assert!(value("local.withheld != null").as_bool() == Some(true));
    assert!(value("\"x${local.withheld}\"").is_unknown());
    assert!(value("[local.withheld][0]").marks().sensitive());
    // The value itself may be handed on.
    assert!(value("{ a = local.withheld }").get("a").is_some_and(Value::is_withheld));
    assert!(value("true ? local.withheld : \"x\"").is_withheld());
    for text in [
        "local.map[var.secret]",
        "var.seclist[7]",
        "tonumber(var.secret)",
        "{ for x in [var.secret, var.secret] : x => 1 }",
        "\"x\" + var.secret",
        "format(\"%d\", var.secret)",
    ] {
        let mut sources = Sources::default();
        let errors = crate::parse_expression(text, "test", &mut sources)
            .and_then(|e| e.eval(&TestScope::new()))
            .expect_err(text);
        assert!(!format!("{errors:?}").contains("s3cret"), "{text}: {errors:?}");
    }
}

#[test]
fn references_carry_their_written_out_steps() {
    let mut sources = Sources::default();
    let expr = crate::parse_expression(
        "[for x in a_b.c[0].d : x + var.v.w[var.i].z] == data.e_f.g[\"k\"] || each.key == self.id",
        "test",
        &mut sources,
    )
    .expect("parses");
    let shown: Vec<String> = expr
        .references()
        .iter()
        .map(|r| format!("{} {} {}", r.subject, mesh_model::Path(r.rest.clone()), sources.text(r.span)))
        .collect();
    assert_eq!(
        shown,
        [
            "a_b.c [0].d a_b.c[0].d",
            "var.v w var.v.w[var.i].z",
            "var.i  var.i",
            "data.e_f.g k data.e_f.g[\"k\"]",
            "each.key  each.key",
            "self id self.id",
        ]
    );
}

#[test]
fn several_errors_come_back_at_once() {
    let mut sources = Sources::default();
    let errors = crate::parse_expression("[1 + null, local.obj.aa, {a = nope.x}]", "test", &mut sources)
        .and_then(|e| e.eval(&TestScope::new()))
        .expect_err("three errors");
    let places: Vec<&str> = errors.iter().filter_map(|d| d.span).map(|s| sources.text(s)).collect();
    assert_eq!(places, ["null", "aa", "nope.x"]);
}

#[test]
fn templates_see_their_variables_only() {
    let scope = TestScope::new();
    let vars: Fields =
        [("names", Value::strings(["a", "b"])), ("pin", Value::string("1").sensitive())].into_iter().collect();
    let render = |text: &str| render_template(scope.functions(), text, "t.tpl", &vars).map_err(|e| e.message);
    let text = "%{ for n in names ~}\n- ${upper(n)}\n%{ endfor ~}\n";
    assert_eq!(render(text).map(|v| v.as_str().map(str::to_owned)), Ok(Some("- A\n- B\n".to_owned())));
    assert!(render("${pin}").is_ok_and(|v| v.marks().sensitive()));
    let error = render("line\n${nmaes}").expect_err("not a variable");
    assert!(error.contains("t.tpl:2:3"), "{error}");
    assert!(render("${var.x}").is_err());
    assert!(render("${").is_err());
}
