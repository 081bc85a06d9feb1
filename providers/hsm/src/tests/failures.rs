//! Workers that hang and die.

use std::time::Duration;

use mesh_model::Value;
use mesh_sdk::{ErrorKind, Observation, OnExisting, Outcome};

use super::bench::{PIN, applied, bench, create, look, observe};

#[tokio::test]
async fn a_worker_that_dies_in_a_write_leaves_it_in_doubt_and_is_started_again() {
    let Some(b) = bench() else { return };
    let session = b.session().await;
    let desired = b.shape("hsm_secret_key", &Value::object([("id", Value::string("k"))]));
    // Stopped, so that the call is surely under way when it is killed. The look before a create
    // is a read and is repeated, so the write itself is asked for here.
    let (values, identity) = applied(create(&*session, "hsm_secret_key", &desired, OnExisting::Fail).await);
    b.stop().await;
    let update = mesh_sdk::OperationRequest {
        address: super::bench::address("hsm_secret_key"),
        ty: "hsm_secret_key".into(),
        operation: mesh_model::snapshot::Operation::Update,
        identity: Some(identity.clone()),
        before: Some(values.clone()),
        after: Some(values.with("label", Value::string("new"))),
        private: None,
        on_existing: OnExisting::Fail,
    };
    let apply = session.apply(vec![update]);
    let (mut outcomes, ()) = tokio::join!(apply, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        b.kill();
    });
    match outcomes.pop() {
        Some(Outcome::InDoubt { error }) => {
            assert!(error.detail.contains("was lost") && error.detail.contains("signal: 9"), "{error}");
            assert!(!format!("{error:?}").contains(PIN));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(b.starts(), 1);
    let request = look("hsm_secret_key", Some(identity), Some(&values), Some(&desired));
    let Ok(Observation::Present(seen)) = observe(&*session, request.clone()).await else { panic!("is there") };
    assert_eq!(seen.values.get_str("label"), Some("k8s-kms-plugin-kek"), "the update did not happen");
    assert_eq!(b.starts(), 2);
    // A worker that died between calls is no failure: reads are repeated.
    b.kill();
    assert!(matches!(observe(&*session, request).await, Ok(Observation::Present(_))));
    assert_eq!(b.starts(), 3);
}

#[tokio::test]
async fn a_library_that_hangs_is_ended_after_its_time() {
    let Some(b) = bench() else { return };
    let session = b.configure(&b.config(Some(PIN), &[("timeout", Value::string("4s"))])).await.expect("opens");
    let desired = b.shape("hsm_secret_key", &Value::object([("id", Value::string("k"))]));
    let first = b.read("pid");
    b.stop().await;
    // The read is given up after its time and repeated with a fresh worker.
    let seen = observe(&*session, look("hsm_secret_key", None, None, Some(&desired))).await;
    assert!(matches!(seen, Ok(Observation::Absent)), "{seen:?}");
    assert_ne!(b.read("pid"), first);
    b.ended(first.trim()).await;
}

#[tokio::test]
async fn a_worker_is_out_of_reach_of_the_terminal_and_ends_with_its_session() {
    let Some(b) = bench() else { return };
    let session = b.session().await;
    let pid = b.read("pid").trim().to_owned();
    let group = b.run("ps", &["-o", "pgid=", "-p", &pid]);
    assert_eq!(group.trim(), pid, "a group of its own: Ctrl-C does not reach it");
    let command_line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("runs");
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).expect("runs");
    assert!(environment.contains("SOFTHSM2_CONF"), "{environment}");
    assert!(!command_line.contains(PIN) && !environment.contains(PIN), "the PIN is visible to other processes");
    drop(session);
    b.ended(&pid).await;
    // A call that nobody waits for any more takes its worker with it.
    let session = b.session().await;
    let pid = b.read("pid").trim().to_owned();
    b.stop().await;
    let desired = b.shape("hsm_secret_key", &Value::object([("id", Value::string("k"))]));
    let look = observe(&*session, look("hsm_secret_key", None, None, Some(&desired)));
    assert!(tokio::time::timeout(Duration::from_millis(200), look).await.is_err(), "it is stopped");
    b.ended(&pid).await;
}

#[tokio::test]
async fn a_worker_that_cannot_start_is_an_error() {
    let Some(b) = bench() else { return };
    for (program, words) in [("/nothing/here", "cannot be started"), ("/bin/true", "was lost")] {
        let command = crate::WorkerCommand { program: program.into(), args: Vec::new() };
        let result = crate::provider_with(command).configure(&b.config(Some(PIN), &[]), &b.services()).await;
        let error = result.err().expect("fails");
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.detail.contains(words), "{error}");
    }
}
