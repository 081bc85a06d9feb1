//! A sandbox in a process of its own, for `mesh sandbox up|down|status|env`.
//!
//! `up` starts the caller's own program again (with arguments that end in [`supervise`]), detached from the terminal.
//! The two talk through files in the sandbox's folder: the log, `state.json` when all is ready, and a file `stop`.
//! No signal handler is needed: if the process is killed, the kernel ends its servers and frees the folder's lock.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, at};
use crate::folder::{self, write_private};
use crate::needs::required;
use crate::options::Options;
use crate::process::tail;
use crate::progress::{Event, Progress};
use crate::sandbox::{Sandbox, prepare};

const STATE: &str = "state.json";
const STOP: &str = "stop";
const STEP: Duration = Duration::from_millis(50);

/// What `state.json` says about a running sandbox.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// The process that owns it.
    pub pid: u32,
    /// The parts, by name.
    pub parts: Vec<String>,
    /// Its servers, in the order of their start.
    pub servers: Vec<ServerState>,
    env: BTreeMap<String, String>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the environment, which holds tokens.
        f.debug_struct("State").field("name", &self.name).field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// One server of a running sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerState {
    /// e.g. `kube-apiserver`.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Its log.
    pub log: PathBuf,
    /// Whether it still runs; a server that ends is not started again.
    pub alive: bool,
}

/// What is in a sandbox's folder.
#[derive(Debug, Clone)]
pub enum Status {
    /// Nothing.
    Absent,
    /// What a killed sandbox left; the next start removes it.
    Dead,
    /// It is being started or stopped.
    Busy,
    /// It is ready.
    Running(State),
}

/// What [`up`] did.
#[derive(Debug, Clone)]
pub enum Up {
    /// It was started.
    Started(State),
    /// It was running before.
    WasRunning(State),
}

/// What [`down`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// It was running and is stopped.
    Stopped,
    /// Nothing was running; left-overs, if any, are removed.
    NothingToStop,
}

/// Starts a sandbox that outlives the caller: `program arguments...` must end in [`supervise`] with the same options.
/// Builds missing servers first, here, where progress can be seen; then waits until the sandbox is ready.
///
/// # Errors
/// As [`Sandbox::start`]; also when the process ends before it is ready, with the end of its log.
pub fn up(options: &Options, program: &Path, arguments: &[String], progress: &dyn Progress) -> Result<Up> {
    match status(&options.folder)? {
        Status::Running(state) => return Ok(Up::WasRunning(state)),
        Status::Busy => return Err(Error::Running(options.folder.clone())),
        Status::Absent | Status::Dead => {}
    }
    drop(prepare(options, progress)?);
    let log = log_of(&options.folder);
    if let Some(parent) = log.parent() {
        at(parent, fs::create_dir_all(parent))?;
    }
    let out = at(&log, OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&log))?;
    let errors = at(&log, out.try_clone())?;
    let setsid = required(options, "setsid")?;
    let mut command = Command::new(setsid);
    command.arg(program).args(arguments).stdin(Stdio::null()).stdout(out).stderr(errors);
    let mut child = at(program, command.spawn())?;
    let mut seen = 0;
    loop {
        follow(&log, &mut seen, progress);
        if let Status::Running(state) = status(&options.folder)?
            && state.pid == child.id()
        {
            return Ok(Up::Started(state));
        }
        if ended(&mut child) {
            return Err(Error::Supervisor { tail: tail(&log, 20), log });
        }
        std::thread::sleep(STEP);
    }
}

/// Runs a sandbox until [`down`] asks it to stop; servers that end meanwhile are marked in its state.
///
/// # Errors
/// As [`Sandbox::start`].
pub fn supervise(options: Options, progress: &dyn Progress) -> Result<()> {
    let sandbox = Sandbox::start(options.clone(), progress)?;
    let (file, stop) = (sandbox.folder().join(STATE), sandbox.folder().join(STOP));
    let mut alive = Vec::new();
    while !stop.exists() {
        let now: Vec<bool> = sandbox.servers().iter().map(|server| server.ended().is_none()).collect();
        if now != alive {
            alive = now;
            save(&file, &state_of(&sandbox, &options, &alive))?;
        }
        std::thread::sleep(STEP);
    }
    // Nobody may take it for a running one while it stops.
    let _ = fs::remove_file(&file);
    sandbox.stop();
    Ok(())
}

/// Stops the sandbox in `folder` and removes the folder.
///
/// # Errors
/// A folder that cannot be removed.
pub fn down(folder: &Path) -> Result<Down> {
    let pid = read(folder).map(|state| state.pid);
    let was_running = folder::is_owned(folder);
    if was_running {
        let stop = folder.join(STOP);
        // The folder may go away at this very moment: then there is nothing left to ask.
        let _ = fs::write(&stop, "");
        let asked = Instant::now();
        while folder::is_owned(folder) && asked.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(STEP);
        }
        // While the lock is held, the process id belongs to its holder.
        if let (true, Some(pid)) =
            (folder::is_owned(folder), pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)))
        {
            let _ = kill_process(pid, Signal::KILL);
            while folder::is_owned(folder) && asked.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(STEP);
            }
        }
    }
    if folder::exists(folder) {
        drop(folder::Folder::take(folder)?);
    }
    let _ = fs::remove_file(log_of(folder));
    Ok(if was_running { Down::Stopped } else { Down::NothingToStop })
}

/// What is in `folder`.
///
/// # Errors
/// Files that cannot be read.
pub fn status(folder: &Path) -> Result<Status> {
    Ok(match (folder::exists(folder), folder::is_owned(folder), read(folder)) {
        (false, ..) => Status::Absent,
        (true, false, _) => Status::Dead,
        (true, true, None) => Status::Busy,
        (true, true, Some(state)) => Status::Running(state),
    })
}

/// The environment of the running sandbox in `folder`, as [`Sandbox::env`] gives it.
///
/// # Errors
/// None is running there.
pub fn env(folder: &Path) -> Result<BTreeMap<String, String>> {
    match status(folder)? {
        Status::Running(state) => Ok(state.env),
        _ => Err(Error::NotRunning(folder.to_owned())),
    }
}

fn state_of(sandbox: &Sandbox, options: &Options, alive: &[bool]) -> State {
    let servers = sandbox.servers().into_iter().zip(alive).map(|(server, alive)| ServerState {
        name: server.name.clone(),
        pid: server.pid,
        log: server.log.clone(),
        alive: *alive,
    });
    State {
        name: options.name.clone(),
        pid: std::process::id(),
        parts: options.parts.iter().map(|part| part.name().to_owned()).collect(),
        servers: servers.collect(),
        env: sandbox.env(),
    }
}

/// By a rename, so that a reader never sees half of it.
fn save(file: &Path, state: &State) -> Result<()> {
    let new = file.with_extension("new");
    let text = serde_json::to_string_pretty(state)
        .map_err(|error| Error::NotThere(format!("the state cannot be written: {error}")))?;
    write_private(&new, &text)?;
    at(file, fs::rename(&new, file))
}

fn read(folder: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()
}

/// Beside the folder, which is emptied at the start and removed at the end.
fn log_of(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".log");
    PathBuf::from(name)
}

fn ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)) | Err(_))
}

/// Passes on the complete lines that were written since the last call.
fn follow(log: &Path, seen: &mut u64, progress: &dyn Progress) {
    let mut text = Vec::new();
    let read = fs::File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(*seen))?;
        file.read_to_end(&mut text)
    });
    let Some(end) = read.ok().and_then(|_| text.iter().rposition(|byte| *byte == b'\n')) else { return };
    *seen += end as u64 + 1;
    for line in String::from_utf8_lossy(&text[..end]).lines() {
        progress.event(&Event::Line(line.to_owned()));
    }
}
