//! A site for the on-prem example: a sandbox, a copy of the example with its variables, the program
//! that plays pods, and what other people do there.
//!
//! The one decision: secrets reach `mesh` through the environment only, and everything that it
//! prints is kept, so that a scan of folder and transcript can prove that no secret is in either.

mod clients;
mod program;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use mesh_sandbox::{Options, Part, Sandbox, SoftToken, default_cache, free_port};
use serde_json::json;

pub(crate) use program::{Folder, Output, command, mesh, terraform};

/// The KEK of the example.
pub(crate) const KEK_ID: &str = "7651a4ea-eeb7-4c1f-927b-8c871c2127aa";

/// What a sandbox of some parts is made with.
pub(crate) fn options(parts: &[Part]) -> Options {
    #[expect(clippy::disallowed_methods, reason = "tests find the cache and the programs as a user's shell does")]
    let (home, path) =
        (std::env::var("HOME").unwrap_or_else(|_| "/root".into()), std::env::var("PATH").unwrap_or_default());
    let mut options = Options::temporary(default_cache(Path::new(&home)), path.as_ref(), parts.iter().copied());
    options.users.push("operator".into());
    options.users.dedup();
    options
}

/// A sandbox of all parts, or of some.
pub(crate) fn sandbox(parts: &[Part]) -> Sandbox {
    Sandbox::start(options(parts), &|_: &mesh_sandbox::Event| {}).expect("the sandbox starts")
}

/// The running site.
pub(crate) struct Site {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) token: SoftToken,
    pub(crate) pin: String,
    pub(crate) env: BTreeMap<String, String>,
    play: Child,
    transcript: RefCell<String>,
    http: reqwest::blocking::Client,
    pub(crate) vip: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.play.kill();
        let _ = self.play.wait();
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The program that plays pods, built beside this test.
fn player() -> PathBuf {
    let mut path = std::env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.join("examples/mesh-play")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the example").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

impl Site {
    /// A site as its administrators hand it over: servers, token, offline root, and the rights of mesh's
    /// own user; `prepare` does what was there before.
    pub(crate) fn new(prepare: impl FnOnce(&Self), extra: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let sandbox = sandbox(&Part::ALL);
        let folder = tempfile::tempdir().expect("a folder");
        let example = folder.path().join("example");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/onprem-hsm-vault"), &example);
        let pin = format!("canarypin{:08x}", std::process::id());
        let token = sandbox.soft_token(&folder.path().join("hsm"), "asm-partition", "12345678", &pin).expect("a token");
        let port = free_port().expect("a port");
        let kubeconfig = sandbox.kubernetes().and_then(|k| k.kubeconfig("admin")).expect("kubeconfig").to_owned();
        let play = Command::new(player())
            .arg(&kubeconfig)
            .arg(port.to_string())
            .env("SOFTHSM2_CONF", &token.conf_path)
            .stdout(std::fs::File::create(folder.path().join("play.log")).expect("a log"))
            .spawn()
            .expect("mesh-play starts (cargo builds it with the tests)");
        let vip = sandbox.vip().expect("a VIP").to_string();
        let http = reqwest::blocking::Client::builder()
            .tls_certs_only([
                certificate(&sandbox.kubernetes().expect("kubernetes").ca_file),
                certificate(&sandbox.vault().expect("vault").ca_file),
            ])
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        let mut site =
            Self { sandbox, folder, token, pin, env: BTreeMap::new(), play, transcript: RefCell::default(), http, vip };
        site.offline_root("root", "Offline Root");
        prepare(&site);
        site.bootstrap();
        site.variables(port, extra);
        site
    }

    /// The example's folder.
    pub(crate) fn example(&self) -> PathBuf {
        self.folder.path().join("example")
    }

    /// Where the offline root works: another machine at a real site.
    pub(crate) fn vault_room(&self) -> PathBuf {
        let room = self.folder.path().join("room");
        std::fs::create_dir_all(&room).expect("a folder");
        room
    }

    /// Makes a root key and certificate in the offline root's folder.
    pub(crate) fn offline_root(&self, file: &str, name: &str) {
        let (key, pem, subject) = (format!("{file}.key"), format!("{file}.pem"), format!("/O=Example/CN={name}"));
        let room = self.vault_room();
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "3650",
                "-subj",
                &subject,
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout",
                &key,
                "-out",
                &pem,
            ],
            &room,
        );
    }

    /// What administrators do once: rights and a token that can do no more than the example needs.
    fn bootstrap(&mut self) {
        let vault = self.sandbox.vault().expect("vault");
        let kubeconfig = self.sandbox.kubernetes().and_then(|k| k.kubeconfig("admin")).expect("kubeconfig");
        let env = BTreeMap::from([
            ("MESH_VAR_kubeconfig".to_owned(), kubeconfig.display().to_string()),
            ("MESH_VAR_vault_addr".to_owned(), vault.address.clone()),
            ("MESH_VAR_vault_token".to_owned(), vault.root_token().to_owned()),
            ("MESH_VAR_vault_ca_file".to_owned(), vault.ca_file.display().to_string()),
        ]);
        mesh(&self.example().join("bootstrap"), &["apply", "-auto-approve", "-input=false"], &env)
            .expect(0, "the administrators' part applies");
        let answer =
            self.vault("POST", "auth/token/create", Some(json!({ "policies": ["mesh-operator-c1"], "period": "24h" })));
        let token = answer["auth"]["client_token"].as_str().expect("a token").to_owned();
        self.env.insert("MESH_VAR_vault_token".into(), token);
    }

    fn variables(&mut self, webhook_port: u16, extra: &str) {
        let room = self.vault_room();
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=hsm-client",
                "-keyout",
                "hsm.key",
                "-out",
                "hsm.pem",
            ],
            &room,
        );
        let read = |name: &str| std::fs::read_to_string(room.join(name)).expect("reads");
        self.env.insert("MESH_VAR_hsm_pin".into(), self.pin.clone());
        self.env.insert("MESH_VAR_hsm_client_cert".into(), read("hsm.pem"));
        self.env.insert("MESH_VAR_hsm_client_key".into(), read("hsm.key"));
        self.env.insert("MESH_VAR_hsm_server_cert".into(), read("hsm.pem"));
        let (kubernetes, vault, gateway) = (
            self.sandbox.kubernetes().expect("kubernetes"),
            self.sandbox.vault().expect("vault"),
            self.sandbox.gateway().expect("gateway"),
        );
        let text = format!(
            r#"kubeconfig                = "{}"
kubernetes_host_for_vault = "{}"
min_nodes                 = 3
vault_addr                = "{}"
vault_ca_file             = "{}"
hsm_library               = "{}"
hsm_environment           = {{ SOFTHSM2_CONF = "{}" }}
hsm_token_label           = "asm-partition"
kek_id                    = "{KEK_ID}"
root_ca_file              = "{}"
pod_annotations           = {{ "sandbox.mesh/ready" = "" }}
webhook_url               = "https://127.0.0.1:{webhook_port}"
namespaces                = ["shop"]
vip                       = "{}"
haproxy = {{
  main_config   = "{}"
  config_dir    = "{}"
  master_socket = "{}"
  stats_socket  = "{}"
}}
{extra}
"#,
            kubernetes.kubeconfig("operator").expect("operator").display(),
            kubernetes.url,
            vault.address,
            vault.ca_file.display(),
            self.token.module_path.display(),
            self.token.conf_path.display(),
            room.join("root.pem").display(),
            self.vip,
            gateway.config.display(),
            gateway.conf_dir.display(),
            gateway.master_socket.display(),
            gateway.stats_socket.display(),
        );
        std::fs::write(self.example().join("site.auto.meshvars.hcl"), text).expect("writes");
    }

    /// Changes a line of the site's variables.
    pub(crate) fn set(&self, line: &str) {
        let path = self.example().join("site.auto.meshvars.hcl");
        let name = line.split('=').next().unwrap_or("").trim();
        let mut text: String = std::fs::read_to_string(&path)
            .expect("reads")
            .lines()
            .filter(|l| l.split('=').next().unwrap_or("").trim() != name)
            .map(|l| format!("{l}\n"))
            .collect();
        text.push_str(line);
        text.push('\n');
        std::fs::write(path, text).expect("writes");
    }

    /// Runs `mesh` in the example's folder.
    pub(crate) fn mesh(&self, arguments: &[&str]) -> Output {
        let output = mesh(&self.example(), arguments, &self.env);
        self.transcript.borrow_mut().push_str(&output.text());
        output
    }

    /// Expects that there is nothing to do.
    pub(crate) fn expect_empty_plan(&self) {
        let output = self.mesh(&["plan", "-detailed-exitcode", "-input=false"]).expect(0, "the plan must be empty");
        assert!(output.stdout.contains("No changes."), "{}", output.stdout);
    }

    /// Does at the offline root what the gate says, word for word, and brings the chain back.
    pub(crate) fn sign(&self, instructions: &str) {
        let room = self.vault_room();
        std::fs::copy(self.example().join("csr.pem"), room.join("csr.pem")).expect("the CSR was exported");
        let start = instructions.find("printf '").expect("the gate prints commands");
        let end = instructions[start..].find("> cert-chain.pem").expect("the last command")
            + start
            + "> cert-chain.pem".len();
        let script: String =
            instructions[start..end].lines().map(|l| format!("{}\n", l.trim_start_matches(['|', '│', ' ']))).collect();
        run("sh", &["-ec", &script], &room);
        std::fs::copy(room.join("cert-chain.pem"), self.example().join("cert-chain.pem")).expect("the chain");
    }

    /// No secret is in anything that mesh wrote or printed.
    pub(crate) fn expect_no_secret(&self) {
        let reviewer = self.kubernetes("GET", "/api/v1/namespaces/vault/secrets/default-token", None);
        let jwt = reviewer["data"]["token"].as_str().map(str::to_owned).unwrap_or_default();
        assert!(!jwt.is_empty(), "the reviewer's token is there to be looked for");
        use base64::Engine as _;
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(&jwt)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .expect("base64");
        let key = self.env["MESH_VAR_hsm_client_key"].lines().nth(3).expect("a line of the key").to_owned();
        let token = self.env["MESH_VAR_vault_token"].clone();
        let secrets = [self.pin.clone(), jwt, decoded, key, token];
        let transcript = self.transcript.borrow();
        assert!(transcript.len() > 1000, "there is a transcript to look at");
        for secret in &secrets {
            assert!(!transcript.contains(secret.as_str()), "a secret was printed");
        }
        scan(&self.example(), &secrets);
    }

    /// What the player said.
    pub(crate) fn play_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("play.log")).unwrap_or_default()
    }
}

/// None of `secrets` is in a file of `folder`.
pub(crate) fn scan(folder: &Path, secrets: &[String]) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            scan(&path, secrets);
            continue;
        }
        let bytes = std::fs::read(&path).expect("reads");
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "a secret is in {}", path.display());
        }
    }
}

/// The certificate in a file.
pub(crate) fn certificate(path: &Path) -> reqwest::Certificate {
    reqwest::Certificate::from_pem(&std::fs::read(path).expect("reads")).expect("a certificate")
}
