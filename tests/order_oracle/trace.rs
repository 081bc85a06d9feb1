//! One of the two programs in a folder of its own, and what it did in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::graphs::{Config, files};
use super::rules::{Operation, Rule};

/// A program with a state.
pub(super) struct Program<'p> {
    path: &'p Path,
    mesh: bool,
    folder: tempfile::TempDir,
}

/// What an apply did.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// Where each operation began and ended in the stream.
    times: BTreeMap<Operation, (usize, usize)>,
    /// The summaries of errors.
    pub(super) errors: Vec<String>,
}

impl<'p> Program<'p> {
    pub(super) fn new(path: &'p Path, mesh: bool) -> Self {
        Self { path, mesh, folder: tempfile::tempdir().expect("a folder") }
    }

    pub(super) fn apply(&self, config: &Config, parallelism: usize) -> Trace {
        for (name, text) in files(config) {
            let path = self.folder.path().join(format!("{name}.{}", if self.mesh { "mesh.hcl" } else { "tf" }));
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("writes");
        }
        if !self.mesh && !self.folder.path().join(".terraform").exists() {
            self.run(&["get"]);
        }
        let parallelism = format!("-parallelism={parallelism}");
        self.trace(&self.run(&["apply", "-json", "-auto-approve", "-input=false", &parallelism]))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.path)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", "/home/ada")
            .env("CHECKPOINT_DISABLE", "1")
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn trace(&self, stream: &str) -> Trace {
        let mut trace = Trace::default();
        for (time, line) in stream.lines().enumerate() {
            let line: Json = serde_json::from_str(line).unwrap_or_default();
            let hook = &line["hook"];
            let text = |v: &Json| v.as_str().unwrap_or_default().to_owned();
            let operation = Operation { address: text(&hook["resource"]["addr"]), action: text(&hook["action"]) };
            match line["type"].as_str() {
                Some("apply_start") => {
                    let other = trace.times.insert(operation, (time, usize::MAX));
                    assert!(other.is_none(), "begun twice: {line}");
                }
                Some("apply_complete") => trace.times.entry(operation).or_default().1 = time,
                Some("diagnostic") if line["@level"] == "error" => {
                    let diagnostic = &line["diagnostic"];
                    trace.errors.push(format!("{}: {}", text(&diagnostic["summary"]), text(&diagnostic["detail"])));
                }
                _ => {}
            }
        }
        trace
    }
}

impl Trace {
    pub(super) fn operations(&self) -> BTreeSet<Operation> {
        self.times.keys().cloned().collect()
    }

    /// What was not as it must be.
    pub(super) fn violations(&self, rules: &[Rule<'_>]) -> Vec<String> {
        let broken = rules.iter().filter(|(first, then, _)| self.times[first].1 > self.times[then].0);
        broken
            .map(|(a, b, why)| format!("{} {}, then {} {}: {why}", a.action, a.address, b.action, b.address))
            .collect()
    }
}
