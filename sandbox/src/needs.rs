//! What must be installed by the user, and the command that does it.
//!
//! Looked up by file, never by running: `mesh sandbox up` and the tests ask before anything is started, and get the
//! complete list at once. Server binaries are not here: they are built.

use std::fmt;
use std::path::PathBuf;

use crate::options::{Options, Part};
use crate::{postgres, servers, token};

/// The Go that the module files were written with, from Go's own download page.
const INSTALL_GO: &str = "curl -fsSL https://go.dev/dl/go1.26.8.linux-amd64.tar.gz | tar -C /usr/local -xz";

/// A program that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The program or library.
    pub program: &'static str,
    /// What it is for.
    pub why: &'static str,
    install: Install,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Install {
    Apt(&'static str),
    Command(&'static str),
}

impl Missing {
    /// The exact command that installs it.
    #[must_use]
    pub fn install(&self) -> String {
        match self.install {
            Install::Apt(package) => format!("apt-get install -y {package}"),
            Install::Command(command) => command.to_owned(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.program, self.why, self.install())
    }
}

/// One shell command that installs all of `missing`.
#[must_use]
pub fn install_command(missing: &[Missing]) -> String {
    let mut packages: Vec<&str> = Vec::new();
    let mut commands: Vec<String> = Vec::new();
    for one in missing {
        match one.install {
            Install::Apt(package) if !packages.contains(&package) => packages.push(package),
            Install::Apt(_) => {}
            Install::Command(command) => commands.push(command.to_owned()),
        }
    }
    if !packages.is_empty() {
        commands.insert(0, format!("apt-get update && apt-get install -y {}", packages.join(" ")));
    }
    commands.join(" && ")
}

/// What the chosen parts need and is not there; empty when `up` can go on. Starts nothing.
#[must_use]
pub fn missing(options: &Options) -> Vec<Missing> {
    let mut found = Vec::new();
    let mut program = |program: &'static str, package: &'static str, why: &'static str| {
        if options.find(program).is_none() {
            found.push(Missing { program, why, install: Install::Apt(package) });
        }
    };
    program("setpriv", "util-linux", "ends every server together with its owner");
    program("setsid", "util-linux", "detaches `mesh sandbox up` from the terminal");
    if options.temporary {
        program("flock", "util-linux", "removes a temporary folder after its owner's death");
    }
    if [Part::Kubernetes, Part::Minio, Part::Postgres].iter().any(|part| options.parts.contains(part)) {
        program("openssl", "openssl", "makes the servers' certificates");
    }
    if options.parts.contains(&Part::Gateway) {
        program("haproxy", "haproxy", "the load balancer");
    }
    if options.parts.contains(&Part::Postgres) && postgres::programs(options).is_none() {
        program("postgres", "postgresql", "the database, with initdb beside it");
    }
    if options.parts.contains(&Part::Hsm) {
        program("softhsm2-util", "softhsm2", "makes the PKCS#11 token");
        if token::module_path().is_none() && options.find("softhsm2-util").is_some() {
            found.push(Missing {
                program: "libsofthsm2.so",
                why: "the PKCS#11 module",
                install: Install::Apt("softhsm2"),
            });
        }
    }
    if options.find("go").is_none() && servers::of_parts(&options.parts).any(|server| server.must_be_built(options)) {
        found.push(Missing {
            program: "go",
            why: "builds the servers from their modules",
            install: Install::Command(INSTALL_GO),
        });
    }
    found
}

/// A program that [`missing`] has checked.
pub(crate) fn required(options: &Options, program: &'static str) -> crate::Result<PathBuf> {
    options.find(program).ok_or_else(|| crate::Error::Missing(missing(options)))
}
