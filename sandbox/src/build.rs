//! Builds servers from their Go modules into the cache.
//!
//! A result's folder carries the digest of everything that made it, appears by one rename, and is never changed: a
//! reader needs no lock, and a killed build leaves nothing that could be mistaken for a result.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, at};
use crate::needs::required;
use crate::options::Options;
use crate::process::{Launcher, Program, run, tail};
use crate::progress::{Event, Progress};
use crate::servers::{Server, found, of_parts};
use crate::unique::hex;

/// Where each program is.
pub(crate) type Programs = BTreeMap<&'static str, PathBuf>;

/// Finds or builds every server of the chosen parts.
pub(crate) fn programs(options: &Options, launcher: &Launcher, progress: &dyn Progress) -> Result<Programs> {
    let mut programs = Programs::new();
    for server in of_parts(&options.parts) {
        let built =
            if server.must_be_built(options) { Some(build(server, options, launcher, progress)?) } else { None };
        for (program, _) in server.programs {
            let place = found(options, program).or_else(|| Some(built.as_ref()?.join(program)));
            programs.extend(place.map(|place| (*program, place)));
        }
    }
    Ok(programs)
}

/// The folder with the server's binaries, built if it is not there.
pub(crate) fn build(
    server: &'static Server,
    options: &Options,
    launcher: &Launcher,
    progress: &dyn Progress,
) -> Result<PathBuf> {
    let go = required(options, "go")?;
    let cache = at(&options.cache, std::path::absolute(&options.cache))?.join("servers");
    at(&cache, fs::create_dir_all(&cache))?;
    let version = run(&go, &["env", "GOVERSION"], &[], &cache)?;
    let result = cache.join(format!("{}-{}", server.name, digest(server, version.trim())));
    if result.exists() {
        return Ok(result);
    }
    let lock = cache.join(format!("{}.lock", server.name));
    let lock_file = at(&lock, File::create(&lock))?;
    match lock_file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.event(&Event::WaitingForBuild { server: server.name });
            at(&lock, lock_file.lock())?;
        }
        Err(TryLockError::Error(source)) => return Err(Error::Io { path: lock, source }),
    }
    if result.exists() {
        return Ok(result);
    }
    let why = format!("it is not in {} and neither given nor on PATH", cache.display());
    progress.event(&Event::Building { server: server.name, why, usually: server.usually });
    let started = Instant::now();
    // Under the lock one name is enough; what a killed build left is swept here.
    let work = cache.join(format!(".building-{}", server.name));
    let _ = fs::remove_dir_all(&work);
    let (module, output) = (work.join("module"), work.join("bin"));
    at(&module, fs::create_dir_all(&module))?;
    at(&output, fs::create_dir_all(&output))?;
    for (name, content) in server.files {
        let file = module.join(name);
        at(&file, fs::write(&file, content))?;
    }
    let log = cache.join(format!("{}.log", server.name));
    let _ = fs::remove_file(&log);
    let child = launcher.launch(Program {
        name: "go build",
        program: &go,
        args: go_arguments(server, &output),
        // A workspace file in a parent folder must not take part.
        env: vec![("GOWORK", OsString::from("off"))],
        folder: &module,
        log: log.clone(),
        inherit: true,
    })?;
    let mut told = Instant::now();
    let status = loop {
        if let Some(status) = child.ended() {
            break status;
        }
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            let (elapsed, line) = (started.elapsed(), tail(&log, 1));
            progress.event(&Event::StillBuilding { server: server.name, elapsed, line });
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        return Err(Error::Build { server: server.name.to_owned(), tail: tail(&log, 20), log });
    }
    at(&result, fs::rename(&output, &result))?;
    let _ = fs::remove_dir_all(&work);
    progress.event(&Event::Built { server: server.name, elapsed: started.elapsed() });
    Ok(result)
}

/// One call for all programs of a module, so that they are linked side by side.
fn go_arguments(server: &Server, output: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["build", "-mod=mod", "-trimpath", "-ldflags", server.ldflags].map(OsString::from).into();
    if !server.tags.is_empty() {
        args.extend(["-tags".into(), server.tags.into()]);
    }
    // Into a folder, Go names a program after its package; a module root such as `server/v3` has another name.
    let place = match server.programs {
        [(program, _)] => output.join(program),
        _ => output.to_owned(),
    };
    args.extend(["-o".into(), place.into()]);
    args.extend(server.programs.iter().map(|(_, package)| OsString::from(package)));
    args
}

/// The first 16 digits of a SHA-256 over all that decides about the binaries.
fn digest(server: &Server, go_version: &str) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    server.files.iter().for_each(|(name, content)| {
        add(name);
        add(content);
    });
    server.programs.iter().for_each(|(program, package)| {
        add(program);
        add(package);
    });
    add(server.tags);
    add(server.ldflags);
    add("-mod=mod -trimpath");
    add(go_version);
    let mut text = hex(&hash.finalize());
    text.truncate(16);
    text
}
