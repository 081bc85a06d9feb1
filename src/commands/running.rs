//! Running the engine: the async runtime, where events go, and interrupts.
//!
//! The one decision: the runtime is made here, by the commands that wait for servers, and the rustls
//! provider is installed with it, so that nothing else pays for them.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mesh_core::{Cancel, Engine, Event, Sink};
use mesh_model::change::Counts;
use mesh_model::{Action, Diagnostic, Diagnostics};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::ui::{Failure, Ui};
use crate::view::progress::Progress;
use crate::view::stream::Stream;
use crate::view::style::talk;

/// The runtime; one for the process, since connections that a backend keeps live on it.
///
/// # Errors
/// When the system gives no threads.
pub(crate) fn runtime() -> Result<&'static Runtime, Failure> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // A second installation in one process is refused, and the first one is ours.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        let detail = format!("The system says: {e}.");
        Diagnostic::error("cli::runtime", "The program could not start its threads", detail)
    })?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Where events go.
#[derive(Clone)]
pub(crate) enum Reporter {
    /// To people.
    People(Arc<Progress>),
    /// To a program.
    Stream(Arc<Stream>),
}

impl Reporter {
    /// The right one for this run.
    pub(crate) fn new(ui: &Ui) -> Self {
        Self::on(ui, false)
    }

    /// The right one for this run. `machine`: stdout is for a program, so that lines go to stderr.
    pub(crate) fn on(ui: &Ui, machine: bool) -> Self {
        let lines: Box<dyn io::Write + Send> =
            if machine { Box::new(anstream::stderr()) } else { Box::new(anstream::stdout()) };
        match &ui.stream {
            Some(stream) => Self::Stream(stream.clone()),
            None if io::stderr().is_terminal() => Self::People(Arc::new(Progress::bars(lines))),
            None => Self::People(Arc::new(Progress::lines(lines))),
        }
    }

    /// As the engine wants it; with `MESH_LOG` every event is also a line on stderr.
    pub(crate) fn sink(&self, ui: &Ui) -> Arc<dyn Sink> {
        let sink: Arc<dyn Sink> = match self {
            Self::People(progress) => progress.clone(),
            Self::Stream(stream) => stream.clone(),
        };
        let sink: Arc<dyn Sink> = Arc::new(Counted { inner: sink, done: ui.done.clone() });
        if ui.var("MESH_LOG").is_some_and(|v| v != "off") { Arc::new(Logged(sink)) } else { sink }
    }

    /// Takes moving bars away, before other text.
    pub(crate) fn clear(&self) {
        if let Self::People(progress) = self {
            progress.clear();
        }
    }
}

/// Counts what is done, for the summary of an apply that ends with an error of its own (state, lock).
struct Counted {
    inner: Arc<dyn Sink>,
    done: Arc<Mutex<Option<Counts>>>,
}

impl Sink for Counted {
    fn event(&self, event: Event) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            Event::StageStarted { .. } => {
                done.get_or_insert_default();
            }
            Event::Done { action, .. } => {
                let counts = done.get_or_insert_default();
                match action {
                    Action::Create => counts.add += 1,
                    Action::Update => counts.change += 1,
                    Action::Delete => counts.destroy += 1,
                    Action::Forget => counts.forget += 1,
                    _ => {}
                }
            }
            _ => {}
        }
        drop(done);
        self.inner.event(event);
    }
}

/// Events hold no secret, so their `Debug` form may be logged.
struct Logged(Arc<dyn Sink>);

impl Sink for Logged {
    fn event(&self, event: Event) {
        talk(&format!("{} {event:?}\n", crate::ui::timestamp()));
        self.0.event(event);
    }
}

/// Waits for a run that changes nothing. Ctrl-C and SIGTERM end it at once, but not before what it has
/// opened is closed.
///
/// # Errors
/// What the run gives, or that it was interrupted.
pub(crate) fn wait<T>(engine: &Engine, run: impl Future<Output = Result<T, Diagnostics>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let (_cancel, mut interrupted) = interrupts(runtime, false)?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = run => return result,
            _ = interrupted.wait_for(|n| *n > 0) => {}
        }
        let mut found = engine.close().await;
        found.push(Diagnostic::error("cli::interrupted", "Interrupted", "The run was stopped; nothing was changed."));
        Err(found)
    });
    Ok(result?)
}

/// Ctrl-C and SIGTERM from now on: the first stops what is not begun, the second stops at once.
/// `said`: whether people are told.
pub(crate) fn interrupts(runtime: &Runtime, said: bool) -> Result<(Cancel, watch::Receiver<u8>), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, cancel) = Cancel::new();
    let receiver = sender.subscribe();
    let _guard = runtime.enter();
    let refused = |e: io::Error| {
        Failure::from(Diagnostic::error(
            "cli::signals",
            "Interrupts cannot be caught",
            format!("The system says: {e}."),
        ))
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    runtime.spawn(async move {
        for n in 1_u8..=2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if said {
                talk(match n {
                    1 => "\nInterrupted: what is in flight is finished, nothing new is begun. Interrupt again to stop at once.\n",
                    _ => "\nInterrupted again: stopping at once. The same command looks up what was in flight.\n",
                });
            }
            if sender.send(n).is_err() {
                break;
            }
        }
        // From here on signals are caught and do nothing; the sender lives as long as the process.
        std::future::pending::<()>().await;
    });
    Ok((cancel, receiver))
}
