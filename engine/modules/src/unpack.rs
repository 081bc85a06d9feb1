//! Writing what an archive holds into an empty folder.
//!
//! The one decision: an archive that names anything outside of its folder is refused whole. Links are
//! made when all files are written, so that nothing is written through one, and each must then lead to
//! something within.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tar::EntryType;
use zip::ZipArchive;

use crate::source::Format;

/// The most bytes that all files have together.
const MAX_BYTES: u64 = 256 << 20;
/// The most files, folders and links.
const MAX_ENTRIES: usize = 20_000;
/// The longest target of a link.
const MAX_TARGET: u64 = 4096;

/// Writes an archive into the empty folder `root`.
///
/// # Errors
/// What is wrong with the archive, without a final stop.
pub(crate) fn archive(file: File, format: Format, root: &Path) -> Result<(), String> {
    match format {
        Format::Tar => tar(file, root),
        Format::TarGz => tar(flate2::read::MultiGzDecoder::new(file), root),
        Format::Zip => zip(file, Writer::new(root)),
    }
}

/// Writes a tar into the empty folder `root`.
pub(crate) fn tar(reader: impl Read, root: &Path) -> Result<(), String> {
    entries(reader, Writer::new(root))
}

fn entries(reader: impl Read, mut writer: Writer<'_>) -> Result<(), String> {
    let broken = |e: io::Error| format!("it is no readable tar archive: {e}");
    // Headers count too: names and attributes in them are read as a whole.
    let mut archive = tar::Archive::new(reader.take(writer.most + writer.many as u64 * 2048));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| "the name of an entry is not UTF-8 text".to_owned())?;
        match kind {
            EntryType::Directory => writer.folder(&name)?,
            EntryType::Regular | EntryType::Continuous => {
                let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
                writer.file(&name, executable, &mut entry)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(broken)?.unwrap_or_default().into_owned();
                writer.link(&name, target)?;
            }
            _ => return Err(format!("its entry {name:?} is neither file, folder nor symbolic link")),
        }
    }
    writer.finish()
}

fn zip(file: File, mut writer: Writer<'_>) -> Result<(), String> {
    let broken = |e: zip::result::ZipError| format!("it is no readable zip archive: {e}");
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(broken)?;
        let name = entry.name().map_err(broken)?.into_owned();
        if entry.is_dir() {
            writer.folder(&name)?;
        } else if entry.is_symlink() {
            let mut target = String::new();
            let read = (&mut entry).take(MAX_TARGET).read_to_string(&mut target);
            read.map_err(|e| format!("its link {name:?} cannot be read: {e}"))?;
            writer.link(&name, target.into())?;
        } else {
            let executable = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
            writer.file(&name, executable, &mut entry)?;
        }
    }
    writer.finish()
}

struct Writer<'w> {
    root: &'w Path,
    /// The most bytes of all files together.
    most: u64,
    /// The most entries.
    many: usize,
    bytes: u64,
    entries: usize,
    links: Vec<(PathBuf, PathBuf)>,
}

impl<'w> Writer<'w> {
    fn new(root: &'w Path) -> Self {
        Self { root, most: MAX_BYTES, many: MAX_ENTRIES, bytes: 0, entries: 0, links: Vec::new() }
    }

    /// Where an entry goes.
    fn place(&mut self, name: &str) -> Result<PathBuf, String> {
        self.entries += 1;
        if self.entries > self.many {
            return Err(format!("it has more than the {} entries that are taken", self.many));
        }
        let bad = name.starts_with('/') || name.chars().any(|c| c.is_control() || c == '\\');
        if bad || name.split('/').any(|part| part == "..") {
            return Err(format!("its entry {name:?} would be written outside of its folder"));
        }
        Ok(name.split('/').filter(|part| !matches!(*part, "" | ".")).fold(self.root.to_owned(), |p, part| p.join(part)))
    }

    fn folder(&mut self, name: &str) -> Result<(), String> {
        let path = self.place(name)?;
        fs::create_dir_all(path).map_err(|e| format!("its folder {name:?} cannot be written: {e}"))
    }

    fn file(&mut self, name: &str, executable: bool, content: &mut dyn Read) -> Result<(), String> {
        let path = self.place(name)?;
        let failed = |e: io::Error| format!("its file {name:?} cannot be written: {e}");
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        // An entry that comes twice is an error, not a replacement.
        let mode = if executable { 0o755 } else { 0o644 };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
        let left = self.most - self.bytes;
        let written = io::copy(&mut content.take(left + 1), &mut file).map_err(failed)?;
        if written > left {
            return Err(format!("its files are larger than the {} MiB that are taken", self.most >> 20));
        }
        self.bytes += written;
        Ok(())
    }

    fn link(&mut self, name: &str, target: PathBuf) -> Result<(), String> {
        let path = self.place(name)?;
        self.links.push((path, target));
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        let failed = |link: &Path, why: &dyn std::fmt::Display| {
            let name = link.strip_prefix(self.root).unwrap_or(link).display().to_string();
            format!("its link {name:?} {why}")
        };
        for (link, target) in &self.links {
            let made = link.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| symlink(target, link));
            made.map_err(|e| failed(link, &format!("cannot be written: {e}")))?;
        }
        let root = self.root.canonicalize().map_err(|e| format!("the folder for it cannot be read: {e}"))?;
        for (link, target) in &self.links {
            // Links are relative: the folder is renamed later.
            let inside = target.is_relative() && link.canonicalize().is_ok_and(|end| end.starts_with(&root));
            if !inside {
                return Err(failed(link, &"leads out of its folder or nowhere"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Kind, name, and content or target.
    type Entry<'e> = (EntryType, &'e str, &'e str);

    /// A tar with raw names, as no honest program writes them.
    fn tarball(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, name, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let file = *kind == EntryType::Regular;
            header.set_size(if file { content.len() as u64 } else { 0 });
            if !file {
                header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content.as_bytes());
            }
            header.set_cksum();
            tar.append(&header, if file { content.as_bytes() } else { &[] }).expect("appended");
        }
        tar.into_inner().expect("written")
    }

    fn unpacked(bytes: &[u8], format: Format) -> (tempfile::TempDir, Result<(), String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("a folder");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        io::Seek::rewind(&mut file).expect("rewound");
        let result = archive(file, format, &root);
        (folder, result)
    }

    const FILE: EntryType = EntryType::Regular;
    const LINK: EntryType = EntryType::Symlink;

    #[test]
    fn nothing_is_written_outside_and_no_link_leads_there() {
        let cases: [(&[Entry<'_>], &str); 11] = [
            (&[(FILE, "../evil", "x")], "outside of its folder"),
            (&[(FILE, "a/../../evil", "x")], "outside of its folder"),
            (&[(FILE, "/tmp/evil", "x")], "outside of its folder"),
            (&[(FILE, "a\\b", "x")], "outside of its folder"),
            (&[(LINK, "a", "../evil")], "leads out"),
            (&[(LINK, "a", "/etc/passwd")], "leads out"),
            (&[(LINK, "a", "nowhere")], "leads out of its folder or nowhere"),
            // A link and a file through it.
            (&[(LINK, "a", ".."), (FILE, "a/evil", "x")], "cannot be written"),
            // Two links that are good each alone.
            (&[(FILE, "p/q/f", "x"), (LINK, "p/q/d", "../.."), (LINK, "p/q/e", "d/../root2")], "leads out"),
            (&[(FILE, "a", "x"), (FILE, "a", "y")], "cannot be written"),
            (&[(EntryType::Link, "a", "b")], "neither file, folder nor symbolic link"),
        ];
        for (entries, want) in cases {
            let (folder, result) = unpacked(&tarball(entries), Format::Tar);
            let error = result.expect_err(entries[0].1);
            assert!(error.contains(want), "{entries:?}: {error}");
            let beside: Vec<_> = fs::read_dir(folder.path()).expect("read").flatten().map(|e| e.file_name()).collect();
            assert_eq!(beside, ["root"], "{entries:?}");
        }
        let good = [(FILE, "./a/b", "1"), (LINK, "a/c", "../x"), (LINK, "x", "a/b"), (EntryType::Directory, "d/", "")];
        let (folder, result) = unpacked(&tarball(&good), Format::Tar);
        result.expect("a good archive");
        assert_eq!(fs::read_to_string(folder.path().join("root/a/c")).expect("read"), "1");
    }

    #[test]
    fn zip_archives_obey_the_same_rules() {
        let packed = |name: &str, link: Option<&str>| {
            let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
            let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
            match link {
                Some(target) => zip.add_symlink(name, target, options).expect("added"),
                None => {
                    zip.start_file(name, options).expect("added");
                    zip.write_all(b"content").expect("written");
                }
            }
            zip.finish().expect("finished").into_inner()
        };
        let (folder, result) = unpacked(&packed("m/run.sh", None), Format::Zip);
        result.expect("a good archive");
        let file = fs::metadata(folder.path().join("root/m/run.sh")).expect("a file");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o111, 0o111);
        for (bytes, want) in [
            (packed("../evil", None), "outside of its folder"),
            (packed("a", Some("../../evil")), "leads out"),
            (b"no zip".to_vec(), "no readable zip"),
        ] {
            let (folder, result) = unpacked(&bytes, Format::Zip);
            let error = result.expect_err(want);
            assert!(error.contains(want), "{error}");
            assert!(!folder.path().join("evil").exists());
        }
    }

    #[test]
    fn bombs_end_at_the_limits() {
        let zeros = |most: u64, size: u64| {
            let mut header = tar::Header::new_ustar();
            header.set_path("zeros").expect("a name");
            header.set_size(size);
            header.set_mode(0o644);
            header.set_cksum();
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(header.as_bytes()).expect("written");
            io::copy(&mut io::repeat(0).take(size + 1024), &mut gz).expect("written");
            let gz = gz.finish().expect("finished");
            let folder = tempfile::tempdir().expect("a folder");
            let writer = Writer { most, ..Writer::new(folder.path()) };
            entries(flate2::read::MultiGzDecoder::new(gz.as_slice()), writer)
        };
        assert_eq!(zeros(1 << 20, 1 << 20), Ok(()));
        assert!(zeros(1 << 20, (1 << 20) + 1024).expect_err("too large").contains("1 MiB"));
        assert!(zeros(1 << 20, 4 << 20).expect_err("too large").contains("1 MiB"));
        let folder = tempfile::tempdir().expect("a folder");
        let three = tarball(&[(FILE, "a", ""), (FILE, "b", ""), (FILE, "c", "")]);
        let bounded = entries(three.as_slice(), Writer { many: 2, ..Writer::new(folder.path()) });
        assert!(bounded.expect_err("too many").contains("2 entries"));
    }
}
