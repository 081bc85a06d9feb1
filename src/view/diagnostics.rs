//! Diagnostics for people: with the lines of the source they are about.
//!
//! The one decision: `miette` draws, over our own sources with their line index (its own search for
//! lines starts at the first byte for every label). Diagnostics are shown up to [`MOST`], errors first
//! as the engine sorted them, and counted at the end. Of what is long (a line, a place, a detail) the
//! beginning is shown: nobody reads the rest, and a terminal is no place for it.

use std::borrow::Cow;
use std::fmt;

use mesh_model::diagnostic::Source;
use mesh_model::{Diagnostic, Diagnostics, Severity, Sources, Span};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::style::{BOLD, RED, YELLOW, paint, visible};

/// The most diagnostics that are shown.
const MOST: usize = 100;
/// The longest line of source that is drawn, in bytes.
const MAX_LINE: usize = 1000;
/// The most lines of a place that are drawn.
const MAX_LINES: usize = 20;
/// The most bytes of a detail that are shown.
const MAX_DETAIL: usize = 4000;
/// What is shown of a longer line on each side of a place.
const AROUND: usize = 60;

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
    for d in warnings.iter().take(MOST) {
        if layout.compact_warnings {
            let place = d.span.map(|s| format!(" ({})", sources.position(s))).unwrap_or_default();
            push!(out, "{} {}{place}\n", paint(YELLOW.bold(), "Warning:"), d.summary);
        } else {
            one(&mut out, &handler, d, sources);
        }
    }
    for d in errors.iter().take(MOST) {
        one(&mut out, &handler, d, sources);
    }
    if errors.len() + warnings.len() > 1 {
        let count = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
        let parts: Vec<String> =
            [count(errors.len(), "error"), count(warnings.len(), "warning")].into_iter().flatten().collect();
        let rest = if errors.len().max(warnings.len()) > MOST {
            format!(" The first {MOST} are shown.")
        } else {
            String::new()
        };
        push!(out, "\n{}\n", paint(BOLD, format!("{}.{rest}", parts.join(" and "))));
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
        if shown.source.private {
            for label in &shown.labels {
                push!(out, "  {}\n", sources.position(label.span));
            }
            continue;
        }
        if let Some(label) = shown.labels.iter().find(|l| shown.is_long(l)) {
            shown.excerpt(label, out);
            continue;
        }
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
    for line in visible(&clipped(&diagnostic.detail)).lines() {
        out.push_str(format!("  {line}").trim_end());
        out.push('\n');
    }
    push!(out, "  [{}]\n", diagnostic.code);
}

/// A detail that may quote what somebody else wrote.
pub(super) fn clipped(detail: &str) -> Cow<'_, str> {
    if detail.len() <= MAX_DETAIL {
        return detail.into();
    }
    let kept = &detail[..detail.floor_char_boundary(MAX_DETAIL)];
    format!("{kept}... ({} more bytes)", detail.len() - kept.len()).into()
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

impl Shown<'_> {
    /// The bytes of a place, of which only the first line counts where there are too many.
    fn place(&self, label: &Label) -> (usize, usize) {
        let len = self.source.text.len();
        let start = (label.span.start as usize).min(len);
        let end = (label.span.end as usize).clamp(start, len);
        let lines = self.source.line_starts();
        let first = lines.partition_point(|s| *s <= start);
        let within = lines.get(first + MAX_LINES).is_none_or(|s| end < *s);
        (start, if within { end } else { lines.get(first).map_or(end, |next| (next - 1).max(start)) })
    }

    /// Whether a line at a place, or the one before or after it, is too long to be drawn.
    fn is_long(&self, label: &Label) -> bool {
        let (start, end) = self.place(label);
        let lines = self.source.line_starts();
        let from = lines.partition_point(|s| *s <= start).saturating_sub(2);
        let to = lines.partition_point(|s| *s <= end) + 1;
        let ends = lines.iter().copied().skip(1).chain([self.source.text.len()]);
        lines.iter().zip(ends).take(to).skip(from).any(|(start, end)| end - start > MAX_LINE)
    }

    /// The place with a little of its line.
    fn excerpt(&self, label: &Label, out: &mut String) {
        let text = &self.source.text;
        let (start, _) = self.place(label);
        let lines = self.source.line_starts();
        let line = lines.partition_point(|s| *s <= start);
        let (first, last) = (lines[line - 1], lines.get(line).map_or(text.len(), |next| next - 1));
        let from = text.ceil_char_boundary(start.saturating_sub(AROUND).max(first));
        let to = text.floor_char_boundary((start + AROUND).min(last).max(from));
        let dots = |cut: bool| if cut { "..." } else { "" };
        let column = text.get(first..start).map_or(start - first, |t| t.chars().count());
        push!(
            out,
            "  {}:{line}:{}\n  {}{}{}\n",
            self.source.name,
            column + 1,
            dots(from > first),
            visible(text[from..to].trim_end()),
            dots(to < last)
        );
    }
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
            let (start, end) = self.place(l);
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
    fn of_private_files_the_place_is_shown() {
        let mut sources = Sources::default();
        let file = sources.add_private("v.meshvars.hcl", "a = 1\npin = \"1234\n");
        let diagnostic =
            Diagnostic::error("lang::syntax", "Unclosed string", "It is open.").at(Span { file, start: 12, end: 17 });
        let found = Diagnostics::from(diagnostic);
        let text = plain(&text(&found, &sources, Layout::default()));
        assert!(text.contains("  v.meshvars.hcl:2:7\n") && !text.contains("1234"), "{text}");
        let json = crate::view::diagnostic_json::validation(&found, &sources);
        assert!(json["diagnostics"][0]["snippet"].is_null() && json["diagnostics"][0]["range"].is_object(), "{json}");
    }

    #[test]
    fn of_long_lines_and_details_the_beginning_is_shown() {
        let mut sources = Sources::default();
        let long = format!("b = {}\n", "[".repeat(100_000));
        let file = sources.add("long.mesh.hcl", format!("a = 1\n{long}{}", "c = 1\n".repeat(1000)));
        let at = |start: u32, end: u32| {
            Diagnostics(vec![Diagnostic::error("a::b", "Bad", "x".repeat(100_000)).at(Span { file, start, end })])
        };
        let shown = |d| plain(&text(&d, &sources, Layout::default()));
        let middle = shown(at(50_010, 50_011));
        assert!(middle.contains("long.mesh.hcl:2:50005"), "{middle}");
        assert!(middle.contains("(96000 more bytes)") && middle.len() < 5000, "{}", middle.len());
        let many_lines = shown(at(100_020, 106_000));
        assert!(many_lines.contains("long.mesh.hcl:4") && many_lines.len() < 6000, "{many_lines}");
        let whole = shown(at(0, 106_000));
        assert!(whole.len() < 6000, "{}", whole.len());
        let many = Diagnostics((0..1000).map(|_| Diagnostic::error("a::b", "Bad", "x")).collect());
        let many = shown(many);
        assert!(many.ends_with("1000 errors. The first 100 are shown.\n") && many.len() < 10_000, "{many}");
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
