//! Markdown and JSON views, and the proof that no view shows a secret.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mesh_core::{Event, Sink as _};
use mesh_model::{Diagnostic, Marks, Sources};

use super::*;
use crate::view::{json, markdown, sight, stream, values};

#[test]
fn markdown_puts_danger_first_and_never_cuts_a_fence() {
    let mut changes: Vec<Change> = (0..30)
        .map(|i| change(&format!("a_b.c{i:02}"), Action::Create, Value::NULL, object([("a", s("```x"))])))
        .collect();
    changes.push(change("a_b.z", Action::Delete, object([("a", s("1"))]), Value::NULL));
    let plan = of(changes);
    let all = markdown::render(&plan, Sight::new(&f(), false), Some("d1g3st"), markdown::BUDGET);
    let expected = r#"### ⚠️ Plan: 30 to add, 0 to change, 1 to destroy.

<details><summary>🔴 a_b.z will be destroyed</summary>

```diff
- resource "a_b" "z" {
-   a = "1" -> null
  }
```

</details>

<details><summary>🟢 a_b.c00 will be created</summary>

````diff
+ resource "a_b" "c00" {
+   a = "```x"
  }
````

</details>
"#;
    assert!(all.starts_with(expected), "{all}");
    for budget in (0..4000).step_by(37) {
        let cut = markdown::render(&plan, Sight::new(&f(), false), Some("d1g3st"), budget);
        assert!(cut.len() <= budget.max(350), "{} > {budget}", cut.len());
        assert_eq!(cut.matches("<details>").count(), cut.matches("</details>").count(), "budget {budget}");
        assert_eq!(cut.lines().filter(|l| l.starts_with("```")).count() % 2, 0, "budget {budget}");
        assert!(cut.ends_with("Plan digest: `d1g3st`\n"));
    }
}

#[test]
fn json_has_terraforms_shape() {
    let after = object([("id", Value::unknown(Type::String)), ("pin", s(CANARY).sensitive())]);
    let mut plan = of(vec![change("module.m[\"k\"].vault_policy.p[0]", Action::Create, Value::NULL, after)]);
    plan.deferred = staged().deferred;
    let got = planned(&plan, Sight::new(&f(), false));
    let expected: serde_json::Value = serde_json::from_str(
        r#"{"address":"module.m[\"k\"].vault_policy.p[0]","module_address":"module.m[\"k\"]","mode":"managed","type":"vault_policy",
            "name":"p","index":0,"provider_name":"vault","change":{"actions":["create"],"before":null,"after":{"pin":null},
            "after_unknown":{"id":true},"before_sensitive":false,"after_sensitive":{"pin":true}}}"#,
    )
    .expect("JSON");
    assert_eq!(got["resource_changes"][0], expected);
    assert_eq!(got["planned_values"]["root_module"]["child_modules"][0]["address"], "module.m[\"k\"]");
    assert_eq!(got["deferred_changes"][0]["reason"], "provider_config_unknown");
    assert_eq!(
        (&got["complete"], &got["applyable"], &got["format_version"]),
        (&false.into(), &true.into(), &"1.2".into())
    );
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_stream_has_terraforms_lines() {
    let out = Shared::default();
    let stream = stream::Stream::new(Box::new(out.clone()), || "T".to_owned());
    stream.version();
    stream
        .plan(&of(vec![change("a_b.c[\"k\"]", Action::Create, Value::NULL, object([("a", s("1"))]))]), Some("d1g3st"));
    stream.event(Event::Started { address: at("a_b.c[\"k\"]"), action: Action::Create, identity: None });
    stream.event(Event::Done {
        address: at("a_b.c[\"k\"]"),
        action: Action::Create,
        elapsed: Duration::from_secs(2),
        identity: Some("i".into()),
    });
    stream.diagnostic(&Diagnostic::error("a::b", "S", "D"), &Sources::default());
    stream.summary(mesh_model::change::Counts::default(), "apply", "done", serde_json::json!({ "complete": true }));
    let lines: Vec<serde_json::Value> = out.text().lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|l| l["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "version",
            "planned_change",
            "change_summary",
            "apply_start",
            "apply_complete",
            "diagnostic",
            "change_summary"
        ]
    );
    assert_eq!(
        lines[1]["change"]["resource"],
        serde_json::json!({ "addr": "a_b.c[\"k\"]", "module": "", "resource": "a_b.c[\"k\"]", "implied_provider": "a",
            "resource_type": "a_b", "resource_name": "c", "resource_key": "k" })
    );
    assert_eq!(lines[1]["@message"], "a_b.c[\"k\"]: Plan to create");
    assert_eq!(lines[2]["changes"]["add"], 1);
    assert_eq!(lines[4]["hook"]["id_value"], "i");
    assert!(lines.iter().all(|l| l["@timestamp"] == "T" && l["@module"] == "mesh.ui"));
}

/// Every view of a plan that is full of secrets, in every place a value can stand.
#[test]
fn no_view_shows_a_secret() {
    let secret = || s(CANARY).sensitive();
    let ephemeral = s("c4nary-e").mark(Marks::EPHEMERAL);
    let lines = s(&format!("a\n{CANARY}\n")).sensitive();
    let full = |other: &str| {
        object([
            ("plain", s(other)),
            ("secret", secret()),
            ("changed", s(&format!("{CANARY}{other}")).sensitive()),
            ("lines", lines.clone()),
            ("ephemeral", ephemeral.clone()),
            ("map", Value::map(Type::String, [("k", secret())].into_iter().collect())),
            ("set", Value::set(Type::String, [secret(), s(other)])),
            ("list", Value::tuple(vec![s(other), object([("deep", secret())])])),
            ("whole", object([("x", s(CANARY))]).sensitive()),
        ])
    };
    let mut plan = staged();
    for (i, action) in [
        Action::Create,
        Action::Update,
        Action::Replace,
        Action::ReplaceCreateFirst,
        Action::Delete,
        Action::NoOp,
        Action::Forget,
        Action::Read,
    ]
    .into_iter()
    .enumerate()
    {
        let (before, after) = (
            if i == 0 { Value::NULL } else { full("1") },
            if action == Action::Delete { Value::NULL } else { full("2") },
        );
        let mut c = change(&format!("a_b.c{i}"), action, before, after);
        c.importing = (action == Action::NoOp).then(|| "x".into());
        plan.changes.push(c);
    }
    plan.drift.push(Drift { address: at("a_b.c"), before: full("1"), after: full("2"), paths: Vec::new() });
    plan.outputs.insert("o".into(), OutputChange { before: full("1"), after: full("2"), action: Action::Update });
    let out = Shared::default();
    let stream = stream::Stream::new(Box::new(out.clone()), || "T".to_owned());
    stream.plan(&plan, Some("d"));
    let views = |secrets: bool| {
        let f = f();
        let sight = Sight::new(&f, secrets);
        let value = if secrets { sight::clear(&full("1")) } else { full("1") };
        [
            plain(&plan::text(&plan, sight, Some("d"))),
            plain(&plan::drift_text(&plan, sight)),
            markdown::render(&plan, sight, Some("d"), usize::MAX),
            planned(&plan, sight).to_string(),
            values::text(&value),
            values::attributes(&value, 1),
        ]
    };
    let never = [out.text(), format!("{plan:?}")];
    for view in views(false).iter().chain(&never) {
        assert!(view.len() > 100, "an empty view proves nothing");
        assert!(!view.contains("c4nary"), "{view}");
        assert!(!view.contains("fingerprint"), "{view}");
    }
    for view in &views(true) {
        assert!(view.contains(CANARY), "what is asked for is shown: {view}");
        assert!(!view.contains("c4nary-e"), "what is ephemeral never is: {view}");
    }
}

fn planned(plan: &Plan, sight: Sight<'_>) -> serde_json::Value {
    let version = |_: mesh_model::Mode, _: &str| 0;
    let snapshot = mesh_model::Snapshot::default();
    let (digest, timestamp) = (Some("d1g3st"), "2026-01-01T00:00:00Z");
    json::plan(&json::Planned { plan, snapshot: &snapshot, version: &version, digest, timestamp }, sight)
}
