//! Everything here runs against real servers. One sandbox with all parts serves most tests; it is never dropped, so
//! every test run also shows that the servers go away with the process.

mod background;
mod building;
mod death;
mod gateway;
mod kubernetes;
mod refusals;
mod token;
mod vault;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::{Event, Options, Part, Sandbox, default_cache};

fn shared() -> &'static Sandbox {
    static SHARED: OnceLock<Sandbox> = OnceLock::new();
    SHARED.get_or_init(|| Sandbox::start(options(Part::ALL), &silent).expect("the sandbox starts"))
}

fn silent(_: &Event) {}

fn environment(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_default()
}

fn options(parts: impl IntoIterator<Item = Part>) -> Options {
    let home = PathBuf::from(environment("HOME"));
    Options::temporary(default_cache(&home), &environment("PATH"), parts)
}

/// This test binary again, running one ignored test that plays another program.
fn this_program(test: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("the test binary has a path");
    let program = program.to_str().expect("in UTF-8").to_owned();
    [&program, "--ignored", "--exact", "--nocapture", test].map(str::to_owned).into()
}

fn eventually<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes that have the folder on their command line or work in it.
fn processes_of(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("there is /proc").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let place = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if command.contains(&folder.display().to_string()) || place.starts_with(folder) {
            found.push(format!("{name} {command}"));
        }
    }
    found
}
