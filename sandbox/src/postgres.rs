//! PostgreSQL over TLS with a new cluster of its own, from Debian's package.
//!
//! Only for tests of state in a database, so it is no part of a usual sandbox. The server refuses to run as root; then
//! it runs as another account, and the sandbox's folder lets that one through (what else is in it stays private).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::certs;
use crate::error::{Error, Result, at};
use crate::folder::write_private;
use crate::options::{Options, is_executable};
use crate::process::{Launcher, Program, Server, run};
use crate::unique::{free_port, secret};

const LIMIT: Duration = Duration::from_secs(60);
/// Who comes with a certificate in place of a password, once somebody has made the role.
const CERTIFIED: &str = "certified";
/// Where Debian puts the programs: a folder a version.
const PACKAGES: &str = "/usr/lib/postgresql";

/// A PostgreSQL server; stopped when dropped.
pub struct Postgres {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The CA of its certificate (PEM).
    pub ca_file: PathBuf,
    /// Its superuser.
    pub user: String,
    password: String,
    programs: PathBuf,
    /// What stands before each command, so that it does not run as root.
    prefix: Vec<OsString>,
    setpriv: PathBuf,
    openssl: PathBuf,
    launcher: Launcher,
    folder: PathBuf,
    server: Mutex<Option<Server>>,
}

/// The folder with `postgres` and `initdb`: of the path, else the newest version of the package.
pub(crate) fn programs(options: &Options) -> Option<PathBuf> {
    let complete = |folder: &PathBuf| is_executable(&folder.join("postgres")) && is_executable(&folder.join("initdb"));
    let versions = std::fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    options.path.iter().cloned().chain(versions.into_iter().rev().map(|(_, folder)| folder)).find(complete)
}

impl Postgres {
    /// A connection string for its superuser, with the password.
    #[must_use]
    pub fn connection(&self, database: &str, sslmode: &str) -> String {
        let Self { user, password, port, .. } = self;
        format!("postgresql://{user}:{password}@127.0.0.1:{port}/{database}?sslmode={sslmode}")
    }

    /// The password of the superuser.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The name of a role that shows a certificate in place of a password; it is still to be made.
    #[must_use]
    pub fn certified(&self) -> &'static str {
        CERTIFIED
    }

    /// The certificate of that role, and its key.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn certificate(&self) -> Result<(PathBuf, PathBuf)> {
        certs::client(&self.openssl, &self.folder, CERTIFIED)
    }

    /// Stops it at once, as if it had crashed; its data stays.
    ///
    /// # Errors
    /// It runs on.
    pub fn crash(&self) -> Result<()> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        match server {
            Some(server) => end(&server, Signal::QUIT),
            None => Ok(()),
        }
    }

    /// Starts it again, on the same port with the same data.
    ///
    /// # Errors
    /// The end of its log.
    pub fn resume(&self) -> Result<()> {
        let data = self.folder.join("data");
        let setting = |name: &str, value: &dyn fmt::Display| [OsString::from("-c"), format!("{name}={value}").into()];
        let mut args = self.prefix.clone();
        args.extend([self.programs.join("postgres").into(), "-D".into(), data.into()]);
        args.extend(setting("listen_addresses", &"127.0.0.1"));
        args.extend(setting("port", &self.port));
        args.extend(setting("unix_socket_directories", &""));
        args.extend(setting("ssl", &"on"));
        args.extend(setting("ssl_cert_file", &self.folder.join("serving.pem").display()));
        args.extend(setting("ssl_key_file", &self.folder.join("serving.key").display()));
        args.extend(setting("ssl_ca_file", &self.ca_file.display()));
        let log = self.folder.join("postgres.log");
        let before = said_ready(&log);
        let program = Program {
            name: "postgres",
            program: &self.setpriv,
            args,
            env: Vec::new(),
            folder: &self.folder,
            log: log.clone(),
            inherit: false,
        };
        let server = self.launcher.launch(program)?;
        // A port that is open says nothing yet: the server may still be reading its log.
        server.wait_until(LIMIT, || said_ready(&log) > before)?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    pub(crate) fn start(
        programs: &Path,
        setpriv: &Path,
        openssl: &Path,
        launcher: &Launcher,
        folder: &Path,
    ) -> Result<Self> {
        let made = certs::make(openssl, folder)?;
        let (user, password, passwords) = ("sandbox".to_owned(), secret(), folder.join("password"));
        write_private(&passwords, &password)?;
        // Its own way to end at once, with its processes and shared memory; after a KILL the memory would stay.
        let mut prefix: Vec<OsString> = ["--pdeathsig", "QUIT"].map(OsString::from).into();
        if geteuid().is_root() {
            let (uid, gid) = account()?;
            for path in [folder, &made.serving_key, &passwords] {
                at(path, std::os::unix::fs::chown(path, Some(uid), Some(gid)))?;
            }
            if let Some(above) = folder.parent() {
                at(above, std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o711)))?;
            }
            prefix.extend([format!("--reuid={uid}"), format!("--regid={gid}")].map(OsString::from));
            prefix.push("--clear-groups".into());
        }
        prefix.push("--".into());
        let initdb = programs.join("initdb").display().to_string();
        let (data, pwfile) = (folder.join("data").display().to_string(), format!("--pwfile={}", passwords.display()));
        let before: Vec<&str> = prefix.iter().filter_map(|word| word.to_str()).collect();
        let rest = [
            &initdb,
            "-D",
            &data,
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
            "-U",
            &user,
            "-A",
            "scram-sha-256",
            &pwfile,
        ];
        run(setpriv, &[&before[..], &rest[..]].concat(), &[], folder)?;
        let rules = folder.join("data").join("pg_hba.conf");
        let usual = at(&rules, std::fs::read_to_string(&rules))?;
        at(&rules, std::fs::write(&rules, format!("hostssl all {CERTIFIED} all cert\n{usual}")))?;
        let postgres = Self {
            port: free_port()?,
            ca_file: made.ca,
            user,
            password,
            programs: programs.to_owned(),
            prefix,
            setpriv: setpriv.to_owned(),
            openssl: openssl.to_owned(),
            launcher: launcher.clone(),
            folder: folder.to_owned(),
            server: Mutex::default(),
        };
        postgres.resume()?;
        Ok(postgres)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: asked politely it waits for its clients. What is left is killed with the value.
        if let Some(server) = self.server.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = end(server, Signal::QUIT);
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("port", &self.port).finish_non_exhaustive()
    }
}

/// How often a server said that it is ready.
fn said_ready(log: &Path) -> usize {
    std::fs::read_to_string(log).map_or(0, |text| text.matches("ready to accept connections").count())
}

/// Sends a signal and waits for the end.
fn end(server: &Server, signal: Signal) -> Result<()> {
    if let Some(pid) = i32::try_from(server.pid).ok().and_then(Pid::from_raw) {
        // Fails only when it has just ended.
        let _ = kill_process(pid, signal);
    }
    for _ in 0..400 {
        if server.ended().is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(server.failed("it did not end within 4 s"))
}

/// User and group of an account that is not root: the package's own, else `nobody`.
fn account() -> Result<(u32, u32)> {
    let path = Path::new("/etc/passwd");
    let text = at(path, std::fs::read_to_string(path))?;
    let ids = |name: &str| {
        let fields: Vec<&str> = text.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let none =
        || Error::NotThere("PostgreSQL does not run as root, and there is no account postgres or nobody".to_owned());
    ids("postgres").or_else(|| ids("nobody")).ok_or_else(none)
}
