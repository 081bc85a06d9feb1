//! `up`, `status`, `env`, `down`: the sandbox that outlives the command.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::{environment, eventually, options, processes_of, silent, this_program};
use crate::{Down, Event, Options, Part, Status, Up, down, env, status, supervise, up};

const PARTS: [Part; 3] = [Part::Vault, Part::Hsm, Part::Gateway];

fn in_folder(folder: PathBuf) -> Options {
    Options { folder, temporary: false, ..options(PARTS) }
}

/// What `mesh sandbox up` starts again in the background.
#[test]
#[ignore = "a program for the other tests"]
#[expect(clippy::print_stderr, reason = "the background program's log")]
fn supervisor() {
    let folder = PathBuf::from(environment("SANDBOX_TEST_FOLDER"));
    supervise(in_folder(folder), &|event: &Event| eprintln!("{event}")).expect("it runs until it is stopped");
}

fn start(options: &Options, progress: &(dyn Fn(&Event) + Sync)) -> crate::Result<Up> {
    let mut arguments = vec![format!("SANDBOX_TEST_FOLDER={}", options.folder.display())];
    arguments.extend(this_program("tests::background::supervisor"));
    up(options, "/usr/bin/env".as_ref(), &arguments, &|event: &Event| progress(event))
}

#[test]
fn up_status_env_down() {
    let options = in_folder(options(PARTS).folder);
    let folder = &options.folder;
    assert!(matches!(status(folder), Ok(Status::Absent)));
    assert!(env(folder).expect_err("nothing runs").to_string().contains("mesh sandbox up"));
    assert_eq!(down(folder).expect("nothing to do"), Down::NothingToStop);

    let lines = Mutex::new(Vec::new());
    let started = start(&options, &|event| lines.lock().expect("no panic").push(event.to_string())).expect("it starts");
    let Up::Started(state) = started else { panic!("it was not running: {started:?}") };
    assert!(lines.lock().expect("no panic").iter().any(|line| line.starts_with("vault: ready after")), "{lines:?}");
    assert!(state.servers.iter().all(|server| server.alive));
    let again = start(&options, &silent).expect("it answers");
    assert!(matches!(again, Up::WasRunning(ref same) if same.pid == state.pid), "{again:?}");

    let env = env(folder).expect("it runs");
    for name in [
        "VAULT_ADDR",
        "VAULT_TOKEN",
        "VAULT_CACERT",
        "SOFTHSM2_CONF",
        "MESH_SANDBOX_PIN_FILE",
        "MESH_SANDBOX_HAPROXY_MASTER_SOCKET",
        "MESH_SANDBOX_VIP",
    ] {
        assert!(env.get(name).is_some_and(|value| !value.is_empty()), "{name} is missing in {:?}", env.keys());
    }
    assert!(!format!("{state:?}").contains(&env["VAULT_TOKEN"]), "Debug shows a token");

    // A server that ends is told, and the rest goes on.
    let haproxy = state.servers.iter().find(|server| server.name == "haproxy").expect("it is listed");
    let pid = rustix::process::Pid::from_raw(i32::try_from(haproxy.pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    eventually("status says that haproxy ended", Duration::from_secs(10), || match status(folder) {
        Ok(Status::Running(state)) => {
            state.servers.iter().any(|server| server.name == "haproxy" && !server.alive).then_some(())
        }
        _ => None,
    });

    assert_eq!(down(folder).expect("it stops"), Down::Stopped);
    assert!(!folder.exists());
    assert_eq!(processes_of(folder), Vec::<String>::new());
    assert!(matches!(status(folder), Ok(Status::Absent)));
}

#[test]
fn a_killed_sandbox_is_dead_and_the_next_up_starts_afresh() {
    let options = in_folder(options(PARTS).folder);
    let Up::Started(state) = start(&options, &silent).expect("it starts") else { panic!("it was not running") };
    let pid = rustix::process::Pid::from_raw(i32::try_from(state.pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    eventually("it is dead", Duration::from_secs(10), || {
        matches!(status(&options.folder), Ok(Status::Dead)).then_some(())
    });
    eventually("its servers too", Duration::from_secs(10), || processes_of(&options.folder).is_empty().then_some(()));
    let Up::Started(again) = start(&options, &silent).expect("it starts") else { panic!("it was not running") };
    assert_ne!(again.pid, state.pid);
    assert_eq!(down(&options.folder).expect("it stops"), Down::Stopped);
}

#[test]
fn a_background_process_that_fails_shows_the_end_of_its_log() {
    let options = options([Part::Hsm]);
    let words = ["-c", "echo it broke here >&2; exit 3"].map(str::to_owned);
    let error = up(&options, "/bin/sh".as_ref(), &words, &silent).expect_err("it ends at once");
    assert!(error.to_string().contains("it broke here"), "{error}");
    down(&options.folder).expect("nothing is left but the log");
}
