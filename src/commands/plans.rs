//! Plans that were made here, by their digest, so that `mesh apply -approve=DIGEST` can tell a narrower
//! plan from another one.
//!
//! The one decision: they are plan files like those of `-out`, sealed with the key of their state, in
//! `.mesh/plans`. Without one only the very same plan is taken, so a folder that cannot be written
//! costs nothing but that.

use std::path::{Path, PathBuf};

use mesh_core::conform::Reviewed;
use mesh_core::planfile;
use mesh_model::Diagnostic;

use super::options::StateArgs;
use super::saved;
use crate::ui::{Failure, Ui};

const FOLDER: &str = ".mesh/plans";
/// How many are kept.
const KEPT: usize = 20;

/// Whether a text may be the digest of a plan.
///
/// # Errors
/// It is not.
pub(crate) fn check(digest: &str) -> Result<(), Failure> {
    if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()) {
        return Ok(());
    }
    let detail =
        format!("-approve={digest} is no digest. Give the 64 digits that mesh plan prints behind \"Plan digest\".");
    Err(Diagnostic::error("cli::option", "Bad option", detail).into())
}

/// Keeps a plan, and forgets the oldest beyond [`KEPT`].
pub(crate) fn keep(digest: &str, bytes: &[u8]) {
    let folder = Path::new(FOLDER);
    let written = std::fs::create_dir_all(folder).and_then(|()| saved::write(&folder.join(digest), bytes));
    let Ok(files) = std::fs::read_dir(folder).and_then(|all| written.and_then(|()| all.collect::<Result<Vec<_>, _>>()))
    else {
        return;
    };
    let age = |f: &std::fs::DirEntry| f.metadata().and_then(|m| m.modified()).ok();
    let mut files: Vec<(_, PathBuf)> = files.iter().map(|f| (age(f), f.path())).collect();
    files.sort();
    for (_, old) in files.iter().rev().skip(KEPT) {
        let _ = std::fs::remove_file(old);
    }
}

/// The plan of a digest, where it was kept.
pub(crate) fn find(ui: &mut Ui, digest: &str, state: &StateArgs) -> Option<Reviewed> {
    let file = Path::new(FOLDER).join(digest);
    if !file.exists() {
        return None;
    }
    let saved::Opened { header, content, .. } = saved::open(ui, &file, state, &[]).ok()?;
    let reviewed = planfile::reviewed(&header, &content).ok()?;
    (header.digest == digest).then_some(Reviewed { anywhere: true, ..reviewed })
}
