//! Reading a test file.
//!
//! The one decision: its blocks go through the readers of the configuration (conditions, providers,
//! addresses), so that they are written the same here and there.

use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block, Structure};
use mesh_model::{Diagnostic, Diagnostics, Mode, Sources, Span};

use super::args::{Args, header};
use super::decode::Decoder;
use super::kinds::TEST_FILE;
use super::meta::Repetition;
use super::{JSON_ENDING, json, refactor};
use crate::suggest::hint;
use crate::syntax::{on_large_stack, parse_items};
use crate::testfile::{MockProvider, MockType, Override, TestFile, TestOptions, TestRun};
use crate::{Expr, Target};

const NO_REPETITION: Repetition = Repetition { count: None, for_each: None };
const OVERRIDES: [&str; 3] = ["override_resource", "override_data", "override_module"];
const BLOCKS: [&str; 7] =
    ["variables", "provider", "mock_provider", "run", "override_resource", "override_data", "override_module"];

/// Reads a test file; JSON when its name says so. With errors, what could be read of it.
pub fn parse_test(text: &str, name: &str, sources: &mut Sources) -> (TestFile, Diagnostics) {
    let index = sources.add(name, text);
    on_large_stack(|| {
        let mut found = Diagnostics::new();
        let mut reader =
            Reader { decoder: Decoder::new(std::path::Path::new(".")), file: empty(name), variables: None };
        let lower = &mut reader.decoder.lower;
        lower.file = index;
        lower.source = sources.get(index).cloned();
        if name.ends_with(JSON_ENDING) {
            let (text, places) = json::native_as(text, index, &TEST_FILE, &mut found);
            let mut written = Sources::default();
            let index = written.add(name, text);
            (lower.source, lower.places) = (written.get(index).cloned(), Some(places));
        }
        let Some(source) = lower.source.clone() else { return (reader.file, found) };
        let mut syntax = Diagnostics::new();
        parse_items(&source.text, index, &mut syntax, |base, item, _| {
            reader.decoder.lower.base = base;
            reader.item(&item);
        });
        if let Some(places) = &reader.decoder.lower.places {
            syntax.0.iter_mut().for_each(|d| places.translate(d));
        }
        found.extend(syntax);
        found.extend(std::mem::take(&mut reader.decoder.lower.diagnostics));
        reader.file.providers = std::mem::take(&mut reader.decoder.module.providers);
        reader.providers(&mut found);
        (reader.file, found)
    })
}

fn empty(name: &str) -> TestFile {
    TestFile {
        name: name.to_owned(),
        variables: Vec::new(),
        providers: Vec::new(),
        mocks: Vec::new(),
        overrides: Vec::new(),
        runs: Vec::new(),
    }
}

struct Reader {
    decoder: Decoder,
    file: TestFile,
    variables: Option<Span>,
}

impl Reader {
    fn item(&mut self, item: &Structure) {
        let lower = &mut self.decoder.lower;
        let block = match item {
            Structure::Block(block) => block,
            Structure::Attribute(attribute) => {
                let span = lower.span(attribute.key.span());
                let detail = format!(
                    "An argument named {:?} is not expected at the top of a test file. Values for variables belong \
                     into a variables block.",
                    attribute.key.as_str()
                );
                return lower.error("lang::unexpected", "Unsupported argument", detail, span);
            }
        };
        let span = header(block, lower);
        let kind = block.ident.as_str();
        let Some(labels) = self.labels(block, span) else { return };
        match (kind, labels.first()) {
            ("variables", _) => {
                if let Some(first) = self.variables {
                    return self.decoder.duplicate("The variables block", first, span);
                }
                self.variables = Some(span);
                self.file.variables = self.values(block);
            }
            ("provider", Some(_)) => self.decoder.provider(block, span, &labels),
            ("mock_provider", Some(name)) => self.mock(block, span, name),
            ("run", Some(name)) => self.run(block, span, name),
            _ => {
                let read = self.overriding(block);
                self.file.overrides.extend(read);
            }
        }
    }

    fn labels(&mut self, block: &Block, span: Span) -> Option<Vec<Arc<str>>> {
        let kind = block.ident.as_str();
        let wanted = match kind {
            "provider" | "mock_provider" | "run" | "mock_resource" | "mock_data" => " \"name\"",
            _ if BLOCKS.contains(&kind) => "",
            _ => {
                let detail = format!("Blocks of type {kind:?} are not expected in a test file.{}", hint(kind, BLOCKS));
                self.decoder.lower.error("lang::unexpected", "Unsupported block type", detail, span);
                return None;
            }
        };
        if block.labels.len() != usize::from(!wanted.is_empty()) {
            let detail = format!("A {kind} block is written as: {kind}{wanted} {{ ... }}");
            self.decoder.lower.error("lang::labels", "Wrong number of block labels", detail, span);
            return None;
        }
        if let Some(label) = block.labels.first().filter(|l| !mesh_model::path::is_identifier(l.as_str())) {
            let detail = format!("{:?} is not a name.", label.as_str());
            self.decoder.lower.error("lang::name", "Invalid name", detail, span);
            return None;
        }
        Some(block.labels.iter().map(|l| self.decoder.lower.name(l.as_str())).collect())
    }

    /// The content of a `variables` block.
    fn values(&mut self, block: &Block) -> Vec<(Arc<str>, Expr)> {
        let lower = &mut self.decoder.lower;
        let span = header(block, lower);
        let mut args = Args::new(&block.body, span);
        let attributes = std::mem::take(&mut args.attributes);
        args.finish(lower, "a variables block");
        attributes.into_iter().map(|a| (lower.name(a.key.as_str()), lower.expr(&a.value))).collect()
    }

    /// One of the words that an argument takes.
    fn word(&mut self, attribute: &Attribute, words: &[&'static str]) -> Option<&'static str> {
        let lower = &mut self.decoder.lower;
        let span = lower.span(attribute.value.span());
        let written = match &attribute.value {
            Expression::Variable(name) => Some(name.as_str()),
            Expression::String(text) => Some(text.as_str()),
            _ => None,
        };
        let found = written.and_then(|w| words.iter().copied().find(|word| *word == w));
        if found.is_none() {
            let detail = format!("{} must be one of these words: {}.", attribute.key.as_str(), words.join(", "));
            lower.error("lang::value", "Invalid value", detail, span);
        }
        found
    }

    fn during_plan(&mut self, args: &mut Args<'_>) -> Option<bool> {
        let attribute = args.attribute("override_during")?;
        self.word(attribute, &["apply", "plan"]).map(|w| w == "plan")
    }

    fn mock(&mut self, block: &Block, span: Span, name: &Arc<str>) {
        let mut args = Args::new(&block.body, span);
        let alias = args.string("alias", &mut self.decoder.lower).map(|a| self.decoder.lower.name(&a));
        let during_plan = self.during_plan(&mut args).unwrap_or(false);
        let mut types = Vec::new();
        for (data, kind) in [(false, "mock_resource"), (true, "mock_data")] {
            for block in args.blocks(kind) {
                let span = header(block, &self.decoder.lower);
                let Some(labels) = self.labels(block, span) else { continue };
                let mut args = Args::new(&block.body, span);
                let defaults = args.expr("defaults", &mut self.decoder.lower);
                let during_plan = self.during_plan(&mut args);
                args.finish(&mut self.decoder.lower, "a mock of a type");
                let ty = labels.into_iter().next();
                types.extend(ty.map(|ty| MockType { data, ty, defaults, during_plan, span }));
            }
        }
        let overrides = self.overrides(&mut args);
        args.finish(&mut self.decoder.lower, "a mock_provider block");
        self.file.mocks.push(MockProvider { name: name.clone(), alias, types, overrides, during_plan, span });
    }

    fn overrides(&mut self, args: &mut Args<'_>) -> Vec<Override> {
        let blocks: Vec<&Block> = OVERRIDES.into_iter().flat_map(|kind| args.blocks(kind)).collect();
        blocks.into_iter().filter_map(|b| self.overriding(b)).collect()
    }

    fn overriding(&mut self, block: &Block) -> Option<Override> {
        let span = header(block, &self.decoder.lower);
        let kind = block.ident.as_str();
        let mut args = Args::new(&block.body, span);
        let target = args.required("target", &mut self.decoder.lower);
        let during_plan = self.during_plan(&mut args);
        let lower = &mut self.decoder.lower;
        let values = args.expr(if kind == "override_module" { "outputs" } else { "values" }, lower);
        args.finish(lower, "an override block");
        let attribute = target?;
        let place = lower.span(attribute.value.span());
        let target = refactor::address(lower, &attribute.value);
        let (fits, wanted) = match kind {
            "override_module" => (matches!(&target, Some(Target::Module(_))), "a module call, such as module.mesh"),
            "override_data" => (
                matches!(&target, Some(Target::Resource(a)) if a.mode == Mode::Data),
                "a data source, such as data.vault_health.main",
            ),
            _ => (
                matches!(&target, Some(Target::Resource(a)) if a.mode == Mode::Managed),
                "a resource, such as vault_policy.istiod",
            ),
        };
        let keyed = target.as_ref().is_some_and(refactor::has_key);
        if !fits || keyed {
            let also = if keyed { ", with all its instances: without a key" } else { "" };
            let detail = format!("The target of {kind} is {wanted}{also}.");
            lower.error("lang::address", "Invalid address", detail, place);
            return None;
        }
        Some(Override { target: target?, values, during_plan, span })
    }

    fn run(&mut self, block: &Block, span: Span, name: &Arc<str>) {
        let mut args = Args::new(&block.body, span);
        let command = args.attribute("command").and_then(|a| self.word(a, &["apply", "plan"]));
        let variables = args.block("variables", &mut self.decoder.lower).map(|b| self.values(b)).unwrap_or_default();
        let lower = &mut self.decoder.lower;
        let from = lower.used.len();
        let asserts = lower.conditions(&args.blocks("assert"));
        lower.check_instance_names(from, &NO_REPETITION);
        let expect_failures = match args.attribute("expect_failures") {
            Some(attribute) => lower.references(attribute),
            None => Vec::new(),
        };
        let state_key = args.string("state_key", lower);
        // Runs of a file go one after the other, so that this changes nothing.
        args.bool("parallel", false, lower);
        let providers = args.attribute("providers").map(|a| self.decoder.provider_map(&a.value)).unwrap_or_default();
        let module = args.block("module", &mut self.decoder.lower).and_then(|b| self.module(b));
        let options = args.block("plan_options", &mut self.decoder.lower).map(|b| self.options(b)).unwrap_or_default();
        let overrides = self.overrides(&mut args);
        args.finish(&mut self.decoder.lower, "a run block");
        if let Some(first) = self.file.runs.iter().find(|r| r.name == *name) {
            let first = first.span;
            return self.decoder.duplicate(&format!("The run {name:?}"), first, span);
        }
        self.file.runs.push(TestRun {
            name: name.clone(),
            apply: command != Some("plan"),
            variables,
            asserts,
            expect_failures,
            options,
            module,
            providers,
            overrides,
            state_key,
            span,
        });
    }

    fn module(&mut self, block: &Block) -> Option<(String, Span)> {
        let lower = &mut self.decoder.lower;
        let span = header(block, lower);
        let mut args = Args::new(&block.body, span);
        let source = lower.placed_string(&mut args, "source");
        args.finish(lower, "a module block of a run");
        if source.is_none() {
            lower.error("lang::missing", "Missing required argument", "A module block of a run has a source.", span);
        }
        source
    }

    fn options(&mut self, block: &Block) -> TestOptions {
        let span = header(block, &self.decoder.lower);
        let mut args = Args::new(&block.body, span);
        let mode = args.attribute("mode").and_then(|a| self.word(a, &["normal", "refresh-only"]));
        let lower = &mut self.decoder.lower;
        let no_refresh = !args.bool("refresh", true, lower);
        let mut targets = [Vec::new(), Vec::new()];
        for (list, name) in targets.iter_mut().zip(["replace", "target"]) {
            let Some(attribute) = args.attribute(name) else { continue };
            let Expression::Array(items) = &attribute.value else {
                let place = lower.span(attribute.value.span());
                let detail = format!("{name} must be a list of addresses, written as [...].");
                lower.error("lang::address", "Invalid address", detail, place);
                continue;
            };
            list.extend(items.iter().filter_map(|e| refactor::address(lower, e)));
        }
        args.finish(lower, "a plan_options block");
        let [replace, targets] = targets;
        let replace = replace
            .into_iter()
            .filter_map(|t| match t {
                Target::Resource(address) => Some(address),
                Target::Module(_) => {
                    let detail = "Only resources can be replaced, not modules.";
                    lower.error("lang::address", "Invalid address", detail, span);
                    None
                }
            })
            .collect();
        TestOptions { refresh_only: mode == Some("refresh-only"), no_refresh, replace, targets, span: Some(span) }
    }

    /// What runs hand to their modules must be in the file, and each configuration there once.
    fn providers(&self, found: &mut Diagnostics) {
        let real = self.file.providers.iter().map(|p| (&p.name, &p.alias, p.span));
        let mut all: Vec<_> = real.collect();
        for mock in &self.file.mocks {
            if let Some((_, _, first)) = all.iter().find(|(n, a, _)| **n == mock.name && **a == mock.alias) {
                let detail = "The file has this configuration of the provider already.";
                let error = Diagnostic::error("lang::duplicate", "Duplicate definition", detail);
                found.push(error.at(mock.span).with(*first, "first defined here"));
            }
            all.push((&mock.name, &mock.alias, mock.span));
        }
        for (_, outside) in self.file.runs.iter().flat_map(|r| &r.providers) {
            if !all.iter().any(|(n, a, _)| **n == outside.name && **a == outside.alias) {
                let alias = outside.alias.as_ref().map(|a| format!(".{a}")).unwrap_or_default();
                let detail =
                    format!("The test file has no provider or mock_provider block for {}{alias}.", outside.name);
                found.push(
                    Diagnostic::error("lang::provider", "No such provider configuration", detail).at(outside.span),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
