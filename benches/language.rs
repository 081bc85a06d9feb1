//! The language alone: reading and evaluating ten thousand blocks (about 5 MB) from memory.
//!
//! The one decision: every block differs, refers to its neighbour and has a template, a `for`, a
//! condition and a function, as blocks in practice do. `cargo bench --bench language` prints seconds of
//! CPU; the state, the providers and the plan are measured in `engine.rs`.
#![expect(clippy::print_stdout, reason = "this is a program that prints what it measured")]

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mesh_lang::{Files, LoadOptions, Scope, Subject, eval_body, load_from};
use mesh_model::schema::Attribute;
use mesh_model::{Diagnostic, Schema, Sources, Span, Type, Value};

struct One(String);

impl Files for One {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![dir.join("main.mesh.hcl")])
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.clone())
    }
}

struct Values(mesh_lang::functions::Context);

impl Scope for Values {
    fn resolve(&self, subject: &Subject, _: Span) -> Result<Value, Diagnostic> {
        Ok(match subject {
            Subject::Resource { .. } => Value::object([("id", Value::string("x"))]),
            _ => Value::string("prod"),
        })
    }

    fn functions(&self) -> &mesh_lang::functions::Context {
        &self.0
    }
}

/// Seconds of CPU of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let filler = "some words that make the block as long as blocks are in practice, ".repeat(4);
    let mut text = "variable \"env\" {}\n".to_owned();
    for i in 0..10_000 {
        let before = if i > 0 { format!("terraform_data.r{}.id", i - 1) } else { "\"none\"".to_owned() };
        let _ = write!(
            text,
            "resource \"terraform_data\" \"r{i}\" {{\n  # {filler}\n  input = {{\n    name = \"r{i}-${{var.env}}\"\n    \
             before = {before}\n    ports = [for p in [80, 443] : p + {i} if p > 80]\n    tags = {{ team = \"mesh\", \
             tier = var.env == \"prod\" ? \"gold\" : \"tin\" }}\n  }}\n  triggers_replace = [upper(var.env), {i}]\n}}\n"
        );
    }
    println!("{:.1} MB", text.len() as f64 / 1e6);
    let options = LoadOptions::new(std::path::Path::new("/"));
    let (start, before) = (Instant::now(), cpu());
    let (config, diagnostics) = load_from(&One(text), options, &mut Sources::default());
    println!("load      {:?}, {} diagnostics", start.elapsed(), diagnostics.0.len());
    let Some(config) = config else { return };
    let schema = Schema::of([
        Attribute::optional("input", Type::Dynamic, ""),
        Attribute::optional("triggers_replace", Type::Dynamic, ""),
        Attribute::computed("id", Type::String, ""),
        Attribute::computed("output", Type::Dynamic, ""),
    ]);
    let scope = Values(mesh_lang::functions::Context::new("."));
    let start = Instant::now();
    let values: Vec<_> = config.root().resources.iter().map(|r| eval_body(&r.body, &schema, &scope)).collect();
    let spent = start.elapsed();
    let good = values.iter().filter(|v| v.is_ok()).count();
    println!("evaluate  {spent:?} for {good} bodies, {:?} each", spent / 10_000);
    println!("together  {:.2} CPU-s", cpu() - before);
}
