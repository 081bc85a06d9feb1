//! A folder with a configuration whose state is elsewhere, and what is asked of it from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Place;
use crate::site::{Output, command, mesh};

/// The id of the lock and who holds it; `None` also where its holder is gone.
fn held(folder: &Path, env: &BTreeMap<String, String>) -> Option<(String, String)> {
    let text = mesh(folder, &["lock", "list"], env).text();
    let (_, rest) = text.split_once('\n')?;
    let (holder, rest) = rest.split_once("\n  lock id ")?;
    let (id, end) = rest.split_once("; ")?;
    (!end.contains("its holder is gone")).then(|| (id.to_owned(), holder.trim().to_owned()))
}

/// A folder with a configuration whose state is at a place.
pub(super) struct Stack<'p> {
    pub(super) place: &'p Place,
    folder: tempfile::TempDir,
}

impl<'p> Stack<'p> {
    pub(super) fn new(place: &'p Place, hcl: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("main.mesh.hcl"), format!("{}{hcl}", place.block)).expect("writes");
        Self { place, folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        mesh(self.path(), arguments, &self.place.direct)
    }

    /// Starts a command; what it says goes to a file, since a pipe that nobody reads would stop it.
    pub(super) fn start(&self, arguments: &[&str], env: &BTreeMap<String, String>) -> Child {
        self.spawn(command(self.path(), arguments, env))
    }

    /// The same, as on another machine: in a namespace of its own, where this one does not know which processes live.
    pub(super) fn start_elsewhere(&self, arguments: &[&str], env: &BTreeMap<String, String>) -> Child {
        let namespaces = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
        self.start_within(&namespaces, arguments, env)
    }

    /// The same in namespaces of its own, by what `unshare` is told before the program's name.
    pub(super) fn start_within(
        &self,
        namespaces: &[&str],
        arguments: &[&str],
        env: &BTreeMap<String, String>,
    ) -> Child {
        let inner = command(self.path(), arguments, env);
        let mut outer = Command::new("unshare");
        outer.args(namespaces).arg(inner.get_program()).args(inner.get_args());
        outer.stdin(Stdio::null()).current_dir(self.path()).env_clear();
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        self.spawn(outer)
    }

    fn spawn(&self, mut command: Command) -> Child {
        let said = std::fs::File::create(self.path().join("said")).expect("a file");
        let errors = said.try_clone().expect("a copy");
        command.stdout(said).stderr(errors).spawn().expect("starts")
    }

    pub(super) fn lock(&self) -> Option<(String, String)> {
        held(self.path(), &self.place.direct)
    }

    /// Waits until somebody holds the lock.
    pub(super) fn locked(&self) -> (String, String) {
        let started = Instant::now();
        loop {
            if let Some(lock) = self.lock() {
                return lock;
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "nobody takes the lock: {}",
                self.run(&["lock", "list"]).text()
            );
        }
    }

    /// Waits until a run has done something under the lock.
    pub(super) fn working(&self) -> (String, String) {
        let lock = self.locked();
        while self.run(&["state", "list"]).expect(0, "state list").stdout.is_empty() {}
        lock
    }

    pub(super) fn break_lock(&self) {
        if let Some((id, _)) = held(self.path(), &self.place.direct) {
            self.run(&["unlock", "-force", &id]).expect(0, "unlock");
        }
    }

    /// Files that were made.
    pub(super) fn files(&self) -> BTreeSet<String> {
        let there = std::fs::read_dir(self.path().join("out")).into_iter().flatten().flatten();
        there.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Waits for what [`Stack::start`] has started.
    pub(super) fn ends(&self, mut child: Child) -> Output {
        let code = child.wait().expect("ends").code().unwrap_or(-1);
        let said = std::fs::read_to_string(self.path().join("said")).expect("reads");
        Output { code, stdout: said, stderr: String::new() }
    }
}
