//! From the items of a folder's files to one module.
//!
//! The one decision: each top-level block is decoded as soon as it is parsed, and what it refers to is
//! noted, so that references are checked when all blocks are known without walking anything twice.

use std::path::Path;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::structure::{Block, Structure};
use mesh_model::diagnostic::Source;
use mesh_model::path::is_identifier;
use mesh_model::{Diagnostic, Diagnostics, Mode, Sources, Span};

use super::args::header;
use super::overrides::{Overrides, is_override};
use super::{HCL, JSON, json};
use crate::config::Index;
use crate::expr::{Lower, Used};
use crate::suggest::hint;
use crate::syntax::parse_items;
use crate::{Expr, Module, Settings};

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
    /// For each call: its source.
    pub(super) sources: Vec<Expr>,
    pub(super) used: Vec<Used>,
    /// Some text could not be read, so what it declares is not known.
    pub(super) broken: bool,
}

/// What decoders work on.
pub(super) struct Decoder {
    pub(super) lower: Lower,
    pub(super) module: Module,
    pub(super) sources: Vec<Expr>,
    pub(super) overrides: Overrides,
    pub(super) broken: bool,
}

/// A file of a folder.
pub(super) struct File {
    /// Its index in the sources.
    pub(super) index: u32,
    pub(super) source: Arc<Source>,
    /// The last part of its path.
    pub(super) name: String,
}

impl Module {
    /// A module that declares nothing.
    pub(crate) fn empty(dir: &Path) -> Self {
        Self {
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
        }
    }
}

/// Decodes the files of a folder.
pub(super) fn module(dir: &Path, files: &[File], diagnostics: &mut Diagnostics) -> Draft {
    let mut decoder = Decoder::new(dir);
    let (over, base): (Vec<&File>, Vec<&File>) = files.iter().partition(|f| {
        let name = &f.name;
        [HCL, JSON].iter().any(|ending| name.strip_suffix(ending).is_some_and(is_override))
    });
    // First what is overridden, so that what depends on the merged block is left until then.
    let mut later = Diagnostics::new();
    decoder.lower.overriding = true;
    over.into_iter().for_each(|file| decoder.file(file, &mut later));
    decoder.lower.overriding = false;
    base.into_iter().for_each(|file| decoder.file(file, diagnostics));
    diagnostics.extend(later);
    decoder.merge();
    diagnostics.extend(decoder.lower.diagnostics);
    Draft { module: decoder.module, sources: decoder.sources, used: decoder.lower.used, broken: decoder.broken }
}

impl Decoder {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            lower: Lower::default(),
            module: Module::empty(dir),
            sources: Vec::new(),
            overrides: Overrides::default(),
            broken: false,
        }
    }

    fn file(&mut self, file: &File, diagnostics: &mut Diagnostics) {
        self.lower.file = file.index;
        (self.lower.source, self.lower.places) = (Some(file.source.clone()), None);
        let mut syntax = Diagnostics::new();
        if file.name.ends_with(JSON) {
            let (text, places) = json::native(&file.source.text, file.index, diagnostics);
            let mut written = Sources::default();
            let index = written.add(file.name.clone(), text);
            (self.lower.source, self.lower.places) = (written.get(index).cloned(), Some(places));
        }
        let Some(source) = self.lower.source.clone() else { return };
        parse_items(&source.text, file.index, &mut syntax, |base, item, _| {
            self.lower.base = base;
            if self.lower.overriding { self.overriding(&item) } else { self.item(&item) }
        });
        self.broken |= syntax.has_errors();
        if let Some(places) = &self.lower.places {
            syntax.0.iter_mut().for_each(|d| places.translate(d));
        }
        diagnostics.extend(syntax);
        diagnostics.extend(std::mem::take(&mut self.lower.diagnostics));
    }

    pub(super) fn item(&mut self, item: &Structure) {
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
