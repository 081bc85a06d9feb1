//! The canonical style of source text: what `mesh fmt` writes.
//!
//! The one decision: work on tokens, not on a tree, because only tokens keep every comment, blank line
//! and heredoc. Three steps: [`lexer`] splits the text, [`tidy`] rewrites what has a plainer form
//! (`"${x}"`, bare labels, quoted types), [`layout`] sets indentation, spaces and columns. The result is
//! byte for byte that of `terraform fmt` 1.11.4. Formatting twice changes nothing more.

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

/// Bytes of stack for the parser, which recurses.
const STACK: usize = 16 << 20;

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
    let parse = || {
        text.parse::<hcl_edit::structure::Body>()
            .map(drop)
            .map_err(|e| FormatError { offset: e.location().offset(), message: e.message().to_owned() })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, parse);
        let ended = thread.map(std::thread::ScopedJoinHandle::join);
        match ended {
            Ok(Ok(result)) => result,
            _ => Err(FormatError { offset: 0, message: "the text could not be parsed".into() }),
        }
    })
}
