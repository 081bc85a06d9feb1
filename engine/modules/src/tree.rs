//! The digest of a folder.
//!
//! The one decision: `tree1:` and the SHA-256, in hex, of one line for each file in the order of the
//! paths' bytes: `f` (`x` when its owner may execute it, `l` for a symbolic link), the SHA-256 of its
//! content (of the target's text, for a link) in hex, and its path, with one blank between them and `/`
//! between the parts of the path. Times, owners, other rights and empty folders do not count. Another way to compute
//! it would get another prefix.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::{Digest, Sha256};

const PREFIX: &str = "tree1:";

/// The digest of a folder's content.
pub(crate) fn digest(root: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    walk(root, &mut Vec::new(), &mut lines)?;
    // Not by path part by part: `a-b` comes before `a/b`.
    lines.sort_by(|a, b| a.1.cmp(&b.1));
    let mut hash = Sha256::new();
    for (head, path) in lines {
        hash.update(head);
        hash.update(path);
        hash.update(b"\n");
    }
    Ok(format!("{PREFIX}{}", hex(hash)))
}

/// The hex digits of a digest, which name its folder in the cache; `None` for what is no digest.
pub(crate) fn digits(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix(PREFIX)?;
    (hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then_some(hex)
}

pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn walk(folder: &Path, path: &mut Vec<u8>, lines: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend(entry.file_name().as_bytes());
        let kind = entry.file_type()?;
        let mut hash = Sha256::new();
        if kind.is_dir() {
            walk(&entry.path(), path, lines)?;
        } else if kind.is_symlink() {
            hash.update(fs::read_link(entry.path())?.as_os_str().as_bytes());
            lines.push((format!("l {} ", hex(hash)), path.clone()));
        } else if kind.is_file() {
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            io::copy(&mut File::open(entry.path())?, &mut Feed(&mut hash))?;
            lines.push((format!("{} {} ", if executable { 'x' } else { 'f' }, hex(hash)), path.clone()));
        } else {
            let text = format!("{} is neither file, folder nor link", entry.path().display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        path.truncate(length);
    }
    Ok(())
}

struct Feed<'h>(&'h mut Sha256);

impl io::Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_counts_changes_the_digest_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let now = || digest(root).expect("a digest");
        fs::create_dir(root.join("a")).expect("a folder");
        fs::write(root.join("a/b"), "1\n").expect("written");
        fs::write(root.join("a-b"), "2\n").expect("written");
        let first = now();
        // printf 'f %s a-b\nf %s a/b\n' $(printf '2\n' | sha256sum | cut -c-64) ... | sha256sum
        assert_eq!(first, "tree1:ede521901b4eb1681a10d746a42575c06f705f54983aa6edfc0f0c2899f3e38d");
        assert_eq!(digits(&first).map(str::len), Some(64));
        fs::create_dir(root.join("empty")).expect("a folder");
        assert_eq!(now(), first);
        fs::set_permissions(root.join("a/b"), fs::Permissions::from_mode(0o755)).expect("set");
        let executable = now();
        assert_ne!(executable, first);
        std::os::unix::fs::symlink("b", root.join("a/c")).expect("a link");
        let linked = now();
        assert_ne!(linked, executable);
        fs::remove_file(root.join("a/c")).expect("removed");
        fs::rename(root.join("a-b"), root.join("a-c")).expect("renamed");
        assert!(![first, executable, linked].contains(&now()));
        for bad in [
            "",
            "tree1:",
            "tree2:00",
            "sha256:00",
            &format!("tree1:{}", "A".repeat(64)),
            &format!("tree1:{}", "../".repeat(22)),
        ] {
            assert_eq!(digits(bad), None, "{bad}");
        }
    }
}
