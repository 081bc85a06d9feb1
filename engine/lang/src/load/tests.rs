//! Loading from memory: files in, rendered diagnostics out (`code line:column summary`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mesh_model::{Mode, Sources, Value};

use super::*;
use crate::{Ignore, Subject, Target};

mod json;
mod overrides;

struct Memory(BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let files: Vec<PathBuf> = self.0.keys().filter(|p| p.parent() == Some(dir)).cloned().collect();
        if files.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "not found")) } else { Ok(files) }
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        self.0.get(file).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not found"))
    }
}

fn load_files(files: &[(&str, &str)]) -> (Option<Config>, Vec<String>, Diagnostics) {
    let files = Memory(files.iter().map(|(n, t)| (PathBuf::from("/s").join(n), (*t).to_owned())).collect());
    let mut sources = Sources::default();
    let options = LoadOptions::new(Path::new("/s"));
    let (config, diagnostics) = load_from(&files, options, &mut sources);
    let lines = diagnostics
        .iter()
        .map(|d| {
            let place = d.span.map_or_else(String::new, |s| sources.position(s).replace("main.mesh.hcl:", ""));
            format!("{} {place} {}", d.code.trim_start_matches("lang::"), d.summary)
        })
        .collect();
    (config, lines, diagnostics)
}

/// The diagnostics of one file.
fn check(text: &str, expected: &[&str]) {
    let (_, lines, diagnostics) = load_files(&[("main.mesh.hcl", text)]);
    assert_eq!(lines, expected, "{text}\n{diagnostics:?}");
}

/// The detail of the only diagnostic of one file.
fn detail(text: &str) -> String {
    let (_, _, diagnostics) = load_files(&[("main.mesh.hcl", text)]);
    assert_eq!(diagnostics.0.len(), 1, "{diagnostics:?}");
    diagnostics.0.into_iter().map(|d| d.detail).collect()
}

fn good(text: &str) -> Config {
    let (config, lines, diagnostics) = load_files(&[("main.mesh.hcl", text)]);
    assert!(lines.is_empty(), "{diagnostics:?}");
    config.expect("a configuration without errors")
}

#[test]
fn decodes_every_block() {
    let config = good(
        r#"
mesh {
  required_version = ">= 0.1"
  backend "local" { path = "x" }
}
provider "vault" { address = var.address }
provider "vault" {
  alias = "team"
}
variable "address" {
  type        = string
  description = "Where Vault is."
  default     = "https://x"
  validation {
    condition     = startswith(var.address, "https://")
    error_message = "Must be https."
  }
}
variable "ports" {
  type = list(object({ name = string, port = optional(number, 80) }))
  nullable  = false
  sensitive = true
}
locals {
  a = 1
  b = local.a
}
resource "vault_policy" "p" {
  for_each   = { x = 1 }
  provider   = vault.team
  name       = each.key
  depends_on = [vault_mount.m, data.vault_x.d]
  lifecycle {
    create_before_destroy = true
    prevent_destroy       = var.address != ""
    ignore_changes        = [name, tags["a.b"], spec[0].x]
    replace_triggered_by  = [vault_mount.m[0].id]
    on_existing           = "adopt"
    postcondition {
      condition     = self.name != ""
      error_message = "empty"
    }
  }
  dynamic "rule" {
    for_each = [1]
    content { value = rule.value }
  }
}
resource "vault_mount" "m" { count = 2 }
data "vault_x" "d" {}
output "o" {
  value     = [for p in vault_policy.p : p.name]
  sensitive = true
}
"#,
    );
    let root = config.root();
    assert_eq!(root.settings.backend.as_ref().map(|(t, b)| (t.as_str(), b.attributes.len())), Some(("local", 1)));
    assert_eq!(root.providers[1].alias.as_deref(), Some("team"));
    let p = &root.resources[0];
    assert_eq!((p.mode, p.depends_on.len(), p.lifecycle.postconditions.len()), (Mode::Managed, 2, 1));
    let Ignore::Paths(paths) = &p.lifecycle.ignore_changes else { panic!("paths were given") };
    assert_eq!(paths.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(), ["name", "tags[\"a.b\"]", "spec[0].x"]);
    assert_eq!(p.lifecycle.replace_triggered_by[0].references()[0].rest.len(), 2);
    let subjects: Vec<String> = crate::body_references(&p.body).iter().map(|r| r.subject.to_string()).collect();
    assert_eq!(subjects, ["each.key"]);
    let ports = root.variable("ports").expect("declared");
    let given = Value::tuple(vec![Value::object([("name", Value::string("a"))])]);
    let port = ports.ty.convert(&given).expect("converts");
    assert_eq!(crate::expr::show(&port), r#"tolist([ { "name" = "a" "port" = 80 } ])"#);
    assert_eq!(
        root.output("o").map(|o| o.value.references()[0].subject.clone()),
        Some(Subject::Resource { mode: Mode::Managed, ty: "vault_policy".into(), name: "p".into() })
    );
}

#[test]
fn reports_undeclared_names_with_suggestions() {
    check(
        "variable \"region\" {}\noutput \"a\" { value = var.regoin }\noutput \"b\" { value = local.x }\n\
         output \"c\" { value = x_y.z }\noutput \"d\" { value = module.m.o }\n",
        &[
            "reference 2:22 No such variable",
            "reference 3:22 No such local value",
            "reference 4:22 No such resource",
            "reference 5:22 No such module call",
        ],
    );
    // What could not be read may declare it.
    check("locals { x = 1 \n y = 2 }\noutput \"b\" { value = local.x }\n", &["syntax 1:16 Invalid syntax"]);
    assert!(detail("variable \"region\" {}\nlocals { a = var.regoin }").contains("Did you mean \"region\"?"));
    assert!(detail("data \"a_b\" \"c\" {}\nlocals { a = a_b.c }").contains("Did you mean \"data.a_b.c\"?"));
    assert!(detail("locals { a = uper(\"x\") }").contains("Did you mean \"upper\"?"));
    assert!(detail("resorce \"a\" \"b\" {}").contains("Did you mean \"resource\"?"));
    assert!(detail("variable \"a\" { defualt = 1 }").contains("Did you mean \"default\"?"));
    assert!(detail("variable \"a\" { type = strng }").contains("Did you mean \"string\"?"));
}

#[test]
fn reports_duplicates_with_the_first_place() {
    let (_, lines, diagnostics) = load_files(&[
        ("a.mesh.hcl", "locals { x = 1 }\nvariable \"v\" {}\noutput \"o\" { value = 1 }\nresource \"a\" \"b\" {}\n"),
        ("b.mesh.hcl", "locals { x = 2 }\nvariable \"v\" {}\noutput \"o\" { value = 1 }\nresource \"a\" \"b\" {}\n"),
    ]);
    assert_eq!(
        lines,
        [
            "duplicate b.mesh.hcl:1:10 Duplicate definition",
            "duplicate b.mesh.hcl:2:1 Duplicate definition",
            "duplicate b.mesh.hcl:3:1 Duplicate definition",
            "duplicate b.mesh.hcl:4:1 Duplicate definition",
        ]
    );
    assert!(diagnostics.iter().all(|d| d.related.len() == 1));
}

#[test]
fn reports_misused_meta_arguments() {
    check(
        "resource \"a\" \"b\" {\n  count    = 1\n  for_each = {}\n}\n",
        &["conflict 3:3 Invalid combination of count and for_each"],
    );
    check(
        "resource \"a\" \"b\" {\n  x = each.key\n  y = count.index\n  z = self.x\n}\n",
        &[
            "reference 2:7 Reference not possible here",
            "reference 3:7 Reference not possible here",
            "reference 4:7 Reference not possible here",
        ],
    );
    check("resource \"a\" \"b\" {\n  for_each = [each.key]\n}\n", &["reference 2:15 Reference not possible here"]);
    check("resource \"a\" \"b\" {\n  x = a.b.y\n}\n", &["reference 2:7 Self-referential block"]);
    check("resource \"a\" \"b\" {\n  provider = vault.x\n}\n", &["provider 2:14 Provider configuration not present"]);
    check("resource \"a\" \"b\" {\n  depends_on = [\"a.c\"]\n}\n", &["reference 2:17 Invalid expression"]);
    check(
        "resource \"a\" \"b\" {\n  lifecycle {\n    prevnt_destroy = true\n  }\n}\n",
        &["unexpected 3:5 Unsupported argument"],
    );
    check(
        "resource \"a\" \"b\" {\n  lifecycle {\n    ignore_changes = [\"a\"]\n    on_existing = \"steal\"\n  }\n}\n",
        &["value 3:23 Invalid value", "value 4:19 Invalid value"],
    );
    check(
        "resource \"a\" {}\nresource \"a\" \"b c\" {}\n",
        &["labels 1:1 Wrong number of block labels", "name 2:14 Invalid name"],
    );
}

#[test]
fn reports_wrong_variables_and_calls() {
    check(
        "variable \"a\" {\n  type    = number\n  default = \"x\"\n}\n",
        &["type 3:13 Invalid default value for variable"],
    );
    check("variable \"a\" {\n  default = var.b\n}\n", &["expression 2:13 Reference not allowed"]);
    check(
        "variable \"a\" {\n  type = list\n}\nvariable \"b\" {\n  type = set\n}\nvariable \"c\" {\n  type = \"string\"\n}\n",
        &["type 5:10 Invalid type specification", "type 8:10 Invalid type specification"],
    );
    check("variable \"count\" {}\n", &["name 1:1 Invalid variable name"]);
    check(
        "variable \"a\" {\n  default  = null\n  nullable = false\n}\n",
        &["value 2:14 Invalid default value for variable"],
    );
    check(
        "variable \"a\" {\n  validation {\n    condition     = true\n    error_message = \"x\"\n  }\n}\n",
        &["reference 3:21 Invalid condition"],
    );
    check(
        "output \"a\" { value = nosuch(1) }\noutput \"b\" { value = max() }\noutput \"c\" { value = upper(1, 2) }\n",
        &["expression 1:22 Call to unknown function", "expression 3:22 Wrong number of function arguments"],
    );
    check("output \"a\" {}\n", &["missing 1:1 Missing required argument"]);
    check(
        "terraform {}\nmovd {}\nx = 1\n",
        &[
            "unexpected 1:1 Unsupported block type",
            "unexpected 2:1 Unsupported block type",
            "unexpected 3:1 Unsupported argument",
        ],
    );
}

#[test]
fn checks_modules() {
    let child =
        "variable \"a\" {}\nvariable \"b\" {\n  type    = number\n  default = 1\n}\noutput \"o\" { value = var.a }\n";
    let (config, lines, _) = load_files(&[
        (
            "main.mesh.hcl",
            "module \"m\" {\n  source = \"./m\"\n  a      = 1\n}\nmodule \"n\" {\n  source = \"./m\"\n  count  = 2\n  a      = module.m.o\n}\noutput \"x\" { value = module.n[0].o }\n",
        ),
        ("m/main.mesh.hcl", child),
    ]);
    assert!(lines.is_empty(), "{lines:?}");
    let config = config.expect("loads");
    assert_eq!(config.modules.len(), 3);
    assert_eq!(config.root().calls.iter().map(|c| c.module).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((config.modules[2].parent, config.modules[2].path.join(".")), (Some(0), "n".to_owned()));

    let (_, lines, _) = load_files(&[
        (
            "main.mesh.hcl",
            "module \"m\" {\n  source = \"./m\"\n  aa     = 1\n  b      = \"x\"\n}\noutput \"x\" { value = module.m.p }\n",
        ),
        ("m/main.mesh.hcl", child),
    ]);
    assert_eq!(
        lines,
        [
            "reference 6:31 Unsupported attribute",
            "unexpected 3:12 Unsupported argument",
            "type 4:12 Invalid value for input variable",
            "missing 1:1 Missing required argument",
        ]
    );
    let (config, lines, _) = load_files(&[(
        "main.mesh.hcl",
        "module \"m\" {\n  source = \"./none\"\n}\nmodule \"g\" {\n  source = \"git::x\"\n}\n",
    )]);
    assert!(config.is_none());
    assert_eq!(lines, ["module 2:12 Module not readable", "module 5:12 Unsupported module source"]);
    let (_, lines, _) = load_files(&[
        ("main.mesh.hcl", "module \"m\" { source = \"./m\" }\n"),
        ("m/main.mesh.hcl", "module \"m\" { source = \"../m\" }\n"),
    ]);
    assert_eq!(lines, ["module m/1:23 Module calls itself"]);
}

#[test]
fn finds_several_syntax_errors_and_goes_on() {
    check(
        "resource \"a\" \"b\" {\n  x = [1, 2\n}\n\nresource \"a\" \"c\" {\n  y = \"open\n}\n\nvariable \"v\" {\n  a = 1 +\n  b = }\n\
         \nlocals {\n  ok = var.nope\n  x y\n  z = 1 2\n}\n",
        &[
            "syntax 2:7 Unclosed bracket",
            "syntax 6:7 Unclosed string",
            "syntax 10:9 Invalid syntax",
            "syntax 11:5 Missing value",
            "syntax 15:3 Invalid syntax",
            "syntax 16:9 Invalid syntax",
        ],
    );
    check("locals {\n  a = <<EOT\nx\n}\n", &["syntax 2:7 Unclosed heredoc"]);
    check("locals {\n  a = 1\n}}\n", &["syntax 3:2 Unexpected closing bracket"]);
    check("locals {\n  a = 1\n", &["syntax 1:8 Unclosed bracket"]);
    check("/* open\n", &["syntax 1:1 Unclosed comment"]);
}

#[test]
fn reports_an_argument_that_is_given_twice() {
    check(
        "locals {\n  a = 1\n  a = 2\n}\nresource \"a\" \"b\" {\n  x = 1\n  x = 2\n}\n",
        &["duplicate 3:3 Duplicate argument", "duplicate 7:3 Duplicate argument"],
    );
}

#[test]
fn a_flood_of_errors_stays_linear() {
    let text: String = (0..20_000).map(|i| format!("resource \"a\" \"r{i}\" {{\n  x = a.q{i}.y\n}}\n")).collect();
    let (_, lines, _) = load_files(&[("main.mesh.hcl", &text)]);
    assert_eq!(lines.len(), 20_000);
}

#[test]
fn refuses_hostile_input_cleanly() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{a=", "}"), ("!", ""), ("-", ""), ("f(", ")"), ("\"${", "}\"")] {
        let text = format!("locals {{\n  a = {}1{}\n}}\n", open.repeat(100_000), close.repeat(100_000));
        let (_, lines, _) = load_files(&[("main.mesh.hcl", &text)]);
        assert!(!lines.is_empty(), "{open}");
    }
    let text = format!("locals {{\n  a = {}\n", "[".repeat(100_000));
    check(&text, &["syntax 2:100006 Unclosed bracket"]);
    check(&format!("{}{}\n", "a {\n".repeat(100_000), "}\n".repeat(100_000)), &["syntax 81:3 Too deeply nested"]);
    check("\u{feff}locals { a = 1 }\r\nlocals {\r\n  b = 2\r\n}\r\n", &[]);
    check("locals {\n  a = \u{0}\n}\n", &["syntax 2:7 Invalid syntax"]);
    let steps = format!("locals {{ a = local.b{} }}\n", ".c".repeat(100_000));
    check(&steps, &["expression 1:14 Too many steps"]);
    let options = LoadOptions::new(Path::new("/does/not/exist"));
    let (config, diagnostics) = load(options, &mut Sources::default());
    assert!(config.is_none() && diagnostics.has_errors());
}

#[test]
fn reads_a_folder_and_says_where_text_is_not_utf8() {
    let dir = std::env::temp_dir().join(format!("mesh-lang-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary folder");
    std::fs::write(dir.join("a.mesh.hcl"), "locals { a = 1 }\n").expect("written");
    std::fs::write(dir.join(".hidden.mesh.hcl"), "broken {").expect("written");
    std::fs::write(dir.join("readme.txt"), "no").expect("written");
    let options = LoadOptions { display: "stack", ..LoadOptions::new(&dir) };
    let mut sources = Sources::default();
    let (config, diagnostics) = load(options, &mut sources);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(config.map(|c| c.root().locals.len()), Some(1));
    assert_eq!(sources.iter().map(|s| s.name.clone()).collect::<Vec<_>>(), ["stack/a.mesh.hcl"]);
    std::fs::write(dir.join("b.mesh.hcl"), b"locals {\n  a = \"\xff\"\n}\n").expect("written");
    let (_, diagnostics) = load(options, &mut Sources::default());
    assert!(
        diagnostics.0[0].detail.contains("b.mesh.hcl cannot be read: line 2 is not valid UTF-8"),
        "{diagnostics:?}"
    );
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn refactoring_blocks_name_what_need_not_be_declared() {
    let config = good(
        "moved {\n  from = a.x\n  to   = module.m[\"k\"].a.y[0]\n}\nmoved {\n  from = module.p\n  to   = module.q[1].module.r\n}\n\
         removed {\n  from = module.gone.a.z\n  lifecycle { destroy = false }\n}\n\
         resource \"a\" \"i\" { for_each = {} }\nimport {\n  for_each = { k = 1 }\n  to = a.i[each.key]\n  id = \"id-${each.value}\"\n}\n\
         check \"c\" {\n  data \"a\" \"d\" {}\n  assert {\n    condition     = data.a.d.ok\n    error_message = \"x\"\n  }\n}\n\
         provider \"p\" {\n  alias    = \"by\"\n  for_each = { x = 1 }\n  v = each.value\n}\n\
         resource \"a\" \"p\" { provider = p.by[\"x\"] }\n",
    );
    let root = config.root();
    let shown = |t: &Target| match t {
        Target::Module(m) => m.to_string(),
        Target::Resource(a) => a.to_string(),
    };
    let moved: Vec<String> = root.moved.iter().map(|m| format!("{} -> {}", shown(&m.from), shown(&m.to))).collect();
    assert_eq!(moved, ["a.x -> module.m[\"k\"].a.y[0]", "module.p -> module.q[1].module.r"]);
    assert_eq!((shown(&root.removed[0].from).as_str(), root.removed[0].destroy), ("module.gone.a.z", false));
    assert!(root.imports[0].key.is_some() && root.imports[0].for_each.is_some());
    assert_eq!(root.resource(Mode::Data, &"a".into(), &"d".into()).and_then(|r| r.check), Some(0));
    assert!(root.providers[0].for_each.is_some());
    assert!(root.resources.iter().any(|r| r.provider.as_ref().is_some_and(|p| p.key.is_some())));
}

#[test]
fn reports_wrong_refactoring_blocks() {
    let one = |text: &str, want: &str| check(text, &[want]);
    one("moved {\n  from = a.x\n  to = a.x\n}\n", "moved 1:1 Invalid move");
    one("moved {\n  from = a.x\n  to = b.x\n}\n", "moved 1:1 Invalid move");
    one("moved {\n  from = a.x\n  to = module.m\n}\n", "moved 1:1 Invalid move");
    one("moved {\n  from = \"a.x\"\n  to = a.y\n}\n", "address 2:10 Invalid address");
    one("moved {\n  from = data.a.x\n  to = a.y\n}\n", "address 2:10 Invalid address");
    one("moved {\n  from = a.x[var.k]\n  to = a.y\n}\n", "address 2:10 Invalid address");
    one("removed {\n  from = a.x[0]\n}\n", "address 2:10 Invalid address");
    one("resource \"a\" \"x\" {}\nremoved {\n  from = a.x\n}\n", "removed 1:1 Removed, but still there");
    one("import {\n  to = a.x\n  id = \"1\"\n}\n", "import 2:8 Import into nothing");
    one(
        "resource \"a\" \"x\" { count = 1 }\nimport {\n  to = a.x\n  id = \"1\"\n}\n",
        "import 3:8 Import into nothing",
    );
    one("check \"c\" {}\n", "missing 1:1 Missing required block");
    one(
        "check \"c\" {\n  data \"a\" \"d\" {}\n  assert {\n    condition = data.a.d.ok\n    error_message = \"x\"\n  }\n}\n\
         output \"o\" { value = data.a.d.id }\n",
        "reference 8:22 Reference to a data source of a check",
    );
    one("provider \"p\" { for_each = {} }\n", "provider 1:1 Missing alias");
    one("mesh { required_version = \">= 99\" }\n", "version 1:27 Unsupported version of mesh");
    one("mesh { required_version = \"newest\" }\n", "version 1:27 Invalid version constraint");
    let child = [
        ("main.mesh.hcl", "module \"m\" {\n  source = \"./m\"\n  v = 1\n}\n"),
        ("m/m.mesh.hcl", "mesh {\n  required_version = \"> 9\"\n}\nvariable \"v\" { deprecated = \"use w\" }\n"),
    ];
    let (_, lines, _) = load_files(&child);
    assert_eq!(lines, ["version m/m.mesh.hcl:2:22 Unsupported version of mesh", "deprecated 3:7 Deprecated variable"]);
}
