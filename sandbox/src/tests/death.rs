//! The owner is killed: nothing of it may stay.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{environment, eventually, options, processes_of, silent, this_program};
use crate::http::Http;
use crate::{Options, Part, Sandbox};

/// Plays another program that owns a sandbox; the tests below start and kill it.
#[test]
#[ignore = "a program for the other tests"]
fn owner() {
    let folder = PathBuf::from(environment("SANDBOX_TEST_FOLDER"));
    let sandbox = Sandbox::start(Options { folder: folder.clone(), ..options(Part::ALL) }, &silent).expect("it starts");
    // Only a mounted plugin has a process.
    let vault = sandbox.vault().expect("a vault");
    let root =
        Http::new(&vault.address, &vault.ca_file, ("X-Vault-Token", vault.root_token().to_owned())).expect("a client");
    root.call(Method::POST, "/v1/sys/auth/kubernetes", &json!({"type": "kubernetes"})).expect("enabled");
    let config = json!({"kubernetes_host": "https://127.0.0.1:1", "disable_local_ca_jwt": true});
    root.call(Method::POST, "/v1/auth/kubernetes/config", &config).expect("configured");
    std::fs::write(folder.join("ready"), "").expect("written");
    std::thread::sleep(Duration::from_secs(600));
}

fn start_owner(folder: &PathBuf) -> Child {
    let words = this_program("tests::death::owner");
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("SANDBOX_TEST_FOLDER", folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it runs")
}

fn kill(mut owner: Child) {
    owner.kill().expect("SIGKILL is sent");
    owner.wait().expect("it is dead");
}

#[test]
fn a_killed_owner_leaves_no_process() {
    let folder = options([]).folder;
    let owner = start_owner(&folder);
    eventually("the owner's sandbox is ready", Duration::from_secs(120), || {
        folder.join("ready").exists().then_some(())
    });
    let running = processes_of(&folder).join("\n");
    for program in [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
        "vault server",
        "vault-plugin-auth-kubernetes",
        "haproxy",
    ] {
        assert!(running.contains(program), "{program} does not run:\n{running}");
    }
    kill(owner);
    eventually("all its processes are gone", Duration::from_secs(10), || {
        processes_of(&folder).is_empty().then_some(())
    });
    eventually("its folder is removed", Duration::from_secs(10), || (!folder.exists()).then_some(()));
}

#[test]
fn an_owner_killed_while_starting_leaves_no_process() {
    for wait in [50, 300, 900] {
        let folder = options([]).folder;
        let owner = start_owner(&folder);
        eventually("it begins", Duration::from_secs(60), || folder.join("lock").exists().then_some(()));
        std::thread::sleep(Duration::from_millis(wait));
        kill(owner);
        eventually("all its processes are gone", Duration::from_secs(10), || {
            processes_of(&folder).is_empty().then_some(())
        });
        // A process that was about to start would show up now.
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(processes_of(&folder), Vec::<String>::new());
        assert!(!folder.exists(), "the folder is removed too");
    }
}
