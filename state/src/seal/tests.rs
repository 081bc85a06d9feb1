//! Who can open what, and what cannot be exchanged.

use super::*;

fn encryption(recipients: &[(&str, &str)]) -> Encryption {
    let recipient = |(name, text): &(&str, &str)| -> Arc<dyn Recipient> { Arc::new(Passphrase::cheap(name, text)) };
    Encryption { recipients: recipients.iter().map(recipient).collect() }
}

async fn error(bytes: &[u8], encryption: Option<&Encryption>) -> String {
    match open("here", bytes, encryption).await {
        Ok(_) => panic!("it opens"),
        Err(e) => e.to_string(),
    }
}

#[tokio::test]
async fn any_recipient_opens_it_and_nobody_else() {
    let both = encryption(&[("ops", "correct horse battery"), ("glass", "break in case of fire")]);
    let secrets = Secrets::new(Some(&[7; 32])).expect("random");
    let bytes = seal("here", "lineage", &secrets, &both).await.expect("seals");
    assert!(!bytes.windows(32).any(|w| w == [7; 32]));
    for one in [("ops", "correct horse battery"), ("renamed", "break in case of fire")] {
        let opened = open("here", &bytes, Some(&encryption(&[one]))).await.expect("opens");
        assert_eq!((*opened.secrets.fingerprint, &opened.secrets.data), ([7; 32], &secrets.data));
        assert!(opened.stale && &*opened.lineage == "lineage");
    }
    assert!(!open("here", &bytes, Some(&both)).await.expect("opens").stale);
    let wrong = error(&bytes, Some(&encryption(&[("ops", "wrong horse battery")]))).await;
    assert!(wrong.contains("not the right one") && wrong.contains("\"glass\"") && !wrong.contains("horse"), "{wrong}");
    assert!(error(&bytes, None).await.contains("no encryption is configured"));
}

#[tokio::test]
async fn nothing_of_the_header_can_be_exchanged() {
    let ops = encryption(&[("ops", "correct horse battery")]);
    let make = async |lineage: &str| {
        let secrets = Secrets::new(None).expect("random");
        let bytes = seal("here", lineage, &secrets, &ops).await.expect("seals");
        serde_json::from_slice::<Json>(&bytes).expect("JSON")
    };
    let (a, b) = (make("one").await, make("two").await);
    for part in ["lineage", "recipients", "sealed"] {
        let mut mixed = a.clone();
        mixed[part] = b[part].clone();
        error(mixed.to_string().as_bytes(), Some(&ops)).await;
    }
    let whole = a.to_string().into_bytes();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        // A name in another spelling of JSON is the same name.
        if serde_json::from_slice::<Json>(&bytes).ok().as_ref() != Some(&a) {
            error(&bytes, Some(&ops)).await;
        }
    }
    let newer = br#"{"mesh_keys":9,"else":1}"#;
    assert!(error(newer, Some(&ops)).await.contains("format version 9"));
}

#[tokio::test]
async fn a_file_cannot_ask_for_all_memory() {
    let ops = encryption(&[("ops", "correct horse battery")]);
    let bytes = seal("here", "l", &Secrets::new(None).expect("random"), &ops).await.expect("seals");
    let mut json: Json = serde_json::from_slice(&bytes).expect("JSON");
    json["recipients"][0]["key"]["memory"] = (1_u32 << 31).into();
    assert!(error(json.to_string().as_bytes(), Some(&ops)).await.contains("at most"));
    assert!(Passphrase::new("p", Zeroizing::new("short".into())).is_err());
}

#[test]
fn values_are_bound_to_their_place() {
    let sealer = Sealer::new(vec![Zeroizing::new([3; 32])]);
    let sealed = sealer.seal("output.a", b"canary").expect("seals");
    assert_eq!(sealer.open("output.a", &sealed).expect("opens").as_slice(), b"canary");
    assert!(sealer.open("output.b", &sealed).is_none());
    assert!(Sealer::new(vec![Zeroizing::new([4; 32])]).open("output.a", &sealed).is_none());
    assert_ne!(sealed, sealer.seal("output.a", b"canary").expect("seals"), "equal values look different");
}

#[tokio::test]
async fn a_new_data_key_opens_what_the_old_ones_sealed_and_not_the_other_way_round() {
    let ops = encryption(&[("ops", "correct horse battery")]);
    let old = Secrets::new(None).expect("random");
    let new = old.clone().rotated().expect("random").rotated().expect("random");
    assert_eq!(old.fingerprint, new.fingerprint, "fingerprints stay what they are");
    let bytes = seal("here", "l", &new, &ops).await.expect("seals");
    let opened = open("here", &bytes, Some(&ops)).await.expect("opens").secrets;
    let (before, after) = (Sealer::new(old.data), Sealer::new(opened.data));
    let sealed = before.seal("x", b"old").expect("seals");
    assert_eq!(after.open("x", &sealed).expect("opens").as_slice(), b"old");
    let sealed = after.seal("x", b"new").expect("seals");
    assert!(before.open("x", &sealed).is_none());
    assert_eq!(after.open("x", &sealed).expect("opens").as_slice(), b"new");
}
