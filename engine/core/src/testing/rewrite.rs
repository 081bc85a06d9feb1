//! The configuration of one run: the module under test with the providers, mocks and overrides of the file.
//!
//! The one decision: an override is a provider configuration of its own that only the overridden block
//! uses. So planning, state and destroying need to know nothing of it, and a provider of which everything
//! is overridden is never configured.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use mesh_lang::{
    Attribute, Block, Body, Config, Expr, MockProvider, Override, ProviderConfig, ProviderRef, Scope, Target, TestFile,
    TestRun,
};
use mesh_model::schema::Given;
use mesh_model::{Diagnostic, Diagnostics, Mode, Schema, Span, Type, Value};
use mesh_sdk::Provider;

use super::mock::{MARK, Mocked, Spec, made_up, misfit};
use crate::engine::Engine;

/// What a run works on.
pub(super) struct Rewritten {
    pub(super) config: Config,
    pub(super) providers: Vec<Arc<dyn Provider>>,
}

struct Work<'w> {
    engine: &'w Engine,
    scope: &'w dyn Scope,
    config: Config,
    specs: Vec<Spec>,
    mocked: BTreeSet<Arc<str>>,
    found: Diagnostics,
}

/// Rewrites `config` for a run; `engine` has the real providers. Everything is evaluated in `scope`.
///
/// # Errors
/// Values that cannot be evaluated or do not fit.
pub(super) fn rewrite(
    engine: &Engine,
    file: &TestFile,
    run: &TestRun,
    config: &Config,
    scope: &dyn Scope,
) -> Result<Rewritten, Diagnostics> {
    let mut work = Work {
        engine,
        scope,
        config: config.clone(),
        specs: Vec::new(),
        mocked: BTreeSet::new(),
        found: Diagnostics::new(),
    };
    let mut own = Vec::new();
    for provider in &file.providers {
        let body = work.fixed(&provider.body);
        own.push(ProviderConfig { body, ..provider.clone() });
    }
    own.extend(file.mocks.iter().filter_map(|m| work.mock(m)));
    if !run.providers.is_empty() {
        own = run
            .providers
            .iter()
            .filter_map(|(inside, outside)| {
                let block = own.iter().find(|p| p.name == outside.name && p.alias == outside.alias)?.clone();
                Some(ProviderConfig { name: inside.name.clone(), alias: inside.alias.clone(), ..block })
            })
            .collect();
    }
    if let Some(root) = work.config.modules.first_mut() {
        root.providers.retain(|p| !own.iter().any(|o| o.name == p.name && o.alias == p.alias));
        root.providers.extend(own);
    }
    // Later ones win: what stands closest to the run.
    let of_mocks = file.mocks.iter().flat_map(|m| m.overrides.iter().map(|o| (o, m.during_plan)));
    let plain = |list: &'_ [Override]| list.iter().cloned().map(|o| (o, false)).collect::<Vec<_>>();
    let mut all: Vec<(Override, bool)> = of_mocks.map(|(o, during)| (o.clone(), during)).collect();
    all.extend(plain(&file.overrides));
    let active = all.len();
    all.extend(file.runs.iter().flat_map(|r| plain(&r.overrides).into_iter()));
    let mine: Vec<Span> = run.overrides.iter().map(|o| o.span).collect();
    for (i, (one, during)) in all.iter().enumerate() {
        // What other runs override stays nameable: objects in state may come from there.
        let applies = i < active || mine.contains(&one.span);
        work.overriding(i, one, *during, applies);
    }
    if work.found.has_errors() {
        return Err(work.found);
    }
    // What a test makes ends with it, also what it replaces on the way.
    for block in work.config.modules.iter_mut().flat_map(|m| &mut m.resources) {
        block.lifecycle.destroy = true;
    }
    let specs = Arc::new(work.specs);
    let wrap = |p: &Arc<dyn Provider>| -> Arc<dyn Provider> {
        let is_mocked = work.mocked.contains(p.schema().name);
        if is_mocked { Arc::new(Mocked::new(p.clone(), specs.clone())) } else { p.clone() }
    };
    Ok(Rewritten { config: work.config, providers: engine.providers().iter().map(wrap).collect() })
}

impl Work<'_> {
    /// A body whose expressions are the values that they have here.
    fn fixed(&mut self, body: &Body) -> Body {
        let mut out = body.clone();
        for attribute in &mut out.attributes {
            if let Some(value) = self.found.take(attribute.expr.eval(self.scope)) {
                attribute.expr = Expr::value_at(value, attribute.expr.span());
            }
        }
        for block in out.blocks.iter_mut().filter(|b| b.dynamic.is_none()) {
            block.body = self.fixed(&block.body);
        }
        out
    }

    /// The configuration that a spec answers for.
    fn configuration(&mut self, name: &Arc<str>, alias: Option<Arc<str>>, spec: Spec, span: Span) -> ProviderConfig {
        let index = self.specs.len() as u64;
        self.specs.push(spec);
        self.mocked.insert(name.clone());
        let config = self.engine.provider(name).map(|p| p.schema().config.clone()).unwrap_or_default();
        let mut body = required(&config, span);
        body.attributes.push(attribute(MARK, Value::number(index), span));
        ProviderConfig { name: name.clone(), alias, for_each: None, body, span }
    }

    fn mock(&mut self, mock: &MockProvider) -> Option<ProviderConfig> {
        let mut types = HashMap::new();
        for ty in &mock.types {
            let mode = if ty.data { Mode::Data } else { Mode::Managed };
            let Some(schema) = self.engine.schema(mode, &ty.ty).map(|s| s.schema.clone()) else {
                let what = if ty.data { "data source" } else { "resource type" };
                let detail = format!("No provider has a {what} {:?}.", &*ty.ty);
                self.found.push(Diagnostic::error("test::mock", "Unknown type in a mock", detail).at(ty.span));
                continue;
            };
            let values = self.values(ty.defaults.as_ref(), Some(&schema));
            types.insert((mode, ty.ty.clone()), (values, ty.during_plan.unwrap_or(mock.during_plan)));
        }
        if self.engine.provider(&mock.name).is_none() {
            let detail = format!(
                "There is no provider {:?} to mock. The providers are: {}.",
                &*mock.name,
                self.engine.provider_names().join(", ")
            );
            self.found.push(Diagnostic::error("test::mock", "Unknown provider", detail).at(mock.span));
            return None;
        }
        let spec = Spec { types, any: None, during_plan: mock.during_plan };
        Some(self.configuration(&mock.name, mock.alias.clone(), spec, mock.span))
    }

    /// The object of an expression; null without one. It must fit a schema.
    fn values(&mut self, expr: Option<&Expr>, schema: Option<&Schema>) -> Value {
        let Some(expr) = expr else { return Value::NULL };
        let Some(value) = self.found.take(expr.eval(self.scope)) else { return Value::NULL };
        let wrong = if value.as_fields().is_none() {
            Some("it must be an object, such as { id = \"a\" }".to_owned())
        } else {
            schema.and_then(|s| misfit(s, &value))
        };
        if let Some(wrong) = wrong {
            let detail = format!("These values cannot stand in for those of a provider: {wrong}.");
            self.found.push(Diagnostic::error("test::mock", "Invalid values of a mock", detail).at(expr.span()));
        }
        value
    }

    fn overriding(&mut self, number: usize, one: &Override, during: bool, applies: bool) {
        let during = one.during_plan.unwrap_or(during);
        match &one.target {
            Target::Module(path) if applies => {
                let values = self.values(one.values.as_ref(), None);
                let fields = values.as_fields().into_iter().flat_map(|f| f.iter());
                let outputs: Vec<_> = fields.map(|(n, v)| (n.clone(), v.clone())).collect();
                self.config.replace_module(&path.names(), &outputs);
            }
            Target::Module(_) => {}
            Target::Resource(address) => {
                let Some(provider) = self.engine.provider_of(address.mode, &address.ty) else { return };
                let name: Arc<str> = provider.schema().name.into();
                let schema = self.engine.schema(address.mode, &address.ty).map(|s| s.schema.clone());
                // Values of other runs may refer to what is not there yet.
                let values = if applies { self.values(one.values.as_ref(), schema.as_ref()) } else { Value::NULL };
                let alias: Arc<str> = format!("test-override-{number}").into();
                let spec = Spec { any: Some((values, during)), during_plan: during, ..Spec::default() };
                let block = self.configuration(&name, Some(alias.clone()), spec, one.span);
                let path = address.module.names();
                if applies {
                    let reference = ProviderRef { name, alias: Some(alias), key: None, span: one.span };
                    self.lead(&path, address, &reference);
                }
                if let Some(root) = self.config.modules.first_mut() {
                    root.providers.push(block);
                }
            }
        }
    }

    /// Lets a block use a configuration, which is handed on by every call around it.
    fn lead(&mut self, path: &[Arc<str>], address: &mesh_model::Address, reference: &ProviderRef) {
        let places: Vec<usize> =
            (0..self.config.modules.len()).filter(|m| self.config.modules[*m].path == path).collect();
        for place in places {
            let resources = &mut self.config.modules[place].resources;
            let same =
                |r: &&mut mesh_lang::Resource| r.mode == address.mode && r.ty == address.ty && r.name == address.name;
            let Some(block) = resources.iter_mut().find(same) else { continue };
            block.provider = Some(reference.clone());
            let mut inner = place;
            while let Some(outer) = self.config.modules[inner].parent {
                let calls = &mut self.config.modules[outer].calls;
                if let Some(call) = calls.iter_mut().find(|c| c.module == inner) {
                    call.providers.push((reference.clone(), reference.clone()));
                }
                inner = outer;
            }
        }
    }
}

fn attribute(name: &str, value: Value, span: Span) -> Attribute {
    Attribute { name: name.into(), expr: Expr::value_at(value, span), name_span: span, json: false }
}

/// A body with something for everything that a schema requires.
fn required(schema: &Schema, span: Span) -> Body {
    let mut body = Body::empty(span);
    let needed = schema.attributes.iter().filter(|a| a.given == Given::Required);
    body.attributes = needed.map(|a| attribute(a.name, made_up(&a.ty), span)).collect();
    for block in &schema.blocks {
        body.blocks.extend((0..block.min).map(|_| Block {
            name: block.name.into(),
            labels: Vec::new(),
            body: required(&block.schema, span),
            span,
            json: false,
            dynamic: None,
        }));
    }
    body
}

/// The type that a text from outside has where nothing declares its variable.
pub(super) const UNDECLARED: Type = Type::String;

/// Names to values.
pub(super) type Values = BTreeMap<Arc<str>, Value>;
