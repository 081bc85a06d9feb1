//! The suite that every resource type passes on the real server.
//!
//! The one decision: a case is plain values (create with these, then change to those), so that a
//! provider's tests are a table; what must hold is written once, here:
//! the schema is legal; the object is absent before and present after create; a plan after apply is
//! a no-op; known planned values survive apply; an update does what it planned; creating what
//! exists fails unless adoption is asked for; after delete the object is absent and deleting again
//! succeeds; a canary secret shows in no debug text.

use std::sync::Arc;

use mesh_model::schema::Given;
use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, Fingerprinter, Mode, ModulePath, ResourceSchema, Value};

use crate::marks::mark_sensitive;
use crate::{
    IdentityHint, Observation, ObserveRequest, Observed, OnExisting, Opened, OperationRequest, Outcome, PlanRequest,
    PlanResponse, PreviewRequest, PreviewResponse, Provider, Session, Verdict,
};

/// One life of an object.
#[derive(Clone, Debug)]
pub struct Case {
    /// The resource type.
    pub ty: &'static str,
    /// The configuration that it is created with (attributes that are not given may be left out).
    pub create: Value,
    /// Configurations that it is updated to in place, one after the other.
    pub updates: Vec<Value>,
    /// A configuration that must be planned as a replace, if the type has one.
    pub replace: Option<Value>,
    /// Whether an existing object makes a create without adoption fail (nearly all types).
    pub exclusive: bool,
    /// A secret in the values that must show nowhere.
    pub canary: Option<&'static str>,
}

impl Case {
    /// A case without updates.
    pub fn new(ty: &'static str, create: Value) -> Self {
        Self { ty, create, updates: Vec::new(), replace: None, exclusive: true, canary: None }
    }
}

struct Run<'a> {
    provider: &'a dyn Provider,
    session: &'a dyn Session,
    schema: &'a ResourceSchema,
    fingerprinter: Fingerprinter,
    address: Address,
    texts: String,
}

/// Runs one case; the error says which promise was broken.
pub async fn run(provider: &dyn Provider, session: &dyn Session, case: &Case) -> Result<(), String> {
    let schema = provider.schema().resources.get(case.ty).ok_or_else(|| format!("no resource type {}", case.ty))?;
    legal(schema)?;
    let address = Address {
        module: ModulePath::root(),
        mode: Mode::Managed,
        ty: Arc::from(case.ty),
        name: Arc::from("conformance"),
        key: None,
    };
    let mut run =
        Run { provider, session, schema, fingerprinter: Fingerprinter::new([42; 32]), address, texts: String::new() };
    let result = run.life(case).await;
    if let (Ok(()), Some(canary)) = (&result, case.canary)
        && run.texts.contains(canary)
    {
        return Err(format!("{}: the canary secret shows in a debug text", case.ty));
    }
    result.map_err(|e| format!("{}: {e}", case.ty))
}

/// Opens an ephemeral object (attributes that are not given may be left out). What must hold: the schema is
/// legal; the value has its shape, is wholly known, and repeats what was configured; `canary` and what is
/// sensitive show in no debug text. The caller closes it.
pub async fn open(
    provider: &dyn Provider,
    session: &dyn Session,
    ty: &str,
    config: &Value,
    canary: Option<&str>,
) -> Result<Opened, String> {
    let schema = provider.schema().ephemeral.get(ty).ok_or_else(|| format!("no ephemeral type {ty}"))?;
    legal(schema)?;
    let values = schema.schema.attributes.iter().map(|a| {
        let given = config.get(a.name).filter(|v| !v.is_null()).cloned();
        let value = given.or_else(|| a.default.clone()).unwrap_or_else(|| Value::null(a.ty.clone()));
        mesh_model::convert::convert(&value, &a.ty).map(|v| (a.name, v)).map_err(|e| format!("{}: {e}", a.name))
    });
    let config = Value::object(values.collect::<Result<Vec<_>, String>>()?);
    let opened = session.open_ephemeral(ty, &config).await.map_err(|e| format!("open failed: {e}"))?;
    let text = format!("{opened:?} {:?} {:?}", opened.value, opened.private);
    for attribute in &schema.schema.attributes {
        let value = opened.value.get(attribute.name).ok_or_else(|| format!("no attribute {}", attribute.name))?;
        mesh_model::convert::convert(value, &attribute.ty).map_err(|e| format!("{}: {e}", attribute.name))?;
        if !value.is_wholly_known() {
            return Err(format!("{} is unknown", attribute.name));
        }
        let given = config.get(attribute.name).filter(|v| !v.is_null());
        if given.is_some_and(|g| !g.same(value)) {
            return Err(format!("{} is not what was configured", attribute.name));
        }
        if let (true, Some(secret)) = (attribute.sensitive, value.as_str())
            && text.contains(secret)
        {
            return Err(format!("{} shows in a debug text", attribute.name));
        }
    }
    match canary {
        Some(canary) if text.contains(canary) => Err("the canary secret shows in a debug text".into()),
        _ => Ok(opened),
    }
}

fn legal(schema: &ResourceSchema) -> Result<(), String> {
    if schema.doc.is_empty() || schema.example.is_empty() {
        return Err(format!("{} lacks a description or an example", schema.name));
    }
    for attribute in &schema.schema.attributes {
        if attribute.doc.is_empty() {
            return Err(format!("{}.{} lacks a description", schema.name, attribute.name));
        }
        if attribute.given == Given::Required && attribute.default.is_some() {
            return Err(format!("{}.{} is required and has a default", schema.name, attribute.name));
        }
    }
    Ok(())
}

impl Run<'_> {
    /// Keeps what a debug text would show, for the search for the canary.
    fn keep(&mut self, what: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(self.texts, "{what:?}");
    }

    /// The configuration in the shape of the schema, with defaults.
    fn shape(&self, config: &Value) -> Result<Value, String> {
        let values = self.schema.schema.attributes.iter().map(|a| {
            let given = config.get(a.name).filter(|v| !v.is_null()).cloned();
            let value = given.or_else(|| a.default.clone()).unwrap_or_else(|| Value::null(a.ty.clone()));
            mesh_model::convert::convert(&value, &a.ty).map(|v| (a.name, v)).map_err(|e| format!("{}: {e}", a.name))
        });
        let blocks =
            self.schema.schema.blocks.iter().map(|b| Ok((b.name, config.get(b.name).cloned().unwrap_or(Value::NULL))));
        let values = values.chain(blocks).collect::<Result<Vec<_>, String>>()?;
        let marked = mark_sensitive(&self.schema.schema, &Value::object(values));
        Ok(self.rules()?.mark(marked))
    }

    fn rules(&self) -> Result<&dyn crate::Rules, String> {
        self.provider.rules(self.schema.name).ok_or_else(|| "the type has no rules".to_owned())
    }

    async fn observe(
        &mut self,
        identity: Option<&Identity>,
        saved: Option<&Value>,
        desired: &Value,
    ) -> Result<Option<Observed>, String> {
        let request = ObserveRequest {
            address: self.address.clone(),
            ty: self.address.ty.clone(),
            identity: identity.cloned(),
            saved: saved.map(|s| self.fingerprinter.withhold(s)),
            desired: Some(desired.clone()),
            private: None,
        };
        let mut answers = self.session.observe(vec![request]).await;
        let answer = answers.pop().ok_or("observe answered nothing")?.map_err(|e| format!("observe failed: {e}"))?;
        self.keep(&answer);
        Ok(match answer {
            Observation::Absent => None,
            Observation::Present(observed) => Some(observed),
        })
    }

    async fn plan(
        &mut self,
        saved: Option<&Value>,
        observed: Option<&Value>,
        desired: &Value,
    ) -> Result<PlanResponse, String> {
        let saved = saved.map(|s| self.fingerprinter.withhold(s));
        let decide = |run: &Self, preview: Option<&Value>| -> Result<PlanResponse, String> {
            Ok(run.rules()?.plan(&PlanRequest {
                schema: run.schema,
                saved: saved.as_ref(),
                observed,
                desired,
                preview,
                fingerprinter: &run.fingerprinter,
            }))
        };
        let mut response = decide(self, None)?;
        if response.needs_preview {
            let request = PreviewRequest {
                address: self.address.clone(),
                ty: self.address.ty.clone(),
                observed: observed.cloned(),
                planned: response.after.clone(),
            };
            match self.session.preview(request).await.map_err(|e| format!("preview failed: {e}"))? {
                PreviewResponse::Values(v) => response = decide(self, Some(&v))?,
                PreviewResponse::Skipped(_) | PreviewResponse::Later(_) => {}
                PreviewResponse::MustReplace(paths) => response.verdict = Verdict::Replace(paths),
            }
        }
        self.keep(&response);
        Ok(response)
    }

    async fn apply(
        &mut self,
        operation: Operation,
        identity: Option<&Identity>,
        before: Option<&Value>,
        after: Option<&Value>,
        on_existing: OnExisting,
    ) -> Result<Outcome, String> {
        let request = OperationRequest {
            address: self.address.clone(),
            ty: self.address.ty.clone(),
            operation,
            identity: identity.cloned(),
            before: before.cloned(),
            after: after.cloned(),
            private: None,
            on_existing,
        };
        self.keep(&request);
        let outcome = self.session.apply(vec![request]).await.pop().ok_or("apply answered nothing")?;
        self.keep(&outcome);
        Ok(outcome)
    }

    async fn life(&mut self, case: &Case) -> Result<(), String> {
        let desired = self.shape(&case.create)?;
        let hint = self.rules()?.identity(&desired);
        let known = if let IdentityHint::Known(id) = &hint { Some(id.clone()) } else { None };
        if known.is_some() && self.observe(known.as_ref(), None, &desired).await?.is_some() {
            return Err("the object exists before it was created".into());
        }
        let plan = self.plan(None, None, &desired).await?;
        if plan.verdict != Verdict::Create {
            return Err(format!("the first plan is {:?}, not create", plan.verdict));
        }
        let outcome = self.apply(Operation::Create, known.as_ref(), None, Some(&plan.after), OnExisting::Fail).await?;
        let (mut saved, identity) = applied("create", outcome)?;
        let identity = identity.ok_or("create gave no identity")?;
        if known.as_ref().is_some_and(|k| *k != identity) {
            return Err(format!("the identity was {known:?} before and {identity:?} after create"));
        }
        self.kept("create", &plan.after, &saved)?;
        if case.exclusive && known.is_some() {
            match self.apply(Operation::Create, known.as_ref(), None, Some(&plan.after), OnExisting::Fail).await? {
                Outcome::Rejected { .. } => {}
                _ => return Err("creating what exists did not fail".into()),
            }
        }
        let mut desired = desired;
        for (n, update) in std::iter::once(None).chain(case.updates.iter().map(Some)).enumerate() {
            if let Some(update) = update {
                desired = self.shape(update)?;
                let observed =
                    self.observe(Some(&identity), Some(&saved), &desired).await?.ok_or("the object is gone")?;
                let plan = self.plan(Some(&saved), Some(&observed.values), &desired).await?;
                if plan.verdict != Verdict::Update {
                    return Err(format!("update {n} is planned as {:?}", plan.verdict));
                }
                let outcome = self
                    .apply(
                        Operation::Update,
                        Some(&identity),
                        Some(&observed.values),
                        Some(&plan.after),
                        OnExisting::Fail,
                    )
                    .await?;
                let (values, _) = applied("update", outcome)?;
                self.kept("update", &plan.after, &values)?;
                saved = values;
            }
            let observed =
                self.observe(Some(&identity), Some(&saved), &desired).await?.ok_or("the object is gone after apply")?;
            let again = self.plan(Some(&saved), Some(&observed.values), &desired).await?;
            if again.verdict != Verdict::NoOp {
                return Err(format!(
                    "the plan after apply {n} is {:?}, not empty\nbefore: {:?}\nafter:  {:?}",
                    again.verdict, again.before, again.after
                ));
            }
        }
        if let Some(replace) = &case.replace {
            let desired = self.shape(replace)?;
            let observed = self.observe(Some(&identity), Some(&saved), &desired).await?.ok_or("the object is gone")?;
            let plan = self.plan(Some(&saved), Some(&observed.values), &desired).await?;
            if !matches!(plan.verdict, Verdict::Replace(_)) {
                return Err(format!("the replace is planned as {:?}", plan.verdict));
            }
        }
        for _ in 0..2 {
            let outcome = self.apply(Operation::Delete, Some(&identity), Some(&saved), None, OnExisting::Fail).await?;
            applied("delete", outcome)?;
        }
        // State has forgotten it by then, too.
        if self.observe(Some(&identity), None, &desired).await?.is_some() {
            return Err("the object is still there after delete".into());
        }
        Ok(())
    }

    /// Known planned values must be what apply gave.
    fn kept(&self, what: &str, planned: &Value, got: &Value) -> Result<(), String> {
        for attribute in &self.schema.schema.attributes {
            let (Some(p), Some(g)) = (planned.get(attribute.name), got.get(attribute.name)) else {
                return Err(format!("{what} did not give the attribute {}", attribute.name));
            };
            if !g.is_wholly_known() {
                return Err(format!("{} is unknown after {what}", attribute.name));
            }
            if p.is_wholly_known() && !self.fingerprinter.same(p, g) && !attribute.equality.same(p, g) {
                return Err(format!("{} was planned as {p:?} and is {g:?} after {what}", attribute.name));
            }
        }
        Ok(())
    }
}

fn applied(what: &str, outcome: Outcome) -> Result<(Value, Option<Identity>), String> {
    match outcome {
        Outcome::Applied { values, identity, .. } => Ok((values, identity)),
        Outcome::Rejected { error, .. } => Err(format!("{what} was rejected: {error}")),
        Outcome::InDoubt { error } => Err(format!("{what} is in doubt: {error}")),
    }
}
