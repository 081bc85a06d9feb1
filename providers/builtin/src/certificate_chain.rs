//! `data "mesh_certificate_chain"`: whether a signed chain answers a request and leads to a root.
//!
//! The one decision: a bad or missing chain is an answer (`valid = false` with problems in words),
//! not an error, so that a gate can show all of them and stay closed.

use std::time::{SystemTime, UNIX_EPOCH};

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};
use mesh_x509::{ChainReport, ChainRequest, parse_csr, verify_chain};

use crate::Client;

pub(crate) struct CertificateChain;

#[async_trait]
impl DataSource<Client> for CertificateChain {
    fn schema(&self) -> ResourceSchema {
        let computed = |name, doc| Attribute::computed(name, Type::String, doc);
        ResourceSchema {
            name: "mesh_certificate_chain",
            version: 0,
            doc: "Judges the chain that came back for a certificate request: key, order, CA marks, times, signatures \
                  and the root it leads to. Made for a gate: `open_when = data...valid`, `problems = data...problems`.",
            example: r#"data "mesh_certificate_chain" "ca" {
  csr_pem   = file("csr.pem")
  chain_pem = null
  root_pem  = file("root.pem")
}"#,
            schema: Schema::of([
                Attribute::required("csr_pem", Type::String, "The certificate request that was to be signed, PEM."),
                Attribute::optional(
                    "chain_pem",
                    Type::String,
                    "What came back, PEM: the new certificate first, the root last. Null or empty while there is none.",
                ),
                Attribute::required("root_pem", Type::String, "The root that it must lead to, PEM."),
                Attribute::optional(
                    "previous_csr_pem",
                    Type::String,
                    "The request that was exported before, to tell a chain for it from one for a foreign key.",
                ),
                Attribute::computed("valid", Type::Bool, "Whether there is no problem."),
                Attribute::computed("problems", Type::list(Type::String), "What is wrong, one sentence each."),
                computed("subject", "Subject of the first certificate."),
                computed("not_after", "When the first certificate of the chain to do so ends, RFC 3339 in UTC."),
                computed("sha256", "SHA-256 of the first certificate."),
                computed("spki_sha256", "SHA-256 of the public key of the first certificate."),
                computed("csr_subject", "Subject of the request."),
                computed("csr_sha256", "SHA-256 of the request's DER bytes: what the signer compares."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, _client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let text = |name| config.get_str(name).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let csr = parse_csr(text("csr_pem"));
        let previous = parse_csr(text("previous_csr_pem")).ok().map(|p| p.spki_sha256);
        let report = if text("chain_pem").trim().is_empty() {
            let problem = match &csr {
                Ok(csr) => format!("No chain yet: the request \"{}\" is to be signed.", csr.subject),
                Err(e) => format!("The request (CSR) is not readable: {e}."),
            };
            ChainReport { problems: vec![problem], ..ChainReport::default() }
        } else {
            verify_chain(&ChainRequest {
                csr_pem: text("csr_pem"),
                chain_pem: text("chain_pem"),
                root_pem: text("root_pem"),
                now_unix: i64::try_from(now).unwrap_or(i64::MAX),
                previous_spki_sha256: previous.as_deref(),
            })
        };
        let optional = |t: Option<String>| t.map_or(Value::null(Type::String), Value::string);
        let csr = csr.ok();
        Ok(config
            .with("valid", Value::bool(report.is_good()))
            .with("problems", Value::strings(report.problems))
            .with("subject", optional(report.subject))
            .with("not_after", optional(report.not_after))
            .with("sha256", optional(report.sha256))
            .with("spki_sha256", optional(report.spki_sha256))
            .with("csr_subject", optional(csr.as_ref().map(|c| c.subject.clone())))
            .with("csr_sha256", optional(csr.map(|c| c.der_sha256))))
    }
}
