//! The scan can fail: what is planted is found, in every encoding and every place.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::canary::{Flock, text};
use super::scene::Scene;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).expect("packs");
    writer.finish().expect("packs")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_canary_is_found_in_every_encoding() {
    let mut flock = Flock::new();
    let secret = text("planted");
    flock.add("planted", &secret);
    flock.add("other", &text("other"));
    let percent: String = secret
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    let mut written = vec![
        secret.clone().into_bytes(),
        serde_json::to_vec(&secret).expect("JSON"),
        serde_json::to_vec(&serde_json::to_string(&secret).expect("JSON")).expect("JSON in JSON"),
        format!("{secret:?}").into_bytes(),
        percent.into_bytes(),
        hex(secret.as_bytes()).into_bytes(),
        hex(secret.as_bytes()).to_uppercase().into_bytes(),
        gzip(secret.as_bytes()),
        STANDARD.encode(gzip(secret.as_bytes())).into_bytes(),
        format!("\\\\x{}", hex(&gzip(secret.as_bytes()))).into_bytes(),
        STANDARD.encode(STANDARD.encode(gzip(&gzip(secret.as_bytes())))).into_bytes(),
        // Half of it is a leak as well, at either end, and so is what a terminal broke.
        secret.as_bytes()[..16].to_vec(),
        secret.as_bytes()[secret.len() - 16..].to_vec(),
        format!("{}\n  │ {}", &secret[..5], &secret[5..9])
            .into_bytes()
            .into_iter()
            .chain(secret[9..].bytes())
            .collect(),
    ];
    for before in ["", "a", "ab"] {
        for engine in [STANDARD, URL_SAFE] {
            written.push(engine.encode(format!("{before}{secret}tail")).into_bytes());
        }
    }
    for bytes in written {
        let around = [b"{\"some\": \"", &bytes[..], b"\"}\n"].concat();
        let found: Vec<String> = flock.find(&around).into_iter().collect();
        assert_eq!(found, ["planted"], "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(flock.find(b"nothing of it").is_empty());
}

#[test]
fn what_a_command_shows_or_leaves_is_found() {
    let mut scene = Scene::new(
        "variable \"planted\" {}\nresource \"terraform_data\" \"open\" {\n  input = base64encode(var.planted)\n}\n",
    );
    scene.secret("planted", &text("planted"));
    for (name, bytes) in
        [("left.gz", gzip(text("planted").as_bytes())), ("left", hex(text("planted").as_bytes()).into_bytes())]
    {
        std::fs::write(scene.work().join(name), bytes).expect("writes");
    }
    scene.run(0, &["apply", "-auto-approve"]);
    let found = scene.found();
    for place in ["work/left.gz after", "work/left after", "work/mesh.state after", "\"-auto-approve\"] said"] {
        assert!(found.iter().any(|f| f.starts_with("planted in ") && f.contains(place)), "{place}: {found:?}");
    }
}
