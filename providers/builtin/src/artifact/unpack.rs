//! Extracting a tar.gz beside it.
//!
//! The one decision: an archive that names anything outside its own folder is refused whole, also
//! when it is signed: links included, since what is read later through them would be.

use std::path::{Component, Path, PathBuf};

use tar::EntryType;

/// Extracts into a folder beside the archive (its name with `.d`), once; gives that folder.
pub(super) fn unpack(archive: &Path) -> Result<PathBuf, String> {
    let mut folder = archive.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    if folder.is_dir() {
        return Ok(folder);
    }
    let parent = archive.parent().unwrap_or(Path::new("."));
    let text = |e: std::io::Error| format!("it is not a readable tar.gz: {e}");
    let temporary = tempfile::tempdir_in(parent).map_err(text)?;
    let file = std::fs::File::open(archive).map_err(text)?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in tar.entries().map_err(text)? {
        let mut entry = entry.map_err(text)?;
        let name = entry.path().map_err(text)?.into_owned();
        let refused = |why: &str| Err(format!("its entry {:?} {why}", name.display().to_string()));
        if !inside(Path::new(""), &name) {
            return refused("would be written outside of its folder");
        }
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Directory => {}
            kind @ (EntryType::Symlink | EntryType::Link) => {
                // A symbolic link starts from its own folder, a hard link from the archive's root.
                let start = if kind == EntryType::Symlink { name.parent() } else { None };
                let target = entry.link_name().map_err(text)?.unwrap_or_default().into_owned();
                if !inside(start.unwrap_or(Path::new("")), &target) {
                    return refused("links to something outside of its folder");
                }
            }
            EntryType::XGlobalHeader => continue,
            _ => return refused("is neither file, folder nor link"),
        }
        if !entry.unpack_in(temporary.path()).map_err(text)? {
            return refused("would be written outside of its folder");
        }
    }
    std::fs::rename(temporary.path(), &folder).or_else(|e| if folder.is_dir() { Ok(()) } else { Err(text(e)) })?;
    Ok(folder)
}

/// Whether `path`, seen from the folder `start`, never leaves the root that both are relative to.
fn inside(start: &Path, path: &Path) -> bool {
    let mut depth = 0_usize;
    for component in start.components().chain(path.components()) {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}
