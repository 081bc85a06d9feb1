//! Texts of several lines, compared line by line.
//!
//! The one decision: unchanged lines are shown near a change only, and words that differ in a line
//! that was rewritten are emphasised. Comparing stops being exact after 200 ms, never being useful.

use std::time::Instant;

use similar::{ChangeTag, TextDiff};

use super::diff::{Line, PATIENCE, Sign};
use super::style::{DIM, EMPHASIS, paint};

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// Whether a text is shown line by line: it has several, and nothing that could control a terminal.
pub(crate) fn is_multi_line(text: &str) -> bool {
    text.contains('\n') && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

/// The lines of the difference, at `depth`.
pub(crate) fn lines(before: &str, after: &str, depth: usize) -> Vec<Line> {
    // One side may have a single line, with characters that the other is free of.
    let (before, after) = (super::style::visible(before), super::style::visible(after));
    let deadline = Instant::now() + PATIENCE;
    let mut config = TextDiff::configure();
    config.timeout(PATIENCE);
    let diff = config.diff_lines(before.as_str(), after.as_str());
    let total = before.lines().count();
    let mut out = Vec::new();
    let mut next = 0;
    for group in diff.grouped_ops(CONTEXT) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        hidden(&mut out, depth, start.saturating_sub(next));
        next = group.last().map_or(next, |op| op.old_range().end);
        for op in &group {
            for change in diff.iter_inline_changes_deadline(op, Some(deadline)) {
                let sign = match change.tag() {
                    ChangeTag::Equal => Sign::Blank,
                    ChangeTag::Delete => Sign::Remove,
                    ChangeTag::Insert => Sign::Add,
                };
                let text: String = change
                    .iter_strings_lossy()
                    .map(|(emphasised, part)| {
                        let part = part.trim_end_matches('\n');
                        if emphasised && !part.is_empty() { paint(EMPHASIS, part) } else { part.to_owned() }
                    })
                    .collect();
                out.push(Line { depth, sign, text });
            }
        }
    }
    hidden(&mut out, depth, total.saturating_sub(next));
    out
}

fn hidden(out: &mut Vec<Line>, depth: usize, count: usize) {
    if count > 0 {
        let s = if count == 1 { "" } else { "s" };
        out.push(Line { depth, sign: Sign::Blank, text: paint(DIM, format!("# ({count} unchanged line{s} hidden)")) });
    }
}
