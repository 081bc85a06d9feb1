//! `haproxy -c` on a copy of the folder, before anything is touched.
//!
//! The one decision: the whole configuration is checked as HAProxy would load it, the foreign parts
//! included, so that a clash with them (a section name, a bad default) is found here. What only
//! starting shows (an address that cannot be bound) is not.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mesh_sdk::{ErrorKind, ProviderError};

use crate::client::Client;

fn local(detail: String) -> ProviderError {
    ProviderError::new(ErrorKind::Other, "HAProxy's configuration could not be checked", detail)
}

/// The files that HAProxy loads from a folder.
fn loaded(name: &Path) -> bool {
    name.extension().is_some_and(|e| e == "cfg") && !name.to_string_lossy().starts_with('.')
}

impl Client {
    /// Checks the configuration with `text` as the file of `name` (`None`: without it).
    pub(crate) async fn check(&self, name: &str, text: Option<&str>) -> Result<(), ProviderError> {
        let ours = self.file(name);
        let copy = || -> std::io::Result<tempfile::TempDir> {
            let copy = tempfile::tempdir()?;
            for entry in std::fs::read_dir(&self.dir)? {
                let entry = entry?;
                if loaded(Path::new(&entry.file_name())) && entry.path() != ours {
                    std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
                }
            }
            if let (Some(text), Some(file)) = (text, ours.file_name()) {
                std::fs::write(copy.path().join(file), text)?;
            }
            Ok(copy)
        };
        let copy = copy().map_err(|e| local(format!("{} could not be copied: {e}.", self.dir.display())))?;
        let output = match self.run(&self.binary, copy.path()).await {
            // Debian keeps it where only root's PATH looks.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !self.binary.contains('/') => {
                self.run(&format!("/usr/sbin/{}", self.binary), copy.path()).await
            }
            other => other,
        };
        let output = output.map_err(|e| {
            let detail = format!("{} could not be run: {e}. Install HAProxy, or set `haproxy_binary`.", self.binary);
            ProviderError::new(ErrorKind::Missing, "HAProxy's configuration could not be checked", detail)
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.replace(&*copy.path().to_string_lossy(), &self.dir.to_string_lossy());
        Err(ProviderError::new(
            ErrorKind::Invalid,
            "HAProxy refuses the configuration",
            format!("Nothing was changed. HAProxy says:\n{}", alerts(&said)),
        ))
    }

    async fn run(&self, binary: &str, folder: &Path) -> std::io::Result<std::process::Output> {
        let output = tokio::process::Command::new(binary)
            .arg("-c")
            .arg("-f")
            .arg(&self.main)
            .arg("-f")
            .arg(folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        tokio::time::timeout(Duration::from_secs(30), output).await?
    }
}

/// The lines that matter, without level and process id.
fn alerts(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .filter(|l| l.starts_with("[ALERT]"))
        .map(|l| l.split_once(" : ").map_or(l, |(_, rest)| rest))
        .take(20)
        .collect();
    if lines.is_empty() { said.chars().take(2000).collect() } else { lines.join("\n") }
}
