//! The encrypted CSR, opened by the token: what was sealed with the same key elsewhere.

use std::collections::BTreeMap;

use mesh_model::{Type, Value};
use mesh_sdk::{ErrorKind, Session};

use super::bench::{Bench, bench};
use crate::kms_format::seal_csr;
use crate::kms_format::tests::Software;

const KEK: &str = "a37807cd-6d1a-4d75-813a-e120f30176f7";

/// Brings a known KEK onto the token and seals a CSR with it.
fn sealed(b: &Bench) -> BTreeMap<String, String> {
    std::fs::write(b.path("kek.bin"), [7_u8; 32]).expect("writes");
    let id = mesh_x509::hex(KEK.as_bytes());
    let label = "k8s-kms-plugin-kek";
    b.foreign(&[
        "--write-object",
        "kek.bin",
        "--type",
        "secrkey",
        "--key-type",
        "AES:32",
        "--id",
        &id,
        "--label",
        label,
    ]);
    b.openssl("req -new -newkey rsa:2048 -nodes -keyout ca.key -subj /O=cluster.local -out ca.csr");
    let mut next = 0_u8;
    seal_csr(&Software([7; 32]), KEK, "istiod-csr", &b.read("ca.csr"), &mut |bytes| {
        bytes.iter_mut().for_each(|x| {
            next = next.wrapping_mul(31).wrapping_add(17);
            *x = next;
        });
        Ok(())
    })
    .expect("seals")
}

fn config(entries: &BTreeMap<String, String>, kek_id: Option<&str>) -> Value {
    let data = entries.iter().map(|(k, v)| (k.as_str(), Value::string(v.as_str()))).collect();
    let kek_id = kek_id.map_or_else(|| Value::null(Type::String), Value::string);
    Value::object([("data", Value::map(Type::String, data)), ("kek_id", kek_id)])
}

async fn refused(session: &dyn Session, config: &Value) -> mesh_sdk::ProviderError {
    session.read("hsm_decrypted_csr", config).await.expect_err("is refused")
}

#[tokio::test]
async fn the_token_opens_what_the_plugin_sealed() {
    let Some(b) = bench() else { return };
    let entries = sealed(&b);
    let session = b.session().await;
    let read = session.read("hsm_decrypted_csr", &config(&entries, Some(KEK))).await.expect("decrypts");
    assert_eq!(read.get_str("csr_pem"), Some(b.read("ca.csr").as_str()));
    assert_eq!(read.get_str("subject"), Some("O=cluster.local"));
    b.openssl("req -in ca.csr -outform DER -out ca.der");
    let digest = b.run("openssl", &["dgst", "-sha256", "-r", "ca.der"]);
    assert_eq!(read.get_str("sha256"), digest.split(' ').next());
    assert_eq!(read.get_str("csr_id"), Some("istiod-csr"));
}

#[tokio::test]
async fn what_was_tampered_with_is_refused_and_the_token_serves_on() {
    let Some(b) = bench() else { return };
    let entries = sealed(&b);
    let session = b.session().await;
    let with = |name: &str, value: String| {
        let mut changed = entries.clone();
        changed.insert(name.to_owned(), value);
        config(&changed, Some(KEK))
    };
    let mut parts: Vec<String> = entries["encrypted-dek"].split('.').map(str::to_owned).collect();
    let first = if parts[3].starts_with('A') { "B" } else { "A" };
    parts[3].replace_range(..1, first);
    let error = refused(&*session, &with("encrypted-dek", parts.join("."))).await;
    assert!(error.detail.contains("Decrypting the data key") && error.detail.contains("is corrupt"), "{error}");
    let error = refused(&*session, &with("csr-id", "another".into())).await;
    assert_eq!(error.summary, "The encrypted CSR cannot be decrypted");
    let error = refused(&*session, &config(&entries, Some("another-kek"))).await;
    assert!(error.detail.contains(KEK) && error.detail.contains("another-kek"), "{error}");
    let mut missing = entries.clone();
    missing.remove("encrypted-dek");
    let error = refused(&*session, &config(&missing, None)).await;
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.detail.contains("encrypted-dek"), "{error}");
    session.read("hsm_decrypted_csr", &config(&entries, None)).await.expect("still works");
    b.foreign(&["--delete-object", "--type", "secrkey", "--id", &mesh_x509::hex(KEK.as_bytes())]);
    let error = refused(&*session, &config(&entries, None)).await;
    assert!(error.detail.contains("has 0 secret keys with the id"), "{error}");
}
