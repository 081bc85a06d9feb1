//! Building into the cache, with the smallest server.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::{options, silent};
use crate::build::build;
use crate::needs::required;
use crate::process::Launcher;
use crate::servers::{SERVERS, Server};
use crate::{Error, Event, Options, Part};

fn launcher(options: &Options) -> Launcher {
    Launcher::new(required(options, "setpriv").expect("installed"), &options.path).expect("a thread")
}

#[test]
fn two_builders_share_one_build_and_the_second_time_is_free() {
    let options = options([]);
    let options = Options { cache: options.folder.clone(), ..options };
    let server = SERVERS.iter().find(|server| server.name == "etcd").expect("a row");
    let events = Mutex::new(Vec::new());
    let work = || {
        build(server, &options, &launcher(&options), &|event: &Event| {
            events.lock().expect("no panic").push(event.to_string())
        })
    };
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(work), scope.spawn(work));
        (one.join().expect("no panic").expect("built"), two.join().expect("no panic").expect("built"))
    });
    assert_eq!(one, two);
    assert!(one.join("etcd").exists());
    let name = one.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    assert!(name.strip_prefix("etcd-").is_some_and(|digest| digest.len() == 16), "{name}");
    let told = events.lock().expect("no panic").join("\n");
    assert_eq!(told.matches("etcd: building it, it is not in").count(), 1, "{told}");
    assert_eq!(told.matches("another process is building it").count(), 1, "{told}");
    assert_eq!(told.matches("etcd: built in").count(), 1, "{told}");
    let third =
        build(server, &options, &launcher(&options), &|event: &Event| panic!("there is nothing to do: {event}"));
    assert_eq!(third.expect("found"), one);
    let left = std::fs::read_dir(options.cache.join("servers")).expect("a folder").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(".building")));
    std::fs::remove_dir_all(&options.cache).expect("removed");
}

#[test]
fn a_failed_build_shows_what_go_said_and_leaves_no_result() {
    static BROKEN: Server = Server {
        name: "broken",
        part: Part::Vault,
        files: &[
            ("go.mod", "module broken.test\n\ngo 1.26.0\n"),
            ("main.go", "package main\n\nfunc main() { undefined() }\n"),
        ],
        tags: "",
        ldflags: "-s -w",
        programs: &[("broken", "broken.test")],
        usually: Duration::from_secs(1),
    };
    let options = options([]);
    let options = Options { cache: options.folder.clone(), ..options };
    for _ in 0..2 {
        let error = build(&BROKEN, &options, &launcher(&options), &silent).expect_err("it does not compile");
        assert!(matches!(error, Error::Build { .. }), "{error}");
        assert!(error.to_string().contains("undefined: undefined"), "{error}");
    }
    std::fs::remove_dir_all(&options.cache).expect("removed");
}

#[test]
fn given_binaries_win_over_building() {
    let with_etcd = options([Part::Kubernetes]);
    let folder = with_etcd.folder.clone();
    std::fs::create_dir(&folder).expect("made");
    std::os::unix::fs::symlink("/bin/true", folder.join("etcd")).expect("linked");
    let given = Options { bin_dir: Some(folder.clone()), ..with_etcd };
    let etcd = SERVERS.iter().find(|server| server.name == "etcd").expect("a row");
    assert!(!etcd.must_be_built(&given));
    assert_eq!(crate::servers::found(&given, "etcd"), Some(folder.join("etcd")));
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn every_folder_of_servers_has_a_row_with_all_its_files() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("servers");
    let mut on_disk: Vec<(String, Vec<String>)> = std::fs::read_dir(root)
        .expect("a folder")
        .flatten()
        .map(|folder| {
            let mut files: Vec<String> = std::fs::read_dir(folder.path())
                .expect("a folder")
                .flatten()
                .map(|file| file.file_name().to_string_lossy().into_owned())
                .collect();
            files.sort();
            (folder.file_name().to_string_lossy().into_owned(), files)
        })
        .collect();
    on_disk.sort();
    let mut listed: Vec<(String, Vec<String>)> = SERVERS
        .iter()
        .map(|server| (server.name.to_owned(), server.files.iter().map(|(name, _)| (*name).to_owned()).collect()))
        .collect();
    listed.sort();
    assert_eq!(on_disk, listed);
}
