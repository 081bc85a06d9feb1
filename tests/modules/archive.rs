//! Archives behind HTTP.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::serve::{Answer, Server};
use super::{cached, calls, module, planned, refused, tarball, write, zipped};
use crate::site::{Folder, command};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn archives_are_checked_and_kept() {
    let server = Server::start();
    let tar = tarball(&[("m-1/sub/main.mesh.hcl", &module("tar"))]);
    let zip = zipped(&[("main.mesh.hcl", &module("zip"))]);
    server.put("a/m.tar.gz", Answer::Bytes(tar.clone()));
    server.put("z", Answer::Bytes(zip.clone()));
    server.put("moved.tgz", Answer::Redirect(server.url("a/m.tar.gz")));
    for (source, x) in [
        (server.url("a/m.tar.gz//m-1/sub"), "tar"),
        (server.url(&format!("a/m.tar.gz//m-1/sub?checksum=sha256:{}", sha256(&tar))), "tar"),
        (server.url("moved.tgz//m-1/sub"), "tar"),
        (server.url("z?archive=zip&version=3"), "zip"),
    ] {
        let folder = Folder::new(&calls(&source));
        folder.run(&["init"]).expect(0, &source);
        planned(&folder, x, &[]);
        assert!(folder.text("mesh.lock.hcl").contains("resolved = \"archive:sha256:"));
    }
    let asked: Vec<String> = server.asked().into_iter().map(|(target, _)| target).collect();
    assert_eq!(asked, ["/a/m.tar.gz", "/a/m.tar.gz", "/moved.tgz", "/a/m.tar.gz", "/z?version=3"]);
}

#[test]
fn what_cannot_be_trusted_is_refused_and_leaves_nothing() {
    let server = Server::start();
    let good = tarball(&[("main.mesh.hcl", &module("1"))]);
    server.put("good.tgz", Answer::Bytes(good.clone()));
    server.put("out.tgz", Answer::Bytes(tarball(&[("main.mesh.hcl", ""), ("../../../evil.txt", "x")])));
    server.put("out.zip", Answer::Bytes(zipped(&[("main.mesh.hcl", ""), ("../../../evil.txt", "x")])));
    server.put("no.tgz", Answer::Bytes(b"<html>".to_vec()));
    server.put("plain.tgz", Answer::Redirect("http://192.0.2.1/good.tgz".to_owned()));
    let folder = Folder::new("");
    for (source, wanted) in [
        (
            server.url(&format!("good.tgz?checksum=sha256:{}", "0".repeat(64))),
            format!("checksum is sha256:{}", sha256(&good)),
        ),
        (server.url("out.tgz"), "\"../../../evil.txt\" would be written outside of its folder".to_owned()),
        (server.url("out.zip"), "\"../../../evil.txt\" would be written outside of its folder".to_owned()),
        (server.url("no.tgz"), "no readable tar archive".to_owned()),
        (server.url("plain.tgz"), "redirects to plain http".to_owned()),
        (server.url("none.tgz"), "answers 404 Not Found".to_owned()),
        ("http://192.0.2.1/good.tgz".to_owned(), "from this machine only".to_owned()),
        ("https://nowhere.invalid/x.zip".to_owned(), "could not be fetched".to_owned()),
    ] {
        write(&folder.path().join("main.mesh.hcl"), &calls(&source));
        refused(folder.run(&["init"]), &[&wanted]);
        assert!(cached(&folder).is_empty() && !folder.path().join("mesh.lock.hcl").exists(), "{source}");
        assert!(!folder.path().join("evil.txt").exists(), "{source}");
    }
}

#[test]
fn an_archive_that_was_replaced_is_refused_until_upgrade() {
    let server = Server::start();
    server.put("m.tgz", Answer::Bytes(tarball(&[("main.mesh.hcl", &module("1"))])));
    let folder = Folder::new(&calls(&server.url("m.tgz")));
    folder.run(&["init"]).expect(0, "init");
    let (lock, cache) = (folder.text("mesh.lock.hcl"), folder.path().join(".mesh"));
    // Packed anew, the same content: nothing changes.
    server.put("m.tgz", Answer::Bytes(tarball(&[("./main.mesh.hcl", &module("1"))])));
    std::fs::remove_dir_all(&cache).expect("removed");
    folder.run(&["init", "-lockfile=readonly"]).expect(0, "init");
    server.put("m.tgz", Answer::Bytes(tarball(&[("main.mesh.hcl", &module("2"))])));
    std::fs::remove_dir_all(&cache).expect("removed");
    refused(folder.run(&["init"]), &["Module differs from the lock file", "mesh init -upgrade"]);
    assert_eq!(folder.text("mesh.lock.hcl"), lock);
    folder.run(&["init", "-upgrade"]).expect(0, "init");
    planned(&folder, "2", &[]);
}

#[test]
fn a_run_that_is_killed_leaves_no_half_module() {
    let server = Server::start();
    let archive = tarball(&[("main.mesh.hcl", &module("whole"))]);
    server.put("m.tgz", Answer::Half(archive.clone()));
    let folder = Folder::new(&calls(&server.url("m.tgz")));
    for signal in ["INT", "KILL"] {
        let mut run = command(folder.path(), &["init"], &BTreeMap::new())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let start = Instant::now();
        while server.asked().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60), "the archive is asked for");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &run.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        assert!(!run.wait().expect("ends").success());
        let left = cached(&folder);
        assert!(left.iter().all(|name| name.starts_with(".new-")), "{signal}: {left:?}");
        refused(folder.run(&["plan"]), &["Module not installed"]);
    }
    server.put("m.tgz", Answer::Bytes(archive));
    folder.run(&["init"]).expect(0, "the same command finishes");
    assert_eq!(cached(&folder).len(), 1, "{:?}", cached(&folder));
    planned(&folder, "whole", &[]);
}
