//! Override files: `override.mesh.hcl`, `*_override.mesh.hcl` and the same in JSON.
//!
//! The one decision: a block of such a file is decoded as any other, into a module of its own, and merged
//! when all other files are known; which of its arguments were written is remembered beside it, since a
//! decoded block has a value for each. What is checked against the whole block (`each`, `count`) is checked
//! after merging.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use hcl_edit::structure::{Block, Body as HclBody, Structure};
use mesh_model::{Diagnostic, Kind, Span};

use super::decode::Decoder;
use super::meta::Repetition;
use crate::expr::Subject;
use crate::{
    Body, Condition, Expr, Ignore, Module, ModuleCall, Output, ProviderConfig, Resource, Variable, body_references,
};

/// One block of an override file.
pub(super) struct Piece {
    module: Module,
    sources: Vec<Expr>,
    /// The arguments that are written; those of `lifecycle` with that name and a dot before them.
    given: HashSet<String>,
}

/// What has instances, and so gives `each` and `count` a meaning.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A resource or a module call.
    Block(Subject),
    /// A provider configuration.
    Provider(Arc<str>, Option<Arc<str>>),
}

/// What override files change.
#[derive(Default)]
pub(super) struct Overrides {
    pieces: Vec<Piece>,
    owners: HashSet<Owner>,
    /// References in the blocks of these owners, by their place in the list of all.
    references: Vec<(Owner, Range<usize>)>,
    /// Where references stand that were replaced.
    replaced: HashSet<(u32, u32)>,
}

/// Whether a file of this name, without the ending of its kind, overrides others.
pub(super) fn is_override(stem: &str) -> bool {
    stem == "override" || stem.ends_with("_override")
}

fn owner(resource: &Resource) -> Owner {
    let (mode, ty, name) = (resource.mode, resource.ty.clone(), resource.name.clone());
    Owner::Block(Subject::Resource { mode, ty, name })
}

fn given(block: &Block) -> HashSet<String> {
    let names = |body: &HclBody, prefix: &str| -> Vec<String> {
        body.attributes().map(|a| format!("{prefix}{}", a.key.as_str())).collect()
    };
    let mut all: HashSet<String> = names(&block.body, "").into_iter().collect();
    for lifecycle in block.body.get_blocks("lifecycle") {
        all.extend(names(&lifecycle.body, "lifecycle."));
    }
    all
}

impl Decoder {
    /// Decodes an item of an override file.
    pub(super) fn overriding(&mut self, item: &Structure) {
        let empty = Module::empty(&self.module.dir);
        let before = std::mem::replace(&mut self.module, empty);
        let sources = std::mem::take(&mut self.sources);
        self.item(item);
        let module = std::mem::replace(&mut self.module, before);
        let sources = std::mem::replace(&mut self.sources, sources);
        let Structure::Block(block) = item else { return };
        let owners = &mut self.overrides.owners;
        owners.extend(module.resources.iter().map(owner));
        owners.extend(module.calls.iter().map(|c| Owner::Block(Subject::Module(c.name.clone()))));
        owners.extend(module.providers.iter().map(|p| Owner::Provider(p.name.clone(), p.alias.clone())));
        self.overrides.pieces.push(Piece { module, sources, given: given(block) });
    }

    /// Checks `each`, `count` and `self` in the references since `from`, now or after merging.
    pub(super) fn instance_names(&mut self, owner: Owner, from: usize, repetition: &Repetition) {
        if self.lower.overriding || self.overrides.owners.contains(&owner) {
            self.overrides.references.push((owner, from..self.lower.used.len()));
        } else {
            self.lower.check_instance_names(from, repetition);
        }
    }

    /// Merges all that override files say into the module.
    pub(super) fn merge(&mut self) {
        self.lower.overriding = false;
        for piece in std::mem::take(&mut self.overrides.pieces) {
            self.piece(piece);
        }
        for (owner, range) in std::mem::take(&mut self.overrides.references) {
            let (count, for_each) = match &owner {
                Owner::Block(Subject::Resource { mode, ty, name }) => match self.module.resource(*mode, ty, name) {
                    Some(r) => (r.count.clone(), r.for_each.clone()),
                    None => continue,
                },
                Owner::Block(Subject::Module(name)) => match self.module.call(name) {
                    Some(c) => (c.count.clone(), c.for_each.clone()),
                    None => continue,
                },
                Owner::Block(_) => continue,
                Owner::Provider(name, alias) => {
                    let found = self.module.providers.iter().find(|p| p.name == *name && p.alias == *alias);
                    (None, found.and_then(|p| p.for_each.clone()))
                }
            };
            let replaced = &self.overrides.replaced;
            let kept = |i: &usize| {
                let span = self.lower.used[*i].span;
                !replaced.contains(&(span.file, span.start))
            };
            let kept: Vec<usize> = range.filter(kept).collect();
            for i in kept {
                self.lower.check_instance_names_in(
                    i..i + 1,
                    &Repetition { count: count.clone(), for_each: for_each.clone() },
                );
            }
        }
        let replaced = &self.overrides.replaced;
        self.lower.used.retain(|u| !replaced.contains(&(u.span.file, u.span.start)));
    }

    fn refuse(&mut self, detail: String, span: Span) {
        self.lower.error("lang::override", "Unsupported override", detail, span);
    }

    fn missing(&mut self, what: &str, span: Span) {
        let detail = format!(
            "{what} is not in any other file of this folder. An override file changes only what is there already."
        );
        self.lower.error("lang::override", "Nothing to override", detail, span);
    }

    fn refuse_conditions(&mut self, what: &str, conditions: &[Condition]) {
        for condition in conditions {
            self.refuse(format!("An override file cannot have {what} blocks."), condition.span);
        }
    }

    fn refuse_depends_on(&mut self, depends_on: &[crate::Reference]) {
        if let Some(first) = depends_on.first() {
            self.refuse("The argument depends_on cannot be overridden.".to_owned(), first.span);
        }
    }

    fn replace(&mut self, old: &Expr) {
        self.overrides.replaced.extend(old.references().iter().map(|r| (r.span.file, r.span.start)));
    }

    fn piece(&mut self, piece: Piece) {
        let Piece { module, sources, given } = piece;
        let only_once = [
            ("moved", module.moved.first().map(|m| m.span)),
            ("removed", module.removed.first().map(|m| m.span)),
            ("import", module.imports.first().map(|m| m.span)),
            ("check", module.checks.first().map(|m| m.span)),
        ];
        for (what, span) in only_once {
            if let Some(span) = span {
                self.refuse(format!("An override file cannot have {what} blocks: write them in another file."), span);
            }
        }
        self.settings_over(module.settings);
        for provider in module.providers {
            self.provider_over(provider);
        }
        for variable in module.variables {
            self.variable_over(variable, &given);
        }
        for local in module.locals {
            let Some(&i) = self.module.index.locals.get(&local.name) else {
                self.missing(&format!("The local value {:?}", &*local.name), local.span);
                continue;
            };
            let old = std::mem::replace(&mut self.module.locals[i], local);
            self.replace(&old.value);
        }
        for output in module.outputs {
            self.output_over(output, &given);
        }
        for call in module.calls {
            self.call_over(call, sources.first().cloned(), &given);
        }
        for resource in module.resources.into_iter().filter(|r| r.check.is_none()) {
            self.resource_over(resource, &given);
        }
    }

    fn settings_over(&mut self, over: crate::Settings) {
        if over.span.is_none() {
            return;
        }
        let settings = &mut self.module.settings;
        settings.span = settings.span.or(over.span);
        // Both must hold.
        settings.required_version = match (settings.required_version.take(), over.required_version) {
            (Some((a, _)), Some((b, span))) => Some((format!("{a}, {b}"), span)),
            (a, b) => b.or(a),
        };
        settings.backend = over.backend.or_else(|| settings.backend.take());
        settings.encryption = over.encryption.or_else(|| settings.encryption.take());
        settings.history = over.history.or_else(|| settings.history.take());
    }

    fn provider_over(&mut self, over: ProviderConfig) {
        let found = self.module.providers.iter().position(|p| p.name == over.name && p.alias == over.alias);
        match (found, &over.alias) {
            (Some(i), _) => {
                let mut body = std::mem::replace(&mut self.module.providers[i].body, Body::empty(over.span));
                self.body_over(&mut body, over.body);
                let provider = &mut self.module.providers[i];
                provider.body = body;
                provider.for_each = over.for_each.or_else(|| provider.for_each.take());
            }
            // Without a block a provider has an empty default configuration.
            (None, None) => self.module.providers.push(over),
            (None, Some(alias)) => {
                self.missing(&format!("The provider configuration {}.{alias}", over.name), over.span)
            }
        }
    }

    fn variable_over(&mut self, over: Variable, given: &HashSet<String>) {
        self.refuse_conditions("validation", &over.validations);
        let Some(&i) = self.module.index.variables.get(&over.name) else {
            return self.missing(&format!("The variable {:?}", &*over.name), over.span);
        };
        let variable = &mut self.module.variables[i];
        let has = |name: &str| given.contains(name);
        let place = over.span;
        if has("description") {
            variable.description = over.description;
        }
        if has("deprecated") {
            variable.deprecated = over.deprecated;
        }
        if has("sensitive") {
            variable.sensitive = over.sensitive;
        }
        if has("ephemeral") {
            variable.ephemeral = over.ephemeral;
        }
        if has("nullable") {
            variable.nullable = over.nullable;
        }
        if has("type") {
            variable.ty = over.ty;
        }
        if has("default") {
            variable.default = over.default;
        }
        let Some(default) = &variable.default else { return };
        let detail = match variable.ty.convert(default) {
            Ok(value) if value.is_null() && !variable.nullable => {
                "The default is null, but nullable = false.".to_owned()
            }
            Ok(value) => {
                variable.default = Some(value);
                return;
            }
            Err(error) => format!("With what is overridden here, the default does not fit the type: {error}."),
        };
        let first = variable.span;
        self.lower.diagnostics.push(
            Diagnostic::error("lang::type", "Invalid default value for variable", detail)
                .at(place)
                .with(first, "the variable is declared here"),
        );
    }

    fn output_over(&mut self, over: Output, given: &HashSet<String>) {
        self.refuse_depends_on(&over.depends_on);
        self.refuse_conditions("precondition", &over.preconditions);
        let Some(&i) = self.module.index.outputs.get(&over.name) else {
            return self.missing(&format!("The output {:?}", &*over.name), over.span);
        };
        let output = &mut self.module.outputs[i];
        output.description = over.description.or_else(|| output.description.take());
        if given.contains("sensitive") {
            output.sensitive = over.sensitive;
        }
        if given.contains("ephemeral") {
            output.ephemeral = over.ephemeral;
        }
        if given.contains("value") {
            let old = std::mem::replace(&mut output.value, over.value);
            self.replace(&old);
        }
    }

    fn call_over(&mut self, over: ModuleCall, source: Option<Expr>, given: &HashSet<String>) {
        self.refuse_depends_on(&over.depends_on);
        let Some(&i) = self.module.index.calls.get(&over.name) else {
            return self.missing(&format!("The module call {:?}", &*over.name), over.span);
        };
        if let Some(source) = source {
            self.sources[i] = source;
        }
        let mut old = Vec::new();
        let call = &mut self.module.calls[i];
        if given.contains("count") || given.contains("for_each") {
            old.extend(std::mem::replace(&mut call.count, over.count));
            old.extend(std::mem::replace(&mut call.for_each, over.for_each));
        }
        if !over.providers.is_empty() {
            call.providers = over.providers;
        }
        for (name, value) in over.inputs {
            match call.inputs.iter_mut().find(|(n, _)| *n == name) {
                Some((_, input)) => old.push(std::mem::replace(input, value)),
                None => call.inputs.push((name, value)),
            }
        }
        old.iter().for_each(|expr| self.replace(expr));
    }

    fn resource_over(&mut self, over: Resource, given: &HashSet<String>) {
        self.refuse_depends_on(&over.depends_on);
        self.refuse_conditions("precondition", &over.lifecycle.preconditions);
        self.refuse_conditions("postcondition", &over.lifecycle.postconditions);
        let key = (over.mode, over.ty.clone(), over.name.clone());
        let Some(&i) = self.module.index.resources.get(&key) else {
            let Owner::Block(subject) = owner(&over) else { return };
            return self.missing(&subject.to_string(), over.span);
        };
        let mut body = std::mem::replace(&mut self.module.resources[i].body, Body::empty(over.span));
        self.body_over(&mut body, over.body);
        let mut old = Vec::new();
        let resource = &mut self.module.resources[i];
        resource.body = body;
        if given.contains("count") || given.contains("for_each") {
            old.extend(std::mem::replace(&mut resource.count, over.count));
            old.extend(std::mem::replace(&mut resource.for_each, over.for_each));
        }
        resource.provider = over.provider.or_else(|| resource.provider.take());
        let (timeouts, new) = (&mut resource.timeouts, over.timeouts);
        timeouts.create = new.create.or(timeouts.create);
        timeouts.update = new.update.or(timeouts.update);
        timeouts.delete = new.delete.or(timeouts.delete);
        let (lifecycle, new) = (&mut resource.lifecycle, over.lifecycle);
        if given.contains("lifecycle.create_before_destroy") {
            lifecycle.create_before_destroy = new.create_before_destroy;
        }
        if given.contains("lifecycle.destroy") {
            lifecycle.destroy = new.destroy;
        }
        if given.contains("lifecycle.prevent_destroy") {
            old.extend(std::mem::replace(&mut lifecycle.prevent_destroy, new.prevent_destroy));
        }
        if given.contains("lifecycle.on_existing") {
            old.extend(std::mem::replace(&mut lifecycle.on_existing, new.on_existing));
        }
        // As in the field: an empty list changes nothing.
        match new.ignore_changes {
            Ignore::None => {}
            Ignore::Paths(paths) if paths.is_empty() => {}
            ignore => lifecycle.ignore_changes = ignore,
        }
        // The field's manual says so; its program passes over it.
        if given.contains("lifecycle.replace_triggered_by") {
            old.append(&mut std::mem::replace(&mut lifecycle.replace_triggered_by, new.replace_triggered_by));
        }
        old.iter().for_each(|expr| self.replace(expr));
    }

    /// Arguments replace arguments; blocks of a type, `dynamic` ones included, replace all of that type.
    fn body_over(&mut self, base: &mut Body, mut over: Body) {
        // In JSON an absent block may be written as null.
        over.attributes.retain(|a| {
            let null = matches!(a.expr.constant().as_ref().map(mesh_model::Value::kind), Some(Kind::Null(_)));
            !(a.json && null && base.blocks_of(&a.name).next().is_some())
        });
        let names: HashSet<&Arc<str>> =
            over.attributes.iter().map(|a| &a.name).chain(over.blocks.iter().map(|b| &b.name)).collect();
        let mut old = Body::empty(base.span);
        let (gone, kept) = std::mem::take(&mut base.attributes).into_iter().partition(|a| names.contains(&a.name));
        (old.attributes, base.attributes) = (gone, kept);
        let (gone, kept) = std::mem::take(&mut base.blocks).into_iter().partition(|b| names.contains(&b.name));
        (old.blocks, base.blocks) = (gone, kept);
        self.overrides.replaced.extend(body_references(&old).iter().map(|r| (r.span.file, r.span.start)));
        base.attributes.append(&mut over.attributes);
        base.blocks.append(&mut over.blocks);
    }
}
