//! Fetching an artifact from an OCI registry.
//!
//! The one decision: the layout is OpenTofu's for modules, one image manifest with one layer that is an
//! archive; what a digest names is checked against it. Anonymous first; credentials only when the
//! registry asks, and only over https or on this machine.

use std::cell::RefCell;
use std::fs::File;
use std::io::Seek as _;
use std::path::Path;

use reqwest::StatusCode;
use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::http::{self, Http, MAX_DOWNLOAD};
use crate::source::Format;
use crate::{docker, tree, unpack};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const MAX_MANIFEST: u64 = 4 << 20;

/// Writes an artifact into the empty folder `module` and gives the digest of its manifest.
///
/// # Errors
/// What went wrong, without a final stop.
pub(crate) fn fetch(
    http: &Http,
    credentials: Option<&Path>,
    (registry, repository, reference): (&str, &str, &str),
    module: &Path,
    work: &Path,
) -> Result<String, String> {
    let https = Url::parse(&format!("https://{registry}/v2/{repository}/")).map_err(|e| e.to_string())?;
    // Docker's rule: registries on this machine speak http.
    let base = if http::loopback(&https) { format!("http://{registry}/v2/{repository}/") } else { https.to_string() };
    let base = Url::parse(&base).map_err(|e| e.to_string())?;
    let remote = Remote { http, credentials, registry, repository, base, authorization: RefCell::default() };
    let answer = remote.get(&format!("manifests/{reference}"), MANIFEST, "the artifact")?;
    let bytes = http::body(answer, MAX_MANIFEST)?;
    let digest = format!("sha256:{}", tree::hex(Sha256::new_with_prefix(&bytes)));
    if reference.starts_with("sha256:") && reference != digest {
        return Err(format!("the registry answers for {reference} with a manifest whose digest is {digest}"));
    }
    let manifest: Value = serde_json::from_slice(&bytes).map_err(|e| format!("its manifest is not valid JSON: {e}"))?;
    let (layer, format) = layer(&manifest)?;
    let mut file = File::create_new(work.join("layer"))
        .and_then(|_| File::options().read(true).write(true).open(work.join("layer")))
        .map_err(|e| format!("it cannot be written: {e}"))?;
    let answer = remote.get(&format!("blobs/{layer}"), "*/*", "the layer of the artifact")?;
    let found = format!("sha256:{}", http::copy(answer, &mut file, MAX_DOWNLOAD)?);
    if found != layer {
        return Err(format!("the registry answers for the layer {layer} with content whose digest is {found}"));
    }
    file.rewind().map_err(|e| format!("it cannot be read: {e}"))?;
    unpack::archive(file, format, module)?;
    Ok(digest)
}

/// The digest of the one layer, and how it is packed.
fn layer(manifest: &Value) -> Result<(&str, Format), String> {
    let Some(layers) = manifest["layers"].as_array() else {
        let why = if manifest["manifests"].is_array() {
            "it is an index of several artifacts; name the digest of one"
        } else {
            "its manifest has no layers"
        };
        return Err(why.to_owned());
    };
    let formats = layers.iter().filter_map(|layer| {
        let format = match layer["mediaType"].as_str()? {
            "archive/zip" | "application/zip" => Format::Zip,
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/x-tar+gzip"
            | "application/gzip" => Format::TarGz,
            "application/vnd.oci.image.layer.v1.tar" | "application/x-tar" => Format::Tar,
            _ => return None,
        };
        let digest = layer["digest"].as_str()?;
        let hex = digest.strip_prefix("sha256:")?;
        (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some((digest, format))
    });
    match formats.collect::<Vec<_>>()[..] {
        [one] if layers.len() == 1 => Ok(one),
        _ => Err(format!(
            "a module is one layer of the type archive/zip or application/vnd.oci.image.layer.v1.tar+gzip, and this \
             artifact has {} of types {:?}",
            layers.len(),
            layers.iter().filter_map(|l| l["mediaType"].as_str()).collect::<Vec<_>>()
        )),
    }
}

struct Remote<'r> {
    http: &'r Http,
    credentials: Option<&'r Path>,
    registry: &'r str,
    repository: &'r str,
    base: Url,
    /// What the registry was content with.
    authorization: RefCell<Option<HeaderValue>>,
}

impl Remote<'_> {
    fn get(&self, path: &str, accept: &str, what: &str) -> Result<Response, String> {
        let url = self.base.join(path).map_err(|e| e.to_string())?;
        let send = || {
            let request = self.http.get(url.clone()).header(ACCEPT, accept);
            let known = self.authorization.borrow().clone();
            http::send(match known {
                Some(value) => request.header(AUTHORIZATION, value),
                None => request,
            })
        };
        let mut answer = send()?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.authorization.borrow().is_none() {
            let value = self.authorize(&answer)?;
            *self.authorization.borrow_mut() = Some(value);
            answer = send()?;
        }
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => Err(format!("the registry does not have {what}")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(format!(
                "the registry answers {} for {what}; docker login {} gives it the credentials that are used",
                answer.status(),
                self.registry
            )),
            status => Err(format!("the registry answers {status} for {what}")),
        }
    }

    /// The header that the registry asks for.
    fn authorize(&self, answer: &Response) -> Result<HeaderValue, String> {
        let asked: Vec<&str> =
            answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let kept = self.credentials.map_or(Ok(None), |file| docker::credentials(file, self.registry))?;
        let scheme = |name: &str| {
            asked.iter().find_map(|text| {
                let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
                scheme.eq_ignore_ascii_case(name).then_some(rest)
            })
        };
        if let Some(parameters) = scheme("bearer") {
            let token = self.token(parameters, kept.as_ref())?;
            return secret(&format!("Bearer {token}"));
        }
        match (scheme("basic"), kept) {
            (Some(_), Some(kept)) => basic(&kept),
            (Some(_), None) => Err(format!(
                "the registry asks for a user and a password; docker login {} keeps them where they are looked for",
                self.registry
            )),
            (None, _) => Err("the registry asks for a kind of authentication that is not supported".to_owned()),
        }
    }

    /// A token from the server that the registry names.
    fn token(&self, parameters: &str, kept: Option<&docker::Credentials>) -> Result<String, String> {
        let known = parameters_of(parameters);
        let find = |name: &str| known.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let mut realm =
            find("realm").and_then(|realm| Url::parse(realm).ok()).ok_or("the registry names no server for tokens")?;
        // Where the registry itself was reached safely, its word must not lead to plain http.
        let safe = realm.scheme() == "https" || self.base.scheme() == "http";
        if !safe || http::permitted(&realm).is_err() {
            return Err("the registry names a server for tokens that is reached without https".to_owned());
        }
        let scope = format!("repository:{}:pull", self.repository);
        if let Some(service) = find("service") {
            realm.query_pairs_mut().append_pair("service", service);
        }
        realm.query_pairs_mut().append_pair("scope", find("scope").unwrap_or(&scope));
        let mut request = self.http.get(realm);
        if let Some(kept) = kept {
            request = request.header(AUTHORIZATION, basic(kept)?);
        }
        let answer = http::send(request)?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(format!("the server for the registry's tokens answers {status}"));
        }
        let answer: Value = serde_json::from_slice(&http::body(answer, MAX_MANIFEST)?).unwrap_or(Value::Null);
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
        token.map(str::to_owned).ok_or_else(|| "the server for the registry's tokens gave none".to_owned())
    }
}

fn basic(kept: &docker::Credentials) -> Result<HeaderValue, String> {
    use base64::Engine as _;
    let pair = base64::prelude::BASE64_STANDARD.encode(format!("{}:{}", kept.user, kept.secret));
    secret(&format!("Basic {pair}"))
}

/// A header that no `Debug` shows.
fn secret(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "the credentials cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `a="b",c=d` as pairs.
fn parameters_of(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').map_or((after, ""), |(value, _)| (value, &after[value.len()..])),
        };
        out.push((name.trim().to_owned(), value.trim().to_owned()));
        rest = next.trim_start_matches([',', ' ']);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn challenges_are_read() {
        let pairs = parameters_of("realm=\"https://a/t?x=1,2\", service=reg ,scope=\"repository:a/b:pull,push\"");
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("realm", "https://a/t?x=1,2"), ("service", "reg"), ("scope", "repository:a/b:pull,push")]);
        assert!(parameters_of("").is_empty());
    }

    #[test]
    fn a_module_is_one_layer_of_a_known_type() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let zip = json!({ "mediaType": "archive/zip", "digest": digest });
        let tar = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest });
        assert_eq!(layer(&json!({ "layers": [zip] })), Ok((digest.as_str(), Format::Zip)));
        assert_eq!(layer(&json!({ "layers": [tar] })), Ok((digest.as_str(), Format::TarGz)));
        for (manifest, want) in [
            (json!({ "layers": [zip, tar] }), "has 2 of types"),
            (json!({ "layers": [{ "mediaType": "text/plain", "digest": digest }] }), "text/plain"),
            (json!({ "layers": [{ "mediaType": "archive/zip", "digest": "sha256:../x" }] }), "has 1 of types"),
            (json!({ "manifests": [] }), "index"),
            (json!(null), "no layers"),
        ] {
            assert!(layer(&manifest).expect_err(want).contains(want));
        }
    }
}
