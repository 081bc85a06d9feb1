//! The call of a provider: within its time, in its batch, again where that may help.

use std::rc::Rc;
use std::time::Duration;

use mesh_model::Diagnostic;
use mesh_model::snapshot::Operation;
use mesh_sdk::{OperationRequest, Outcome, ProviderError, Session};

use super::Walk;
use super::batch::{Batch, Coming};
use crate::plan::Item;

/// Pauses before trying a transient failure again.
const RETRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

impl Walk<'_, '_> {
    /// How long an operation may take, as its block says.
    pub(super) fn time(&self, item: &Item, operation: Operation) -> Option<Duration> {
        let timeouts = self.block(item)?.1.timeouts;
        match operation {
            Operation::Create => timeouts.create,
            Operation::Update => timeouts.update,
            Operation::Delete => timeouts.delete,
        }
    }

    /// The call within its time. What several operations share has no time of its own.
    pub(super) async fn call(
        &self,
        item: &Item,
        session: &dyn Session,
        request: OperationRequest,
        batch: Option<Rc<Batch>>,
        coming: Option<Coming>,
    ) -> Outcome {
        let time = self.time(item, request.operation).filter(|_| batch.is_none());
        let called = self.called(item, session, request, batch, coming);
        let Some(time) = time else { return called.await };
        tokio::time::timeout(time, called).await.unwrap_or_else(|_| {
            let detail = format!("The timeouts block gives it {time:?}.");
            Outcome::InDoubt { error: ProviderError::new(mesh_sdk::ErrorKind::Other, "Not done in time", detail) }
        })
    }

    /// The call, tried again while the error says that this may help.
    pub(super) async fn called(
        &self,
        item: &Item,
        session: &dyn Session,
        request: OperationRequest,
        batch: Option<Rc<Batch>>,
        coming: Option<Coming>,
    ) -> Outcome {
        let mut pauses = RETRIES.iter();
        drop(coming);
        loop {
            let outcome = match &batch {
                None => session.apply(vec![request.clone()]).await.pop(),
                Some(batch) => {
                    let call = |requests| async {
                        let _permits = self.permits(item).await;
                        session.apply(requests).await
                    };
                    batch.outcome(request.clone(), call).await
                }
            };
            match (outcome, pauses.next()) {
                (Some(Outcome::Rejected { error, left: None }), Some(pause))
                    if error.transient && !self.cancel.requested() =>
                {
                    tokio::time::sleep(*pause).await;
                }
                (Some(outcome), _) => return outcome,
                (None, _) => {
                    return Outcome::InDoubt {
                        error: ProviderError::new(
                            mesh_sdk::ErrorKind::Other,
                            "A call was not answered",
                            "The provider answered fewer operations than it got.",
                        ),
                    };
                }
            }
        }
    }

    pub(super) fn in_doubt(&self, item: &Item, error: &ProviderError) -> Diagnostic {
        let mut diagnostic = self.explain(item, error);
        diagnostic.detail.push_str(
            " It is not known whether the change was made; the next run looks it up before it does anything else.",
        );
        diagnostic
    }
}
