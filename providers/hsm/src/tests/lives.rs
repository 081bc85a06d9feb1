//! Lives of objects on the token.

use mesh_model::Value;
use mesh_sdk::conformance::Case;
use mesh_sdk::{Observation, OnExisting, Verdict};

use super::bench::{applied, bench, create, look, observe, rejected};

const KEK: &str = "a37807cd-6d1a-4d75-813a-e120f30176f7";

fn kek(more: &[(&'static str, Value)]) -> Value {
    let mut fields = vec![("id", Value::string(KEK))];
    fields.extend(more.iter().cloned());
    Value::object(fields)
}

#[tokio::test]
async fn a_secret_key_conforms() {
    let Some(b) = bench() else { return };
    b.conform(Case {
        updates: vec![
            kek(&[("label", Value::string("other"))]),
            kek(&[("label", Value::string("other")), ("encrypt", Value::bool(false)), ("wrap", Value::bool(true))]),
            kek(&[("profile", Value::string("k8s-kms-plugin"))]),
        ],
        replace: Some(kek(&[("size", Value::number(16))])),
        ..Case::new("hsm_secret_key", kek(&[]))
    })
    .await;
}

#[tokio::test]
async fn a_certificate_conforms() {
    let Some(b) = bench() else { return };
    b.root("root");
    b.root("other");
    let with = |pem: String, label: Option<&str>| {
        let mut fields = vec![("id", Value::string("ca")), ("pem", Value::string(pem))];
        fields.extend(label.map(|l| ("label", Value::string(l))));
        Value::object(fields)
    };
    let spelled = format!("subject=something\n\n{}\n", b.read("root.pem"));
    b.conform(Case {
        updates: vec![with(spelled.clone(), Some("a label")), with(b.read("root.pem"), Some("b"))],
        replace: Some(with(b.read("other.pem"), None)),
        ..Case::new("hsm_certificate", with(spelled, None))
    })
    .await;
}

#[tokio::test]
async fn a_key_pair_of_every_algorithm_conforms() {
    let Some(b) = bench() else { return };
    for algorithm in ["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"] {
        let with = |label: &str, algorithm: &str| {
            Value::object([
                ("id", Value::string("pair")),
                ("label", Value::string(label)),
                ("algorithm", Value::string(algorithm)),
            ])
        };
        let other = if algorithm == "ec-p256" { "ec-p384" } else { "ec-p256" };
        b.conform(Case {
            updates: vec![with("two", algorithm)],
            replace: Some(with("two", other)),
            ..Case::new("hsm_key_pair", with("one", algorithm))
        })
        .await;
    }
    assert!(!b.foreign(&["--list-objects"]).contains("pair"), "an object was left");
}

#[tokio::test]
async fn what_a_new_key_is_and_how_the_certificate_is_labelled() {
    let Some(b) = bench() else { return };
    let session = b.session().await;
    let desired = b.shape("hsm_secret_key", &kek(&[]));
    let (values, identity) = applied(create(&*session, "hsm_secret_key", &desired, OnExisting::Fail).await);
    for (name, expected) in [
        ("sensitive", true),
        ("extractable", false),
        ("local", true),
        ("always_sensitive", true),
        ("never_extractable", true),
        ("wrap", false),
        ("unwrap", false),
    ] {
        assert_eq!(values.get(name).and_then(Value::as_bool), Some(expected), "{name}");
    }
    assert_eq!(values.get_str("check_value").map(str::len), Some(6), "{values:?}");
    assert_eq!(&*identity.0, format!("secret-key id={}", mesh_x509::hex(KEK.as_bytes())));
    // What other programs see: the id is the ASCII text.
    let listing = b.foreign(&["--list-objects", "--type", "secrkey"]);
    assert!(listing.contains("k8s-kms-plugin-kek") && listing.contains(&mesh_x509::hex(KEK.as_bytes())), "{listing}");
    b.root("root");
    let certificate = Value::object([("id", Value::string("ca")), ("pem", Value::string(b.read("root.pem")))]);
    let planned = b.plan("hsm_certificate", None, None, &b.shape("hsm_certificate", &certificate)).after;
    assert_eq!(planned.get_str("label"), Some("CN=root,O=Example"), "known before it is made");
    let (values, _) = applied(create(&*session, "hsm_certificate", &planned, OnExisting::Fail).await);
    assert_eq!(values.get_str("sha256").map(str::len), Some(64));
    let error = rejected(create(&*session, "hsm_certificate", &planned, OnExisting::Fail).await);
    assert_eq!(error.summary, "The object exists already");
    let (again, _) = applied(create(&*session, "hsm_certificate", &planned, OnExisting::Adopt).await);
    assert!(again.same(&values));
}

#[tokio::test]
async fn adoption_needs_to_be_asked_for_and_fits_one_key() {
    let Some(b) = bench() else { return };
    let id = mesh_x509::hex(KEK.as_bytes());
    b.foreign(&["--keygen", "--key-type", "AES:32", "--label", "made elsewhere", "--id", &id]);
    let session = b.session().await;
    let desired = b.shape("hsm_secret_key", &kek(&[]));
    let error = rejected(create(&*session, "hsm_secret_key", &desired, OnExisting::Fail).await);
    assert!(error.detail.contains("made elsewhere") && error.detail.contains("on_existing"), "{error}");
    let small = b.shape("hsm_secret_key", &kek(&[("size", Value::number(16))]));
    let error = rejected(create(&*session, "hsm_secret_key", &small, OnExisting::Adopt).await);
    assert_eq!(error.summary, "The existing object cannot be adopted");
    let (values, identity) = applied(create(&*session, "hsm_secret_key", &desired, OnExisting::Adopt).await);
    assert_eq!(values.get_str("label"), Some("k8s-kms-plugin-kek"));
    let request = look("hsm_secret_key", Some(identity.clone()), Some(&values), Some(&desired));
    let Ok(Observation::Present(seen)) = observe(&*session, request.clone()).await else { panic!("is there") };
    assert_eq!(b.plan("hsm_secret_key", Some(&values), Some(&seen.values), &desired).verdict, Verdict::NoOp);

    // Another key under the same id and label is seen, and never repaired in place.
    b.foreign(&["--delete-object", "--type", "secrkey", "--id", &id]);
    b.foreign(&["--keygen", "--key-type", "AES:32", "--label", "k8s-kms-plugin-kek", "--id", &id]);
    let Ok(Observation::Present(seen)) = observe(&*session, request).await else { panic!("is there") };
    let plan = b.plan("hsm_secret_key", Some(&values), Some(&seen.values), &desired);
    assert!(matches!(plan.verdict, Verdict::Replace(_)), "{plan:?}");
    assert!(plan.notes[0].starts_with("Another key stands under this id"), "{plan:?}");
    // Nor is it destroyed by a delete that means the old one.
    let delete = mesh_sdk::OperationRequest {
        address: super::bench::address("hsm_secret_key"),
        ty: "hsm_secret_key".into(),
        operation: mesh_model::snapshot::Operation::Delete,
        identity: Some(identity),
        before: Some(values),
        after: None,
        private: None,
        on_existing: OnExisting::Fail,
    };
    let error = rejected(session.apply(vec![delete]).await.pop().expect("one answer"));
    assert!(error.detail.contains("Another secret-key has this id now"), "{error}");
}

#[tokio::test]
async fn two_objects_of_one_id_are_an_error_everywhere() {
    let Some(b) = bench() else { return };
    let id = mesh_x509::hex(KEK.as_bytes());
    for label in ["first", "second"] {
        b.foreign(&["--keygen", "--key-type", "AES:32", "--label", label, "--id", &id]);
    }
    let session = b.session().await;
    let desired = b.shape("hsm_secret_key", &kek(&[]));
    let error = observe(&*session, look("hsm_secret_key", None, None, Some(&desired))).await.expect_err("two");
    assert!(error.detail.contains("\"first\"") && error.detail.contains("\"second\""), "{error}");
    for on_existing in [OnExisting::Fail, OnExisting::Adopt] {
        let error = rejected(create(&*session, "hsm_secret_key", &desired, on_existing).await);
        assert_eq!(error.summary, "Several objects on the token have this id");
    }
    let config = Value::object([("class", Value::string("secret-key")), ("id", Value::string(KEK))]);
    let error = session.read("hsm_object", &config).await.expect_err("two");
    assert!(error.detail.starts_with("2 objects of class secret-key fit"), "{error}");
    let config = Value::object([("class", Value::string("secret-key")), ("label", Value::string("first"))]);
    let object = session.read("hsm_object", &config).await.expect("one");
    assert_eq!(object.get_str("id"), Some(KEK));
}

#[tokio::test]
async fn many_objects_are_looked_at_in_order() {
    let Some(b) = bench() else { return };
    let session = b.session().await;
    let named = |n: usize| b.shape("hsm_secret_key", &Value::object([("id", Value::string(format!("key-{n}")))]));
    for n in [0, 2, 4] {
        applied(create(&*session, "hsm_secret_key", &named(n), OnExisting::Fail).await);
    }
    let requests = (0..5).map(|n| look("hsm_secret_key", None, None, Some(&named(n)))).collect();
    for (n, answer) in session.observe(requests).await.into_iter().enumerate() {
        match answer.expect("an answer") {
            Observation::Present(o) if n % 2 == 0 => {
                assert_eq!(o.values.get_str("id"), Some(format!("key-{n}").as_str()))
            }
            Observation::Absent if n % 2 == 1 => {}
            other => panic!("{n}: {other:?}"),
        }
    }
}

#[test]
fn bad_configurations_are_named() {
    let provider = crate::provider();
    let problems = |ty: &str, config: Value| -> Vec<String> {
        provider.rules(ty).expect("has rules").validate(&config).iter().map(|p| p.path.to_string()).collect()
    };
    assert_eq!(problems("hsm_secret_key", kek(&[("size", Value::number(20))])), ["size"]);
    assert_eq!(problems("hsm_secret_key", Value::object([("id", Value::string("ü"))])), ["id"]);
    let wrong = kek(&[
        ("profile", Value::string("k8s-kms-plugin")),
        ("label", Value::string("x")),
        ("decrypt", Value::bool(false)),
    ]);
    assert_eq!(problems("hsm_secret_key", wrong), ["label", "decrypt"]);
    assert_eq!(problems("hsm_certificate", Value::object([("pem", Value::string("x"))])), ["pem"]);
    assert_eq!(problems("hsm_key_pair", Value::object([("algorithm", Value::string("dsa"))])), ["algorithm"]);
    let wrong = Value::object([
        ("csr_pem", Value::string("x")),
        ("validity", Value::string("soon")),
        ("pathlen", Value::number(-1)),
    ]);
    assert_eq!(problems("hsm_signed_certificate", wrong), ["validity", "pathlen", "csr_pem"]);
    assert_eq!(problems("hsm_ca_certificate", Value::object([("subject", Value::string("nonsense"))])), ["subject"]);
}
