//! `hsm_ca_certificate`: a self-signed root for a key pair of the token.
//!
//! The one decision: like every issued certificate it is kept in state, see [`super::signing`];
//! `hsm_certificate` stores it on the token where that is wanted.

use std::str::FromStr;

use der::Encode;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, async_trait,
};
use x509_cert::name::Name;

use super::signing::{self, Subject};
use crate::client::Client;

pub(super) struct CaCertificate;

fn subject_der(text: &str) -> Result<Vec<u8>, String> {
    let name = Name::from_str(text).map_err(|e| format!("{text:?} is no distinguished name ({e})"))?;
    if name.is_empty() {
        return Err("a root needs a subject, such as \"CN=Mesh Root,O=Example\"".into());
    }
    name.to_der().map_err(|e| e.to_string())
}

impl Rules for CaCertificate {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = signing::problems(config);
        if let Some(Err(why)) = config.get_str("subject").map(subject_der) {
            problems.push(Problem::at("subject", why));
        }
        problems
    }

    fn identity(&self, _planned: &Value) -> IdentityHint {
        IdentityHint::Assigned
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        signing::plan(request)
    }
}

#[async_trait]
impl Resource<Client> for CaCertificate {
    fn schema(&self) -> ResourceSchema {
        let mut attributes = vec![
            Attribute::required("key_id", Type::String, "The id of the key pair on the token.").force_new(),
            Attribute::required(
                "subject",
                Type::String,
                "The subject as RFC 4514 writes it: `CN=Mesh Root,O=Example,C=DE`.",
            )
            .force_new(),
        ];
        attributes.extend(signing::attributes());
        ResourceSchema {
            name: "hsm_ca_certificate",
            version: 0,
            doc: "A self-signed root certificate for a key pair of the token, kept in state.",
            example: "resource \"hsm_ca_certificate\" \"root\" {\n  key_id   = \"mesh-root-2026\"\n  subject  = \
                      \"CN=Mesh Root,O=Example\"\n  validity = \"87600h\"\n}\n",
            schema: Schema::of(attributes),
            protected: true,
        }
    }

    async fn observe(&self, _client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        signing::observe(requests)
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let subject_der = match subject_der(planned.get_str("subject").unwrap_or_default()) {
            Ok(der) => der,
            Err(why) => return Outcome::rejected(super::invalid_pem("subject", &why)),
        };
        let key_id = planned.get_str("key_id").unwrap_or_default();
        let who = Subject { subject_der, spki_der: None, issuer: None, key_id, is_ca: true };
        match signing::issue(client, &planned, who).await {
            Ok(certificate) => {
                Outcome::applied(signing::issued_values(&planned, &certificate), signing::identity(&certificate))
            }
            Err(error) => Outcome::rejected(error),
        }
    }

    async fn update(&self, _client: &Client, request: &OperationRequest) -> Outcome {
        super::kept(request)
    }

    async fn delete(&self, _client: &Client, _request: &OperationRequest) -> Outcome {
        Outcome::deleted()
    }
}
