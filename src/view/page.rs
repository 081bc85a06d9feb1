//! Pages of documentation: paragraphs and tables of two columns that fit the terminal.
//!
//! The one decision: lines are broken here and nowhere else, by display width; text that is wider than
//! the terminal without a blank stays whole, so that it can be copied.

use std::io;

use textwrap::{Options, WordSeparator, WordSplitter, fill};

/// Columns for a page on stdout; 100 where it goes to a file.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(100, |(w, _)| usize::from(w.0).clamp(40, 120))
}

/// Paragraphs with every line `indent` columns in, and a final line end.
pub(crate) fn paragraphs(text: &str, indent: usize, width: usize) -> String {
    let pad = " ".repeat(indent);
    let options = options(width).initial_indent(&pad).subsequent_indent(&pad);
    let mut out = String::new();
    for line in text.trim_end().lines() {
        out.push_str(fill(line, &options).trim_end());
        out.push('\n');
    }
    out
}

/// Names with what they mean beside them; a name that is wider than `most` has its meaning below.
/// `paint` is put on the names.
pub(crate) fn table(rows: &[(String, String)], most: usize, width: usize, paint: fn(&str) -> String) -> String {
    let wide = |text: &str| textwrap::core::display_width(text);
    let column = rows.iter().map(|(name, _)| wide(name)).filter(|w| *w <= most).max().unwrap_or(0).max(8) + 4;
    let mut out = String::new();
    for (name, text) in rows {
        let pad = " ".repeat(column);
        let wrapped = fill(text, options(width).initial_indent(&pad).subsequent_indent(&pad));
        push!(out, "  {}", paint(name));
        let used = wide(name) + 2;
        if wrapped.trim().is_empty() {
            out.push('\n');
        } else if used + 2 <= column {
            push!(out, "{}\n", &wrapped[used..]);
        } else {
            push!(out, "\n{wrapped}\n");
        }
    }
    out
}

fn options(width: usize) -> Options<'static> {
    Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
}

/// The first sentence of a text, for lists.
pub(crate) fn sentence(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.find(". ").map_or(line, |end| &line[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_long_words_stay_whole() {
        assert_eq!(
            paragraphs("one two three\n\nhttps://long.example/without/blanks", 2, 12),
            "  one two\n  three\n\n  https://long.example/without/blanks\n"
        );
        let rows = [("ab".to_owned(), "x y z".to_owned()), ("a name too wide".to_owned(), "below".to_owned())];
        assert_eq!(
            table(&rows, 10, 16, str::to_owned),
            "  ab        x y\n            z\n  a name too wide\n            below\n"
        );
        assert_eq!(sentence("It is 1.5 wide. It is more.\nAnd"), "It is 1.5 wide.");
    }
}
