//! Ephemeral blocks: when they are opened, renewed and closed, and where their values may go.

use std::time::Duration;

use mesh_state::LockInfo;

use super::fake::Fault;
use super::{Always, Bed};
use crate::{Cancel, Finished};

fn lines(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// A chain: `a` opens `b`, `b` configures a provider, and an object takes a secret from `a`.
const CHAIN: &str = r#"
ephemeral "world_lease" "a" { name = "a" }
ephemeral "world_lease" "b" {
  name  = "b"
  value = ephemeral.world_lease.a.token
}
provider "world" {
  alias = "inner"
  token = ephemeral.world_lease.b.token
}
resource "world_object" "x" {
  provider         = world.inner
  name             = "x"
  password         = ephemeral.world_lease.a.token
  password_version = 1
}
"#;

impl Bed {
    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.world.state().log)
    }

    /// No file, no event and none of `texts` has the secret.
    fn keeps_secret(&self, texts: &[String]) {
        for entry in std::fs::read_dir(self.folder.path()).expect("the folder").flatten().filter(|e| e.path().is_file())
        {
            let bytes = std::fs::read(entry.path()).expect("a file");
            assert!(!String::from_utf8_lossy(&bytes).contains("canary"), "{}", entry.path().display());
        }
        for text in self.heard.texts().iter().chain(texts) {
            assert!(!text.contains("canary"), "{text}");
        }
    }
}

fn errors(finished: &Finished) -> Vec<&str> {
    finished.report.diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn one_opening_serves_plan_and_apply_and_closes_in_reverse() {
    let bed = Bed::new();
    let (_, finished) = bed.apply(CHAIN).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    let expected =
        ["open a", "open b", "session with canary b#2", "create x", "session ends", "close b#2", "close a#1"];
    assert_eq!(bed.log(), lines(&expected));
    assert_eq!(bed.world.state().objects["x"].get_str("password"), Some("canary a#1"), "the world has it");
    // The next plan opens anew; that the secret is another one is no change.
    assert_eq!(bed.plan(CHAIN), Ok(Vec::new()));
    assert_eq!(bed.log().iter().filter(|l| l.starts_with("open") || l.starts_with("close")).count(), 4);
    let newer = CHAIN.replace("password_version = 1", "password_version = 2");
    assert_eq!(bed.plan(&newer), Ok(lines(&["~ world_object.x"])));
    bed.apply(&newer).expect("begins");
    let password = bed.world.state().objects["x"].get_str("password").map(str::to_owned);
    assert!(password.as_deref().is_some_and(|p| p.starts_with("canary a#") && p != "canary a#1"), "{password:?}");
    bed.keeps_secret(&[format!("{:?}", finished.report)]);
}

#[test]
fn a_saved_plan_holds_nothing_of_it_and_is_applied_with_a_new_opening() {
    let bed = Bed::new();
    let reviewed = bed.review(CHAIN);
    bed.keeps_secret(&[format!("{reviewed:?}")]);
    let (_, finished) = bed.apply_reviewed(CHAIN, &reviewed).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    assert_eq!(bed.log().iter().filter(|l| *l == "open a").count(), 2);
    bed.keeps_secret(&[]);
}

#[test]
fn an_unknown_configuration_is_opened_while_applying() {
    let hcl = r#"
resource "world_object" "first" { name = "first" }
ephemeral "world_lease" "a" {
  name  = "a"
  value = world_object.first.id
  lifecycle {
    postcondition {
      condition     = self.value == "id-first"
      error_message = "Another value."
    }
  }
}
ephemeral "world_lease" "each" {
  for_each = toset(["k-${world_object.first.length}"])
  name     = each.key
}
resource "world_object" "x" {
  name     = "x"
  password = ephemeral.world_lease.a.token
}
"#;
    let bed = Bed::new();
    assert_eq!(bed.plan(hcl), Ok(lines(&["+ world_object.first", "+ world_object.x"])));
    assert_eq!(bed.log(), Vec::<String>::new(), "nothing is opened");
    let (stages, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete() && stages.len() == 1, "{:?}", finished.report);
    let log = bed.log();
    assert_eq!(log[0], "create first");
    for needed in ["open a", "open k-0", "create x"] {
        assert!(log.contains(&needed.to_owned()), "{log:?}");
    }
    assert_eq!(log.iter().filter(|l| l.starts_with("close")).count(), 2, "{log:?}");
    assert_eq!(bed.plan(hcl), Ok(Vec::new()));
    bed.keeps_secret(&[]);
}

#[test]
fn a_provider_that_waits_for_it_is_configured_in_a_later_stage() {
    let bed = Bed::new();
    let hcl = CHAIN.replace("{ name = \"a\" }", "{\n name = \"a\"\n value = world_object.first.id\n}")
        + "resource \"world_object\" \"first\" { name = \"first\" }";
    let (stages, finished) = bed.apply(&hcl).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    assert_eq!(stages, [lines(&["+ world_object.first", "? world_object.x"]), lines(&["+ world_object.x"])]);
    let log = bed.log();
    let stage = ["open a", "open b", "session with canary b#2", "create x", "session ends", "close b#2", "close a#1"];
    assert_eq!(log[0], "create first");
    assert_eq!(log[1..], lines(&stage), "nothing is opened for a later stage");
    assert_eq!(bed.plan(&hcl), Ok(Vec::new()));
    bed.keeps_secret(&[]);
}

#[test]
fn it_is_renewed_while_it_is_in_use() {
    let bed = Bed::new();
    let hcl = "ephemeral \"world_lease\" \"a\" {\n name = \"a\"\n renew = 20\n}
        resource \"world_object\" \"x\" {\n name = \"slow\"\n password = ephemeral.world_lease.a.token\n}";
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    let log = bed.log();
    let renewals = log.iter().filter(|l| *l == "renew a").count();
    assert!(renewals >= 2, "{log:?}");
    assert_eq!(
        log.last().map(String::as_str),
        Some(format!("close a#{}", renewals + 1).as_str()),
        "what was renewed last is closed"
    );
    // A renewal that fails is an error of the run, and what is open is closed all the same.
    bed.world.state().faults.insert("renew a".into(), Fault::Reject);
    let (_, finished) = bed.apply(&hcl.replace("\"slow\"", "\"slower\"")).expect("begins");
    assert_eq!(errors(&finished), ["ephemeral::renew"]);
    assert!(!finished.is_complete() && bed.log().last().is_some_and(|l| l.starts_with("close a#")));
    let place = finished.report.diagnostics.iter().find_map(|d| d.address.clone()).expect("an address");
    assert_eq!(place.to_string(), "ephemeral.world_lease.a");
}

#[test]
fn it_is_closed_after_every_kind_of_failure() {
    let bed = Bed::new();
    bed.world.state().faults.insert("x".into(), Fault::Reject);
    let (_, finished) = bed.apply(CHAIN).expect("begins");
    assert_eq!(finished.report.failed.len(), 1);
    assert_eq!(bed.log()[4..], lines(&["session ends", "close b#2", "close a#1"]));
    // The second opening fails: the plan has an error, and the first is closed.
    bed.world.state().faults.insert("open b".into(), Fault::Reject);
    let error = bed.apply(CHAIN).expect_err("an error");
    assert!(error.contains("The world refuses") && error.contains("main.mesh.hcl:3"), "{error}");
    assert_eq!(bed.log(), lines(&["open a", "open b", "close a#3"]));
    // Its own condition does not hold: it was opened, and is closed.
    let hcl = CHAIN.replace(
        "{ name = \"a\" }",
        "{\n name = \"a\"\n lifecycle {\n postcondition {\n condition = self.token == \"\"\n error_message = \"Not empty: ${self.token}\"\n}\n}\n}",
    );
    let error = bed.plan(&hcl).expect_err("an error");
    assert!(error.contains("plan::postcondition") && !error.contains("canary"), "{error}");
    assert_eq!(bed.log(), lines(&["open a", "close a#4"]));
    // Closing itself fails: an error, and the rest is closed.
    bed.world.state().faults.insert("close b".into(), Fault::Reject);
    let (_, finished) = bed.apply(CHAIN).expect("begins");
    assert_eq!(errors(&finished), ["ephemeral::close"]);
    assert!(bed.log().last().is_some_and(|l| l.starts_with("close a#")));
    bed.keeps_secret(&[format!("{:?}", finished.report)]);
}

#[test]
fn an_interrupted_apply_closes_what_it_has_opened() {
    let bed = Bed::new();
    for n in [1_u8, 2] {
        let (sender, cancel) = Cancel::new();
        let hcl = CHAIN.replace("\"x\"\n  password ", "\"slow\"\n  password ");
        let finished = bed.with(&hcl, async |run| {
            let mut approver = Always(Vec::new());
            let stop = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                sender.send(n).expect("somebody listens");
                std::future::pending::<()>().await;
            };
            let lock = LockInfo::new("mesh apply", "tester", "host");
            tokio::select! {
                finished = run.apply(&mut approver, None, lock, Duration::ZERO, cancel) => finished,
                () = stop => unreachable!("it never ends"),
            }
        });
        finished.expect("begins");
        let log = bed.log();
        let closed: Vec<_> = log.iter().filter(|l| l.starts_with("close") || *l == "session ends").collect();
        assert_eq!(closed.len(), 3, "{n}: {log:?}");
        bed.world.state().objects.clear();
    }
}

#[test]
fn instances_are_opened_each_by_itself() {
    let bed = Bed::new();
    let hcl = r#"
ephemeral "world_lease" "n" {
  count = 2
  name  = "n${count.index}"
}
ephemeral "world_lease" "k" {
  for_each = toset(["p", "q"])
  name     = each.key
}
resource "world_object" "x" {
  for_each = { a = 0, b = 1 }
  name     = each.key
  password = ephemeral.world_lease.n[each.value].token
}
resource "world_object" "y" {
  name     = "y"
  password = ephemeral.world_lease.k["q"].token
}
"#;
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    let opened: Vec<_> = bed.log().into_iter().filter(|l| l.starts_with("open")).collect();
    assert_eq!(opened.len(), 4, "{opened:?}");
    let state = bed.world.state();
    let given = |name: &str| state.objects[name].get_str("password").map(str::to_owned).unwrap_or_default();
    assert!(given("a").starts_with("canary n0#") && given("b").starts_with("canary n1#"));
    assert!(given("y").starts_with("canary q#"));
    let heard = bed.heard.texts();
    assert!(heard.iter().any(|t| t.contains("operation: Close") && t.contains("Done")), "{heard:?}");
}

#[test]
fn modules_hand_it_on_where_they_say_so() {
    let mut bed = Bed::new();
    bed.file(
        "child/main.mesh.hcl",
        "variable \"in\" {\n ephemeral = true\n}
         ephemeral \"world_lease\" \"c\" {\n name = \"c\"\n value = var.in\n}
         output \"out\" {\n value = ephemeral.world_lease.c.token\n ephemeral = true\n}",
    );
    let hcl = r#"
ephemeral "world_lease" "a" { name = "a" }
module "m" {
  source = "./child"
  in     = ephemeral.world_lease.a.token
}
locals { password = "${module.m.out}!" }
resource "world_object" "x" {
  name     = "x"
  password = local.password
}
"#;
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert!(finished.is_complete(), "{:?}", finished.report);
    assert_eq!(bed.world.state().objects["x"].get_str("password"), Some("canary c#2!"));
    bed.keeps_secret(&[]);
    bed.file("child/main.mesh.hcl", "variable \"in\" {}");
    let error = bed.plan(&hcl.replace("${module.m.out}!", "x")).expect_err("refused");
    assert!(error.contains("plan::variable_ephemeral") && error.contains("main.mesh.hcl:5"), "{error}");
}

#[test]
fn it_flows_into_nothing_that_is_stored() {
    const LEASE: &str = "ephemeral \"world_lease\" \"a\" {\n name = \"a\"\n}\n";
    for (hcl, code) in [
        (
            "resource \"world_object\" \"x\" {\n name = \"x\"\n value = ephemeral.world_lease.a.token\n}",
            "plan::ephemeral_stored",
        ),
        (
            "resource \"world_object\" \"x\" {\n name = \"x\"\n value = \"${ephemeral.world_lease.a.token}!\"\n}",
            "plan::ephemeral_stored",
        ),
        (
            "resource \"terraform_data\" \"x\" {\n input = [{ a = ephemeral.world_lease.a }]\n}",
            "plan::ephemeral_stored",
        ),
        ("data \"world_mirror\" \"x\" {\n value = ephemeral.world_lease.a.token\n}", "plan::ephemeral_stored"),
        ("output \"x\" {\n value = ephemeral.world_lease.a.token\n}", "plan::output_ephemeral"),
        ("output \"x\" {\n value = ephemeral.world_lease.a.token\n ephemeral = true\n}", "lang::output"),
        (
            "resource \"world_object\" \"x\" {\n name = \"x\"\n count = ephemeral.world_lease.a.token == \"\" ? 1 : 0\n}",
            "lang::count",
        ),
    ] {
        let bed = Bed::new();
        let error = bed.apply(&format!("{LEASE}{hcl}")).expect_err(hcl);
        assert!(error.contains(code) && error.contains("main.mesh.hcl:"), "{hcl}: {error}");
        assert!(!error.contains("canary"), "{error}");
        let log = bed.log();
        assert_eq!(log.iter().filter(|l| l.starts_with("open")).count(), log.len() / 2, "{log:?}");
        assert!(bed.world.state().objects.is_empty());
        bed.keeps_secret(&[]);
    }
    // What was given cannot be read back: it is null, and null may be stored.
    let bed = Bed::new();
    let hcl = format!(
        "{LEASE}resource \"world_object\" \"x\" {{\n name = \"x\"\n password = ephemeral.world_lease.a.token\n}}
         resource \"world_object\" \"y\" {{\n name = \"y\"\n value = world_object.x.password == null ? \"null\" : \"there\"\n}}"
    );
    bed.apply(&hcl).expect("begins");
    assert_eq!(bed.world.state().objects["y"].get_str("value"), Some("null"));
    bed.keeps_secret(&[]);
}

#[test]
fn a_secret_that_becomes_ephemeral_leaves_no_fingerprint() {
    let bed = Bed::new();
    let plain = "resource \"world_object\" \"x\" {\n name = \"x\"\n password = \"old\"\n}";
    bed.applies(plain);
    let hcl = "ephemeral \"world_lease\" \"a\" { name = \"a\" }\n".to_owned()
        + &plain.replace("\"old\"", "ephemeral.world_lease.a.token");
    assert_eq!(bed.plan(&hcl), Ok(lines(&["~ world_object.x"])));
    bed.apply(&hcl).expect("begins");
    assert_eq!(bed.plan(&hcl), Ok(Vec::new()));
    assert_eq!(bed.plan(plain), Ok(lines(&["~ world_object.x"])), "and back");
}

#[test]
fn each_key_of_a_provider_opens_its_own() {
    let bed = Bed::new();
    let hcl = r#"
provider "world" {
  alias    = "by_key"
  for_each = { p = "at-p", q = "at-q" }
  endpoint = each.value
}
resource "world_object" "first" { name = "first" }
ephemeral "world_lease" "now" {
  for_each = toset(["p", "q"])
  provider = world.by_key[each.key]
  name     = "now-${each.key}"
}
ephemeral "world_lease" "later" {
  provider = world.by_key["q"]
  name     = "later"
  value    = world_object.first.id
}
check "tokens" {
  assert {
    condition     = ephemeral.world_lease.later.token == ""
    error_message = "It is ${ephemeral.world_lease.later.token}."
  }
}
"#;
    let (_, finished) = bed.apply(hcl).expect("begins");
    assert!(!finished.report.diagnostics.has_errors(), "{:?}", finished.report);
    let others = |name: &str| bed.world.state().others[name].state().log.clone();
    assert_eq!(others("p"), lines(&["open now-p", "close now-p#1"]));
    assert_eq!(others("q"), lines(&["open now-q", "open later", "close later#2", "close now-q#1"]));
    let checks: Vec<_> = finished.report.diagnostics.iter().map(|d| format!("{}: {}", d.code, d.detail)).collect();
    assert!(checks.len() == 1 && checks[0].starts_with("check::assert"), "{checks:?}");
    bed.keeps_secret(&checks);
}

#[test]
fn a_write_only_value_from_ephemeral_variables_is_seen_by_its_fingerprint() {
    let hcl = r#"
variable "pw" {
  type      = string
  ephemeral = true
}
resource "world_object" "x" {
  name     = "x"
  password = "<${var.pw}>"
}
resource "world_object" "y" {
  name  = "y"
  value = world_object.x.password == null ? "null" : "there"
}
"#;
    let mut bed = Bed::new();
    bed.set("pw", "canary-1");
    assert_eq!(bed.applies(hcl), lines(&["create x", "create y"]));
    assert_eq!(bed.world.state().objects["x"].get_str("password"), Some("<canary-1>"), "the world has it");
    assert_eq!(bed.world.state().objects["y"].get_str("value"), Some("null"), "it cannot be read back");
    let reviewed = bed.review(hcl);
    bed.set("pw", "canary-2");
    assert_eq!(bed.plan(hcl), Ok(lines(&["~ world_object.x"])));
    assert!(bed.apply_reviewed(hcl, &reviewed).expect_err("another value").contains("apply::stale"));
    assert_eq!(bed.applies(hcl), lines(&["update x"]));
    // With a part that is known only while applying there is no fingerprint, and nothing fails.
    let late = hcl.replace("<${var.pw}>", "${world_object.z.id}${var.pw}")
        + "resource \"world_object\" \"z\" { name = \"z\" }";
    assert_eq!(bed.applies(&late), lines(&["create z", "update x"]));
    assert_eq!(bed.world.state().objects["x"].get_str("password"), Some("id-zcanary-2"));
    bed.keeps_secret(&[format!("{reviewed:?}")]);
}
