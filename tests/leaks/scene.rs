//! A folder of a user: work, home, temporary files and inputs apart, and `mesh` in it, scanned after each command.
//!
//! The one decision: inputs lie beside the working folder, so that nothing in it is left out of the scan but `out`, which
//! holds files that the configuration asks for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mesh_sandbox::{Part, Sandbox};

use super::canary::Flock;
use crate::site::{Output, command};

/// Something that is no secret; it must be found wherever the scan looks.
pub(super) const SEEN: &str = "nosecret4711seen";

/// The servers of all scenes; the kernel ends them with the process.
pub(super) fn servers() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        crate::site::sandbox(&[Part::Vault, Part::Kubernetes, Part::Minio, Part::Postgres])
    })
}

/// What a place elsewhere keeps: names and bytes.
pub(super) type Dump<'a> = &'a dyn Fn() -> Vec<(String, Vec<u8>)>;

pub(super) struct Scene {
    folder: tempfile::TempDir,
    pub(super) env: BTreeMap<String, String>,
    pub(super) flock: Flock,
    found: RefCell<BTreeSet<String>>,
    /// Files that were scanned as they are: place, length and time of the last change.
    known: RefCell<BTreeSet<(PathBuf, u64, std::time::SystemTime)>>,
}

impl Scene {
    pub(super) fn new(hcl: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["work", "home", "tmp", "inputs"] {
            std::fs::create_dir(folder.path().join(part)).expect("a folder");
        }
        let at = |part: &str| folder.path().join(part).display().to_string();
        let env = BTreeMap::from(
            [
                ("HOME", at("home")),
                ("XDG_CACHE_HOME", at("home/cache")),
                ("TMPDIR", at("tmp")),
                ("RUST_LOG", "trace".to_owned()),
                ("RUST_BACKTRACE", "full".to_owned()),
                ("MESH_LOG", "trace".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let (found, known) = (RefCell::default(), RefCell::default());
        let scene = Self { folder, env, flock: Flock::new(), found, known };
        scene.write("main.mesh.hcl", hcl);
        scene
    }

    pub(super) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Writes a file of the working folder.
    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.work().join(name), text).expect("writes");
    }

    /// Writes a file beside it.
    pub(super) fn input(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join("inputs").join(name);
        std::fs::write(&path, text).expect("writes");
        path.display().to_string()
    }

    /// Gives a variable by the environment.
    pub(super) fn var(&mut self, name: &str, value: &str) {
        self.env.insert(format!("MESH_VAR_{name}"), value.to_owned());
    }

    /// Gives a variable by the environment whose value is a canary.
    pub(super) fn secret(&mut self, name: &str, value: &str) {
        self.flock.add(name, value);
        self.var(name, value);
    }

    /// Runs a command and scans what it said and left; its code must be as expected.
    pub(super) fn run(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.asked(code, arguments);
        self.look(&format!("{arguments:?} said"), output.text().as_bytes());
        output
    }

    /// The same for a command that was asked to show a secret: its stdout is what was asked for, all else is scanned.
    pub(super) fn asked(&self, code: i32, arguments: &[&str]) -> Output {
        let output = crate::site::mesh(&self.work(), arguments, &self.env).expect(code, &arguments.join(" "));
        self.look(&format!("{arguments:?} said on stderr"), output.stderr.as_bytes());
        self.files(&format!("{arguments:?}"));
        output
    }

    /// The same for a command that may end as it likes; all that it said.
    pub(super) fn asked_any(&self, arguments: &[&str]) -> String {
        let text = crate::site::mesh(&self.work(), arguments, &self.env).text();
        self.look(&format!("{arguments:?} said"), text.as_bytes());
        text
    }

    /// The same with lines on stdin.
    pub(super) fn told(&self, arguments: &[&str], lines: &str) -> String {
        let mut child = command(&self.work(), arguments, &self.env);
        let mut child =
            child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut input = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut input, lines.as_bytes()).expect("writes");
        drop(input);
        let output = child.wait_with_output().expect("ends");
        let text = [output.stdout, output.stderr].concat();
        self.look(&format!("{arguments:?} said"), &text);
        self.files(&format!("{arguments:?}"));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Starts a command whose words go to a file that is scanned like all others.
    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        let said = std::fs::File::create(self.folder.path().join("tmp/said")).expect("a file");
        let errors = said.try_clone().expect("a copy");
        command(&self.work(), arguments, &self.env).stdout(said).stderr(errors).spawn().expect("starts")
    }

    /// Kills a command after some time, and scans what it leaves.
    pub(super) fn kill(&self, arguments: &[&str], after: Duration) {
        let mut child = self.start(arguments);
        std::thread::sleep(after);
        // It may have ended.
        let _ = child.kill();
        child.wait().expect("ends");
        self.files(&format!("{arguments:?} killed after {after:?}"));
    }

    /// Scans arguments and environment of all that a running command has started; how many there were.
    pub(super) fn children(&self, of: u32) -> usize {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            // Empty until its program has begun, which is after it was started.
            let own = std::fs::read(format!("/proc/{of}/cmdline")).unwrap_or_default();
            let tasks = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
            let children: Vec<String> = tasks
                .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
                .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                // Between its making and its program a child is a copy of its parent.
                .filter(|child| {
                    std::fs::read(format!("/proc/{child}/cmdline"))
                        .is_ok_and(|c| !own.is_empty() && !c.is_empty() && c != own)
                })
                .collect();
            for child in &children {
                for part in ["cmdline", "environ"] {
                    // Not readable at all is as well as it can be.
                    let bytes = std::fs::read(format!("/proc/{child}/{part}")).unwrap_or_default();
                    self.look(&format!("the {part} of a child"), &bytes);
                }
            }
            if !children.is_empty() || Instant::now() > until {
                return children.len();
            }
        }
    }

    /// Scans what is kept elsewhere, which must hold what is no secret.
    pub(super) fn elsewhere(&self, place: &str, dump: Dump<'_>) {
        let mut flock = Flock::new();
        flock.add("no secret", SEEN);
        let (mut seen, mut secret) = (false, Vec::new());
        for (name, bytes) in dump() {
            seen |= !flock.find(&bytes).is_empty();
            secret.push((name, bytes));
        }
        assert!(seen, "{place} was not read as it is kept: {:?}", secret.iter().map(|(n, _)| n).collect::<Vec<_>>());
        for (name, bytes) in secret {
            self.look(&format!("{place}: {name}"), &bytes);
        }
    }

    /// Scans some bytes.
    pub(super) fn look(&self, place: &str, bytes: &[u8]) {
        let found = self.flock.find(bytes);
        self.found.borrow_mut().extend(found.into_iter().map(|source| format!("{source} in {place}")));
    }

    /// Scans all files that were changed.
    fn files(&self, after: &str) {
        for part in ["work", "home", "tmp"] {
            self.walk(&self.folder.path().join(part), after);
        }
    }

    fn walk(&self, folder: &Path, after: &str) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            self.look(&format!("the name of a file after {after}"), path.as_os_str().as_encoded_bytes());
            // The configuration asks for these files, with what is in them.
            if path == self.work().join("out") {
                continue;
            }
            let Ok(data) = std::fs::symlink_metadata(&path) else { continue };
            if data.is_dir() {
                self.walk(&path, after);
            } else if data.is_file()
                && self.known.borrow_mut().insert((path.clone(), data.len(), data.modified().expect("a time")))
            {
                let name = path.strip_prefix(self.folder.path()).unwrap_or(&path).display().to_string();
                self.look(&format!("{name} after {after}"), &std::fs::read(&path).unwrap_or_default());
            }
        }
    }

    /// All that was found: source, place and command.
    pub(super) fn found(&self) -> BTreeSet<String> {
        self.found.borrow().clone()
    }

    /// Panics with all that was found.
    pub(super) fn nothing(&self) {
        let found = self.found();
        assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.iter().cloned().collect::<Vec<_>>().join("\n"));
        assert!(self.known.borrow().len() > 3, "there was something to look at");
    }
}
