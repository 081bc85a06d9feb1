//! Indentation, spaces and columns.
//!
//! The one decision: three passes over lines of tokens. Indentation counts brackets line by line and
//! remembers how many each line opened, so that `foo({` needs one `})`; spaces depend on neighbouring
//! tokens only; equals signs and trailing comments of consecutive lines share a column.

use unicode_segmentation::UnicodeSegmentation;

use super::lexer::{Kind, Token};

struct Cell<'t> {
    token: &'t Token,
    spaces: usize,
}

const LEAD: usize = 0;
const ASSIGN: usize = 1;
const COMMENT: usize = 2;

/// A line in three parts: up to the equals sign, from there, and a comment after it.
type Line<'t> = [Vec<Cell<'t>>; 3];

/// The text of the tokens in canonical layout.
pub(super) fn layout(tokens: &[Token]) -> String {
    let mut lines = lines(tokens);
    indent(&mut lines);
    for line in &mut lines {
        space(&mut line[LEAD]);
        space(&mut line[ASSIGN]);
    }
    align(&mut lines, ASSIGN);
    align(&mut lines, COMMENT);
    let mut out = String::new();
    for cell in lines.iter().flatten().flatten() {
        out.extend(std::iter::repeat_n(' ', cell.spaces));
        out.push_str(&cell.token.text);
    }
    out
}

fn lines(tokens: &[Token]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let ends = |t: &Token| t.kind == Kind::Newline || t.kind == Kind::Comment && t.text.ends_with('\n');
    let mut heredoc = false;
    for part in tokens.split_inclusive(ends) {
        let mut line = [part.iter().map(|token| Cell { token, spaces: 0 }).collect(), Vec::new(), Vec::new()];
        let inside = heredoc;
        for token in part {
            heredoc = (heredoc || token.kind == Kind::OpenHeredoc) && token.kind != Kind::CloseHeredoc;
        }
        if !inside {
            split(&mut line);
        }
        lines.push(line);
    }
    lines
}

fn split([lead, assign, comment]: &mut Line<'_>) {
    if lead.len() > 1 && lead.last().is_some_and(|c| c.token.kind == Kind::Comment) {
        *comment = lead.split_off(lead.len() - 1);
    }
    let equal = lead.iter().position(|c| c.token.kind == Kind::Equal);
    if let Some(at) = equal.filter(|at| *at > 0)
        && lead[at..].iter().map(|c| c.token.brackets()).sum::<i32>() == 0
    {
        *assign = lead.split_off(at);
    }
}

fn indent(lines: &mut [Line<'_>]) {
    // How many brackets each indented level opened.
    let mut levels: Vec<i32> = Vec::new();
    for line in lines {
        let mut net = 0;
        for cells in &line[..COMMENT] {
            for cell in cells {
                net += cell.token.brackets();
                if cell.token.kind == Kind::OpenHeredoc {
                    break;
                }
            }
        }
        let Some(first) = line[LEAD].first_mut() else { continue };
        if first.token.kind == Kind::Newline {
            continue;
        }
        if net > 0 {
            first.spaces = 2 * levels.len();
            levels.push(net);
            continue;
        }
        let mut closed = -net;
        while closed > 0 {
            let Some(level) = levels.last_mut() else { break };
            if closed < *level {
                *level -= closed;
                break;
            }
            closed -= *level;
            levels.pop();
        }
        first.spaces = 2 * levels.len();
    }
}

fn space(cells: &mut [Cell<'_>]) {
    for i in 1..cells.len() {
        let before = i.checked_sub(2).map(|b| cells[b].token);
        cells[i].spaces = usize::from(between(before, cells[i - 1].token, cells[i].token));
    }
}

/// Whether a space stands between two tokens, of which the first comes after `before`.
fn between(before: Option<&Token>, left: &Token, right: &Token) -> bool {
    use Kind::{
        Arithmetic, Bang, CloseBrace, CloseHeredoc, CloseQuote, Colon, Comma, Comparison, Control, Dot, DoubleColon,
        Ellipsis, Equal, Ident, Interpolation, Minus, Newline, Number, OpenBrace, OpenBracket, OpenHeredoc, OpenParen,
        OpenQuote, Question, SequenceEnd, Text,
    };
    match (left.kind, right.kind) {
        (_, Newline) | (Ident, OpenParen) | (Ident, DoubleColon) | (DoubleColon, Ident) => false,
        (Dot, _) | (_, Dot | Comma | Ellipsis) => false,
        (Comma, _) => true,
        (Text | OpenQuote | OpenHeredoc, _) | (_, Text | CloseQuote | CloseHeredoc) => false,
        // `in` of a `for` before a tuple, which else would read as an index.
        (Ident, _) if left.text == "in" && before.is_some_and(|b| b.kind == Ident) => true,
        (l, OpenBracket) if l == Ident || l == Number || left.brackets() < 0 => false,
        (Bang, _) => false,
        // A minus after something that can end an expression subtracts, any other negates.
        (Minus, _) => before.is_some_and(|b| {
            !matches!(
                b.kind,
                OpenParen
                    | OpenBrace
                    | OpenBracket
                    | Equal
                    | Colon
                    | Comma
                    | Question
                    | Arithmetic
                    | Minus
                    | Comparison
                    | Bang
            )
        }),
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        (Interpolation | Control, OpenBrace) | (CloseBrace, SequenceEnd) => true,
        (SequenceEnd, Interpolation | Control) => false,
        _ => left.brackets() <= 0 && right.brackets() >= 0,
    }
}

fn columns(cells: &[Cell<'_>]) -> usize {
    cells.iter().map(|c| c.spaces + c.token.text.graphemes(true).count()).sum()
}

/// Puts one part of consecutive lines that have it into one column.
fn align(lines: &mut [Line<'_>], part: usize) {
    for chain in lines.chunk_by_mut(|a, b| !a[part].is_empty() && !b[part].is_empty()) {
        let before = |line: &Line<'_>| line[..part].iter().map(|cells| columns(cells)).sum::<usize>();
        let widest = chain.iter().map(before).max().unwrap_or(0);
        for line in chain {
            let spaces = widest - before(line) + 1;
            if let Some(first) = line[part].first_mut() {
                first.spaces = spaces;
            }
        }
    }
}
