//! The configuration and the variables of a plan in Terraform's machine format, for readers of plans.
//!
//! The one decision: as there, an expression is its constant value or what it refers to, each reference
//! followed by its shorter forms. Sensitive values are null (unless [`Sight`] shows them), ephemeral ones are left out, and a constant
//! stands here only where its attribute is known to hold no secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_core::{Engine, Planning};
use mesh_lang::{Block, Body, Config, Expr, Module, ProviderRef, Reference, Resource, Subject};
use mesh_model::json::to_json;
use mesh_model::{Mode, ResourceAddress, Step, Type};
use serde_json::{Map, Value as Json, json};

use super::sight::Sight;

/// `variables`, `configuration` and `relevant_attributes` of a plan.
pub(crate) fn describe(engine: &Engine, planning: &Planning<'_>, sight: Sight<'_>) -> Map<String, Json> {
    let view = View { config: planning.world.config, engine, planning, sight };
    let mut out = Map::new();
    out.insert("variables".into(), view.variables());
    let providers: Map<_, _> =
        view.config.root().providers.iter().map(|p| (key(&p.name, p.alias.as_deref()), view.provider(p))).collect();
    out.insert("configuration".into(), json!({ "provider_config": providers, "root_module": view.module(0) }));
    out.insert("relevant_attributes".into(), view.relevant());
    out
}

struct View<'p, 'c> {
    config: &'c Config,
    engine: &'p Engine,
    planning: &'p Planning<'c>,
    sight: Sight<'p>,
}

fn key(name: &str, alias: Option<&str>) -> String {
    alias.map_or_else(|| name.to_owned(), |alias| format!("{name}.{alias}"))
}

fn non_empty(out: &mut Map<String, Json>, name: &str, value: Json) {
    let empty = match &value {
        Json::Object(fields) => fields.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Null | Json::Bool(false) => true,
        _ => false,
    };
    if !empty {
        out.insert(name.into(), value);
    }
}

impl View<'_, '_> {
    /// Whether what is `sensitive` may stand here.
    fn open(&self, sensitive: bool) -> bool {
        !sensitive || self.sight.secrets()
    }

    fn variables(&self) -> Json {
        let value = |name: &Arc<str>| {
            let node = self.planning.world.graph.find(0, &Subject::Variable(name.clone()))?;
            self.planning.world.get(node, 0)
        };
        let shown = self.config.root().variables.iter().filter(|v| !v.ephemeral);
        let entry = |v: &mesh_lang::Variable| {
            Some((v.name.to_string(), json!({ "value": to_json(&self.sight.one(&value(&v.name)?)) })))
        };
        shown.filter_map(entry).collect::<Map<_, _>>().into()
    }

    fn provider(&self, block: &mesh_lang::ProviderConfig) -> Json {
        let mut out = Map::new();
        out.insert("name".into(), block.name.to_string().into());
        out.insert("full_name".into(), block.name.to_string().into());
        non_empty(&mut out, "alias", block.alias.as_deref().into());
        let schema = self.engine.provider(&block.name).map(|p| &p.schema().config);
        let open = |name: &str| {
            schema.and_then(|s| s.attribute(name)).is_some_and(|a| self.open(a.sensitive) && !a.write_only)
        };
        non_empty(&mut out, "expressions", self.body(0, &block.body, &open));
        out.into()
    }

    fn module(&self, index: usize) -> Json {
        let module = &self.config.modules[index];
        let mut out = Map::new();
        let outputs = module.outputs.iter().map(|o| {
            let mut entry = Map::new();
            non_empty(&mut entry, "sensitive", o.sensitive.into());
            non_empty(&mut entry, "ephemeral", o.ephemeral.into());
            entry.insert("expression".into(), self.expression(index, &o.value, self.open(o.sensitive) && !o.ephemeral));
            non_empty(&mut entry, "description", o.description.as_deref().into());
            non_empty(&mut entry, "depends_on", names(&o.depends_on));
            (o.name.to_string(), Json::from(entry))
        });
        non_empty(&mut out, "outputs", outputs.collect::<Map<_, _>>().into());
        non_empty(&mut out, "resources", module.resources.iter().map(|r| self.resource(index, module, r)).collect());
        let calls = module.calls.iter().map(|c| {
            let mut entry = Map::new();
            let open = |name: &str| {
                self.config.modules[c.module].variable(name).is_some_and(|v| self.open(v.sensitive) && !v.ephemeral)
            };
            let input = |(name, expr): &(Arc<str>, Expr)| (name.to_string(), self.expression(index, expr, open(name)));
            let inputs: Map<_, _> = c.inputs.iter().map(input).collect();
            non_empty(&mut entry, "expressions", inputs.into());
            self.repetition(&mut entry, index, c.count.as_ref(), c.for_each.as_ref());
            entry.insert("module".into(), self.module(c.module));
            non_empty(&mut entry, "depends_on", names(&c.depends_on));
            (c.name.to_string(), Json::from(entry))
        });
        non_empty(&mut out, "module_calls", calls.collect::<Map<_, _>>().into());
        let variables = module.variables.iter().map(|v| {
            let mut entry = Map::new();
            let default = v.default.as_ref().filter(|_| !v.sensitive || self.sight.secrets() && !v.ephemeral);
            entry.extend(default.map(|value| ("default".into(), to_json(&self.sight.one(value)))));
            non_empty(&mut entry, "description", v.description.as_deref().into());
            non_empty(&mut entry, "sensitive", v.sensitive.into());
            non_empty(&mut entry, "ephemeral", v.ephemeral.into());
            (v.name.to_string(), Json::from(entry))
        });
        non_empty(&mut out, "variables", variables.collect::<Map<_, _>>().into());
        out.into()
    }

    fn resource(&self, index: usize, module: &Module, block: &Resource) -> Json {
        let mut out = Map::new();
        out.insert("address".into(), format!("{}{}.{}", block.mode.prefix(), block.ty, block.name).into());
        out.insert("mode".into(), super::json::mode(block.mode).into());
        out.insert("type".into(), block.ty.to_string().into());
        out.insert("name".into(), block.name.to_string().into());
        let graph = self.planning.world.graph;
        let address = ResourceAddress {
            module: module.path.clone(),
            mode: block.mode,
            ty: block.ty.clone(),
            name: block.name.clone(),
        };
        let node = graph.resource(&address);
        let position = node.and_then(|n| graph.provider_of.get(&n));
        let written = |p: &ProviderRef| key(&p.name, p.alias.as_deref());
        let provider =
            position.map(|p| graph.providers[*p].key.to_string()).or_else(|| block.provider.as_ref().map(written));
        non_empty(&mut out, "provider_config_key", provider.into());
        let schema = self.engine.schema(block.mode, &block.ty).map(|s| &s.schema);
        // What is secret in a free form only the planned values tell.
        let planned: Vec<_> = node.iter().flat_map(|n| self.planning.changes_of(*n)).collect();
        let shown = |name: &str| {
            planned.iter().all(|i| {
                let after = self.planning.plan.changes[**i].after.get(name);
                after.is_none_or(|v| self.open(v.all_marks().sensitive()) && !v.all_marks().ephemeral())
            })
        };
        let typed = |name: &str| match schema.and_then(|s| s.attribute(name)) {
            Some(a) => {
                self.open(a.sensitive) && !a.write_only && (!planned.is_empty() || !matches!(a.ty, Type::Dynamic))
            }
            None => !planned.is_empty(),
        };
        non_empty(&mut out, "expressions", self.body(index, &block.body, &|name| typed(name) && shown(name)));
        self.repetition(&mut out, index, block.count.as_ref(), block.for_each.as_ref());
        non_empty(&mut out, "depends_on", names(&block.depends_on));
        out.into()
    }

    fn repetition(&self, out: &mut Map<String, Json>, module: usize, count: Option<&Expr>, for_each: Option<&Expr>) {
        for (name, expr) in [("count_expression", count), ("for_each_expression", for_each)] {
            out.extend(expr.map(|e| (name.into(), self.expression(module, e, true))));
        }
    }

    /// Attributes by name; nested blocks as lists. `open`: whether an attribute or block holds no secret.
    fn body(&self, module: usize, body: &Body, open: &dyn Fn(&str) -> bool) -> Json {
        let attributes = body.attributes.iter();
        let mut out: Map<String, Json> =
            attributes.map(|a| (a.name.to_string(), self.expression(module, &a.expr, open(&a.name)))).collect();
        for block in &body.blocks {
            let inner = self.block(module, block, open(&block.name));
            if let Json::Array(list) = out.entry(block.name.to_string()).or_insert_with(|| json!([])) {
                list.push(inner);
            }
        }
        out.into()
    }

    fn block(&self, module: usize, block: &Block, open: bool) -> Json {
        let mut inner = self.body(module, &block.body, &|_| open);
        for label in block.labels.iter().rev() {
            inner = json!({ &**label: inner });
        }
        inner
    }

    fn expression(&self, module: usize, expr: &Expr, open: bool) -> Json {
        if let Some(value) = expr.constant() {
            return if open { json!({ "constant_value": to_json(&self.sight.one(&value)) }) } else { json!({}) };
        }
        let mut seen = BTreeSet::new();
        let all = expr.references().into_iter().flat_map(|r| self.forms(module, &r));
        let references: Vec<String> = all.filter(|text| seen.insert(text.clone())).collect();
        if references.is_empty() { json!({}) } else { json!({ "references": references }) }
    }

    /// A reference and its shorter forms, the longest first.
    fn forms(&self, module: usize, reference: &Reference) -> Vec<String> {
        let mut text = reference.subject.to_string();
        let mut out = vec![text.clone()];
        let shortens = matches!(reference.subject, Subject::Resource { .. } | Subject::Module(_));
        for (i, step) in reference.rest.iter().enumerate() {
            text.push_str(&self.step(module, &reference.subject, i, step));
            if shortens {
                out.push(text.clone());
            } else {
                out[0].clone_from(&text);
            }
        }
        // One instance of a module does not stand for the others.
        if matches!(reference.subject, Subject::Module(_)) && out.len() > 1 && self.keyed(module, &reference.subject) {
            out.remove(0);
        }
        if !shortens {
            out = vec![reference.subject.to_string()];
        }
        out.reverse();
        out
    }

    fn step(&self, module: usize, subject: &Subject, position: usize, step: &Step) -> String {
        match step {
            Step::Index(i) => format!("[{i}]"),
            Step::Key(k) if position == 0 && self.keyed(module, subject) => format!("[{:?}]", &**k),
            Step::Key(k) if mesh_model::path::is_identifier(k) => format!(".{k}"),
            Step::Key(k) => format!("[{:?}]", &**k),
        }
    }

    /// Whether a subject has instances with keys.
    fn keyed(&self, module: usize, subject: &Subject) -> bool {
        let module = &self.config.modules[module];
        match subject {
            Subject::Resource { mode, ty, name } => {
                module.resource(*mode, ty, name).is_some_and(|r| r.for_each.is_some() || r.count.is_some())
            }
            Subject::Module(name) => module.call(name).is_some_and(|c| c.for_each.is_some() || c.count.is_some()),
            _ => false,
        }
    }

    /// Attributes of resources that other resources or outputs are made from.
    fn relevant(&self) -> Json {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for (index, module) in self.config.modules.iter().enumerate() {
            let bodies = module.resources.iter().flat_map(|r| mesh_lang::body_references(&r.body));
            let inputs = module.calls.iter().flat_map(|c| c.inputs.iter().flat_map(|(_, e)| e.references()));
            let values = module.outputs.iter().map(|o| &o.value).chain(module.locals.iter().map(|l| &l.value));
            for reference in bodies.chain(inputs).chain(values.flat_map(Expr::references)) {
                let Subject::Resource { mode: Mode::Managed | Mode::Data, .. } = reference.subject else { continue };
                let path: String = module.path.iter().map(|n| format!("module.{n}.")).collect();
                let keyed = usize::from(self.keyed(index, &reference.subject) && !reference.rest.is_empty());
                let key: String =
                    reference.rest[..keyed].iter().map(|s| self.step(index, &reference.subject, 0, s)).collect();
                let resource = format!("{path}{}{key}", reference.subject);
                let attribute: Json = reference.rest[keyed..]
                    .iter()
                    .map(|s| match s {
                        Step::Key(k) => json!(&**k),
                        Step::Index(i) => json!(i),
                    })
                    .collect();
                let entry = json!({ "resource": resource, "attribute": attribute });
                if seen.insert(entry.to_string()) {
                    out.push(entry);
                }
            }
        }
        out.into()
    }
}

fn names(references: &[Reference]) -> Json {
    references.iter().map(|r| r.subject.to_string()).collect()
}
