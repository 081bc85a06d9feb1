//! `mesh functions`: the functions of the language.
//!
//! The one decision: the JSON is that of `terraform metadata functions -json`; everything comes from
//! the table that calls go through.

use clap::ArgAction;
use mesh_lang::functions::{self, Function, GROUPS, Param};
use mesh_lang::suggestion;
use mesh_model::Diagnostic;
use serde_json::{Map, Value as Json, json};

use crate::ui::Outcome;
use crate::view::explain::list;
use crate::view::page::{columns, paragraphs};
use crate::view::style::{BOLD, CYAN, out, paint};

/// List the functions of the language, or show one
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
    /// Which one
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let one = match &args.name {
        None => None,
        Some(name) => Some(functions::lookup(name).ok_or_else(|| {
            let hint =
                suggestion(name, functions::names()).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
            let detail = format!("There is no function {name:?}.{hint} mesh functions lists them all.");
            Diagnostic::error("cli::function", "Nothing of this name", detail)
        })?),
    };
    if args.json {
        let signatures: Map<String, Json> = match one {
            Some(function) => [function].into_iter().map(entry).collect(),
            // With both names, and without what only the console has, as in the field.
            None => {
                let all = functions::all().filter(|f| f.name != "type").map(entry);
                all.flat_map(|(name, e)| [(format!("core::{name}"), e.clone()), (name, e)]).collect()
            }
        };
        out(&format!("{}\n", json!({ "format_version": "1.0", "function_signatures": signatures })))?;
        return Ok(0);
    }
    out(&one.map_or_else(|| overview(columns()), |function| page(function, columns())))?;
    Ok(0)
}

fn overview(width: usize) -> String {
    let mut text = String::new();
    for group in &GROUPS {
        let mut rows: Vec<_> = group.functions().map(|f| (short(f), f.doc.to_owned())).collect();
        rows.sort();
        text.push_str(&list(group.title, &rows, width));
    }
    text.push_str("\nOne of them: mesh functions NAME.\n");
    text.trim_start().to_owned()
}

/// `pow(num, power)`.
fn short(f: &Function) -> String {
    let given = f.params.iter().map(|p| p.name.to_owned());
    let names: Vec<String> = given.chain(f.variadic.map(|p| format!("{}...", p.name))).collect();
    format!("{}({})", f.name, names.join(", "))
}

/// `pow(num number, power number) number`.
fn signature(f: &Function) -> String {
    let given = f.params.iter().map(|p| format!("{} {}", p.name, p.ty.ty()));
    let all: Vec<String> = given.chain(f.variadic.map(|p| format!("{} {}...", p.name, p.ty.ty()))).collect();
    format!("{}({}) {}", f.name, all.join(", "), f.result.ty())
}

fn page(f: &Function, width: usize) -> String {
    let group = GROUPS.iter().find(|g| g.functions().any(|other| other.name == f.name));
    let mut text = format!("{}\n\n{}", paint(BOLD, signature(f)), paragraphs(f.doc, 4, width));
    if !f.params.is_empty() || f.variadic.is_some() {
        push!(text, "\n{}\n", paint(BOLD, "PARAMETERS:"));
    }
    let more = f.variadic.iter().map(|p| (p, ", any number"));
    for (param, note) in f.params.iter().map(|p| (p, "")).chain(more) {
        let null = if param.takes_null() { ", may be null" } else { "" };
        push!(text, "  {} {}{note}{null}\n", paint(BOLD, param.name), paint(CYAN, format!("<{}>", param.ty.ty())));
    }
    if let Some((expression, answer)) = functions::example(f.name) {
        push!(text, "\n{}\n    > {expression}\n", paint(BOLD, "EXAMPLE:"));
        for line in answer.lines() {
            push!(text, "    {line}\n");
        }
    }
    if let Some(group) = group {
        push!(text, "\nOne of the {}.\n", group.title.to_lowercase().replacen("ip ", "IP ", 1));
    }
    text
}

fn entry(f: &'static Function) -> (String, Json) {
    let mut out = json!({ "description": f.doc, "return_type": f.result.ty().to_json() });
    if !f.params.is_empty() {
        out["parameters"] = f.params.iter().map(parameter).collect();
    }
    if let Some(param) = &f.variadic {
        out["variadic_parameter"] = parameter(param);
    }
    (f.name.to_owned(), out)
}

fn parameter(param: &Param) -> Json {
    let mut out = json!({ "name": param.name, "type": param.ty.ty().to_json() });
    if param.takes_null() {
        out["is_nullable"] = true.into();
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mesh_lang::functions::Context;
    use mesh_lang::{Scope, Subject, parse_console};
    use mesh_model::{Sources, Span, Value};

    use super::*;
    use crate::view::style::plain;
    use crate::view::values;

    struct Greeting(Context);

    impl Scope for Greeting {
        fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
            match subject {
                Subject::Local(name) if &**name == "greeting" => Ok(Value::string("Hello, ${name}!")),
                _ => Err(Diagnostic::error("a::b", "No references", "").at(span)),
            }
        }

        fn functions(&self) -> &Context {
            &self.0
        }
    }

    /// What they give is another thing each time, or needs a secret.
    const NOT_ASKED: [&str; 6] = ["bcrypt", "plantimestamp", "rsadecrypt", "timestamp", "uuid", "abspath"];

    #[test]
    fn every_function_has_a_sentence_and_a_true_example() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [
            ("greeting.txt", "Hello, mesh!\n"),
            ("greeting.tftpl", "Hello, ${name}!"),
            ("conf/a.yaml", ""),
            ("conf/b.yaml", ""),
            ("ca.pem", include_str!("../../tests/terraform_parity/files/cert.pem")),
        ];
        std::fs::create_dir(folder.path().join("conf")).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("writes");
        }
        let context = Context {
            home: Some(Path::new("/home/ada").into()),
            template: Some(mesh_lang::render_template),
            ..Context::new(folder.path())
        };
        let scope = Greeting(context);
        for f in functions::all() {
            assert!(f.doc.ends_with('.') && !f.doc.contains('\n'), "{}: {:?} is no sentence", f.name, f.doc);
            let (expression, answer) =
                functions::example(f.name).unwrap_or_else(|| panic!("{} has no example", f.name));
            let mut sources = Sources::default();
            let (expr, types) = parse_console(expression, "example", &mut sources).expect("an expression");
            if !NOT_ASKED.contains(&f.name) {
                let value = expr.eval(&scope).unwrap_or_else(|e| panic!("{expression}: {e:?}"));
                let text = if types > 0 { functions::types::describe(&value) } else { values::text(&value) };
                assert_eq!(text, answer, "{expression}");
            }
        }
    }

    #[test]
    fn groups_hold_all_functions() {
        let text = plain(&overview(80));
        for f in functions::all() {
            assert!(text.contains(&format!("  {}(", f.name)), "{} is not listed", f.name);
        }
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        assert!(text.starts_with("Numeric functions\n  abs(num)"), "{text}");
        let pow = functions::lookup("pow").map(|f| plain(&page(f, 80))).unwrap_or_default();
        assert!(pow.starts_with("pow(num number, power number) number\n"), "{pow}");
        assert!(pow.ends_with("EXAMPLE:\n    > pow(3, 2)\n    9\n\nOne of the numeric functions.\n"), "{pow}");
    }
}
