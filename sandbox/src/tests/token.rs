//! Tokens, as another PKCS#11 program sees them.

use std::process::Command;

use super::shared;
use crate::SoftToken;

fn pkcs11_tool(token: &SoftToken, rest: &[&str]) -> String {
    let output = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(&token.module_path)
        .args(rest)
        .env("SOFTHSM2_CONF", &token.conf_path)
        .output()
        .expect("pkcs11-tool is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_token_is_visible_and_its_pin_works() {
    let token = shared().token().expect("there is a token");
    let slots = pkcs11_tool(token, &["--list-token-slots"]);
    assert!(slots.contains(&format!("token label        : {}", token.label)), "{slots}");
    assert!(slots.contains(&token.serial), "{slots}");
    let pin = std::fs::read_to_string(&token.pin_file).expect("readable");
    let key =
        ["--token-label", &token.label, "--login", "--pin", &pin, "--keygen", "--key-type", "aes:32", "--label", "kek"];
    assert!(pkcs11_tool(token, &key).contains("AES length 32"));
}

#[test]
fn two_tokens_share_a_configuration_and_have_their_own_serials() {
    let sandbox = shared();
    let folder = sandbox.scratch("tokens").expect("a folder");
    let one = sandbox.soft_token(&folder, "one", "87654321", "1234").expect("made");
    let two = sandbox.soft_token(&folder, "two", "87654321", "123456").expect("made");
    assert_eq!(one.conf_path, two.conf_path);
    assert_ne!(one.serial, two.serial);
    let slots = pkcs11_tool(&one, &["--list-token-slots"]);
    assert!(slots.contains(&one.serial) && slots.contains(&two.serial), "{slots}");
}
