//! Colours, and the doors to stdout and stderr.
//!
//! The one decision: views always produce styled text, and `anstream` takes the styles off where they
//! do not belong (a pipe, `NO_COLOR`, `-no-color`), so no view knows whether there is a terminal. A
//! reader that goes away (`mesh plan | head`) ends the output quietly and changes nothing else.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};

/// What is made.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// What changes.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What is destroyed, and errors.
pub(crate) const RED: Style = AnsiColor::Red.on_default();
/// What is read.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
/// What is of less weight.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Headings.
pub(crate) const BOLD: Style = Style::new().bold();
/// Words that differ inside a line that differs.
pub(crate) const EMPHASIS: Style = Style::new().bold().underline();

/// Text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The text without styles.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Text from outside (a value, a server's words) without characters that could control a terminal;
/// tabs and line ends stay.
pub(crate) fn visible(text: &str) -> String {
    if !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}

/// Writes data.
///
/// # Errors
/// What the system says, except that nobody reads any more.
pub(crate) fn out(text: &str) -> io::Result<()> {
    quiet(anstream::stdout().lock().write_all(text.as_bytes()))
}

/// Writes talk; there is nothing to be done when that fails.
pub(crate) fn talk(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Writes bytes as they are.
///
/// # Errors
/// What the system says, except that nobody reads any more.
pub(crate) fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    quiet(out.write_all(bytes).and_then(|()| out.flush()))
}

fn quiet(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_come_off_and_control_characters_are_shown() {
        assert_eq!(plain(&paint(RED, "x")), "x");
        assert_eq!(visible("a\u{1b}[2Jb\n\tc"), "a\\u{1b}[2Jb\n\tc");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        assert!(quiet(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(quiet(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
