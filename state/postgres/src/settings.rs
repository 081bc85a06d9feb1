//! What the settings say, checked.
//!
//! The one decision: `sslmode` means what it means to the database's own tools, with two words left out: `allow` and
//! `verify-ca` are what nobody should choose who has the others. It is taken out of the connection string here, since
//! the client library knows only three of the words.

use std::time::Duration;

use mesh_state::{BadSetting, Settings};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::tls::{Check, Tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without an answer for so long a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Where a state is, and how to get there.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    pub(crate) schema: String,
    /// With a slash and the workspace behind it, where it has one.
    pub(crate) name: String,
    /// What it is for people; without the password.
    pub(crate) place: String,
}

pub(crate) fn target(settings: &Settings<'_>) -> Result<Target, BadSetting> {
    let given = settings.text("connection").or_else(|| settings.variable("DATABASE_URL"));
    let given = given.ok_or_else(|| {
        BadSetting::all("There is no connection string: set connection, or DATABASE_URL in the environment.")
    })?;
    let parted = part(given).ok_or_else(unreadable)?;
    // The library's own words may quote a piece of a password.
    let mut config: Config = parted.rest.parse().map_err(|_| unreadable())?;
    if config.get_hosts().is_empty() {
        return Err(BadSetting::of("connection", "connection must name the host."));
    }
    let user = config.get_user().map(str::to_owned);
    let user = user.ok_or_else(|| BadSetting::of("connection", "connection must name the user."))?;
    if config.get_password().is_none()
        && let Some(password) = settings.text("password").or_else(|| settings.variable("PGPASSWORD"))
    {
        config.password(password);
    }
    let ca_file = settings.text("ca_cert_file").map(str::to_owned).or(parted.root_certificate);
    let (mode, check) = match (parted.mode.as_deref().unwrap_or("prefer"), &ca_file) {
        ("disable", _) => (SslMode::Disable, Check::Nothing),
        ("prefer", _) => (SslMode::Prefer, Check::Nothing),
        ("require", None) => (SslMode::Require, Check::Nothing),
        ("require" | "verify-full", Some(file)) => (SslMode::Require, Check::Against(file)),
        ("verify-full", None) => (SslMode::Require, Check::System),
        (other, _) => {
            let plain = other.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            let other = if plain { other } else { "That" };
            let why = format!("{other} is no sslmode here: use disable, prefer, require or verify-full.");
            return Err(BadSetting::of("connection", why));
        }
    };
    let own = settings.client_certificate(parted.certificate.as_deref(), parted.key.as_deref())?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    config.ssl_mode(mode).keepalives_idle(SILENCE / 2).application_name("mesh");
    let schema = named(settings, "schema", "mesh")?;
    let mut name = named(settings, "name", "default")?;
    if let Some(workspace) = settings.workspace {
        name = format!("{name}/{workspace}");
    }
    let database = config.get_dbname().unwrap_or(&user);
    let place = format!("PostgreSQL database {database} at {}, state {schema}.{name}", hosts(&config));
    Ok(Target { tls: Tls::new(check, own)?, config, schema, name, place })
}

fn unreadable() -> BadSetting {
    let why = "connection is not a connection string: write postgresql://user@host:5432/database?sslmode=verify-full, \
               with special characters in percent encoding, or host=... user=... dbname=... sslmode=...";
    BadSetting::of("connection", why)
}

fn hosts(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(i, host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(i)),
        Host::Unix(folder) => folder.display().to_string(),
    });
    hosts.collect::<Vec<_>>().join(",")
}

/// A name that needs no thought in any place: an identifier of at most 63 bytes.
fn named(settings: &Settings<'_>, setting: &'static str, usual: &str) -> Result<String, BadSetting> {
    let name = settings.text(setting).unwrap_or(usual);
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.len() <= 63 && name.bytes().all(plain) && !name.starts_with("pg_") {
        return Ok(name.to_owned());
    }
    let why =
        format!("{name:?} cannot be used: a name of a-z, 0-9, _ and -, at most 63 of them, not beginning with pg_.");
    Err(BadSetting::of(setting, why))
}

/// A connection string without what the client library does not know.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parted {
    rest: String,
    mode: Option<String>,
    root_certificate: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// `None` for what is no connection string.
fn part(text: &str) -> Option<Parted> {
    let mut parted = Parted::default();
    if text.starts_with("postgresql://") || text.starts_with("postgres://") {
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        parted.rest = before.to_owned();
        let left: Vec<&str> = query.split('&').filter(|pair| !parted.takes(pair)).collect();
        if !left.is_empty() {
            parted.rest.push('?');
            parted.rest.push_str(&left.join("&"));
        }
        return Some(parted);
    }
    let mut left = text.trim_start();
    while !left.is_empty() {
        let end = left.find('=').map(|at| at + 1 + value_length(&left[at + 1..]))?;
        let pair = &left[..end];
        if !parted.takes(pair) {
            parted.rest.push_str(pair);
            parted.rest.push(' ');
        }
        left = left[end..].trim_start();
    }
    Some(parted)
}

/// How much of `text` is the value that it begins with, quotes and escapes included.
fn value_length(text: &str) -> usize {
    let blank = text.len() - text.trim_start().len();
    let quoted = text[blank..].starts_with('\'');
    let (mut escaped, mut first) = (false, true);
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < blank) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted && !first => return at + 1,
            c if !quoted && c.is_whitespace() => return at,
            _ => {}
        }
        first = false;
    }
    text.len()
}

impl Parted {
    /// Takes a pair in that is ours.
    fn takes(&mut self, pair: &str) -> bool {
        let Some((key, value)) = pair.split_once('=') else { return pair.is_empty() };
        let place = match key.trim() {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root_certificate,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            _ => return false,
        };
        *place = Some(value.trim().trim_matches('\'').to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_parted() {
        let parts = |text: &str| part(text).map(|p| (p.rest, p.mode.unwrap_or_default()));
        let yes = |rest: &str, mode: &str| Some((rest.to_owned(), mode.to_owned()));
        assert_eq!(parts("postgresql://a:b@h/d"), yes("postgresql://a:b@h/d", ""));
        assert_eq!(
            parts("postgres://a@h/d?sslmode=require&application_name=x"),
            yes("postgres://a@h/d?application_name=x", "require")
        );
        assert_eq!(parts("postgres://a@h/d?x=1&sslmode=verify-full"), yes("postgres://a@h/d?x=1", "verify-full"));
        assert_eq!(
            parts("host=h  password='a sslmode=disable \\' b' sslmode=prefer user=u"),
            yes("host=h password='a sslmode=disable \\' b' user=u ", "prefer")
        );
        assert_eq!(parts("host = h sslmode = 'require'"), yes("host = h ", "require"));
        assert_eq!(parts("nonsense"), None);
    }
}
