//! What is in memory stays there: no core file, not of the program and not of what it starts.
//!
//! The one decision: a crash is provoked by a signal that writes a core file of any other program here, with the limit
//! of the shell at its most.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts a program whose limit allows core files, if this machine does.
fn start(folder: &std::path::Path, words: &str) -> Child {
    let script = format!("ulimit -c \"$(ulimit -H -c)\" && exec {words}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("sh starts")
}

/// Ends it with SIGQUIT; whether the system has written a core file.
fn crash(mut child: Child) -> bool {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).expect("is there");
    child.wait().expect("ends").core_dumped()
}

fn limit(pid: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let line = limits.lines().find(|l| l.starts_with("Max core file size")).expect("the limit").to_owned();
    line.split_whitespace().skip(4).take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_crash_leaves_no_core_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mesh = env!("CARGO_BIN_EXE_mesh");
    // The console waits for a line; the worker of the HSM for a call.
    for words in [format!("{mesh} console"), format!("{mesh} {}", mesh_provider_hsm::WORKER_ARGUMENT)] {
        let child = start(folder.path(), &words);
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while limit(child.id()) != "0 0" {
            assert!(std::time::Instant::now() < until, "{words}: core files are allowed: {}", limit(child.id()));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!crash(child), "{words}: a core file was written");
    }
    assert_eq!(
        std::fs::read_dir(folder.path())
            .expect("a folder")
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with("core"))
            .count(),
        0
    );
    // The control: another program in the same place writes one, where this machine lets anybody.
    let other = start(folder.path(), "sleep 60");
    std::thread::sleep(Duration::from_millis(200));
    let allowed = limit(other.id()) != "0 0";
    assert_eq!(crash(other), allowed, "the control");
}
