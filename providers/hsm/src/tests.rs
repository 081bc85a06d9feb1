//! The provider on a real SoftHSM: every test has a token folder and a worker process of its own.

mod bench;
mod csr;
mod failures;
mod issuing;
mod lives;
mod login;

/// Not a test: the worker of all tests, which start this very binary with `--ignored --exact` and
/// this name.
#[test]
#[ignore = "started by the other tests as their worker"]
fn worker_entry() {
    assert_eq!(crate::worker_main(), std::process::ExitCode::SUCCESS);
}
