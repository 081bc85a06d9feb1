//! PINs, tokens and what may be believed without a login.

use mesh_model::Value;
use mesh_sdk::{ErrorKind, OnExisting, ProviderError};

use super::bench::{Bench, LABEL, LIBRARY, PIN, bench, create, look, observe, rejected};

const WRONG: &str = "wrong-canary-555";

async fn refused(b: &Bench, config: &Value) -> ProviderError {
    let error = b.configure(config).await.err().expect("is refused");
    for canary in [PIN, WRONG] {
        assert!(!format!("{error} {error:?}").contains(canary), "a PIN shows: {error}");
    }
    error
}

/// Whether the token counts a wrong PIN since the last good one.
fn counted(b: &Bench) -> bool {
    b.run("pkcs11-tool", &["--module", LIBRARY, "--list-slots"]).contains("user PIN count low")
}

#[tokio::test]
async fn a_wrong_pin_is_tried_once_in_the_life_of_the_process() {
    let Some(b) = bench() else { return };
    let wrong = b.config(Some(WRONG), &[]);
    assert!(!counted(&b));
    let error = refused(&b, &wrong).await;
    assert_eq!((error.kind, error.summary), (ErrorKind::Denied, "The token refused the login"));
    assert!(error.detail.contains("CKR_PIN_INCORRECT in C_Login") && error.detail.contains("tried once"), "{error}");
    assert!(counted(&b), "the token saw the try");
    // A good login elsewhere resets the token's count; another try of ours would raise it again.
    b.foreign(&["--list-objects"]);
    assert!(!counted(&b));
    for _ in 0..3 {
        let error = refused(&b, &wrong).await;
        assert!(error.detail.contains("was not tried"), "{error}");
    }
    assert!(!counted(&b), "the wrong PIN was tried again");
}

/// SoftHSM never locks; so the flags are set in its file, as a token that locks would set them.
#[tokio::test]
async fn a_token_at_its_last_try_or_locked_is_left_alone() {
    for (flag, words) in [(0x02_u8, "one more wrong PIN would lock"), (0x04, "is locked")] {
        let Some(b) = bench() else { return };
        let folder = std::fs::read_dir(b.path("tokens")).expect("reads").next().expect("a token").expect("reads");
        let file = folder.path().join("token.object");
        let mut bytes = std::fs::read(&file).expect("reads the token");
        // Flags of a fresh token: RNG, login required, PIN set, no key restore, initialised.
        let flags = [0, 0, 0, 0, 0, 0, 4, 0x2d];
        let at = bytes.windows(8).position(|w| w == flags).expect("the flags are there");
        bytes[at + 5] |= flag;
        std::fs::write(&file, bytes).expect("writes the token");
        let error = refused(&b, &b.config(Some(PIN), &[])).await;
        assert!(error.detail.contains("was not tried") && error.detail.contains(words), "{error}");
    }
}

#[tokio::test]
async fn without_a_login_nothing_is_called_absent() {
    let Some(b) = bench() else { return };
    let session = b.configure(&b.config(None, &[])).await.expect("opens without a PIN");
    let token = session.read("hsm_token", &Value::object::<&str>([])).await.expect("needs no PIN");
    assert_eq!(token.get_str("label"), Some(LABEL));
    assert_eq!(session.target().as_deref(), token.get_str("serial"));
    assert!(format!("{:?}", token.get("mechanisms")).contains("CKM_AES_GCM"));
    for (ty, id) in [("hsm_secret_key", "x"), ("hsm_certificate", "x"), ("hsm_key_pair", "x")] {
        let desired = b.shape(ty, &Value::object([("id", Value::string(id))]));
        let error = observe(&*session, look(ty, None, None, Some(&desired))).await.expect_err("not absent");
        assert_eq!((error.kind, error.summary), (ErrorKind::Denied, "Not logged in to the token"));
    }
    let desired = b.shape("hsm_secret_key", &Value::object([("id", Value::string("x"))]));
    let error = rejected(create(&*session, "hsm_secret_key", &desired, OnExisting::Fail).await);
    assert_eq!(error.summary, "Not logged in to the token");
}

#[tokio::test]
async fn a_token_is_found_by_label_and_serial_number() {
    let Some(b) = bench() else { return };
    let serial = b.session().await.target().expect("has a serial number").to_string();
    let other = b.config(Some(PIN), &[("token_label", Value::string("nowhere"))]);
    let error = refused(&b, &other).await;
    assert!(error.detail.contains("no token with the label \"nowhere\""), "{error}");
    assert!(error.detail.contains(LABEL) && error.detail.contains(&serial), "lists what there is: {error}");
    b.init_token(LABEL);
    let error = refused(&b, &b.config(Some(PIN), &[])).await;
    assert!(error.detail.contains("2 tokens") && error.detail.contains("Set token_serial"), "{error}");
    let chosen = b.config(Some(PIN), &[("token_serial", Value::string(serial.as_str()))]);
    assert_eq!(b.configure(&chosen).await.expect("is one").target().as_deref(), Some(serial.as_str()));
}

#[tokio::test]
async fn the_configuration_is_checked() {
    let Some(b) = bench() else { return };
    std::fs::write(b.path("pin"), format!("{PIN}\n")).expect("writes");
    b.configure(&b.config(None, &[("pin_file", Value::string("pin"))])).await.expect("reads the PIN from the file");
    for (pin, name, value, words) in [
        (Some(PIN), "pin_file", "pin", "Both pin and pin_file"),
        (None, "pin_file", "nothing-here", "cannot be read"),
        (Some(PIN), "library", "/nothing/here.so", "cannot be loaded"),
        (Some(PIN), "user_type", "root", "neither"),
        (Some(PIN), "timeout", "soon", "not a duration"),
    ] {
        let error = refused(&b, &b.config(pin, &[(name, Value::string(value))])).await;
        assert!(error.detail.contains(words), "{error}");
    }
}
