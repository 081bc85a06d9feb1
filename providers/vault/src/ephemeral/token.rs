//! `vault_token`: a token for this run, renewed while it is in use and revoked after it.
//!
//! The one decision: the token renews and revokes itself, which the policy `default` allows, so that the provider's
//! token needs no more than to create it; where the new token may not, the provider's does it by accessor.

use std::time::Duration;

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{EphemeralSource, ErrorKind, Opened, Private, ProviderError, Renewed, Services, async_trait};
use serde_json::{Map, Value as Json, json};

use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::fields::{self, Field, Wire, to_wire};
use crate::names;

pub(crate) struct Token;

const FIELDS: &[Field] = &[
    ("policies", Wire::Policies),
    ("ttl", Wire::Seconds),
    ("explicit_max_ttl", Wire::Seconds),
    ("no_default_policy", Wire::Flag),
    ("renewable", Wire::Flag),
    ("display_name", Wire::Text),
];

/// A token without enough left is renewed no more often than this (in seconds).
const SHORTEST: u64 = 1;

#[async_trait]
impl EphemeralSource<Client> for Token {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_token",
            version: 0,
            doc: "A token for this run: a child of the provider's token, or one of a token role. It is renewed while it is in use, and revoked when the run does not need it any more, also after errors.\n\nNeeds `create` and `update` on `auth/token/create`, or on `auth/token/create/<role_name>`. A token without the policy `default` needs `update` on `auth/token/renew-accessor` and `auth/token/revoke-accessor` for the provider's token.",
            example: "ephemeral \"vault_token\" \"deploy\" {\n  policies = [\"deploy\"]\n  ttl      = \"10m\"\n}\n",
            schema: Schema::of([
                Attribute::optional(
                    "role_name",
                    Type::String,
                    "Token role to create it with. Default: none, a child of the provider's token.",
                ),
                Attribute::optional(
                    "policies",
                    Type::set(Type::String),
                    "Its policies. Default: those of the provider's token, or of the role.",
                ),
                Attribute::optional(
                    "ttl",
                    Type::String,
                    "How long it lives without being renewed, such as `10m`. Default: the server's.",
                ),
                Attribute::optional(
                    "explicit_max_ttl",
                    Type::String,
                    "How long it lives at most, renewed or not. Default: the server's.",
                ),
                Attribute::optional("no_default_policy", Type::Bool, "Leave the policy `default` out. Default: false.")
                    .default(Value::bool(false)),
                Attribute::optional("renewable", Type::Bool, "Whether it can be and is renewed. Default: true.")
                    .default(Value::bool(true)),
                Attribute::optional("display_name", Type::String, "Its name in audit logs."),
                Attribute::optional(
                    "metadata",
                    Type::map(Type::String),
                    "Text about it, not secret; shown in audit logs.",
                ),
                Attribute::computed("client_token", Type::String, "The token.").sensitive(),
                Attribute::computed("accessor", Type::String, "What names the token without being it."),
                Attribute::computed(
                    "lease_duration",
                    Type::Number,
                    "How long it lives without being renewed, in seconds.",
                ),
            ]),
            protected: false,
        }
    }

    async fn open(&self, client: &Client, config: &Value, _services: &Services) -> Result<Opened, ProviderError> {
        let problems = names::check(config, &[], &["role_name"]);
        if let Some(problem) = problems.into_iter().chain(fields::check_durations(config, FIELDS)).next() {
            let error =
                ProviderError::new(ErrorKind::Invalid, "The token cannot be made as configured", problem.reason);
            return Err(ProviderError { path: Some(problem.path), ..error });
        }
        let path = match config.get_str("role_name") {
            Some(role) => format!("auth/token/create/{role}"),
            None => "auth/token/create".to_owned(),
        };
        let reply = client.write(&path, &body(config), Content::Open).await?;
        let auth = &reply.body["auth"];
        let lease = Lease::of(auth).ok_or_else(|| {
            let detail = format!("POST {path} gave an answer without a token.");
            ProviderError::new(ErrorKind::Other, "Vault's answer was not understood", detail)
        })?;
        let accessor =
            if lease.accessor.is_empty() { Value::null(Type::String) } else { Value::string(&*lease.accessor) };
        let value = config
            .with("client_token", Value::string(&*lease.token).sensitive())
            .with("accessor", accessor)
            .with("lease_duration", Value::number(lease.seconds));
        let lease = Lease { ttl: to_wire(Wire::Seconds, config.get("ttl")).as_u64().unwrap_or(0), ..lease };
        Ok(Opened { value, renew_after: lease.renew_after(), private: Some(lease.private()) })
    }

    async fn renew(&self, client: &Client, private: Option<&Private>) -> Result<Renewed, ProviderError> {
        let lease = Lease::read(private)?;
        let reply = lease.call(client, "renew", json!({ "increment": format!("{}s", lease.ttl) })).await?;
        let auth = &reply["auth"];
        let seconds = auth["lease_duration"].as_u64().unwrap_or(0);
        let lease = Lease { seconds, renewable: auth["renewable"].as_bool().unwrap_or(false), ..lease };
        Ok(Renewed { renew_after: lease.renew_after(), private: Some(lease.private()) })
    }

    async fn close(&self, client: &Client, private: Option<&Private>) -> Result<(), ProviderError> {
        match Lease::read(private)?.call(client, "revoke", json!({})).await {
            // It has ended by itself, or with the token that it is a child of.
            Err(failure) if is_gone(&failure) => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }
}

/// What is asked for: what is not configured is left to the server.
fn body(config: &Value) -> Json {
    let configured = FIELDS.iter().filter(|(name, _)| config.get(name).is_some_and(|v| !v.is_null()));
    let mut body: Map<String, Json> = configured
        .map(|(name, wire)| {
            let json = to_wire(*wire, config.get(name));
            let json = if *wire == Wire::Seconds { json!(format!("{json}s")) } else { json };
            ((*name).to_owned(), json)
        })
        .collect();
    let metadata = config.get("metadata").and_then(Value::as_fields).into_iter().flat_map(|f| f.iter());
    let metadata: Map<String, Json> =
        metadata.map(|(k, v)| (k.to_string(), json!(v.as_str().unwrap_or_default()))).collect();
    if !metadata.is_empty() {
        body.insert("meta".into(), Json::Object(metadata));
    }
    Json::Object(body)
}

fn is_gone(failure: &Failure) -> bool {
    failure.status == Some(403) && ["invalid token", "bad token"].iter().any(|w| failure.words.contains(w))
        || failure.words.contains("invalid accessor")
}

/// What is known of a token that was made.
struct Lease {
    token: String,
    accessor: String,
    /// How long it lives from now on.
    seconds: u64,
    renewable: bool,
    /// What was asked for; 0 for the server's own.
    ttl: u64,
}

impl Lease {
    fn of(auth: &Json) -> Option<Self> {
        Some(Self {
            token: auth["client_token"].as_str()?.to_owned(),
            // A batch token has none.
            accessor: auth["accessor"].as_str().unwrap_or_default().to_owned(),
            seconds: auth["lease_duration"].as_u64().unwrap_or(0),
            renewable: auth["renewable"].as_bool().unwrap_or(false),
            ttl: 0,
        })
    }

    fn private(&self) -> Private {
        let Self { token, accessor, seconds, renewable, ttl } = self;
        let json = json!({ "client_token": token, "accessor": accessor, "lease_duration": seconds, "renewable": renewable, "ttl": ttl });
        Private::new(json.to_string())
    }

    fn read(private: Option<&Private>) -> Result<Self, ProviderError> {
        let json: Json = private.and_then(|p| serde_json::from_str(p.text()).ok()).unwrap_or_default();
        let lease = Self::of(&json).map(|lease| Self { ttl: json["ttl"].as_u64().unwrap_or(0), ..lease });
        lease.ok_or_else(|| {
            ProviderError::new(ErrorKind::Other, "The token is not known", "BUG: what opening gave did not come back.")
        })
    }

    /// After two thirds of its life, so that there is time for another try of the client.
    fn renew_after(&self) -> Option<Duration> {
        let expires = self.renewable && self.seconds > 0;
        expires.then(|| Duration::from_secs((self.seconds * 2 / 3).max(SHORTEST)))
    }

    /// `renew` or `revoke`: as the token itself, else by its accessor.
    async fn call(&self, client: &Client, what: &str, mut body: Json) -> Result<Json, Failure> {
        let own = client.with_token(&self.token).write(&format!("auth/token/{what}-self"), &body, Content::Open).await;
        match own {
            Err(failure) if failure.status == Some(403) && !is_gone(&failure) && !self.accessor.is_empty() => {
                body["accessor"] = json!(self.accessor);
                client.write(&format!("auth/token/{what}-accessor"), &body, Content::Open).await.map(|r| r.body)
            }
            other => other.map(|reply| reply.body),
        }
    }
}
