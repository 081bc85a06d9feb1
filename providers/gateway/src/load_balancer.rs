//! `gateway_load_balancer`: ports of a virtual address, each spread over the same nodes.
//!
//! The one decision: what is compared is what runs. The file is compared as text, the servers as
//! the worker has them, and a file newer than the worker counts as not loaded; so an edited file, a
//! server in maintenance and a forgotten reload all show, each in an attribute of its own. The
//! whole planned file is checked by HAProxy while planning.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use mesh_model::schema::Equality;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    ErrorKind, IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, PlanRequest,
    PlanResponse, PreviewRequest, PreviewResponse, Problem, ProviderError, Resource, Rules, Verdict, async_trait,
    schema_plan,
};

use crate::client::Client;
use crate::publish::PAUSE;
use crate::settings::{Settings, problems, section, servers_type, servers_value};
use crate::socket::{Servers, ask, info};

pub(crate) struct LoadBalancer;

const KIND: &str = "load_balancer ";

/// What the worker runs.
struct Running {
    servers: Servers,
    started: SystemTime,
}

async fn running(client: &Client) -> Result<Running, ProviderError> {
    let uptime = info(&ask(&client.stats, "show info").await?, "Uptime_sec").unwrap_or(0);
    let started = SystemTime::now().checked_sub(Duration::from_secs(uptime)).unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Running { servers: client.servers().await?, started })
}

fn unreadable(path: &Path, error: &std::io::Error) -> ProviderError {
    ProviderError::new(ErrorKind::Other, "HAProxy's file could not be read", format!("{}: {error}.", path.display()))
}

/// A load balancer as it is; `None` where there is neither file nor section. `like` gives what only
/// configuration knows; with `known`, state says that the file is ours whatever stands in it.
fn look(
    client: &Client,
    running: &Running,
    name: &str,
    like: &Value,
    known: bool,
) -> Result<Option<Observed>, ProviderError> {
    let path = client.file(name);
    let file = match std::fs::read(&path).and_then(|bytes| Ok((bytes, std::fs::metadata(&path)?.modified()?))) {
        Ok((bytes, time)) => Some((String::from_utf8_lossy(&bytes).into_owned(), time)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(unreadable(&path, &e)),
    };
    let prefix = section(name, "");
    let servers: Vec<_> = running
        .servers
        .iter()
        .filter_map(|((backend, server), s)| {
            let key = format!("{}/{server}", backend.strip_prefix(&prefix)?);
            Some((key, (s.address.clone(), s.port, s.weight, s.state)))
        })
        .collect();
    if file.is_none() && servers.is_empty() {
        return Ok(None);
    }
    if let Some((text, _)) = &file
        && !known
        && text.lines().next() != Some(&Settings::header(name))
    {
        let detail = format!(
            "{} was not made by mesh: its first line says so. Choose another name, or move the file away.",
            path.display()
        );
        return Err(ProviderError::new(ErrorKind::Conflict, "A file of that name is not ours", detail).at("name"));
    }
    // The worker tells its age in whole seconds.
    let loaded = file.as_ref().is_some_and(|(_, time)| *time <= running.started + Duration::from_secs(2));
    let schema = Resource::<Client>::schema(&LoadBalancer).schema;
    let values = Value::object(schema.attributes.iter().map(|a| {
        let value = like.get(a.name).filter(|v| !v.is_unknown()).cloned();
        (a.name, value.unwrap_or_else(|| Value::null(a.ty.clone())))
    }));
    let values = values
        .with("name", Value::string(name))
        .with("config", file.map_or(Value::null(Type::String), |(text, _)| Value::string(text)))
        .with("servers", servers_value(servers))
        .with("loaded", Value::bool(loaded));
    Ok(Some(Observed::new(values, Identity(format!("{KIND}{name}").into()))))
}

/// Refuses to take too many nodes away at once: a bad node list must not empty a pool.
fn guard(before: &Value, after: &Value) -> Result<(), ProviderError> {
    let addresses = |values: &Value| -> BTreeSet<String> {
        let nodes = values.get("nodes").and_then(Value::as_fields);
        nodes.into_iter().flat_map(|n| n.values()).filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let (old, new) = (addresses(before), addresses(after));
    let removed: Vec<&str> = old.difference(&new).map(String::as_str).collect();
    let allowed = after.get("max_remove_percent").and_then(Value::as_i64).unwrap_or(0);
    if removed.len() as i64 * 100 <= allowed * old.len() as i64 {
        return Ok(());
    }
    let detail = format!(
        "{} of {} nodes would go at once ({}), more than `max_remove_percent` = {allowed} allows. Check the list of \
         nodes; if it is right, raise the limit for this change.",
        removed.len(),
        old.len(),
        removed.join(", ")
    );
    Err(ProviderError::new(ErrorKind::Invalid, "Too many nodes would be removed at once", detail).at("nodes"))
}

fn name_of(request_identity: Option<&Identity>, values: &Value) -> String {
    let identity = request_identity.map(|i| i.0.strip_prefix(KIND).unwrap_or(&i.0).to_owned());
    identity.or_else(|| values.get_str("name").map(str::to_owned)).unwrap_or_default()
}

/// Waits until every port has enough servers that pass their checks.
async fn ready(client: &Client, settings: &Settings) -> Result<(), ProviderError> {
    let deadline = Instant::now() + Duration::from_secs_f64(settings.ready_timeout);
    loop {
        let servers = client.servers().await?;
        let mut waiting = Vec::new();
        for port in settings.ports.keys() {
            let backend = section(&settings.name, port);
            let of = || servers.iter().filter(|((b, _), _)| *b == backend);
            let up = of().filter(|(_, s)| s.up).count();
            if up < settings.min_up {
                let down: Vec<String> =
                    of().filter(|(_, s)| !s.up).map(|((_, n), s)| format!("{n} {}:{}", s.address, s.port)).collect();
                waiting.push(format!("{port}: {up} up, not up: {}", down.join(", ")));
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let detail = format!(
                "The configuration is loaded, but fewer than `min_up` = {} servers pass their health checks after {} \
                 s:\n{}\nCheck that the nodes answer on their node ports.",
                settings.min_up,
                settings.ready_timeout,
                waiting.join("\n")
            );
            return Err(ProviderError::new(ErrorKind::NotReady, "Too few servers are up", detail).at("min_up"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Publishes the planned file and waits for the servers.
async fn put(client: &Client, after: &Value) -> Outcome {
    let Some(settings) = Settings::of(after) else {
        let reasons: Vec<String> = problems(after).into_iter().map(|p| format!("{}: {}", p.path, p.reason)).collect();
        let detail = format!("Nothing was changed.\n{}", reasons.join("\n"));
        return Outcome::rejected(ProviderError::new(ErrorKind::Invalid, "The load balancer is not usable", detail));
    };
    if let Err(failure) = client.publish(&settings.name, Some(&settings.render()), &settings.binds()).await {
        return failure.into();
    }
    let waited = ready(client, &settings).await;
    let seen = match running(client).await.and_then(|r| look(client, &r, &settings.name, after, true)) {
        Ok(Some(seen)) => seen,
        Ok(None) => {
            let detail = "The file and its sections were gone right after the reload; something else changes them.";
            let error = ProviderError::new(ErrorKind::Conflict, "The load balancer vanished", detail);
            return Outcome::InDoubt { error };
        }
        Err(error) => return Outcome::InDoubt { error },
    };
    match waited {
        Ok(()) => Outcome::applied(seen.values, seen.identity),
        Err(error) => Outcome::Rejected { error, left: Some(seen) },
    }
}

impl Rules for LoadBalancer {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        problems(config)
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        planned.get_str("name").map_or(IdentityHint::Unknown, |n| IdentityHint::known(format!("{KIND}{n}")))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let mut response = schema_plan(request);
        let settings = Settings::of(request.desired);
        let planned = match &settings {
            Some(s) => [("config", Value::string(s.render())), ("servers", s.servers()), ("loaded", Value::bool(true))],
            None => [
                ("config", Value::unknown(Type::String)),
                ("servers", Value::unknown(servers_type())),
                ("loaded", Value::unknown(Type::Bool)),
            ],
        };
        let as_planned = |seen: &Value| planned.iter().all(|(n, v)| seen.get(n).is_some_and(|s| s.same(v)));
        if response.verdict == Verdict::NoOp && !request.observed.is_some_and(as_planned) {
            response.verdict = Verdict::Update;
        }
        if response.verdict != Verdict::NoOp {
            response.needs_preview = settings.is_some() && request.preview.is_none();
            for (name, value) in planned {
                response.after = response.after.with(name, value);
            }
        }
        response
    }
}

#[async_trait]
impl Resource<Client> for LoadBalancer {
    fn schema(&self) -> ResourceSchema {
        let duration = |name, default: &'static str, doc| {
            Attribute::optional(name, Type::String, doc).default(Value::string(default)).equality(Equality::Duration)
        };
        let number =
            |name, default: i64, doc| Attribute::optional(name, Type::Number, doc).default(Value::number(default));
        ResourceSchema {
            name: "gateway_load_balancer",
            version: 0,
            doc: "A virtual address whose ports are spread over node ports: one file of frontends and backends, checked \
                  by HAProxy before it is written, loaded, and awaited until enough servers are up.",
            example: r#"resource "gateway_load_balancer" "ingress" {
  name  = "ingress"
  vip   = "203.0.113.1"
  ports = { http2 = { port = 80, node_port = 31380 } }
  nodes = { n1 = "192.168.0.10", n2 = "192.168.0.11", n3 = "192.168.0.12" }
}"#,
            schema: Schema::of([
                Attribute::required("name", Type::String, "Names the file and the sections; letters, digits, hyphens.")
                    .force_new(),
                Attribute::required("vip", Type::String, "The virtual IP address that clients connect to."),
                Attribute::optional("transparent", Type::Bool, "Bind an address that is not (yet) on this machine.")
                    .default(Value::bool(false)),
                Attribute::required(
                    "ports",
                    Type::map(Type::object([("port", Type::Number), ("node_port", Type::Number)])),
                    "Port names with the port on the virtual address and the port on the nodes.",
                ),
                Attribute::required("nodes", Type::map(Type::String), "Node names with their IP addresses."),
                Attribute::optional(
                    "balance",
                    Type::String,
                    "How a node is chosen: `roundrobin`, `static-rr`, `leastconn`, `source` or `first`.",
                )
                .default(Value::string("roundrobin")),
                duration("check_interval", "2s", "Between two health checks of a server."),
                number("check_rise", 2, "Passed checks after which a server is up."),
                number("check_fall", 3, "Failed checks after which a server is down."),
                Attribute::optional(
                    "health_check_port",
                    Type::Number,
                    "Check `GET /healthz` on this port of the nodes (a Service's `healthCheckNodePort`) and not by \
                     connecting to the node port.",
                ),
                number("min_up", 1, "Servers of each port that must be up before apply goes on; 0 waits for none."),
                duration("ready_timeout", "60s", "How long to wait for them."),
                number("max_remove_percent", 50, "Refuse a change that takes away more of the nodes than this."),
                Attribute::computed("config", Type::String, "The file."),
                Attribute::computed(
                    "servers",
                    servers_type(),
                    "The servers that HAProxy runs, by `port/node`; `state` is `ready`, `drain` or `maint`.",
                ),
                Attribute::computed(
                    "loaded",
                    Type::Bool,
                    "Whether HAProxy was started or reloaded since the file changed.",
                ),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        let running = running(client).await;
        let answer = |r: &ObserveRequest| {
            let running = running.as_ref().map_err(Clone::clone)?;
            let like = r.saved.as_ref().or(r.desired.as_ref()).unwrap_or(&Value::NULL);
            let name = name_of(r.identity.as_ref(), like);
            let seen = look(client, running, &name, like, r.saved.is_some())?;
            Ok(seen.map_or(Observation::Absent, Observation::Present))
        };
        requests.iter().map(answer).collect()
    }

    async fn preview(&self, client: &Client, request: &PreviewRequest) -> Result<PreviewResponse, ProviderError> {
        if let Some(observed) = &request.observed {
            guard(observed, &request.planned)?;
        }
        let Some(settings) = Settings::of(&request.planned) else {
            return Ok(PreviewResponse::Skipped("not all of it is known yet"));
        };
        client.check(&settings.name, Some(&settings.render())).await?;
        Ok(PreviewResponse::Values(request.planned.clone()))
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let after = request.after.as_ref().unwrap_or(&Value::NULL);
        let name = name_of(None, after);
        match running(client).await.and_then(|r| look(client, &r, &name, after, false)) {
            Err(error) => return Outcome::rejected(error),
            Ok(Some(_)) if request.on_existing == OnExisting::Fail => {
                let detail = format!(
                    "{} or its sections exist and are not in state. Import them, or set `on_existing = \"adopt\"` to \
                     take them over.",
                    client.file(&name).display()
                );
                let error = ProviderError::new(ErrorKind::Conflict, "The load balancer exists", detail).at("name");
                return Outcome::rejected(error);
            }
            Ok(_) => {}
        }
        put(client, after).await
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let after = request.after.as_ref().unwrap_or(&Value::NULL);
        if let Err(error) = guard(request.before.as_ref().unwrap_or(&Value::NULL), after) {
            return Outcome::rejected(error);
        }
        put(client, after).await
    }

    async fn delete(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let before = request.before.as_ref().unwrap_or(&Value::NULL);
        let name = name_of(request.identity.as_ref(), before);
        match running(client).await.and_then(|r| look(client, &r, &name, before, true)) {
            Err(error) => Outcome::rejected(error),
            Ok(None) => Outcome::deleted(),
            Ok(Some(_)) => match client.publish(&name, None, &[]).await {
                Ok(()) => Outcome::deleted(),
                Err(failure) => failure.into(),
            },
        }
    }
}
