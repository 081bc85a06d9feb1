//! The top-level blocks, one decoder each.
//!
//! The one decision: a decoder takes what the language knows and leaves the rest to the provider's
//! schema; a definition that has errors is still added, so that references to it are no further errors.

use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::Block;
use mesh_model::path::is_identifier;
use mesh_model::{Mode, Span, Type};

use super::args::{Args, constant, header};
use super::decode::Decoder;
use super::meta::Repetition;
use super::overrides::Owner;
use crate::expr::Subject;
use crate::{
    Lifecycle, Local, ModuleCall, Output, ProviderConfig, ProviderRef, Resource, Settings, Timeouts, TypeConstraint,
    Variable,
};

const NO_REPETITION: Repetition = Repetition { count: None, for_each: None };
/// Names that a module call needs for itself.
const RESERVED_VARIABLES: [&str; 8] =
    ["source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"];

impl Decoder {
    pub(super) fn settings(&mut self, block: &Block, span: Span) {
        if let Some(first) = self.module.settings.span {
            return self.duplicate("The mesh block", first, span);
        }
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let from = lower.used.len();
        let required_version = lower.placed_string(&mut args, "required_version");
        let backend = args.block("backend", lower).and_then(|b| {
            let place = header(b, lower);
            match b.labels.as_slice() {
                [label] => Some((label.as_str().to_owned(), lower.body(&b.body, place))),
                _ => {
                    let detail = "A backend block is written as: backend \"type\" { ... }";
                    lower.error("lang::labels", "Wrong number of block labels", detail, place);
                    None
                }
            }
        });
        let [encryption, history] = ["encryption", "history"].map(|name| {
            let block = args.block(name, lower)?;
            let place = header(block, lower);
            Some(lower.body(&block.body, place))
        });
        args.finish(lower, "the mesh block");
        let wrong: Vec<Span> = lower.used[from..]
            .iter()
            .filter(|u| {
                !matches!(u.subject, Subject::Variable(_) | Subject::PathRoot | Subject::PathModule | Subject::PathCwd)
            })
            .map(|u| u.span)
            .collect();
        for place in wrong {
            let detail = "Settings are needed before anything is evaluated: they can refer to variables only.";
            lower.error("lang::reference", "Reference not possible here", detail, place);
        }
        self.module.settings = Settings { required_version, backend, encryption, history, span: Some(span) };
    }

    pub(super) fn provider(&mut self, block: &Block, span: Span, labels: &[Arc<str>]) {
        let [name] = labels else { return };
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let from = lower.used.len();
        let for_each = args.expr("for_each", lower);
        lower.check_instance_names(from, &NO_REPETITION);
        let from = lower.used.len();
        let alias = args.string("alias", lower).map(|a| lower.name(&a));
        if let Some(alias) = &alias
            && !is_identifier(alias)
        {
            lower.error("lang::name", "Invalid name", format!("{alias:?} is not a name for an alias."), span);
        }
        if for_each.is_some() && alias.is_none() {
            let detail = "A provider block with for_each needs an alias: its configurations are named \
                          provider.alias[key].";
            lower.error("lang::provider", "Missing alias", detail, span);
        }
        let body = lower.rest(args);
        let owner = Owner::Provider(name.clone(), alias.clone());
        self.instance_names(owner, from, &Repetition { count: None, for_each: for_each.clone() });
        if let Some(first) = self.module.providers.iter().find(|p| p.name == *name && p.alias == alias) {
            let what = match &alias {
                Some(alias) => format!("The provider configuration {name}.{alias}"),
                None => format!("The default configuration of the provider {name}"),
            };
            let first = first.span;
            self.duplicate(&what, first, span);
        }
        self.module.providers.push(ProviderConfig { name: name.clone(), alias, for_each, body, span });
    }

    pub(super) fn variable(&mut self, block: &Block, span: Span, labels: &[Arc<str>]) {
        let [name] = labels else { return };
        let lower = &mut self.lower;
        if RESERVED_VARIABLES.contains(&&**name) {
            let detail = format!("{name:?} has a meaning of its own in module blocks. Choose another name.");
            lower.error("lang::name", "Invalid variable name", detail, span);
        }
        let mut args = Args::new(&block.body, span);
        let ty = args.attribute("type").map(|a| lower.type_constraint(&a.value).unwrap_or_default());
        let primitive = |t: &TypeConstraint| matches!(t.ty, Type::String | Type::Bool | Type::Number);
        let literal = ty.as_ref().is_none_or(primitive);
        let ty = ty.unwrap_or_default();
        let nullable = args.bool("nullable", true, lower);
        let default = args.attribute("default").map(|attribute| {
            let place = lower.span(attribute.value.span());
            let value = constant(attribute, &Type::Dynamic, lower);
            let fits = value.and_then(|value| match ty.convert(&value) {
                Ok(value) => Some(value),
                Err(error) => {
                    let detail = format!("The default does not fit the type of the variable: {error}.");
                    lower.error("lang::type", "Invalid default value for variable", detail, place);
                    None
                }
            });
            if !nullable && fits.as_ref().is_some_and(mesh_model::Value::is_null) {
                let detail = "The default is null, but nullable = false.";
                lower.error("lang::value", "Invalid default value for variable", detail, place);
            }
            // A broken default is reported; without any, callers would be told to give a value.
            fits.unwrap_or_else(|| mesh_model::Value::unknown(ty.ty.clone()))
        });
        let description = args.string("description", lower);
        let sensitive = args.bool("sensitive", false, lower);
        let ephemeral = args.bool("ephemeral", false, lower);
        let deprecated = args.string("deprecated", lower);
        let blocks = args.blocks("validation");
        let from = lower.used.len();
        let validations = lower.conditions(&blocks);
        lower.check_instance_names(from, &NO_REPETITION);
        for condition in validations.iter().map(|v| &v.condition) {
            let references = condition.references();
            let own = references.iter().any(|r| r.subject == Subject::Variable(name.clone()));
            if !own && !references.is_empty() {
                let place = condition.span();
                let detail = format!("The condition must refer to var.{name}: it is what it checks.");
                lower.error("lang::reference", "Invalid variable validation condition", detail, place);
            }
        }
        args.finish(lower, "a variable block");
        if let Some(&first) = self.module.index.variables.get(name) {
            let first = self.module.variables[first].span;
            return self.duplicate(&format!("The variable {name:?}"), first, span);
        }
        self.module.index.variables.insert(name.clone(), self.module.variables.len());
        self.module.variables.push(Variable {
            name: name.clone(),
            ty,
            literal,
            default,
            description,
            sensitive,
            nullable,
            ephemeral,
            deprecated,
            validations,
            span,
        });
    }

    pub(super) fn locals(&mut self, block: &Block) {
        let span = header(block, &self.lower);
        let args = Args::new(&block.body, span);
        for attribute in &args.attributes {
            let name = self.lower.name(attribute.key.as_str());
            let span = self.lower.span(attribute.key.span());
            let from = self.lower.used.len();
            let value = self.lower.expr(&attribute.value);
            self.lower.check_instance_names(from, &NO_REPETITION);
            if let Some(&first) = self.module.index.locals.get(&name) {
                let first = self.module.locals[first].span;
                self.duplicate(&format!("The local value {name:?}"), first, span);
                continue;
            }
            self.module.index.locals.insert(name.clone(), self.module.locals.len());
            self.module.locals.push(Local { name, value, span });
        }
        for block in &args.blocks {
            let span = header(block, &self.lower);
            let detail = "A locals block holds arguments only.";
            self.lower.error("lang::unexpected", "Unsupported block type", detail, span);
        }
    }

    pub(super) fn output(&mut self, block: &Block, span: Span, labels: &[Arc<str>]) {
        let [name] = labels else { return };
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let from = lower.used.len();
        let value = args.required_once("value", lower).map(|a| lower.expr(&a.value));
        let description = args.string("description", lower);
        let sensitive = args.bool("sensitive", false, lower);
        let ephemeral = args.bool("ephemeral", false, lower);
        let depends_on = lower.depends_on(&mut args);
        let preconditions = lower.conditions(&args.blocks("precondition"));
        args.finish(lower, "an output block");
        lower.check_instance_names(from, &NO_REPETITION);
        if let Some(&first) = self.module.index.outputs.get(name) {
            let first = self.module.outputs[first].span;
            return self.duplicate(&format!("The output {name:?}"), first, span);
        }
        self.module.index.outputs.insert(name.clone(), self.module.outputs.len());
        let value = value.unwrap_or_else(|| crate::Expr::value_at(mesh_model::Value::NULL, span));
        self.module.outputs.push(Output {
            name: name.clone(),
            value,
            description,
            sensitive,
            ephemeral,
            depends_on,
            preconditions,
            span,
        });
    }

    pub(super) fn resource(&mut self, block: &Block, span: Span, mode: Mode, labels: &[Arc<str>]) {
        let [ty, name] = labels else { return };
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let from = lower.used.len();
        let repetition = lower.repetition(&mut args);
        let after_repetition = lower.used.len();
        let provider = args.attribute("provider").and_then(|a| lower.provider_ref(&a.value));
        let depends_on = lower.depends_on(&mut args);
        let lifecycle = args
            .block("lifecycle", lower)
            .map_or_else(Lifecycle::default, |b| lower.lifecycle(b, mode == Mode::Managed));
        let timeouts = args.block("timeouts", lower).filter(|_| mode == Mode::Managed);
        let timeouts = timeouts.map_or_else(Timeouts::default, |b| lower.timeouts(b));
        let body = lower.rest(args);
        let own = Subject::Resource { mode, ty: ty.clone(), name: name.clone() };
        self.instance_names(Owner::Block(own.clone()), after_repetition, &repetition);
        let lower = &mut self.lower;
        let itself: Vec<Span> = lower.used[from..].iter().filter(|u| u.subject == own).map(|u| u.span).collect();
        for place in itself {
            let detail = format!(
                "{own} refers to itself. In a postcondition write self; for a value used twice, a local value."
            );
            lower.error("lang::reference", "Self-referential block", detail, place);
        }
        let key = (mode, ty.clone(), name.clone());
        if let Some(&first) = self.module.index.resources.get(&key) {
            let first = self.module.resources[first].span;
            return self.duplicate(&own.to_string(), first, span);
        }
        self.module.index.resources.insert(key, self.module.resources.len());
        let Repetition { count, for_each } = repetition;
        self.module.resources.push(Resource {
            mode,
            ty: ty.clone(),
            name: name.clone(),
            provider,
            count,
            for_each,
            depends_on,
            lifecycle,
            timeouts,
            body,
            check: None,
            span,
        });
    }

    pub(super) fn call(&mut self, block: &Block, span: Span, labels: &[Arc<str>]) {
        let [name] = labels else { return };
        let lower = &mut self.lower;
        let mut args = Args::new(&block.body, span);
        let repetition = lower.repetition(&mut args);
        let from = lower.used.len();
        let source = match args.required_once("source", lower) {
            Some(_) if args.attribute("version").is_some() => {
                let detail = "Only modules of a registry have a version, and there is no registry here: name the \
                              version in the source, as in git::https://host/repository.git?ref=v1.2.";
                lower.error("lang::module", "Unsupported module version", detail, span);
                None
            }
            Some(attribute) => {
                // Its references are checked where it is evaluated.
                lower.quietly(|lower| lower.expr(&attribute.value))
            }
            None => None,
        };
        let providers = args.attribute("providers").map(|a| self.provider_map(&a.value)).unwrap_or_default();
        let lower = &mut self.lower;
        let depends_on = lower.depends_on(&mut args);
        let inputs: Vec<(Arc<str>, crate::Expr)> = std::mem::take(&mut args.attributes)
            .into_iter()
            .map(|a| (lower.name(a.key.as_str()), lower.expr(&a.value)))
            .collect();
        args.finish(lower, "a module block");
        self.instance_names(Owner::Block(Subject::Module(name.clone())), from, &repetition);
        let lower = &mut self.lower;
        let itself: Vec<Span> =
            lower.used[from..].iter().filter(|u| u.subject == Subject::Module(name.clone())).map(|u| u.span).collect();
        for place in itself {
            let detail = format!("module.{name} refers to itself.");
            lower.error("lang::reference", "Self-referential block", detail, place);
        }
        if let Some(&first) = self.module.index.calls.get(name) {
            let first = self.module.calls[first].span;
            return self.duplicate(&format!("The module call {name:?}"), first, span);
        }
        if let Some(source) = source {
            self.sources.push(source);
        } else if !self.lower.overriding {
            return;
        }
        self.module.index.calls.insert(name.clone(), self.module.calls.len());
        let Repetition { count, for_each } = repetition;
        self.module.calls.push(ModuleCall {
            name: name.clone(),
            module: usize::MAX,
            count,
            for_each,
            inputs,
            providers,
            depends_on,
            span,
        });
    }

    /// `{ vault = vault.team }`: the name inside, and the configuration outside.
    pub(super) fn provider_map(&mut self, expr: &Expression) -> Vec<(ProviderRef, ProviderRef)> {
        let Expression::Object(object) = expr else {
            let span = self.lower.span(expr.span());
            let detail = "providers is written as { vault = vault.team }.";
            self.lower.error("lang::provider", "Invalid provider reference", detail, span);
            return Vec::new();
        };
        let mut out = Vec::new();
        for (key, value) in object.iter() {
            let inside = match key {
                ObjectKey::Ident(name) => Some(ProviderRef {
                    name: self.lower.name(name.as_str()),
                    alias: None,
                    key: None,
                    span: self.lower.span(key.span()),
                }),
                ObjectKey::Expression(expr) => self.lower.provider_ref(expr),
            };
            let outside = self.lower.provider_ref(value.expr());
            out.extend(inside.zip(outside));
        }
        out
    }
}
