//! Test files: what they become, and what is wrong with them.

use mesh_model::{Diagnostics, Sources};

use super::parse_test;
use crate::{Target, TestFile};

fn read(text: &str, name: &str) -> (TestFile, Diagnostics) {
    parse_test(text, name, &mut Sources::default())
}

/// One line for everything in a file.
fn summary(file: &TestFile) -> Vec<String> {
    let mut out: Vec<String> = file.variables.iter().map(|(n, _)| format!("var {n}")).collect();
    out.extend(file.providers.iter().map(|p| format!("provider {} {:?}", p.name, p.alias.as_deref())));
    for mock in &file.mocks {
        let types: Vec<String> =
            mock.types.iter().map(|t| format!("{}{}", if t.data { "data " } else { "" }, t.ty)).collect();
        let alias = mock.alias.as_deref().unwrap_or_default();
        out.push(format!(
            "mock {} {alias} {} early {} over {}",
            mock.name,
            types.join("+"),
            mock.during_plan,
            mock.overrides.len()
        ));
    }
    for one in &file.overrides {
        let target = match &one.target {
            Target::Module(path) => path.to_string(),
            Target::Resource(address) => address.to_string(),
        };
        out.push(format!("override {target} {:?}", one.during_plan));
    }
    for run in &file.runs {
        out.push(format!(
            "run {} apply {} vars {} asserts {} fails {} module {:?} key {:?} providers {} over {} options {} {} {:?} {}",
            run.name,
            run.apply,
            run.variables.len(),
            run.asserts.len(),
            run.expect_failures.len(),
            run.module.as_ref().map(|(s, _)| s),
            run.state_key,
            run.providers.len(),
            run.overrides.len(),
            run.options.refresh_only,
            run.options.no_refresh,
            run.options.replace.iter().map(ToString::to_string).collect::<Vec<_>>(),
            run.options.targets.len(),
        ));
    }
    out
}

const WHOLE: &str = r#"
variables { a = 1 }
provider "vault" { alias = "real" }
mock_provider "vault" {
  alias           = "fake"
  override_during = plan
  mock_resource "vault_policy" { defaults = { id = "x" } }
  mock_data "vault_health" {}
  override_data { target = data.vault_health.main }
}
override_module {
  target          = module.a.module.b
  override_during = apply
  outputs         = { x = 1 }
}
run "first" {}
run "second" {
  command         = plan
  variables { a = run.first.x }
  state_key       = "k"
  parallel        = true
  expect_failures = [var.a, check.c, data.x.y]
  providers       = { vault = vault.fake }
  module { source = "./m" }
  plan_options {
    mode    = refresh-only
    refresh = false
    replace = [terraform_data.a["k"]]
    target  = [module.m, terraform_data.a]
  }
  override_resource { target = module.a.terraform_data.x }
  assert {
    condition     = output.x == 1
    error_message = "no"
  }
}"#;

const JSON: &str = r#"{
  "variables": { "a": 1 },
  "provider": { "vault": { "alias": "real" } },
  "mock_provider": { "vault": {
    "alias": "fake",
    "override_during": "plan",
    "mock_resource": { "vault_policy": { "defaults": { "id": "x" } } },
    "mock_data": { "vault_health": {} },
    "override_data": { "target": "data.vault_health.main" }
  } },
  "override_module": { "target": "module.a.module.b", "override_during": "apply", "outputs": { "x": 1 } },
  "run": [
    { "first": {} },
    { "second": {
      "command": "plan",
      "variables": { "a": "${run.first.x}" },
      "state_key": "k",
      "parallel": true,
      "expect_failures": ["var.a", "check.c", "data.x.y"],
      "providers": { "vault": "vault.fake" },
      "module": { "source": "./m" },
      "plan_options": {
        "mode": "refresh-only",
        "refresh": false,
        "replace": ["terraform_data.a[\"k\"]"],
        "target": ["module.m", "terraform_data.a"]
      },
      "override_resource": { "target": "module.a.terraform_data.x" },
      "assert": { "condition": "${output.x == 1}", "error_message": "no" }
    } }
  ]
}"#;

#[test]
fn everything_is_read_in_both_syntaxes() {
    let (file, found) = read(WHOLE, "a.meshtest.hcl");
    assert!(found.is_empty(), "{found:?}");
    let lines = summary(&file);
    assert_eq!(
        lines,
        [
            "var a",
            "provider vault Some(\"real\")",
            "mock vault fake vault_policy+data vault_health early true over 1",
            "override module.a.module.b Some(false)",
            "run first apply true vars 0 asserts 0 fails 0 module None key None providers 0 over 0 options false false [] 0",
            "run second apply false vars 1 asserts 1 fails 3 module Some(\"./m\") key Some(\"k\") providers 1 over 1 options true true [\"terraform_data.a[\\\"k\\\"]\"] 2",
        ]
    );
    let (json, found) = read(JSON, "a.meshtest.json");
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(summary(&json), lines);
}

#[test]
fn each_mistake_is_one_clear_error() {
    for (text, code, part) in [
        ("x = 1", "lang::unexpected", "variables block"),
        ("rum \"a\" {}", "lang::unexpected", "Did you mean \"run\"?"),
        ("run {}", "lang::labels", "run \"name\""),
        ("run \"a b\" {}", "lang::name", "\"a b\""),
        ("run \"a\" {}\nrun \"a\" {}", "lang::duplicate", "The run \"a\""),
        ("variables {}\nvariables {}", "lang::duplicate", "variables block"),
        ("run \"a\" { command = destroy }", "lang::value", "apply, plan"),
        ("run \"a\" { comand = plan }", "lang::unexpected", "Did you mean \"command\"?"),
        ("run \"a\" { expect_failures = var.x }", "lang::reference", "list of references"),
        (
            "run \"a\" {\n assert {\n  condition = true\n  error_message = \"x\"\n }\n}",
            "lang::reference",
            "refers to nothing",
        ),
        ("run \"a\" {\n module {}\n}", "lang::missing", "source"),
        ("run \"a\" { providers = { x = x.y } }", "lang::provider", "x.y"),
        ("run \"a\" {\n plan_options { replace = [module.a] }\n}", "lang::address", "not modules"),
        ("run \"a\" {\n plan_options { mode = destroy }\n}", "lang::value", "normal, refresh-only"),
        ("override_module { target = a.b }", "lang::address", "a module call"),
        ("override_data { target = a.b }", "lang::address", "a data source"),
        ("override_resource { target = a.b[0] }", "lang::address", "without a key"),
        ("override_resource {}", "lang::missing", "target"),
        ("mock_provider \"x\" {}\nprovider \"x\" {}", "lang::duplicate", "already"),
        ("mock_provider \"x\" { override_during = never }", "lang::value", "apply, plan"),
        ("mock_provider \"x\" {\n mock_resource {}\n}", "lang::labels", "mock_resource"),
        ("run \"a\" {", "lang::syntax", ""),
    ] {
        let (_, found) = read(text, "a.meshtest.hcl");
        let list: Vec<String> = found.iter().map(|d| format!("{} {}", d.code, d.detail)).collect();
        assert_eq!(list.len(), 1, "{text}: {list:?}");
        assert!(list[0].starts_with(code) && list[0].contains(part), "{text}: {list:?}");
        assert!(found.iter().all(|d| d.span.is_some()), "{text}");
    }
}
