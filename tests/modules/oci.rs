//! Artifacts in a real registry (`docker-registry`), with its own ways to ask who is there.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::serve::{Answer, Server};
use super::{calls, module, planned, refused, tarball, write, zipped};
use crate::site::{Folder, Output, mesh};

struct Registry {
    process: Child,
    port: u16,
    http: reqwest::blocking::Client,
    /// What uploads say in `Authorization`.
    authorization: &'static str,
    _folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// With a section `auth` of its settings, in which `HERE` is its folder.
    fn start(auth: &str, authorization: &'static str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), mesh_sandbox::free_port().expect("a port"));
        let hash = bcrypt::hash("canary-77", 4).expect("a hash");
        write(&folder.path().join("users"), &format!("me:{hash}\n"));
        let auth = auth.replace("HERE", &folder.path().display().to_string());
        let settings = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n{auth}\n"
        );
        write(&folder.path().join("settings.yml"), &settings);
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("settings.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed (setup.sh does it)");
        let http = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
        let registry = Self { process, port, http, authorization, _folder: folder };
        let start = Instant::now();
        while registry.http.get(registry.url("")).send().is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "the registry answers");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/v2/{path}", self.port)
    }

    fn source(&self, rest: &str) -> String {
        format!("oci://127.0.0.1:{}/{rest}", self.port)
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let begun = self.http.post(self.url("team/m/blobs/uploads/")).header("Authorization", self.authorization);
        let begun = begun.send().expect("an answer");
        assert_eq!(begun.status(), 202);
        let place = begun.headers()["location"].to_str().expect("a URL").to_owned();
        let put = self.http.put(format!("{place}&digest={digest}")).header("Authorization", self.authorization);
        let put = put.header("Content-Type", "application/octet-stream").body(bytes.to_vec()).send();
        assert_eq!(put.expect("an answer").status(), 201);
        digest
    }

    /// Pushes an artifact as OpenTofu's guide does, and gives the digest of its manifest.
    fn push(&self, tag: &str, layer_type: &str, layer: &[u8]) -> String {
        let (config, blob) = (self.blob(b"{}"), self.blob(layer));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "artifactType": "application/vnd.opentofu.modulepkg",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
            "layers": [{ "mediaType": layer_type, "digest": blob, "size": layer.len() }],
        })
        .to_string();
        let put =
            self.http.put(self.url(&format!("team/m/manifests/{tag}"))).header("Authorization", self.authorization);
        let put = put.header("Content-Type", kind).body(manifest.clone()).send().expect("an answer");
        assert_eq!(put.status(), 201);
        digest(manifest.as_bytes())
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>())
}

const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[test]
fn artifacts_are_fetched_by_tag_and_digest() {
    let registry = Registry::start("", "");
    let first = registry.push("v1", "archive/zip", &zipped(&[("sub/main.mesh.hcl", &module("first"))]));
    let folder = Folder::new(&calls(&registry.source("team/m//sub?tag=v1")));
    let init = folder.run(&["init"]).expect(0, "init").stdout;
    assert!(init.contains(&format!("fetched: oci:{first}")), "{init}");
    planned(&folder, "first", &[]);
    let second = registry.push("v1", TAR, &tarball(&[("sub/main.mesh.hcl", &module("second"))]));
    std::fs::remove_dir_all(folder.path().join(".mesh")).expect("removed");
    folder.run(&["init", "-lockfile=readonly"]).expect(0, "the lock file keeps the digest");
    planned(&folder, "first", &[]);
    folder.run(&["init", "-upgrade"]).expect(0, "init");
    planned(&folder, "second", &[]);
    for (rest, x) in [(format!("team/m//sub?digest={first}"), "first"), ("team/m:v1//sub".to_owned(), "second")] {
        let folder = Folder::new(&calls(&registry.source(&rest)));
        folder.run(&["init"]).expect(0, "init");
        planned(&folder, x, &[]);
    }
    registry.push("text", "text/plain", b"no archive");
    for (rest, wanted) in [
        ("team/m:v9", "does not have the artifact"),
        ("team/m:text", "has 1 of types [\"text/plain\"]"),
        ("team/m:v1//none", "Folders at its top: sub."),
    ] {
        refused(Folder::new(&calls(&registry.source(rest))).run(&["init"]), &[wanted]);
    }
    assert_ne!(first, second);
    drop(registry);
    planned(&folder, "second", &[]);
}

/// `mesh init` with what docker login has kept.
fn init(folder: &Folder, docker: &str) -> Output {
    write(&folder.path().join("docker/config.json"), docker);
    let env = BTreeMap::from([("DOCKER_CONFIG".to_owned(), folder.path().join("docker").display().to_string())]);
    let output = mesh(folder.path(), &["init"], &env);
    assert!(!output.text().contains("canary"), "{}", output.text());
    output
}

fn kept(registry: &Registry, password: &str) -> String {
    let auth = BASE64_STANDARD.encode(format!("me:{password}"));
    json!({ "auths": { format!("127.0.0.1:{}", registry.port): { "auth": auth } } }).to_string()
}

#[test]
fn a_registry_that_asks_for_a_password_gets_the_one_that_docker_has() {
    let auth = "auth: {htpasswd: {realm: here, path: \"HERE/users\"}}";
    let registry = Registry::start(auth, "Basic bWU6Y2FuYXJ5LTc3");
    registry.push("v1", "archive/zip", &zipped(&[("main.mesh.hcl", &module("x"))]));
    let folder = Folder::new(&calls(&registry.source("team/m:v1")));
    refused(init(&folder, "{}"), &["asks for a user and a password", "docker login 127.0.0.1"]);
    refused(init(&folder, &kept(&registry, "wrong")), &["the registry answers 401"]);
    init(&folder, &kept(&registry, "canary-77")).expect(0, "init");
    planned(&folder, "x", &[]);
    let files = [folder.text("mesh.lock.hcl"), folder.text("main.mesh.hcl")];
    assert!(!files.concat().contains("canary") && !files.concat().contains(&BASE64_STANDARD.encode("me:canary-77")));
}

#[test]
fn a_registry_that_wants_a_token_is_given_one_from_where_it_says() {
    let tokens = Server::start();
    tokens.put("token", Answer::Bytes(json!({ "token": "canary-token" }).to_string().into_bytes()));
    // This way of the registry sends the challenge of the token protocol, and takes any token.
    let auth = format!("auth: {{silly: {{realm: \"{}\", service: here}}}}", tokens.url("token"));
    let registry = Registry::start(&auth, "Bearer any");
    registry.push("v1", "archive/zip", &zipped(&[("main.mesh.hcl", &module("x"))]));
    let folder = Folder::new(&calls(&registry.source("team/m:v1")));
    init(&folder, &kept(&registry, "canary-77")).expect(0, "init");
    planned(&folder, "x", &[]);
    let asked = tokens.asked();
    let basic = format!("Basic {}", BASE64_STANDARD.encode("me:canary-77"));
    assert_eq!(asked, [("/token?service=here&scope=repository%3Ateam%2Fm%3Apull".to_owned(), basic)]);
    // Without credentials it asks as nobody.
    let folder = Folder::new(&calls(&registry.source("team/m:v1")));
    init(&folder, "{}").expect(0, "init");
    assert_eq!(tokens.asked()[0].1, "");
}
