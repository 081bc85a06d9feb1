//! Diagnostics for people: with the lines of the source they are about.
//!
//! The one decision: `miette` draws, over our own sources with their line index (its own search for
//! lines starts at the first byte for every label). Every diagnostic is shown, errors first as the
//! engine sorted them, and counted at the end.

use std::fmt;

use mesh_model::diagnostic::Source;
use mesh_model::{Diagnostic, Diagnostics, Severity, Sources, Span};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::style::{BOLD, RED, YELLOW, paint, visible};

/// How diagnostics are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Box-drawing characters; else plain ones.
    pub(crate) unicode: bool,
    /// Warnings by their summary only.
    pub(crate) compact_warnings: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { width: 100, unicode: true, compact_warnings: false }
    }
}

/// All of them, then how many.
pub(crate) fn text(diagnostics: &Diagnostics, sources: &Sources, layout: Layout) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) = diagnostics.iter().partition(|d| d.is_error());
    let theme = GraphicalTheme {
        characters: if layout.unicode { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() },
        styles: ThemeStyles::ansi(),
    };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(layout.width).with_links(false).with_break_words(false);
    let mut out = String::new();
    for d in &warnings {
        if layout.compact_warnings {
            let place = d.span.map(|s| format!(" ({})", sources.position(s))).unwrap_or_default();
            push!(out, "{} {}{place}\n", paint(YELLOW.bold(), "Warning:"), d.summary);
        } else {
            one(&mut out, &handler, d, sources);
        }
    }
    for d in &errors {
        one(&mut out, &handler, d, sources);
    }
    if errors.len() + warnings.len() > 1 {
        let count = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
        let parts: Vec<String> =
            [count(errors.len(), "error"), count(warnings.len(), "warning")].into_iter().flatten().collect();
        push!(out, "\n{}\n", paint(BOLD, format!("{}.", parts.join(" and "))));
    }
    out
}

fn one(out: &mut String, handler: &GraphicalReportHandler, diagnostic: &Diagnostic, sources: &Sources) {
    let (style, word) = match diagnostic.severity {
        Severity::Error => (RED.bold(), "Error:"),
        Severity::Warning => (YELLOW.bold(), "Warning:"),
    };
    push!(out, "\n{} {}\n", paint(style, word), paint(BOLD, diagnostic.summary));
    let shown: Vec<Shown<'_>> = by_file(diagnostic, sources);
    for shown in &shown {
        let mut text = String::new();
        // The drawing never fails; if it did, the words below still say everything.
        if handler.render_report(&mut text, shown).is_ok() {
            // The first line repeats the message, which is above.
            let body: Vec<&str> = text.lines().filter(|l| !l.contains(HIDE)).collect();
            for line in body.iter().skip_while(|l| super::style::plain(l).trim().is_empty()) {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
    }
    for (what, is) in &diagnostic.values {
        push!(out, "  {what} {}\n", visible(is));
    }
    if let Some(address) = &diagnostic.address {
        push!(out, "  with {address}\n");
    }
    for line in visible(&diagnostic.detail).lines() {
        out.push_str(format!("  {line}").trim_end());
        out.push('\n');
    }
    push!(out, "  [{}]\n", diagnostic.code);
}

/// Stands where `miette` wants a message of its own.
const HIDE: char = '\u{e000}';

/// One picture for each file that the diagnostic points into.
fn by_file<'d>(diagnostic: &'d Diagnostic, sources: &'d Sources) -> Vec<Shown<'d>> {
    let mut out: Vec<Shown<'d>> = Vec::new();
    let first = diagnostic.span.map(|s| (s, String::new(), true));
    let related = diagnostic.related.iter().map(|(s, what)| (*s, visible(what), false));
    for (span, what, primary) in first.into_iter().chain(related) {
        let Some(source) = sources.get(span.file) else { continue };
        let label = Label { span, what, primary };
        match out.iter_mut().find(|s| s.file == span.file) {
            Some(shown) => shown.labels.push(label),
            None => out.push(Shown { file: span.file, source, severity: diagnostic.severity, labels: vec![label] }),
        }
    }
    out
}

struct Label {
    span: Span,
    what: String,
    primary: bool,
}

/// A diagnostic in the eyes of `miette`: only its places.
struct Shown<'d> {
    file: u32,
    source: &'d Source,
    severity: Severity,
    labels: Vec<Label>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HIDE}")
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().map(|l| {
            let len = self.source.text.len();
            let start = (l.span.start as usize).min(len);
            let end = (l.span.end as usize).clamp(start, len);
            let what = (!l.what.is_empty()).then(|| l.what.clone());
            let place = (start, end - start);
            if l.primary {
                LabeledSpan::new_primary_with_span(what, place)
            } else {
                LabeledSpan::new_with_span(what, place)
            }
        })))
    }
}

impl SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        let text = &self.source.text;
        if end > text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let lines = self.source.line_starts();
        let line_of = |at: usize| lines.partition_point(|s| *s <= at).saturating_sub(1);
        let (first, last) = (line_of(start), line_of(end));
        let from = first.saturating_sub(before);
        let to = (last + after + 1).min(lines.len());
        let (mut offset, limit) = (lines[from], lines.get(to).copied().unwrap_or(text.len()));
        let mut column = 0;
        if before == 0 {
            column = start - lines[first];
            offset = start;
        }
        Ok(Box::new(MietteSpanContents::new_named(
            self.source.name.clone(),
            &text.as_bytes()[offset..limit],
            (offset, limit - offset).into(),
            from,
            column,
            to - from,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn shows_lines_details_and_counts() {
        let mut sources = Sources::default();
        let file = sources.add("main.mesh.hcl", "a = 1\nresource \"x\" \"y\" {\n  nme = 1\n}\n");
        let span = Span { file, start: 27, end: 30 };
        let diagnostics = Diagnostics(vec![
            Diagnostic::error(
                "lang::unexpected",
                "Unsupported argument",
                "An argument named \"nme\" is not expected.\nDid you mean \"name\"?",
            )
            .at(span)
            .with(Span { file, start: 6, end: 14 }, "in this block"),
            Diagnostic::warning("x::y", "Something odd", "It is odd."),
        ]);
        let text = plain(&text(&diagnostics, &sources, Layout { unicode: false, ..Layout::default() }));
        let expected = r#"
Warning: Something odd
  It is odd.
  [x::y]

Error: Unsupported argument
   ,-[main.mesh.hcl:3:3]
 1 | a = 1
 2 | resource "x" "y" {
   : ^^^^|^^^
   :     `-- in this block
 3 |   nme = 1
   :   ^^^
 4 | }
   `----
  An argument named "nme" is not expected.
  Did you mean "name"?
  [lang::unexpected]

1 error and 1 warning.
"#;
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn a_span_at_the_end_of_a_big_file_is_cheap_and_right() {
        let mut sources = Sources::default();
        let big = "x = 1\n".repeat(200_000);
        let end = u32::try_from(big.len()).expect("fits");
        let file = sources.add("big.mesh.hcl", big);
        let many = Diagnostics(
            (0..50)
                .map(|_| Diagnostic::error("a::b", "Bad", "x").at(Span { file, start: end - 6, end: end - 5 }))
                .collect(),
        );
        let text = plain(&text(&many, &sources, Layout::default()));
        assert!(text.contains("big.mesh.hcl:200000:1"), "{}", &text[..400]);
        assert!(text.ends_with("50 errors.\n"));
    }
}
