//! Source text to tokens, losing nothing but the spaces between them.
//!
//! The one decision: one stack of modes (expression, quoted template, heredoc) instead of recursion, so
//! that depth costs memory only. It accepts more than the language does: validity is checked before.

use unicode_normalization::char::is_combining_mark;

use super::FormatError;

/// What a token is, as far as layout cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Ident,
    Number,
    /// `"` at either end of a quoted template.
    OpenQuote,
    CloseQuote,
    /// Text inside a template.
    Text,
    /// `<<EOT` with its line end, and the closing marker with the space before it.
    OpenHeredoc,
    CloseHeredoc,
    /// `${` or `%{`, perhaps with `~`.
    Interpolation,
    Control,
    /// The brace that ends one of these.
    SequenceEnd,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParen,
    CloseParen,
    Comment,
    Newline,
    Comma,
    Dot,
    Equal,
    Minus,
    Bang,
    Colon,
    DoubleColon,
    Question,
    Ellipsis,
    /// `+ * / %`
    Arithmetic,
    /// `== != < > <= >= && ||`
    Comparison,
    /// `=>` and anything else.
    Other,
}

/// One token and its text.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
}

impl Token {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// How many brackets this opens (negative: closes).
    pub(super) fn brackets(&self) -> i32 {
        match self.kind {
            Kind::OpenBrace | Kind::OpenBracket | Kind::OpenParen | Kind::Interpolation | Kind::Control => 1,
            Kind::CloseBrace | Kind::CloseBracket | Kind::CloseParen | Kind::SequenceEnd => -1,
            _ => 0,
        }
    }
}

enum Mode {
    /// In `${…}`: how many braces are open in it.
    Sequence(usize),
    Quoted,
    Heredoc(String),
}

/// All tokens of a text.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, FormatError> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new(), modes: Vec::new() };
    while lexer.at < source.len() {
        let before = lexer.at;
        match lexer.modes.last() {
            Some(Mode::Quoted) => lexer.quoted(),
            Some(Mode::Heredoc(marker)) => {
                let marker = marker.clone();
                lexer.heredoc(&marker);
            }
            _ => lexer.normal(),
        }
        if lexer.at == before {
            return Err(FormatError { offset: before, message: "unexpected character".into() });
        }
    }
    if lexer.modes.is_empty() {
        Ok(lexer.tokens)
    } else {
        Err(FormatError { offset: source.len(), message: "a template is not closed".into() })
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
    modes: Vec<Mode>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = &self.rest()[..length];
        self.tokens.push(Token::new(kind, text));
        self.at += length;
    }

    /// At `${` or `%{` of a template.
    fn sequence(&mut self) {
        let kind = if self.rest().starts_with('$') { Kind::Interpolation } else { Kind::Control };
        let length = if self.rest()[2..].starts_with('~') { 3 } else { 2 };
        self.push(kind, length);
        self.modes.push(Mode::Sequence(0));
    }

    /// The length of literal text up to a sequence or what `stop` says; a doubled mark is text.
    fn literal(&self, rest: &str, stop: impl Fn(&str) -> bool) -> usize {
        let mut length = 0;
        while let Some(c) = rest[length..].chars().next() {
            let here = &rest[length..];
            if here.starts_with("$${") || here.starts_with("%%{") {
                length += 3;
                continue;
            }
            if here.starts_with("${") || here.starts_with("%{") || stop(here) {
                break;
            }
            length += c.len_utf8();
            if c == '\\' && matches!(self.modes.last(), Some(Mode::Quoted)) {
                length += rest[length..].chars().next().map_or(0, char::len_utf8);
            }
        }
        length
    }

    fn quoted(&mut self) {
        if self.rest().starts_with('"') {
            self.push(Kind::CloseQuote, 1);
            self.modes.pop();
        } else if self.rest().starts_with("${") || self.rest().starts_with("%{") {
            self.sequence();
        } else {
            let length = self.literal(self.rest(), |here| here.starts_with(['"', '\n']));
            self.push(Kind::Text, length);
        }
    }

    fn heredoc(&mut self, marker: &str) {
        let line_start = self.source[..self.at].ends_with('\n');
        let line = self.rest().lines().next().unwrap_or("");
        if line_start && line.trim() == marker {
            self.push(Kind::CloseHeredoc, line.trim_end().len());
            self.modes.pop();
        } else if self.rest().starts_with("${") || self.rest().starts_with("%{") {
            self.sequence();
        } else {
            let end = self.rest().find('\n').map_or(self.rest().len(), |i| i + 1);
            let length = self.literal(&self.rest()[..end], |_| false);
            self.push(Kind::Text, length);
        }
    }

    fn normal(&mut self) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return };
        match c {
            ' ' | '\t' => self.at += 1,
            '\n' => self.push(Kind::Newline, 1),
            '\r' if rest.starts_with("\r\n") => self.push(Kind::Newline, 2),
            '#' => self.line_comment(),
            '/' if rest.starts_with("//") => self.line_comment(),
            '/' if rest.starts_with("/*") => {
                let length = rest[2..].find("*/").map_or(rest.len(), |i| i + 4);
                self.push(Kind::Comment, length);
            }
            '"' => {
                self.push(Kind::OpenQuote, 1);
                self.modes.push(Mode::Quoted);
            }
            '<' if rest.starts_with("<<") => self.open_heredoc(),
            '0'..='9' => self.number(),
            c if c == '_' || c.is_alphabetic() => {
                let end = rest.find(|c: char| !(c == '_' || c == '-' || c.is_alphanumeric() || is_combining_mark(c)));
                self.push(Kind::Ident, end.unwrap_or(rest.len()));
            }
            '{' => {
                if let Some(Mode::Sequence(depth)) = self.modes.last_mut() {
                    *depth += 1;
                }
                self.push(Kind::OpenBrace, 1);
            }
            '~' if rest.starts_with("~}") => self.close_brace(2),
            '}' => self.close_brace(1),
            _ => self.operator(),
        }
    }

    fn close_brace(&mut self, length: usize) {
        match self.modes.last_mut() {
            Some(Mode::Sequence(0)) => {
                self.modes.pop();
                self.push(Kind::SequenceEnd, length);
            }
            Some(Mode::Sequence(depth)) => {
                *depth -= 1;
                self.push(Kind::CloseBrace, length);
            }
            _ => self.push(Kind::CloseBrace, length),
        }
    }

    /// A comment to the end of the line holds the line end too.
    fn line_comment(&mut self) {
        let length = self.rest().find('\n').map_or(self.rest().len(), |i| i + 1);
        self.push(Kind::Comment, length);
    }

    fn open_heredoc(&mut self) {
        let line = self.rest().find('\n').map_or(self.rest().len(), |i| i + 1);
        let marker = self.rest()[2..line].trim_start_matches('-').trim().to_owned();
        self.push(Kind::OpenHeredoc, line);
        self.modes.push(Mode::Heredoc(marker));
    }

    fn number(&mut self) {
        let bytes = self.rest().as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        self.push(Kind::Number, end);
    }

    fn operator(&mut self) {
        const OPERATORS: [(&str, Kind); 28] = [
            ("...", Kind::Ellipsis),
            ("::", Kind::DoubleColon),
            ("=>", Kind::Other),
            ("==", Kind::Comparison),
            ("!=", Kind::Comparison),
            ("<=", Kind::Comparison),
            (">=", Kind::Comparison),
            ("&&", Kind::Comparison),
            ("||", Kind::Comparison),
            ("<", Kind::Comparison),
            (">", Kind::Comparison),
            ("=", Kind::Equal),
            ("!", Kind::Bang),
            ("-", Kind::Minus),
            ("+", Kind::Arithmetic),
            ("*", Kind::Arithmetic),
            ("/", Kind::Arithmetic),
            ("%", Kind::Arithmetic),
            ("?", Kind::Question),
            (":", Kind::Colon),
            (",", Kind::Comma),
            (".", Kind::Dot),
            ("(", Kind::OpenParen),
            (")", Kind::CloseParen),
            ("[", Kind::OpenBracket),
            ("]", Kind::CloseBracket),
            ("|", Kind::Other),
            ("&", Kind::Other),
        ];
        if let Some((text, kind)) = OPERATORS.iter().find(|(text, _)| self.rest().starts_with(text)) {
            self.push(*kind, text.len());
        }
    }
}
