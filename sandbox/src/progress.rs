//! What a sandbox tells while it works.
//!
//! One plain event enum whose `Display` is a whole sentence, so that a caller needs one line of code to show it and
//! may do better (a bar) by matching. The library itself never prints.

use std::fmt;
use std::time::Duration;

/// Receives events; called from several threads, never with a lock held.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Sync> Progress for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// One step of bringing a sandbox up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Another process builds the same server; waiting for its result.
    WaitingForBuild {
        /// The server.
        server: &'static str,
    },
    /// A server is built from its Go module.
    Building {
        /// The server.
        server: &'static str,
        /// Why, e.g. `not in the cache /home/me/.cache/mesh`.
        why: String,
        /// About how long it takes with an empty Go cache on two cores.
        usually: Duration,
    },
    /// The build goes on; sent every five seconds.
    StillBuilding {
        /// The server.
        server: &'static str,
        /// Since its start.
        elapsed: Duration,
        /// The last line of Go's output, if any.
        line: String,
    },
    /// The build is done.
    Built {
        /// The server.
        server: &'static str,
        /// How long it took.
        elapsed: Duration,
    },
    /// A server was started.
    Starting {
        /// The server.
        server: String,
    },
    /// A port was taken by somebody else in between; trying again with others.
    PortTaken {
        /// The part that is started again.
        part: String,
    },
    /// A server is ready.
    Ready {
        /// The server.
        server: String,
        /// Where it listens, if at one address.
        address: String,
        /// Since it was started.
        elapsed: Duration,
    },
    /// A line of the background process of `mesh sandbox up`.
    Line(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingForBuild { server } => write!(f, "{server}: another process is building it, waiting"),
            Self::Building { server, why, usually } => write!(
                f,
                "{server}: building it, {why} (the first build takes about {}, later ones seconds)",
                human(*usually)
            ),
            Self::StillBuilding { server, elapsed, line } if line.is_empty() => {
                write!(f, "{server}: still building after {}", human(*elapsed))
            }
            Self::StillBuilding { server, elapsed, line } => {
                write!(f, "{server}: still building after {} ({line})", human(*elapsed))
            }
            Self::Built { server, elapsed } => write!(f, "{server}: built in {}", human(*elapsed)),
            Self::Starting { server } => write!(f, "{server}: starting"),
            Self::PortTaken { part } => write!(f, "{part}: a port was taken in the meantime, trying others"),
            Self::Ready { server, address, elapsed } if address.is_empty() => {
                write!(f, "{server}: ready after {}", human(*elapsed))
            }
            Self::Ready { server, address, elapsed } => {
                write!(f, "{server}: ready after {}, {address}", human(*elapsed))
            }
            Self::Line(line) => f.write_str(line),
        }
    }
}

fn human(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f32()),
        10..120 => format!("{} s", time.as_secs()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}
