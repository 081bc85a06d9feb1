//! The `provider "vault"` block: what it takes, and what the environment gives where it is silent.
//!
//! The one decision: everything is settled here from the configuration and the variables handed in, and given to
//! `vaultrs` explicitly, so that none of its own readings of the process environment (an empty `VAULT_SKIP_VERIFY`
//! turns verification off there) can apply. `VAULT_SKIP_VERIFY` and `~/.vault-token` are not read at all.

use std::fmt;
use std::path::PathBuf;

use mesh_model::{Attribute, Block, Nesting, Schema, Type, Value};
use mesh_sdk::{ErrorKind, ProviderError, Services};
use reqwest::Url;

use crate::names::path_problem;

/// The schema of the provider block.
pub(crate) fn schema() -> Schema {
    Schema::of([
        Attribute::optional("address", Type::String, "URL of the server, `https://vault.example:8200`. Default: `VAULT_ADDR` or `BAO_ADDR`."),
        Attribute::optional("token", Type::String, "Token to work with. Default: `VAULT_TOKEN` or `BAO_TOKEN`; `~/.vault-token` is not read.").sensitive(),
        Attribute::optional("ca_cert_file", Type::String, "File with the PEM certificates that the server's certificate is checked against, in place of the system's. Default: `VAULT_CACERT` or `BAO_CACERT`."),
        Attribute::optional("ca_cert_pem", Type::String, "The same certificates as text; wins over `ca_cert_file`."),
        Attribute::optional("namespace", Type::String, "Namespace to work in (Vault Enterprise, OpenBao). Default: `VAULT_NAMESPACE` or `BAO_NAMESPACE`."),
        Attribute::optional("tls_server_name", Type::String, "Name expected in the server's certificate, where it is not the one in `address`. Default: `VAULT_TLS_SERVER_NAME`."),
        Attribute::optional("skip_tls_verify", Type::Bool, "Accepts any certificate: for experiments only. `VAULT_SKIP_VERIFY` has no effect.").default(Value::bool(false)),
        Attribute::optional("max_retries", Type::Number, "How often a call is sent again after 429, 5xx or a lost connection. Default: 2.").default(Value::number(2)),
    ])
    .block(Block {
        name: "auth_login",
        nesting: Nesting::Single,
        min: 0,
        max: 1,
        schema: Schema::of([
            Attribute::required("method", Type::String, "`approle` or `kubernetes`."),
            Attribute::optional("mount", Type::String, "Path of the auth backend, without `auth/`. Default: the method's name."),
            Attribute::optional("role_id", Type::String, "For approle: the role id."),
            Attribute::optional("secret_id", Type::String, "For approle: the secret id.").sensitive(),
            Attribute::optional("role", Type::String, "For kubernetes: the role."),
            Attribute::optional("jwt", Type::String, "For kubernetes: the service account's token.").sensitive(),
            Attribute::optional("jwt_file", Type::String, "For kubernetes: the file with the token. Default: where pods have it."),
        ]),
        doc: "Logs in instead of taking a token; the token made so is revoked at the end.",
    })
}

/// How to get a token.
pub(crate) enum Login {
    Token(String),
    AppRole { mount: String, role_id: String, secret_id: String },
    Kubernetes { mount: String, role: String, jwt: String },
}

/// Everything that is needed to connect.
pub(crate) struct Settings {
    pub(crate) address: Url,
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) namespace: Option<String>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) skip_verify: bool,
    pub(crate) retries: u32,
    pub(crate) login: Login,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("address", &self.address.as_str()).finish_non_exhaustive()
    }
}

const SUMMARY: &str = "The Vault provider is not configured correctly";

fn invalid(attribute: &'static str, detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, SUMMARY, detail).at(attribute)
}

impl Settings {
    /// From the block, then the environment. Reads the files that are named.
    pub(crate) fn resolve(config: &Value, services: &Services) -> Result<Self, ProviderError> {
        let text = |name: &str| config.get_str(name).filter(|t| !t.is_empty()).map(str::to_owned);
        let or_env = |name: &str, variable: &str| {
            text(name).or_else(|| {
                let from =
                    |prefix: &str| services.env.get(&format!("{prefix}_{variable}")).filter(|v| !v.is_empty()).cloned();
                from("VAULT").or_else(|| from("BAO"))
            })
        };
        let address = or_env("address", "ADDR").ok_or_else(|| {
            invalid("address", "No address of Vault is known: set `address`, or VAULT_ADDR in the environment.")
        })?;
        let namespace =
            or_env("namespace", "NAMESPACE").map(|n| n.trim_matches('/').to_owned()).filter(|n| !n.is_empty());
        if let Some(reason) =
            namespace.as_deref().and_then(path_problem).or(namespace.as_deref().and_then(not_a_header))
        {
            return Err(invalid("namespace", format!("The namespace {reason}.")));
        }
        let ca_pem = match (text("ca_cert_pem"), or_env("ca_cert_file", "CACERT")) {
            (Some(pem), _) => Some(pem.into_bytes()),
            (None, Some(file)) => Some(read(services, &file, "ca_cert_file")?),
            (None, None) => None,
        };
        let retries = config.get("max_retries").and_then(Value::as_i64).unwrap_or(2);
        Ok(Self {
            address: parse_address(&address)?,
            ca_pem,
            namespace,
            tls_server_name: or_env("tls_server_name", "TLS_SERVER_NAME"),
            skip_verify: config.get("skip_tls_verify").and_then(Value::as_bool).unwrap_or(false),
            retries: u32::try_from(retries)
                .ok()
                .filter(|r| *r <= 100)
                .ok_or_else(|| invalid("max_retries", "max_retries is a number from 0 to 100."))?,
            login: login(
                config.get("auth_login").filter(|v| !v.is_null()),
                or_env("token", "TOKEN"),
                text("token").is_some(),
                services,
            )?,
        })
    }
}

fn login(
    block: Option<&Value>,
    token: Option<String>,
    explicit_token: bool,
    services: &Services,
) -> Result<Login, ProviderError> {
    let Some(block) = block else {
        let token = token.ok_or_else(|| {
            invalid(
                "token",
                "There is no way to log in: set `token`, VAULT_TOKEN in the environment, or an `auth_login` block.",
            )
        })?;
        return Ok(Login::Token(checked_token(token.trim())?));
    };
    if explicit_token {
        return Err(invalid("auth_login", "Give either `token` or `auth_login`, not both."));
    }
    let text = |name: &str| block.get_str(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let need = |name: &str| {
        text(name).ok_or_else(|| invalid("auth_login", format!("auth_login needs {name} for this method.")))
    };
    let method = need("method")?;
    let mount =
        text("mount").unwrap_or_else(|| method.clone()).trim_start_matches("auth/").trim_end_matches('/').to_owned();
    if let Some(reason) = path_problem(&mount) {
        return Err(invalid("auth_login", format!("The mount of auth_login {reason}.")));
    }
    match method.as_str() {
        "approle" => Ok(Login::AppRole { mount, role_id: need("role_id")?, secret_id: need("secret_id")? }),
        "kubernetes" => {
            let jwt = match text("jwt") {
                Some(jwt) => jwt,
                None => {
                    let file = text("jwt_file")
                        .unwrap_or_else(|| "/var/run/secrets/kubernetes.io/serviceaccount/token".to_owned());
                    String::from_utf8_lossy(&read(services, &file, "auth_login")?).trim().to_owned()
                }
            };
            Ok(Login::Kubernetes { mount, role: need("role")?, jwt })
        }
        other => {
            Err(invalid("auth_login", format!("The method {other:?} is not known: use \"approle\" or \"kubernetes\".")))
        }
    }
}

fn read(services: &Services, file: &str, attribute: &'static str) -> Result<Vec<u8>, ProviderError> {
    let path: PathBuf = services.root.join(file);
    std::fs::read(&path).map_err(|e| invalid(attribute, format!("The file {} cannot be read: {e}.", path.display())))
}

fn parse_address(text: &str) -> Result<Url, ProviderError> {
    let url = Url::parse(text).map_err(|e| invalid("address", format!("{text:?} is not a URL: {e}.")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("address", "The address must begin with https:// (or http://) and name a host."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("address", "The address must not hold a user or password."));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(
            "address",
            "The address must end after the port: paths, queries and fragments are not supported.",
        ));
    }
    Ok(url)
}

fn not_a_header(text: &str) -> Option<&'static str> {
    (!text.bytes().all(|b| (0x21..0x7f).contains(&b))).then_some("must be of printable ASCII characters")
}

/// A token that can be sent; the text is in no error.
pub(crate) fn checked_token(token: &str) -> Result<String, ProviderError> {
    match not_a_header(token) {
        None if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(invalid(
            "token",
            "The token is empty or has characters that a token cannot have (white space, line breaks?).",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn resolve(config: &[(&'static str, &str)], env: &[(&str, &str)]) -> Result<Settings, ProviderError> {
        let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let services = Services { env: Arc::new(env), ..Services::default() };
        Settings::resolve(&Value::object(config.iter().map(|(k, v)| (*k, Value::string(*v)))), &services)
    }

    #[test]
    fn configuration_wins_over_vault_over_bao() {
        let env = [
            ("VAULT_ADDR", "https://v:1"),
            ("BAO_ADDR", "https://b:1"),
            ("BAO_TOKEN", "bt"),
            ("VAULT_TOKEN", ""),
            ("VAULT_SKIP_VERIFY", ""),
        ];
        let s = resolve(&[], &env).expect("valid");
        assert_eq!(s.address.as_str(), "https://v:1/");
        assert!(matches!(&s.login, Login::Token(t) if t == "bt"));
        assert!(!s.skip_verify, "an empty VAULT_SKIP_VERIFY verifies");
        let s = resolve(&[("address", "http://c:8200")], &env).expect("valid");
        assert_eq!(s.address.as_str(), "http://c:8200/");
    }

    #[test]
    fn bad_settings_are_errors_and_show_no_token() {
        for (address, token) in [
            ("nonsense", "t"),
            ("ftp://h", "t"),
            ("https://u:p@h", "t"),
            ("https://h/vault", "t"),
            ("https://h", "a\ncanary"),
            ("https://h", ""),
        ] {
            let error = resolve(&[("address", address), ("token", token)], &[]).expect_err(address);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(!format!("{:?}", resolve(&[("address", "http://h"), ("token", "canary")], &[])).contains("canary"));
    }
}
