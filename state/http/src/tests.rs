//! The suite over the tests' own small server, which follows the protocol as it is documented; the real
//! `terraform`, where it is there, uses the same server.

#[expect(dead_code, reason = "the leak scan asks it more")]
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mesh_model::Value;
use mesh_sandbox::Certificates;
use mesh_state::{Backend, LockInfo, Settings, StateError, Summary, conformance};
use server::Server;

use super::*;

/// The address behind the state's where it is locked, and the methods.
type Locking = [&'static str; 3];
const TERRAFORM: Locking = ["", "LOCK", "UNLOCK"];
const GITLAB: Locking = ["/lock", "POST", "DELETE"];

fn backend(server: &Server, folder: &Path, name: &str) -> HttpBackend {
    locking(TERRAFORM, server, folder, name)
}

fn locking([lock, lock_method, unlock_method]: Locking, server: &Server, folder: &Path, name: &str) -> HttpBackend {
    let address = format!("{}/{name}", server.address);
    let values = Value::object([
        ("address", Value::string(&*address)),
        ("lock_address", Value::string(format!("{address}{lock}"))),
        ("lock_method", Value::string(lock_method)),
        ("unlock_method", Value::string(unlock_method)),
        ("update_method", Value::string("POST")),
        ("username", Value::string("ada")),
        ("password", Value::string("pw")),
    ]);
    let env = BTreeMap::new();
    let settings = Settings::new(&values, &env);
    HttpBackend::beside(&settings, folder.join(name)).expect("settings")
}

fn info() -> LockInfo {
    LockInfo::new("mesh apply", "ada", "host7")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite() {
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let open = |name: &str| -> Arc<dyn Backend> { Arc::new(locking(GITLAB, &server, folder.path(), name)) };
    conformance::run(&open).await.expect("every promise is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_sees_whole_stages_and_waits_for_the_lock() {
    let server = Server::start("pw");
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (a, b) = (backend(&server, one.path(), "s"), backend(&server, two.path(), "s"));
    a.keys().await.expect("keys");
    std::fs::create_dir_all(two.path().join("s")).expect("a folder");
    std::fs::copy(one.path().join("s/mesh.state.key"), two.path().join("s/mesh.state.key"))
        .expect("the key is brought along");
    let writer = a.lock(info(), std::time::Duration::ZERO).await.expect("locks");
    match b.lock(info(), std::time::Duration::ZERO).await {
        Err(StateError::Locked { holder, .. }) => assert_eq!((&*holder.user, &*holder.host), ("ada", "host7")),
        _ => panic!("two hold the lock"),
    }
    writer.begin("d", "mesh apply").await.expect("begins");
    assert_eq!(b.snapshot().await.expect("reads").serial, 0, "nothing is handed over yet");
    writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("ends");
    writer.release().await.expect("releases");
    assert_eq!(b.snapshot().await.expect("reads").serial, 1);
    let writer = b.lock(info(), std::time::Duration::ZERO).await.expect("locks");
    writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("ends");
    writer.release().await.expect("releases");
    assert_eq!(a.snapshot().await.expect("reads").serial, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_handed_over_is_by_the_next_lock() {
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let open = || backend(&server, folder.path(), "s");
    let writer = open().lock(info(), std::time::Duration::ZERO).await.expect("locks");
    server.refuse_writes(true);
    let failed = writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect_err("the server refuses");
    assert!(failed.to_string().contains("507"), "{failed}");
    writer.release().await.expect("releases");
    assert_eq!(server.content("/s"), None);
    assert_eq!(open().snapshot().await.expect("reads").serial, 1, "this machine knows it");
    server.refuse_writes(false);
    open().lock(info(), std::time::Duration::ZERO).await.expect("locks").release().await.expect("releases");
    assert!(server.content("/s").is_some_and(|c| String::from_utf8_lossy(&c).contains("\"serial\":1")));
    // A state that was put in its place by somebody else is not overwritten by what is older here.
    let writer = open().lock(info(), std::time::Duration::ZERO).await.expect("locks");
    server.refuse_writes(true);
    writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect_err("the server refuses");
    writer.release().await.expect("releases");
    server.refuse_writes(false);
    let other = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(other.path().join("s")).expect("a folder");
    std::fs::copy(folder.path().join("s/mesh.state.key"), other.path().join("s/mesh.state.key")).expect("the key");
    let theirs = backend(&server, other.path(), "s").lock(info(), std::time::Duration::ZERO).await.expect("locks");
    for _ in 0..2 {
        theirs.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("ends");
    }
    theirs.release().await.expect("releases");
    let apart = open().lock(info(), std::time::Duration::ZERO).await;
    let _ = apart.map(drop).map_err(|e| assert!(matches!(e, StateError::Corrupt { .. }), "{e}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_though_the_server_says_otherwise_is_kept() {
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let open = || locking(GITLAB, &server, folder.path(), "s");
    let writer = open().lock(info(), std::time::Duration::ZERO).await.expect("locks");
    server.lose_answers();
    for serial in 1..3 {
        let done = writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("it is there");
        assert_eq!(done.serial, serial);
    }
    writer.release().await.expect("releases");
    assert_eq!(open().snapshot().await.expect("reads").serial, 2);
    let posts = server.log().iter().filter(|line| line.starts_with("POST /s?")).count();
    assert!(posts > 2, "tried again: {posts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_was_kept_as_lines_is_gone_on_with() {
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let (old, new) = (backend(&server, folder.path(), "old"), backend(&server, folder.path(), "new"));
    let writer = old.lock(info(), std::time::Duration::ZERO).await.expect("locks");
    writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("ends");
    writer.release().await.expect("releases");
    let kept = envelope::unwrap(server.content("/old").expect("a state")).expect("of this version");
    assert!(kept.state.starts_with(b"{\"mesh_state\""), "it is lines");
    server.keep("/new", kept.state);
    std::fs::create_dir_all(folder.path().join("new")).expect("a folder");
    std::fs::copy(folder.path().join("old/mesh.state.key"), folder.path().join("new/mesh.state.key")).expect("the key");
    assert_eq!(new.snapshot().await.expect("reads").serial, 1);
    let writer = new.lock(info(), std::time::Duration::ZERO).await.expect("locks");
    writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("ends");
    writer.release().await.expect("releases");
    assert_eq!(new.snapshot().await.expect("reads").serial, 2);
    assert_eq!(envelope::unwrap(server.content("/new").expect("a state")).expect("of this version").serial, 1);
}

/// HAProxy in front of a server, who lets nobody in without a certificate.
struct Guard(std::process::Child);

impl Guard {
    fn new(server: &Server, port: u16, folder: &Path, made: &Certificates) -> Self {
        let read = |file: &Path| std::fs::read_to_string(file).expect("reads");
        let both = folder.join("both.pem");
        std::fs::write(&both, read(&made.server.0) + &read(&made.server.1)).expect("writes");
        let text = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\nlisten guard\n  bind \
             127.0.0.1:{port} ssl crt {} ca-file {} verify required\n  server s {}\n",
            both.display(),
            made.ca.display(),
            server.address.trim_start_matches("http://")
        );
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, text).expect("writes");
        let mut program = std::process::Command::new("haproxy");
        let guard = Self(program.args(["-db", "-q", "-f"]).arg(config).spawn().expect("haproxy starts"));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < until, "haproxy listens");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        guard
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_a_pipeline_is_enough_and_a_certificate_is_shown() {
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let made = Certificates::new(folder.path()).expect("certificates");
    let port = mesh_sandbox::free_port().expect("a port");
    let _guard = Guard::new(&server, port, folder.path(), &made);
    let address = format!("https://127.0.0.1:{port}/s");
    let env = [
        ("TF_HTTP_ADDRESS", &*address),
        ("TF_HTTP_LOCK_ADDRESS", &format!("{address}/lock")),
        ("TF_HTTP_UNLOCK_ADDRESS", &format!("{address}/lock")),
        ("TF_HTTP_LOCK_METHOD", "POST"),
        ("TF_HTTP_UNLOCK_METHOD", "DELETE"),
        ("TF_HTTP_USERNAME", "ada"),
        ("TF_HTTP_PASSWORD", "pw"),
    ];
    let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let file = |path: &Path| Value::string(path.display().to_string());
    let trusted = [("ca_cert_file", file(&made.ca))];
    let shown = [("client_cert_file", file(&made.client.0)), ("client_key_file", file(&made.client.1))];
    let open = |given: &[(&'static str, Value)]| {
        let values = Value::object(trusted.iter().chain(given).cloned());
        HttpBackend::beside(&Settings::new(&values, &env), folder.path().to_owned())
    };
    let backend = open(&shown).map_err(|bad| bad.why).expect("settings");
    let writer = backend.lock(info(), std::time::Duration::ZERO).await.expect("locks");
    writer.finish(mesh_state::Outputs::new(), Summary::default()).await.expect("ends");
    writer.release().await.expect("releases");
    assert_eq!(backend.snapshot().await.expect("reads").serial, 1);
    let log = server.log();
    for line in ["POST /s/lock", "POST /s?ID=", "DELETE /s/lock"] {
        assert!(log.iter().any(|l| l.starts_with(line)), "{line} is not in {log:?}");
    }
    assert!(open(&[]).map_err(|bad| bad.why).expect("settings").snapshot().await.is_err(), "nothing was shown");
    for (given, words) in [
        (&shown[..1], "go together"),
        (&[shown[0].clone(), ("client_key_file", file(&made.ca))], "no certificate with an unencrypted key"),
        (&[("client_cert_file", Value::string("/nowhere")), shown[1].clone()], "/nowhere cannot be used"),
    ] {
        let bad = open(given).err().expect(words);
        assert!(bad.why.contains(words), "{}", bad.why);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_said_in_the_servers_words() {
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let values = Value::object([
        ("address", Value::string(format!("{}/s?token=canary", server.address))),
        ("username", Value::string("eve")),
        ("password", Value::string("canary")),
        ("update_method", Value::string("POST")),
    ]);
    let env = BTreeMap::new();
    let settings = Settings::new(&values, &env);
    let eve = HttpBackend::beside(&settings, folder.path().to_owned()).expect("settings");
    let error = eve.snapshot().await.expect_err("eve may not").to_string();
    assert!(error.contains("401") && error.contains("username") && !error.contains("canary"), "{error}");
    assert!(!eve.describe().contains("canary"));
    let env = BTreeMap::new();
    for address in ["ftp://x/y", "https://ada:canary@h:99999/s", "https://ada:canary@h/s"] {
        let bad = Value::object([("address", Value::string(address))]);
        let bad = HttpBackend::new(&Settings::new(&bad, &env)).err().expect(address);
        assert!(bad.why.contains("address") && !bad.why.contains("canary"), "{}", bad.why);
    }
}

#[test]
fn terraform_takes_the_server_for_what_it_is() {
    #[expect(clippy::disallowed_methods, reason = "terraform is found as a user's shell does")]
    let path = std::env::var("PATH").unwrap_or_default();
    let Some(terraform) = std::env::split_paths(&path).map(|p| p.join("terraform")).find(|p| p.is_file()) else {
        #[expect(clippy::print_stderr, reason = "a test that was not done says so")]
        {
            eprintln!("skipped: no terraform on PATH");
        }
        return;
    };
    let (server, folder) = (Server::start("pw"), tempfile::tempdir().expect("a folder"));
    let address = format!("{}/tf", server.address);
    let text = format!(
        "terraform {{\n  backend \"http\" {{\n    address = {address:?}\n    lock_address = {address:?}\n    unlock_address = {address:?}\n    \
         username = \"ada\"\n    password = \"pw\"\n  }}\n}}\nresource \"terraform_data\" \"a\" {{ input = 1 }}\n"
    );
    std::fs::write(folder.path().join("main.tf"), text).expect("writes");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(&terraform).args(arguments).current_dir(folder.path()).output();
        let output = output.expect("terraform runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for command in [&["init", "-input=false"][..], &["apply", "-auto-approve", "-input=false"]] {
        let (done, said) = run(command);
        assert!(done, "{said}");
    }
    assert!(server.content("/tf").is_some_and(|c| String::from_utf8_lossy(&c).contains("terraform_data")));
    server.hold("/tf", "{\"ID\":\"4711\",\"Who\":\"bob@host8\",\"Operation\":\"OperationTypeApply\"}");
    let (done, said) = run(&["apply", "-auto-approve", "-input=false"]);
    assert!(!done && said.contains("already locked: ID=4711"), "{said}");
    let log = server.log();
    for line in ["LOCK /tf", "GET /tf", "POST /tf?ID=", "UNLOCK /tf"] {
        assert!(log.iter().any(|l| l.starts_with(line)), "{line} is not in {log:?}");
    }
}
