//! Override files: a base, an override, and what comes of it; the answers are the field's.

use super::*;
use crate::expr::{TestScope, show};

fn merged(base: &str, over: &str) -> (Option<Config>, Vec<String>) {
    let (config, lines, _) = load_files(&[("main.mesh.hcl", base), ("x_override.mesh.hcl", over)]);
    (config, lines.iter().map(|l| l.replace("x_override.mesh.hcl:", "over ")).collect())
}

fn good_merge(base: &str, over: &str) -> Config {
    let (config, lines) = merged(base, over);
    assert!(lines.is_empty(), "{lines:?}");
    config.expect("a configuration without errors")
}

fn check_merge(base: &str, over: &str, expected: &[&str]) {
    let (_, lines) = merged(base, over);
    assert_eq!(lines, expected, "{base}\n{over}");
}

/// The attributes of a body with their values, and its blocks with theirs.
fn shown(body: &crate::Body) -> String {
    let value = |e: &crate::Expr| e.eval(&TestScope::new()).map_or_else(|_| "!".to_owned(), |v| show(&v));
    let attributes = body.attributes.iter().map(|a| format!("{}={}", a.name, value(&a.expr)));
    let blocks = body.blocks.iter().map(|b| {
        let kind = if b.dynamic.is_some() { "dynamic " } else { "" };
        format!("{kind}{}{{{}}}", b.name, shown(&b.body))
    });
    attributes.chain(blocks).collect::<Vec<_>>().join(" ")
}

#[test]
fn arguments_replace_arguments_and_blocks_all_of_their_type() {
    let base = "resource \"a\" \"b\" {\n  x = 1\n  y = 1\n  rule { p = 1 }\n  rule { p = 2 }\n  dynamic \"rule\" {\n    \
                for_each = [1]\n    content { p = 3 }\n  }\n  other { q = 1 }\n}\n";
    for (over, expected) in [
        ("resource \"a\" \"b\" { x = 2 }", "y=1 x=2 rule{p=1} rule{p=2} dynamic rule{p=3} other{q=1}"),
        ("resource \"a\" \"b\" {\n  rule { p = 9 }\n}", "x=1 y=1 other{q=1} rule{p=9}"),
        (
            "resource \"a\" \"b\" {\n  dynamic \"other\" {\n    for_each = [1]\n    content { q = 2 }\n  }\n}",
            "x=1 y=1 rule{p=1} rule{p=2} dynamic rule{p=3} dynamic other{q=2}",
        ),
        (
            "resource \"a\" \"b\" { z = 1 }\nresource \"a\" \"b\" { z = 2 }",
            "x=1 y=1 z=2 rule{p=1} rule{p=2} dynamic rule{p=3} other{q=1}",
        ),
    ] {
        assert_eq!(shown(&good_merge(base, over).root().resources[0].body), expected, "{over}");
    }
    let (config, lines, _) = load_files(&[
        ("main.mesh.hcl", base),
        ("override.mesh.json", r#"{"resource": {"a": {"b": {"rule": [{"p": 7}], "other": null, "y": null}}}}"#),
    ]);
    assert!(lines.is_empty(), "{lines:?}");
    let config = config.expect("loads");
    assert_eq!(shown(&config.root().resources[0].body), "x=1 rule=[ { \"p\" = 7 } ] y=null other{q=1}");
}

#[test]
fn files_are_merged_in_the_order_of_their_names() {
    let (config, lines, _) = load_files(&[
        ("zz.mesh.hcl", "resource \"a\" \"b\" { x = \"base\" }\noutput \"o\" { value = 1 }\n"),
        ("b_override.mesh.hcl", "resource \"a\" \"b\" { x = \"b\" }\nresource \"a\" \"b\" { y = \"b2\" }\n"),
        (
            "override.mesh.json",
            r#"{"resource": {"a": {"b": {"x": "json", "lifecycle": {"create_before_destroy": true}}}}}"#,
        ),
        (
            "override.mesh.hcl",
            "resource \"a\" \"b\" { x = \"o\" }\noutput \"o\" {\n  value     = 7\n  sensitive = true\n}\n",
        ),
        ("not_overridee.mesh.hcl", "locals { n = 1 }\n"),
    ]);
    assert!(lines.is_empty(), "{lines:?}");
    let config = config.expect("loads");
    let root = config.root();
    assert_eq!(shown(&root.resources[0].body), "y=\"b2\" x=\"json\"");
    assert!(root.resources[0].lifecycle.create_before_destroy);
    let output = root.output("o").expect("declared");
    assert_eq!((output.value.constant().as_ref().map(show).as_deref(), output.sensitive), (Some("7"), true));
}

#[test]
fn meta_arguments_are_merged_one_by_one() {
    let base = "resource \"a\" \"b\" {\n  count    = 2\n  provider = v.one\n  x        = count.index\n  depends_on = [a.c]\n  \
                lifecycle {\n    create_before_destroy = true\n    ignore_changes = [x]\n    prevent_destroy = true\n    \
                precondition {\n      condition = a.c.x != 2\n      error_message = \"no\"\n    }\n  }\n}\n\
                resource \"a\" \"c\" {}\nprovider \"v\" {\n  alias = \"one\"\n  p = 1\n}\nprovider \"v\" {\n  alias = \"two\"\n}\n";
    let over = "resource \"a\" \"b\" {\n  for_each = { k = 1 }\n  provider = v.two\n  x        = each.key\n  lifecycle {\n    \
                prevent_destroy = false\n    ignore_changes = []\n  }\n}\nprovider \"v\" {\n  alias = \"one\"\n  q = 2\n}\nprovider \"w\" {}\n";
    let config = good_merge(base, over);
    let b = &config.root().resources[0];
    assert!(b.count.is_none() && b.for_each.is_some());
    assert_eq!(b.provider.as_ref().and_then(|p| p.alias.as_deref()), Some("two"));
    assert_eq!((b.depends_on.len(), b.lifecycle.preconditions.len(), b.lifecycle.create_before_destroy), (1, 1, true));
    let prevent = b.lifecycle.prevent_destroy.as_ref().and_then(crate::Expr::constant).and_then(|v| v.as_bool());
    assert_eq!(prevent, Some(false));
    assert!(matches!(&b.lifecycle.ignore_changes, Ignore::Paths(p) if p.len() == 1));
    assert_eq!(config.root().providers.iter().map(|p| shown(&p.body)).collect::<Vec<_>>(), ["p=1 q=2", "", ""]);
    // What stays is checked against what is merged.
    let base = "resource \"a\" \"b\" {\n  count = 1\n  x     = count.index\n}\n";
    check_merge(base, "resource \"a\" \"b\" { for_each = {} }\n", &["reference 3:11 Reference not possible here"]);
    check_merge(base, "resource \"a\" \"b\" { y = each.key }\n", &["reference over 1:24 Reference not possible here"]);
    good_merge("resource \"a\" \"b\" { x = each.key }\n", "resource \"a\" \"b\" { for_each = {} }\n");
}

#[test]
fn variables_are_merged_and_their_defaults_converted_again() {
    let base = "variable \"v\" {\n  type        = number\n  default     = 5\n  sensitive   = true\n  description = \"d\"\n  \
                validation {\n    condition     = var.v != 2\n    error_message = \"base\"\n  }\n}\n";
    let config = good_merge(base, "variable \"v\" {\n  type      = string\n  sensitive = false\n}\n");
    let v = config.root().variable("v").expect("declared");
    assert_eq!(v.default.as_ref().map(show).as_deref(), Some("\"5\""));
    assert_eq!((v.sensitive, v.description.as_deref(), v.validations.len()), (false, Some("d"), 1));
    let config = good_merge(base, "variable \"v\" { default = \"7\" }\n");
    assert_eq!(config.root().variable("v").and_then(|v| v.default.as_ref()).map(show).as_deref(), Some("7"));
    let wrong = "type over 1:1 Invalid default value for variable";
    check_merge(base, "variable \"v\" { type = list(string) }\n", &[wrong]);
    check_merge(base, "variable \"v\" { default = \"abc\" }\n", &[wrong]);
    check_merge(
        base,
        "variable \"v\" { default = null }\nvariable \"v\" { nullable = false }\n",
        &["type over 2:1 Invalid default value for variable"],
    );
}

#[test]
fn what_is_replaced_is_no_longer_checked() {
    let config = good_merge(
        "locals { a = nope.x }\noutput \"o\" {\n  value       = var.nope\n  description = \"d\"\n}\nresource \"a\" \"b\" { x = local.nope }\n",
        "locals { a = 5 }\noutput \"o\" { value = local.a }\nresource \"a\" \"b\" { x = 1 }\n",
    );
    assert_eq!(config.root().output("o").and_then(|o| o.description.as_deref()), Some("d"));
    check_merge("locals { a = 1 }\n", "locals { a = nope.x }\n", &["reference over 1:14 No such resource"]);
}

#[test]
fn modules_and_settings_are_merged() {
    let child = "variable \"a\" {}\nvariable \"b\" {}\noutput \"x\" { value = \"${var.a}${var.b}\" }\n";
    let (config, lines, _) = load_files(&[
        (
            "main.mesh.hcl",
            "mesh {\n  required_version = \">= 0.1\"\n  backend \"local\" { path = \"a\" }\n}\nmodule \"m\" {\n  source = \"./m\"\n  \
             count = 1\n  a = \"base\"\n  b = \"base\"\n}\noutput \"o\" { value = module.m }\n",
        ),
        (
            "override.mesh.hcl",
            "mesh {\n  required_version = \"< 99.0\"\n  backend \"local\" { path = \"b\" }\n}\nmodule \"m\" {\n  source = \"./n\"\n  b = \"over\"\n}\n",
        ),
        ("m/main.mesh.hcl", "output \"nothing\" { value = 1 }\n"),
        ("n/main.mesh.hcl", child),
    ]);
    assert!(lines.is_empty(), "{lines:?}");
    let config = config.expect("loads");
    let root = config.root();
    let inputs: Vec<_> =
        root.calls[0].inputs.iter().map(|(n, e)| (&**n, e.constant().as_ref().map(show).unwrap_or_default())).collect();
    assert_eq!(inputs, [("a", "\"base\"".to_owned()), ("b", "\"over\"".to_owned())]);
    assert_eq!((config.modules[1].outputs[0].name.as_ref(), root.calls[0].count.is_some()), ("x", true));
    assert_eq!(root.settings.required_version.as_ref().map(|(v, _)| v.as_str()), Some(">= 0.1, < 99.0"));
    assert_eq!(root.settings.backend.as_ref().map(|(_, b)| shown(b)).as_deref(), Some("path=\"b\""));
}

#[test]
fn only_what_is_there_can_be_overridden() {
    check_merge(
        "locals {}\n",
        "variable \"q\" { default = \"abc\" }\nlocals { q = 5 }\noutput \"q\" {}\nresource \"a\" \"q\" {}\ndata \"a\" \"q\" {}\n\
         module \"q\" {}\nprovider \"v\" {}\nprovider \"v\" { alias = \"q\" }\n",
        &[
            "override over 1:1 Nothing to override",
            "override over 2:10 Nothing to override",
            "override over 3:1 Nothing to override",
            "override over 4:1 Nothing to override",
            "override over 5:1 Nothing to override",
            "override over 6:1 Nothing to override",
            "override over 8:1 Nothing to override",
        ],
    );
    check_merge(
        "locals {}\nvariable \"v\" {}\noutput \"o\" { value = 1 }\nresource \"a\" \"b\" {}\n",
        "moved {\n  from = a.x\n  to   = a.y\n}\nremoved { from = a.x }\nimport {\n  to = a.b\n  id = \"a\"\n}\n\
         check \"c\" {\n  assert {\n    condition = a.b.x\n    error_message = \"x\"\n  }\n}\n\
         variable \"v\" {\n  validation {\n    condition = var.v != 1\n    error_message = \"x\"\n  }\n}\n\
         output \"o\" {\n  depends_on = [a.b]\n  precondition {\n    condition = a.b.x\n    error_message = \"x\"\n  }\n}\n\
         resource \"a\" \"b\" {\n  depends_on = []\n  lifecycle {\n    postcondition {\n      condition = self.x\n      error_message = \"x\"\n    }\n  }\n}\n\
         foo {}\noutput \"o\" { bogus = 1 }\n",
        &[
            "unexpected over 38:1 Unsupported block type",
            "unexpected over 39:14 Unsupported argument",
            "override over 1:1 Unsupported override",
            "override over 5:1 Unsupported override",
            "override over 6:1 Unsupported override",
            "override over 10:1 Unsupported override",
            "override over 17:3 Unsupported override",
            "override over 23:17 Unsupported override",
            "override over 24:3 Unsupported override",
            "override over 32:5 Unsupported override",
        ],
    );
}
