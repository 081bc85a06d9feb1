//! What every command needs of the surroundings: environment, sources for messages, a way to ask.
//!
//! The one decision: the environment is read once, here, and goes on as plain data; commands return
//! what went wrong and only `cli` prints it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use mesh_model::change::Counts;
use mesh_model::{Diagnostic, Diagnostics, Fingerprinter, Sources};

use crate::view::diagnostics::{self, Layout};
use crate::view::sight::Sight;
use crate::view::stream::Stream;
use crate::view::style;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Diagnostics);

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self(diagnostics)
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(diagnostic.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Diagnostic::error("cli::output", "Output could not be written", format!("The system says: {error}.")).into()
    }
}

impl From<mesh_state::StateError> for Failure {
    fn from(error: mesh_state::StateError) -> Self {
        Diagnostic::from(error).into()
    }
}

/// The exit code, or what went wrong.
pub(crate) type Outcome = Result<u8, Failure>;

/// The surroundings of one command.
pub(crate) struct Ui {
    /// The environment.
    pub(crate) env: Arc<BTreeMap<String, String>>,
    /// Where the user started.
    pub(crate) cwd: PathBuf,
    /// Every file that was read, for messages.
    pub(crate) sources: Sources,
    /// How diagnostics look.
    pub(crate) layout: Layout,
    /// Where everything goes when a program reads.
    pub(crate) stream: Option<Arc<Stream>>,
    /// Whether questions are allowed.
    pub(crate) input: bool,
    /// Whether plans and outputs show what is sensitive.
    pub(crate) secrets: bool,
    /// Whether the run destroys everything, for its summary.
    pub(crate) destroys: bool,
    /// What an apply has done that has not come to its own summary yet.
    pub(crate) done: Arc<Mutex<Option<Counts>>>,
}

impl Ui {
    /// From the surroundings of the process.
    pub(crate) fn new(env: BTreeMap<String, String>, cwd: PathBuf) -> Self {
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|n| env.get(*n).filter(|v| !v.is_empty()))
            .is_none_or(|v| v.to_ascii_lowercase().replace('-', "").contains("utf8"));
        let width = terminal_size::terminal_size_of(io::stderr()).map_or(100, |(w, _)| usize::from(w.0).clamp(60, 140));
        let input = !env.get("MESH_INPUT").is_some_and(|v| v == "0" || v == "false");
        Self {
            env: Arc::new(env),
            cwd,
            sources: Sources::default(),
            layout: Layout { width, unicode: utf8, compact_warnings: false },
            stream: None,
            input,
            secrets: false,
            destroys: false,
            done: Arc::default(),
        }
    }

    /// A variable of the environment that is set and not empty.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The home folder.
    pub(crate) fn home(&self) -> PathBuf {
        PathBuf::from(self.var("HOME").unwrap_or("/"))
    }

    /// What an apply has done and nobody has said yet; asked once.
    pub(crate) fn take_done(&self) -> Option<Counts> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The eyes of a view.
    pub(crate) const fn sight<'f>(&self, fingerprinter: &'f Fingerprinter) -> Sight<'f> {
        Sight::new(fingerprinter, self.secrets)
    }

    /// Shows diagnostics.
    pub(crate) fn report(&self, found: &Diagnostics) {
        if found.is_empty() {
            return;
        }
        match &self.stream {
            Some(stream) => found.iter().for_each(|d| stream.diagnostic(d, &self.sources)),
            None => style::talk(&diagnostics::text(found, &self.sources, self.layout)),
        }
    }

    /// Whether somebody can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.input && self.stream.is_none() && io::stdin().is_terminal()
    }

    /// Turns the stream of events for programs on.
    pub(crate) fn start_stream(&mut self) -> Arc<Stream> {
        let stream = Arc::new(Stream::new(Box::new(io::stdout()), now));
        stream.version();
        self.stream = Some(stream.clone());
        stream
    }
}

/// The time, as RFC 3339 in UTC with microseconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Microsecond).unwrap_or(now).to_string()
}

/// The time, as RFC 3339 in UTC with seconds.
pub(crate) fn timestamp() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// Asks for one line; `None` at the end of input or when `stop` says so.
pub(crate) fn ask(question: &str, stop: &dyn Fn() -> bool) -> Option<String> {
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush());
    drop(out);
    let receiver = answer();
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => return line,
            Err(mpsc::RecvTimeoutError::Timeout) if !stop() => {}
            Err(_) => return None,
        }
    }
}

/// Asks for one line that the terminal does not show; `None` at the end of input or for Ctrl-C.
pub(crate) fn ask_hidden(question: &str) -> Option<String> {
    let hidden = Hidden::start();
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush());
    drop(out);
    let line = answer().recv().ok().flatten();
    drop(hidden);
    style::talk("\n");
    line
}

/// A line of the input. Reading cannot be interrupted, so it is done aside; the thread ends with the
/// process.
fn answer() -> mpsc::Receiver<Option<String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(line(&mut io::stdin().lock()));
    });
    receiver
}

/// The byte of Ctrl-C, where the terminal hands it over.
const CTRL_C: u8 = 3;

fn line(input: &mut dyn BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let part = input.fill_buf().ok()?;
        let end = part.iter().position(|b| matches!(*b, b'\n' | CTRL_C));
        let (taken, last) = (end.map_or(part.len(), |e| e + 1), end.map(|e| part[e]));
        bytes.extend_from_slice(&part[..end.unwrap_or(taken)]);
        input.consume(taken);
        match last {
            Some(CTRL_C) => return None,
            None if taken > 0 => {}
            None if bytes.is_empty() => return None,
            _ => return String::from_utf8(bytes).ok().map(|l| l.trim().to_owned()),
        }
    }
}

/// The terminal without echo, until this is dropped. Ctrl-C ends the line instead of the process, so
/// that nobody is left with a terminal that shows nothing.
struct Hidden(Option<rustix::termios::Termios>);

impl Hidden {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        now.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        match tcsetattr(io::stdin(), OptionalActions::Flush, &now) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Flush, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_it_is_entered_and_is_no_answer_after_an_interrupt() {
        let read = |text: &str| line(&mut text.as_bytes());
        assert_eq!(read(" yes \nno\n").as_deref(), Some("yes"));
        assert_eq!(read("\n").as_deref(), Some(""));
        assert_eq!(read("last").as_deref(), Some("last"));
        assert_eq!(read(""), None);
        assert_eq!(read("half\u{3}"), None);
    }
}
