//! What differs between two snapshots of one state.
//!
//! The one decision: one comparison serves `state diff`, `state rollback` and JSON, and values are drawn as plans draw
//! them. They come from state, where a secret is a fingerprint: that it differs is seen, what it is never.

use std::collections::BTreeSet;

use mesh_core::decide::differences;
use mesh_model::json::{sensitive_mirror, to_json};
use mesh_model::snapshot::StoredOutput;
use mesh_model::{Address, Instance, Snapshot, Value};
use serde_json::{Map, Value as Json, json};

use super::block::{Block, keyword};
use super::diff::{Line, Sign, attributes, value};
use super::json::{known, named};
use super::style::{BOLD, paint, visible};

/// Two snapshots, compared.
pub(crate) struct Compared<'s> {
    objects: Vec<Object<'s>>,
    outputs: Vec<(&'s str, Sides<&'s StoredOutput>)>,
}

type Sides<T> = (Option<T>, Option<T>);

/// An object that is not the same on both sides, or on one side only.
struct Object<'s> {
    address: &'s Address,
    deposed: Option<&'s str>,
    sides: Sides<&'s Instance>,
}

/// Compares what state knew at two serials.
pub(crate) fn compare<'s>(from: &'s Snapshot, to: &'s Snapshot) -> Compared<'s> {
    let (old, new) = (known(from), known(to));
    let places: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let objects = places.into_iter().map(|place @ (address, deposed)| Object {
        address,
        deposed,
        sides: (old.get(&place).copied(), new.get(&place).copied()),
    });
    let names: BTreeSet<_> = from.outputs.keys().chain(to.outputs.keys()).collect();
    let outputs = names.into_iter().map(|n| (&**n, (from.outputs.get(n), to.outputs.get(n))));
    Compared {
        objects: objects.filter(|o| o.sides.0 != o.sides.1).collect(),
        outputs: outputs.filter(|(_, (a, b))| a != b).collect(),
    }
}

impl Compared<'_> {
    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.outputs.is_empty()
    }

    /// How many objects the second side has more, has otherwise, and has no longer.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let of = |word: &str| self.objects.iter().filter(|o| action(&o.sides) == word).count();
        (of("create"), of("update"), of("delete"))
    }

    /// For people: a block for each object, then outputs, then how many.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for object in &self.objects {
            out.push('\n');
            out.push_str(&object.block().render());
        }
        if !self.outputs.is_empty() {
            out.push_str("\nOutputs:\n");
        }
        let width = self.outputs.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0);
        for (name, (before, after)) in &self.outputs {
            let (old, new) = (side(*before), side(*after));
            let lines = value(name, width, &old, &new, 0);
            for line in lines {
                out.push_str(line.render().trim_end());
                out.push('\n');
            }
        }
        let (added, changed, removed) = self.counts();
        push!(out, "\n{}\n", paint(BOLD, format!("{added} added, {changed} changed, {removed} removed.")));
        out
    }

    /// For programs: objects in the order of addresses.
    pub(crate) fn changes(&self) -> Json {
        self.objects.iter().map(Object::json).collect()
    }

    /// For programs: outputs by name.
    pub(crate) fn outputs(&self) -> Json {
        let one = |sides: &Sides<&StoredOutput>| {
            let mut out = values(&side(sides.0), &side(sides.1));
            out.insert("action".into(), action(sides).into());
            Json::Object(out)
        };
        Json::Object(self.outputs.iter().map(|(n, sides)| ((*n).to_owned(), one(sides))).collect())
    }
}

/// The value of an output as it may be seen.
fn side(output: Option<&StoredOutput>) -> Value {
    output.map_or(Value::NULL, |o| if o.sensitive { o.value.clone().sensitive() } else { o.value.clone() })
}

fn action<T>(sides: &Sides<T>) -> &'static str {
    match sides {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    }
}

/// Both values, and where they are sensitive: as in the JSON of plans.
fn values(before: &Value, after: &Value) -> Map<String, Json> {
    let sides = [
        ("before", to_json(before)),
        ("after", to_json(after)),
        ("before_sensitive", sensitive_mirror(before)),
        ("after_sensitive", sensitive_mirror(after)),
    ];
    sides.into_iter().map(|(name, json)| (name.to_owned(), json)).collect()
}

impl Object<'_> {
    fn values(&self) -> (Value, Value) {
        let of = |i: Option<&Instance>| i.map_or(Value::NULL, |i| i.values.clone());
        (of(self.sides.0), of(self.sides.1))
    }

    fn block(&self) -> Block {
        let (sign, word) = match action(&self.sides) {
            "create" => (Sign::Add, "added"),
            "delete" => (Sign::Remove, "removed"),
            _ => (Sign::Change, "changed"),
        };
        let deposed = self.deposed.map(|key| format!(" (deposed object {})", visible(key))).unwrap_or_default();
        let mut comments = vec![paint(BOLD, format!("{}{deposed}: {word}", self.address))];
        let says = |json: &Json| visible(json.as_str().unwrap_or(&json.to_string()));
        comments.extend(self.facts().iter().map(|f| match (&f.before, &f.after) {
            (Json::Null, Json::Null) => format!("{}: changed", f.name),
            (before, after) => format!("{}: {} -> {}", f.name, says(before), says(after)),
        }));
        let (before, after) = self.values();
        let open = format!("{} {:?} {:?} {{", keyword(self.address.mode), &*self.address.ty, &*self.address.name);
        let mut lines = vec![Line { depth: 0, sign, text: open }];
        lines.extend(attributes(&before, &after, &[]));
        lines.push(Line { depth: 0, sign: Sign::Blank, text: "}".into() });
        Block { comments, lines }
    }

    fn json(&self) -> Json {
        let mut out = named(self.address);
        if let Some(key) = self.deposed {
            out.insert("deposed".into(), key.into());
        }
        if let Some(instance) = self.sides.1.or(self.sides.0) {
            out.insert("provider_name".into(), instance.provider.to_string().into());
        }
        out.insert("action".into(), action(&self.sides).into());
        let (before, after) = self.values();
        out.extend(values(&before, &after));
        if action(&self.sides) == "update" {
            // Also those of secrets, of which nothing else shows.
            let paths = differences(&before, &after).iter().map(ToString::to_string).collect::<Vec<_>>();
            out.insert("paths".into(), paths.into());
        }
        let facts = self.facts().into_iter();
        let facts: Map<_, _> =
            facts.map(|f| (f.name.to_owned(), json!({ "before": f.before, "after": f.after }))).collect();
        out.insert("entry".into(), facts.into());
        out.into()
    }

    /// What differs beside the values; of an object that is on one side only, what is unusual about it.
    fn facts(&self) -> Vec<Fact> {
        let all = |i: &Instance| {
            [
                ("provider", json!(&*i.provider)),
                ("schema version", json!(i.schema_version)),
                ("identity", json!(i.identity.as_ref().map(|i| &*i.0))),
                ("target", json!(i.target.as_deref())),
                ("dependencies", json!(i.dependencies.iter().map(|d| &**d).collect::<Vec<_>>())),
                ("protected", json!(i.protected)),
                ("create_before_destroy", json!(i.create_before_destroy)),
                ("tainted", json!(i.tainted)),
                ("adopted", json!(i.adopted)),
                ("kept", json!(i.kept)),
            ]
        };
        let (a, b) = match self.sides {
            (Some(a), Some(b)) => (a, b),
            (Some(one), None) | (None, Some(one)) => {
                let unusual = all(one).into_iter().filter(|(_, v)| *v == Json::Bool(true));
                let (gone, no) = (self.sides.1.is_none(), Json::Bool(false));
                let fact = |(name, yes)| match gone {
                    true => Fact { name, before: yes, after: no.clone() },
                    false => Fact { name, before: no.clone(), after: yes },
                };
                return unusual.map(fact).collect();
            }
            (None, None) => return Vec::new(),
        };
        let pairs = all(a).into_iter().zip(all(b)).filter(|((_, before), (_, after))| before != after);
        let mut out: Vec<Fact> = pairs.map(|((name, before), (_, after))| Fact { name, before, after }).collect();
        if a.private != b.private {
            out.push(Fact { name: "what the provider remembers", before: Json::Null, after: Json::Null });
        }
        out
    }
}

/// Something of an entry in state that is not one of the object's values; two nulls: it is not shown.
struct Fact {
    name: &'static str,
    before: Json,
    after: Json,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_model::Fingerprinter;
    use mesh_model::snapshot::Identity;

    use super::*;
    use crate::view::style::plain;

    fn instance(text: &str, secret: &str) -> Instance {
        let values = Value::object([
            ("id", Value::string("one")),
            ("pin", Value::string(secret).sensitive()),
            ("script", Value::string(format!("first\n{text}\nlast\n"))),
        ]);
        Instance {
            provider: "vault".into(),
            schema_version: 0,
            values: Fingerprinter::new([3; 32]).withhold(&values),
            identity: Some(Identity("one".into())),
            target: None,
            dependencies: Arc::from([]),
            protected: false,
            create_before_destroy: false,
            tainted: false,
            adopted: false,
            kept: false,
            private: None,
        }
    }

    fn snapshot(objects: &[(&str, Instance)]) -> Snapshot {
        let instances = objects.iter().map(|(a, i)| (a.parse().expect("an address"), Arc::new(i.clone())));
        Snapshot { instances: instances.collect(), ..Snapshot::default() }
    }

    #[test]
    fn values_are_drawn_as_in_plans_and_secrets_are_not() {
        let from = snapshot(&[("x_y.a", instance("old", "canary-1")), ("x_y.gone", instance("x", "canary-1"))]);
        let changed = Instance {
            tainted: true,
            dependencies: Arc::from([Arc::from("x_y.b")]),
            private: Some("canary-3".into()),
            ..instance("new", "canary-2")
        };
        let mut to = snapshot(&[("x_y.a", changed)]);
        to.deposed.insert(("x_y.a".parse().expect("an address"), "k1".into()), Arc::new(instance("x", "canary-1")));
        let output = |text: &str, sensitive| StoredOutput { value: Value::string(text), sensitive, sealed: None };
        to.outputs.insert("o".into(), output("v", false));
        to.outputs.insert("secret".into(), output("canary-4", true));
        let compared = compare(&from, &to);
        let text = plain(&compared.text());
        assert_eq!(
            text,
            r#"
  # x_y.a: changed
  # (dependencies: [] -> ["x_y.b"])
  # (tainted: false -> true)
  # (what the provider remembers: changed)
  ~ resource "x_y" "a" {
        id     = "one"
      ~ pin    = (sensitive value) -> (sensitive value)
      ~ script = <<-EOT
            first
          - old
          + new
            last
        EOT
    }

  # x_y.a (deposed object k1): added
  + resource "x_y" "a" {
      + id     = "one"
      + pin    = (sensitive value)
      + script = <<-EOT
            first
            x
            last
        EOT
    }

  # x_y.gone: removed
  - resource "x_y" "gone" {
      - id     = "one" -> null
      - pin    = (sensitive value) -> null
      - script = <<-EOT
            first
            x
            last
        EOT -> null
    }

Outputs:
  + o      = "v"
  + secret = (sensitive value)

1 added, 1 changed, 1 removed.
"#
        );
        let json = compared.changes();
        assert_eq!(json[0]["paths"], json!(["pin", "script"]));
        assert_eq!(json[0]["entry"]["tainted"], json!({ "before": false, "after": true }));
        assert_eq!((&json[0]["after"]["pin"], &json[0]["after_sensitive"]["pin"]), (&Json::Null, &true.into()));
        assert_eq!((&json[1]["deposed"], &json[1]["action"]), (&"k1".into(), &"create".into()));
        assert_eq!((&json[2]["action"], &json[2]["after"]), (&"delete".into(), &Json::Null));
        let outputs = compared.outputs();
        assert_eq!((&outputs["o"]["after"], &outputs["secret"]["after"]), (&"v".into(), &Json::Null));
        assert_eq!(outputs["secret"]["after_sensitive"], true);
        assert!(!format!("{json}{outputs}{text}").contains("canary"));
        assert!(compare(&to, &to).is_empty());
    }
}
