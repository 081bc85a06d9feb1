//! Certificates issued with keys of the token, judged by openssl.

use mesh_model::Value;
use mesh_model::snapshot::Identity;
use mesh_sdk::{Observation, OnExisting, Session, Verdict};

use super::bench::{Bench, applied, bench, create, look, observe, rejected};

async fn root(b: &Bench, session: &dyn Session, algorithm: &str, validity: &str) -> Value {
    let pair = Value::object([
        ("id", Value::string(algorithm)),
        ("label", Value::string("root")),
        ("algorithm", Value::string(algorithm)),
    ]);
    applied(create(session, "hsm_key_pair", &b.shape("hsm_key_pair", &pair), OnExisting::Adopt).await);
    let root = Value::object([
        ("key_id", Value::string(algorithm)),
        ("subject", Value::string("CN=Mesh Root,O=Example")),
        ("validity", Value::string(validity)),
    ]);
    applied(create(session, "hsm_ca_certificate", &b.shape("hsm_ca_certificate", &root), OnExisting::Fail).await).0
}

fn request(b: &Bench, key: &str) {
    let new = match key {
        "rsa" => "rsa:2048".to_owned(),
        curve => format!("ec -pkeyopt ec_paramgen_curve:{curve}"),
    };
    b.openssl(&format!("req -new -newkey {new} -nodes -keyout leaf.key -subj /O=cluster.local -out leaf.csr"));
}

fn wanted(b: &Bench, key_id: &str, issuer: &Value, more: &[(&'static str, Value)]) -> Value {
    let mut fields = vec![
        ("csr_pem", Value::string(b.read("leaf.csr"))),
        ("issuer_key_id", Value::string(key_id)),
        ("issuer_certificate_pem", issuer.get("certificate_pem").cloned().expect("issued")),
        ("validity", Value::string("8760h")),
        ("pathlen", Value::number(0)),
    ];
    fields.extend(more.iter().cloned());
    b.shape("hsm_signed_certificate", &Value::object(fields))
}

#[tokio::test]
async fn chains_of_every_algorithm_verify() {
    let Some(b) = bench() else { return };
    let session = b.session().await;
    for (algorithm, key) in [("rsa-3072", "P-384"), ("ec-p256", "rsa"), ("ec-p384", "P-256")] {
        let root = root(&b, &*session, algorithm, "87600h").await;
        request(&b, key);
        let planned = wanted(&b, algorithm, &root, &[]);
        let (values, identity) = applied(create(&*session, "hsm_signed_certificate", &planned, OnExisting::Fail).await);
        std::fs::write(b.path("root.pem"), root.get_str("certificate_pem").expect("a root")).expect("writes");
        std::fs::write(b.path("leaf.pem"), values.get_str("certificate_pem").expect("issued")).expect("writes");
        b.openssl("verify -x509_strict -CAfile root.pem leaf.pem");
        let report = mesh_x509::verify_chain(&mesh_x509::ChainRequest {
            csr_pem: &b.read("leaf.csr"),
            chain_pem: values.get_str("chain_pem").expect("a chain"),
            root_pem: &b.read("root.pem"),
            now_unix: crate_now(),
            previous_spki_sha256: None,
        });
        assert!(report.is_good(), "{algorithm}: {:#?}", report.problems);
        assert!(values.is_wholly_known(), "{values:?}");
        second_plan(&b, &*session, &planned, &values, identity).await;
    }
}

fn crate_now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(elapsed.as_secs()).expect("fits")
}

/// Nothing to do; with an early renewal beyond the whole validity, a replacement.
async fn second_plan(b: &Bench, session: &dyn Session, desired: &Value, values: &Value, identity: Identity) {
    let ty = "hsm_signed_certificate";
    let Ok(Observation::Present(seen)) =
        observe(session, look(ty, Some(identity.clone()), Some(values), Some(desired))).await
    else {
        panic!("is in state")
    };
    assert_eq!(b.plan(ty, Some(values), Some(&seen.values), desired).verdict, Verdict::NoOp);
    let early = desired.with("early_renewal", Value::string("9000h"));
    let Ok(Observation::Present(seen)) = observe(session, look(ty, Some(identity), Some(values), Some(&early))).await
    else {
        panic!("is in state")
    };
    let plan = b.plan(ty, Some(values), Some(&seen.values), &early);
    assert!(matches!(plan.verdict, Verdict::Replace(_)), "{plan:?}");
    assert!(plan.after.get("certificate_pem").is_some_and(Value::is_unknown));
}

#[tokio::test]
async fn what_would_not_be_valid_is_not_issued() {
    let Some(b) = bench() else { return };
    let session = b.session().await;
    let issuer = root(&b, &*session, "ec-p256", "48h").await;
    request(&b, "P-256");
    let refuse = async |planned: Value| {
        rejected(create(&*session, "hsm_signed_certificate", &planned, OnExisting::Fail).await).detail
    };
    let detail = refuse(wanted(&b, "ec-p256", &issuer, &[])).await;
    assert!(detail.contains("would end after its issuer \"CN=Mesh Root,O=Example\""), "{detail}");
    let detail = refuse(wanted(&b, "nowhere", &issuer, &[("validity", Value::string("1h"))])).await;
    assert!(detail.contains("no key pair with the id \"nowhere\""), "{detail}");
    root(&b, &*session, "ec-p384", "48h").await;
    let detail = refuse(wanted(&b, "ec-p384", &issuer, &[("validity", Value::string("1h"))])).await;
    assert!(detail.contains("is not for the key \"ec-p384\""), "{detail}");
}
