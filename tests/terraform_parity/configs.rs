//! Whole lives of `terraform_data`: created, changed, moved, removed, destroyed, refused. The same files
//! and commands give the same exit codes, actions, reasons, outputs, objects and places of errors.
//!
//! The one decision: each case holds terraform's answers, recorded with
//! `cargo test --test mesh -- --ignored record_configs`, so that mesh is held to them also where there is
//! no terraform; where there is one, it has to give them again. Cases in `configs_differ` hold what mesh
//! answers otherwise on purpose, each with its reason, and must still differ.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::case::Case;
use super::program::Program;
use crate::site::terraform;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terraform_parity/");

fn cases(folder: &str) -> Vec<Case> {
    Case::all(&Path::new(FOLDER).join(folder))
}

fn mesh() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mesh"))
}

/// The cases with the answers of a program, two at a time.
fn answered(cases: &[Case], path: &Path, mesh: bool) -> Vec<Case> {
    let todo: Mutex<VecDeque<Case>> = Mutex::new(cases.iter().cloned().collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mut case) = { todo.lock().expect("no panic").pop_front() } {
                    let mut program = Program::new(path, mesh);
                    for step in &mut case.steps {
                        step.answer = program.answer(step);
                    }
                    done.lock().expect("no panic").push(case);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.sort_by(|a, b| a.name.cmp(&b.name));
    done
}

/// Recorded against said. `<unknown>` in a plan of terraform stands for anything: it learns the output of
/// a `terraform_data` from applying only, mesh knows it when it plans. An error to which terraform gives
/// no place may have one.
fn same(recorded: &[String], said: &[String]) -> bool {
    recorded.len() == said.len()
        && recorded.iter().zip(said).all(|(r, s)| {
            if r == "  error" {
                return s.starts_with(r);
            }
            let mut rest = s.as_str();
            let parts: Vec<&str> = r.split("\"<unknown>\"").collect();
            parts.iter().enumerate().all(|(i, part)| {
                let at = if i == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) };
                at.map(|at| rest = &rest[at + part.len()..]).is_some()
            }) && (rest.is_empty() || r.ends_with("\"<unknown>\""))
        })
}

fn differences(recorded: &[Case], said: &[Case]) -> Vec<String> {
    let mut out = Vec::new();
    for (recorded, said) in recorded.iter().zip(said) {
        for (n, (r, s)) in recorded.steps.iter().zip(&said.steps).enumerate() {
            if !same(&r.answer, &s.answer) {
                let (r, s) = (r.answer.join("\n"), s.answer.join("\n"));
                let command = &recorded.steps[n].command;
                let diff = similar::TextDiff::from_lines(&r, &s).unified_diff().context_radius(20).to_string();
                out.push(format!("{} step {}: {command}\n{diff}", recorded.name, n + 1));
                // What follows is another life.
                break;
            }
        }
    }
    out
}

#[test]
fn mesh_lives_as_recorded() {
    let mut count = 0;
    for folder in ["configs", "configs_differ"] {
        let cases = cases(folder);
        count += cases.len();
        let wrong = differences(&cases, &answered(&cases, &mesh(), true));
        assert!(wrong.is_empty(), "{} of {} {folder} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }
    assert!(count >= 90, "only {count} cases");
}

#[test]
fn terraform_lives_as_recorded() {
    let Some(terraform) = terraform() else { return };
    let equal = cases("configs");
    let wrong = differences(&equal, &answered(&equal, &terraform, false));
    assert!(wrong.is_empty(), "terraform answers otherwise:\n{}", wrong.join("\n"));
    let differ = cases("configs_differ");
    let said = answered(&differ, &terraform, false);
    let stale: Vec<_> = differ.iter().zip(&said).filter(|(r, s)| r.steps == s.steps).map(|(r, _)| &r.name).collect();
    assert!(stale.is_empty(), "these no longer differ: {stale:?}");
}

/// Writes what terraform answers into the cases, and what mesh answers into those that differ.
#[test]
#[ignore = "writes the recorded answers anew"]
fn record_configs() {
    let terraform = terraform().expect("terraform on PATH");
    for (folder, path, is_mesh) in [("configs", terraform, false), ("configs_differ", mesh(), true)] {
        for case in answered(&cases(folder), &path, is_mesh) {
            std::fs::write(Path::new(FOLDER).join(folder).join(&case.name), case.text()).expect("writes");
        }
    }
}
