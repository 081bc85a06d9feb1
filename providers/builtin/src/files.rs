//! Reading and writing regular files on this machine.
//!
//! The one decision: a file appears whole or not at all (temporary file, fsync, rename), and what
//! is not a regular file (a folder, a link, a device) is never read through, followed or replaced.

use std::io::{ErrorKind as Io, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use mesh_sdk::{ErrorKind, ProviderError};

/// A regular file as it is.
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    /// Permission bits.
    pub(crate) mode: u32,
}

/// An error about one path.
pub(crate) fn failed(what: &'static str, path: &Path, error: &std::io::Error) -> ProviderError {
    let kind = match error.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
        Io::NotFound => ErrorKind::Missing,
        _ => ErrorKind::Other,
    };
    ProviderError::new(kind, what, format!("{}: {error}.", path.display()))
}

/// Whether a regular file is there; anything else that is there is an error.
pub(crate) fn present(path: &Path) -> Result<bool, ProviderError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Ok(true),
        Ok(meta) => Err(ProviderError::new(
            ErrorKind::Conflict,
            "Not a regular file",
            format!(
                "{} is a {}. Name another file, or move that out of the way.",
                path.display(),
                if meta.is_dir() {
                    "folder"
                } else if meta.is_symlink() {
                    "symbolic link"
                } else {
                    "special file"
                }
            ),
        )),
        Err(e) if matches!(e.kind(), Io::NotFound | Io::NotADirectory) => Ok(false),
        Err(e) => Err(failed("The file could not be looked at", path, &e)),
    }
}

/// Reads a regular file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<File>, ProviderError> {
    if !present(path)? {
        return Ok(None);
    }
    let whole = || -> std::io::Result<File> {
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o7777;
        Ok(File { bytes: std::fs::read(path)?, mode })
    };
    whole().map(Some).map_err(|e| failed("The file could not be read", path, &e))
}

/// The name of a file while it is written: always the same for one file, so that what a killed run
/// leaves is found again.
fn half(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name);
    let hex: String = digest.as_ref().iter().take(12).map(|b| format!("{b:02x}")).collect();
    format!(".mesh-{hex}")
}

/// Removes what a killed run has left of a file.
pub(crate) fn forget_half(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path.with_file_name(half(path))) {
        Err(e) if !matches!(e.kind(), Io::NotFound | Io::NotADirectory) => Err(e),
        _ => Ok(()),
    }
}

/// Writes a file whole, folders above it included. With `new`, a file that exists is an error of
/// kind [`ErrorKind::Conflict`], also when it appears at the last moment.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32, folder_mode: u32, new: bool) -> Result<(), ProviderError> {
    let exists = || {
        ProviderError::new(
            ErrorKind::Conflict,
            "The file exists",
            format!(
                "{} exists and is not in state. Import it, set `on_existing = \"adopt\"` to take it over, or name \
                 another file.",
                path.display()
            ),
        )
        .at("filename")
    };
    if present(path)? && new {
        return Err(exists());
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: &std::io::Error| failed("The file could not be written", path, e);
    std::fs::DirBuilder::new().recursive(true).mode(folder_mode).create(folder).map_err(|e| failed(&e))?;
    let temporary = || -> std::io::Result<_> {
        // A run that was killed while writing this file has left it half written.
        forget_half(path)?;
        let mut file = tempfile::Builder::new().prefix(&half(path)).rand_bytes(0).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(PermissionsExt::from_mode(mode))?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = temporary().map_err(|e| failed(&e))?;
    let kept = if new { file.persist_noclobber(path) } else { file.persist(path) };
    kept.map_err(|e| if e.error.kind() == Io::AlreadyExists { exists() } else { failed(&e.error) })?;
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed(&e))
}
