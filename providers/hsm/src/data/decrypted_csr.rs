//! `hsm_decrypted_csr`: the CSR that istiod's HSM plugin left encrypted in a Secret.
//!
//! The one decision: the KEK decrypts the data key on the token, the rest is done here; the CSR is
//! not secret, so its text and digests are plain outputs for the person who signs it.

use std::collections::BTreeMap;

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};

use crate::client::Client;
use crate::kms_format::SealedCsr;
use crate::protocol::{Bytes, Call, Class};

pub(super) struct DecryptedCsr;

fn unreadable(detail: String) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The encrypted CSR cannot be decrypted", detail).at("data")
}

#[async_trait]
impl DataSource<Client> for DecryptedCsr {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "hsm_decrypted_csr",
            version: 0,
            doc: "Decrypts the certificate request that k8s-kms-plugin stores in the Secret `istio-ca-cert-csr`, with \
                  the KEK on the token.",
            example: "data \"hsm_decrypted_csr\" \"istiod\" {\n  kek_id = \
                      \"a37807cd-6d1a-4d75-813a-e120f30176f7\"\n  data = {\n    \"kek-id\"        = \"...\"\n    \
                      \"encrypted-dek\" = \"...\"\n    \"csr-id\"        = \"...\"\n    \"encrypted-csr\" = \
                      \"...\"\n  }\n}\n",
            schema: Schema::of([
                Attribute::required(
                    "data",
                    Type::map(Type::String),
                    "The entries `kek-id`, `encrypted-dek`, `csr-id` and `encrypted-csr`: all in base64 as a Secret's \
                     `data` has them, or all as text.",
                ),
                Attribute::optional(
                    "kek_id",
                    Type::String,
                    "The KEK that must have been used; default: whichever `kek-id` says.",
                ),
                Attribute::computed("csr_id", Type::String, "The id of the request."),
                Attribute::computed("csr_pem", Type::String, "The request."),
                Attribute::computed("subject", Type::String, "Its subject, `CN=...,O=...`."),
                Attribute::computed("sha256", Type::String, "SHA-256 of its DER bytes, hexadecimal."),
                Attribute::computed("spki_sha256", Type::String, "SHA-256 of its public key, hexadecimal."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let fields = config.get("data").and_then(Value::as_fields);
        let entries: BTreeMap<String, String> = fields
            .into_iter()
            .flat_map(|f| f.iter())
            .filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned())))
            .collect();
        let sealed = SealedCsr::parse(&entries).map_err(|why| unreadable(format!("{why}.")))?;
        if let Some(expected) = config.get_str("kek_id")
            && expected != sealed.kek_id
        {
            return Err(unreadable(format!(
                "It was encrypted under the KEK \"{}\", not under \"{expected}\". Is the control plane configured with \
                 the right KEK id?",
                sealed.kek_id
            )));
        }
        let keys = client.find(Class::SecretKey, Some(sealed.kek_id.as_bytes())).await?;
        if keys.len() != 1 {
            return Err(unreadable(format!(
                "The token \"{}\" has {} secret keys with the id \"{}\"; it must have exactly one.",
                client.token().label,
                keys.len(),
                sealed.kek_id
            )));
        }
        let call = Call::Decrypt {
            key: Bytes(sealed.kek_id.as_bytes().to_vec()),
            iv: Bytes(sealed.dek.iv.clone()),
            aad: Bytes(sealed.dek.aad.as_bytes().to_vec()),
            data: Bytes(sealed.dek.sealed.clone()),
        };
        let dek = client.bytes(&call, "Decrypting the data key").await.map_err(|mut e| {
            e.detail.push_str(
                " Either encrypted-dek is corrupt, or the key under this id is not the one that sealed it, or the token \
                 failed.",
            );
            e
        })?;
        let pem = sealed.open(&dek.0.0).map_err(|why| unreadable(format!("{why}.")))?;
        let csr = mesh_x509::parse_csr(&pem).map_err(|e| unreadable(format!("What was decrypted is no CSR: {e}.")))?;
        if let Some(why) = &csr.signature_problem {
            return Err(unreadable(format!("The CSR is not signed with its own key: {why}.")));
        }
        Ok(Value::object([
            ("data", config.get("data").cloned().unwrap_or(Value::NULL)),
            ("kek_id", config.get("kek_id").cloned().unwrap_or_else(|| Value::null(Type::String))),
            ("csr_id", Value::string(sealed.csr_id)),
            ("csr_pem", Value::string(pem)),
            ("subject", Value::string(csr.subject)),
            ("sha256", Value::string(csr.der_sha256)),
            ("spki_sha256", Value::string(csr.spki_sha256)),
        ]))
    }
}
