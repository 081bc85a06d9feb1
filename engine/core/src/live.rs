//! What a run has open: provider sessions and ephemeral objects.
//!
//! The one decision: one list in the order of opening, closed from its end, since a session may have been
//! configured from an ephemeral object and an ephemeral object may have been opened through that session.
//! The list belongs to the engine, not to a plan, so that a run that is cut off can still close. Renewing
//! is a task for each object that asked for it. It evaluates nothing; `ephemeral` does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mesh_model::{Address, Diagnostic, Diagnostics, Span, Value};
use mesh_sdk::{Opened, Private, ProviderError, Session};
use tokio::task::JoinHandle;

use crate::event::{EphemeralOperation, Event, Phase, Sink};

/// How often something that is still being opened, renewed or closed is reported.
const STILL: Duration = Duration::from_secs(10);
/// How long closing one thing may take.
const CLOSING: Duration = Duration::from_secs(30);

/// What is open.
pub(crate) struct Live {
    entries: Mutex<Vec<Entry>>,
    failures: Arc<Mutex<Diagnostics>>,
    sink: Arc<dyn Sink>,
}

enum Entry {
    Session(Arc<dyn Session>),
    Object(Box<Object>),
}

struct Object {
    subject: Subject,
    value: Value,
    private: Arc<Mutex<Option<Private>>>,
    renewing: Option<JoinHandle<()>>,
}

/// An ephemeral object that is to be opened, or is open.
#[derive(Clone)]
pub(crate) struct Subject {
    /// The instance.
    pub(crate) address: Address,
    /// Through what it is opened.
    pub(crate) session: Arc<dyn Session>,
    /// Its block.
    pub(crate) span: Span,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// Nothing is open.
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { entries: Mutex::default(), failures: Arc::default(), sink }
    }

    /// Notes a session, so that it is closed after everything that came after it.
    pub(crate) fn session(&self, session: Arc<dyn Session>) {
        locked(&self.entries).push(Entry::Session(session));
    }

    /// The value of an object that is open.
    pub(crate) fn value(&self, address: &Address) -> Option<Value> {
        locked(&self.entries).iter().find_map(|e| match e {
            Entry::Object(o) if o.subject.address == *address => Some(o.value.clone()),
            _ => None,
        })
    }

    /// Opens an object, which stays open, renewed where it asks for that, until [`Live::close`]. `mark` makes
    /// of the provider's value what the run may see.
    pub(crate) async fn open(
        &self,
        subject: Subject,
        config: &Value,
        mark: impl FnOnce(Value) -> Value,
    ) -> Result<Value, ProviderError> {
        let call = subject.session.open_ephemeral(&subject.address.ty, config);
        let opened = told(self.sink.as_ref(), &subject.address, EphemeralOperation::Open, call).await?;
        let Opened { value, private, renew_after } = opened;
        let value = mark(value);
        let private = Arc::new(Mutex::new(private));
        let renewing = renew_after.map(|after| {
            let (private, failures, sink) = (private.clone(), self.failures.clone(), self.sink.clone());
            tokio::spawn(renew(subject.clone(), after, private, failures, sink))
        });
        let object = Object { subject, value: value.clone(), private, renewing };
        locked(&self.entries).push(Entry::Object(Box::new(object)));
        Ok(value)
    }

    /// What went wrong with renewals since this was asked last.
    pub(crate) fn failures(&self) -> Diagnostics {
        std::mem::take(&mut *locked(&self.failures))
    }

    /// Closes everything, the newest first; gives what went wrong, with renewals too.
    pub(crate) async fn close(&self) -> Diagnostics {
        loop {
            let Some(entry) = locked(&self.entries).pop() else { break };
            match entry {
                // Nothing depends on a session that does not answer any more.
                Entry::Session(session) => drop(tokio::time::timeout(CLOSING, session.close()).await),
                Entry::Object(object) => self.close_object(*object).await,
            }
        }
        self.failures()
    }

    async fn close_object(&self, object: Object) {
        let Object { subject, private, renewing, .. } = object;
        if let Some(task) = renewing {
            task.abort();
            // What it has renewed last is what is closed.
            let _ = task.await;
        }
        let private = locked(&private).clone();
        let call = async {
            let call = subject.session.close_ephemeral(&subject.address.ty, private.as_ref());
            tokio::time::timeout(CLOSING, call).await.unwrap_or_else(|_| {
                let detail = format!("No answer came within {} seconds.", CLOSING.as_secs());
                Err(ProviderError::new(mesh_sdk::ErrorKind::Unreachable, "No answer", detail))
            })
        };
        if let Err(e) = told(self.sink.as_ref(), &subject.address, EphemeralOperation::Close, call).await {
            let detail = format!("{}: {} What it stands for may live on until it ends by itself.", e.summary, e.detail);
            let error = Diagnostic::error("ephemeral::close", "An ephemeral object was not closed", detail);
            locked(&self.failures).push(error.at(subject.span).on(&subject.address));
        }
    }
}

/// Renews an object until that fails or is not asked for any more.
async fn renew(
    subject: Subject,
    mut after: Duration,
    private: Arc<Mutex<Option<Private>>>,
    failures: Arc<Mutex<Diagnostics>>,
    sink: Arc<dyn Sink>,
) {
    loop {
        tokio::time::sleep(after).await;
        let last = locked(&private).clone();
        let call = subject.session.renew_ephemeral(&subject.address.ty, last.as_ref());
        match told(sink.as_ref(), &subject.address, EphemeralOperation::Renew, call).await {
            Ok(renewed) => {
                *locked(&private) = renewed.private;
                match renewed.renew_after {
                    Some(next) => after = next,
                    None => return,
                }
            }
            Err(e) => {
                let detail = format!(
                    "{}: {} What was made from it may have failed or ended since. Run the same command again.",
                    e.summary, e.detail
                );
                let error = Diagnostic::error("ephemeral::renew", "An ephemeral object was not renewed", detail);
                locked(&failures).push(error.at(subject.span).on(&subject.address));
                return;
            }
        }
    }
}

/// Does it, with its events.
async fn told<T>(
    sink: &dyn Sink,
    address: &Address,
    operation: EphemeralOperation,
    work: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let tell = |phase| sink.event(Event::Ephemeral { address: address.clone(), operation, phase });
    tell(Phase::Started);
    let start = Instant::now();
    tokio::pin!(work);
    let mut still = tokio::time::interval_at(tokio::time::Instant::now() + STILL, STILL);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = still.tick() => tell(Phase::Running(start.elapsed())),
        }
    };
    tell(match &result {
        Ok(_) => Phase::Done(start.elapsed()),
        Err(e) => {
            let diagnostic = Diagnostic::from(e.clone()).on(address);
            Phase::Failed(start.elapsed(), diagnostic)
        }
    });
    result
}
