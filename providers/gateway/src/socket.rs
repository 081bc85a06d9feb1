//! HAProxy's command lines: one command a connection, the answer ends with the stream.
//!
//! The one decision: answers are read by the names of their columns, since later versions add some.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use mesh_sdk::{ErrorKind, ProviderError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::Client;

/// Asks a socket; whatever came before the connection was cut counts as the answer (a reload cuts it).
pub(crate) async fn ask(socket: &Path, command: &str) -> Result<String, ProviderError> {
    let failed = |why: String| {
        let detail = format!(
            "{} did not answer `{command}`: {why}. Check that HAProxy runs, that this is its socket and that you may \
             use it.",
            socket.display()
        );
        ProviderError::new(ErrorKind::Unreachable, "HAProxy does not answer", detail).transient()
    };
    let talk = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        // The master keeps a connection open until it is told that no further command comes.
        stream.shutdown().await?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 1 << 14]);
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..n]);
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    match tokio::time::timeout(Duration::from_secs(10), talk).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(failed(e.to_string())),
        Err(_) => Err(failed("nothing came within 10 s".into())),
    }
}

/// What the master says about its processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Processes {
    /// Reloads since the master started, failed ones included.
    pub(crate) reloads: u64,
    /// Failed reloads since the last good one.
    pub(crate) failed: u64,
    /// The current worker.
    pub(crate) worker: Option<u64>,
}

/// Reads `show proc`; `None` while there is no line of the master.
pub(crate) fn processes(answer: &str) -> Option<Processes> {
    let (mut seen, mut found, mut current) = (Processes::default(), false, false);
    for line in answer.lines() {
        if let Some(section) = line.strip_prefix("# ") {
            current = section.trim() == "workers";
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, "master", reloads, rest @ ..] => {
                found = true;
                seen.reloads = reloads.parse().unwrap_or(0);
                let failed = rest.iter().skip_while(|f| **f != "[failed:").nth(1);
                seen.failed = failed.and_then(|f| f.trim_end_matches(']').parse().ok()).unwrap_or(0);
            }
            [pid, "worker", ..] if current && seen.worker.is_none() => seen.worker = pid.parse().ok(),
            _ => {}
        }
    }
    found.then_some(seen)
}

/// One server as the worker sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) port: i64,
    pub(crate) weight: i64,
    /// `ready`, `drain` or `maint`.
    pub(crate) state: &'static str,
    /// Running, and its last health check passed.
    pub(crate) up: bool,
}

/// Servers by backend and name.
pub(crate) type Servers = BTreeMap<(String, String), Server>;

/// Reads `show servers state`.
pub(crate) fn servers(answer: &str) -> Servers {
    let mut columns: Vec<&str> = Vec::new();
    let mut found = Servers::new();
    for line in answer.lines() {
        if let Some(header) = line.strip_prefix("# ") {
            columns = header.split_whitespace().collect();
            continue;
        }
        let fields: BTreeMap<&str, &str> = columns.iter().copied().zip(line.split_whitespace()).collect();
        let text = |name| fields.get(name).copied().unwrap_or_default();
        let number = |name| text(name).parse::<i64>().unwrap_or(0);
        if !fields.contains_key("srv_port") {
            continue;
        }
        let admin = number("srv_admin_state");
        let server = Server {
            address: text("srv_addr").parse::<IpAddr>().map_or_else(|_| text("srv_addr").into(), |a| a.to_string()),
            port: number("srv_port"),
            weight: number("srv_uweight"),
            // Bits 0x08 and 0x10 are forced and inherited drain; all others are kinds of maintenance.
            state: match (admin & !0x18 != 0, admin & 0x18 != 0) {
                (true, _) => "maint",
                (false, true) => "drain",
                (false, false) => "ready",
            },
            // A server counts as running before its first check, so the check must have passed (3, 4) too.
            up: number("srv_op_state") == 2 && number("srv_check_result") >= 3,
        };
        found.insert((text("be_name").into(), text("srv_name").into()), server);
    }
    found
}

/// A line `NAME: number` of `show info`.
pub(crate) fn info(answer: &str, name: &str) -> Option<u64> {
    answer.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok())
}

impl Client {
    /// The servers of the running worker.
    pub(crate) async fn servers(&self) -> Result<Servers, ProviderError> {
        Ok(servers(&ask(&self.stats, "show servers state").await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_worker_is_told_from_old_ones() {
        let answer = "#<PID>          <type>          <reloads>       <uptime>        <version>\n\
                      12  master          2 [failed: 1]   0d00h00m11s     2.6.12\n# workers\n\
                      20  worker          0               0d00h00m01s     2.6.12\n# old workers\n\
                      15  worker          1               0d00h00m09s     2.6.12\n# programs\n";
        assert_eq!(processes(answer), Some(Processes { reloads: 2, failed: 1, worker: Some(20) }));
        assert_eq!(processes(""), None);
    }

    #[test]
    fn a_server_is_up_once_a_check_has_passed() {
        let line = |op, admin, check| {
            servers(&format!(
                "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
                 srv_check_result srv_port\n4 b 1 s 127.0.0.10 {op} {admin} 1 {check} 80\n"
            ))
            .remove(&("b".into(), "s".into()))
            .expect("read")
        };
        assert!(!line(2, 0, 0).up && line(2, 0, 3).up && !line(0, 0, 2).up);
        assert_eq!((line(2, 0, 3).state, line(2, 8, 3).state, line(0, 1, 3).state), ("ready", "drain", "maint"));
    }
}
