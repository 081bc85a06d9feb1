//! Ephemeral types as the engine opens them.

use mesh_model::{Type, Value};
use mesh_sdk::conformance;

use super::session;

#[tokio::test]
async fn random_secrets_have_their_shape_and_show_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (provider, session) = session(folder.path()).await;
    let open = async |ty: &str, length: i64| {
        let config = Value::object([("length", Value::number(length))]);
        conformance::open(provider.as_ref(), session.as_ref(), ty, &config, None).await.map(|opened| opened.value)
    };
    let password = open("random_password", 40).await.expect("opens");
    assert_eq!(password.get_str("result").map(|p| p.chars().count()), Some(40));
    assert_eq!(password.get("special").and_then(Value::as_bool), Some(true), "defaults are given back");
    let bytes = open("random_bytes", 16).await.expect("opens");
    assert_eq!((bytes.get_str("hex").map(str::len), bytes.get_str("base64").map(str::len)), (Some(32), Some(24)));
    assert_ne!(open("random_bytes", 16).await.expect("opens").get_str("hex"), bytes.get_str("hex"));
    for (ty, length) in [("random_password", 0), ("random_bytes", 0), ("random_bytes", -1), ("local_file", 1)] {
        assert!(open(ty, length).await.is_err(), "{ty} {length}");
    }
    assert_eq!(
        provider.schema().ephemeral["random_bytes"].schema.attribute("length").map(|a| &a.ty),
        Some(&Type::Number)
    );
}
