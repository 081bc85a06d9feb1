//! The canonical style of source text: what `mesh fmt` writes.
//!
//! The one decision: work on tokens, not on a tree, because only tokens keep every comment, blank line
//! and heredoc. Three steps: [`lexer`] splits the text, [`tidy`] rewrites what has a plainer form
//! (`"${x}"`, bare labels, quoted types), [`layout`] sets indentation, spaces and columns. The result is
//! byte for byte that of `terraform fmt` 1.11.4. Formatting twice changes nothing more.

use crate::limits::MAX_MARKS;
use crate::syntax::{on_large_stack, scan};

mod layout;
mod lexer;
mod tidy;

#[cfg(test)]
mod tests;

/// Why a text was not formatted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatError {
    /// The byte at which the text stops making sense.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
}

/// `source` in canonical style, without a byte order mark.
///
/// # Errors
/// A text that does not parse; it is to be left as it is.
pub fn format(source: &str) -> Result<String, FormatError> {
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    check(text)?;
    let mut tokens = lexer::tokens(text)?;
    tidy::tidy(&mut tokens);
    Ok(layout::layout(&tokens))
}

/// Whether the text parses at all.
fn check(text: &str) -> Result<(), FormatError> {
    on_large_stack(|| {
        let found = scan(text, 0..text.len());
        if found.marks > MAX_MARKS || !found.heavy.is_empty() {
            return Err(FormatError { offset: 0, message: "the text is too large to be formatted".into() });
        }
        // Piece by piece, so that there is one small tree at a time.
        for piece in found.items {
            text[piece.clone()].parse::<hcl_edit::structure::Body>().map_err(|e| FormatError {
                offset: piece.start + e.location().offset(),
                message: e.message().to_owned(),
            })?;
        }
        match found.broken.into_iter().next() {
            Some(broken) => Err(FormatError { offset: broken.range.start, message: broken.detail }),
            None => Ok(()),
        }
    })
}
