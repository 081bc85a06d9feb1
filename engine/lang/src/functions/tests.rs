//! The table of answers, and what the table cannot say: marks, withheld values, limits.
//!
//! The one decision: rows are calls as users write them, with the values that the real `terraform
//! console` 1.11.4 answers, so that the table can be recorded anew and read by anybody. Of its errors
//! the table keeps only that there is one (`!`); the words behind are ours, after the parameter at
//! fault. Rows whose answer differs on purpose are in a table of their own, each with its reason, and so
//! are functions that the field has not.

use hcl_edit::expr::Expression;
use mesh_model::{Fingerprint, Number};

use super::*;

mod show;

const SAME: &str = include_str!("../../../../tests/terraform_parity/functions.txt");
const DIFFER: &str = include_str!("../../../../tests/terraform_parity/functions_differ.txt");
const OWN: &str = include_str!("tests/own.txt");
/// The files that rows read.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/terraform_parity/files");

fn context(root: &Path) -> Context {
    Context { home: Some("/home/ada".into()), plan_timestamp: "2026-01-02T03:04:05Z".into(), ..Context::new(root) }
}

/// Literals, and calls with them; any reference is unknown.
fn value(context: &Context, e: &Expression) -> Result<Value, String> {
    match e {
        Expression::Null(_) => Ok(Value::NULL),
        Expression::Bool(b) => Ok(Value::bool(*b.value())),
        Expression::Number(n) => {
            let text = n.as_repr().map_or_else(|| n.value().to_string(), |r| r.to_string());
            text.parse::<Number>().map(Value::number).map_err(|_| format!("no number: {text}"))
        }
        Expression::String(s) => Ok(Value::string(s.as_str())),
        Expression::StringTemplate(t) => Ok(Value::string(t.to_string().trim_matches('"').replace("$${", "${"))),
        Expression::Array(items) => {
            Ok(Value::tuple(items.iter().map(|i| value(context, i)).collect::<Result<Vec<_>, _>>()?))
        }
        Expression::Object(fields) => {
            let entry = |(k, v): (&hcl_edit::expr::ObjectKey, &hcl_edit::expr::ObjectValue)| {
                let key = match k {
                    hcl_edit::expr::ObjectKey::Ident(i) => i.to_string().trim().to_owned(),
                    hcl_edit::expr::ObjectKey::Expression(e) => {
                        value(context, e)?.as_str().ok_or("a key is no text")?.to_owned()
                    }
                };
                Ok((key, value(context, v.expr())?))
            };
            Ok(Value::object(fields.iter().map(entry).collect::<Result<Vec<_>, String>>()?))
        }
        Expression::UnaryOp(op) => {
            let inner = value(context, &op.expr)?;
            inner.as_number().map(|n| Value::number(n.neg())).ok_or_else(|| "no number".into())
        }
        Expression::BinaryOp(op) => {
            let side = |e| value(context, e)?.as_number().cloned().ok_or("no number".to_owned());
            side(&op.lhs_expr)?.div(&side(&op.rhs_expr)?).map(Value::number).ok_or_else(|| "undefined".into())
        }
        Expression::Traversal(_) => Ok(Value::unknown(Type::Dynamic)),
        Expression::FuncCall(call) => {
            let name = call.name.name.as_str();
            let args = call.args.iter().map(|a| value(context, a)).collect::<Result<Vec<_>, _>>()?;
            let function = lookup(name).ok_or_else(|| format!("no function {name}"))?;
            function.call(context, &args).map_err(|e| match e.argument {
                Some(i) => format!("{}: {}", function.param(i).map_or("?", |p| p.name), e.message),
                None => e.message,
            })
        }
        other => Err(format!("not in the table's language: {other:?}")),
    }
}

fn answer(context: &Context, expression: &str) -> String {
    let parsed: Expression = match expression.parse() {
        Ok(parsed) => parsed,
        Err(e) => return format!("! does not parse: {e}"),
    };
    match value(context, &parsed) {
        Ok(v) => show::console(&v),
        Err(message) => format!("! {message}"),
    }
}

/// Expressions with their answers: an answer is indented by four spaces.
fn rows(table: &str) -> Vec<(&str, String)> {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for line in table.lines().filter(|l| !l.starts_with('#')) {
        match (line.strip_prefix("    "), rows.last_mut()) {
            (Some(answer), Some((_, all))) => {
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(answer);
            }
            _ if line.trim().is_empty() => {}
            _ => rows.push((line, String::new())),
        }
    }
    rows
}

#[test]
fn answers_are_those_of_the_tables() {
    let context = context(Path::new(FILES));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (expression, expected) in rows(SAME).into_iter().chain(rows(DIFFER)).chain(rows(OWN)) {
        count += 1;
        let got = answer(&context, expression);
        if got != expected {
            wrong.push(format!("{expression}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_function_has_rows_and_a_doc() {
    let tables = format!("{SAME}\n{DIFFER}\n{OWN}");
    for function in all().filter(|f| f.callable()) {
        assert!(function.doc.ends_with('.'), "{}", function.name);
        let call = format!("{}(", function.name);
        let impure = ["timestamp", "plantimestamp", "uuid", "templatefile", "templatestring"];
        let least = if impure.contains(&function.name) { 0 } else { 4 };
        let rows = rows(&tables).iter().filter(|(e, _)| e.contains(&call)).count();
        assert!(rows >= least, "{} has {rows} rows", function.name);
    }
    let mut names: Vec<&str> = names().collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a name is listed twice");
}

fn call(name: &str, args: &[Value]) -> Result<Value, CallError> {
    lookup(name).expect("such a function").call(&context(Path::new("/")), args)
}

#[test]
fn marks_and_unknowns_reach_the_result() {
    for function in all().filter(|f| f.callable() && !["nonsensitive", "issensitive"].contains(&f.name)) {
        let args: Vec<Value> = function
            .params
            .iter()
            .chain(&function.variadic)
            .map(|_| Value::unknown(Type::Dynamic).sensitive())
            .collect();
        if args.is_empty() || function.name == "ephemeralasnull" {
            continue;
        }
        match function.call(&context(Path::new("/")), &args) {
            Ok(v) => assert!(v.is_unknown() && v.marks().sensitive(), "{}: {v:?}", function.name),
            Err(e) => panic!("{}: {e:?}", function.name),
        }
    }
}

#[test]
fn withheld_arguments_give_a_sensitive_unknown() {
    let secret = Value::withheld(Type::String, Fingerprint::from_bytes([7; 32]));
    for (name, args) in [
        ("upper", vec![secret.clone()]),
        ("jsonencode", vec![Value::object([("pin", secret.clone())])]),
        ("join", vec![Value::string(","), Value::tuple(vec![secret.clone()])]),
        ("sensitive", vec![secret.clone()]),
        ("contains", vec![Value::tuple(vec![secret.clone()]), Value::string("a")]),
    ] {
        let v = call(name, &args).expect("succeeds");
        assert!(v.is_unknown() && v.marks().sensitive(), "{name}: {v:?}");
    }
    let merged = call("merge", &[Value::object([("pin", secret)])]).expect("succeeds");
    assert!(merged.get("pin").is_some_and(|v| v.is_unknown() && v.marks().sensitive()));
}

#[test]
fn errors_do_not_tell_a_secret() {
    let canary = Value::string("canary").sensitive();
    for (name, args) in [
        ("tobool", vec![canary.clone()]),
        ("tonumber", vec![canary.clone()]),
        ("base64decode", vec![canary.clone()]),
        ("parseint", vec![canary.clone(), Value::number(2)]),
        ("file", vec![canary.clone()]),
        ("cidrhost", vec![canary.clone(), Value::number(2)]),
        ("timeadd", vec![canary.clone(), canary.clone()]),
        ("jsondecode", vec![canary.clone()]),
        ("abs", vec![canary.clone()]),
        ("regex", vec![Value::string("canary("), canary.clone()]),
        ("lookup", vec![Value::object(Vec::<(&str, Value)>::new()), canary.clone()]),
    ] {
        let e = call(name, &args).expect_err("fails");
        assert!(!e.message.contains("canary"), "{name}: {}", e.message);
    }
}

#[test]
fn ephemeral_parts_become_null() {
    let v = Value::object([("a", Value::string("x").mark(Marks::EPHEMERAL)), ("b", Value::number(1))]);
    let bare = call("ephemeralasnull", &[v]).expect("succeeds");
    assert!(bare.get("a").is_some_and(Value::is_null));
    assert!(bare.all_marks().is_empty());
    let v = call("upper", &[Value::string("x").mark(Marks::EPHEMERAL)]).expect("succeeds");
    assert!(v.marks().ephemeral());
}

#[test]
fn time_and_chance_are_unknown_in_a_plan() {
    let mut context = context(Path::new("/"));
    for name in ["timestamp", "uuid"] {
        assert!(lookup(name).expect("listed").call(&context, &[]).expect("succeeds").is_unknown());
    }
    context.timestamp = Some("2026-01-02T03:04:06Z".into());
    let now = lookup("timestamp").expect("listed").call(&context, &[]).expect("succeeds");
    assert_eq!(now.as_str(), Some("2026-01-02T03:04:06Z"));
    let uuid = || lookup("uuid").expect("listed").call(&context, &[]).expect("succeeds");
    assert_ne!(uuid(), uuid());
    let plan = lookup("plantimestamp").expect("listed").call(&context, &[]).expect("succeeds");
    assert_eq!(plan.as_str(), Some("2026-01-02T03:04:05Z"));
}

#[test]
fn bcrypt_digests_verify_and_have_bounds() {
    let bcrypt = lookup("bcrypt").expect("listed");
    let mut context = context(Path::new("/"));
    let args = [Value::string("s3cret"), Value::number(4)];
    assert!(bcrypt.call(&context, &args).expect("succeeds").is_unknown());
    context.timestamp = Some("2026-01-02T03:04:06Z".into());
    let digest = bcrypt.call(&context, &args).expect("succeeds");
    let digest = digest.as_str().expect("a text");
    assert!(digest.starts_with("$2a$04$"), "{digest}");
    assert_eq!(bcrypt::verify("s3cret", digest).ok(), Some(true));
    assert_eq!(bcrypt::verify("secret", digest).ok(), Some(false));
    for args in [
        vec![Value::string("x".repeat(73))],
        vec![Value::string("x"), Value::number(31)],
        vec![Value::string("x"), Value::number(4), Value::number(4)],
    ] {
        assert!(bcrypt.call(&context, &args).is_err());
    }
    for cost in [-1, 0, 3] {
        let digest = bcrypt.call(&context, &[Value::string(""), Value::number(cost)]).expect("succeeds");
        assert!(digest.as_str().is_some_and(|d| d.starts_with("$2a$10$")), "{digest:?}");
    }
}

#[test]
fn templates_go_through_the_hook() {
    let mut context = context(Path::new(FILES));
    let vars = Value::object([("x", Value::number(1))]);
    let args = [Value::string("f.txt"), vars];
    let templatefile = lookup("templatefile").expect("listed");
    assert!(templatefile.call(&context, &args).is_err());
    context.template =
        Some(|c, text, name, vars| Ok(Value::string(format!("{name} {text} {} {}", vars.len(), c.template_depth))));
    let v = templatefile.call(&context, &args).expect("succeeds");
    assert_eq!(v.as_str(), Some("f.txt hello\n 1 1"));
    context.template_depth = 64;
    assert!(templatefile.call(&context, &args).is_err());
    let e = templatefile.call(&context, &[Value::string("f.txt"), Value::tuple(vec![])]).expect_err("fails");
    assert_eq!(e.argument, Some(1));
}

#[test]
fn hostile_input_is_an_error_and_quick() {
    let long = Value::string("a".repeat(1 << 20));
    let numbers = Value::tuple((0..2000).map(Value::number).collect::<Vec<_>>());
    let laughs: String = (1..40).map(|i| format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1)).collect();
    for (name, args) in [
        ("range", vec![Value::number(1_000_000_000_000_i64)]),
        ("replace", vec![long.clone(), Value::string(""), long.clone()]),
        ("replace", vec![long.clone(), Value::string("/a/"), long.clone()]),
        ("indent", vec![Value::number(i64::MAX), Value::string("a\nb")]),
        ("format", vec![Value::string("%999999999d"), Value::number(1)]),
        ("setproduct", vec![numbers.clone(), numbers.clone(), numbers]),
        ("jsondecode", vec![Value::string("[".repeat(100_000))]),
        ("yamldecode", vec![Value::string(format!("a0: &a0 x\n{laughs}"))]),
        ("yamldecode", vec![Value::string("[".repeat(100_000))]),
        ("regex", vec![Value::string("((a{1000}){1000}){1000}"), long.clone()]),
        ("regex", vec![Value::string("(".repeat(100_000)), long.clone()]),
        ("parseint", vec![long.clone(), Value::number(16)]),
        ("join", vec![long.clone(), Value::tuple(vec![Value::string(""); 200])]),
        ("tonumber", vec![Value::string("1e999999999")]),
        ("cidrsubnet", vec![Value::string("10.0.0.0/8"), Value::number(i64::MAX), Value::number(i64::MIN)]),
        ("file", vec![Value::string("/dev/null/x\0y")]),
        ("k8s_quantity", vec![long.clone()]),
        ("base64gunzip", vec![call("base64gzip", &[Value::string("0".repeat(MAX_TEXT + 1))]).expect("packs")]),
    ] {
        assert!(call(name, &args).is_err(), "{name}");
    }
}
