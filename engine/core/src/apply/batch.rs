//! Ready operations of one batch key in one call.
//!
//! The one decision: whoever reaches the call first waits for those that are on their way to it (they
//! wait for nothing but their intents), then calls for all. One key has one call at a time, so that
//! what arrives meanwhile forms the next one. It decides nothing about single outcomes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use mesh_sdk::{OperationRequest, Outcome};
use tokio::sync::{Mutex, Notify};

/// Provider, type, and the type's own key.
pub(super) type Key = (usize, Arc<str>, String);

/// Operations of one key.
#[derive(Default)]
pub(super) struct Batch {
    /// How many have begun and not reached the call.
    coming: Cell<usize>,
    /// What waits for the next call, by ticket.
    waiting: RefCell<Vec<(usize, OperationRequest)>>,
    answers: RefCell<HashMap<usize, Outcome>>,
    tickets: Cell<usize>,
    arrived: Notify,
    calling: Mutex<()>,
}

/// An operation on its way to the call.
pub(super) struct Coming(Rc<Batch>);

impl Coming {
    /// Announces one.
    pub(super) fn new(batch: Rc<Batch>) -> Self {
        batch.coming.set(batch.coming.get() + 1);
        Self(batch)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.set(self.0.coming.get() - 1);
        self.0.arrived.notify_waiters();
    }
}

impl Batch {
    /// The outcome of one operation, after a `call` that may have been for several.
    pub(super) async fn outcome<F>(
        &self,
        request: OperationRequest,
        call: impl FnOnce(Vec<OperationRequest>) -> F,
    ) -> Option<Outcome>
    where
        F: Future<Output = Vec<Outcome>>,
    {
        let ticket = self.tickets.get();
        self.tickets.set(ticket + 1);
        self.waiting.borrow_mut().push((ticket, request));
        let _calling = self.calling.lock().await;
        if let Some(outcome) = self.answers.borrow_mut().remove(&ticket) {
            return Some(outcome);
        }
        // An intent that was durable at once must not run ahead of those that are about to begin.
        tokio::task::yield_now().await;
        while self.coming.get() > 0 {
            self.arrived.notified().await;
        }
        let (tickets, requests): (Vec<_>, Vec<_>) = self.waiting.take().into_iter().unzip();
        let outcomes = call(requests).await;
        let mut answers = self.answers.borrow_mut();
        answers.extend(tickets.into_iter().zip(outcomes));
        answers.remove(&ticket)
    }
}
