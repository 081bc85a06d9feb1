//! HAProxy in master-worker mode with somebody else's configuration and an empty `conf.d`.
//!
//! The main file is foreign on purpose: global settings and a front end that are not ours and must never be touched.
//! `haproxy.cfg` comes first, then `conf.d/*.cfg` in the order of their names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Result, at};
use crate::process::{Launcher, Program, Server};
use crate::unique::free_port;

/// A running HAProxy; stopped when dropped.
#[derive(Debug)]
pub struct Gateway {
    /// The program, for `haproxy -c`.
    pub program: PathBuf,
    /// The foreign main file.
    pub config: PathBuf,
    /// The folder whose files are read after it.
    pub conf_dir: PathBuf,
    /// The master's command line (`reload`, `show proc`).
    pub master_socket: PathBuf,
    /// The worker's command line, level admin.
    pub stats_socket: PathBuf,
    /// Where the foreign front end answers 200 to `GET /up`.
    pub foreign_address: String,
    server: Server,
}

impl Gateway {
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn start(name: &str, haproxy: &Path, launcher: &Launcher, folder: &Path) -> Result<Self> {
        let (config, conf_dir) = (folder.join("haproxy.cfg"), folder.join("conf.d"));
        let (master_socket, stats_socket) = (folder.join("master.sock"), folder.join("stats.sock"));
        at(&conf_dir, std::fs::create_dir_all(&conf_dir))?;
        let foreign_address = format!("127.0.0.1:{}", free_port()?);
        let text = format!(
            "# Kept by the site's own administrators.\n\
             global\n    maxconn 1000\n    hard-stop-after 5s\n    stats socket {} mode 600 level admin expose-fd listeners\n\n\
             defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\n\
             frontend site_health\n    mode http\n    bind {foreign_address}\n    monitor-uri /up\n",
            stats_socket.display()
        );
        at(&config, std::fs::write(&config, text))?;
        let mut args: Vec<OsString> = ["-W", "-db", "-S"].map(OsString::from).into();
        args.push(format!("{},level,admin", master_socket.display()).into());
        args.extend(["-f".into(), config.clone().into(), "-f".into(), conf_dir.clone().into()]);
        let log = folder.join("haproxy.log");
        let program = Program { name, program: haproxy, args, env: Vec::new(), folder, log, inherit: false };
        let server = launcher.launch(program)?;
        server.wait_until(Duration::from_secs(20), || {
            std::os::unix::net::UnixStream::connect(&stats_socket).is_ok()
                && std::os::unix::net::UnixStream::connect(&master_socket).is_ok()
        })?;
        Ok(Self { program: haproxy.to_owned(), config, conf_dir, master_socket, stats_socket, foreign_address, server })
    }
}
