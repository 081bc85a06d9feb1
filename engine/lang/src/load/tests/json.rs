//! Configuration in JSON: the answers are those of the field for the same text in its own file names.

use super::*;
use crate::expr::{TestScope, show};

fn load_json(text: &str) -> (Option<Config>, Vec<String>, Diagnostics) {
    let (config, lines, diagnostics) = load_files(&[("main.mesh.json", text)]);
    (config, lines.iter().map(|l| l.replace("main.mesh.json:", "")).collect(), diagnostics)
}

fn check_json(text: &str, expected: &[&str]) {
    let (_, lines, diagnostics) = load_json(text);
    assert_eq!(lines, expected, "{text}\n{diagnostics:?}");
}

fn good_json(text: &str) -> Config {
    let (config, lines, diagnostics) = load_json(text);
    assert!(lines.is_empty(), "{diagnostics:?}");
    config.expect("a configuration without errors")
}

/// The value of a local, or `!` with the summary.
fn value(json: &str) -> String {
    let text = format!("{{\"locals\": {{\"v\": {json}, \"list\": [], \"obj\": {{}}, \"str\": 1}}}}");
    let (config, lines, diagnostics) = load_json(&text);
    let Some(local) = config.as_ref().and_then(|c| c.root().local("v")).filter(|_| lines.is_empty()) else {
        return format!("! {}", diagnostics.0.first().map_or("", |d| d.summary));
    };
    local.value.eval(&TestScope::new()).map_or_else(|e| format!("! {}", e.0[0].summary), |v| show(&v))
}

#[test]
fn texts_are_templates() {
    for (json, expected) in [
        (r#""${1+1}""#, "2"),
        (r#""x${1+1}""#, "\"x2\""),
        (r#""$${x} %%{q} $$ $ %""#, "\"${x} %{q} $$ $ %\""),
        (r#""${local.obj}""#, "{ \"a\" = 1 \"b\" = \"two\" \"c d\" = true }"),
        (r#""${{\"a\" = \"}\"}[\"a\"]}""#, "\"}\""),
        (r#""a\\n\"${\"b\\n\"}\"\n""#, r#""a\\n\"b\n\"\n""#),
        (r#""\u00e9\ud83d\ude00${local.str}""#, "\"é😀hello\""),
        (r#""a\n\n  ${~ 1 ~}\n\n  b""#, r#""a\n\n1\n  b""#),
        (r#""b %{ if true ~}\n yes \"%{ endif }$${q}""#, r#""b  yes \"${q}""#),
        (r#""%{ for a in [1,2]}${a}\\%{endfor}""#, r#""1\\2\\""#),
        (r#""${[for a in [1]: \n a]}""#, "[ 1 ]"),
        (
            r#"[1e3, -5, 12345678901234567890.123, null, true, "${true}"]"#,
            "[ 1000 -5 12345678901234567890.123 null true true ]",
        ),
        (r#"{"//": "kept", "${"k"}${1}": 1, "a b": 2}"#, "! Invalid JSON"),
        (r#"{"//": "kept", "${\"k\"}${1}": 1, "a b": 2}"#, "{ \"//\" = \"kept\" \"a b\" = 2 \"k1\" = 1 }"),
        (r#""""#, "\"\""),
        (r#""x${null}""#, "! Value has no text form"),
        (r#""${1 +""#, "! Invalid syntax"),
        (r#""${upper(""#, "! Invalid syntax"),
        (r#""%{ if true }x""#, "! Invalid syntax"),
    ] {
        assert_eq!(value(json), expected, "{json}");
    }
}

#[test]
fn every_block_can_be_written() {
    let config = good_json(
        r#"{
  "//": "A comment.",
  "mesh": {"required_version": ">= 0.1", "backend": {"local": {"path": "x"}}},
  "provider": {"vault": [{"address": "${var.address}"}, {"alias": "team"}]},
  "variable": {
    "address": {
      "type": "string", "description": "costs ${5}", "default": "x ${1+1}", "nullable": "false", "sensitive": true,
      "validation": [{"condition": "${var.address != \"\"}", "error_message": "is ${var.address}"}]
    },
    "ports": {"type": "list(object({ name = string, port = optional(number, 80) }))", "default": [{"name": "${x}"}]},
    "bare": {}
  },
  "locals": [{"a": 1, "//": 2}, {"b": "${local.a}"}],
  "resource": {
    "vault_policy": {"p": {
      "//": "A comment.",
      "for_each": {"x": 1},
      "provider": "vault.team",
      "name": "${each.key}",
      "depends_on": ["vault_mount.m", "data.vault_x.d"],
      "lifecycle": {
        "create_before_destroy": true,
        "prevent_destroy": "${var.address != \"\"}",
        "ignore_changes": ["name", "tags[\"a.b\"]", "spec[0].x"],
        "replace_triggered_by": ["vault_mount.m[0].id"],
        "on_existing": "adopt",
        "postcondition": {"condition": "${self.name != \"\"}", "error_message": "empty"}
      },
      "dynamic": {"rule": {"for_each": [1], "iterator": "it", "content": {"value": "${it.value}"}}}
    }},
    "vault_mount": {"m": {"count": "2", "lifecycle": {"ignore_changes": "all"}}}
  },
  "data": {"vault_x": {"d": {}}},
  "output": {"o": {"value": ["${vault_mount.m}"], "depends_on": ["vault_mount.m"], "sensitive": "true"}},
  "moved": [{"from": "vault_mount.old", "to": "vault_mount.m"}],
  "removed": {"from": "vault_mount.gone", "lifecycle": {"destroy": false}},
  "import": {"to": "vault_mount.m[1]", "id": "m-${1}"},
  "check": {"c": {"assert": {"condition": "${local.a == 1}", "error_message": "no"}}}
}"#,
    );
    let root = config.root();
    assert_eq!(root.settings.backend.as_ref().map(|(t, b)| (t.as_str(), b.attributes.len())), Some(("local", 1)));
    assert_eq!(root.providers[1].alias.as_deref(), Some("team"));
    let address = root.variable("address").expect("declared");
    assert_eq!(address.description.as_deref(), Some("costs ${5}"));
    assert_eq!(address.default.as_ref().map(show).as_deref(), Some("\"x ${1+1}\""));
    assert_eq!((address.nullable, address.sensitive, address.validations.len()), (false, true, 1));
    let ports = root.variable("ports").and_then(|v| v.default.as_ref()).map(show);
    assert_eq!(ports.as_deref(), Some(r#"tolist([ { "name" = "${x}" "port" = 80 } ])"#));
    let p = &root.resources[0];
    assert_eq!(p.provider.as_ref().and_then(|p| p.alias.as_deref()), Some("team"));
    assert_eq!((p.depends_on.len(), p.lifecycle.create_before_destroy, p.lifecycle.postconditions.len()), (2, true, 1));
    let Ignore::Paths(paths) = &p.lifecycle.ignore_changes else { panic!("paths were given") };
    assert_eq!(paths.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(), ["name", "tags[\"a.b\"]", "spec[0].x"]);
    assert_eq!(p.body.attributes.iter().map(|a| &*a.name).collect::<Vec<_>>(), ["name"]);
    assert_eq!(p.body.blocks.iter().map(|b| (&*b.name, b.dynamic.is_some())).collect::<Vec<_>>(), [("rule", true)]);
    assert!(matches!(root.resources[1].lifecycle.ignore_changes, Ignore::All));
    assert_eq!((root.moved.len(), root.removed[0].destroy, root.imports.len()), (1, false, 1));
    assert_eq!(root.checks[0].asserts.len(), 1);
}

#[test]
fn modules_hand_on_values_and_providers() {
    let (config, lines, _) = load_files(&[
        (
            "main.mesh.json",
            r#"{"provider": {"vault": {"alias": "team"}},
                "module": {"m": {"source": "./m", "a": "${1+1}", "providers": {"vault": "vault.team"}}},
                "output": {"x": {"value": "${module.m.o}"}}}"#,
        ),
        ("m/main.mesh.hcl", "variable \"a\" {}\n"),
        ("m/more.mesh.json", r#"[{"output": {"o": {"value": "${var.a}"}}}, {"output": {"p": {"value": 1}}}]"#),
    ]);
    assert!(lines.is_empty(), "{lines:?}");
    let config = config.expect("loads");
    let call = &config.root().calls[0];
    assert_eq!(call.providers.iter().map(|(_, o)| o.alias.as_deref()).collect::<Vec<_>>(), [Some("team")]);
    assert_eq!(config.modules[1].outputs.len(), 2);
}

#[test]
fn errors_stand_where_the_json_is_wrong() {
    for (json, expected) in [
        // Kinds of values, labels, names.
        (
            "{\"resource\": {\"a\": {\"b\": 5}},\n \"foo\": 1,\n \"variable\": \"x\",\n \"output\": {}}",
            &[
                "json 1:26 Wrong kind of JSON value",
                "json 3:14 Wrong kind of JSON value",
                "labels 4:2 Wrong number of block labels",
                "unexpected 2:2 Unsupported block type",
            ] as &[&str],
        ),
        ("5", &["json 1:1 Wrong kind of JSON value"]),
        ("[{}, 1]", &["json 1:6 Wrong kind of JSON value"]),
        ("{\"output\": {\"a b\": {\"value\": 1}}}", &["name 1:13 Invalid name"]),
        ("{\"locals\": {\"a b\": 1, \"null\": 2, \"for\": 3}}", &["name 1:13 Invalid name"]),
        ("{\"resource\": {\"//\": \"c\", \"a\": {\"b\": {}}}}", &["json 1:21 Wrong kind of JSON value"]),
        ("{\"terraform\": {}}", &["unexpected 1:2 Unsupported block type"]),
        // The same name twice.
        ("{\"locals\": {\"a\": 1,\n \"a\": 2}}", &["duplicate 2:2 Duplicate argument"]),
        ("{\"resource\": {\"a\": {\"b\": {\"x\": 1, \"x\": 2}}}}", &["duplicate 1:35 Duplicate argument"]),
        ("{\"locals\": {\"a\": {\"k\": 1,\n \"k\": 2}}}", &["duplicate 2:2 Duplicate attribute"]),
        ("{\"locals\": {\"a\": 1},\n \"locals\": {\"b\": 1}}", &[]),
        ("{\"output\": {\"x\": {\"value\": 1},\n \"x\": {\"value\": 1}}}", &["duplicate 2:2 Duplicate definition"]),
        ("{\"output\": {\"x\": [{\"value\": 1},\n {\"value\": 1}]}}", &["duplicate 2:2 Duplicate definition"]),
        // Expressions.
        ("{\"output\": {\"x\": {\"value\": \"\\u0061\\n${nope.x}\"}}}", &["reference 1:39 No such resource"]),
        ("{\"output\": {\"x\": {\"value\": \"${1 +}\"}}}", &["syntax 1:34 Invalid syntax"]),
        (
            "{\"output\": {\"x\": {\"value\": {\"a\": [\"${nosuch(1)}\"]}}}}",
            &["expression 1:38 Call to unknown function"],
        ),
        (
            "{\"output\": {\"x\": {\"value\": 1, \"bogus\": 1,\n \"precondition\": null}}}",
            &["unexpected 1:31 Unsupported argument"],
        ),
        (
            "{\"output\": {\"x\": {\"sensitive\": \"${true}\"}}}",
            &["missing 1:13 Missing required argument", "type 1:32 Wrong type of an attribute"],
        ),
        // Places that are source.
        (
            "{\"resource\": {\"a\": {\"b\": {\"depends_on\": [\"${a.c}\"]}, \"c\": {}}}}",
            &["reference 1:42 Invalid expression"],
        ),
        ("{\"resource\": {\"a\": {\"b\": {\"provider\": \"${x.y}\"}}}}", &["provider 1:39 Invalid provider reference"]),
        (
            "{\"variable\": {\"x\": {\"type\": \"${string}\"},\n \"y\": {\"type\": [\"string\"]},\n \"z\": {\"type\": \"nope\"}}}",
            &[
                "type 1:29 Invalid type specification",
                "type 2:16 Invalid type specification",
                "type 3:17 Invalid type specification",
            ],
        ),
        ("{\"moved\": {\"from\": \"a.b #\", \"to\": \"a.c\"}}", &["address 1:20 Invalid address"]),
        // JSON itself.
        ("{\"output\": {\"x\": {\"value\": 1,}}}", &["syntax 1:29 Invalid JSON"]),
        ("{\"locals\": // c\n {}}", &["syntax 1:12 Invalid JSON"]),
        ("{\"locals\": {\"a\": 0x1}}", &["syntax 1:18 Invalid JSON"]),
        ("", &["syntax 1:1 Invalid JSON"]),
        ("{", &["syntax 1:1 Invalid JSON"]),
    ] {
        check_json(json, expected);
    }
}

#[test]
fn a_reserved_word_is_a_name_where_the_field_has_it_as_one() {
    let config = good_json(r#"{"locals": {"null": 2, "for": 3, "x": "${local.null}${local.for}"}}"#);
    assert_eq!(config.root().locals.len(), 3);
}

#[test]
fn depth_and_size_are_limited() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [60, 200, 100_000] {
            let text = format!("{{\"locals\": {{\"a\": {}1{}}}}}", open.repeat(depth), close.repeat(depth));
            let (_, lines, _) = load_json(&text);
            let deep = lines.len() == 1 && lines[0].ends_with("Too deeply nested");
            assert!(if depth == 60 { lines.is_empty() } else { deep }, "{open} {depth}: {lines:?}");
        }
    }
    check_json(&"[".repeat(100_000), &["syntax 1:513 Too deeply nested"]);
    let many: String = (0..20_000).map(|i| format!("\"r{i}\": {{\"x\": \"${{a.q{i}.y}}\"}},")).collect();
    let (_, lines, _) = load_json(&format!("{{\"resource\": {{\"a\": {{{}}}}}}}", many.trim_end_matches(',')));
    assert_eq!(lines.len(), 20_000);
}
