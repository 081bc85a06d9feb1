//! Rewrites what has a plainer form.
//!
//! The one decision: only whole values of attributes and labels of blocks are rewritten, as the field
//! does: `"${x}"` to `x`, `resource a b` to `resource "a" "b"`, and a quoted or bare collection type of
//! a variable to its full form. The text inside expressions stays the author's.

use super::lexer::{Kind, Token};

/// Rewrites a whole file.
pub(super) fn tidy(tokens: &mut Vec<Token>) {
    let mut out = Vec::with_capacity(tokens.len());
    let mut blocks: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.kind == Kind::CloseBrace {
            blocks.pop();
        }
        if token.kind != Kind::Ident {
            out.push(token.clone());
            at += 1;
            continue;
        }
        // An item of a body begins here: an attribute where an equals sign follows, else a block.
        let name = token.text.clone();
        out.push(token.clone());
        at += 1;
        let comments = tokens[at..].iter().take_while(|t| t.kind == Kind::Comment).count();
        if tokens.get(at + comments).is_some_and(|t| t.kind == Kind::Equal) {
            out.extend_from_slice(&tokens[at..=at + comments]);
            at += comments;
            let end = value_end(tokens, at + 1);
            let value = &tokens[at + 1..end];
            let is_type = name == "type" && blocks.len() == 1 && blocks[0] == "variable";
            out.extend(if is_type { type_value(value) } else { unwrap(value) });
            at = end;
        } else {
            at = labels(tokens, at, &mut out);
            blocks.push(name);
        }
    }
    *tokens = out;
}

/// Where the value ends that begins at `at`: at a line end, a comment or a brace outside its brackets.
fn value_end(tokens: &[Token], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while let Some(token) = tokens.get(at) {
        if depth == 0 {
            if token.kind == Kind::Newline || token.kind == Kind::CloseBrace {
                return at;
            }
            // Comments belong to what comes behind them, unless that is the line's end.
            let behind = at + tokens[at..].iter().take_while(|t| t.kind == Kind::Comment && !ends_line(t)).count();
            if tokens.get(behind).is_none_or(|t| ends_line(t) || t.kind == Kind::CloseBrace) {
                return at;
            }
            at = behind;
        }
        depth += tokens[at].brackets();
        at += 1;
    }
    tokens.len()
}

fn ends_line(token: &Token) -> bool {
    token.kind == Kind::Newline || token.kind == Kind::Comment && token.text.ends_with('\n')
}

/// Copies labels in quotes, and the opening brace; the index after it.
fn labels(tokens: &[Token], mut at: usize, out: &mut Vec<Token>) -> usize {
    let mut quoted = false;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.kind {
            Kind::Ident if !quoted => out.extend([
                Token::new(Kind::OpenQuote, "\""),
                Token::new(Kind::Text, token.text.as_str()),
                Token::new(Kind::CloseQuote, "\""),
            ]),
            // Comments before a label go, as in the field: a label is where nobody looks for one.
            Kind::Comment => {
                let behind = at + tokens[at..].iter().take_while(|t| t.kind == Kind::Comment).count();
                if !tokens.get(behind).is_some_and(is_label) {
                    out.extend_from_slice(&tokens[at - 1..behind]);
                }
                at = behind;
            }
            kind => {
                quoted = (quoted || kind == Kind::OpenQuote) && kind != Kind::CloseQuote;
                out.push(token.clone());
                if kind == Kind::OpenBrace {
                    break;
                }
            }
        }
    }
    at
}

fn is_label(token: &Token) -> bool {
    matches!(token.kind, Kind::Ident | Kind::OpenQuote)
}

/// What is in a template that is only one interpolation; anything else as it is.
fn unwrap(value: &[Token]) -> Vec<Token> {
    let [open, sequence, inside @ .., end, close] = value else { return value.to_vec() };
    if open.kind != Kind::OpenQuote
        || sequence.kind != Kind::Interpolation
        || end.kind != Kind::SequenceEnd
        || close.kind != Kind::CloseQuote
        || inside.is_empty()
    {
        return value.to_vec();
    }
    let mut quotes = 0;
    for token in inside {
        match token.kind {
            Kind::OpenQuote => quotes += 1,
            Kind::CloseQuote => quotes -= 1,
            Kind::Interpolation | Kind::Control | Kind::SequenceEnd if quotes == 0 => return value.to_vec(),
            _ => {}
        }
    }
    let newline = |t: &Token| t.kind == Kind::Newline;
    let start = inside.iter().position(|t| !newline(t)).unwrap_or(0);
    let stop = inside.iter().rposition(|t| !newline(t)).map_or(inside.len(), |i| i + 1);
    let inside = &inside[start..stop];
    let wrapped = inside.first().is_some_and(|t| t.kind == Kind::OpenParen)
        && inside.last().is_some_and(|t| t.kind == Kind::CloseParen);
    if wrapped || !inside.iter().any(newline) {
        return inside.to_vec();
    }
    // Several lines need brackets once the template is gone.
    let mut out = vec![Token::new(Kind::OpenParen, "(")];
    out.extend_from_slice(inside);
    out.push(Token::new(Kind::CloseParen, ")"));
    out
}

/// The full form of a type that old configurations wrote in quotes or without its element.
fn type_value(value: &[Token]) -> Vec<Token> {
    let of = |name: &str, element: &str| {
        vec![
            Token::new(Kind::Ident, name),
            Token::new(Kind::OpenParen, "("),
            Token::new(Kind::Ident, element),
            Token::new(Kind::CloseParen, ")"),
        ]
    };
    match value {
        [word] => match word.text.as_str() {
            name @ ("list" | "map" | "set") => of(name, "any"),
            _ => value.to_vec(),
        },
        [open, word, _] if open.kind == Kind::OpenQuote => match word.text.as_str() {
            "string" => vec![Token::new(Kind::Ident, "string")],
            name @ ("list" | "map") => of(name, "string"),
            _ => value.to_vec(),
        },
        _ => value.to_vec(),
    }
}
