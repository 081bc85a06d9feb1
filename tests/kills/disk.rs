//! Disks that are full, read-only or broken, from the beginning and in the middle.
//!
//! The one decision: both ways. Real ones, a small file system in a mount namespace of its own with the state on it and
//! the world outside; and every single step of the local backend that fails from there on (`points.c`), since a file
//! system with open files cannot be made read-only from outside at a chosen moment.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::points::{CONFIGURATION, copy, files, shim, size, tidy, wanted};
use super::world::Size;
use super::{arguments, names, rows, say, shown};
use crate::site::{Output, mesh};

/// A file system in memory that only this test sees.
struct Disk {
    keeper: Child,
    folder: tempfile::TempDir,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The namespace goes with its last process, and the file system with it.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl Disk {
    /// Of so many kilobytes; `None` (and a word) where it may not be made.
    fn new(kilobytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).expect("a folder");
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        let script =
            format!("mount -t tmpfs -o size={kilobytes}k none {} && echo ready && exec sleep 600", disk.display());
        let keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut keeper) = keeper else {
            say("skipped: no unshare");
            return None;
        };
        let mut line = String::new();
        let _ = BufReader::new(keeper.stdout.take().expect("a pipe")).read_line(&mut line);
        if line != "ready\n" {
            say("skipped: no file system can be mounted in a namespace of its own");
            let _ = keeper.wait();
            return None;
        }
        let disk = Self { keeper, folder };
        let configuration = CONFIGURATION.replace("\"out/", &format!("\"{}/", disk.out().display()));
        disk.sh(&format!("cat > main.mesh.hcl <<'END'\n{configuration}\nEND"));
        Some(disk)
    }

    /// Where the world is: on another disk.
    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Runs a program there.
    fn output(&self, script: &str, arguments: &[&str]) -> Output {
        let disk = self.folder.path().join("disk");
        let output = Command::new("nsenter")
            .arg("--target")
            .arg(self.keeper.id().to_string())
            .args(["--user", "--preserve-credentials", "--mount", "sh", "-ec"])
            .arg(format!("cd {}; {script}", disk.display()))
            .arg("sh")
            .args(arguments)
            .output()
            .expect("nsenter runs");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn sh(&self, script: &str) -> String {
        self.output(script, &[]).expect(0, script).stdout
    }

    /// Runs `mesh` there; `before` is what it is started by.
    fn mesh(&self, before: &str, arguments: &[String]) -> Output {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.output(&format!("NO_COLOR=1 exec {before} {} \"$@\" </dev/null", env!("CARGO_BIN_EXE_mesh")), &arguments)
    }

    /// Leaves so many kilobytes.
    fn fill(&self, left: usize) {
        self.sh("rm -f filler");
        let free: usize = self.sh("df -k . | tail -1 | tr -s ' ' | cut -d' ' -f4").trim().parse().expect("a number");
        self.sh(&format!("head -c {}k /dev/zero > filler", free.saturating_sub(left)));
    }

    /// Everything that exists is known to state, or about to be looked up.
    fn nothing_is_unknown(&self, context: &str) {
        let pulled = self.mesh("", &["state".into(), "pull".into()]).expect(0, context).stdout;
        for name in self.objects().keys().filter(|name| !name.starts_with('.')) {
            let known = pulled.lines().any(|row| row.contains(&format!("/{name}\"")));
            assert!(known, "{context}: {name} is unknown\n{pulled}");
        }
    }

    fn objects(&self) -> BTreeMap<String, String> {
        files(&self.out())
    }

    /// All is as wanted, and a second plan is empty.
    fn complete(&self, size: Size, context: &str) {
        assert_eq!(self.objects(), wanted(size), "{context}");
        let plan = [vec!["plan".to_owned(), "-detailed-exitcode".into()], size.options()].concat();
        self.mesh("", &plan).expect(0, context);
    }
}

/// In one line, without what frames it.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "")
}

fn large(v: usize, r: usize) -> Size {
    Size { n: 20, v, r }
}

#[test]
fn a_disk_that_is_full_at_any_moment_loses_nothing() {
    let Some(disk) = Disk::new(400) else { return };
    disk.mesh("", &arguments("apply", size(1, 1))).expect(0, "what was there before");
    let (mut at_compaction, mut in_between, mut before, mut v) = (0, 0, 0, 1);
    for left in (0..).step_by(4) {
        v += 1;
        // Another name in every second round, so that objects come and go.
        let (size, context) = (large(v, v / 2), format!("with {left} kB left"));
        let was = disk.objects();
        disk.fill(left);
        let full = disk.mesh("", &arguments("apply", size));
        if full.code == 0 {
            assert!(left > 0, "there was space");
            disk.complete(size, &context);
            break;
        }
        let text = flat(&full.expect(1, &context).text());
        let parts = [
            "No space left for the state",
            "writing ",
            "mesh.state",
            "(os error 28)",
            "Free some space and run the same",
        ];
        for part in parts {
            assert!(text.contains(part), "{context}: {part:?} in {text}");
        }
        disk.nothing_is_unknown(&context);
        let now = disk.objects();
        match (now == was, now == wanted(size)) {
            (true, _) => before += 1,
            (_, true) => at_compaction += 1,
            _ => in_between += 1,
        }
        disk.sh("rm filler");
        disk.mesh("", &arguments("apply", size)).expect(0, &context);
        disk.complete(size, &context);
    }
    say(&format!("full before anything {before}, in between {in_between}, when all was done {at_compaction} times"));
    assert!(before > 0 && in_between > 0 && at_compaction > 0, "the disk was not full at different moments");
    disk.mesh("", &arguments("destroy", large(v, v / 2))).expect(0, "destroys");
    assert!(disk.objects().is_empty());
}

#[test]
fn on_a_read_only_disk_a_plan_is_made_and_nothing_is_changed() {
    let Some(disk) = Disk::new(400) else { return };
    let mount = |how: &str| disk.sh(&format!("mount -o remount,{how} \"$PWD\""));
    let plan = |size: Size| [vec!["plan".to_owned(), "-detailed-exitcode".into()], size.options()].concat();
    mount("ro");
    disk.mesh("", &plan(size(1, 1))).expect(2, "a first plan");
    mount("rw");
    disk.mesh("", &arguments("apply", size(1, 1))).expect(0, "apply");
    mount("ro");
    let was = disk.objects();
    disk.mesh("", &plan(size(2, 1))).expect(2, "a plan");
    disk.mesh("", &["state".into(), "list".into()]).expect(0, "state list");
    for verb in ["apply", "destroy"] {
        let text = flat(&disk.mesh("", &arguments(verb, size(2, 1))).expect(1, verb).text());
        for part in ["The state is on a read-only file system", "mesh.state.lock", "(os error 30)", "mount it writable"]
        {
            assert!(text.contains(part), "{verb}: {part:?} in {text}");
        }
        assert_eq!(disk.objects(), was, "{verb} changed something");
    }
    mount("rw");
    disk.mesh("", &arguments("apply", size(2, 1))).expect(0, "the same command");
    disk.complete(size(2, 1), "after that");
}

/// As the owner of the files that root's rights do not help.
const WITHOUT_RIGHTS: &str = "setpriv --inh-caps=-all --bounding-set=-all";

#[test]
fn a_history_that_cannot_be_written_loses_nothing() {
    let Some(disk) = Disk::new(400) else { return };
    disk.mesh("", &arguments("apply", size(1, 1))).expect(0, "apply");
    disk.sh("chmod 555 mesh.state.history");
    if disk.output(&format!("{WITHOUT_RIGHTS} touch mesh.state.history/x"), &[]).code == 0 {
        return say("skipped: rights cannot be given up");
    }
    for attempt in 0..2 {
        let text = flat(&disk.mesh(WITHOUT_RIGHTS, &arguments("apply", size(2, attempt))).expect(1, "refused").text());
        for part in
            ["No permission for the state", "mesh.state.history/", "(os error 13)", "Give this account read and write"]
        {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        disk.nothing_is_unknown("without a history");
    }
    disk.sh("chmod 755 mesh.state.history");
    disk.mesh(WITHOUT_RIGHTS, &arguments("apply", size(2, 1))).expect(0, "the same command");
    disk.complete(size(2, 1), "after that");
    let history = disk.mesh("", &["state".into(), "history".into()]).expect(0, "history").stdout;
    assert!(history.lines().filter(|l| !l.starts_with(' ')).count() >= 2, "{history}");
}

/// Runs a command of which every step in the state's files fails from one on.
fn failing(shim: &Path, folder: &Path, arguments: &[String], step: usize, number: i32) -> Output {
    let pairs = [
        ("LD_PRELOAD", shim.display().to_string()),
        ("POINT_N", step.to_string()),
        ("POINT_WHEN", "fail".to_owned()),
        ("POINT_ROOT", folder.display().to_string()),
        ("POINT_ONLY", "mesh.state".to_owned()),
        ("POINT_ERRNO", number.to_string()),
    ];
    let env = pairs.map(|(k, v)| (k.to_owned(), v)).into();
    mesh(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &env)
}

/// Numbers of the system, and what is said about them.
const FAULTS: [(i32, &str); 4] = [
    (28, "No space left for the state"),
    (30, "The state is on a read-only file system"),
    (5, "The state could not be read or written"),
    (122, "No space left for the state"),
];

#[test]
fn a_disk_that_fails_at_any_step_loses_nothing() {
    let Some(shim) = shim() else { return };
    let env = BTreeMap::new();
    let run = |folder: &Path, arguments: &[String]| {
        mesh(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &env)
    };
    let base = tempfile::tempdir().expect("a folder");
    std::fs::write(base.path().join("main.mesh.hcl"), CONFIGURATION).expect("writes");
    run(base.path(), &arguments("apply", size(1, 1))).expect(0, "what was there before");
    let arguments = arguments("apply", size(2, 2));
    let mut failures = 0;
    for step in 1.. {
        let (number, summary) = FAULTS[step % FAULTS.len()];
        let context = format!("error {number} from step {step} on");
        let folder = tempfile::tempdir().expect("a folder");
        let folder = &folder.path().canonicalize().expect("a path");
        copy(base.path(), folder);
        let was = files(&folder.join("out"));
        let failed = failing(shim, folder, &arguments, step, number);
        let now = rows(folder, &env);
        for name in files(&folder.join("out")).keys().filter(|name| !name.starts_with('.')) {
            let object = format!("file {name}");
            assert!(now.iter().any(|r| names(r, &object)), "{context}: {name} is unknown\n{}", shown(&now));
        }
        let over = failed.code == 0;
        if !over {
            failures += 1;
            let text = flat(&failed.expect(1, &context).text());
            let code = format!("(os error {number})");
            for part in [summary, "mesh.state", &code] {
                assert!(text.contains(part), "{context}: {part:?} in {text}");
            }
            let begun = now.iter().any(|r| r.open) || text.contains("ing...");
            assert!(begun || files(&folder.join("out")) == was, "{context}: changed without an intent");
            run(folder, &arguments).expect(0, &context);
        }
        assert_eq!(files(&folder.join("out")), wanted(size(2, 2)), "{context}");
        let after = rows(folder, &env);
        assert!(after.len() == 7 && after.iter().all(|r| !r.open), "{context}: state\n{}", shown(&after));
        tidy(folder, &context);
        if over {
            break;
        }
    }
    say(&format!("{failures} steps that failed"));
    assert!(failures > 30, "the shim does not see the steps of this program");
}
