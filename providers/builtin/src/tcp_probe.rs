//! `data "mesh_tcp_probe"`: whether addresses accept connections from this machine.
//!
//! The one decision: what cannot be reached is an answer, not an error: a gate shows the failures
//! and stays closed. It connects and hangs up; it sends nothing.

use std::time::Duration;

use mesh_model::schema::duration_seconds;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};
use tokio::net::TcpStream;

use crate::Client;

pub(crate) struct TcpProbe;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

async fn probe(target: String, timeout: Duration, attempts: i64) -> Option<String> {
    let mut why = String::new();
    for attempt in 0..attempts {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        why = match tokio::time::timeout(timeout, TcpStream::connect(&target)).await {
            Ok(Ok(_)) => return None,
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer within {} s", timeout.as_secs_f64()),
        };
    }
    Some(format!("{target}: {why}"))
}

#[async_trait]
impl DataSource<Client> for TcpProbe {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "mesh_tcp_probe",
            version: 0,
            doc: "Connects to addresses by TCP and says which of them answer. Made for a gate that closes until \
                  somebody else's load balancer is set up.",
            example: r#"data "mesh_tcp_probe" "vip" {
  targets  = ["203.0.113.1:80", "203.0.113.1:443"]
  attempts = 3
}"#,
            schema: Schema::of([
                Attribute::required(
                    "targets",
                    Type::list(Type::String),
                    "What to connect to, each as `host:port` (IPv6 as `[address]:port`).",
                ),
                Attribute::optional("timeout", Type::String, "How long one attempt may take, as a duration.")
                    .default(Value::string("3s")),
                Attribute::optional("attempts", Type::Number, "How often each is tried.").default(Value::number(1)),
                Attribute::computed("reachable", Type::Bool, "Whether all of them answered."),
                Attribute::computed("failures", Type::list(Type::String), "Which did not, and why, one line each."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, _client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let wrong = |name, what| ProviderError::new(ErrorKind::Invalid, "The probe cannot be made", what).at(name);
        let timeout = config
            .get_str("timeout")
            .and_then(duration_seconds)
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .ok_or_else(|| wrong("timeout", "`timeout` must be a duration such as \"3s\"."))?;
        let attempts = config
            .get("attempts")
            .and_then(Value::as_i64)
            .filter(|n| (1..=100).contains(n))
            .ok_or_else(|| wrong("attempts", "`attempts` must be a whole number from 1 to 100."))?;
        let targets = config.get("targets").and_then(Value::as_items).filter(|t| !t.is_empty());
        let targets = targets.ok_or_else(|| wrong("targets", "`targets` must name at least one `host:port`."))?;
        // All at once; answers in the order of the configuration.
        let probes: Vec<_> = targets
            .iter()
            .map(|t| tokio::spawn(probe(t.as_str().unwrap_or_default().to_owned(), timeout, attempts)))
            .collect();
        let mut failures = Vec::new();
        for probe in probes {
            failures.extend(probe.await.unwrap_or_else(|e| Some(e.to_string())));
        }
        Ok(config.with("reachable", Value::bool(failures.is_empty())).with("failures", Value::strings(failures)))
    }
}
