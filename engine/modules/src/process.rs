//! Running a program with a bounded time and without a shell.
//!
//! The one decision: nothing is asked of the user through it; its input is what it is given, or empty.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// The last lines of what it said, in one line.
    pub(crate) said: String,
}

/// Starts a program.
pub(crate) fn spawn(command: &mut Command) -> Result<Child, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("the program {name} is needed for it and is not on PATH"),
        _ => format!("the program {name} cannot be started: {e}"),
    })
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or does not end in time; without a final stop.
pub(crate) fn run(command: &mut Command, input: &str, time: Duration) -> Result<Ended, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut to| to.write_all(input.as_bytes())));
        let out = scope.spawn(move || text(stdout));
        let said = scope.spawn(move || text(stderr));
        let status = wait(&mut child, time);
        if status.is_err() {
            // What it started may hold the pipes; they are not waited for longer than it is.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (stdout, said) = (out.join().unwrap_or_default(), said.join().unwrap_or_default());
        Ok(Ended { status: status?, stdout, said: last(&said) })
    })
}

fn text(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        let _ = from.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait(child: &mut Child, time: Duration) -> Result<ExitStatus, String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if start.elapsed() > time => {
                return Err(format!("it did not end within {} seconds", time.as_secs()));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(e) => return Err(format!("it cannot be waited for: {e}")),
        }
    }
}

/// The last lines of a text, in one line and without control characters.
pub(crate) fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let kept = lines[lines.len().saturating_sub(4)..].join("; ");
    kept.chars().filter(|c| !c.is_control()).take(600).collect()
}
