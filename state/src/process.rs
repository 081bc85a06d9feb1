//! Which process holds a lock, so that one of this machine that is gone is known to be gone.
//!
//! The one decision: only what the kernel says counts, and every doubt means that the holder lives: another boot (of this
//! machine, or another machine: names prove nothing), another namespace, a text that says nothing. Where that is wrong
//! nevertheless (a machine that was copied while it ran), a living holder loses its lock, but no write is lost or
//! doubled: the journal fences it off.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// The kernel since it was started, and the namespaces in which it counts processes and time. `None` where `/proc` is
/// not there or shows the processes of another namespace.
fn here() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let itself = fs::read_link("/proc/self").ok()?;
    if itself != Path::new(&std::process::id().to_string()) {
        return None;
    }
    let namespace = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    let pids = namespace("pid")?;
    // Older kernels have no namespaces of time.
    let time = namespace("time").unwrap_or_else(|| "time:[]".into());
    Some(format!("{} {} {}", boot.trim(), pids.display(), time.display()))
}

/// State and start time of a process.
fn stat(pid: u32) -> Option<(String, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state is the third field, the start time the 22nd.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A text for [`is_gone`] on this process, where the system tells enough.
pub(crate) fn own() -> Option<String> {
    of(std::process::id())
}

fn of(pid: u32) -> Option<String> {
    let (_, started) = stat(pid)?;
    Some(format!("{} {pid} {started}", here()?))
}

/// Whether the process of a text was one of this machine since it was started, and has ended.
pub(crate) fn is_gone(process: &str) -> bool {
    let there = |text: &str| {
        let (rest, started) = text.rsplit_once(' ')?;
        let (place, pid) = rest.rsplit_once(' ')?;
        let (started, pid) = (started.parse::<u64>().ok()?, pid.parse::<u32>().ok()?);
        let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
        (place == here()?).then_some((raw, pid, started))
    };
    let Some((raw, pid, started)) = there(process) else { return false };
    // The system may hide processes of other accounts in /proc, but says that they are there.
    if test_kill_process(raw) == Err(Errno::SRCH) {
        return true;
    }
    // One that ended and whose parent did not ask yet does nothing more.
    stat(pid).is_some_and(|(state, now)| now != started || matches!(&*state, "Z" | "X"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn child() -> Child {
        Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("it starts")
    }

    #[test]
    fn a_process_is_gone_when_it_has_ended_and_not_before() {
        assert!(!is_gone(&own().expect("a text")));
        let mut one = child();
        let text = of(one.id()).expect("a text");
        assert!(!is_gone(&text), "it lives");
        one.kill().expect("it is killed");
        // Until its parent asks it is there and has ended; it may take a moment to end.
        let ended = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            is_gone(&text)
        });
        assert!(ended && stat(one.id()).is_some(), "it has ended, and its parent has not asked");
        one.wait().expect("it has ended");
        assert!(is_gone(&text) && stat(one.id()).is_none(), "nothing is left of it");
    }

    #[test]
    fn a_number_that_another_process_has_now_is_not_the_holder() {
        let (rest, started) =
            own().and_then(|t| Some((t.rsplit_once(' ')?.0.to_owned(), stat(std::process::id())?.1))).expect("a text");
        assert!(!is_gone(&format!("{rest} {started}")));
        for other in [started - 1, started + 1, 0, u64::MAX] {
            assert!(is_gone(&format!("{rest} {other}")), "{other}");
        }
        // The first process is of another account for most who test, and lives.
        if let Some(first) = of(1) {
            assert!(!is_gone(&first), "{first}");
        }
    }

    #[test]
    fn what_is_not_of_here_or_not_understood_lives() {
        let mut one = child();
        let text = of(one.id()).expect("a text");
        one.kill().expect("it is killed");
        one.wait().expect("it has ended");
        assert!(is_gone(&text));
        let [boot, pids, time, pid, started] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        for other in [
            format!("00000000-0000-0000-0000-000000000000 {pids} {time} {pid} {started}"),
            format!("{boot} pid:[1] {time} {pid} {started}"),
            format!("{boot} {pids} time:[1] {pid} {started}"),
            format!("{boot} {pids} {pid} {started}"),
            format!("{boot} {pids} {time} {pid}"),
            format!("{boot} {pids} {time} {pid} "),
            format!("{boot} {pids} {time} {pid} {started}x"),
            format!("{boot} {pids} {time} 0 {started}"),
            format!("{boot} {pids} {time} -{pid} {started}"),
            format!("{boot} {pids} {time} 4294967295 {started}"),
            format!(" {text}"),
            format!("{text}\n"),
            text[1..].to_owned(),
            text.replace(' ', "\u{0}"),
            String::new(),
            " ".to_owned(),
            "\u{e9} \u{e9} \u{e9}".to_owned(),
        ] {
            assert!(!is_gone(&other), "{other:?}");
        }
    }
}
