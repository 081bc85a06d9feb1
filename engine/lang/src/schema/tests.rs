//! Bodies against a schema: text in, shown value or diagnostics out.

use std::io;
use std::path::{Path, PathBuf};

use mesh_model::{Path as Steps, Sources, Step};

use super::*;
use crate::expr::{TestScope, show};
use crate::{Files, LoadOptions, attribute_span, load_from};

/// One file, with its name.
struct One(&'static str, String);

impl Files for One {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![dir.join(self.0)])
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.1.clone())
    }
}

fn schema() -> Schema {
    let rule = Schema::of([
        Declared::required("port", Type::Number, "The port."),
        Declared::optional("note", Type::String, ""),
    ]);
    let block = |name, nesting, min, max| DeclaredBlock { name, nesting, min, max, schema: rule.clone(), doc: "" };
    Schema::of([
        Declared::required("name", Type::String, "The name."),
        Declared::optional("tags", Type::map(Type::String), ""),
        Declared::optional("size", Type::Number, "").default(Value::number(3)),
        Declared::optional("pin", Type::String, "").sensitive(),
        Declared::computed("id", Type::String, ""),
    ])
    .block(block("rule", Nesting::List, 0, 2))
    .block(block("one", Nesting::Single, 0, 0))
    .block(block("named", Nesting::Map, 0, 0))
}

const DECLARED: &str = "\nlocals {\n  unk  = 1\n  list = []\n  str  = 1\n  nul  = null\n}\nvariable \"secret\" {}\nvariable \"seclist\" {}\n";

/// The body of a resource with this content, and its sources.
fn body(content: &str) -> (Body, Sources) {
    let text = format!("resource \"a\" \"b\" {{\n{content}\n}}{DECLARED}");
    load("main.mesh.hcl", text)
}

/// The same in JSON.
fn json(content: &str) -> (Body, Sources) {
    let declared = r#""locals": {"unk": 1, "list": []}, "variable": {"secret": {}}"#;
    load("main.mesh.json", format!("{{\"resource\": {{\"a\": {{\"b\": {{\n{content}\n}}}}}}, {declared}}}"))
}

fn load(name: &'static str, text: String) -> (Body, Sources) {
    let mut sources = Sources::default();
    let options = LoadOptions::new(std::path::Path::new("/"));
    let (config, diagnostics) = load_from(&One(name, text), options, &mut sources);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    (config.expect("loads").modules.swap_remove(0).resources.swap_remove(0).body, sources)
}

fn lines(diagnostics: &Diagnostics, sources: &Sources) -> Vec<String> {
    let place = |s| sources.position(s).replace("main.mesh.hcl:", "").replace("main.mesh.json:", "");
    diagnostics.iter().map(|d| format!("{} {}", d.span.map_or_else(String::new, place), d.summary)).collect()
}

fn value(content: &str) -> Result<String, Vec<String>> {
    value_of(body(content))
}

fn value_of((body, sources): (Body, Sources)) -> Result<String, Vec<String>> {
    let diagnostics = check_body(&body, &schema(), "a.b");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    eval_body(&body, &schema(), &TestScope::new()).map(|v| show(&v)).map_err(|d| lines(&d, &sources))
}

fn wrong(content: &str) -> Vec<String> {
    wrong_in(body(content))
}

fn wrong_in((body, sources): (Body, Sources)) -> Vec<String> {
    lines(&check_body(&body, &schema(), "a.b"), &sources)
}

#[test]
fn the_value_has_the_shape_of_the_schema() {
    assert_eq!(
        value("name = 5\ntags = { a = true }\npin = \"1\"\nrule { port = \"80\" }").as_deref(),
        Ok(
            "{ \"id\" = tostring(null) \"name\" = \"5\" \"named\" = tomap({}) \"one\" = null /* object */ \"pin\" = (sensitive value) \
            \"rule\" = tolist([ { \"note\" = tostring(null) \"port\" = 80 } ]) \"size\" = 3 \
            \"tags\" = tomap({ \"a\" = \"true\" }) }"
        )
    );
}

#[test]
fn dynamic_blocks_expand() {
    let text = "name = \"x\"\ndynamic \"rule\" {\n  for_each = { b = 2, a = 1 }\n  iterator = it\n  content {\n    port = it.value\n    \
                note = \"${it.key}${upper(it.key)}\"\n  }\n}\ndynamic \"named\" {\n  for_each = [\"p\"]\n  \
                labels = [\"l-${named.value}\"]\n  content { port = named.key }\n}";
    let shown = value(text).expect("evaluates");
    assert!(
        shown.contains("\"rule\" = tolist([ { \"note\" = \"aA\" \"port\" = 1 } { \"note\" = \"bB\" \"port\" = 2 } ])"),
        "{shown}"
    );
    assert!(shown.contains("\"named\" = tomap({ \"l-p\" = { \"note\" = tostring(null) \"port\" = 0 } })"), "{shown}");
    let shown = value("name = \"x\"\ndynamic \"rule\" {\n  for_each = local.unk\n  content { port = 1 }\n}")
        .expect("evaluates");
    assert!(shown.contains("\"rule\" = (known after apply)"), "{shown}");
    let shown = value("name = \"x\"\ndynamic \"rule\" {\n  for_each = var.seclist\n  content { port = 1 }\n}")
        .expect("evaluates");
    assert!(shown.contains("\"rule\" = (sensitive value)"), "{shown}");
    let three = "name = \"x\"\ndynamic \"rule\" {\n  for_each = [1, 2, 3]\n  content { port = rule.value }\n}";
    assert_eq!(value(three), Err(vec!["3:1 Wrong number of blocks".to_owned()]));
    let nested = "name = \"x\"\ndynamic \"one\" {\n  for_each = [for x in [7] : x]\n  content { port = [for y in [one.value] : y + 1][0] }\n}";
    assert!(value(nested).expect("evaluates").contains("\"one\" = { \"note\" = tostring(null) \"port\" = 8 }"));
}

#[test]
fn errors_of_all_attributes_come_at_once_with_places() {
    assert_eq!(
        value(
            "name = upper(local.nul)\ntags = {\n  a = \"x\"\n  b = [local.list]\n}\nsize = local.list[7]\nrule { port = local.str }"
        ),
        Err(vec![
            "2:14 Invalid function argument".to_owned(),
            "5:7 Wrong type of an attribute".to_owned(),
            "7:19 Invalid index".to_owned(),
            "8:15 Wrong type of an attribute".to_owned(),
        ])
    );
    assert_eq!(value("name = local.nul"), Err(vec!["2:8 Missing required argument".to_owned()]));
}

#[test]
fn static_checks_find_what_needs_no_value() {
    assert_eq!(
        wrong("nam = 1\nid = \"x\"\nrule = []\ntags { a = 1 }\nrul { port = 1 }\nsize = \"big\""),
        [
            "2:1 Unsupported argument",
            "3:1 Value for read-only attribute",
            "4:1 Unsupported argument",
            "7:8 Wrong type of an attribute",
            "1:1 Missing required argument",
            "5:1 Unsupported block type",
            "6:1 Unsupported block type",
        ]
    );
    assert_eq!(
        wrong(
            "name = 1\nrule { port = 1 }\nrule { port = 1 }\nrule { prt = 1 }\none \"x\" { port = 1 }\nnamed { port = 1 }"
        ),
        [
            "5:8 Unsupported argument",
            "5:1 Missing required argument",
            "6:1 Wrong number of block labels",
            "7:1 Wrong number of block labels",
            "5:1 Too many blocks",
        ]
    );
}

#[test]
fn paths_lead_to_the_most_precise_place() {
    let (body, sources) = body("name = \"x\"\ntags = {\n  a = \"y\"\n}\nrule {\n  port = 1\n}\nrule {\n  port = 2\n}");
    let at = |steps: Vec<Step>| attribute_span(&body, &Steps(steps)).map(|s| sources.text(s).to_owned());
    let key = |k: &str| Step::Key(k.into());
    assert_eq!(at(vec![key("tags"), key("a")]).as_deref(), Some("\"y\""));
    assert_eq!(at(vec![key("tags"), key("zz")]).as_deref(), Some("{\n  a = \"y\"\n}"));
    assert_eq!(at(vec![key("rule"), Step::Index(1), key("port")]).as_deref(), Some("2"));
    assert_eq!(at(vec![key("rule"), Step::Index(1), key("note")]).as_deref(), Some("rule"));
    assert_eq!(at(vec![key("size")]), None);
}

#[test]
fn in_json_the_schema_says_what_is_a_block() {
    let expected = value(
        "name = \"x\"\nrule {\n  port = 1\n}\nrule {\n  port = 2\n  note = \"n\"\n}\none {\n  port = 3\n}\nnamed \"l\" {\n  port = 4\n}",
    );
    for text in [
        r#""name": "x", "rule": [{"port": 1}, {"port": "${1+1}", "note": "n", "//": "c"}], "one": {"port": 3}, "named": {"l": {"port": 4}}"#,
        r#""name": "x", "rule": {"port": 1}, "rule": {"port": 2, "note": "n"}, "one": [{"port": 3}], "named": [{"l": {"port": 4}}]"#,
        r#""//": "c", "name": "${\"x\"}", "rule": [], "one": {"port": 3}, "named": {"l": [{"port": 4}]},
           "dynamic": {"rule": {"for_each": [1, 2], "content": {"port": "${rule.value}", "note": "${rule.key == 1 ? \"n\" : null}"}}}"#,
    ] {
        assert_eq!(value_of(json(text)), expected, "{text}");
    }
    let shown = value_of(json(
        r#""name": "x", "rule": null, "one": null, "named": null, "tags": {"//": "kept", "${\"k\"}": 1}"#,
    ));
    assert_eq!(shown, value("name = \"x\"\ntags = {\n  \"//\" = \"kept\"\n  k = 1\n}"));
    let labels = r#""name": "x", "dynamic": {"named": {"for_each": ["p"], "labels": ["l-${named.value}"], "content": {"port": "${named.key}"}}}"#;
    assert!(value_of(json(labels)).expect("evaluates").contains("\"named\" = tomap({ \"l-p\" = "));
}

#[test]
fn in_json_errors_of_blocks_stand_where_they_are_written() {
    for (content, expected) in [
        (
            "\"nam\": 1, \"id\": \"x\",\n\"tags\": {\"a\": []}, \"rul\": {\"port\": 1}, \"size\": \"big\"",
            &[
                "2:1 Unsupported argument",
                "2:11 Value for read-only attribute",
                "3:15 Wrong type of an attribute",
                "3:20 Unsupported argument",
                "3:48 Wrong type of an attribute",
                "1:21 Missing required argument",
            ] as &[&str],
        ),
        (
            "\"name\": 1,\n\"rule\": [{\"port\": 1}, {\"prt\": 1},\n {\"port\": 1}], \"one\": 5, \"named\": {\"a\": 5}",
            &[
                "4:23 Wrong kind of JSON value",
                "4:41 Wrong kind of JSON value",
                "3:24 Unsupported argument",
                "3:23 Missing required argument",
                "4:2 Too many blocks",
            ],
        ),
        (
            "\"name\": {\"a\": 1},\n \"name\": {\"a\": 2}",
            &["2:9 Wrong type of an attribute", "3:2 Unsupported block type"],
        ),
    ] {
        assert_eq!(wrong_in(json(content)), expected, "{content}");
    }
    let (body, sources) = json("\"name\": \"x\", \"rule\": [{\"port\": 1}, {\"port\": 2}], \"one\": {\"port\": 3}");
    let at = |steps: Vec<Step>| attribute_span(&body, &Steps(steps)).map(|s| sources.text(s).to_owned());
    let key = |k: &str| Step::Key(k.into());
    assert_eq!(at(vec![key("rule"), Step::Index(1), key("port")]).as_deref(), Some("2"));
    assert_eq!(at(vec![key("one"), key("port")]).as_deref(), Some("3"));
    assert_eq!(at(vec![key("one"), Step::Index(0), key("port")]).as_deref(), Some("3"));
    assert_eq!(at(vec![key("name")]).as_deref(), Some("\"x\""));
}
