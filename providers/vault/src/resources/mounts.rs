//! What secret engines and auth backends have in common: two tables of mounts with the same calls.
//!
//! The one decision: the configured TTLs are read from the table itself (`sys/mounts`, `sys/auth`); `tune` shows the
//! effective ones and serves for writing only, where `"system"` resets a TTL. The table is read once for all mounts; a
//! token that may not read it is asked for one mount at a time.

use mesh_model::schema::Equality;
use mesh_model::{Attribute, Type, Value};
use mesh_sdk::{ErrorKind, Problem};
use serde_json::{Value as Json, json};

use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::fields::{self, Field, Wire, from_wire, to_wire};
use crate::kind::{exists, text, text_map};
use crate::names;

/// One of the two tables.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// `sys/mounts` or `sys/auth`.
    pub(super) root: &'static str,
    /// Where its mounts are tuned. `sys/auth/x/tune` would need sudo, `sys/mounts/auth/x/tune` does not.
    pub(super) tune: &'static str,
}

const FIELDS: &[Field] =
    &[("description", Wire::Text), ("default_lease_ttl", Wire::Seconds), ("max_lease_ttl", Wire::Seconds)];

/// The attributes of both.
pub(super) fn attributes() -> Vec<Attribute> {
    vec![
        Attribute::optional("description", Type::String, "Text for people."),
        Attribute::optional("default_lease_ttl", Type::String, "How long leases and tokens live by default, in any spelling (`768h`, `32d`, `2764800`). Absent: the system's default.")
            .equality(Equality::Duration),
        Attribute::optional("max_lease_ttl", Type::String, "How long they live at most, in any spelling. Absent: the system's maximum.").equality(Equality::Duration),
        Attribute::optional("local", Type::Bool, "Not replicated (Vault Enterprise). Default: false.").default(Value::bool(false)).force_new(),
        Attribute::optional("seal_wrap", Type::Bool, "Wrapped by the seal (Vault Enterprise). Default: false.").default(Value::bool(false)).force_new(),
        Attribute::computed("accessor", Type::String, "The name that Vault gave it."),
    ]
}

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = names::check(config, &["path"], &["type"]);
    problems.extend(fields::check_durations(config, FIELDS));
    problems
}

pub(super) fn same(attribute: &str, a: &Value, b: &Value) -> bool {
    FIELDS.iter().any(|(name, wire)| *name == attribute && fields::same(*wire, a, b))
}

impl Table {
    fn mount<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.root).unwrap_or(path).trim_matches('/')
    }

    /// The path of an import id: with or without the table in front.
    pub(super) fn path_of_id(&self, id: &str) -> String {
        format!("{}/{}", self.root, self.mount(id))
    }

    pub(super) async fn look(&self, client: &Client, path: &str) -> Result<Option<Value>, Failure> {
        let key = format!("{}/", self.mount(path));
        let whole = async {
            match client.read(self.root).await {
                Ok(table) => Ok(table.and_then(|t| t.as_object().cloned()).or_else(|| Some(serde_json::Map::new()))),
                Err(failure) if failure.status == Some(403) => Ok(None),
                Err(failure) => Err(failure),
            }
        };
        let entry = client.tables.read(self.root, whole, |table| table.as_ref().map(|t| t.get(&key).cloned())).await?;
        let entry = match entry {
            Some(entry) => entry,
            None => self.single(client, path).await?,
        };
        Ok(entry.map(|e| self.values(path, &e)))
    }

    /// One mount, for tokens that may not read the table.
    async fn single(&self, client: &Client, path: &str) -> Result<Option<Json>, Failure> {
        match client.read(path).await {
            Err(f)
                if f.status == Some(400)
                    && (f.words.contains("No secret engine") || f.words.contains("No auth engine")) =>
            {
                Ok(None)
            }
            other => other,
        }
    }

    fn values(&self, path: &str, entry: &Json) -> Value {
        let kv = matches!(entry["type"].as_str(), Some("kv"));
        let version = match entry["options"]["version"].as_str() {
            Some(version) => Value::string(version),
            None if kv => Value::string("1"),
            None => Value::null(Type::String),
        };
        let mut options = entry["options"].clone();
        if let Some(fields) = options.as_object_mut() {
            fields.remove("version");
        }
        Value::object([
            ("path", Value::string(self.mount(path))),
            ("type", Value::string(entry["type"].as_str().unwrap_or_default())),
            ("version", version),
            ("options", text_map(&options)),
            ("description", from_wire(Wire::Text, &entry["description"])),
            ("default_lease_ttl", from_wire(Wire::Seconds, &entry["config"]["default_lease_ttl"])),
            ("max_lease_ttl", from_wire(Wire::Seconds, &entry["config"]["max_lease_ttl"])),
            ("local", from_wire(Wire::Flag, &entry["local"])),
            ("seal_wrap", from_wire(Wire::Flag, &entry["seal_wrap"])),
            ("accessor", from_wire(Wire::Text, &entry["accessor"])),
        ])
    }

    pub(super) async fn create(
        &self,
        client: &Client,
        path: &str,
        after: &Value,
        adopt: bool,
    ) -> Result<Vec<String>, Failure> {
        let mut body = json!({
            "type": text(after, "type"),
            "description": text(after, "description"),
            "config": {
                "default_lease_ttl": to_wire(Wire::Seconds, after.get("default_lease_ttl")),
                "max_lease_ttl": to_wire(Wire::Seconds, after.get("max_lease_ttl")),
            },
            "local": to_wire(Wire::Flag, after.get("local")),
            "seal_wrap": to_wire(Wire::Flag, after.get("seal_wrap")),
        });
        let options = options(after);
        if options.as_object().is_some_and(|o| !o.is_empty()) {
            body["options"] = options;
        }
        let made = client.write(path, &body, Content::Open).await;
        client.tables.forget(self.root).await;
        match made {
            Ok(reply) => Ok(reply.warnings()),
            Err(failure) if failure.words.contains("path is already in use") => {
                if adopt {
                    self.adopt(client, path, after).await
                } else {
                    Err(in_use(path, &failure))
                }
            }
            Err(failure) => Err(failure),
        }
    }

    async fn adopt(&self, client: &Client, path: &str, after: &Value) -> Result<Vec<String>, Failure> {
        let seen = self.look(client, path).await?.unwrap_or(Value::NULL);
        let version = after.get_str("version");
        if seen.get_str("type") != after.get_str("type") || version.is_some() && seen.get_str("version") != version {
            let is = |v: &Value| format!("{} {}", text(v, "type"), text(v, "version")).trim().to_owned();
            return Err(Failure::new(
                ErrorKind::Conflict,
                "What exists cannot be adopted",
                format!(
                    "{path} is of type {:?}, and {:?} is wanted. Choose another path, or delete it by hand if nobody needs what is in it.",
                    is(&seen),
                    is(after)
                ),
            ));
        }
        self.tune(client, path, after).await
    }

    pub(super) async fn update(
        &self,
        client: &Client,
        path: &str,
        before: &Value,
        after: &Value,
    ) -> Result<Vec<String>, Failure> {
        let mut warnings = self.tune(client, path, after).await?;
        if text(before, "version") == "1" && text(after, "version") == "2" {
            let body = json!({"options": {"version": "2"}});
            warnings.extend(
                client
                    .write(&self.tune_path(path), &body, Content::Open)
                    .await
                    .map_err(Failure::after_write)?
                    .warnings(),
            );
            client.tables.forget(self.root).await;
        }
        Ok(warnings)
    }

    async fn tune(&self, client: &Client, path: &str, after: &Value) -> Result<Vec<String>, Failure> {
        let ttl = |name: &str| match to_wire(Wire::Seconds, after.get(name)) {
            Json::Number(n) if n.as_i64() != Some(0) => json!(n.to_string()),
            _ => json!("system"),
        };
        let body = json!({
            "description": text(after, "description"),
            "default_lease_ttl": ttl("default_lease_ttl"),
            "max_lease_ttl": ttl("max_lease_ttl"),
        });
        let reply = client.write(&self.tune_path(path), &body, Content::Open).await;
        client.tables.forget(self.root).await;
        Ok(reply?.warnings())
    }

    fn tune_path(&self, path: &str) -> String {
        format!("{}/{}/tune", self.tune, self.mount(path))
    }

    pub(super) async fn delete(&self, client: &Client, path: &str) -> Result<(), Failure> {
        let deleted = client.delete(path).await;
        client.tables.forget(self.root).await;
        deleted
    }
}

fn in_use(path: &str, failure: &Failure) -> Failure {
    let mut known = exists(path);
    known.add(&format!("Vault said: {:?}.", failure.words));
    known.in_doubt = failure.in_doubt;
    known
}

fn options(values: &Value) -> Json {
    let mut out = serde_json::Map::new();
    for (key, value) in values.get("options").and_then(Value::as_fields).into_iter().flat_map(|f| f.iter()) {
        out.insert(key.to_string(), json!(value.as_str().unwrap_or_default()));
    }
    if let Some(version) = values.get_str("version") {
        out.insert("version".into(), json!(version));
    }
    Json::Object(out)
}
