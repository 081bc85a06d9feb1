//! Small clients for what other people do at a site: to the API server, to Vault, to HAProxy and to the token.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{KEK_ID, Site, player};

impl Site {
    /// Calls the API server as an administrator.
    pub(crate) fn kubernetes(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let kubernetes = self.sandbox.kubernetes().expect("kubernetes");
        let kind = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = self
            .http
            .request(method.parse().expect("a method"), format!("{}{path}", kubernetes.url))
            .bearer_auth(kubernetes.token("admin").expect("admin"))
            .header("Content-Type", kind);
        self.send(request, body)
    }

    /// Calls Vault as root.
    pub(crate) fn vault(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let vault = self.sandbox.vault().expect("vault");
        let request = self
            .http
            .request(method.parse().expect("a method"), format!("{}/v1/{path}", vault.address))
            .header("X-Vault-Token", vault.root_token());
        self.send(request, body)
    }

    /// Logs in to Vault with a token of a service account; the answer, errors included.
    pub(crate) fn login(&self, namespace: &str, account: &str) -> Value {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let answer = self.kubernetes("POST", &path, Some(request));
        let jwt = answer["status"]["token"].as_str().unwrap_or_else(|| panic!("a token: {answer}"));
        self.vault("POST", "auth/asm-c1/hsm/login", Some(json!({ "role": "istiod", "jwt": jwt })))
    }

    /// Reads a secret with the token of a login.
    pub(crate) fn read_with(&self, token: &str, path: &str) -> Value {
        let vault = self.sandbox.vault().expect("vault");
        self.send(self.http.get(format!("{}/v1/{path}", vault.address)).header("X-Vault-Token", token), None)
    }

    fn send(&self, request: reqwest::blocking::RequestBuilder, body: Option<Value>) -> Value {
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        let text = request.send().and_then(reqwest::blocking::Response::text).expect("an answer");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Says something to HAProxy's stats socket.
    pub(crate) fn haproxy(&self, line: &str) -> String {
        let mut socket = UnixStream::connect(&self.sandbox.gateway().expect("gateway").stats_socket).expect("connects");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        socket.write_all(format!("{line}\n").as_bytes()).expect("writes");
        socket.shutdown(std::net::Shutdown::Write).expect("ends");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("reads");
        answer
    }

    /// What answers behind a port of the VIP.
    pub(crate) fn through_vip(&self, port: u16) -> String {
        let stream = std::net::TcpStream::connect((self.vip.as_str(), port)).expect("the VIP answers");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("reads");
        line
    }

    /// Runs `pkcs11-tool` on the token.
    pub(crate) fn pkcs11(&self, arguments: &[&str]) -> String {
        let output = Command::new("pkcs11-tool")
            .args([
                "--module",
                &self.token.module_path.display().to_string(),
                "--token-label",
                "asm-partition",
                "--login",
                "--pin",
                &self.pin,
            ])
            .args(arguments)
            .env("SOFTHSM2_CONF", &self.token.conf_path)
            .output()
            .expect("pkcs11-tool runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Changes the label of the KEK as another program would.
    pub(crate) fn relabel_kek(&self, label: &str) {
        let output = Command::new(player())
            .args(["relabel", &self.token.module_path.display().to_string(), "asm-partition"])
            .arg(&self.token.pin_file)
            .args([KEK_ID, label])
            .env("SOFTHSM2_CONF", &self.token.conf_path)
            .output()
            .expect("mesh-play runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
