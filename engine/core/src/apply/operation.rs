//! One operation: final values, intent, call, result.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_lang::attribute_span;
use mesh_model::snapshot::{Identity, Intent, Operation};
use mesh_model::{Action, Change, Diagnostic, Instance, Severity, Type, Value};
use mesh_sdk::{OnExisting, OperationRequest, Outcome, ProviderError, Session};
use mesh_state::{Record, StateError};
use tokio::sync::SemaphorePermit;

use super::batch::{Batch, Coming};
use super::{End, Walk};
use crate::event::Event;
use crate::plan::{Item, either};

/// How often a running operation is reported.
const STILL: Duration = Duration::from_secs(10);

impl Walk<'_, '_> {
    /// One step within the limits, with its events.
    pub(super) async fn guarded(&self, i: usize, remove: bool) -> End {
        let change = &self.planning.plan.changes[i];
        let item = &self.planning.items[i];
        let batch = self.batch(change, item, remove);
        // Those of a batch share the permits of its call.
        let _permits = match &batch {
            None => Some(self.permits(item).await),
            Some(_) => None,
        };
        let coming = batch.clone().map(Coming::new);
        if self.cancel.requested() {
            self.report.borrow_mut().interrupted = true;
            let because: Arc<str> = Arc::from("the apply was interrupted");
            self.skip(if remove { super::Step::Remove(i) } else { super::Step::Make(i) }, &because);
            return End::Blocked(because);
        }
        let action = shown(change, remove);
        let address = change.address.clone();
        let there =
            item.identity.as_ref().filter(|_| matches!(action, Action::Update | Action::Delete | Action::Forget));
        let identity = there.map(|i| i.0.clone());
        self.engine.sink.event(Event::Started { address: address.clone(), action, identity });
        let start = Instant::now();
        let work = async {
            match (remove, change.action) {
                (true, _) => self.remove(change, item, batch, coming).await,
                (false, Action::Read) => self.read(i, change, item).await,
                (false, _) => self.make(i, change, item, batch, coming).await,
            }
        };
        tokio::pin!(work);
        let mut still = tokio::time::interval_at(tokio::time::Instant::now() + STILL, STILL);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = still.tick() => self.engine.sink.event(Event::Running { address: address.clone(), action, elapsed: start.elapsed() }),
            }
        };
        let elapsed = start.elapsed();
        match result {
            Ok(identity) => {
                self.count(change, remove);
                self.engine.sink.event(Event::Done { address, action, elapsed, identity: identity.map(|i| i.0) });
                End::Ok
            }
            Err(diagnostic) => {
                let mut diagnostic = diagnostic.on(&address).at_default(self.block_span(item));
                if self.in_check(i) {
                    diagnostic.severity = Severity::Warning;
                    self.engine.sink.event(Event::Failed { address, action, elapsed, diagnostic: diagnostic.clone() });
                    self.report.borrow_mut().diagnostics.push(diagnostic);
                    self.values.borrow_mut()[i] = Some(Value::unknown(Type::Dynamic));
                    return End::Ok;
                }
                self.engine.sink.event(Event::Failed {
                    address: address.clone(),
                    action,
                    elapsed,
                    diagnostic: diagnostic.clone(),
                });
                let because = Arc::from(format!("{address} failed"));
                self.said.borrow_mut().insert(address.clone());
                self.report.borrow_mut().failed.push((address, diagnostic));
                End::Blocked(because)
            }
        }
    }

    /// The right to call. The provider's own limit comes first: what waits for a slow system must not
    /// keep the others out.
    pub(super) async fn permits(&self, item: &Item) -> (Option<SemaphorePermit<'_>>, Option<SemaphorePermit<'_>>) {
        let one = self.limits[item.provider].acquire().await.ok();
        (one, self.all.acquire().await.ok())
    }

    /// The batch that an operation belongs to.
    fn batch(&self, change: &Change, item: &Item, remove: bool) -> Option<Rc<Batch>> {
        if matches!(change.action, Action::Read | Action::Forget) {
            return None;
        }
        let rules = self.engine.rules(change.address.mode, &change.address.ty)?;
        let key = rules.batch_key(if remove { &change.before } else { &change.after })?;
        let mut batches = self.batches.borrow_mut();
        Some(batches.entry((item.provider, change.address.ty.clone(), key)).or_default().clone())
    }

    fn count(&self, change: &Change, remove: bool) {
        let counts = &mut self.report.borrow_mut().counts;
        match (remove, change.action) {
            (true, Action::Forget) => counts.forget += 1,
            (true, _) => counts.destroy += 1,
            (false, Action::Read) => {}
            (false, _) if change.importing.is_some() => {
                counts.import += 1;
                counts.change += usize::from(change.action == Action::Update);
            }
            (false, Action::Update) => counts.change += 1,
            (false, Action::ReplaceForget) => {
                counts.add += 1;
                counts.forget += 1;
            }
            (false, _) => counts.add += 1,
        }
    }

    fn session(&self, item: &Item) -> Result<Arc<dyn Session>, Diagnostic> {
        let provider = &self.planning.providers[item.provider];
        provider.session.clone().ok_or_else(|| {
            let detail = format!(
                "Provider {:?} has no session in this stage, so nothing was sent. Run the same command again.",
                provider.key
            );
            Diagnostic::error("apply::session", "A provider is not configured", detail)
        })
    }

    /// The diagnostic of a provider's error.
    pub(super) fn explain(&self, item: &Item, error: &ProviderError) -> Diagnostic {
        let span = error.path.as_ref().and_then(|p| self.block(item).and_then(|(_, b)| attribute_span(&b.body, p)));
        Diagnostic::from(error.clone()).at_default(span)
    }

    async fn read(&self, i: usize, change: &Change, item: &Item) -> Result<Option<Identity>, Diagnostic> {
        let config = self.evaluate(item)?;
        let value = self.session(item)?.read(&change.address.ty, &config).await.map_err(|e| self.explain(item, &e))?;
        self.postconditions(item, &value)?;
        self.values.borrow_mut()[i] = Some(value);
        Ok(None)
    }

    async fn make(
        &self,
        i: usize,
        change: &Change,
        item: &Item,
        batch: Option<Rc<Batch>>,
        coming: Option<Coming>,
    ) -> Result<Option<Identity>, Diagnostic> {
        let after = self.finalize(change, item)?;
        let session = self.session(item)?;
        let adopting = change.importing.is_some();
        let operation =
            if change.action == Action::Update && !adopting { Operation::Update } else { Operation::Create };
        if change.action.deposes() {
            self.store(None, Record::Depose { address: change.address.clone(), key: self.deposed_key() }).await?;
        }
        let identity = self.identity(change, item, &after, operation);
        let intent = Intent {
            address: change.address.clone(),
            // What is taken over is there already: were this in doubt, it would not be an object that we made.
            operation: if adopting { Operation::Update } else { operation },
            provider: change.provider.clone(),
            identity: identity.clone(),
            planned: self.planning.fingerprinter.withhold(&after),
            dependencies: item.dependencies.clone(),
            protected: item.protected,
            kept: item.kept,
        };
        let seq = self.writer.intend(storable(intent)).await.map_err(|e| state_error(&e))?;
        let request = OperationRequest {
            address: change.address.clone(),
            ty: change.address.ty.clone(),
            operation,
            identity,
            before: item.observed.as_ref().map(|o| o.values.clone()),
            after: Some(after.clone()),
            private: item.observed.as_ref().and_then(|o| o.private.clone()),
            on_existing: if adopting || item.adopt { OnExisting::Adopt } else { OnExisting::Fail },
        };
        // A new object is ours, whatever stood there before.
        let saved = self.planning.snapshot.instances.get(&change.address);
        let adopted = adopting && item.adopt || operation == Operation::Update && saved.is_some_and(|s| s.adopted);
        match self.call(item, session.as_ref(), request, batch, coming).await {
            Outcome::Applied { values, identity, private, warnings } => {
                let values = self.kept(change, values, &after);
                for text in warnings {
                    self.engine.sink.event(Event::Warning(
                        Diagnostic::warning("provider::warning", "The server has a warning", text).on(&change.address),
                    ));
                }
                // What was imported by name is ours like what we made; what was adopted is only looked after.
                let instance =
                    self.instance(change, item, &session, &values, identity.clone(), private, false, adopted);
                self.store(Some(seq), Record::Put { address: change.address.clone(), deposed: None, instance }).await?;
                if change.action == Action::ReplaceForget {
                    let deposed = Some(self.deposed_key());
                    self.store(None, Record::Remove { address: change.address.clone(), deposed }).await?;
                }
                self.postconditions(item, &values)?;
                self.values.borrow_mut()[i] = Some(values);
                Ok(identity)
            }
            Outcome::Rejected { error, left } => {
                let record = match left {
                    Some(left) => {
                        let values = self.kept(change, left.values, &after);
                        let tainted = operation == Operation::Create && !adopting;
                        let mut instance = self.instance(
                            change,
                            item,
                            &session,
                            &values,
                            Some(left.identity),
                            left.private,
                            tainted,
                            adopted,
                        );
                        if let Some(saved) = self.planning.snapshot.instances.get(&change.address).filter(|_| !tainted)
                        {
                            // Half of it is as it was.
                            let dependencies = either(&saved.dependencies, &instance.dependencies);
                            instance = Arc::new(Instance { dependencies, ..Instance::clone(&instance) });
                        }
                        Record::Put { address: change.address.clone(), deposed: None, instance }
                    }
                    // Nothing new is there: the old object is the current one again.
                    None if change.action.deposes() => {
                        Record::Restore { address: change.address.clone(), key: self.deposed_key() }
                    }
                    None => Record::Nothing,
                };
                self.store(Some(seq), record).await?;
                Err(self.explain(item, &error))
            }
            Outcome::InDoubt { error } => Err(self.in_doubt(item, &error)),
        }
    }

    async fn remove(
        &self,
        change: &Change,
        item: &Item,
        batch: Option<Rc<Batch>>,
        coming: Option<Coming>,
    ) -> Result<Option<Identity>, Diagnostic> {
        let deposed = change
            .deposed
            .clone()
            .or_else(|| (change.action == Action::ReplaceCreateFirst).then(|| self.deposed_key()));
        let gone = Record::Remove { address: change.address.clone(), deposed };
        if change.action == Action::Forget {
            self.store(None, gone).await?;
            return Ok(None);
        }
        let session = self.session(item)?;
        let saved = self.planning.snapshot.instances.get(&change.address);
        let intent = Intent {
            address: change.address.clone(),
            operation: Operation::Delete,
            provider: change.provider.clone(),
            identity: item.identity.clone(),
            planned: Value::NULL,
            dependencies: item.dependencies.clone(),
            protected: false,
            kept: false,
        };
        let seq = self.writer.intend(intent).await.map_err(|e| state_error(&e))?;
        let request = OperationRequest {
            address: change.address.clone(),
            ty: change.address.ty.clone(),
            operation: Operation::Delete,
            identity: item.identity.clone(),
            before: Some(item.observed.as_ref().map_or_else(|| change.before.clone(), |o| o.values.clone())),
            after: None,
            private: item
                .observed
                .as_ref()
                .and_then(|o| o.private.clone())
                .or_else(|| saved.and_then(|s| s.private.clone())),
            on_existing: OnExisting::Fail,
        };
        match self.call(item, session.as_ref(), request, batch, coming).await {
            Outcome::Applied { identity, .. } => {
                self.store(Some(seq), gone).await?;
                Ok(identity)
            }
            Outcome::Rejected { error, .. } => {
                self.store(Some(seq), Record::Nothing).await?;
                Err(self.explain(item, &error))
            }
            Outcome::InDoubt { error } => Err(self.in_doubt(item, &error)),
        }
    }

    /// The key of the object that a replace of this plan deposes: the plan's digest, so that a
    /// resumed run finds the same one.
    fn deposed_key(&self) -> Arc<str> {
        let make = || Arc::from(self.planning.digest().chars().take(8).collect::<String>());
        self.deposed_key.get_or_init(make).clone()
    }

    #[expect(clippy::too_many_arguments, reason = "one place that knows how an instance is put together")]
    fn instance(
        &self,
        change: &Change,
        item: &Item,
        session: &Arc<dyn Session>,
        values: &Value,
        identity: Option<Identity>,
        private: Option<Arc<str>>,
        tainted: bool,
        adopted: bool,
    ) -> Arc<Instance> {
        Arc::new(Instance {
            provider: change.provider.clone(),
            schema_version: self.engine.schema(change.address.mode, &change.address.ty).map_or(0, |s| s.version),
            values: self.planning.fingerprinter.withhold(values),
            identity,
            target: session.target(),
            dependencies: item.dependencies.clone(),
            protected: item.protected,
            create_before_destroy: item.create_before_destroy,
            tainted,
            adopted,
            kept: item.kept,
            private,
        })
    }

    async fn store(&self, seq: Option<u64>, record: Record) -> Result<(), Diagnostic> {
        self.writer.record(seq, record).await.map_err(|e| state_error(&e))
    }
}

/// An intent that can be stored: what only the provider will know becomes null.
fn storable(mut intent: Intent) -> Intent {
    fn known(value: &Value) -> Value {
        if value.is_unknown() { Value::null(value.ty()) } else { value.map_children(&known) }
    }
    intent.planned = known(&intent.planned);
    intent
}

/// What is said to be done: the halves of a replace by themselves.
fn shown(change: &Change, remove: bool) -> Action {
    match (remove, change.action) {
        (true, Action::Forget) => Action::Forget,
        (true, _) => Action::Delete,
        (false, action) if action.is_replace() => Action::Create,
        (false, action) => action,
    }
}

/// The diagnostic of a state error.
pub(crate) fn state_error(error: &StateError) -> Diagnostic {
    Diagnostic::from(error.clone())
}
