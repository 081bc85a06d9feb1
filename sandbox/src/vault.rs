//! A Vault server over TLS, unsealed, in memory, with the kubernetes auth plugin in its catalogue.
//!
//! Dev mode gives all of that in two seconds and still seals and unseals through the API. The plugin is a program that
//! Vault starts itself; it goes through `setpriv` as well, for it would outlive a killed Vault.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::error::{Error, Result, at};
use crate::http::{Http, outside_async};
use crate::process::{Launcher, Program, Server};
use crate::unique::{free_port, secret};

const LIMIT: Duration = Duration::from_secs(60);

/// A running Vault; stopped when dropped.
pub struct Vault {
    /// `https://127.0.0.1:<port>`.
    pub address: String,
    /// The CA of its certificate (PEM).
    pub ca_file: PathBuf,
    root_token: String,
    unseal_key: String,
    server: Server,
}

impl Vault {
    /// The root token.
    #[must_use]
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// The one unseal key.
    #[must_use]
    pub fn unseal_key(&self) -> &str {
        &self.unseal_key
    }

    /// Seals it.
    ///
    /// # Errors
    /// Vault's words.
    pub fn seal(&self) -> Result<()> {
        self.call(Method::PUT, "/v1/sys/seal", &Value::Null).map(|_| ())
    }

    /// Unseals it, with all its content.
    ///
    /// # Errors
    /// Vault's words.
    pub fn unseal(&self) -> Result<()> {
        self.call(Method::PUT, "/v1/sys/unseal", &json!({"key": self.unseal_key})).map(|_| ())
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        outside_async(|| client(&self.address, &self.ca_file, &self.root_token)?.call(method, path, body))
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn start(
        name: &str,
        vault: &Path,
        plugin: &Path,
        setpriv: &Path,
        launcher: &Launcher,
        folder: &Path,
    ) -> Result<Self> {
        let plugins = folder.join("plugins");
        at(&plugins, fs::create_dir_all(&plugins))?;
        // Named `kubernetes`, or `auth enable kubernetes` does not find it.
        let wrapper = plugins.join("kubernetes");
        let script =
            format!("#!/bin/sh\nexec '{}' --pdeathsig KILL -- '{}' \"$@\"\n", setpriv.display(), plugin.display());
        at(&wrapper, fs::write(&wrapper, script))?;
        at(&wrapper, fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o700)))?;
        let root_token = secret();
        let port = free_port()?;
        let args = [
            "server".to_owned(),
            "-dev".to_owned(),
            "-dev-tls".to_owned(),
            format!("-dev-tls-cert-dir={}", folder.display()),
            format!("-dev-listen-address=127.0.0.1:{port}"),
            format!("-dev-plugin-dir={}", plugins.display()),
            "-dev-no-store-token".to_owned(),
        ];
        let log = folder.join("vault.log");
        let server = launcher.launch(Program {
            name,
            program: vault,
            args: args.map(OsString::from).into(),
            // Not an argument, which everybody on the machine could read.
            env: vec![("VAULT_DEV_ROOT_TOKEN_ID", OsString::from(&root_token))],
            folder,
            log: log.clone(),
            inherit: false,
        })?;
        let address = format!("https://127.0.0.1:{port}");
        let ca_file = folder.join("vault-ca.pem");
        let mut http = None;
        let mut unseal_key = None;
        server.wait_until(LIMIT, || {
            // The key is printed only after the dev set-up is complete, the plugin's registration included.
            unseal_key = unseal_key.take().or_else(|| printed_unseal_key(&log));
            // The CA file may still be growing before that, too.
            http =
                http.take().or_else(|| unseal_key.as_ref().and_then(|_| client(&address, &ca_file, &root_token).ok()));
            unseal_key.is_some() && http.as_ref().is_some_and(|http: &Http| http.ok("/v1/sys/health"))
        })?;
        let unseal_key = unseal_key.ok_or_else(|| server.failed("it printed no unseal key"))?;
        Ok(Self { address, ca_file, root_token, unseal_key, server })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The binary and its plugin.
pub(crate) fn programs(programs: &crate::build::Programs) -> Result<(&Path, &Path)> {
    match (programs.get("vault"), programs.get("vault-plugin-auth-kubernetes")) {
        (Some(vault), Some(plugin)) => Ok((vault, plugin)),
        _ => Err(Error::NotThere("this sandbox was started without the part `vault`".to_owned())),
    }
}

fn client(address: &str, ca_file: &Path, token: &str) -> Result<Http> {
    Http::new(address, ca_file, ("X-Vault-Token", token.to_owned()))
}

fn printed_unseal_key(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix("Unseal Key: ")).map(str::to_owned)
}
