//! Sources from memory: which folder a call means, and what a source may not refer to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mesh_model::{Diagnostic, Diagnostics, Sources, Value};

use crate::load::{Fetched, Files, LoadOptions, Modules, RootValues, load_from};
use crate::{Config, Variable};

struct Memory(BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let files: Vec<PathBuf> = self.0.keys().filter(|p| p.parent() == Some(dir)).cloned().collect();
        if files.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(files) }
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        self.0.get(file).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// `far:NAME//SUB` lies in `/cache/NAME/SUB`.
#[derive(Default)]
struct Far(Mutex<Vec<String>>);

impl Modules for Far {
    fn find(&self, source: &str) -> Result<Fetched, Diagnostic> {
        self.0.lock().expect("nobody panics with it").push(source.to_owned());
        let place = source.strip_prefix("far:").ok_or_else(|| Diagnostic::error("t", "Not far", source))?;
        let (name, sub) = place.split_once("//").unwrap_or((place, ""));
        let package = Path::new("/cache").join(name);
        Ok(Fetched { dir: package.join(sub), package, display: format!("far/{name}/{sub}") })
    }
}

struct Given(BTreeMap<&'static str, Value>);

impl RootValues for Given {
    fn value(&self, variable: &Variable) -> Result<Value, Diagnostics> {
        self.0
            .get(&*variable.name)
            .cloned()
            .or_else(|| variable.default.clone())
            .ok_or_else(|| Diagnostic::error("t", "No value", &*variable.name).at(variable.span).into())
    }
}

struct Loaded {
    config: Option<Config>,
    lines: Vec<String>,
    details: String,
    asked: Vec<String>,
}

fn load(files: &[(&str, &str)], given: &[(&'static str, Value)]) -> Loaded {
    let files = Memory(files.iter().map(|(n, t)| (Path::new("/s").join(n), (*t).to_owned())).collect());
    let (far, given) = (Far::default(), Given(given.iter().cloned().collect()));
    let mut sources = Sources::default();
    let options = LoadOptions { modules: Some(&far), variables: Some(&given), ..LoadOptions::new(Path::new("/s")) };
    let (config, found) = load_from(&files, options, &mut sources);
    let line = |d: &Diagnostic| {
        let place = d.span.map_or_else(String::new, |s| sources.position(s));
        format!("{place} {}", d.summary)
    };
    Loaded {
        config,
        lines: found.iter().map(line).collect(),
        details: found.iter().map(|d| format!("{}\n", d.detail)).collect(),
        asked: far.0.into_inner().expect("nobody panics with it"),
    }
}

fn dirs(loaded: &Loaded) -> Vec<String> {
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{:?} {}", loaded.lines, loaded.details));
    config.modules.iter().map(|m| m.dir.display().to_string()).collect()
}

#[test]
fn a_source_is_made_of_variables_locals_and_arguments_that_are_known() {
    let root = r#"
variable "ref" {}
variable "kind" { default = "b" }
locals {
  base = "far:${local.name}"
  name = lower("REPO")
}
module "far" { source = "${local.base}-${var.ref}" }
module "near" {
  source = "./m/${var.kind}"
  which  = upper(var.ref)
  late   = terraform_data.t.id
}
resource "terraform_data" "t" {}
"#;
    let near = r#"
variable "which" {}
variable "late" {}
variable "plain" { default = "x" }
module "deep" { source = "far:${var.which}-${var.plain}" }
"#;
    let files = [
        ("main.mesh.hcl", root),
        ("m/b/main.mesh.hcl", near),
        ("/cache/repo-v1/main.mesh.hcl", ""),
        ("/cache/V1-x/main.mesh.hcl", ""),
    ];
    let loaded = load(&files, &[("ref", Value::string("v1"))]);
    assert_eq!(dirs(&loaded), ["/s", "/cache/repo-v1", "/s/m/b", "/cache/V1-x"]);
    assert_eq!(loaded.asked, ["far:repo-v1", "far:V1-x"]);
    let without = load(&files, &[]);
    assert_eq!(without.lines[0], "main.mesh.hcl:2:1 No value", "{:?}", without.lines);
}

#[test]
fn what_cannot_be_known_yet_is_refused_where_it_is_referred_to() {
    let cases = [
        ("\"far:${terraform_data.t.id}\"", "9:19 Reference not possible here", "terraform_data.t"),
        ("\"far:${module.m.x}\"", "9:19 Reference not possible here", "module.m"),
        ("\"far:${data.d.t.id}\"", "9:19 Reference not possible here", "data.d.t"),
        ("\"far:${path.module}\"", "9:19 Reference not possible here", "path.module"),
        ("\"far:${each.key}\"", "9:19 Reference not possible here", "each.key"),
        ("try(terraform_data.t.id, \"far:a\")", "9:16 Reference not possible here", "terraform_data.t"),
        ("\"far:${var.secret}\"", "9:19 Reference not possible here", "sensitive"),
        ("\"far:${local.late}\"", "5:12 Reference not possible here", "terraform_data.t"),
        ("\"far:${local.circle}\"", "6:12 Local value refers to itself", "local.circle"),
        ("\"far:${var.nobody}\"", "9:19 No such variable", "nobody"),
        ("\"far:${timestamp()}\"", "9:19 Function call not allowed", "timestamp"),
        ("\"far:${file(\"x\")}\"", "9:19 Function call not allowed", "file"),
        ("var.nothing", "9:12 Invalid module source", "null or empty"),
        ("[]", "9:12 Invalid module source", "must be a text"),
    ];
    for (source, line, detail) in cases {
        let text = format!(
            "variable \"secret\" {{ sensitive = true }}\nvariable \"nothing\" {{ default = null }}\n\
             resource \"terraform_data\" \"t\" {{}}\nlocals {{\n  late   = terraform_data.t.id\n  circle = local.circle\n}}\n\
             module \"m\" {{\n  source = {source}\n}}\n"
        );
        let loaded = load(&[("main.mesh.hcl", &text)], &[("secret", Value::string("canary"))]);
        assert!(loaded.config.is_none(), "{source}");
        assert_eq!(loaded.lines, [format!("main.mesh.hcl:{line}")], "{source}: {}", loaded.details);
        assert!(loaded.details.contains(detail) && !loaded.details.contains("canary"), "{source}: {}", loaded.details);
        assert!(loaded.asked.is_empty(), "{source}");
    }
}

#[test]
fn a_refused_reference_of_a_caller_says_where_it_matters() {
    let files = [
        (
            "main.mesh.hcl",
            "resource \"terraform_data\" \"t\" {}\nmodule \"m\" {\n  source = \"./m\"\n  v      = terraform_data.t.id\n}\n",
        ),
        ("m/main.mesh.hcl", "variable \"v\" {}\nmodule \"deep\" { source = \"far:${var.v}\" }\n"),
    ];
    let loaded = load(&files, &[]);
    assert_eq!(loaded.lines, ["main.mesh.hcl:4:12 Reference not possible here"]);
}

#[test]
fn a_fetched_module_stays_in_what_was_fetched_with_it() {
    let root = "module \"a\" { source = \"far:r//mods/a\" }\nmodule \"b\" { source = \"far:r//mods/b\" }\n";
    let a = "module \"b\" { source = \"../b\" }\n";
    let good = [
        ("main.mesh.hcl", root),
        ("/cache/r/mods/a/main.mesh.hcl", a),
        ("/cache/r/mods/b/main.mesh.hcl", "output \"x\" { value = path.module }\n"),
    ];
    assert_eq!(dirs(&load(&good, &[])), ["/s", "/cache/r/mods/a", "/cache/r/mods/b", "/cache/r/mods/b"]);
    for out in ["../../../q", "../../../../s"] {
        let a = format!("module \"q\" {{ source = \"{out}\" }}\n");
        let files = [good[0], ("/cache/r/mods/a/main.mesh.hcl", &*a), good[2], ("/cache/q/main.mesh.hcl", "")];
        let loaded = load(&files, &[]);
        assert_eq!(loaded.lines, ["far/r/mods/a/main.mesh.hcl:1:23 Unsupported module source"], "{out}");
        assert!(loaded.details.contains("leaves what was fetched"), "{}", loaded.details);
    }
}

#[test]
fn only_the_root_is_loaded_where_that_is_enough() {
    let files = Memory(BTreeMap::from([(
        PathBuf::from("/s/main.mesh.hcl"),
        "mesh {\n  backend \"local\" { path = \"x\" }\n}\nmodule \"m\" { source = \"./gone\" }\noutput \"o\" { value = module.m.x }\nimport {\n  to = module.m.local_file.f\n  id = \"x\"\n}\n".to_owned(),
    )]));
    let options = LoadOptions { calls: false, ..LoadOptions::new(Path::new("/s")) };
    let (config, found) = load_from(&files, options, &mut Sources::default());
    assert!(!found.has_errors(), "{found:?}");
    assert_eq!(config.expect("the root").root().settings.backend.as_ref().map(|b| b.0.as_str()), Some("local"));
}

#[test]
fn json_and_override_files_name_sources_too() {
    let files = [
        (
            "main.mesh.json",
            r#"{ "variable": { "v": { "default": "1" } }, "module": { "m": { "source": "far:r-${var.v}" } } }"#,
        ),
        ("m.mesh.hcl", "module \"n\" { source = \"./n\" }\n"),
        ("m_override.mesh.hcl", "module \"n\" { source = \"far:${var.v}\" }\n"),
        ("/cache/r-1/main.mesh.hcl", "locals { a = 1 }\n"),
        ("/cache/1/main.mesh.hcl", "locals { a = 1 }\n"),
    ];
    let loaded = load(&files, &[]);
    let mut found = dirs(&loaded);
    found.sort();
    assert_eq!(found, ["/cache/1", "/cache/r-1", "/s"]);
}

#[test]
fn a_long_chain_of_local_values_is_an_error_and_not_the_end_of_the_stack() {
    let chain = |length: usize| {
        let locals: String = (0..length).map(|i| format!("  l{i} = local.l{}\n", i + 1)).collect();
        let text = format!("locals {{\n{locals}  l{length} = \"far:r\"\n}}\nmodule \"m\" {{ source = local.l0 }}\n");
        load(&[("main.mesh.hcl", &text), ("/cache/r/main.mesh.hcl", "locals { a = 1 }\n")], &[])
    };
    assert_eq!(dirs(&chain(150)), ["/s", "/cache/r"]);
    let loaded = chain(50_000);
    assert!(loaded.lines.len() == 1 && loaded.lines[0].ends_with("Local values too deep"), "{:?}", loaded.lines);
}
