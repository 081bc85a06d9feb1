//! Modules from elsewhere, between the lock file on the disk and the crate that fetches them.
//!
//! The one decision: only `mesh init` fetches; every other command takes what the lock file names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesh_model::Diagnostic;
use mesh_modules::{Fetching, Lock, Store};

use super::project::root;
use crate::ui::{Failure, Ui};
use crate::view::style::out;

/// The lock file.
pub(crate) const LOCK: &str = "mesh.lock.hcl";

/// What is installed.
///
/// # Errors
/// A lock file that cannot be read.
pub(crate) fn installed(ui: &mut Ui) -> Result<Store, Failure> {
    Ok(Store::offline(&root(), lock(ui)?))
}

/// With everything that is missing fetched. `upgrade`: branches and tags are looked up again.
///
/// # Errors
/// A lock file that cannot be read.
pub(crate) fn fetching(ui: &mut Ui, upgrade: bool) -> Result<Store, Failure> {
    let docker = ui.var("DOCKER_CONFIG").map_or_else(|| ui.home().join(".docker"), PathBuf::from);
    let begins = |source: &str| {
        // Somebody may wait; a broken pipe shows at the end.
        let _ = out(&format!("Fetching {source}...\n"));
    };
    let fetching = Fetching { upgrade, docker: Some(docker.join("config.json")), begins };
    Ok(Store::fetching(&root(), lock(ui)?, fetching))
}

/// As the files of a saved plan have it.
///
/// # Errors
/// A lock file in it that cannot be read.
pub(crate) fn recorded(files: &BTreeMap<String, String>) -> Result<Store, Failure> {
    let text = files.get(LOCK).map_or("", String::as_str);
    Ok(Store::recorded(&root(), Lock::parse(text).map_err(damaged)?))
}

fn lock(ui: &mut Ui) -> Result<Lock, Failure> {
    let text = match std::fs::read_to_string(LOCK) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(e) => return Err(damaged(format!("{e}.")).into()),
    };
    let lock = Lock::parse(&text).map_err(damaged)?;
    // A saved plan takes it along with the other sources.
    ui.sources.add(LOCK, text);
    Ok(lock)
}

fn damaged(why: String) -> Diagnostic {
    let detail = format!(
        "{LOCK}: {why} Take it from version control again, or remove it and run mesh init, which looks up every module anew."
    );
    Diagnostic::error("cli::lock_file", "Lock file not readable", detail)
}
