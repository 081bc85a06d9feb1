//! Bringing a file into the running HAProxy: check, write, reload, wait for the result.
//!
//! The one decision: a reload that HAProxy refuses leaves nothing behind. The old worker goes on
//! serving, the old file comes back and is loaded again, and the error says why. A result that does
//! not come in time is in doubt: the file stays, and looking again tells whether it was loaded.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use mesh_sdk::{ErrorKind, Outcome, ProviderError};

use crate::client::Client;
use crate::socket::{Processes, ask, info, processes};

/// Between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// How it did not work.
pub(crate) enum Failure {
    /// Everything is as before.
    Rejected(ProviderError),
    /// It is not known what HAProxy runs.
    InDoubt(ProviderError),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(error) => Self::rejected(error),
            Failure::InDoubt(error) => Self::InDoubt { error },
        }
    }
}

enum Reload {
    Done,
    /// Refused; what the master said, if this version says anything.
    Refused(String),
    Unknown(ProviderError),
}

impl Client {
    /// Makes `text` the file of `name` (`None`: no file) and loads it. `binds` are tried out to
    /// explain a refusal.
    pub(crate) async fn publish(&self, name: &str, text: Option<&str>, binds: &[(IpAddr, u16)]) -> Result<(), Failure> {
        self.check(name, text).await.map_err(Failure::Rejected)?;
        let path = self.file(name);
        let before = self.processes().await.map_err(Failure::Rejected)?;
        let old = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Failure::Rejected(unwritable(&path, &e))),
        };
        put(&path, text.map(str::as_bytes)).map_err(|e| Failure::Rejected(unwritable(&path, &e)))?;
        match self.reload(before).await {
            Reload::Done => Ok(()),
            Reload::Unknown(error) => Err(Failure::InDoubt(error)),
            Reload::Refused(said) => {
                let mut why = if said.is_empty() { explain(binds) } else { said };
                put(&path, old.as_deref()).map_err(|e| Failure::InDoubt(unwritable(&path, &e)))?;
                let back = match self.processes().await {
                    Ok(now) => self.reload(now).await,
                    Err(e) => Reload::Unknown(e),
                };
                why.push_str(match back {
                    Reload::Done => "\nThe old configuration is back and loaded.",
                    _ => {
                        "\nThe old file is back, and the old worker goes on serving, but HAProxy did not load it again."
                    }
                });
                Err(Failure::Rejected(ProviderError::new(ErrorKind::Other, "HAProxy refused the reload", why)))
            }
        }
    }

    async fn processes(&self) -> Result<Processes, ProviderError> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            // While the master starts itself anew, its socket refuses or says nothing.
            let answer = ask(&self.master, "show proc").await;
            match answer.as_deref().map(processes) {
                Ok(Some(seen)) => return Ok(seen),
                _ if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                _ => {
                    return Err(answer.err().unwrap_or_else(|| {
                        let detail = format!(
                            "{} does not list the master's processes: HAProxy must run in master-worker mode \
                             (`-W -S PATH`).",
                            self.master.display()
                        );
                        ProviderError::new(ErrorKind::Unreachable, "HAProxy does not answer", detail)
                    }));
                }
            }
        }
    }

    async fn reload(&self, before: Processes) -> Reload {
        let deadline = Instant::now() + self.reload_timeout;
        let said = match ask(&self.master, "reload").await {
            Ok(said) => said,
            Err(e) => return Reload::Unknown(e),
        };
        loop {
            let now = ask(&self.master, "show proc").await.ok().and_then(|a| processes(&a));
            if let Some(now) = now.filter(|n| n.reloads != before.reloads) {
                if now.failed > 0 {
                    // From version 2.7 on the answer holds the messages of the failed start.
                    return Reload::Refused(said.trim().to_owned());
                }
                // The new worker must be the one behind the stats socket, else states are stale.
                let running = ask(&self.stats, "show info").await.ok().and_then(|a| info(&a, "Pid"));
                if now.worker.is_some() && now.worker != before.worker && running == now.worker {
                    return Reload::Done;
                }
            }
            if Instant::now() > deadline {
                let detail = format!(
                    "The reload was asked for, but its result was not to be seen within {} s. Run the same command \
                     again; a longer `reload_timeout` may help.",
                    self.reload_timeout.as_secs_f64()
                );
                return Reload::Unknown(ProviderError::new(ErrorKind::NotReady, "The reload has no result", detail));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> ProviderError {
    let kind = if error.kind() == std::io::ErrorKind::PermissionDenied { ErrorKind::Denied } else { ErrorKind::Other };
    ProviderError::new(kind, "HAProxy's file could not be written", format!("{}: {error}.", path.display()))
}

/// Writes or removes a file, whole and durably.
fn put(path: &Path, bytes: Option<&[u8]>) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // HAProxy passes over hidden files. Always the same name for one file, so that what a killed run leaves goes.
    let half = format!(".{}.half", path.file_name().unwrap_or_default().to_string_lossy());
    remove(&folder.join(&half))?;
    match bytes {
        Some(bytes) => {
            let mut file = tempfile::Builder::new().prefix(&half).rand_bytes(0).tempfile_in(folder)?;
            file.write_all(bytes)?;
            file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|e| e.error)?;
        }
        None => remove(path)?,
    }
    std::fs::File::open(folder)?.sync_all()
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Why a configuration that passes the check may not start. Version 2.6 tells nobody but its log,
/// so the addresses are tried from here.
fn explain(binds: &[(IpAddr, u16)]) -> String {
    let mut why =
        "The configuration passes `haproxy -c`, but HAProxy could not start with it; its log has its words.".to_owned();
    for &(ip, port) in binds {
        let address = SocketAddr::new(ip, port);
        let Err(e) = TcpListener::bind(address) else { continue };
        let hint = match e.kind() {
            std::io::ErrorKind::AddrNotAvailable => {
                " Give the address to an interface of this machine, or set `transparent = true` (HAProxy needs \
                 CAP_NET_ADMIN for it), or the sysctl net.ipv4.ip_nonlocal_bind."
            }
            std::io::ErrorKind::AddrInUse => " Unless that is the old configuration, another program listens there.",
            _ => "",
        };
        let _ = write!(why, "\n{address} cannot be bound from here: {e}.{hint}");
    }
    why
}
