//! `vault_kubernetes_auth_config`: how an auth backend asks a cluster about its service accounts.
//!
//! The one decision: the endpoint replaces the whole configuration and never gives the reviewer's token back, so every
//! write sends all fields, the token included, and the server's `token_reviewer_jwt_set` tells when somebody erased it.
//! Vault cannot delete the configuration: a delete overwrites it with one that reaches nothing and holds no
//! credentials, and such a one counts as absent.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{PlanRequest, PlanResponse, Problem, Verdict, async_trait, schema_plan};
use serde_json::{Map, Value as Json, json};

use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::fields::{self, Field, Wire, from_wire, to_wire};
use crate::kind::Kind;
use crate::names;

pub(crate) struct KubernetesAuthConfig;

/// A host that cannot exist (RFC 2606).
const NOWHERE: &str = "https://deleted.invalid";

const JWT: &str = "token_reviewer_jwt";
const JWT_SET: &str = "token_reviewer_jwt_set";

const FIELDS: &[Field] = &[
    ("kubernetes_host", Wire::Text),
    ("kubernetes_ca_cert", Wire::Pem),
    ("disable_local_ca_jwt", Wire::Flag),
    ("issuer", Wire::Text),
    ("disable_iss_validation", Wire::Flag),
    ("pem_keys", Wire::Texts),
    ("use_annotations_as_alias_metadata", Wire::Flag),
];

fn flag(name: &'static str, default: bool, doc: &'static str) -> Attribute {
    Attribute::optional(name, Type::Bool, doc).default(Value::bool(default))
}

#[async_trait]
impl Kind for KubernetesAuthConfig {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_kubernetes_auth_config",
            version: 0,
            doc: "The configuration of a kubernetes auth backend. Vault cannot delete it: deleting removes the credentials and points it nowhere.\n\nNeeds `create`, `update` and `read` on `auth/<backend>/config`.",
            example: "resource \"vault_kubernetes_auth_config\" \"asm\" {\n  backend              = \"asm-c1/hsm\"\n  kubernetes_host      = \"https://192.0.2.10:6443\"\n  disable_local_ca_jwt = true\n}\n",
            schema: Schema::of([
                Attribute::required("backend", Type::String, "Path of the auth backend, without `auth/`.").force_new(),
                Attribute::required("kubernetes_host", Type::String, "URL of the API server as Vault reaches it."),
                Attribute::optional("kubernetes_ca_cert", Type::String, "PEM certificates that the API server's certificate is checked against."),
                Attribute::optional(JWT, Type::String, "Token of the account that may ask for token reviews. Vault never gives it back: a change is seen by its fingerprint (except where it comes from an ephemeral block), its removal by `token_reviewer_jwt_set`.").write_only(),
                flag("disable_local_ca_jwt", false, "Do not fall back to the CA and token of the pod that Vault runs in. Default: false."),
                Attribute::optional("issuer", Type::String, "Issuer that tokens must have, where it is validated."),
                flag("disable_iss_validation", true, "Do not validate the issuer. Default: true, as in Vault."),
                Attribute::optional("pem_keys", Type::list(Type::String), "Public keys that tokens are checked with instead of asking the cluster."),
                flag("use_annotations_as_alias_metadata", false, "Copy annotations of the account into the alias. Default: false."),
                Attribute::computed(JWT_SET, Type::Bool, "Whether Vault holds a reviewer's token."),
            ]),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = names::check(config, &["backend"], &[]);
        let text = |name: &str| config.get_str(name);
        if text("kubernetes_host").is_some_and(|h| !h.starts_with("https://") && !h.starts_with("http://")) {
            problems.push(Problem::at("kubernetes_host", "kubernetes_host is a URL: https://HOST:PORT."));
        }
        let pem = |c: &str| c.is_empty() || c.contains("-----BEGIN") && c.contains('\n');
        if text("kubernetes_ca_cert").is_some_and(|c| !pem(c.trim())) {
            problems.push(Problem::at(
                "kubernetes_ca_cert",
                "kubernetes_ca_cert is PEM text with its line breaks: file(\"ca.crt\").",
            ));
        }
        if text(JWT).is_some_and(|t| t.split('.').count() != 3 || t.chars().any(char::is_whitespace)) {
            problems.push(Problem::at(JWT, "token_reviewer_jwt is not a token of three parts with dots between (a file name instead of file(...), a trailing line break?)."));
        }
        problems
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("auth/{}/config", values.get_str("backend")?))
    }

    fn path_of_id(&self, id: &str) -> String {
        let backend = id.strip_prefix("auth/").unwrap_or(id);
        format!("auth/{}/config", backend.strip_suffix("/config").unwrap_or(backend))
    }

    fn same(&self, attribute: &str, a: &Value, b: &Value) -> bool {
        FIELDS.iter().any(|(name, wire)| *name == attribute && fields::same(*wire, a, b))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let mut response = schema_plan(request);
        let jwt = request.desired.get(JWT).unwrap_or(&Value::NULL);
        let set = if jwt.is_unknown() {
            Value::unknown(Type::Bool)
        } else {
            Value::bool(!jwt.is_null() || jwt.marks().ephemeral())
        };
        // Erased or set behind our back: the one thing about the token that Vault tells.
        if response.verdict == Verdict::NoOp && response.before.get(JWT_SET).is_some_and(|seen| !seen.same(&set)) {
            response.verdict = Verdict::Update;
        }
        response.after = response.after.with(JWT_SET, set);
        response
    }

    async fn look(&self, client: &Client, path: &str, _hint: Option<&Value>) -> Result<Option<Value>, Failure> {
        let Some(data) = client.read(path).await?.filter(|d| d["kubernetes_host"] != NOWHERE) else { return Ok(None) };
        let backend = path.strip_prefix("auth/").and_then(|p| p.strip_suffix("/config")).unwrap_or(path);
        let fixed = [("backend", Value::string(backend)), (JWT_SET, from_wire(Wire::Flag, &data[JWT_SET]))];
        Ok(Some(Value::object(
            fixed.into_iter().chain(FIELDS.iter().map(|(name, wire)| (*name, from_wire(*wire, &data[*name])))),
        )))
    }

    async fn create(&self, client: &Client, path: &str, after: &Value, _adopt: bool) -> Result<Vec<String>, Failure> {
        let mut body: Map<String, Json> =
            FIELDS.iter().map(|(name, wire)| ((*name).to_owned(), to_wire(*wire, after.get(name)))).collect();
        body.insert(JWT.to_owned(), to_wire(Wire::Text, after.get(JWT)));
        let reply = client.write(path, &Json::Object(body), Content::Secret).await?;
        Ok(reply.warnings())
    }

    async fn update(
        &self,
        client: &Client,
        path: &str,
        _before: &Value,
        after: &Value,
    ) -> Result<Vec<String>, Failure> {
        self.create(client, path, after, true).await
    }

    async fn delete(&self, client: &Client, path: &str, _before: Option<&Value>) -> Result<(), Failure> {
        // Nothing there, or not even the backend: nothing to overwrite.
        if client.read(path).await?.is_none() {
            return Ok(());
        }
        let body = json!({"kubernetes_host": NOWHERE, "disable_local_ca_jwt": true});
        client.write(path, &body, Content::Open).await.map(|_| ())
    }
}
