//! From a text that was written by us to the places in the file that it was made from.
//!
//! The one decision: every stretch that is written names its origin at once, so that each place of the
//! parser, in good input and in bad, is one of the user's file.

use std::ops::Range;

use mesh_model::{Diagnostic, Span};

/// A stretch of the written text, up to the next one.
struct Stretch {
    /// Where it starts in the written text.
    start: usize,
    /// What it was made from.
    origin: Range<usize>,
    /// Whether it is a copy, byte for byte.
    copy: bool,
}

/// A text that grows, with where everything in it comes from.
#[derive(Default)]
pub(crate) struct Written {
    text: String,
    stretches: Vec<Stretch>,
    /// Where texts start that are templates as files are, not as quotes are.
    templates: Vec<usize>,
}

impl Written {
    /// Adds text that stands for `origin` as a whole.
    pub(crate) fn push(&mut self, text: &str, origin: Range<usize>) {
        self.stretches.push(Stretch { start: self.text.len(), origin, copy: false });
        self.text.push_str(text);
    }

    /// Adds a copy of what stands at `origin`.
    pub(crate) fn copy(&mut self, text: &str, origin: usize) {
        self.stretches.push(Stretch { start: self.text.len(), origin: origin..origin + text.len(), copy: true });
        self.text.push_str(text);
    }

    /// What is added next is a template as files are.
    pub(crate) fn template(&mut self) {
        self.templates.push(self.text.len());
    }

    /// The text, and the places in it.
    pub(crate) fn finish(self) -> (String, Places) {
        (self.text, Places { stretches: self.stretches, templates: self.templates })
    }
}

/// Where the stretches of a written text come from.
pub(crate) struct Places {
    stretches: Vec<Stretch>,
    templates: Vec<usize>,
}

impl Places {
    /// The origin of a range of the written text.
    pub(crate) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let Some(first) = self.at(range.start) else { return 0..0 };
        let start = if first.copy { first.origin.start + range.start - first.start } else { first.origin.start };
        if range.is_empty() {
            return start..start;
        }
        let Some(last) = self.at(range.end - 1) else { return start..start };
        let end = if last.copy { last.origin.start + range.end - last.start } else { last.origin.end };
        start..end.max(start)
    }

    fn at(&self, offset: usize) -> Option<&Stretch> {
        let after = self.stretches.partition_point(|s| s.start <= offset);
        self.stretches.get(after.saturating_sub(1))
    }

    /// Whether a text that starts here is a template as files are.
    pub(crate) fn is_template(&self, offset: usize) -> bool {
        self.templates.binary_search(&offset).is_ok()
    }

    /// A diagnostic about the written text as one about the file.
    pub(crate) fn translate(&self, diagnostic: &mut Diagnostic) {
        let places = diagnostic.span.iter_mut().chain(diagnostic.related.iter_mut().map(|(span, _)| span));
        for span in places {
            *span = self.span(*span);
        }
    }

    fn span(&self, span: Span) -> Span {
        let origin = self.origin(span.start as usize..span.end as usize);
        let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file: span.file, start: at(origin.start), end: at(origin.end) }
    }
}
