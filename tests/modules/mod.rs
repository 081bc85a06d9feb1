//! Modules from elsewhere as a user has them: repositories made with git, archives and a registry on
//! loopback, and what happens when they move, change or go away.

mod archive;
mod git;
mod oci;
mod serve;

use std::io::Write as _;
use std::path::Path;

use crate::site::{Folder, Output};

/// A call of one module with an output of it.
fn calls(source: &str) -> String {
    format!("module \"m\" {{ source = \"{source}\" }}\noutput \"x\" {{ value = module.m.x }}\n")
}

/// The text of a module with one output.
fn module(x: &str) -> String {
    format!("output \"x\" {{ value = \"{x}\" }}\n")
}

/// A tar.gz.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        // As no honest program writes some of them.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, text.as_bytes()).expect("appended");
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("written")
}

/// A zip.
fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("started");
        zip.write_all(text.as_bytes()).expect("written");
    }
    zip.finish().expect("finished").into_inner()
}

/// Names in the cache: modules by digest, and unfinished things.
fn cached(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join(".mesh/modules")).into_iter().flatten().flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|n| n != ".lock").collect();
    names.sort();
    names
}

/// The words of an error, however its lines were broken.
fn words(output: &Output) -> String {
    output.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refused(output: Output, wanted: &[&str]) {
    let text = words(&output);
    assert_eq!(output.code, 1, "{text}");
    for want in wanted {
        assert!(text.contains(want), "{want:?} is missing in: {text}");
    }
}

fn planned(folder: &Folder, x: &str, more: &[&str]) {
    let plan = folder.run(&[&["plan"], more].concat()).expect(0, "a plan").stdout;
    assert!(plan.contains(&format!("+ x = \"{x}\"")), "{plan}");
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}
