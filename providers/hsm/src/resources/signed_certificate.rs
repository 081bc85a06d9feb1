//! `hsm_signed_certificate`: a request signed with a key pair of the token.
//!
//! The one decision: the root stays in the HSM and signs in the plan's own run, where the offline
//! ceremony behind a gate is not wanted; see [`super::signing`] for what that means.

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, OperationRequest, Outcome, PlanRequest, PlanResponse, Problem,
    ProviderError, Resource, Rules, async_trait,
};
use mesh_x509::{CertificateInfo, parse_certificates, parse_csr};

use super::signing::{self, Subject};
use crate::client::Client;

pub(super) struct SignedCertificate;

fn issuer(values: &Value) -> Result<CertificateInfo, String> {
    parse_certificates(values.get_str("issuer_certificate_pem").unwrap_or_default())
        .map_err(|e| e.to_string())
        .map(|mut all| all.swap_remove(0))
}

impl Rules for SignedCertificate {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = signing::problems(config);
        if let Some(csr) = config.get_str("csr_pem") {
            match parse_csr(csr) {
                Ok(csr) => problems.extend(
                    csr.signature_problem
                        .map(|why| Problem::at("csr_pem", format!("not signed with its own key: {why}"))),
                ),
                Err(e) => problems.push(Problem::at("csr_pem", e.to_string())),
            }
        }
        if config.get_str("issuer_certificate_pem").is_some()
            && let Err(why) = issuer(config)
        {
            problems.push(Problem::at("issuer_certificate_pem", why));
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
impl Resource<Client> for SignedCertificate {
    fn schema(&self) -> ResourceSchema {
        let mut attributes = vec![
            Attribute::required("csr_pem", Type::String, "The request to sign.").force_new(),
            Attribute::required("issuer_key_id", Type::String, "The id of the issuer's key pair on the token.")
                .force_new(),
            Attribute::required(
                "issuer_certificate_pem",
                Type::String,
                "The issuer's certificate; where there are several PEM blocks, the first.",
            )
            .force_new(),
            Attribute::optional("is_ca", Type::Bool, "Whether the certificate may sign others; default true.")
                .default(Value::bool(true))
                .force_new(),
            Attribute::computed("subject", Type::String, "The subject, `CN=...,O=...`."),
            Attribute::computed("chain_pem", Type::String, "The certificate, then `issuer_certificate_pem`."),
        ];
        attributes.extend(signing::attributes());
        ResourceSchema {
            name: "hsm_signed_certificate",
            version: 0,
            doc: "A certificate for a request, signed with a key pair of the token. It is kept in state; deleting it \
                  forgets it (certificates cannot be taken back, only outlived).",
            example: "resource \"hsm_signed_certificate\" \"istiod\" {\n  csr_pem                = \
                      file(\"istiod.csr\")\n  issuer_key_id          = \"mesh-root-2026\"\n  issuer_certificate_pem = \
                      file(\"root.pem\")\n  validity               = \"8760h\"\n  pathlen                = 0\n  \
                      early_renewal          = \"720h\"\n}\n",
            schema: Schema::of(attributes),
            protected: false,
        }
    }

    async fn observe(&self, _client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        signing::observe(requests)
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let planned = request.after.clone().unwrap_or(Value::NULL);
        let csr = match parse_csr(planned.get_str("csr_pem").unwrap_or_default()) {
            Ok(csr) if csr.signature_valid => csr,
            Ok(csr) => {
                let why = csr.signature_problem.unwrap_or_default();
                return Outcome::rejected(super::invalid_pem(
                    "csr_pem",
                    &format!("not signed with its own key: {why}"),
                ));
            }
            Err(e) => return Outcome::rejected(super::invalid_pem("csr_pem", &e.to_string())),
        };
        let issuer = match issuer(&planned) {
            Ok(issuer) => issuer,
            Err(why) => return Outcome::rejected(super::invalid_pem("issuer_certificate_pem", &why)),
        };
        let who = Subject {
            subject_der: csr.subject_der,
            spki_der: Some(csr.spki_der),
            issuer: Some(issuer),
            key_id: planned.get_str("issuer_key_id").unwrap_or_default(),
            is_ca: super::asked(&planned, "is_ca").unwrap_or(true),
        };
        match signing::issue(client, &planned, who).await {
            Ok(certificate) => {
                let above = planned.get_str("issuer_certificate_pem").unwrap_or_default().trim_start();
                let values = signing::issued_values(&planned, &certificate)
                    .with("subject", Value::string(certificate.subject.as_str()))
                    .with("chain_pem", Value::string(format!("{}{above}", certificate.pem())));
                Outcome::applied(values, signing::identity(&certificate))
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
