//! What a load balancer is configured to be, and its file.
//!
//! The one decision: text reaches the file only as addresses, numbers and names of a narrow
//! alphabet, so no value can smuggle in a directive. The same settings always give the same text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use mesh_model::schema::duration_seconds;
use mesh_model::{Path, Step, Type, Value};
use mesh_sdk::Problem;

/// Ways to choose a server that need no further parameter.
const BALANCE: [&str; 5] = ["roundrobin", "static-rr", "leastconn", "source", "first"];

/// A wholly known and sound configuration.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) vip: IpAddr,
    transparent: bool,
    /// Port name to (port on the VIP, port on the nodes).
    pub(crate) ports: BTreeMap<String, (u16, u16)>,
    pub(crate) nodes: BTreeMap<String, IpAddr>,
    balance: String,
    check_ms: u64,
    rise: i64,
    fall: i64,
    health_check_port: Option<u16>,
    pub(crate) min_up: usize,
    pub(crate) ready_timeout: f64,
}

/// The name of the frontend and of the backend of a port.
pub(crate) fn section(name: &str, port: &str) -> String {
    format!("mesh_{name}_{port}")
}

/// The type of `servers`.
pub(crate) fn servers_type() -> Type {
    Type::map(server_type())
}

fn server_type() -> Type {
    Type::object([("address", Type::String), ("port", Type::Number), ("weight", Type::Number), ("state", Type::String)])
}

/// The value of `servers` from `port/node` to what is seen or wanted.
pub(crate) fn servers_value(servers: impl IntoIterator<Item = (String, (String, i64, i64, &'static str))>) -> Value {
    let entries = servers.into_iter().map(|(key, (address, port, weight, state))| {
        let server = Value::object([
            ("address", Value::string(address)),
            ("port", Value::number(port)),
            ("weight", Value::number(weight)),
            ("state", Value::string(state)),
        ]);
        (key, server)
    });
    Value::map(server_type(), entries.collect())
}

fn is_name(text: &str, extra: &str) -> bool {
    !text.is_empty() && text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

fn port(value: Option<&Value>) -> Option<u16> {
    value.and_then(Value::as_i64).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}

fn within(attribute: &str, key: &str, reason: impl Into<String>) -> Problem {
    Problem { path: Path::attribute(attribute).join(Step::Key(key.into())), reason: reason.into() }
}

/// What is wrong with the known parts.
pub(crate) fn problems(config: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    // A part that is unknown or null is not judged here.
    let known = |name| config.get(name).filter(|v| !v.is_null() && !v.is_unknown() && !v.is_withheld());
    if known("name").is_some_and(|v| v.as_str().is_none_or(|n| !is_name(n, "-"))) {
        found.push(Problem::at(
            "name",
            "must be letters, digits and hyphens (at most 63): it names sections and a file",
        ));
    }
    if known("vip").is_some_and(|v| v.as_str().is_none_or(|a| a.parse::<IpAddr>().is_err())) {
        found.push(Problem::at("vip", "must be an IP address"));
    }
    let empty = |name| known(name).is_some_and(|v| v.as_fields().is_some_and(mesh_model::Fields::is_empty));
    for name in ["ports", "nodes"] {
        if empty(name) {
            found.push(Problem::at(name, "must not be empty: a load balancer without them serves nobody"));
        }
    }
    let mut used = BTreeMap::new();
    for (key, value) in known("ports").and_then(Value::as_fields).into_iter().flat_map(mesh_model::Fields::iter) {
        if !is_name(key, "-_.") {
            found.push(within("ports", key, "names of ports are letters, digits, `-`, `_` and `.` (at most 63)"));
        }
        for part in ["port", "node_port"] {
            if value.get(part).is_some_and(|p| !p.is_unknown() && port(Some(p)).is_none()) {
                found.push(within("ports", key, format!("`{part}` must be a port number from 1 to 65535")));
            }
        }
        if let Some(number) = port(value.get("port"))
            && let Some(other) = used.insert(number, key)
        {
            found.push(within("ports", key, format!("the port {number} is used by {other:?} already")));
        }
    }
    for (key, value) in known("nodes").and_then(Value::as_fields).into_iter().flat_map(mesh_model::Fields::iter) {
        if !is_name(key, "-_.") {
            found.push(within("nodes", key, "names of nodes are letters, digits, `-`, `_` and `.` (at most 63)"));
        }
        if !value.is_unknown() && value.as_str().is_none_or(|a| a.parse::<IpAddr>().is_err()) {
            found.push(within("nodes", key, "must be an IP address"));
        }
    }
    if known("balance").is_some_and(|v| v.as_str().is_none_or(|b| !BALANCE.contains(&b))) {
        found.push(Problem::at("balance", format!("must be one of {}", BALANCE.join(", "))));
    }
    for name in ["check_interval", "ready_timeout"] {
        let duration = |v: &Value| v.as_str().and_then(duration_seconds).filter(|s| (0.001..=86_400.0).contains(s));
        if known(name).is_some_and(|v| duration(v).is_none()) {
            found.push(Problem::at(name, "must be a duration from 1ms to 24h, such as \"2s\""));
        }
    }
    for (name, low, high) in [
        ("check_rise", 1, 1000),
        ("check_fall", 1, 1000),
        ("health_check_port", 1, 65_535),
        ("min_up", 0, 10_000),
        ("max_remove_percent", 0, 100),
    ] {
        if known(name).is_some_and(|v| v.as_i64().is_none_or(|n| !(low..=high).contains(&n))) {
            found.push(Problem::at(name, format!("must be a whole number from {low} to {high}")));
        }
    }
    let nodes = known("nodes").and_then(Value::as_fields).map(|n| n.len() as i64);
    if let (Some(nodes), Some(up)) = (nodes, known("min_up").and_then(Value::as_i64))
        && up > nodes
    {
        found.push(Problem::at("min_up", format!("is {up}, but there are only {nodes} nodes")));
    }
    found
}

impl Settings {
    /// From values; `None` while a part is unknown or wrong.
    pub(crate) fn of(values: &Value) -> Option<Self> {
        if !problems(values).is_empty() {
            return None;
        }
        let text = |name| values.get_str(name);
        let number = |name| values.get(name).and_then(Value::as_i64);
        let fields = |name| values.get(name).and_then(Value::as_fields);
        let ports = fields("ports")?
            .iter()
            .map(|(k, v)| Some((k.to_string(), (port(v.get("port"))?, port(v.get("node_port"))?))))
            .collect::<Option<_>>()?;
        let nodes = fields("nodes")?
            .iter()
            .map(|(k, v)| Some((k.to_string(), v.as_str()?.parse().ok()?)))
            .collect::<Option<_>>()?;
        let health = values.get("health_check_port")?;
        Some(Self {
            name: text("name")?.into(),
            vip: text("vip")?.parse().ok()?,
            transparent: values.get("transparent")?.as_bool()?,
            ports,
            nodes,
            balance: text("balance")?.into(),
            check_ms: (duration_seconds(text("check_interval")?)? * 1000.0) as u64,
            rise: number("check_rise")?,
            fall: number("check_fall")?,
            health_check_port: if health.is_null() { None } else { Some(port(Some(health))?) },
            min_up: usize::try_from(number("min_up")?).ok()?,
            ready_timeout: duration_seconds(text("ready_timeout")?)?,
        })
    }

    /// The first line of the file, by which it is known to be ours.
    pub(crate) fn header(name: &str) -> String {
        format!("# Managed by mesh: gateway_load_balancer \"{name}\". The next apply undoes changes made here.")
    }

    /// What is bound.
    pub(crate) fn binds(&self) -> Vec<(IpAddr, u16)> {
        self.ports.values().map(|(port, _)| (self.vip, *port)).collect()
    }

    /// What the running worker must have.
    pub(crate) fn servers(&self) -> Value {
        servers_value(self.ports.iter().flat_map(|(port, (_, node_port))| {
            self.nodes.iter().map(move |(node, address)| {
                (format!("{port}/{node}"), (address.to_string(), i64::from(*node_port), 1, "ready"))
            })
        }))
    }

    /// The file.
    pub(crate) fn render(&self) -> String {
        let mut out = Self::header(&self.name);
        out.push('\n');
        for (port, (bind, node_port)) in &self.ports {
            let section = section(&self.name, port);
            let transparent = if self.transparent { " transparent" } else { "" };
            let _ = write!(
                out,
                "\nfrontend {section}\n    mode tcp\n    bind {}{transparent}\n    timeout client 60s\n    \
                 default_backend {section}\n\nbackend {section}\n    mode tcp\n    balance {}\n    timeout connect 5s\n    \
                 timeout server 60s\n",
                SocketAddr::new(self.vip, *bind),
                self.balance,
            );
            if self.health_check_port.is_some() {
                out.push_str("    option httpchk GET /healthz\n    http-check expect status 200\n");
            }
            let _ = writeln!(
                out,
                "    default-server inter {}ms rise {} fall {} weight 1 on-marked-down shutdown-sessions",
                self.check_ms, self.rise, self.fall
            );
            for (node, address) in &self.nodes {
                let _ = write!(out, "    server {node} {} check", SocketAddr::new(*address, *node_port));
                if let Some(port) = self.health_check_port {
                    let _ = write!(out, " port {port}");
                }
                out.push('\n');
            }
        }
        out
    }
}
