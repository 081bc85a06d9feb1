//! `kubernetes_token_request`: a token of a service account that ends by itself.
//!
//! The API server signs the token and keeps nothing of it, so there is nothing to renew and nothing to close.

use http::Method;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{EphemeralSource, ErrorKind, Opened, ProviderError, Services, async_trait};
use serde_json::json;

use crate::cluster::{Cluster, Payload, encoded};
use crate::error::missing;
use crate::object::text_at;

/// The type.
pub(crate) struct TokenRequest;

/// API servers refuse less.
const SHORTEST: i64 = 600;

#[async_trait]
impl EphemeralSource<Cluster> for TokenRequest {
    fn schema(&self) -> ResourceSchema {
        let text = Type::String;
        ResourceSchema {
            name: "kubernetes_token_request",
            version: 0,
            doc: "A token of a service account for some audiences and a limited time. The cluster keeps nothing of it, so it cannot be revoked before it ends; it ends with the account too.\n\nNeeds `create` on `serviceaccounts/token`.",
            example: r#"ephemeral "kubernetes_token_request" "istiod" {
  namespace       = "istio-system"
  service_account = "istiod"
  audiences       = ["vault"]
}"#,
            schema: Schema::of([
                Attribute::required("namespace", text.clone(), "Namespace of the account."),
                Attribute::required("service_account", text.clone(), "Name of the service account."),
                Attribute::optional(
                    "audiences",
                    Type::set(text.clone()),
                    "Who may accept it. Default: the API server.",
                ),
                Attribute::optional(
                    "expiration_seconds",
                    Type::Number,
                    "How long it is valid, at least 600; the cluster may give another time. Default: 3600.",
                ),
                Attribute::computed("token", text.clone(), "The token.").sensitive(),
                Attribute::computed("expiration_timestamp", text, "When it ends (RFC 3339)."),
            ]),
            protected: false,
        }
    }

    async fn open(&self, cluster: &Cluster, config: &Value, _: &Services) -> Result<Opened, ProviderError> {
        let text = |name: &str| config.get_str(name).unwrap_or("");
        let (namespace, account) = (text("namespace"), text("service_account"));
        let seconds = match config.get("expiration_seconds").filter(|v| !v.is_null()) {
            None => None,
            Some(v) => Some(v.as_i64().filter(|n| *n >= SHORTEST).ok_or_else(|| {
                let detail = format!("expiration_seconds is a whole number of {SHORTEST} or more.");
                ProviderError::new(ErrorKind::Invalid, "The Kubernetes configuration cannot be used", detail)
                    .at("expiration_seconds")
            })?),
        };
        let audiences: Vec<&str> = config
            .get("audiences")
            .and_then(Value::as_items)
            .map(|i| i.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": audiences },
        });
        if let Some(seconds) = seconds {
            request["spec"]["expirationSeconds"] = json!(seconds);
        }
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", encoded(namespace), encoded(account));
        let answer = cluster.call(Method::POST, &path, Payload::Plain(&request)).await.map_err(|f| {
            if f.code() == 404 {
                return missing(format!(
                    "There is no ServiceAccount {namespace}/{account}. Create it first (with depends_on)."
                ));
            }
            f.error(&format!("request a token of ServiceAccount {namespace}/{account}"), None)
        })?;
        let given = |name: &str| text_at(&answer.json["status"], &[name]).map(str::to_owned);
        let Some(token) = given("token") else {
            return Err(missing(format!("The API server gave no token of ServiceAccount {namespace}/{account}.")));
        };
        let ends = given("expirationTimestamp").map_or(Value::null(Type::String), Value::string);
        Ok(Opened::value(config.with("token", Value::string(token).sensitive()).with("expiration_timestamp", ends)))
    }
}
