//! The engine alone: plans and applies of `terraform_data`, each case in a process of its own.
//!
//! The one decision: whole runs (read the configuration, read state, plan, apply, write state)
//! through the same functions as the command line, so that the numbers are those of users.
//! `cargo bench --bench engine` prints a table; with `terraform` on PATH the same configurations are
//! run by it for comparison (`-- terraform`).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark speaks to people and reads its arguments"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_core::stage::{Approval, Approver, Run};
use mesh_core::{Cancel, Engine, Inputs, Options, Planning, Silent};
use mesh_lang::functions::Context;
use mesh_lang::{LoadOptions, load};
use mesh_model::Sources;
use mesh_sdk::Services;
use mesh_state::{LocalBackend, LockInfo};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--bench")).collect();
    if let [case, folder] = arguments.as_slice() {
        return child(case, Path::new(folder));
    }
    println!("{:<44} {:>9} {:>9} {:>9}", "case", "wall s", "CPU s", "peak MB");
    for (n, blocks) in [(1_000, false), (4_000, false), (10_000, false), (10_000, true), (100_000, false)] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("main.mesh.hcl"), config(n, blocks))?;
        let shape = if blocks { "blocks" } else { "count" };
        measure(&format!("apply {n} creates ({shape})"), "apply", folder.path())?;
        measure(&format!("plan {n} without changes ({shape})"), "plan", folder.path())?;
    }
    if arguments.first().is_some_and(|a| a == "terraform") {
        terraform()?;
    }
    Ok(())
}

fn config(n: usize, blocks: bool) -> String {
    if !blocks {
        return format!(
            "resource \"terraform_data\" \"x\" {{\n  count = {n}\n  input = \"value ${{count.index}}\"\n}}\n"
        );
    }
    (0..n)
        .map(|i| {
            format!("resource \"terraform_data\" \"x{i}\" {{\n  input = {{ name = \"value {i}\", size = {i} }}\n}}\n")
        })
        .collect()
}

fn measure(name: &str, case: &str, folder: &Path) -> Result<()> {
    let start = Instant::now();
    let output = Command::new(std::env::current_exe()?).arg(case).arg(folder).output()?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(format!("{name} failed").into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace();
    let cpu = numbers.next().unwrap_or("?");
    let memory = numbers.next().unwrap_or("?");
    println!("{name:<44} {wall:>9.3} {cpu:>9} {memory:>9}");
    Ok(())
}

struct Yes;

impl Approver for Yes {
    fn approve(&mut self, _: usize, _: &Planning<'_>, _: bool) -> Approval {
        Approval::Yes
    }
}

/// One case; prints CPU seconds and peak memory of this process.
fn child(case: &str, folder: &Path) -> Result<()> {
    let mut sources = Sources::default();
    let (config, diagnostics) = load(LoadOptions::new(Path::new(folder)), &mut sources);
    let config = config.ok_or_else(|| format!("{diagnostics:?}"))?;
    let services = Services { root: folder.into(), cache: folder.join("cache"), ..Services::default() };
    let engine = Engine::new(mesh_providers::all(), services, Arc::new(Silent));
    let backend = LocalBackend::new(folder.join("mesh.state"));
    let context = Context::new(folder);
    let options = Options::default();
    let inputs = Inputs::new();
    let run = Run {
        engine: &engine,
        config: &config,
        inputs: &inputs,
        backend: &backend,
        options: &options,
        context: &context,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let writes = runtime.block_on(async {
        if case == "plan" {
            run.plan(|p| p.plan.writes().count()).await
        } else {
            let lock = LockInfo::new("bench", "bench", "bench");
            run.apply(&mut Yes, None, lock, Duration::ZERO, Cancel::new().1).await.map(|f| f.report.failed.len())
        }
    });
    match writes {
        Ok(0) => {}
        other => return Err(format!("{case}: {other:?}").into()),
    }
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields.get(11).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0)
        + fields.get(12).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0);
    println!("{:.2} {:.0}", ticks / 100.0, peak / 1024.0);
    Ok(())
}

/// The same by `terraform`, for the first sizes (it is quadratic).
fn terraform() -> Result<()> {
    for n in [1_000, 10_000] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("main.tf"), config(n, false))?;
        let run = |arguments: &[&str]| -> Result<()> {
            let start = Instant::now();
            let status = Command::new("terraform").args(arguments).current_dir(folder.path()).output()?;
            println!("terraform {:<34} {:>9.3} (n = {n})", arguments.join(" "), start.elapsed().as_secs_f64());
            if status.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&status.stderr).into_owned().into())
            }
        };
        run(&["init", "-input=false"])?;
        if n == 1_000 {
            run(&["apply", "-auto-approve"])?;
        }
        run(&["plan"])?;
    }
    Ok(())
}
