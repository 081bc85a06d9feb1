//! The program: starts, hands over to a command, and ends with its exit code.
//!
//! The one decision: nothing is done here that the asked-for command does not need; even the async
//! runtime is made by the commands that wait for servers. The work runs on a thread with a stack that
//! hostile nesting does not use up.

#[macro_use]
mod push;

mod argv;
mod cli;
mod commands;
mod ui;
mod view;

use std::process::ExitCode;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Bytes of stack for the thread that does the work.
const STACK: usize = 16 << 20;

fn main() -> ExitCode {
    keep_memory();
    // A worker must not touch anything else: its output is a protocol.
    if std::env::args_os().nth(1).is_some_and(|a| a == mesh_provider_hsm::WORKER_ARGUMENT) {
        return mesh_provider_hsm::worker_main();
    }
    std::panic::set_hook(Box::new(bug));
    let thread = std::thread::Builder::new().name("mesh".into()).stack_size(STACK).spawn(cli::run);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => ExitCode::from(code),
        // The hook has said it.
        Ok(Err(_)) => ExitCode::from(101),
        Err(error) => {
            view::style::talk(&format!("Error: no thread could be started: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// PINs, tokens and passphrases are in memory: no crash writes it to a disk, the worker's neither, and no program of the
/// same user looks into it. The limit alone does not bind a core pattern that is a program, hence both.
fn keep_memory() {
    // Lowering never fails; where a system refuses the other one, there is no better way left.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// A panic is a bug of ours. Its message may hold a value, so only the place is said.
fn bug(info: &std::panic::PanicHookInfo<'_>) {
    view::style::talk(&place_of_bug(info.location()));
}

/// What is said of a panic; it is given nothing but the place, so nothing else can be in it.
fn place_of_bug(place: Option<&std::panic::Location<'_>>) -> String {
    let place = place.map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
    format!(
        "\nBUG: mesh {} has stopped{place}. This is not your fault.\n\
         Please report it with this line, the command and what it was working on; leave secrets out.\n\
         Nothing that was recorded is lost: the same command goes on where this one stopped.\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_a_panic_the_place_is_said() {
        let text = super::place_of_bug(Some(std::panic::Location::caller()));
        assert!(text.contains(&format!("has stopped at {}:{}.", file!(), line!() - 1)), "{text}");
        assert!(super::place_of_bug(None).contains("has stopped. "));
    }
}
