//! Diagnostics: what is wrong or worth knowing, where, and the way out.
//!
//! The one decision: many at once, collected and returned also on success; rendering is the view's
//! work. The summary is a constant text without names; the detail says what, why and what to do.

use std::fmt;
use std::sync::Arc;

use crate::Address;

/// A stretch of bytes in one source file; see [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Span {
    /// Index of the file in [`Sources`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The stretch from the start of this one to the end of `other` (of the same file).
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { file: self.file, start: self.start, end: other.end.max(self.end) }
    }
}

/// One file that was read.
#[derive(Debug)]
pub struct Source {
    /// The name as users know it, relative to where they started.
    pub name: String,
    /// The text.
    pub text: String,
    /// Whether it may hold secrets: then places in it are said, and none of its lines is shown.
    pub private: bool,
    line_starts: Vec<usize>,
}

impl Source {
    /// Line and column (both from 1, columns in characters) of a byte.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.line_starts.partition_point(|&s| s <= byte) - 1;
        let start = self.line_starts[line];
        let column = self.text.get(start..byte).map_or(byte - start, |t| t.chars().count());
        (line + 1, column + 1)
    }

    /// Byte offsets at which lines start.
    pub fn line_starts(&self) -> &[usize] {
        &self.line_starts
    }
}

/// All files that were read, so that a [`Span`] can be shown.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// Adds a file and gives its index.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.push(name.into(), text.into(), false)
    }

    /// Adds a file of which no line is ever shown.
    pub fn add_private(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.push(name.into(), text.into(), true)
    }

    fn push(&mut self, name: String, text: String, private: bool) -> u32 {
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        self.0.push(Arc::new(Source { name, text, private, line_starts }));
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The file of a span.
    pub fn get(&self, file: u32) -> Option<&Arc<Source>> {
        self.0.get(file as usize)
    }

    /// All files in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.0.iter()
    }

    /// `file:line:column` of a span.
    pub fn position(&self, span: Span) -> String {
        self.get(span.file).map_or_else(String::new, |s| {
            let (line, column) = s.line_column(span.start as usize);
            format!("{}:{line}:{column}", s.name)
        })
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Severity {
    /// The command cannot do what was asked.
    Error,
    /// Worth knowing; the command goes on.
    Warning,
}

/// One thing that is wrong or worth knowing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable code, `area::what`: `lang::syntax`, `vault::denied`.
    pub code: &'static str,
    /// A constant text without names.
    pub summary: &'static str,
    /// What, why and what to do; never a secret.
    pub detail: String,
    /// The instance it is about.
    pub address: Option<Box<Address>>,
    /// Where in the source.
    pub span: Option<Span>,
    /// Other places that matter, each with what it is.
    pub related: Vec<(Span, String)>,
    /// What the expression refers to, each with what it was: `var.a`, `is "x"`; never a secret.
    pub values: Vec<(String, String)>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, summary: &'static str, detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            summary,
            detail: detail.into(),
            address: None,
            span: None,
            related: Vec::new(),
            values: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, summary: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, summary, detail) }
    }

    /// With the place in the source.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// With the place in the source, unless it has one.
    #[must_use]
    pub fn at_default(mut self, span: Option<Span>) -> Self {
        self.span = self.span.or(span);
        self
    }

    /// With the instance it is about.
    #[must_use]
    pub fn on(mut self, address: &Address) -> Self {
        self.address = Some(Box::new(address.clone()));
        self
    }

    /// With another place that matters.
    #[must_use]
    pub fn with(mut self, span: Span, what: impl Into<String>) -> Self {
        self.related.push((span, what.into()));
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.summary, self.detail)
    }
}

/// A collection of diagnostics in the order in which they were found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(Diagnostic::is_error)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Takes the value of a result; an error goes into this collection.
    pub fn take<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(diagnostics) => {
                self.extend(diagnostics);
                None
            }
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
