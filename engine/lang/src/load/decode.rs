//! From the items of a folder's files to one module.
//!
//! The one decision: each top-level block is decoded as soon as it is parsed, and what it refers to is
//! noted, so that references are checked when all blocks are known without walking anything twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::structure::{Block, Structure};
use mesh_model::diagnostic::Source;
use mesh_model::path::is_identifier;
use mesh_model::{Diagnostic, Diagnostics, Mode, Span};

use super::args::header;
use crate::config::Index;
use crate::expr::{Lower, Used};
use crate::suggest::hint;
use crate::syntax::parse_items;
use crate::{Module, Settings};

const BLOCKS: [&str; 13] = [
    "mesh",
    "provider",
    "variable",
    "locals",
    "output",
    "resource",
    "data",
    "ephemeral",
    "module",
    "moved",
    "removed",
    "import",
    "check",
];

/// A module before the modules that it calls are loaded.
pub(super) struct Draft {
    pub(super) module: Module,
    /// For each call: the folder, relative to the module, and the place.
    pub(super) sources: Vec<(PathBuf, Span)>,
    pub(super) used: Vec<Used>,
}

/// What decoders work on.
pub(super) struct Decoder {
    pub(super) lower: Lower,
    pub(super) module: Module,
    pub(super) sources: Vec<(PathBuf, Span)>,
}

/// Decodes the files of a folder.
pub(super) fn module(dir: &Path, files: &[(u32, Arc<Source>)], diagnostics: &mut Diagnostics) -> Draft {
    let mut decoder = Decoder {
        lower: Lower::default(),
        module: Module {
            path: Vec::new(),
            parent: None,
            dir: dir.to_owned(),
            settings: Settings::default(),
            providers: Vec::new(),
            variables: Vec::new(),
            locals: Vec::new(),
            outputs: Vec::new(),
            resources: Vec::new(),
            calls: Vec::new(),
            checks: Vec::new(),
            moved: Vec::new(),
            removed: Vec::new(),
            imports: Vec::new(),
            index: Index::default(),
        },
        sources: Vec::new(),
    };
    for (file, source) in files {
        decoder.lower.file = *file;
        decoder.lower.source = Some(source.clone());
        let mut syntax = Diagnostics::new();
        parse_items(&source.text, *file, &mut syntax, |base, item, _| {
            decoder.lower.base = base;
            decoder.item(&item);
        });
        diagnostics.extend(syntax);
        diagnostics.extend(std::mem::take(&mut decoder.lower.diagnostics));
    }
    Draft { module: decoder.module, sources: decoder.sources, used: decoder.lower.used }
}

impl Decoder {
    fn item(&mut self, item: &Structure) {
        let block = match item {
            Structure::Block(block) => block,
            Structure::Attribute(attribute) => {
                let span = self.lower.span(attribute.key.span());
                let detail = format!(
                    "An argument named {:?} is not expected at the top of a file. Values for variables belong into a \
                     *.meshvars.hcl file, named values into a locals block.",
                    attribute.key.as_str()
                );
                return self.lower.error("lang::unexpected", "Unsupported argument", detail, span);
            }
        };
        let span = header(block, &self.lower);
        let kind = block.ident.as_str();
        match (kind, self.labels(block, span)) {
            (_, None) => {}
            ("mesh", _) => self.settings(block, span),
            ("locals", _) => self.locals(block),
            ("provider", Some(l)) => self.provider(block, span, &l),
            ("variable", Some(l)) => self.variable(block, span, &l),
            ("output", Some(l)) => self.output(block, span, &l),
            ("resource", Some(l)) => self.resource(block, span, Mode::Managed, &l),
            ("data", Some(l)) => self.resource(block, span, Mode::Data, &l),
            ("ephemeral", Some(l)) => self.resource(block, span, Mode::Ephemeral, &l),
            ("check", Some(l)) => self.check(block, span, &l),
            ("moved", _) => self.moved(block, span),
            ("removed", _) => self.removed(block, span),
            ("import", _) => self.import(block, span),
            (_, Some(l)) => self.call(block, span, &l),
        }
    }

    /// The labels of a top-level block, as many as its type has; `None` after an error.
    pub(super) fn labels(&mut self, block: &Block, span: Span) -> Option<Vec<Arc<str>>> {
        let kind = block.ident.as_str();
        let wanted: &[&str] = match kind {
            "mesh" | "locals" | "moved" | "removed" | "import" => &[],
            "provider" | "variable" | "output" | "module" | "check" => &["name"],
            "resource" | "data" | "ephemeral" => &["type", "name"],
            _ => {
                let detail = if kind == "terraform" {
                    "Settings stand in a block named \"mesh\" here.".to_owned()
                } else {
                    format!("Blocks of type {kind:?} are not expected here.{}", hint(kind, BLOCKS))
                };
                self.lower.error("lang::unexpected", "Unsupported block type", detail, span);
                return None;
            }
        };
        if block.labels.len() != wanted.len() {
            let shape: String = wanted.iter().map(|w| format!(" \"{w}\"")).collect();
            let detail = format!("A {kind} block is written as: {kind}{shape} {{ ... }}");
            self.lower.error("lang::labels", "Wrong number of block labels", detail, span);
            return None;
        }
        let mut good = true;
        for label in &block.labels {
            if !is_identifier(label.as_str()) {
                let place = self.lower.span(label.span());
                let detail = format!(
                    "{:?} is not a name: a name starts with a letter or underscore and consists of letters, digits, \
                     underscores and dashes.",
                    label.as_str()
                );
                self.lower.error("lang::name", "Invalid name", detail, place);
                good = false;
            }
        }
        good.then(|| block.labels.iter().map(|l| self.lower.name(l.as_str())).collect())
    }

    /// Reports a second definition.
    pub(super) fn duplicate(&mut self, what: &str, first: Span, second: Span) {
        self.lower.diagnostics.push(
            Diagnostic::error("lang::duplicate", "Duplicate definition", format!("{what} is already defined."))
                .at(second)
                .with(first, "first defined here"),
        );
    }
}
