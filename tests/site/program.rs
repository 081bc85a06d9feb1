//! The binary as a user's shell starts it, and the real `terraform` beside it.
//!
//! The one decision: of the environment only `PATH` comes along, beside what a test gives, so that it ends alike everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a command gave.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Both streams.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Panics with everything it said unless the code is as expected.
    pub(crate) fn expect(self, code: i32, what: &str) -> Self {
        assert_eq!(self.code, code, "{what}\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs `mesh`, with the given variables of the environment and nothing else of ours.
pub(crate) fn mesh(folder: &Path, arguments: &[&str], env: &BTreeMap<String, String>) -> Output {
    let output = command(folder, arguments, env).output().expect("mesh runs");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The command that [`mesh`] runs.
pub(crate) fn command(folder: &Path, arguments: &[&str], env: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesh"));
    #[expect(clippy::disallowed_methods, reason = "HAProxy is found through PATH")]
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .envs(env)
        .stdin(Stdio::null());
    command
}

/// The real `terraform`, for tests that compare with it; where there is none, they say so and do nothing.
pub(crate) fn terraform() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "terraform is found as a user's shell does")]
    let path = std::env::var("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|p| p.join("terraform")).find(|p| p.is_file());
    if found.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that was not done says so")]
        {
            eprintln!("skipped: no terraform on PATH");
        }
    }
    found
}

/// A folder with one file of configuration, and `mesh` in it without any variable.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(hcl: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("main.mesh.hcl"), hcl).expect("writes");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        mesh(self.path(), arguments, &BTreeMap::new())
    }

    /// The text of a file.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("reads")
    }
}
