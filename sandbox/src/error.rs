//! What can go wrong, each with its way out.
//!
//! One enum for the crate: the caller only prints it, so the variants follow the remedies (install, free the name,
//! read the log) and not the modules. No variant holds a token, a PIN or a key.

use std::path::PathBuf;

use crate::needs::{Missing, install_command};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a sandbox could not be started, found or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Programs that only the user can install.
    #[error("{}", missing_text(.0))]
    Missing(Vec<Missing>),
    /// `go build` of a server failed; `tail` is the end of its own output.
    #[error("building {server} failed\n{tail}\nthe whole output: {}", log.display())]
    Build {
        /// The module folder under `servers/`.
        server: String,
        /// The last lines of Go's output.
        tail: String,
        /// Where all of it is.
        log: PathBuf,
    },
    /// A server ended or did not become ready.
    #[error("{server} did not start: {reason}\n{tail}\nits log: {}", log.display())]
    Server {
        /// Which one.
        server: String,
        /// What was seen, e.g. `it ended with exit status: 1`.
        reason: String,
        /// The last 20 lines of its log.
        tail: String,
        /// The whole log.
        log: PathBuf,
    },
    /// A helper program (openssl, softhsm2-util) said no.
    #[error("{program} failed: {words}")]
    Program {
        /// Its name.
        program: String,
        /// Its own words.
        words: String,
    },
    /// A server answered something else than asked for.
    #[error("{what}: {words}")]
    Answer {
        /// The request, without credentials.
        what: String,
        /// The server's words or the transport's error.
        words: String,
    },
    /// The folder is in use by a live sandbox.
    #[error("the sandbox in {} is running already; stop it first (`mesh sandbox down`) or choose another name", .0.display())]
    Running(PathBuf),
    /// The folder holds files that are not a sandbox's; it would have been emptied.
    #[error("{} is not empty and not a sandbox's folder: choose another one, nothing was touched", .0.display())]
    Foreign(PathBuf),
    /// No sandbox, or not a running one.
    #[error("no sandbox is running in {}; start one with `mesh sandbox up`", .0.display())]
    NotRunning(PathBuf),
    /// The background process ended before it was ready.
    #[error("the sandbox's background process ended before it was ready\n{tail}\nits log: {}", log.display())]
    Supervisor {
        /// The end of its log.
        tail: String,
        /// The whole log.
        log: PathBuf,
    },
    /// Asked for a part, a user or an address that this sandbox does not have.
    #[error("{0}")]
    NotThere(String),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or program.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether another try with other ports may help: ports are picked by the kernel, but used a moment later.
    pub(crate) fn port_was_taken(&self) -> bool {
        matches!(self, Self::Server { tail, .. } if tail.to_lowercase().contains("address already in use"))
    }
}

/// Names the path in an I/O error.
pub(crate) fn at<T>(path: impl Into<PathBuf>, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io { path: path.into(), source })
}

fn missing_text(missing: &[Missing]) -> String {
    let mut text = String::from("programs that the sandbox needs are missing\n");
    for one in missing {
        text.push_str("  ");
        text.push_str(&one.to_string());
        text.push('\n');
    }
    text.push_str("install them with:\n  ");
    text.push_str(&install_command(missing));
    text
}
