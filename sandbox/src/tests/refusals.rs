//! What is refused before anything is touched or started.

use std::path::PathBuf;

use super::{options, shared, silent};
use crate::{Error, Options, Part, Sandbox, install_command, missing};

#[test]
fn missing_programs_are_all_named_with_their_command() {
    let bare = Options { path: vec![PathBuf::from("/nonexistent")], ..options(Part::ALL) };
    let error = Sandbox::start(bare.clone(), &silent).expect_err("nothing is there");
    assert!(matches!(error, Error::Missing(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("softhsm2-util (makes the PKCS#11 token): apt-get install -y softhsm2"), "{text}");
    assert!(text.contains("apt-get update && apt-get install -y util-linux openssl haproxy softhsm2"), "{text}");
    assert!(text.contains("https://go.dev/dl/go"), "{text}");
    assert!(!bare.folder.exists(), "nothing was touched");
}

#[test]
fn only_what_the_parts_need_is_asked_for() {
    let hsm = Options { path: vec![PathBuf::from("/nonexistent")], ..options([Part::Hsm]) };
    let names: Vec<&str> = missing(&hsm).iter().map(|one| one.program).collect();
    assert_eq!(names, ["setpriv", "setsid", "flock", "softhsm2-util"]);
    assert_eq!(install_command(&missing(&hsm)), "apt-get update && apt-get install -y util-linux softhsm2");
    assert!(missing(&options(Part::ALL)).is_empty());
}

#[test]
fn a_folder_that_is_not_ours_is_left_alone() {
    let options = options([Part::Hsm]);
    std::fs::create_dir(&options.folder).expect("made");
    let file = options.folder.join("thesis.txt");
    std::fs::write(&file, "years of work").expect("written");
    let error = Sandbox::start(options.clone(), &silent).expect_err("it is not empty");
    assert!(matches!(error, Error::Foreign(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "years of work");
    std::fs::remove_dir_all(&options.folder).expect("removed");
}

#[test]
fn a_folder_in_use_and_a_long_one_are_refused() {
    let used = Options { folder: shared().folder().to_owned(), ..options([Part::Hsm]) };
    let error = Sandbox::start(used, &silent).expect_err("it runs");
    assert!(matches!(error, Error::Running(_)) && error.to_string().contains("mesh sandbox down"), "{error}");
    let long = Options { folder: std::env::temp_dir().join("x".repeat(80)), ..options([Part::Hsm]) };
    assert!(Sandbox::start(long, &silent).expect_err("too long").to_string().contains("too long for sockets"));
}

#[tokio::test]
async fn it_may_be_used_inside_an_async_runtime() {
    let sandbox = Sandbox::start(options([Part::Vault]), &silent).expect("it starts");
    sandbox.vault().expect("a vault").seal().expect("sealed");
    drop(sandbox);
}

#[test]
fn a_part_that_was_not_started_is_named() {
    let sandbox = Sandbox::start(options([Part::Hsm]), &silent).expect("it starts");
    assert!(sandbox.vault().expect_err("not started").to_string().contains("without the part `vault`"));
    assert!(sandbox.extra_vault().is_err());
    assert!(!sandbox.env().contains_key("VAULT_ADDR"));
}

#[test]
fn secrets_are_in_private_files_and_not_in_debug() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = shared();
    let mode = |file: &std::path::Path| file.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(sandbox.folder()), 0o700);
    let cluster = sandbox.kubernetes().expect("a cluster");
    assert_eq!(mode(&cluster.admin_kubeconfig), 0o600);
    assert_eq!(mode(&sandbox.token().expect("a token").pin_file), 0o600);
    let debug = format!("{sandbox:?}");
    let vault = sandbox.vault().expect("a vault");
    for secret in [
        vault.root_token(),
        vault.unseal_key(),
        cluster.token("admin").expect("one"),
        cluster.token("operator").expect("one"),
    ] {
        assert!(!debug.contains(secret));
    }
}

#[test]
fn a_server_that_does_not_start_shows_the_end_of_its_log_and_keeps_it() {
    use std::os::unix::fs::PermissionsExt;
    let given = options([Part::Hsm]).folder;
    std::fs::create_dir(&given).expect("made");
    for program in ["vault", "vault-plugin-auth-kubernetes"] {
        let file = given.join(program);
        std::fs::write(&file, "#!/bin/sh\nseq 1 30\necho no memory today >&2\nexit 7\n").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let options = Options { bin_dir: Some(given.clone()), ..options([Part::Vault, Part::Gateway]) };
    let error = Sandbox::start(options.clone(), &silent).expect_err("it ends at once");
    let Error::Server { server, reason, tail, log } = &error else { panic!("{error}") };
    assert_eq!((server.as_str(), reason.as_str()), ("vault", "it ended with exit status: 7"));
    assert_eq!(tail.lines().count(), 20, "{tail}");
    assert!(tail.starts_with("12\n") && tail.ends_with("\nno memory today"), "{tail}");
    assert!(log.exists() && error.to_string().contains(&log.display().to_string()));
    assert!(super::processes_of(&options.folder).is_empty(), "HAProxy is stopped as well");
    for folder in [given, options.folder] {
        std::fs::remove_dir_all(folder).expect("removed");
    }
}

#[test]
fn a_port_that_was_taken_in_between_is_not_the_end() {
    use std::os::unix::fs::PermissionsExt;
    let options = options([Part::Gateway]);
    let given = options.folder.with_extension("given");
    std::fs::create_dir(&given).expect("made");
    // HAProxy's own words, once; then HAProxy.
    let real = options.path.iter().map(|folder| folder.join("haproxy")).find(|file| file.exists()).expect("installed");
    let (program, marker) = (given.join("haproxy"), given.join("tried"));
    let script = format!(
        "#!/bin/sh\n[ -e {marker} ] && exec {real} \"$@\"\ntouch {marker}\necho 'cannot bind socket (Address already in use)' >&2\nexit 1\n",
        marker = marker.display(),
        real = real.display()
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = [vec![given.clone()], options.path.clone()].concat();
    let told = std::sync::Mutex::new(Vec::new());
    let sandbox = Sandbox::start(Options { path, ..options }, &|event: &crate::Event| {
        told.lock().expect("no panic").push(event.to_string());
    });
    sandbox.expect("the second try works").stop();
    let told = told.into_inner().expect("no panic");
    assert_eq!(told.iter().filter(|line| line.contains("a port was taken")).count(), 1, "{told:?}");
    std::fs::remove_dir_all(given).expect("removed");
}
