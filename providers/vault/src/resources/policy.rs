//! `vault_policy`: what the holders of a token may do.
//!
//! The one decision: two texts are compared by what they say ([`crate::policy_text`]); Vault stores the text as it is
//! sent, so nothing is read back after a write.

use mesh_model::schema::Equality;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{Problem, async_trait};
use serde_json::json;

use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::kind::{Kind, text};
use crate::{names, policy_text};

pub(crate) struct Policy;

const ROOT: &str = "sys/policies/acl";

#[async_trait]
impl Kind for Policy {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "vault_policy",
            version: 0,
            doc: "An ACL policy.\n\nNeeds `create`, `update`, `read` and `delete` on `sys/policies/acl/<name>`; with `list` on `sys/policies/acl` new policies are looked up with one call.",
            example: "resource \"vault_policy\" \"istiod\" {\n  name   = \"asm-c1-hsm-policy\"\n  policy = \"path \\\"asm-c1/hsm\\\" { capabilities = [\\\"read\\\"] }\"\n}\n",
            schema: Schema::of([
                Attribute::required("name", Type::String, "The name, in lower case: Vault would convert it.")
                    .force_new(),
                Attribute::required(
                    "policy",
                    Type::String,
                    "The rules, in HCL or JSON. Layout and order do not count as a change.",
                )
                .equality(Equality::Custom),
            ]),
            protected: false,
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = names::check(config, &["name"], &[]);
        let name = config.get_str("name").unwrap_or_default();
        if name != name.to_lowercase() {
            problems.push(Problem::at(
                "name",
                format!("Vault converts policy names to lower case: write {:?}.", name.to_lowercase()),
            ));
        }
        if name == "root" {
            problems.push(Problem::at("name", "The policy \"root\" belongs to Vault and cannot be changed."));
        }
        if let Some(Err(reason)) = config.get_str("policy").map(policy_text::parse) {
            problems.push(Problem::at("policy", format!("The policy is not HCL or JSON: {reason}.")));
        }
        problems
    }

    fn path(&self, values: &Value) -> Option<String> {
        Some(format!("{ROOT}/{}", values.get_str("name")?))
    }

    fn path_of_id(&self, id: &str) -> String {
        format!("{ROOT}/{}", id.strip_prefix(ROOT).unwrap_or(id).trim_start_matches('/'))
    }

    fn same(&self, attribute: &str, a: &Value, b: &Value) -> bool {
        attribute == "policy" && matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if policy_text::same(a, b))
    }

    fn listing(&self, path: &str) -> Option<(String, String)> {
        Some((ROOT.to_owned(), path.strip_prefix(ROOT)?.trim_start_matches('/').to_owned()))
    }

    fn looks_after_write(&self) -> bool {
        false
    }

    async fn look(&self, client: &Client, path: &str, _hint: Option<&Value>) -> Result<Option<Value>, Failure> {
        let name = path.strip_prefix(ROOT).unwrap_or(path).trim_start_matches('/');
        let data = client.read(path).await?;
        Ok(data.map(|d| {
            Value::object([
                ("name", Value::string(name)),
                ("policy", Value::string(d["policy"].as_str().unwrap_or_default())),
            ])
        }))
    }

    async fn create(&self, client: &Client, path: &str, after: &Value, _adopt: bool) -> Result<Vec<String>, Failure> {
        let reply = client.write(path, &json!({"policy": text(after, "policy")}), Content::Open).await?;
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
        client.delete(path).await
    }
}
