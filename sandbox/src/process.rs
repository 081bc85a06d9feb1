//! Child processes that die with their owner.
//!
//! The kernel does it (`PR_SET_PDEATHSIG` through util-linux's `setpriv`), because nothing in the owner runs after a
//! SIGKILL. That signal comes when the *thread* that forked ends, so one long-lived thread of the sandbox forks all of
//! them. A shell between checks that the owner still lives, which closes the gap between fork and `setpriv`.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result, at};

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 20;

type Job = (Command, Sender<std::io::Result<Child>>);

/// Starts processes from its own thread. Ends the thread, and with it every process, when the last clone is gone.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    jobs: Sender<Job>,
    setpriv: Arc<PathBuf>,
    search: Arc<OsString>,
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, OsString)>,
    /// Where it runs, and its HOME unless `inherit` is set.
    pub(crate) folder: &'a Path,
    pub(crate) log: PathBuf,
    /// Keep our environment and process group: for `go build`, which needs its settings and should see Ctrl-C.
    pub(crate) inherit: bool,
}

impl Launcher {
    pub(crate) fn new(setpriv: PathBuf, path: &[PathBuf]) -> Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let thread = std::thread::Builder::new().name("sandbox-launcher".to_owned()).spawn(move || {
            while let Ok((mut command, answer)) = queue.recv() {
                // The asker waits for the answer; it can only be gone when its thread panicked.
                let _ = answer.send(command.spawn());
            }
        });
        at("thread", thread)?;
        let search = std::env::join_paths(path).unwrap_or_default();
        Ok(Self { jobs, setpriv: Arc::new(setpriv), search: Arc::new(search) })
    }

    /// Starts a process with its output in `log`.
    pub(crate) fn launch(&self, what: Program<'_>) -> Result<Server> {
        let log = at(&what.log, OpenOptions::new().create(true).append(true).open(&what.log))?;
        let errors = at(&what.log, log.try_clone())?;
        let mut command = Command::new(self.setpriv.as_path());
        command
            .args(["--pdeathsig", "KILL", "--", "/bin/sh", "-c", "[ \"$PPID\" = \"$0\" ] && exec \"$@\""])
            .arg(std::process::id().to_string())
            .arg(what.program)
            .args(&what.args)
            .current_dir(what.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if !what.inherit {
            command.env_clear().env("PATH", self.search.as_os_str()).env("HOME", what.folder).process_group(0);
        }
        command.envs(what.env);
        let (answer, reply) = channel();
        let ended = || std::io::Error::other("the launcher thread has ended");
        let child =
            self.jobs.send((command, answer)).map_err(|_| ended()).and_then(|()| reply.recv().map_err(|_| ended())?);
        let child = at(what.program, child)?;
        Ok(Server {
            name: what.name.to_owned(),
            pid: child.id(),
            log: what.log,
            started: Instant::now(),
            child: Mutex::new(child),
            _launcher: self.clone(),
        })
    }
}

/// A running process; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) log: PathBuf,
    pub(crate) started: Instant,
    child: Mutex<Child>,
    _launcher: Launcher,
}

impl Server {
    /// Waits until `ready` says yes; the error shows the end of the log.
    pub(crate) fn wait_until(&self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        loop {
            if let Some(status) = self.ended() {
                return Err(self.failed(&format!("it ended with {status}")));
            }
            if ready() {
                return Ok(());
            }
            if self.started.elapsed() > limit {
                return Err(self.failed(&format!("it was not ready after {} s", limit.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Its exit status, once it has ended.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// An error about this server with the end of its log.
    pub(crate) fn failed(&self, reason: &str) -> Error {
        Error::Server {
            server: self.name.clone(),
            reason: reason.to_owned(),
            tail: tail(&self.log, TAIL_LINES),
            log: self.log.clone(),
        }
    }

    /// Asks it to end, and kills it when it has not within two seconds. Nothing of it is worth saving.
    pub(crate) fn stop(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // Fails only when it has just ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(2) {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last lines of a file, reading no more than its last 64 KiB.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|mut open| {
        let size = open.metadata()?.len();
        open.seek(SeekFrom::Start(size.saturating_sub(64 * 1024)))?;
        open.read_to_end(&mut bytes)
    });
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Runs a short helper program to its end and gives its standard output.
pub(crate) fn run(program: &Path, args: &[&str], env: &[(&str, &Path)], folder: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    for (name, value) in env {
        command.env(name, value);
    }
    let output = at(program, command.output())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    Err(Error::Program { program: program.display().to_string(), words: words.trim().to_owned() })
}
