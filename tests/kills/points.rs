//! Killed at every single step that reaches the disk.
//!
//! The one decision: the kernel stops the program, not a hook in it (`points.c`), so each `write`, `fsync`, `rename` and
//! the rest is met, whoever makes it, in the very program that people run. For every number N the stack is put back as
//! it was, the command is killed before (or after) its Nth step, and the same command is run again.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::world::Size;
use super::{Matrix, arguments, names, rows, say, setting, shown};
use crate::site::{Output, command, mesh};

/// Compiles `points.c`, once; `None` (and a word) where there is no compiler.
pub(super) fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let made = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("points.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kills/points.c");
        match Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .output()
        {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(e) => {
                say(&format!("skipped: no C compiler ({e})"));
                return None;
            }
        }
        Some((folder, library))
    });
    made.as_ref().map(|(_, library)| library.as_path())
}

/// Runs a command that is killed at a step; `None` when it was.
pub(super) fn killed_at(
    shim: &Path,
    folder: &Path,
    arguments: &[String],
    env: &BTreeMap<String, String>,
    (step, when): (usize, &str),
) -> Option<Output> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = command(folder, &arguments, env)
        .env("LD_PRELOAD", shim)
        .env("POINT_N", step.to_string())
        .env("POINT_WHEN", when)
        .env("POINT_ROOT", folder)
        .output()
        .expect("runs");
    if output.status.signal() == Some(9) {
        return None;
    }
    Some(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

pub(super) const CONFIGURATION: &str = r#"
variable "n" { type = number }
variable "v" {}
variable "r" {}
resource "terraform_data" "a" {
  input            = "v${var.v}"
  triggers_replace = var.r
}
resource "local_file" "f" {
  count    = var.n
  filename = "out/f${count.index}-r${var.r}"
  content  = "v${var.v} ${terraform_data.a.output}"
}
resource "local_file" "g" {
  for_each = toset(["g"])
  filename = "out/g-r${var.r}"
  content  = join(",", local_file.f[*].content)
  lifecycle { create_before_destroy = true }
}
resource "terraform_data" "t" {
  count = 2
  input = local_file.g["g"].filename
}
output "content" {
  value = local_file.g["g"].content
}
"#;

/// A size, before and after a command.
pub(super) const fn size(v: usize, r: usize) -> Size {
    Size { n: 3, v, r }
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("reads").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

/// All files below a folder, hidden ones too.
pub(super) fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| {
            let content = std::fs::read(e.path()).unwrap_or_default();
            (e.file_name().to_string_lossy().into_owned(), String::from_utf8_lossy(&content).into_owned())
        })
        .collect()
}

pub(super) fn wanted(Size { n, v, r }: Size) -> BTreeMap<String, String> {
    let content = format!("v{v} v{v}");
    let mut wanted: BTreeMap<_, _> = (0..n).map(|i| (format!("f{i}-r{r}"), content.clone())).collect();
    wanted.insert(format!("g-r{r}"), vec![content; n].join(","));
    wanted
}

/// What lies beside the configuration and does not belong there: half files, the journal of what is over.
fn left(folder: &Path) -> Vec<String> {
    let known =
        ["main.mesh.hcl", "mesh.state", "mesh.state.key", "mesh.state.lock", "mesh.state.history", "out", ".mesh"];
    files(folder).into_keys().filter(|name| !known.contains(&name.as_str())).collect()
}

/// What must be so after the same command has finished.
pub(super) fn tidy(folder: &Path, context: &str) {
    let strange = left(folder);
    assert!(strange.is_empty(), "{context}: {strange:?} was left");
    let history = files(&folder.join("mesh.state.history"));
    assert!(history.keys().all(|name| name.ends_with(".state") && !name.starts_with('.')), "{context}: {history:?}");
    let newest = history.iter().next_back().map(|(_, content)| content.clone());
    let state = std::fs::read_to_string(folder.join("mesh.state")).expect("a state");
    assert_eq!(newest, Some(state), "{context}: the newest serial of the history is the state");
}

/// Kills a command, which leads from one size to another, at every step, or some of them.
fn every_step(scene: &str, verb: &str, (from, to): (Option<Size>, Size), when: &str, stride: usize) {
    let Some(shim) = shim() else { return };
    let env = BTreeMap::new();
    let run = |folder: &Path, arguments: &[String]| {
        mesh(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &env)
    };
    let base = tempfile::tempdir().expect("a folder");
    std::fs::write(base.path().join("main.mesh.hcl"), CONFIGURATION).expect("writes");
    if let Some(from) = from {
        run(base.path(), &arguments("apply", from)).expect(0, "what was there before");
    }
    let arguments = arguments(verb, to);
    let mut open = 0;
    for step in (1..).step_by(stride) {
        let context = format!("{scene}, killed {when} step {step}");
        let folder = tempfile::tempdir().expect("a folder");
        // What a link in the path would hide from the shim.
        let folder = &folder.path().canonicalize().expect("a path");
        copy(base.path(), folder);
        let undisturbed = killed_at(shim, folder, &arguments, &env, (step, when));
        let rows_now = rows(folder, &env);
        if undisturbed.is_none() {
            open += usize::from(rows_now.iter().any(|r| r.open));
            for name in files(&folder.join("out")).keys().filter(|name| !name.starts_with('.')) {
                let object = format!("file {name}");
                assert!(
                    rows_now.iter().any(|r| names(r, &object)),
                    "{context}: {name} is unknown\n{}",
                    shown(&rows_now)
                );
            }
            run(folder, &arguments).expect(0, &context);
        }
        let destroyed = verb == "destroy";
        let want = if destroyed { BTreeMap::new() } else { wanted(to) };
        assert_eq!(files(&folder.join("out")), want, "{context}: what is there (left), and should be (right)");
        let after = rows(folder, &env);
        let expected = if destroyed { 0 } else { want.len() + 3 };
        assert!(after.len() == expected && after.iter().all(|r| !r.open), "{context}: state\n{}", shown(&after));
        if !destroyed {
            let plan = [vec!["plan".to_owned(), "-detailed-exitcode".into()], to.options()].concat();
            run(folder, &plan).expect(0, &context);
        }
        tidy(folder, &context);
        if let Some(output) = undisturbed {
            output.expect(0, &context);
            let kills = (step - 1) / stride;
            say(&format!("{scene}: {step} steps at most, killed {when} {kills}; {open} times an intent was open"));
            assert!(step > 40 && open * 10 > kills, "the shim does not see the steps of this program");
            return;
        }
    }
}

/// Before each step; and, since that is mostly the same as before the next one, after some. All of them with
/// `MESH_KILLS`.
fn both(scene: &str, verb: &str, from: Option<Size>, to: Size) {
    every_step(scene, verb, (from, to), "before", 1);
    every_step(scene, verb, (from, to), "after", if setting("MESH_KILLS").is_some() { 1 } else { 4 });
}

#[test]
fn killed_at_every_step_of_a_create() {
    both("create", "apply", None, size(1, 1));
}

#[test]
fn killed_at_every_step_of_an_update() {
    both("update", "apply", Some(size(1, 1)), size(2, 1));
}

#[test]
fn killed_at_every_step_of_a_replace() {
    both("replace", "apply", Some(size(1, 1)), size(1, 2));
}

#[test]
fn killed_at_every_step_of_a_destroy() {
    both("destroy", "destroy", Some(size(1, 1)), size(1, 1));
}

/// The same with objects of Vault and Kubernetes between the steps.
#[test]
fn killed_at_steps_between_calls_of_real_servers() {
    let Some(shim) = shim() else { return };
    let kinds = ["vault_mount", "vault_policy", "kubernetes_manifest\" \"c", "local_file"];
    let matrix = Matrix::new(None);
    let folder = matrix.world.folder().canonicalize().expect("a path");
    std::fs::write(folder.join("main.mesh.hcl"), matrix.world.configuration_of(&kinds)).expect("writes");
    let scenes = [
        ("create", "apply", Size { n: 2, v: 1, r: 1 }),
        ("update", "apply", Size { n: 2, v: 2, r: 1 }),
        ("replace", "apply", Size { n: 2, v: 2, r: 2 }),
        ("destroy", "destroy", Size { n: 2, v: 2, r: 2 }),
    ];
    let stride = if setting("MESH_KILLS").is_some() { 1 } else { 7 };
    let (mut kills, mut open) = (0, 0);
    for step in (1..).step_by(stride) {
        let before = kills;
        for (scene, verb, size) in scenes {
            let context = format!("{scene}, killed before step {step}");
            let arguments = arguments(verb, size);
            let undisturbed = killed_at(shim, &folder, &arguments, &matrix.env, (step, "before"));
            if let Some(output) = undisturbed {
                output.expect(0, &context);
            } else {
                kills += 1;
                let objects = matrix.world.objects(&folder.join("out"));
                let now = rows(&folder, &matrix.env);
                open += usize::from(now.iter().any(|r| r.open));
                for object in objects.keys().filter(|o| !o.starts_with("file .")) {
                    assert!(now.iter().any(|r| names(r, object)), "{context}: {object} is unknown\n{}", shown(&now));
                }
                matrix.run(&arguments).expect(0, &context);
            }
            let mut wanted = matrix.world.wanted(if verb == "destroy" { Size { n: 0, ..size } } else { size });
            let ours = ["mount ", "policy ", "configmap ", "file "];
            wanted.retain(|name, _| ours.iter().any(|kind| name.starts_with(kind)));
            assert_eq!(matrix.world.objects(&folder.join("out")), wanted, "{context}: what is there, and should be");
            let after = rows(&folder, &matrix.env);
            assert!(after.len() == wanted.len() && after.iter().all(|r| !r.open), "{context}\n{}", shown(&after));
        }
        if kills == before {
            say(&format!("real servers: {kills} kills, {open} times an intent was open"));
            assert!(open > 3, "the shim does not see the steps of this program");
            return;
        }
    }
}
