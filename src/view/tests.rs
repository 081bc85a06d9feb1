//! Views as golden texts: plain data in, text out, no colour.

mod machine;

use std::sync::Arc;

use mesh_model::change::{Drift, OutputChange, Previewed, Waiting};
use mesh_model::{Action, Address, Change, Deferred, Fingerprinter, Path, Plan, Reason, Step, Type, Value};

use super::plan;
use super::sight::Sight;
use super::style::plain;

const CANARY: &str = "c4nary-s3cret";

fn f() -> Fingerprinter {
    Fingerprinter::new([7; 32])
}

fn at(text: &str) -> Address {
    text.parse().expect("an address")
}

fn change(address: &str, action: Action, before: Value, after: Value) -> Change {
    Change::new(at(address), Arc::from("vault"), action, before, after)
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::object(fields)
}

fn s(text: &str) -> Value {
    Value::string(text)
}

fn of(changes: Vec<Change>) -> Plan {
    Plan { changes, ..Plan::default() }
}

fn text(plan: &Plan) -> String {
    plain(&plan::text(plan, Sight::new(&f(), false), Some("d1g3st")))
}

/// The blocks of a text, without legend and summary.
fn blocks(plan: &Plan) -> String {
    let text = text(plan);
    let start = text.find("\n  # ").map_or(0, |i| i + 1);
    let end = text.find("\nPlan:").unwrap_or(text.len());
    text[start..end].to_owned()
}

#[test]
fn a_create_in_full() {
    let after = object([
        ("id", Value::unknown(Type::String)),
        ("name", s("istiod")),
        ("none", Value::NULL),
        ("pin", s(CANARY).sensitive()),
        ("policies", Value::strings(["a", "b"])),
        ("tags", Value::map(Type::String, [("k", s("v"))].into_iter().collect())),
        ("text", s("line 1\nline 2\n")),
    ]);
    let mut plan = of(vec![change("vault_policy.istiod", Action::Create, Value::NULL, after)]);
    plan.outputs.insert("addr".into(), OutputChange { before: Value::NULL, after: s("x"), action: Action::Create });
    let expected = r#"
mesh used the configured providers to generate the following execution plan.
Resource actions are indicated with the following symbols:
  + create

mesh will perform the following actions:

  # vault_policy.istiod will be created
  + resource "vault_policy" "istiod" {
      + id       = (known after apply)
      + name     = "istiod"
      + pin      = (sensitive value)
      + policies = [
          + "a",
          + "b",
        ]
      + tags     = {
          + "k" = "v"
        }
      + text     = <<-EOT
            line 1
            line 2
        EOT
    }

Plan: 1 to add, 0 to change, 0 to destroy.

Changes to Outputs:
  + addr = "x"

Plan digest: d1g3st
"#;
    assert_eq!(text(&plan), expected);
}

#[test]
fn an_update_shows_what_differs_and_counts_the_rest() {
    let ports = |names: &[&str]| {
        Value::tuple(names.iter().map(|n| object([("name", s(n)), ("port", Value::number(1))])).collect::<Vec<_>>())
    };
    let before = object([
        ("id", s("a/b")),
        ("json", s(r#"{"a":1,"b":[1,2]}"#)),
        ("labels", Value::map(Type::String, [("a", s("1")), ("b", s("2")), ("old", s("x"))].into_iter().collect())),
        ("ports", ports(&["http", "tls", "status"])),
        ("same", s("s")),
        ("secret", s("old").sensitive()),
        ("text", s("one\ntwo\nthree four\n5\n6\n7\n8\n9\n")),
        ("ttl", s("1h")),
        ("set", Value::set(Type::String, [s("a"), s("b")])),
    ]);
    let after = object([
        ("id", s("a/b")),
        ("json", s(r#"{"b":[1,3],"a":1}"#)),
        ("labels", Value::map(Type::String, [("a", s("1")), ("b", s("3")), ("new", s("y"))].into_iter().collect())),
        ("ports", ports(&["http", "https", "status"])),
        ("same", s("s")),
        ("secret", s("new").sensitive()),
        ("text", s("one\ntwo\nthree for\n5\n6\n7\n8\n9\n")),
        ("ttl", Value::unknown(Type::String)),
        ("set", Value::set(Type::String, [s("a"), s("c")])),
    ]);
    let mut change = change("vault_policy.p", Action::Update, before, after);
    change.notes.push("also managed by kubectl".into());
    change.previewed = Previewed::Skipped("the credentials may not");
    let expected = r#"  # vault_policy.p will be updated in-place
  # (not previewed: the credentials may not)
  # (also managed by kubectl)
  ~ resource "vault_policy" "p" {
        id     = "a/b"
      ~ json   = jsonencode(
          ~ {
              ~ b = [
                  - 2,
                  + 3,
                    # (1 unchanged element hidden)
                ]
                # (1 unchanged attribute hidden)
            }
        )
      ~ labels = {
          ~ "b"   = "2" -> "3"
          + "new" = "y"
          - "old" = "x" -> null
            # (1 unchanged element hidden)
        }
      ~ ports  = [
          ~ {
              ~ name = "tls" -> "https"
                # (1 unchanged attribute hidden)
            },
            # (2 unchanged elements hidden)
        ]
      ~ secret = (sensitive value) -> (sensitive value)
      ~ set    = [
          - "b",
          + "c",
            # (1 unchanged element hidden)
        ]
      ~ text   = <<-EOT
            one
            two
          - three four
          + three for
            5
            6
            7
            # (2 unchanged lines hidden)
        EOT
      ~ ttl    = "1h" -> (known after apply)
        # (1 unchanged attribute hidden)
    }
"#;
    assert_eq!(blocks(&of(vec![change])), expected);
}

#[test]
fn a_secret_that_stays_is_no_change_even_when_state_holds_a_fingerprint_only() {
    let kept = f().withhold(&s(CANARY).sensitive());
    let before = object([("pin", kept), ("ttl", s("1h"))]);
    let after = object([("pin", s(CANARY).sensitive()), ("ttl", s("2h"))]);
    let got = blocks(&of(vec![change("a_b.c", Action::Update, before, after)]));
    assert_eq!(
        got,
        "  # a_b.c will be updated in-place\n  ~ resource \"a_b\" \"c\" {\n      ~ ttl = \"1h\" -> \"2h\"\n        # (1 unchanged attribute hidden)\n    }\n"
    );
}

#[test]
fn replaces_deletes_and_their_reasons() {
    let mut replace = change(
        "a_b.r",
        Action::Replace,
        object([("path", s("x")), ("id", s("1"))]),
        object([("path", s("y")), ("id", Value::unknown(Type::String))]),
    );
    replace.reason = Reason::CannotUpdate;
    replace.replace_paths = vec![Path(vec![Step::Key("path".into())])];
    let mut tainted = change("a_b.t", Action::ReplaceCreateFirst, object([("a", s("1"))]), object([("a", s("1"))]));
    tainted.reason = Reason::Tainted;
    let mut gone = change(
        "module.m.a_b.x[2]",
        Action::Delete,
        object([("a", object([("b", s("c"))])), ("n", Value::NULL)]),
        Value::NULL,
    );
    gone.reason = Reason::CountIndex;
    let mut adopted = change("a_b.y", Action::NoOp, object([("a", s("1"))]), object([("a", s("1"))]));
    adopted.importing = Some("vault/x".into());
    adopted.reason = Reason::Adopted;
    let mut moved = change("a_b.z", Action::NoOp, object([("a", s("1"))]), object([("a", s("1"))]));
    moved.previous_address = Some(at("a_b.old"));
    let forget = change("a_b.zz", Action::Forget, object([("a", s("1"))]), Value::NULL);
    let plan = of(vec![replace, tainted, adopted, moved, forget, gone]);
    let expected = r#"  # a_b.r must be replaced
-/+ resource "a_b" "r" {
      ~ id   = "1" -> (known after apply)
      ~ path = "x" -> "y" # forces replacement
    }

  # a_b.t is tainted, so must be replaced
+/- resource "a_b" "t" {
        # (1 unchanged attribute hidden)
    }

  # a_b.y will be adopted
  # (its identity is "vault/x")
    resource "a_b" "y" {
        # (1 unchanged attribute hidden)
    }

  # a_b.old has moved to a_b.z
    resource "a_b" "z" {
        # (1 unchanged attribute hidden)
    }

  # a_b.zz will no longer be managed by mesh, but will not be destroyed
  . resource "a_b" "zz" {
    }

  # module.m.a_b.x[2] will be destroyed
  # (because index [2] is out of range for count)
  - resource "a_b" "x" {
      - a = {
          - b = "c"
        } -> null
    }
"#;
    assert_eq!(blocks(&plan), expected);
    assert!(text(&plan).contains("\nPlan: 1 to import, 2 to add, 0 to change, 3 to destroy, 1 to forget.\n"));
}

#[test]
fn containers_that_become_known_later_or_change_their_kind() {
    let before = object([("a", object([("x", Value::number(1))])), ("b", s("t")), ("c", Value::tuple(vec![s("1")]))]);
    let after = object([
        ("a", Value::unknown(Type::Dynamic)),
        ("b", Value::tuple(vec![s("1")])),
        ("c", object([("k", s("v"))])),
    ]);
    let expected = r#"  # a_b.c will be updated in-place
  ~ resource "a_b" "c" {
      ~ a = {
          - x = 1
        } -> (known after apply)
      ~ b = "t" -> [
          + "1",
        ]
      - c = [
          - "1",
        ]
      + c = {
          + k = "v"
        }
    }
"#;
    assert_eq!(blocks(&of(vec![change("a_b.c", Action::Update, before, after)])), expected);
}

fn staged() -> Plan {
    Plan {
        deferred: vec![Deferred {
            resource: at("vault_policy.p").resource(),
            pattern: "vault_policy.p[*]".into(),
            actions: vec![Action::Create, Action::Update],
            reason: "provider \"vault\" is configured from vault_mount.x".into(),
            reason_code: "provider_config_unknown",
            known: object([("name", s("p")), ("pin", s(CANARY).sensitive())]),
        }],
        waiting: vec![Waiting {
            poll: None,
            address: at("mesh_gate.chain"),
            waiting_for: "the signed chain".into(),
            instructions: "Sign it:\n\n  openssl x509 ...\n".into(),
            problems: vec!["the chain is empty".into()],
        }],
        drift: vec![
            Drift {
                address: at("a_b.c"),
                before: object([("ttl", s("1h"))]),
                after: object([("ttl", s("2h"))]),
                paths: Vec::new(),
            },
            Drift { address: at("a_b.d"), before: object([("ttl", s("1h"))]), after: Value::NULL, paths: Vec::new() },
        ],
        protected: vec![at("hsm_secret_key.kek")],
        ..Plan::default()
    }
}

#[test]
fn drift_deferred_blocks_gates_and_protection() {
    let expected = r#"
Note: Objects have changed outside of mesh

mesh detected the following changes made outside of mesh since the last
"mesh apply":

  # a_b.c has changed
  ~ resource "a_b" "c" {
      ~ ttl = "1h" -> "2h"
    }

  # a_b.d has been deleted
  - resource "a_b" "d" {
      - ttl = "1h" -> null
    }

Unless the configuration says the same, or tells to ignore it, the following
plan undoes or responds to these changes.

─────────────────────────────────────────────────────────────────────────────

Deferred: will be decided in a later stage, inside these bounds:

  # vault_policy.p[*] may be created or updated
  # (provider "vault" is configured from vault_mount.x)
  ? resource "vault_policy" "p" {
      + name = "p"
      + pin  = (sensitive value)
    }

Waiting: mesh_gate.chain waits for the signed chain

    Sign it:

      openssl x509 ...

  What was given does not open it:
  - the chain is empty

Protected, or needed by what is: these objects are not destroyed and stay:
  hsm_secret_key.kek

To destroy one of them, set prevent_destroy = false in its lifecycle block,
apply that, and destroy again.

No changes in this stage. What is left is deferred, see above.

Plan digest: d1g3st
"#;
    assert_eq!(text(&staged()), expected);
}

#[test]
fn nothing_to_do() {
    let noop = change("a_b.c", Action::NoOp, object([("a", s("1"))]), object([("a", s("1"))]));
    let expected = "\nNo changes. Your infrastructure matches the configuration.\n\n\
        mesh has compared your real infrastructure against your configuration\nand found no differences, so no changes are needed.\n";
    assert_eq!(text(&of(vec![noop])), expected);
    assert_eq!(text(&Plan { destroy: true, ..Plan::default() }), "\nNo changes. No objects need to be destroyed.\n");
}

#[test]
fn values_cannot_control_the_terminal() {
    let evil = object([("a", s("x\u{1b}[2J")), ("b", s("l1\nl2\u{1b}[2J\n"))]);
    let text = text(&of(vec![change("a_b.c", Action::Create, Value::NULL, evil)]));
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("\\u001b[2J"), "{text}");
}
