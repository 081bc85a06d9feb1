//! What `docker login` and its like have kept for a registry.
//!
//! The one decision: read only; the helpers that docker would ask are asked. No secret is in any error
//! or `Debug`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::process;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A user and what proves it.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) secret: String,
}

/// What is kept for a registry (`host` or `host:port`), if anything.
///
/// # Errors
/// A file or helper that cannot be used; without a final stop.
pub(crate) fn credentials(config: &Path, registry: &str) -> Result<Option<Credentials>, String> {
    let shown = config.display();
    let text = match std::fs::read_to_string(config) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("{shown} cannot be read: {e}")),
    };
    // The reason may quote what is in the file.
    let config: Value = serde_json::from_str(&text).map_err(|_| format!("{shown} is not valid JSON"))?;
    let word = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(helper) = word(&config["credHelpers"][registry]) {
        return ask(&helper, registry);
    }
    let kept = &config["auths"];
    let entry = [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/")]
        .into_iter()
        .find_map(|name| kept.get(name));
    if let Some(entry) = entry {
        if word(&entry["identitytoken"]).is_some() {
            return Err(identity(registry));
        }
        if let Some(auth) = word(&entry["auth"]) {
            let plain = BASE64_STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = plain.as_deref().and_then(|p| p.split_once(':'));
            return match pair {
                Some((user, secret)) => Ok(Some(Credentials { user: user.to_owned(), secret: secret.to_owned() })),
                None => Err(format!("what {shown} keeps for {registry} cannot be read; log in again")),
            };
        }
    }
    word(&config["credsStore"]).map_or(Ok(None), |helper| ask(&helper, registry))
}

fn identity(registry: &str) -> String {
    format!(
        "docker has an identity token for {registry}, which is not supported; log in with a user and a password or token"
    )
}

/// Asks `docker-credential-NAME`.
fn ask(helper: &str, registry: &str) -> Result<Option<Credentials>, String> {
    if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(format!("{helper:?} cannot be the name of a credential helper"));
    }
    let name = format!("docker-credential-{helper}");
    let ended = process::run(Command::new(&name).arg("get"), registry, TIMEOUT)?;
    if !ended.status.success() {
        // Helpers say on stdout that they know nothing, and that is no error.
        let nothing = ended.stdout.contains("not found") || ended.said.contains("not found");
        return if nothing { Ok(None) } else { Err(format!("{name} failed for {registry}")) };
    }
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
    match (answer["Username"].as_str(), answer["Secret"].as_str()) {
        (Some("<token>"), _) => Err(identity(registry)),
        (Some(user), Some(secret)) => Ok(Some(Credentials { user: user.to_owned(), secret: secret.to_owned() })),
        _ => Err(format!("{name} gave no user and secret for {registry}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_and_never_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        let find = |text: &str, registry: &str| {
            std::fs::write(&file, text).expect("written");
            credentials(&file, registry).map(|found| found.map(|c| format!("{} {}", c.user, c.secret)))
        };
        assert!(credentials(&folder.path().join("none"), "h").expect("no file, no credentials").is_none());
        let auth = BASE64_STANDARD.encode("me:canary:x");
        let kept =
            format!("{{\"auths\":{{\"h:5000\":{{\"auth\":\"{auth}\"}},\"https://g\":{{\"auth\":\"{auth}\"}}}}}}");
        assert_eq!(find(&kept, "h:5000"), Ok(Some("me canary:x".to_owned())));
        assert_eq!(find(&kept, "g"), Ok(Some("me canary:x".to_owned())));
        assert_eq!(find(&kept, "h"), Ok(None));
        for (bad, want) in [
            ("{\"auths\":{\"h\":{\"auth\":\"canary\"}}}", "log in again"),
            ("{\"auths\":{\"h\":{\"identitytoken\":\"canary\"}}}", "identity token"),
            ("{\"auths\": canary}", "not valid JSON"),
            ("{\"credsStore\":\"../canary\"}", "cannot be the name"),
            ("{\"credHelpers\":{\"h\":\"mesh-none\"}}", "docker-credential-mesh-none"),
        ] {
            let error = find(bad, "h").expect_err(bad);
            assert!(error.contains(want) && (bad.contains("../canary") || !error.contains("canary")), "{bad}: {error}");
        }
    }
}
